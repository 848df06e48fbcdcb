#pragma once
#include <napi.h>

namespace sidetone::binding {

/** `gather(view, waitMs)`: what an event loop waits for before it polls. native.ts is its typed face. */
void exportGather(Napi::Env env, Napi::Object exports);

}  // namespace sidetone::binding
