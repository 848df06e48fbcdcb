#pragma once
#include <napi.h>

#include "mix/mixer.h"

namespace sidetone::binding {

/** `sound` is what makeSound() or comfortNoise() of the addon returned. */
LayerConfig readLayer(const Napi::Value& sound, const Napi::Object& options);

void exportMixing(Napi::Env env, Napi::Object exports);

}  // namespace sidetone::binding
