#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base64/base64.h"

namespace sidetone {

/** Bytes of a WebSocket client's frame before its payload (RFC 6455, section 5.2): the mask's four among
 * them. */
constexpr size_t clientHeadBytes(size_t payloadBytes) {
  return payloadBytes < 126 ? 6 : payloadBytes < 65536 ? 8 : 14;
}

inline constexpr std::string_view kAppendHead = R"({"type":"input_audio_buffer.append","audio":")";
inline constexpr std::string_view kAppendTail = R"("})";

/** Length of the event that carries `audioBytes` bytes to a service of the Realtime protocol. */
constexpr size_t appendTextLength(size_t audioBytes) {
  return kAppendHead.size() + base64EncodedLength(audioBytes) + kAppendTail.size();
}

constexpr size_t clientFrameLength(size_t payloadBytes) {
  return clientHeadBytes(payloadBytes) + payloadBytes;
}

/**
 * Writes one whole frame, masked with the four bytes of `mask` as they lie in memory. `out` holds
 * clientFrameLength(bytes) and does not overlap `payload`. Returns the length.
 */
size_t writeClientFrame(uint8_t opcode, const uint8_t* payload, size_t bytes, uint32_t mask, uint8_t* out);

/**
 * Writes the frame of `input_audio_buffer.append` with this audio: base64 goes straight into the frame, and
 * is masked where it lies. `out` holds clientFrameLength(appendTextLength(bytes)). Returns the length.
 */
size_t writeAppendFrame(const uint8_t* audio, size_t bytes, uint32_t mask, uint8_t* out);

}  // namespace sidetone
