// The reference, one sample at a time. Both laws write a magnitude as segment (3 bits) and step (4 bits),
// like a float's exponent and mantissa; A-law's segment 0 is its denormals. Decoding has 256 results, so they
// are a table.
#include <array>
#include <bit>

#include "codec/g711/kernels.h"

namespace sidetone::g711::scalar {
namespace {

// Ones' complement: 0 … 32767.
uint32_t magnitude(int32_t sample) { return static_cast<uint32_t>(sample < 0 ? ~sample : sample); }

// µ-law adds 33 to a 14-bit magnitude, so that segment s begins at 32 << s.
constexpr uint32_t kUlawBias = 33;
constexpr uint32_t kUlawMax = 0x1fff;

uint8_t ulawEncodeOne(int16_t sample) {
  const uint32_t biased = (magnitude(sample) >> 2) + kUlawBias;
  const uint32_t clipped = biased < kUlawMax ? biased : kUlawMax;
  const uint32_t segment = static_cast<uint32_t>(std::bit_width(clipped)) - 6;
  const uint32_t step = clipped >> (segment + 1) & 15;
  const uint32_t sign = sample < 0 ? 0x80 : 0;
  return static_cast<uint8_t>(~(sign | segment << 4 | step));
}

constexpr int16_t ulawDecodeOne(uint8_t code) {
  const int32_t bits = ~code & 0x7f;
  const int32_t level = ((2 * (bits & 15) + 33) << (bits >> 4)) - static_cast<int32_t>(kUlawBias);
  return static_cast<int16_t>(code & 0x80 ? 4 * level : -4 * level);
}

// A-law inverts every other bit of the code.
constexpr uint8_t kAlawToggle = 0x55;

uint8_t alawEncodeOne(int16_t sample) {
  const uint32_t level =
      magnitude(sample) >> 4;  // 12 bits with the sign; segments 0 and 1 both have steps of one
  const uint32_t segment = level < 16 ? 0 : static_cast<uint32_t>(std::bit_width(level)) - 4;
  const uint32_t step = level >> (segment > 1 ? segment - 1 : 0) & 15;
  const uint32_t sign = sample < 0 ? 0 : 0x80;
  return static_cast<uint8_t>((sign | segment << 4 | step) ^ kAlawToggle);
}

constexpr int16_t alawDecodeOne(uint8_t code) {
  const int32_t bits = code ^ kAlawToggle;
  const int32_t segment = bits >> 4 & 7;
  const int32_t step = (bits & 15) + (segment > 0 ? 16 : 0);
  const int32_t level = ((step << 4) + 8) << (segment > 1 ? segment - 1 : 0);
  return static_cast<int16_t>(bits & 0x80 ? level : -level);
}

constexpr std::array<int16_t, 256> table(int16_t (*decodeOne)(uint8_t)) {
  std::array<int16_t, 256> samples{};
  for (size_t code = 0; code < 256; code++) samples[code] = decodeOne(static_cast<uint8_t>(code));
  return samples;
}
constexpr std::array<int16_t, 256> kUlawSamples = table(ulawDecodeOne);
constexpr std::array<int16_t, 256> kAlawSamples = table(alawDecodeOne);

}  // namespace

void ulawDecode(const uint8_t* payload, size_t samples, int16_t* pcm) {
  for (size_t i = 0; i < samples; i++) pcm[i] = kUlawSamples[payload[i]];
}

void ulawEncode(const int16_t* pcm, size_t samples, uint8_t* payload) {
  for (size_t i = 0; i < samples; i++) payload[i] = ulawEncodeOne(pcm[i]);
}

void alawDecode(const uint8_t* payload, size_t samples, int16_t* pcm) {
  for (size_t i = 0; i < samples; i++) pcm[i] = kAlawSamples[payload[i]];
}

void alawEncode(const int16_t* pcm, size_t samples, uint8_t* payload) {
  for (size_t i = 0; i < samples; i++) payload[i] = alawEncodeOne(pcm[i]);
}

}  // namespace sidetone::g711::scalar
