#pragma once
#include <napi.h>

namespace sidetone::binding {
/** AmrWbDecoder and AmrWbEncoder. */
void exportAmrWb(Napi::Env env, Napi::Object exports);
}  // namespace sidetone::binding
