#pragma once
#include <napi.h>

namespace sidetone::binding {
/** Stateful signal processing (resampler, concealer, G.722) for tools and tests; the media path calls the
 * core. */
void exportDsp(Napi::Env env, Napi::Object exports);
}  // namespace sidetone::binding
