#pragma once
#include "codec/g711.h"

/** The kernels of g711.h, one namespace each. Only dispatch.cpp decides which of them this machine may call.
 */
namespace sidetone::g711 {

namespace scalar {
void ulawDecode(const uint8_t* payload, size_t samples, int16_t* pcm);
void ulawEncode(const int16_t* pcm, size_t samples, uint8_t* payload);
void alawDecode(const uint8_t* payload, size_t samples, int16_t* pcm);
void alawEncode(const int16_t* pcm, size_t samples, uint8_t* payload);
}  // namespace scalar

namespace avx2 {
void ulawDecode(const uint8_t* payload, size_t samples, int16_t* pcm);
void ulawEncode(const int16_t* pcm, size_t samples, uint8_t* payload);
void alawDecode(const uint8_t* payload, size_t samples, int16_t* pcm);
void alawEncode(const int16_t* pcm, size_t samples, uint8_t* payload);
}  // namespace avx2

namespace neon {
void ulawDecode(const uint8_t* payload, size_t samples, int16_t* pcm);
void ulawEncode(const int16_t* pcm, size_t samples, uint8_t* payload);
void alawDecode(const uint8_t* payload, size_t samples, int16_t* pcm);
void alawEncode(const int16_t* pcm, size_t samples, uint8_t* payload);
}  // namespace neon

}  // namespace sidetone::g711
