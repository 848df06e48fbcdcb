#pragma once
#include <napi.h>

namespace sidetone::binding {

/** What a WebSocket client of a Realtime service writes and reads most. */
void exportUpstream(Napi::Env env, Napi::Object exports);

}  // namespace sidetone::binding
