#include "upstream/client_frame.h"

#include <cstring>

namespace sidetone {
namespace {

constexpr uint8_t kFinal = 0x80;
constexpr uint8_t kMasked = 0x80;
constexpr uint8_t kText = 1;

// Everything before the payload. Returns where that begins.
uint8_t* writeHead(uint8_t opcode, size_t bytes, uint32_t mask, uint8_t* out) {
  *out++ = static_cast<uint8_t>(kFinal | opcode);
  if (bytes < 126) {
    *out++ = static_cast<uint8_t>(kMasked | bytes);
  } else {
    const int width = bytes < 65536 ? 2 : 8;
    *out++ = static_cast<uint8_t>(kMasked | (width == 2 ? 126 : 127));
    for (int i = width - 1; i >= 0; i--) *out++ = static_cast<uint8_t>(uint64_t{bytes} >> (8 * i));
  }
  std::memcpy(out, &mask, sizeof mask);
  return out + sizeof mask;
}

void maskInPlace(uint8_t* data, size_t bytes, uint32_t mask) {
  uint64_t both = 0;
  std::memcpy(&both, &mask, sizeof mask);
  std::memcpy(reinterpret_cast<uint8_t*>(&both) + sizeof mask, &mask, sizeof mask);
  size_t i = 0;
  for (; i + sizeof both <= bytes; i += sizeof both) {
    uint64_t word;
    std::memcpy(&word, data + i, sizeof word);
    word ^= both;
    std::memcpy(data + i, &word, sizeof word);
  }
  const auto* const key = reinterpret_cast<const uint8_t*>(&both);
  for (; i < bytes; i++) data[i] = static_cast<uint8_t>(data[i] ^ key[i % sizeof both]);
}

}  // namespace

size_t writeClientFrame(uint8_t opcode, const uint8_t* payload, size_t bytes, uint32_t mask, uint8_t* out) {
  uint8_t* const from = writeHead(opcode, bytes, mask, out);
  if (bytes > 0) std::memcpy(from, payload, bytes);
  maskInPlace(from, bytes, mask);
  return clientFrameLength(bytes);
}

size_t writeAppendFrame(const uint8_t* audio, size_t bytes, uint32_t mask, uint8_t* out) {
  const size_t length = appendTextLength(bytes);
  uint8_t* const from = writeHead(kText, length, mask, out);
  uint8_t* at = from;
  std::memcpy(at, kAppendHead.data(), kAppendHead.size());
  at += kAppendHead.size();
  at += base64Encode(audio, bytes, reinterpret_cast<char*>(at));
  std::memcpy(at, kAppendTail.data(), kAppendTail.size());
  maskInPlace(from, length, mask);
  return clientFrameLength(length);
}

}  // namespace sidetone
