#pragma once
#include <napi.h>

namespace sidetone::binding {

/** `moveReallocated`: what another library of this process imports. */
void exportImports(Napi::Env env, Napi::Object exports);

}  // namespace sidetone::binding
