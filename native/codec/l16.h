#pragma once
#include <cstddef>
#include <cstdint>

namespace sidetone {

/** Byte order of L16 samples on the wire. Telnyx sends little-endian, against RFC 3551 (which says
 * big-endian). */
enum class ByteOrder : uint8_t { Little, Big };

/** Payload bytes to PCM: `samples` samples from `2 * samples` bytes. */
void l16Decode(const uint8_t* payload, size_t samples, ByteOrder order, int16_t* pcm);

/** PCM that lies in `bytes` in the machine's own order to payload bytes, in place. */
void l16Reorder(uint8_t* bytes, size_t samples, ByteOrder order);

}  // namespace sidetone
