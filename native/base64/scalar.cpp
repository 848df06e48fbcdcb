// The reference: three bytes, four characters, one table each way. The SIMD kernels must agree with it on
// every input.
#include <array>

#include "base64/kernels.h"

namespace sidetone::base64::scalar {
namespace {

constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Values are 0 to 63, so a set high bit survives the OR of a whole quad and tells that one of its characters
// is bad.
constexpr uint8_t kBad = 0x80;

constexpr std::array<uint8_t, 256> kValues = [] {
  std::array<uint8_t, 256> values{};
  values.fill(kBad);
  for (uint8_t value = 0; value < 64; value++) values[static_cast<uint8_t>(kAlphabet[value])] = value;
  return values;
}();

uint32_t valueOf(char c) { return kValues[static_cast<uint8_t>(c)]; }

}  // namespace

size_t encode(const uint8_t* bytes, size_t count, char* out) {
  char* const start = out;
  for (; count >= 3; count -= 3, bytes += 3, out += 4) {
    const uint32_t triple = uint32_t{bytes[0]} << 16 | uint32_t{bytes[1]} << 8 | bytes[2];
    out[0] = kAlphabet[triple >> 18];
    out[1] = kAlphabet[triple >> 12 & 63];
    out[2] = kAlphabet[triple >> 6 & 63];
    out[3] = kAlphabet[triple & 63];
  }
  if (count > 0) {
    const uint32_t triple = uint32_t{bytes[0]} << 16 | (count == 2 ? uint32_t{bytes[1]} << 8 : 0);
    out[0] = kAlphabet[triple >> 18];
    out[1] = kAlphabet[triple >> 12 & 63];
    out[2] = count == 2 ? kAlphabet[triple >> 6 & 63] : '=';
    out[3] = '=';
    out += 4;
  }
  return static_cast<size_t>(out - start);
}

size_t decode(const char* chars, size_t count, uint8_t* out) {
  if (count % 4 != 0) return kBase64Invalid;
  if (count == 0) return 0;
  uint8_t* const start = out;
  uint32_t bad = 0;

  // The last quad alone may be padded.
  const char* const last = chars + count - 4;
  for (; chars != last; chars += 4, out += 3) {
    const uint32_t a = valueOf(chars[0]), b = valueOf(chars[1]), c = valueOf(chars[2]), d = valueOf(chars[3]);
    bad |= a | b | c | d;
    out[0] = static_cast<uint8_t>(a << 2 | b >> 4);
    out[1] = static_cast<uint8_t>(b << 4 | c >> 2);
    out[2] = static_cast<uint8_t>(c << 6 | d);
  }

  const size_t padding = last[3] != '=' ? 0 : last[2] != '=' ? 1 : 2;
  const uint32_t a = valueOf(last[0]), b = valueOf(last[1]);
  const uint32_t c = padding == 2 ? 0 : valueOf(last[2]), d = padding > 0 ? 0 : valueOf(last[3]);
  bad |= a | b | c | d;
  if (bad & kBad) return kBase64Invalid;
  *out++ = static_cast<uint8_t>(a << 2 | b >> 4);
  if (padding < 2) *out++ = static_cast<uint8_t>(b << 4 | c >> 2);
  if (padding < 1) *out++ = static_cast<uint8_t>(c << 6 | d);
  return static_cast<size_t>(out - start);
}

}  // namespace sidetone::base64::scalar
