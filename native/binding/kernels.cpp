#include "binding/kernels.h"

namespace sidetone::binding {
void exportKernels(Napi::Env env, Napi::Object exports) {
  exports.Set("version", Napi::String::New(env, "0.1.0"));
}
}  // namespace sidetone::binding
