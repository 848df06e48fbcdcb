#pragma once
#include <napi.h>

namespace sidetone::binding {
/** `createEngine(config, buffers)`: the media path of one reactor. native.ts is its typed face and only
 * caller. */
void exportEngine(Napi::Env env, Napi::Object exports);
}  // namespace sidetone::binding
