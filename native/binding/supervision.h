#pragma once
#include <napi.h>

namespace sidetone::binding {

/**
 * `closeSocketsAtEnd`, `watchProcess`: what outlives a stuck or dying thread. `unfinishedConnections`: those
 * whose peers have not read all. `notify`: the service manager.
 */
void exportSupervision(Napi::Env env, Napi::Object exports);

}  // namespace sidetone::binding
