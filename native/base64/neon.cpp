// NEON: 48 bytes against 64 characters a step; the interleaving loads and stores do the shuffling.
#include <arm_neon.h>

#include "base64/kernels.h"

namespace sidetone::base64::neon {
namespace {

constexpr size_t kStepBytes = 48;
constexpr size_t kStepChars = 64;

constexpr uint8_t kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Reads exactly 48 bytes and writes exactly 64 characters.
void encodeStep(const uint8_t* bytes, char* out, uint8x16x4_t alphabet) {
  const uint8x16_t six = vdupq_n_u8(63);
  // Sixteen triples, taken apart:   a: b00 b03 b06 …    b: b01 b04 b07 …    c: b02 b05 b08 …
  const uint8x16x3_t in = vld3q_u8(bytes);
  const uint8x16_t a = in.val[0], b = in.val[1], c = in.val[2];
  uint8x16x4_t chars;
  chars.val[0] = vqtbl4q_u8(alphabet, vshrq_n_u8(a, 2));                                   // 00aaaaaa
  chars.val[1] = vqtbl4q_u8(alphabet, vandq_u8(vsliq_n_u8(vshrq_n_u8(b, 4), a, 4), six));  // 00aabbbb
  chars.val[2] = vqtbl4q_u8(alphabet, vandq_u8(vsliq_n_u8(vshrq_n_u8(c, 6), b, 2), six));  // 00bbbbcc
  chars.val[3] = vqtbl4q_u8(alphabet, vandq_u8(c, six));                                   // 00cccccc
  vst4q_u8(reinterpret_cast<uint8_t*>(out), chars);
}

// Values of sixteen characters; 0x80 and more where one is not of the alphabet.
uint8x16_t valuesOf(uint8x16_t chars) {
  // The letters: fold the lower case on the upper by clearing 0x20, then add 26 back.
  const uint8x16_t letter = vsubq_u8(vandq_u8(chars, vdupq_n_u8(0xdf)), vdupq_n_u8('A'));
  const uint8x16_t lower = vandq_u8(vtstq_u8(chars, vdupq_n_u8(0x20)), vdupq_n_u8(26));
  const uint8x16_t digit = vsubq_u8(chars, vdupq_n_u8('0'));
  // Each test chooses among what the earlier ones left; what none of them knows stays bad.
  uint8x16_t values = vdupq_n_u8(0x80);
  values = vbslq_u8(vcltq_u8(letter, vdupq_n_u8(26)), vaddq_u8(letter, lower), values);
  values = vbslq_u8(vcltq_u8(digit, vdupq_n_u8(10)), vaddq_u8(digit, vdupq_n_u8(52)), values);
  values = vbslq_u8(vceqq_u8(chars, vdupq_n_u8('+')), vdupq_n_u8(62), values);
  return vbslq_u8(vceqq_u8(chars, vdupq_n_u8('/')), vdupq_n_u8(63), values);
}

// Reads exactly 64 characters and writes exactly 48 bytes; bytes of 0x80 and more in the result: some were
// bad.
uint8x16_t decodeStep(const char* chars, uint8_t* out) {
  // Sixteen quads, taken apart:   a: c00 c04 c08 …    b: c01 c05 …    c: c02 c06 …    d: c03 c07 …
  const uint8x16x4_t in = vld4q_u8(reinterpret_cast<const uint8_t*>(chars));
  const uint8x16_t a = valuesOf(in.val[0]), b = valuesOf(in.val[1]);
  const uint8x16_t c = valuesOf(in.val[2]), d = valuesOf(in.val[3]);
  uint8x16x3_t bytes;
  bytes.val[0] = vorrq_u8(vshlq_n_u8(a, 2), vshrq_n_u8(b, 4));  // aaaaaabb
  bytes.val[1] = vorrq_u8(vshlq_n_u8(b, 4), vshrq_n_u8(c, 2));  // bbbbcccc
  bytes.val[2] = vorrq_u8(vshlq_n_u8(c, 6), d);                 // ccdddddd
  vst3q_u8(out, bytes);
  return vorrq_u8(vorrq_u8(a, b), vorrq_u8(c, d));
}

}  // namespace

size_t encode(const uint8_t* bytes, size_t count, char* out) {
  const size_t body = count / 3 * 3;
  if (body < kStepBytes) return scalar::encode(bytes, count, out);
  const uint8x16x4_t alphabet = {
      {vld1q_u8(kAlphabet), vld1q_u8(kAlphabet + 16), vld1q_u8(kAlphabet + 32), vld1q_u8(kAlphabet + 48)}};
  size_t at = 0;
  for (; at + kStepBytes <= body; at += kStepBytes) encodeStep(bytes + at, out + at / 3 * 4, alphabet);
  // The rest of the whole triples: one more step that ends with them and repeats some that are done.
  if (at < body) encodeStep(bytes + body - kStepBytes, out + (body - kStepBytes) / 3 * 4, alphabet);
  const size_t written = body / 3 * 4;
  return written + scalar::encode(bytes + body, count - body, out + written);
}

size_t decode(const char* chars, size_t count, uint8_t* out) {
  if (count % 4 != 0) return kBase64Invalid;
  if (count < kStepChars + 4) return scalar::decode(chars, count, out);
  const size_t body = count - 4;  // the last quad may be padded and is decoded by itself
  uint8x16_t bad = vdupq_n_u8(0);
  size_t at = 0;
  for (; at + kStepChars <= body; at += kStepChars) {
    bad = vorrq_u8(bad, decodeStep(chars + at, out + at / 4 * 3));
  }
  if (at < body)
    bad = vorrq_u8(bad, decodeStep(chars + body - kStepChars, out + (body - kStepChars) / 4 * 3));
  if (vmaxvq_u8(bad) >= 0x80) return kBase64Invalid;
  const size_t written = body / 4 * 3;
  const size_t last = scalar::decode(chars + body, 4, out + written);
  return last == kBase64Invalid ? kBase64Invalid : written + last;
}

}  // namespace sidetone::base64::neon
