#pragma once
#include <napi.h>

#include "hearing/listener.h"

namespace sidetone::binding {

/** `{ voice?: { onsetMs, hangoverMs, threshold, levelMinDb }, neural?: boolean, keys?: boolean }`, with every
 * field of `voice`. */
ListenerConfig readListener(const Napi::Object& object);

/**
 * (fields: Int32Array, ends: Float64Array, samples: Int16Array) → how many windows were moved there. Room for
 * VoiceWindows::kMax is needed.
 */
Napi::Value takeWindows(VoiceWindows& windows, const Napi::CallbackInfo& info);
/**
 * (count, fields, ends, probabilities: Float32Array, events: Float64Array) → how many events were written,
 * kVoiceEventFields numbers each: stream, track, flags of Senses, startMs, endMs, durationMs.
 */
Napi::Value answerWindows(VoiceWindows& windows, const Napi::CallbackInfo& info);
constexpr size_t kVoiceEventFields = 6;

/** The listener by itself, for tools, benchmarks and tests. */
void exportHearing(Napi::Env env, Napi::Object exports);

}  // namespace sidetone::binding
