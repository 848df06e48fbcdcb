#pragma once
#include <napi.h>

#include "hearing/listener.h"

namespace sidetone::binding {

/** `{ voice?: { onsetMs, hangoverMs, threshold, levelMinDb }, keys?: boolean }`, with every field of `voice`.
 */
ListenerConfig readListener(const Napi::Object& object);

/** The listener by itself, for tools, benchmarks and tests. */
void exportHearing(Napi::Env env, Napi::Object exports);

}  // namespace sidetone::binding
