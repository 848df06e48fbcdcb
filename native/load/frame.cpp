#include "load/frame.h"

#include <cstring>

namespace sidetone::load {

void applyMask(uint8_t* bytes, size_t count, uint32_t maskKey) {
  const uint64_t key = uint64_t{maskKey} << 32 | maskKey;
  size_t at = 0;
  for (; at + 8 <= count; at += 8) {
    uint64_t word;
    std::memcpy(&word, bytes + at, 8);
    word ^= key;
    std::memcpy(bytes + at, &word, 8);
  }
  uint8_t keyBytes[4];
  std::memcpy(keyBytes, &maskKey, 4);
  for (; at < count; at++) bytes[at] = static_cast<uint8_t>(bytes[at] ^ keyBytes[at % 4]);
}

size_t makeClientFrame(uint8_t* payload, size_t count, Opcode opcode, uint32_t maskKey) {
  applyMask(payload, count, maskKey);
  const size_t lengthBytes = count < 126 ? 0 : count < 65536 ? 2 : 8;
  const size_t headerBytes = 2 + lengthBytes + 4;
  uint8_t* header = payload - headerBytes;
  header[0] = static_cast<uint8_t>(0x80 | static_cast<uint8_t>(opcode));
  header[1] = static_cast<uint8_t>(0x80 | (lengthBytes == 0 ? count : lengthBytes == 2 ? 126 : 127));
  for (size_t i = 0; i < lengthBytes; i++) {
    header[2 + i] = static_cast<uint8_t>(count >> (8 * (lengthBytes - 1 - i)));
  }
  std::memcpy(payload - 4, &maskKey, 4);
  return headerBytes;
}

ParseResult parseServerFrame(const uint8_t* bytes, size_t available, size_t payloadBytesMax,
                             ServerFrame& frame) {
  if (available < 2) return ParseResult::NeedMore;
  const uint8_t opcode = bytes[0] & 0x0f;
  const bool control = opcode >= 8;
  frame.fin = (bytes[0] & 0x80) != 0;
  const uint8_t shortLength = bytes[1] & 0x7f;
  if ((bytes[0] & 0x70) != 0 || (bytes[1] & 0x80) != 0) return ParseResult::Bad;
  if ((opcode > 2 && opcode < 8) || opcode > 10) return ParseResult::Bad;
  if (control && (!frame.fin || shortLength > 125)) return ParseResult::Bad;
  frame.opcode = static_cast<Opcode>(opcode);

  const size_t lengthBytes = shortLength == 127 ? 8 : shortLength == 126 ? 2 : 0;
  frame.headerBytes = 2 + lengthBytes;
  if (available < frame.headerBytes) return ParseResult::NeedMore;
  uint64_t payloadBytes = lengthBytes == 0 ? shortLength : 0;
  for (size_t i = 0; i < lengthBytes; i++) payloadBytes = payloadBytes << 8 | bytes[2 + i];
  if (payloadBytes > payloadBytesMax) return ParseResult::Bad;
  frame.payloadBytes = static_cast<size_t>(payloadBytes);
  return available - frame.headerBytes < frame.payloadBytes ? ParseResult::NeedMore : ParseResult::Complete;
}

}  // namespace sidetone::load
