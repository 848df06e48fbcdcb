#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sidetone {

/** What a service of the Realtime protocol sends most: pieces of an answer. */
enum class Delta : uint8_t { None = 0, Audio = 1, Words = 2 };

/** The fields of one delta. The views lie in the scanned text and live as long as it does. */
struct DeltaMessage {
  std::string_view itemId;
  /** Empty where it was not told. */
  std::string_view responseId;
  /** Audio: base64, not looked into. Words: text without escapes. */
  std::string_view delta;
};

/**
 * Scans one text message for `response.output_audio.delta` or `response.output_audio_transcript.delta`, under
 * this name or the older one (`response.audio.delta`, `response.audio_transcript.delta`). Accepted is a flat
 * JSON object, with or without white space, keys in any order:
 *
 *   - each key and each value that is a string consists of printable ASCII without '"' and '\', except
 * `delta`;
 *   - values are such strings, whole numbers without sign, or null;
 *   - `type`, `item_id` and `delta` are there, as strings, and none of them nor `response_id` twice;
 *   - the text of words has no '\' and no control character.
 *
 * Anything else returns Delta::None, and a JSON parser decides; so it does where base64Decode() refuses the
 * audio. What is accepted means the same to a JSON parser.
 */
Delta scanDelta(const char* text, size_t length, DeltaMessage& message);

}  // namespace sidetone
