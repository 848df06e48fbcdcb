#pragma once
#include <cstddef>
#include <cstdint>

namespace sidetone {

/** Byte order of L16 samples on the wire. Telnyx sends little-endian, against RFC 3551 (which says
 * big-endian). */
enum class ByteOrder : uint8_t { Little, Big };

/** Payload bytes to PCM: `samples` samples from `2 * samples` bytes. */
void l16Decode(const uint8_t* payload, size_t samples, ByteOrder order, int16_t* pcm);

/** PCM to payload bytes: `2 * samples` bytes are written. */
void l16Encode(const int16_t* pcm, size_t samples, ByteOrder order, uint8_t* payload);

}  // namespace sidetone
