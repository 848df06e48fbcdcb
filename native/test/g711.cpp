#include "codec/g711.h"

#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <random>
#include <vector>

using namespace sidetone;

namespace {

// Heap blocks of exactly the promised size, so that AddressSanitizer sees one element too many.
using Encode = void (*)(const int16_t*, size_t, uint8_t*);
using Decode = void (*)(const uint8_t*, size_t, int16_t*);

std::vector<uint8_t> encodeWith(Encode encode, const std::vector<int16_t>& samples) {
  std::unique_ptr<int16_t[]> in(new int16_t[samples.size()]);
  if (!samples.empty()) std::memcpy(in.get(), samples.data(), samples.size() * 2);
  std::unique_ptr<uint8_t[]> out(new uint8_t[samples.size()]);
  encode(in.get(), samples.size(), out.get());
  return {out.get(), out.get() + samples.size()};
}

std::vector<int16_t> decodeWith(Decode decode, const std::vector<uint8_t>& codes) {
  std::unique_ptr<uint8_t[]> in(new uint8_t[codes.size()]);
  if (!codes.empty()) std::memcpy(in.get(), codes.data(), codes.size());
  std::unique_ptr<int16_t[]> out(new int16_t[codes.size()]);
  decode(in.get(), codes.size(), out.get());
  return {out.get(), out.get() + codes.size()};
}

std::vector<int16_t> everySample() {
  std::vector<int16_t> samples(65536);
  for (size_t i = 0; i < samples.size(); i++) {
    samples[i] = static_cast<int16_t>(static_cast<int>(i) - 32768);
  }
  return samples;
}

std::vector<uint8_t> everyCode() {
  std::vector<uint8_t> codes(256);
  for (size_t i = 0; i < codes.size(); i++) codes[i] = static_cast<uint8_t>(i);
  return codes;
}

}  // namespace

TEST_CASE("g711: values that encoders are known to get wrong") {
  for (const auto& kernel : g711Kernels()) {
    CAPTURE(kernel.name);
    CHECK(encodeWith(kernel.ulawEncode, {-31612, 0, -1, -4, -5, 32767, -32768}) ==
          std::vector<uint8_t>{0x01, 0xff, 0x7f, 0x7f, 0x7e, 0x80, 0x00});
    CHECK(encodeWith(kernel.alawEncode, {0, -1, 15, 16, -16, -17, 32767, -32768}) ==
          std::vector<uint8_t>{0xd5, 0x55, 0xd5, 0xd4, 0x55, 0x54, 0xaa, 0x2a});
    CHECK(decodeWith(kernel.ulawDecode, {0x00, 0x80, 0x7f, 0xff, 0x01}) ==
          std::vector<int16_t>{-32124, 32124, 0, 0, -31100});
    CHECK(decodeWith(kernel.alawDecode, {0x55, 0xd5, 0x2a, 0xaa}) ==
          std::vector<int16_t>{-8, 8, -32256, 32256});
  }
}

TEST_CASE("g711: every kernel agrees with the scalar one on all samples and all codes") {
  const auto samples = everySample();
  const auto codes = everyCode();
  const auto& scalar = g711Kernels().front();
  for (const auto& kernel : g711Kernels()) {
    CAPTURE(kernel.name);
    CHECK(encodeWith(kernel.ulawEncode, samples) == encodeWith(scalar.ulawEncode, samples));
    CHECK(encodeWith(kernel.alawEncode, samples) == encodeWith(scalar.alawEncode, samples));
    CHECK(decodeWith(kernel.ulawDecode, codes) == decodeWith(scalar.ulawDecode, codes));
    CHECK(decodeWith(kernel.alawDecode, codes) == decodeWith(scalar.alawDecode, codes));
  }
}

TEST_CASE("g711: what was decoded encodes to the same code, but for negative zero in µ-law") {
  for (const auto& kernel : g711Kernels()) {
    CAPTURE(kernel.name);
    auto expected = everyCode();
    CHECK(encodeWith(kernel.alawEncode, decodeWith(kernel.alawDecode, everyCode())) == expected);
    expected[0x7f] = 0xff;
    CHECK(encodeWith(kernel.ulawEncode, decodeWith(kernel.ulawDecode, everyCode())) == expected);
  }
}

TEST_CASE("g711: every length to 200 samples, nothing read or written past it") {
  std::mt19937 random(4);
  const auto& scalar = g711Kernels().front();
  for (size_t length = 0; length <= 200; length++) {
    std::vector<int16_t> samples(length);
    std::vector<uint8_t> codes(length);
    for (auto& sample : samples) sample = static_cast<int16_t>(random());
    for (auto& code : codes) code = static_cast<uint8_t>(random());
    for (const auto& kernel : g711Kernels()) {
      CAPTURE(kernel.name);
      CAPTURE(length);
      CHECK(encodeWith(kernel.ulawEncode, samples) == encodeWith(scalar.ulawEncode, samples));
      CHECK(encodeWith(kernel.alawEncode, samples) == encodeWith(scalar.alawEncode, samples));
      CHECK(decodeWith(kernel.ulawDecode, codes) == decodeWith(scalar.ulawDecode, codes));
      CHECK(decodeWith(kernel.alawDecode, codes) == decodeWith(scalar.alawDecode, codes));
    }
  }
}
