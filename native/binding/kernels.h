#pragma once
#include <napi.h>

namespace sidetone::binding {
/** Stateless kernels (base64, G.711, L16) for tests, tools and benchmarks. */
void exportKernels(Napi::Env env, Napi::Object exports);
}  // namespace sidetone::binding
