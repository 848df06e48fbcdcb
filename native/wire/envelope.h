#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base64/base64.h"

namespace sidetone {

/** Which leg's audio: the caller's voice is inbound. */
enum class Track : uint8_t { Inbound = 0, Outbound = 1 };

/** The fields of one Telnyx media frame. The views lie in the scanned text and live as long as it does. */
struct MediaMessage {
  Track track;
  uint64_t sequence;
  uint64_t chunk;
  uint64_t timestamp;
  std::string_view streamId;
  /** The characters up to the next quote, as they stand: base64Decode() is what judges them. */
  std::string_view payload;
};

/**
 * Scans one text message for a Telnyx media frame (Media Streaming 1.0.0, "Telnyx Media Frame"). It accepts a
 * strict subset of what a JSON parser with a validator accepts. Where this returns true, they accept the
 * message and find the same fields. Where it returns false, they decide. Accepted is, with keys in any order
 * and with or without JSON white space around every token:
 *
 *     { "event": "media", "sequence_number": N, "stream_id": S,
 *       "media": { "track": "inbound" or "outbound", "chunk": N, "timestamp": N, "payload": P } }
 *
 * with each key exactly once and none besides. N is at most 2^53 − 1: a string of 1 to 16 digits (leading
 * zeros are allowed) or a JSON number of digits alone (without sign, fraction and exponent). S is a string of
 * 1 to 128 printable ASCII characters without '"' and '\'. P is a string that ends at the next '"'. P is not
 * looked into, because base64Decode() refuses escapes, control characters and bytes that are not UTF-8. So
 * **a message whose payload base64Decode() refuses goes to the JSON parser too.** An empty payload is
 * accepted.
 *
 * Returns false for everything else; the content of `message` is then unspecified. Allocates nothing and
 * reads nothing behind text + length.
 */
bool scanMedia(const char* text, size_t length, MediaMessage& message);

inline constexpr std::string_view kMediaPrefix = R"({"event":"media","media":{"payload":")";
inline constexpr std::string_view kMediaSuffix = R"("}})";

/** Bytes of an outgoing media frame that are not payload. */
constexpr size_t kMediaEnvelopeBytes = kMediaPrefix.size() + kMediaSuffix.size();

/** Length in bytes of the outgoing media frame that carries `payloadBytes` bytes. */
constexpr size_t mediaMessageLength(size_t payloadBytes) {
  return kMediaEnvelopeBytes + base64EncodedLength(payloadBytes);
}

/**
 * Writes the media frame that an application sends ("Client Media Frame"):
 * {"event":"media","media":{"payload":"…"}}. `out` holds mediaMessageLength(bytes) characters and must not
 * overlap `payload`; no NUL is appended. Returns the length.
 */
size_t writeMedia(const uint8_t* payload, size_t bytes, char* out);

}  // namespace sidetone
