#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace sidetone {

/** What base64Decode() returns for text that is not base64. */
constexpr size_t kBase64Invalid = SIZE_MAX;

/** Characters that encode `bytes` bytes, padding included. */
constexpr size_t base64EncodedLength(size_t bytes) { return (bytes + 2) / 3 * 4; }

/** Upper bound of the bytes that `chars` characters decode to: three a quad, as if there were no padding. */
constexpr size_t base64DecodedCapacity(size_t chars) { return chars / 4 * 3; }

/**
 * Encodes `count` bytes to base64EncodedLength(count) characters: RFC 4648 section 4, padded. No NUL is
 * appended. `bytes` and `out` must not overlap. Returns the characters written.
 */
size_t base64Encode(const uint8_t* bytes, size_t count, char* out);

/**
 * Decodes `count` characters. One rule decides what is base64, the same in every kernel:
 *   - the alphabet of RFC 4648 section 4 only (not the URL-safe one of section 5), no white space, no line
 * breaks;
 *   - a length that is a multiple of 4 (nothing at all is valid, and 0 bytes);
 *   - '=' as the last character or the last two, nowhere else;
 *   - the bits that padding leaves over are ignored ("QR==" is "QQ=="; section 3.5 leaves this to the
 * decoder). `out` holds base64DecodedCapacity(count) bytes and nothing behind them is written; nothing behind
 * chars + count is read; the two must not overlap. Returns the bytes written, or kBase64Invalid, and then the
 * content of `out` is unspecified.
 */
size_t base64Decode(const char* chars, size_t count, uint8_t* out);

/** One implementation of the pair above. */
struct Base64Kernel {
  const char* name;
  size_t (*encode)(const uint8_t* bytes, size_t count, char* out);
  size_t (*decode)(const char* chars, size_t count, uint8_t* out);
};

/** The kernels that this machine can run: "scalar" first, the one that base64Encode/base64Decode use last. */
std::span<const Base64Kernel> base64Kernels();

}  // namespace sidetone
