#pragma once
#include <napi.h>

namespace sidetone::binding {
/** `monotonicMs()` and `createStamper(view, at)`: the process' monotonic clock, for clock.ts alone. */
void exportClock(Napi::Env env, Napi::Object exports);
}  // namespace sidetone::binding
