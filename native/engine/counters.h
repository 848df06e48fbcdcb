#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace sidetone {

/** What the engine counts, for one stream and, summed, for a reactor. The names go to TypeScript as they are
 * here. */
enum class Counter : uint8_t {
  MediaReceived,
  BytesReceived,  // payload bytes, decoded from base64
  FramesHeard,
  FramesConcealed,
  FramesLost,
  FramesReordered,
  FramesLate,
  FramesDuplicate,
  ReorderOverflows,
  Resyncs,
  Pauses,
  BadPayloads,
  EmptyPayloads,
  UnwantedTrack,
  VoiceFallBacks,
  MediaSent,
  BytesSent,  // payload bytes, before base64
  Underruns,
  PaddedMessages,
  PlaysRefused,
  LiveCatchUps,
  LivePauseCutSeconds,
  LiveSpeechCutSeconds,
  LiveSkippedSeconds,
  Count,
};
constexpr size_t kCounters = static_cast<size_t>(Counter::Count);

constexpr std::array<const char*, kCounters> kCounterNames = {
    "mediaReceived",
    "bytesReceived",
    "framesHeard",
    "framesConcealed",
    "framesLost",
    "framesReordered",
    "framesLate",
    "framesDuplicate",
    "reorderOverflows",
    "resyncs",
    "pauses",
    "badPayloads",
    "emptyPayloads",
    "unwantedTrack",
    "voiceFallBacks",
    "mediaSent",
    "bytesSent",
    "underruns",
    "paddedMessages",
    "playsRefused",
    "liveCatchUps",
    "livePauseCutSeconds",
    "liveSpeechCutSeconds",
    "liveSkippedSeconds",
};

using CounterValues = std::array<double, kCounters>;

}  // namespace sidetone
