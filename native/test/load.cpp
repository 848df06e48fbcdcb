#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "base64/base64.h"
#include "load/frame.h"
#include "load/histogram.h"
#include "load/payload.h"
#include "load/playback.h"
#include "load/rate_meter.h"
#include "load/scan.h"

using namespace sidetone;
using namespace sidetone::load;

TEST_CASE("histogram: buckets join without gap or overlap and hold their values") {
  for (size_t i = 0; i + 1 < Histogram::kBuckets; i++) {
    REQUIRE(Histogram::lowUs(i) + Histogram::widthUs(i) == Histogram::lowUs(i + 1));
  }
  for (const int64_t value : {0, 1, 127, 128, 129, 255, 256, 20'000, 1'000'003}) {
    Histogram one;
    one.record(value);
    size_t bucket = 0;
    while (one.bucketCount(bucket) == 0) bucket++;
    CHECK(static_cast<uint64_t>(value) >= Histogram::lowUs(bucket));
    CHECK(static_cast<uint64_t>(value) < Histogram::lowUs(bucket) + Histogram::widthUs(bucket));
  }
}

TEST_CASE("histogram: quantiles are right to the width of a bucket, bounds are kept") {
  Histogram histogram;
  CHECK(histogram.quantileUs(0.99) == 0);
  for (int64_t value = 1; value <= 100'000; value++) histogram.record(value);
  for (const double q : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    const double right = q * 100'000;
    CHECK(histogram.quantileUs(q) >= right - 1);
    CHECK(histogram.quantileUs(q) <= right * (1 + 1.0 / 64));
  }
  CHECK(histogram.quantileUs(1) == 100'000);
  CHECK(histogram.meanUs() == doctest::Approx(50'000.5));
  histogram.record(-5);
  histogram.record(int64_t{1} << 50);
  CHECK(histogram.minUs() == 0);
  CHECK(histogram.maxUs() == (uint64_t{1} << 36) - 1);
}

TEST_CASE("frames: a client frame is what a server unmasks, at every length form") {
  for (const size_t count : {size_t{0}, size_t{5}, size_t{125}, size_t{126}, size_t{65535}, size_t{65536}}) {
    std::vector<uint8_t> buffer(kClientHeaderBytesMax + count);
    uint8_t* payload = buffer.data() + kClientHeaderBytesMax;
    for (size_t i = 0; i < count; i++) payload[i] = static_cast<uint8_t>(i * 7);
    const size_t headerBytes = makeClientFrame(payload, count, Opcode::Text, 0xa1b2c3d4);
    const uint8_t* frame = payload - headerBytes;
    CHECK(frame[0] == 0x81);
    CHECK((frame[1] & 0x80) == 0x80);
    CHECK((frame[1] & 0x7f) == (count < 126 ? count : count < 65536 ? 126 : 127));
    const uint8_t* key = payload - 4;
    bool same = true;
    for (size_t i = 0; i < count; i++) same &= (payload[i] ^ key[i % 4]) == static_cast<uint8_t>(i * 7);
    CHECK(same);
  }
}

TEST_CASE("frames: what a server may send is read, what it may not is refused") {
  ServerFrame frame{};
  const auto parse = [&frame](std::vector<uint8_t> bytes, size_t available) {
    return parseServerFrame(bytes.data(), available, 1000, frame);
  };
  const std::vector<uint8_t> text{0x81, 3, 'a', 'b', 'c', 0x8a};
  for (size_t available = 0; available < 5; available++)
    CHECK(parse(text, available) == ParseResult::NeedMore);
  CHECK(parse(text, 6) == ParseResult::Complete);
  CHECK(frame.payloadBytes == 3);
  CHECK(frame.headerBytes == 2);

  CHECK(parse({0x81, 126, 3, 0xe8}, 4) == ParseResult::NeedMore);
  CHECK(frame.payloadBytes == 1000);
  CHECK(parse({0x81, 126, 3, 0xe9}, 4) == ParseResult::Bad);                     // over the maximum
  CHECK(parse({0x81, 127, 0xff, 0, 0, 0, 0, 0, 0, 1}, 10) == ParseResult::Bad);  // absurd length
  CHECK(parse({0x81, 0x83, 1, 2, 3, 4, 0, 0, 0}, 9) == ParseResult::Bad);        // masked
  CHECK(parse({0xc1, 0}, 2) == ParseResult::Bad);                                // reserved bit
  CHECK(parse({0x83, 0}, 2) == ParseResult::Bad);                                // reserved opcode
  CHECK(parse({0x09, 0}, 2) == ParseResult::Bad);                                // fragmented ping
  CHECK(parse({0x89, 126, 0, 126}, 4) == ParseResult::Bad);                      // ping over 125 bytes
}

TEST_CASE("scan: events in every way of writing them") {
  CHECK(scanMessage(R"({"event":"media","media":{"payload":"AAEC"}})").payload == "AAEC");
  const AppMessage spread = scanMessage(
      "{ \"stream_id\" : \"x\",\n\"media\":{\"track\":\"inbound\",\"n\":[1,{\"payload\":\"no\"}],\"payload\" "
      ":\"yes\"} , "
      "\"event\":\"media\" }");
  CHECK(spread.event == Event::Media);
  CHECK(spread.payload == "yes");
  const AppMessage mark = scanMessage(R"({"event":"mark","mark":{"name":"a\"b\\"}})");
  CHECK(mark.event == Event::Mark);
  CHECK(mark.name == R"(a\"b\\)");
  CHECK(scanMessage(R"({"event":"clear"})").event == Event::Clear);
  CHECK(scanMessage(R"({"event":"hello","n":-1.5e3,"b":null,"a":[]})").event == Event::Other);
  for (const char* bad : {"", "{", "[]", "{\"event\":\"media\"", "{\"event\":media}",
                          "{\"event\":\"media\",}", "{}", "{\"event\":\"me\\", "{\"x\":"}) {
    CAPTURE(bad);
    CHECK(scanMessage(bad).event == Event::Bad);
  }
  CHECK(scanMessage("{\"x\":" + std::string(10'000, '[')).event == Event::Bad);
}

TEST_CASE("payloads: durations") {
  const std::vector<uint8_t> bytes(160);
  CHECK(audioTicks(Codec::Pcmu, 8000, std::span(bytes)) == 960);
  CHECK(audioTicks(Codec::L16, 16000, std::span(bytes)) == 240);
  const auto opus = [](std::vector<uint8_t> packet) { return audioTicks(Codec::Opus, 0, std::span(packet)); };
  CHECK(opus({0x08 | 0}) == 960);     // configuration 1: SILK, 20 ms
  CHECK(opus({0x18 | 1}) == 5760);    // configuration 3: 60 ms, two frames
  CHECK(opus({0xe0 | 3, 4}) == 480);  // configuration 28: CELT 2.5 ms, four frames
  CHECK(opus({}) == -1);
  const auto amr = [](std::vector<uint8_t> payload) {
    return audioTicks(Codec::AmrWb, 0, std::span(payload));
  };
  std::vector<uint8_t> mode8(61);  // 4 + 6 + 477 bits
  mode8[0] = 0xf4;
  mode8[1] = 0x40;
  CHECK(amr(mode8) == 960);
  std::vector<uint8_t> aligned(2 + 60);
  aligned[0] = 0xf0;
  aligned[1] = 0x44;
  CHECK(amr(aligned) == 960);
  CHECK(amr({1, 2, 3}) == -1);
}

namespace {
constexpr size_t kFrameBytes = 160;

PayloadPool makePool() {
  std::vector<std::vector<uint8_t>> frames(64, std::vector<uint8_t>(kFrameBytes));
  uint32_t state = 1;
  for (auto& frame : frames) {
    for (uint8_t& byte : frame) byte = static_cast<uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  }
  return PayloadPool(std::move(frames), true);
}

/** What is sent on stream 7, frames 0 to `count`. */
std::vector<uint8_t> sentBytes(const PayloadPool& pool, uint32_t count) {
  std::vector<uint8_t> all;
  for (uint32_t frame = 0; frame < count; frame++) {
    std::vector<uint8_t> text(pool.charsMax());
    const size_t chars = pool.writeText({7, frame}, text.data());
    std::vector<uint8_t> bytes(base64DecodedCapacity(chars));
    const size_t decoded = base64Decode(reinterpret_cast<char*>(text.data()), chars, bytes.data());
    REQUIRE(decoded == kFrameBytes);
    all.insert(all.end(), bytes.begin(), bytes.begin() + kFrameBytes);
  }
  return all;
}

/** Checked in pieces of `pieceBytes`. */
VerifyCounts verify(const PayloadPool& pool, const std::vector<uint8_t>& bytes, size_t pieceBytes) {
  Verifier verifier;
  VerifyCounts counts;
  for (size_t at = 0; at < bytes.size(); at += pieceBytes) {
    verifier.check(pool, 7, std::span(bytes).subspan(at, std::min(pieceBytes, bytes.size() - at)), counts);
  }
  return counts;
}
}  // namespace

TEST_CASE("verifier: right bytes are right however they are cut; every kind of damage is found") {
  const PayloadPool pool = makePool();
  const std::vector<uint8_t> sent = sentBytes(pool, 100);
  const auto without = [&](size_t from, size_t count) {
    std::vector<uint8_t> bytes = sent;
    bytes.erase(bytes.begin() + static_cast<long>(from), bytes.begin() + static_cast<long>(from + count));
    return bytes;
  };
  for (const size_t piece : {size_t{160}, size_t{800}, size_t{792}, size_t{1}, size_t{7}}) {
    CAPTURE(piece);
    const VerifyCounts counts = verify(pool, sent, piece);
    CHECK(counts.bytesRight == sent.size());
    CHECK(counts.bytesWrong + counts.framesMissing + counts.framesRepeated == 0);
  }
  for (const size_t piece : {size_t{160}, size_t{800}}) {
    CAPTURE(piece);
    const VerifyCounts missing = verify(pool, without(20 * kFrameBytes, 2 * kFrameBytes), piece);
    CHECK(missing.framesMissing == 2);
    CHECK(missing.bytesRight == sent.size() - 2 * kFrameBytes);
    CHECK(missing.bytesWrong == 0);

    std::vector<uint8_t> damaged = sent;
    damaged[33 * kFrameBytes + 50] ^= 1;
    const VerifyCounts wrong = verify(pool, damaged, piece);
    CHECK(wrong.bytesWrong == 1);
    CHECK(wrong.bytesRight == sent.size() - 1);

    std::vector<uint8_t> swapped = sent;
    std::swap_ranges(swapped.begin() + 40 * kFrameBytes, swapped.begin() + 41 * kFrameBytes,
                     swapped.begin() + 41 * kFrameBytes);
    const VerifyCounts order = verify(pool, swapped, piece);
    CHECK(order.framesMissing == 1);
    CHECK(order.framesRepeated == 1);
  }
  // Heard from its 30th frame on.
  Verifier late;
  VerifyCounts heard;
  const std::span<const uint8_t> rest = std::span(sent).subspan(30 * kFrameBytes);
  CHECK_FALSE(late.checkFromFirst(pool, 7, rest.first(5 * kFrameBytes), heard));
  CHECK(late.checkFromFirst(pool, 7, rest.subspan(6 * kFrameBytes), heard));
  CHECK(heard.framesMissing == 1);
  CHECK(heard.bytesRight == 69 * kFrameBytes);
  CHECK(heard.bytesWrong == 0);
  const VerifyCounts lostByte = verify(pool, without(50 * kFrameBytes + 10, 1), 160);
  CHECK(lostByte.bytesWrong + lostByte.framesMissing > 0);
  CHECK(lostByte.bytesRight > sent.size() / 2);
}

TEST_CASE("playback: underruns, schedule, marks and clear") {
  Playback playback(40'000, 1'000'000);
  std::string name;
  constexpr int64_t kFrameTicks = 960;
  CHECK(playback.push(0, kFrameTicks).gapUs == 0);
  CHECK(playback.push(20'000, kFrameTicks).deadlineErrorUs == 0);
  CHECK(playback.push(45'000, kFrameTicks).deadlineErrorUs == 5'000);
  // Playing began at 40 ms and holds 60 ms of audio: dry from 100 ms.
  CHECK(playback.push(130'000, kFrameTicks).gapUs == 30'000);
  // Now it plays from 170 to 190 ms.
  REQUIRE(playback.mark(135'000, "said"));
  CHECK_FALSE(playback.popDueMark(189'999, name));
  REQUIRE(playback.popDueMark(190'000, name));
  CHECK(name == "said");
  // Dry behind a mark is the end of an utterance.
  CHECK(playback.push(400'000, 4800).gapUs == 0);
  REQUIRE(playback.mark(400'000, "cut"));
  playback.clear(450'000);
  REQUIRE(playback.popDueMark(450'000, name));
  CHECK(name == "cut");
  REQUIRE(playback.mark(460'000, "idle"));
  CHECK(playback.popDueMark(460'000, name));
  for (size_t i = 0; i < Playback::kMarksMax; i++) REQUIRE(playback.mark(500'000, "m"));
  CHECK_FALSE(playback.mark(500'000, "one too many"));
}

TEST_CASE("playback: a server at half of real time makes a gap in every third frame") {
  Playback playback(40'000, 1'000'000);
  int gaps = 0;
  for (int64_t i = 0; i < 25; i++) {
    // 40 ms of playout and 20 ms of audio last until the second frame after it; the third comes 20 ms too
    // late.
    const int64_t gapUs = playback.push(i * 40'000, 960).gapUs;
    CHECK(gapUs == (i > 0 && i % 3 == 0 ? 20'000 : 0));
    gaps += gapUs > 0;
  }
  CHECK(gaps == 8);
}

TEST_CASE("rate: audio over time, of a server that is slow, one that stalls and one that stops") {
  constexpr int64_t kFrameTicks = 960;
  constexpr int64_t kWindowUs = 1'000'000;
  constexpr int64_t kBeginUs = 5'000'000;
  /** A frame of 20 ms each `everyUs`, for `forUs`, `lateUs(at)` late. */
  const auto rateOf = [](int64_t everyUs, int64_t forUs, auto lateUs) {
    RateMeter meter;
    for (int64_t at = 0; at < forUs; at += everyUs) {
      meter.push(kBeginUs, kWindowUs, kFrameTicks, kBeginUs + at + lateUs(at));
    }
    return meter.rate(kBeginUs + kWindowUs);
  };
  const auto punctual = [](int64_t) { return int64_t{0}; };
  CHECK(rateOf(20'000, kWindowUs, punctual) == doctest::Approx(1));
  CHECK(rateOf(40'000, kWindowUs, punctual) == doctest::Approx(0.5));
  CHECK(rateOf(21'500, kWindowUs, punctual) == doctest::Approx(20.0 / 21.5));
  // A stall at either end of the window leaves a punctual message in its quarter.
  CHECK(rateOf(20'000, kWindowUs, [](int64_t at) { return at < 100'000 ? 100'000 - at : 0; }) ==
        doctest::Approx(1));
  CHECK(rateOf(20'000, kWindowUs, [](int64_t at) { return at > 900'000 ? 990'000 - at : 0; }) ==
        doctest::Approx(1));
  // Silent for longer than half a second at the end: the silence counts. 400 ms of audio in a second.
  CHECK(rateOf(20'000, 400'000, punctual) == doctest::Approx(0.4));
  CHECK(RateMeter().rate(kBeginUs) == 0);
}
