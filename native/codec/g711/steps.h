#pragma once
#include <cstddef>

namespace sidetone::g711 {

/**
 * A kernel's loop: whole steps of kStep samples, then one more that ends with the last sample and repeats
 * some that are done. Fewer samples than one step go to `kScalar`.
 *
 * It is static, so that each file of one instruction set has its own copy, which no linker can merge into
 * what a machine without that set runs.
 */
template <size_t kStep, auto kDoStep, auto kScalar, typename From, typename To>
static void inSteps(const From* from, size_t samples, To* to) {
  if (samples < kStep) return kScalar(from, samples, to);
  size_t at = 0;
  for (; at + kStep <= samples; at += kStep) kDoStep(from + at, to + at);
  if (at < samples) kDoStep(from + samples - kStep, to + samples - kStep);
}

}  // namespace sidetone::g711
