#pragma once
#include <napi.h>

#include <cstddef>

#include "binding/engine_handle.h"

namespace sidetone::binding {

// Layout of the view that gather() is given.
enum GatherPlace : size_t { kMessages, kAnsweredMs, kSleptMs, kPlaces };
constexpr Named kGatherNames[] = {
    {"messages", kMessages}, {"answeredMs", kAnsweredMs}, {"sleptMs", kSleptMs}};
static_assert(std::size(kGatherNames) == kPlaces);

/** `gather(view, waitMs)`: what an event loop waits for before it polls. native.ts is its typed face. */
void exportGather(Napi::Env env, Napi::Object exports);

}  // namespace sidetone::binding
