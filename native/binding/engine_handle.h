#pragma once
#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <vector>

#include "engine/engine.h"

namespace sidetone::binding {

/** A number that both sides of the addon know by name: see layout.h. */
struct Named {
  const char* name;
  int value;
};

// Layout of the `info` view, which every call may write. The time of a call stands in it too: a number with
// a fraction costs an allocation each time it is passed as an argument.
enum Info : size_t {
  kTimestampMs,
  kTrack,
  kConcealed,
  kMore,
  kPayloadOffset,
  kPayloadBytes,
  kLostFrames,
  kTickHasMore,
  kGapCount,
  kEncodeCount,
  kAccepted,
  kSent,
  kPlayed,
  kAheadMs,
  kQueuedMs,
  kScheduled,
  kNowMs,
  kSkippedFrom,
  kSkippedTo,
  kSkips,
  kSenses,
  kSpeech,
  kSpeechStartMs,
  kSpeechEndMs,
  kSpeechMs,
  kKeys,
  kHead,
  kUnheardMs,
  kInfoCount,
};
constexpr Named kInfoNames[] = {
    {"timestampMs", kTimestampMs},
    {"track", kTrack},
    {"concealed", kConcealed},
    {"more", kMore},
    {"payloadOffset", kPayloadOffset},
    {"payloadBytes", kPayloadBytes},
    {"lostFrames", kLostFrames},
    {"tickHasMore", kTickHasMore},
    {"gapCount", kGapCount},
    {"encodeCount", kEncodeCount},
    {"accepted", kAccepted},
    {"sent", kSent},
    {"played", kPlayed},
    {"aheadMs", kAheadMs},
    {"queuedMs", kQueuedMs},
    {"scheduled", kScheduled},
    {"nowMs", kNowMs},
    {"skippedFrom", kSkippedFrom},
    {"skippedTo", kSkippedTo},
    {"skips", kSkips},
    {"senses", kSenses},
    {"speech", kSpeech},
    {"speechStartMs", kSpeechStartMs},
    {"speechEndMs", kSpeechEndMs},
    {"speechMs", kSpeechMs},
    {"keys", kKeys},
    {"head", kHead},
    {"unheardMs", kUnheardMs},
};
static_assert(std::size(kInfoNames) == kInfoCount);

/**
 * One engine with the JavaScript memory it writes to. The functions of the object that createEngine() returns
 * hold a plain pointer to it, so it lives until its environment (main thread or worker) is torn down;
 * destroy() empties it.
 */
struct Handle {
  std::unique_ptr<Engine> engine;
  double* info = nullptr;
  uint8_t* payload = nullptr;
  std::vector<Napi::Reference<Napi::TypedArray>> buffers;
  std::vector<Napi::Reference<Napi::TypedArray>> rooms;  // their memory, by number
};

inline Track trackOf(int32_t value) { return value == 1 ? Track::Outbound : Track::Inbound; }

/** The calls of the media path and those beside it that take plain numbers, for which `data` is a Handle. */
struct EngineCall {
  const char* name;
  napi_callback callback;
};
std::span<const EngineCall> engineCalls();

}  // namespace sidetone::binding
