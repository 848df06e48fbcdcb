#pragma once
#include <cstddef>
#include <cstdint>

namespace sidetone {

// N participants need one sum and N subtractions. 32 bits hold the sum of 65,536 of them.

/** Adds `samples` of `pcm` to `sum`. */
void addTo(int32_t* sum, const int16_t* pcm, size_t samples);

/** What the others say: `sum` without `own`, which may be null. What does not fit 16 bits is limited. */
void leaveOut(const int32_t* sum, const int16_t* own, size_t samples, int16_t* out);

}  // namespace sidetone
