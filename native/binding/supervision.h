#pragma once
#include <napi.h>

namespace sidetone::binding {

/** `closeSocketsAtEnd`, `watchProcess`: what outlives a stuck or dying thread. native.ts is their typed face.
 */
void exportSupervision(Napi::Env env, Napi::Object exports);

}  // namespace sidetone::binding
