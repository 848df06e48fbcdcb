#include "upstream/client_frame.h"
#include "upstream/delta.h"

#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

using namespace sidetone;

namespace {

struct Frame {
  uint8_t first;
  std::string payload;
};

// Reads a frame as a server does, byte by byte.
Frame unmask(const uint8_t* frame, size_t length) {
  REQUIRE((frame[1] & 0x80) != 0);
  uint64_t bytes = frame[1] & 0x7f;
  size_t at = 2;
  const int width = bytes == 126 ? 2 : bytes == 127 ? 8 : 0;
  if (width > 0) bytes = 0;
  for (int i = 0; i < width; i++) bytes = bytes << 8 | frame[at++];
  const uint8_t* const mask = frame + at;
  at += 4;
  REQUIRE(length == at + bytes);
  std::string payload;
  for (size_t i = 0; i < bytes; i++) payload += static_cast<char>(frame[at + i] ^ mask[i % 4]);
  return {frame[0], payload};
}

constexpr uint32_t kMask = 0x91d35a07;

Delta scan(const std::string& text, DeltaMessage& message) {
  // A block of exactly this size, so that AddressSanitizer sees one byte too many.
  static std::unique_ptr<char[]> block;
  block.reset(new char[text.size()]);
  std::memcpy(block.get(), text.data(), text.size());
  return scanDelta(block.get(), text.size(), message);
}

}  // namespace

TEST_CASE("frames of every length are read as they were written") {
  for (const size_t bytes : {0, 1, 3, 7, 8, 9, 124, 125, 126, 127, 4000, 65535, 65536, 70001}) {
    std::vector<uint8_t> payload(bytes);
    for (size_t i = 0; i < bytes; i++) payload[i] = static_cast<uint8_t>(i * 7 + 1);
    std::unique_ptr<uint8_t[]> out(new uint8_t[clientFrameLength(bytes)]);
    const size_t length = writeClientFrame(0x9, payload.data(), bytes, kMask, out.get());
    CHECK(length == clientFrameLength(bytes));
    const Frame frame = unmask(out.get(), length);
    CHECK(frame.first == 0x89);
    CHECK(frame.payload == std::string(payload.begin(), payload.end()));
  }
}

TEST_CASE("an append has the audio as base64") {
  for (const size_t bytes : {0, 1, 2, 3, 30, 160, 800, 4800, 60000}) {
    std::vector<uint8_t> audio(bytes);
    for (size_t i = 0; i < bytes; i++) audio[i] = static_cast<uint8_t>(i * 31);
    std::string base64(base64EncodedLength(bytes), '\0');
    base64Encode(audio.data(), bytes, base64.data());
    std::unique_ptr<uint8_t[]> out(new uint8_t[clientFrameLength(appendTextLength(bytes))]);
    const size_t length = writeAppendFrame(audio.data(), bytes, kMask, out.get());
    const Frame frame = unmask(out.get(), length);
    CHECK(frame.first == 0x81);
    CHECK(frame.payload == R"({"type":"input_audio_buffer.append","audio":")" + base64 + R"("})");
  }
}

TEST_CASE("deltas are found in any order of their fields, under both names") {
  DeltaMessage message;
  CHECK(scan(R"({"type":"response.output_audio.delta","event_id":"e","response_id":"r","item_id":"i",)"
             R"("output_index":0,"content_index":10,"delta":"QUJD","obfuscation":null})",
             message) == Delta::Audio);
  CHECK(message.itemId == "i");
  CHECK(message.responseId == "r");
  CHECK(message.delta == "QUJD");
  CHECK(scan(" { \"delta\" : \"\" ,\n\"item_id\":\"i-2\", \"type\" :\t\"response.audio.delta\" } \r\n",
             message) == Delta::Audio);
  CHECK(message.responseId.empty());
  CHECK(message.delta.empty());
  for (const char* name : {"response.output_audio_transcript.delta", "response.audio_transcript.delta"}) {
    CHECK(scan(std::string(R"({"type":")") + name + R"(","item_id":"i","delta":" grüß dich"})", message) ==
          Delta::Words);
    CHECK(message.delta == " grüß dich");
  }
}

TEST_CASE("what is no plain delta is left to a JSON parser") {
  DeltaMessage message;
  const std::string good = R"({"type":"response.output_audio.delta","item_id":"i","delta":"QUJD"})";
  REQUIRE(scan(good, message) == Delta::Audio);
  for (size_t length = 0; length < good.size(); length++) {
    CHECK(scan(good.substr(0, length), message) == Delta::None);
  }
  for (const char* text : {
           R"([])",
           R"({})",
           R"({"type":"response.output_audio.done","item_id":"i","delta":"QUJD"})",
           R"({"type":"response.output_text.delta","item_id":"i","delta":"QUJD"})",
           R"({"type":"response.output_audio.delta","delta":"QUJD"})",
           R"({"item_id":"i","delta":"QUJD"})",
           R"({"type":"response.output_audio.delta","item_id":"i"})",
           R"({"type":"response.output_audio.delta","item_id":"i","item_id":"j","delta":"QUJD"})",
           R"({"type":"response.output_audio.delta","item_id":"i","delta":"QUJD","delta":"QUJD"})",
           R"({"type":"response.output_audio.delta","item_id":"\u0069","delta":"QUJD"})",
           R"({"type":"response.output_audio.delta","item_id":7,"delta":"QUJD"})",
           R"({"type":"response.output_audio.delta","item_id":"i","delta":"QUJD"} x)",
           R"({"type":"response.output_audio.delta","item_id":"i","delta":"QUJD",})",
           R"({"type":"response.output_audio.delta","item_id":"i","delta":"QUJD","x":{}})",
           R"({"type":"response.output_audio.delta","item_id":"i","delta":"QUJD","x":-1})",
           R"({"type":"response.output_audio.delta","item_id":"i","delta":"QUJD","x":01})",
           R"({"type":"response.output_audio.delta","item_id":"i","delta":"QUJD","x":1.5})",
           R"({"type":"response.output_audio.delta","item_id":"i","delta":"QUJD","x":nul})",
           R"({"type":"response.output_audio_transcript.delta","item_id":"i","delta":"a\nb"})",
           R"({"type":"response.output_audio_transcript.delta","item_id":"i","delta":"he said \"no\""})",
           "{\"type\":\"response.output_audio_transcript.delta\",\"item_id\":\"i\",\"delta\":\"a\tb\"}",
       }) {
    CAPTURE(text);
    CHECK(scan(text, message) == Delta::None);
  }
}
