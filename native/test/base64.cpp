#include "base64/base64.h"

#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

using namespace sidetone;

namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Heap blocks of exactly the promised size, so that AddressSanitizer sees one byte too many.
std::string encodeWith(const Base64Kernel& kernel, const std::vector<uint8_t>& bytes) {
  std::unique_ptr<uint8_t[]> in(new uint8_t[bytes.size()]);
  if (!bytes.empty()) std::memcpy(in.get(), bytes.data(), bytes.size());
  const size_t length = base64EncodedLength(bytes.size());
  std::unique_ptr<char[]> out(new char[length]);
  REQUIRE(kernel.encode(in.get(), bytes.size(), out.get()) == length);
  return std::string(out.get(), length);
}

struct Decoded {
  bool valid;
  std::vector<uint8_t> bytes;
  bool operator==(const Decoded&) const = default;
};

Decoded decodeWith(const Base64Kernel& kernel, std::string_view text) {
  std::unique_ptr<char[]> in(new char[text.size()]);
  if (!text.empty()) std::memcpy(in.get(), text.data(), text.size());
  // One guard byte that a kernel must not touch, seen without a sanitizer too.
  const size_t capacity = base64DecodedCapacity(text.size());
  std::unique_ptr<uint8_t[]> out(new uint8_t[capacity + 1]);
  out[capacity] = 0xa5;
  const size_t count = kernel.decode(in.get(), text.size(), out.get());
  CHECK(out[capacity] == 0xa5);
  if (count == kBase64Invalid) return {false, {}};
  REQUIRE(count <= capacity);
  return {true, {out.get(), out.get() + count}};
}

// The documented rule, bit by bit.
Decoded rule(std::string_view text) {
  if (text.size() % 4 != 0) return {false, {}};
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') padding++;
  Decoded decoded{true, {}};
  uint32_t bits = 0;
  int held = 0;
  for (char c : text.substr(0, text.size() - padding)) {
    const size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) return {false, {}};
    bits = bits << 6 | static_cast<uint32_t>(value);
    held += 6;
    if (held >= 8) {
      held -= 8;
      decoded.bytes.push_back(static_cast<uint8_t>(bits >> held));
    }
  }
  return decoded;
}

std::vector<uint8_t> randomBytes(std::mt19937& random, size_t count) {
  std::vector<uint8_t> bytes(count);
  for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

}  // namespace

TEST_CASE("base64: the test vectors of RFC 4648 section 10") {
  const std::pair<std::string_view, std::string_view> vectors[] = {
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
  };
  for (const auto& kernel : base64Kernels()) {
    CAPTURE(kernel.name);
    for (const auto& [plain, coded] : vectors) {
      const std::vector<uint8_t> bytes(plain.begin(), plain.end());
      CHECK(encodeWith(kernel, bytes) == coded);
      CHECK(decodeWith(kernel, coded) == Decoded{true, bytes});
    }
  }
}

TEST_CASE("base64: the scalar kernel comes first and stands on every machine") {
  REQUIRE(!base64Kernels().empty());
  CHECK(std::string_view(base64Kernels().front().name) == "scalar");
}

TEST_CASE("base64: every length to 400 bytes goes there and back in every kernel") {
  std::mt19937 random(1);
  for (size_t length = 0; length <= 400; length++) {
    const auto bytes = randomBytes(random, length);
    const std::string coded = encodeWith(base64Kernels().front(), bytes);
    CHECK(rule(coded) == Decoded{true, bytes});
    for (const auto& kernel : base64Kernels()) {
      CAPTURE(kernel.name);
      CAPTURE(length);
      CHECK(encodeWith(kernel, bytes) == coded);
      CHECK(decodeWith(kernel, coded) == Decoded{true, bytes});
    }
  }
}

TEST_CASE("base64: every byte value at every position of every short length is judged by the rule") {
  std::mt19937 random(2);
  for (const size_t length : {4u, 8u, 32u, 36u, 40u, 64u, 68u, 72u, 100u, 132u, 136u}) {
    std::string text(length, 'A');
    for (auto& c : text) c = kAlphabet[random() % 64];
    for (size_t at = 0; at < length; at++) {
      const char was = text[at];
      for (int value = 0; value < 256; value++) {
        text[at] = static_cast<char>(value);
        const Decoded expected = rule(text);
        for (const auto& kernel : base64Kernels()) {
          if (decodeWith(kernel, text) == expected) continue;
          FAIL_CHECK(kernel.name << ": byte " << value << " at " << at << " of " << length);
        }
      }
      text[at] = was;
    }
  }
}

TEST_CASE("base64: padding counts only at the end, one or two, and every odd length is refused") {
  for (size_t length = 0; length <= 140; length++) {
    for (size_t padding = 0; padding <= 5 && padding <= length; padding++) {
      for (size_t behind = 0; behind <= 3 && behind + padding <= length; behind++) {
        const std::string text = std::string(length - padding - behind, 'x') + std::string(padding, '=') +
                                 std::string(behind, 'x');
        for (const auto& kernel : base64Kernels()) {
          CAPTURE(kernel.name);
          CAPTURE(text);
          CHECK(decodeWith(kernel, text) == rule(text));
        }
      }
    }
  }
}

TEST_CASE("base64: left-over bits under the padding are ignored") {
  for (const auto& kernel : base64Kernels()) {
    CAPTURE(kernel.name);
    CHECK(decodeWith(kernel, "QR==") == decodeWith(kernel, "QQ=="));
    CHECK(decodeWith(kernel, "QUJ=") == decodeWith(kernel, "QUI="));
  }
}

TEST_CASE("base64: random text, mostly good, is judged alike by every kernel") {
  std::mt19937 random(3);
  for (int run = 0; run < 20000; run++) {
    std::string text(random() % 300, 'A');
    for (auto& c : text) c = kAlphabet[random() % 64];
    for (size_t damage = random() % 3; damage > 0 && !text.empty(); damage--) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    if (random() % 4 == 0) text.resize(text.size() / 4 * 4);
    const Decoded expected = rule(text);
    for (const auto& kernel : base64Kernels()) {
      if (decodeWith(kernel, text) == expected) continue;
      FAIL_CHECK(kernel.name << ": run " << run << ", text " << text);
    }
  }
}
