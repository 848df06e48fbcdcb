#pragma once
#include <napi.h>

namespace sidetone::binding {
/**
 * `exports.kernels`: the stateless kernels, for tests, tools and benchmarks (a stream reaches them without
 * leaving native code). Its TypeScript face, with shapes and errors, is KernelExports in
 * test/helpers/kernels.ts.
 */
void exportKernels(Napi::Env env, Napi::Object exports);
}  // namespace sidetone::binding
