#include "mix/sum.h"

#include <algorithm>

// Plain loops: every compiler that builds this makes vector code of them.
namespace sidetone {
namespace {
int16_t limited(int32_t value) {
  return static_cast<int16_t>(std::clamp<int32_t>(value, INT16_MIN, INT16_MAX));
}
}  // namespace

void addTo(int32_t* sum, const int16_t* pcm, size_t samples) {
  for (size_t i = 0; i < samples; i++) sum[i] += pcm[i];
}

void leaveOut(const int32_t* sum, const int16_t* own, size_t samples, int16_t* out) {
  if (!own) {
    for (size_t i = 0; i < samples; i++) out[i] = limited(sum[i]);
    return;
  }
  for (size_t i = 0; i < samples; i++) out[i] = limited(sum[i] - own[i]);
}

}  // namespace sidetone
