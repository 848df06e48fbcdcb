#pragma once
#include <napi.h>

namespace sidetone::binding {

/** The process' monotonic clock, in ms. */
double monotonicMs();

/** `monotonicMs()` and `createStamper(view, at)`, for clock.ts alone. */
void exportClock(Napi::Env env, Napi::Object exports);

}  // namespace sidetone::binding
