#include "wire/envelope.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

using namespace sidetone;

namespace {

struct Scan {
  bool accepted = false;
  Track track = Track::Inbound;
  uint64_t sequence = 0, chunk = 0, timestamp = 0;
  std::string streamId = {}, payload = {};
};

// From a heap block of exactly its length, so that AddressSanitizer sees one byte too many.
Scan scan(std::string_view text) {
  std::unique_ptr<char[]> copy(new char[text.size()]);
  if (!text.empty()) std::memcpy(copy.get(), text.data(), text.size());
  MediaMessage message{};
  if (!scanMedia(copy.get(), text.size(), message)) return {};
  return {true,
          message.track,
          message.sequence,
          message.chunk,
          message.timestamp,
          std::string(message.streamId),
          std::string(message.payload)};
}

using Members = std::array<std::string, 4>;
const Members kOuter = {R"("event":"media")", R"("sequence_number":"4")",
                        R"("stream_id":"32DE0DEA-53CB-4B21-89A4-9E1819C043BC")", "\"media\":{}"};
const Members kInner = {R"("track":"outbound")", R"("chunk":"2")", R"("timestamp":"5")",
                        R"("payload":"no+J")"};

std::string join(const Members& members, const std::array<int, 4>& order) {
  std::string text;
  for (int i : order) text += (text.empty() ? "" : ",") + members[static_cast<size_t>(i)];
  return text;
}

constexpr std::array<int, 4> kInOrder = {0, 1, 2, 3};

std::string message(const std::array<int, 4>& outerOrder, const std::array<int, 4>& innerOrder) {
  Members outer = kOuter;
  outer[3] = std::string("\"media\":{").append(join(kInner, innerOrder)).append("}");
  return std::string("{").append(join(outer, outerOrder)).append("}");
}

const std::string kPlain = message(kInOrder, kInOrder);

// The plain message with its first `from` replaced.
std::string with(std::string_view from, std::string_view to) {
  std::string text = kPlain;
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

void checkFields(const Scan& found) {
  REQUIRE(found.accepted);
  CHECK(found.track == Track::Outbound);
  CHECK(found.sequence == 4);
  CHECK(found.chunk == 2);
  CHECK(found.timestamp == 5);
  CHECK(found.streamId == "32DE0DEA-53CB-4B21-89A4-9E1819C043BC");
  CHECK(found.payload == "no+J");
}

}  // namespace

TEST_CASE("envelope: keys in every order") {
  std::array<int, 4> outer = kInOrder;
  do {
    std::array<int, 4> inner = kInOrder;
    do {
      const std::string text = message(outer, inner);
      CAPTURE(text);
      checkFields(scan(text));
    } while (std::next_permutation(inner.begin(), inner.end()));
  } while (std::next_permutation(outer.begin(), outer.end()));
}

TEST_CASE("envelope: JSON white space around every token, and no other") {
  for (const std::string space : {" ", "\t", "\n", "\r", " \r\n\t "}) {
    std::string text = space;
    bool inString = false;
    for (char c : kPlain) {
      if (c == '"') inString = !inString;
      const bool token = !inString && (c == '{' || c == '}' || c == ':' || c == ',');
      text += token ? space + c + space : std::string(1, c);
    }
    CAPTURE(text);
    checkFields(scan(text));
  }
  for (const std::string space : {"\v", "\f", "\xc2\xa0", "\xef\xbb\xbf", "/**/"}) {
    CAPTURE(space);
    CHECK(!scan(space + kPlain).accepted);
    CHECK(!scan(kPlain + space).accepted);
    CHECK(!scan(with(",", "," + space)).accepted);
    CHECK(!scan(with(":", space + ":")).accepted);
  }
  CHECK(!scan(std::string(1, '\0') + kPlain).accepted);
  CHECK(!scan(kPlain + std::string(1, '\0')).accepted);
}

TEST_CASE("envelope: numbers are 1 to 16 digits up to 2^53 - 1, in a string or bare") {
  CHECK(scan(with("\"4\"", "\"9007199254740991\"")).sequence == 9007199254740991u);
  CHECK(scan(with("\"2\"", "\"0\"")).accepted);
  CHECK(scan(with("\"2\"", "\"0000000000000017\"")).chunk == 17);
  CHECK(scan(with("\"5\"", "\"4294967295\"")).timestamp == 4294967295u);
  CHECK(scan(with("\"4\"", "9007199254740991")).sequence == 9007199254740991u);
  CHECK(scan(with("\"2\"", "0")).chunk == 0);
  CHECK(scan(with("\"2\"", " 17 ")).chunk == 17);
  CHECK(scan(with("\"5\"", "5")).timestamp == 5);
  for (const char* bad : {"\"9007199254740992\"",
                          "\"9999999999999999\"",
                          "\"00000000000000017\"",
                          "\"\"",
                          "\"-1\"",
                          "\"+1\"",
                          "\"1.0\"",
                          "\"1e3\"",
                          "\" 1\"",
                          "\"1 \"",
                          "\"0x1\"",
                          "\"1",
                          "null",
                          "true",
                          "[\"1\"]",
                          "\"\\u0031\"",
                          "9007199254740992",
                          "12345678901234567",
                          "01",
                          "00",
                          "-1",
                          "-0",
                          "+1",
                          "1.0",
                          "1.",
                          ".5",
                          "1e3",
                          "1E3",
                          "0x1",
                          "1 2",
                          "1\"",
                          "NaN",
                          ""}) {
    CAPTURE(bad);
    CHECK(!scan(with("\"4\"", bad)).accepted);
    CHECK(!scan(with("\"2\"", bad)).accepted);
    CHECK(!scan(with("\"5\"", bad)).accepted);
  }
}

TEST_CASE("envelope: a stream id is 1 to 128 printable ASCII characters") {
  const std::string id = "32DE0DEA-53CB-4B21-89A4-9E1819C043BC";
  for (size_t length = 1; length <= 128; length++) {
    const std::string longer(length, 'x');
    const Scan found = scan(with(id, longer));
    REQUIRE(found.accepted);
    CHECK(found.streamId == longer);
  }
  CHECK(!scan(with(id, "")).accepted);
  CHECK(!scan(with(id, std::string(129, 'x'))).accepted);
  CHECK(!scan(with(id, std::string(5000, 'x'))).accepted);
  // Every byte value at every place of an id of two words and a tail.
  for (size_t at = 0; at < 19; at++) {
    for (int value = 0; value < 256; value++) {
      std::string odd(19, 'x');
      odd[at] = static_cast<char>(value);
      const bool plain = value >= 0x20 && value < 0x7f && value != '"' && value != '\\';
      const Scan found = scan(with(id, odd));
      if (found.accepted != plain) FAIL_CHECK("byte " << value << " at " << at);
      if (plain) CHECK(found.streamId == odd);
    }
  }
}

TEST_CASE("envelope: the payload is the span to the next quote") {
  CHECK(scan(with("no+J", "")).accepted);
  CHECK(scan(with("no+J", "")).payload.empty());
  const std::string large(100000, 'A');
  CHECK(scan(with("no+J", large)).payload == large);
  // Accepted here, refused by base64Decode(), so the JSON parser judges it.
  CHECK(scan(with("no+J", "n\\/+J")).payload == "n\\/+J");
}

TEST_CASE("envelope: what is not exactly this shape is left to the JSON parser") {
  CHECK(!scan("").accepted);
  CHECK(!scan("{}").accepted);
  CHECK(!scan("[]").accepted);
  CHECK(!scan("null").accepted);
  CHECK(!scan(kPlain + "}").accepted);
  CHECK(!scan(kPlain + kPlain).accepted);
  CHECK(!scan(kPlain + ",").accepted);
  const std::pair<const char*, const char*> changes[] = {
      {"\"event\"", "\"Event\""},
      {"\"event\"", "\"ev\\u0065nt\""},
      {"\"media\",", "\"start\","},
      {"\"media\",", "\"media\\n\","},
      {"{\"event\"", "{\"event\":\"media\",\"event\""},
      {"{\"event\"", "{\"extra\":1,\"event\""},
      {"{\"event\"", "{,\"event\""},
      {"\"sequence_number\":\"4\"", "\"sequence_number\":\"4\",\"sequence_number\":\"4\""},
      {"\"sequence_number\":\"4\"", "\"event\":\"media\""},
      {"\"sequence_number\":\"4\",", ""},
      {"\"chunk\":\"2\"", "\"chunk\":\"2\",\"chunk\":\"3\""},
      {"\"chunk\":\"2\"", "\"chunk\":\"2\",\"extra\":{}"},
      {"\"chunk\":\"2\"", "\"track\":\"inbound\""},
      {"\"chunk\":\"2\",", ""},
      {"\"outbound\"", "\"both\""},
      {"\"outbound\"", "\"inbound"},
      {"\"outbound\"", "null"},
      {"\"media\":{", "\"media\":["},
      {"\"media\":{", "\"media\":{\"media\":{"},
      {"\"payload\":\"no+J\"", "\"payload\":\"no+J\","},
      {"\"payload\":\"no+J\"", "\"payload\":null"},
      {"\"payload\":\"no+J\"", "\"payload\":\"no+J"},
      {"\":\"4", "\"\":\"4"},
      {":", "="},
      {",", ";"},
      {"\"event\"", "'event'"},
  };
  for (const auto& [from, to] : changes) {
    CAPTURE(from);
    CAPTURE(to);
    CHECK(!scan(with(from, to)).accepted);
  }
}

TEST_CASE("envelope: no proper prefix is accepted") {
  for (size_t length = 0; length < kPlain.size(); length++) {
    CAPTURE(length);
    CHECK(!scan(std::string_view(kPlain).substr(0, length)).accepted);
  }
}

TEST_CASE("envelope: damaged messages never make it read past the end") {
  std::mt19937 random(5);
  for (int run = 0; run < 50000; run++) {
    std::string text = kPlain;
    for (size_t damage = 1 + random() % 4; damage > 0 && !text.empty(); damage--) {
      const size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, random() % 8);
          break;
        case 2:
          text.insert(at, text.substr(random() % text.size(), random() % 8));
          break;
        default:
          text.resize(at + 1);
      }
    }
    const Scan found = scan(text);
    if (found.accepted) CHECK(found.streamId.size() <= 128);
  }
}

TEST_CASE("envelope: the outgoing frame, of exactly the promised length") {
  std::mt19937 random(6);
  for (size_t bytes = 0; bytes <= 200; bytes++) {
    std::vector<uint8_t> payload(bytes);
    for (auto& byte : payload) byte = static_cast<uint8_t>(random());
    std::string coded(base64EncodedLength(bytes), '\0');
    base64Encode(payload.data(), bytes, coded.data());
    const std::string expected = "{\"event\":\"media\",\"media\":{\"payload\":\"" + coded + "\"}}";
    std::unique_ptr<char[]> out(new char[mediaMessageLength(bytes)]);
    REQUIRE(writeMedia(payload.data(), bytes, out.get()) == mediaMessageLength(bytes));
    CHECK(std::string_view(out.get(), mediaMessageLength(bytes)) == expected);
  }
}
