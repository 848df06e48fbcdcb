#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace sidetone {

/**
 * G.711 (ITU-T G.711, 1988; arithmetic as in the G.191 software tools): one byte of payload a sample of
 * 16-bit PCM. It has no state and no errors: every code and every sample value has a result. Negative samples
 * are taken in ones' complement, as the reference does, so that −1 … −4 share the code of 0 … 3 but for the
 * sign. `pcm` and `payload` hold `samples` elements each and must not overlap.
 */
void ulawDecode(const uint8_t* payload, size_t samples, int16_t* pcm);
void ulawEncode(const int16_t* pcm, size_t samples, uint8_t* payload);
void alawDecode(const uint8_t* payload, size_t samples, int16_t* pcm);
void alawEncode(const int16_t* pcm, size_t samples, uint8_t* payload);

/** One implementation of the four above. */
struct G711Kernel {
  const char* name;
  void (*ulawDecode)(const uint8_t* payload, size_t samples, int16_t* pcm);
  void (*ulawEncode)(const int16_t* pcm, size_t samples, uint8_t* payload);
  void (*alawDecode)(const uint8_t* payload, size_t samples, int16_t* pcm);
  void (*alawEncode)(const int16_t* pcm, size_t samples, uint8_t* payload);
};

/** The kernels that this machine can run: "scalar" first, the one that the functions above use last. */
std::span<const G711Kernel> g711Kernels();

}  // namespace sidetone
