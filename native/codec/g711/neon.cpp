// NEON: eight samples a step; it counts leading zeros and shifts each lane by its own amount.
#include <arm_neon.h>

#include "codec/g711/kernels.h"
#include "codec/g711/steps.h"

namespace sidetone::g711::neon {
namespace {

constexpr size_t kStep = 8;

int16x8_t negativeMask(int16x8_t samples) { return vshrq_n_s16(samples, 15); }
uint16x8_t magnitudeOf(int16x8_t samples) {
  return vreinterpretq_u16_s16(veorq_s16(samples, negativeMask(samples)));
}
uint16x8_t signBit(int16x8_t samples) {
  return vandq_u16(vreinterpretq_u16_s16(negativeMask(samples)), vdupq_n_u16(0x80));
}
// vshlq shifts to the right by a negative amount.
uint16x8_t shiftRight(uint16x8_t words, uint16x8_t bits) {
  return vshlq_u16(words, vnegq_s16(vreinterpretq_s16_u16(bits)));
}
uint16x8_t shiftLeft(uint16x8_t words, uint16x8_t bits) {
  return vshlq_u16(words, vreinterpretq_s16_u16(bits));
}
int16x8_t withSign(uint16x8_t level, uint16x8_t codes) {
  const int16x8_t negative = vreinterpretq_s16_u16(vcltq_u16(codes, vdupq_n_u16(0x80)));
  return vsubq_s16(veorq_s16(vreinterpretq_s16_u16(level), negative), negative);
}

void ulawEncodeStep(const int16_t* pcm, uint8_t* payload) {
  const int16x8_t samples = vld1q_s16(pcm);
  const uint16x8_t biased = vaddq_u16(vshrq_n_u16(magnitudeOf(samples), 2), vdupq_n_u16(33));
  const uint16x8_t clipped = vminq_u16(biased, vdupq_n_u16(0x1fff));
  const uint16x8_t segment = vsubq_u16(vdupq_n_u16(10), vclzq_u16(clipped));
  const uint16x8_t step = vandq_u16(shiftRight(clipped, vaddq_u16(segment, vdupq_n_u16(1))), vdupq_n_u16(15));
  // code   ~ s e e e m m m m
  const uint16x8_t bits = vorrq_u16(vorrq_u16(vshlq_n_u16(segment, 4), step), signBit(samples));
  vst1_u8(payload, vmvn_u8(vmovn_u16(bits)));
}

void alawEncodeStep(const int16_t* pcm, uint8_t* payload) {
  const int16x8_t samples = vld1q_s16(pcm);
  const uint16x8_t level = vshrq_n_u16(magnitudeOf(samples), 4);
  // Bit width less 4, not below 0; the shift is one less, not below 0.
  const uint16x8_t segment = vqsubq_u16(vdupq_n_u16(12), vclzq_u16(level));
  const uint16x8_t step = vandq_u16(shiftRight(level, vqsubq_u16(segment, vdupq_n_u16(1))), vdupq_n_u16(15));
  // code   s e e e m m m m, s set for samples that are not negative, every other bit inverted
  const uint16x8_t bits = vorrq_u16(vorrq_u16(vshlq_n_u16(segment, 4), step), signBit(samples));
  vst1_u8(payload, veor_u8(vmovn_u16(bits), vdup_n_u8(0x80 ^ 0x55)));
}

void ulawDecodeStep(const uint8_t* payload, int16_t* pcm) {
  const uint8x8_t raw = vld1_u8(payload);
  const uint16x8_t bits = vmovl_u8(vmvn_u8(raw));
  const uint16x8_t segment = vandq_u16(vshrq_n_u16(bits, 4), vdupq_n_u16(7));
  const uint16x8_t step = vandq_u16(bits, vdupq_n_u16(15));
  const uint16x8_t biased = vaddq_u16(vshlq_n_u16(step, 3), vdupq_n_u16(132));
  const uint16x8_t level = vsubq_u16(shiftLeft(biased, segment), vdupq_n_u16(132));
  vst1q_s16(pcm, withSign(level, vmovl_u8(raw)));
}

void alawDecodeStep(const uint8_t* payload, int16_t* pcm) {
  const uint8x8_t raw = vld1_u8(payload);
  const uint16x8_t bits = vmovl_u8(veor_u8(raw, vdup_n_u8(0x55)));
  const uint16x8_t segment = vandq_u16(vshrq_n_u16(bits, 4), vdupq_n_u16(7));
  const uint16x8_t step = vandq_u16(bits, vdupq_n_u16(15));
  // Segment 0: 16 × step + 8. The others have a leading one, 256, and are << (segment − 1).
  const uint16x8_t leading = vandq_u16(vcgtq_u16(segment, vdupq_n_u16(0)), vdupq_n_u16(256));
  const uint16x8_t first = vaddq_u16(vaddq_u16(vshlq_n_u16(step, 4), vdupq_n_u16(8)), leading);
  const uint16x8_t level = shiftLeft(first, vqsubq_u16(segment, vdupq_n_u16(1)));
  vst1q_s16(pcm, withSign(level, vmovl_u8(raw)));
}

}  // namespace

void ulawDecode(const uint8_t* payload, size_t samples, int16_t* pcm) {
  inSteps<kStep, ulawDecodeStep, scalar::ulawDecode>(payload, samples, pcm);
}

void ulawEncode(const int16_t* pcm, size_t samples, uint8_t* payload) {
  inSteps<kStep, ulawEncodeStep, scalar::ulawEncode>(pcm, samples, payload);
}

void alawDecode(const uint8_t* payload, size_t samples, int16_t* pcm) {
  inSteps<kStep, alawDecodeStep, scalar::alawDecode>(payload, samples, pcm);
}

void alawEncode(const int16_t* pcm, size_t samples, uint8_t* payload) {
  inSteps<kStep, alawEncodeStep, scalar::alawEncode>(pcm, samples, payload);
}

}  // namespace sidetone::g711::neon
