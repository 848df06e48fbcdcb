#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "codec/g711.h"
#include "memory/block_queue.h"
#include "stream/outbound.h"

using namespace sidetone;

namespace {
constexpr double kPi = 3.14159265358979;

std::vector<int16_t> tone(size_t samples, double hz, int sampleHz) {
  std::vector<int16_t> pcm(samples);
  for (size_t i = 0; i < samples; i++) {
    const double angle = 2 * kPi * hz * static_cast<double>(i) / sampleHz;
    pcm[i] = static_cast<int16_t>(8000 * std::sin(angle));
  }
  return pcm;
}

/** A stream that plays live audio, 20 ms at a time, and a far end that is told of all that is sent. */
struct LiveCall {
  explicit LiveCall(Encoding encoding, double boundMs = 400)
      : boundMs(boundMs), outbound(pool, config(encoding)) {
    payload.resize(Outbound::payloadBytesMax(outbound.config()) * 4);
    pcm.resize(Outbound::g722SamplesMax(outbound.config()) + 4800);
    frame = tone(static_cast<size_t>(outbound.sampleHz() / 50), 300, outbound.sampleHz());
  }

  static OutboundConfig config(Encoding encoding) {
    OutboundConfig config;
    config.encoding = encoding;
    config.announcedHz = encoding == Encoding::Pcmu || encoding == Encoding::Pcma ? 8000 : 16000;
    return config;
  }

  void play(double nowMs) {
    const Live live{boundMs, timestampMs, true};
    timestampMs += 20;
    CHECK(outbound.enqueue(frame.data(), frame.size(), outbound.sampleHz(), nullptr, nowMs, live) >= 0);
  }

  void pump(double nowMs) {
    if (outbound.pooled()) {
      // An encoder that is done at once; what it makes of a frame does not matter here.
      const std::vector<uint8_t> packet(40, 1);
      while (outbound.takePcm(nowMs, pcm.data()) > 0) outbound.enqueuePacket(packet.data(), packet.size());
    }
    if (outbound.g722()) {
      while (const size_t samples = outbound.takeG722(nowMs, pcm.data())) {
        CHECK(samples % 2 == 0);
        sentSamples += static_cast<double>(samples);
      }
    } else {
      while (outbound.take(nowMs, payload.data()) > 0) {
      }
    }
    const double played = outbound.playout().playedPosition(nowMs);
    CHECK(played >= lastPlayed);
    CHECK(played <= outbound.acceptedPosition());
    lastPlayed = played;
  }

  double lateMs(double nowMs) const { return outbound.playout().aheadMs(nowMs) + outbound.queuedMs(); }

  double boundMs;
  BlockPool pool{1 << 16};
  Outbound outbound;
  std::vector<uint8_t> payload;
  std::vector<int16_t> pcm;
  std::vector<int16_t> frame;
  double timestampMs = 0;
  double lastPlayed = 0;
  double sentSamples = 0;
};
}  // namespace

TEST_CASE("a block queue is read, changed in place and dropped from wherever its blocks end") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  BlockPool pool(64);
  BlockQueue queue(pool);
  std::vector<uint8_t> model;
  for (int i = 0; i < 3000; i++) {
    std::vector<uint8_t> bytes(random() % 2500);
    for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
    const size_t offset = model.empty() ? 0 : random() % model.size();
    const size_t count = std::min(bytes.size(), model.size() - offset);
    switch (random() % 4) {
      case 0:
        if (queue.append(bytes.data(), bytes.size())) model.insert(model.end(), bytes.begin(), bytes.end());
        break;
      case 1:
        queue.overwrite(offset, bytes.data(), count);
        std::copy_n(bytes.begin(), count, model.begin() + static_cast<long>(offset));
        break;
      case 2:
        queue.drop(count);
        model.erase(model.begin(), model.begin() + static_cast<long>(count));
        break;
      default: {
        std::vector<uint8_t> seen(count);
        queue.peek(offset, seen.data(), count);
        CHECK(std::equal(seen.begin(), seen.end(), model.begin() + static_cast<long>(offset)));
      }
    }
    REQUIRE(queue.bytes() == model.size());
  }
  queue.clear();
  CHECK(pool.blocksInUse() == 0);
}

