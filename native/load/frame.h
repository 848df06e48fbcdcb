#pragma once
#include <cstddef>
#include <cstdint>

namespace sidetone::load {

/** WebSocket opcodes, RFC 6455 section 5.2. */
enum class Opcode : uint8_t { Continuation = 0, Text = 1, Binary = 2, Close = 8, Ping = 9, Pong = 10 };

/** Room that a client frame's header may take in front of its payload. */
constexpr size_t kClientHeaderBytesMax = 14;

/**
 * Makes the `count` bytes at `payload` a whole client frame (FIN set): masks them in place with `maskKey` and
 * writes the header just before `payload`. At least kClientHeaderBytesMax bytes must be free there. Returns
 * the bytes of the header: the frame is `payload - returned`, `returned + count` long.
 *
 * A mask key of zero is legal and would make masking free. But some servers skip their unmasking when they
 * see it, and would be measured doing less than in a real call. Masking 300 bytes costs about 10 ns with
 * AVX2: the generator masks for real.
 */
size_t makeClientFrame(uint8_t* payload, size_t count, Opcode opcode, uint32_t maskKey);

/** XORs `count` bytes with the four bytes of `maskKey` in memory order, RFC 6455 section 5.3. */
void applyMask(uint8_t* bytes, size_t count, uint32_t maskKey);

/** The header of a frame from the server. */
struct ServerFrame {
  Opcode opcode;
  bool fin;
  size_t headerBytes;
  size_t payloadBytes;
};

enum class ParseResult : uint8_t { Complete, NeedMore, Bad };

/**
 * Reads the frame that begins at `bytes`. Complete: `frame` is filled and header and payload are all within
 * `available`. NeedMore: more bytes are wanted. Bad: reserved bits or opcode, a masked frame (a server must
 * not mask, section 5.1), a control frame that is fragmented or over 125 bytes, or a payload over
 * `payloadBytesMax`.
 */
ParseResult parseServerFrame(const uint8_t* bytes, size_t available, size_t payloadBytesMax,
                             ServerFrame& frame);

}  // namespace sidetone::load
