#pragma once
#include "base64/base64.h"

/** The kernels of base64.h, one namespace each. Only dispatch.cpp decides which of them this machine may
 * call. */
namespace sidetone::base64 {

namespace scalar {
size_t encode(const uint8_t* bytes, size_t count, char* out);
size_t decode(const char* chars, size_t count, uint8_t* out);
}  // namespace scalar

namespace avx2 {
size_t encode(const uint8_t* bytes, size_t count, char* out);
size_t decode(const char* chars, size_t count, uint8_t* out);
}  // namespace avx2

namespace neon {
size_t encode(const uint8_t* bytes, size_t count, char* out);
size_t decode(const char* chars, size_t count, uint8_t* out);
}  // namespace neon

}  // namespace sidetone::base64
