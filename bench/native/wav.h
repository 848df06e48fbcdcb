#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace sidetone::bench {

struct Wav {
  int rateHz = 0;
  std::vector<int16_t> samples;
};

/** A mono file of 16-bit PCM. Throws std::runtime_error on anything else. */
inline Wav readWav(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) throw std::runtime_error(path + ": cannot be opened");
  std::vector<uint8_t> bytes;
  uint8_t block[65536];
  for (size_t got; (got = std::fread(block, 1, sizeof(block), file)) != 0;)
    bytes.insert(bytes.end(), block, block + got);
  std::fclose(file);

  const auto word = [&](size_t at, size_t length) {
    uint32_t value = 0;
    for (size_t i = 0; i < length; i++) value |= static_cast<uint32_t>(bytes[at + i]) << (8 * i);
    return value;
  };
  Wav wav;
  bool known = false;
  for (size_t at = 12; at + 8 <= bytes.size();) {
    // A program that wrote to a pipe could not say the length.
    const size_t length = std::min<size_t>(word(at + 4, 4), bytes.size() - at - 8);
    if (std::memcmp(&bytes[at], "fmt ", 4) == 0 && length >= 16) {
      wav.rateHz = static_cast<int>(word(at + 12, 4));
      known = word(at + 10, 2) == 1 && word(at + 22, 2) == 16;
    } else if (std::memcmp(&bytes[at], "data", 4) == 0) {
      wav.samples.resize(length / 2);
      std::memcpy(wav.samples.data(), &bytes[at + 8], wav.samples.size() * 2);
      break;
    }
    at += 8 + length + length % 2;
  }
  if (!known || wav.samples.empty()) throw std::runtime_error(path + ": not a mono file of 16-bit PCM");
  return wav;
}

}  // namespace sidetone::bench