TEST_CASE(
    "live audio in every encoding: 3 s late are caught up within 3 s, and every sample is accounted for") {
  for (const Encoding encoding :
       {Encoding::Pcmu, Encoding::Pcma, Encoding::G722, Encoding::Opus, Encoding::AmrWb, Encoding::L16}) {
    CAPTURE(static_cast<int>(encoding));
    LiveCall call(encoding);
    double now = 0;
    for (; now < 1000; now += 20) {
      call.play(now);
      call.pump(now);
    }
    CHECK(call.outbound.catchUps().catchUps == 0);
    now += 3000;
    const double burst = now;
    for (int i = 0; i < 150; i++) {
      call.play(now);
      call.pump(now);
    }
    CHECK(call.lateMs(now) > 2900);
    for (; now < burst + 6000; now += 2) {
      if (static_cast<int>(now - burst) % 20 == 0) call.play(now);
      call.pump(now);
      if (now >= burst + 3000) CHECK(call.lateMs(now) <= 400);
    }
    CHECK(call.outbound.catchUps().catchUps == 1);
    CHECK(call.outbound.counters().underruns == 1);
    CHECK(call.outbound.catchUps().skippedMs == 0);
    for (const double end = now + 1000; now < end; now += 2) call.pump(now);
    CHECK(call.outbound.queuedMs() == 0);
    CHECK(call.lastPlayed == call.outbound.acceptedPosition());
  }
}

TEST_CASE("live audio that is not late is not touched: both zeros of mu-law come through") {
  LiveCall call(Encoding::Pcmu);
  std::vector<uint8_t> codes(160), heard;
  std::vector<int16_t> pcm(160);
  for (double now = 0; now < 2000; now += 20) {
    for (size_t i = 0; i < codes.size(); i++)
      codes[i] = static_cast<uint8_t>(i * 3 + static_cast<size_t>(now));
    ulawDecode(codes.data(), 160, pcm.data());
    const Live live{400, now, true};
    REQUIRE(call.outbound.passThrough(pcm.data(), 160, 8000, codes.data(), now, live, call.payload.data()) ==
            160);
    CHECK(std::equal(codes.begin(), codes.end(), call.payload.begin()));
  }
  CHECK(call.outbound.counters().underruns == 0);
}

TEST_CASE("speech in front of live audio is sent whole; the live audio's own backlog is what is late") {
  LiveCall call(Encoding::L16);
  const auto speech = tone(16000 * 4, 700, 16000);
  call.outbound.enqueue(speech.data(), speech.size(), 16000, nullptr, 0);
  double now = 0;
  double sentBefore = 0;
  for (; now < 3700; now += 2) {
    if (static_cast<int>(now) % 20 == 0) call.play(now);
    call.pump(now);
    sentBefore = call.outbound.sentPosition();
    // As much is sent as is heard and lies ahead: nothing was shortened.
    if (sentBefore < 16000 * 4) CHECK(std::fabs(sentBefore / 16 - call.outbound.playout().dryAtMs()) < 1e-6);
  }
  CHECK(call.outbound.catchUps().speechCutMs == 0);
  for (; now < 8000; now += 2) {
    if (static_cast<int>(now) % 20 == 0) call.play(now);
    call.pump(now);
  }
  CHECK(call.outbound.catchUps().catchUps >= 1);
  CHECK(call.lateMs(now) <= 400);
  CHECK(call.outbound.counters().underruns == 0);
}

TEST_CASE("a gap is counted where frames go on behind it, and not where they begin anew") {
  struct Step {
    double gapMs, jumpMs;
    uint32_t underruns;
  };
  for (const Step& step :
       {Step{10, 0, 0}, Step{30, 0, 1}, Step{3000, 0, 1}, Step{3000, 3000, 0}, Step{300, 300, 0}}) {
    CAPTURE(step.gapMs);
    LiveCall call(Encoding::Pcmu);
    double now = 0;
    for (; now < 1000; now += 20) {
      call.play(now);
      call.pump(now);
    }
    now += step.gapMs;
    call.timestampMs += step.jumpMs;
    call.play(now);
    call.pump(now);
    CHECK(call.outbound.counters().underruns == step.underruns);
  }
}

TEST_CASE(
    "what is hopelessly late is left out and told of, wherever else in the queue something is not live") {
  LiveCall call(Encoding::Pcmu);
  double now = 0;
  for (int i = 0; i < 500; i++) {
    call.play(now);
    call.pump(now);
  }
  const auto speech = tone(8000, 700, 8000);
  call.outbound.enqueue(speech.data(), speech.size(), 8000, nullptr, now);
  for (; now < 1000; now += 2) call.pump(now);
  const double skippedMs = call.outbound.catchUps().skippedMs;
  CHECK(skippedMs > 9000);
  SkippedRange range{};
  REQUIRE(call.outbound.takeSkipped(range));
  CHECK((range.to - range.from) / 8 == doctest::Approx(skippedMs));
  CHECK_FALSE(call.outbound.hasSkipped());
  for (; now < 3000; now += 2) call.pump(now);
  CHECK(call.outbound.queuedMs() == 0);
  CHECK(call.lastPlayed == call.outbound.acceptedPosition());
}
