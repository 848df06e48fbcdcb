#pragma once
#include <napi.h>

namespace sidetone::binding {
/** `runLoad(options, done)`: the load generator, on a thread of its own. */
void exportLoad(Napi::Env env, Napi::Object exports);
}  // namespace sidetone::binding
