// Outbound::pause(), resume() and what it keeps for them.
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <vector>

#include "codec/g711.h"
#include "memory/block_queue.h"
#include "stream/outbound.h"
#include "test/far_end.h"

using namespace sidetone;

namespace {
constexpr double kTickMs = 2;

/** As the pool does it, packets of 20 ms come back a while later. They hold the frame itself. */
struct Call {
  explicit Call(const OutboundConfig& config)
      : outbound(pool, config), payload(Outbound::payloadBytesMax(config)) {
    far.samplesPerMs = outbound.sampleHz() / 1000.0;
  }

  void tick(double nowMs) {
    if (outbound.pooled()) {
      std::vector<int16_t> pcm(static_cast<size_t>(outbound.sampleHz()) / 50);
      while (outbound.takePcm(nowMs, pcm.data()) > 0) encoding.emplace_back(nowMs + 6, pcm);
      while (!encoding.empty() && encoding.front().first <= nowMs) {
        const auto& frame = encoding.front().second;
        REQUIRE(outbound.enqueuePacket(reinterpret_cast<const uint8_t*>(frame.data()), frame.size() * 2));
        encoding.pop_front();
      }
    }
    if (outbound.g722()) {
      std::vector<int16_t> pcm(Outbound::g722SamplesMax(outbound.config()));
      while (const size_t samples = outbound.takeG722(nowMs, pcm.data())) {
        far.hear({pcm.begin(), pcm.begin() + static_cast<long>(samples)}, nowMs);
      }
      return;
    }
    while (const size_t bytes = outbound.take(nowMs, payload.data())) far.hear(decoded(bytes), nowMs);
  }
  std::vector<int16_t> decoded(size_t bytes) const {
    std::vector<int16_t> pcm(outbound.config().encoding == Encoding::Pcmu ? bytes : bytes / 2);
    if (outbound.config().encoding == Encoding::Pcmu) {
      ulawDecode(payload.data(), bytes, pcm.data());
    } else {
      std::copy_n(payload.data(), bytes, reinterpret_cast<uint8_t*>(pcm.data()));
    }
    return pcm;
  }
  double played(double nowMs) const { return outbound.playout().playedPosition(nowMs); }

  BlockPool pool{1 << 16};
  Outbound outbound;
  FarEnd far;
  std::vector<uint8_t> payload;
  std::deque<std::pair<double, std::vector<int16_t>>> encoding;
};

std::vector<int16_t> without(std::vector<int16_t> pcm, int16_t silence) {
  pcm.erase(std::remove(pcm.begin(), pcm.end(), silence), pcm.end());
  return pcm;
}
}  // namespace

TEST_CASE("paused at any moment, in every encoding: each sample is heard once, in order") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 60; round++) {
    OutboundConfig config;
    config.encoding = std::array{Encoding::Pcmu, Encoding::L16, Encoding::G722, Encoding::Opus}[round % 4];
    config.announcedHz = config.encoding == Encoding::Pcmu ? 8000 : 16000;
    Call call(config);
    std::vector<int16_t> accepted;
    double nowMs = 0;
    for (int step = 0; step < 60; step++) {
      if (random() % 3 == 0) {
        // 20 ms and more: a shorter tail waits for more audio, which the caller may hear as a gap.
        std::vector<int16_t> pcm(random() % 12000 + 320);
        for (auto& sample : pcm) sample = static_cast<int16_t>(1000 + random() % 30000);
        if (call.outbound.enqueue(pcm.data(), pcm.size(), call.outbound.sampleHz(), nullptr, nowMs) > 0)
          accepted.insert(accepted.end(), pcm.begin(), pcm.end());
      }
      const bool wasPaused = call.outbound.paused();
      const double before = call.played(nowMs);
      switch (random() % 4) {
        case 0:
          call.outbound.pause(nowMs);
          if (!wasPaused) call.far.clear(nowMs);
          break;
        case 1:
          call.outbound.resume(nowMs);
          break;
      }
      CHECK(call.played(nowMs) >= before);
      CHECK(call.played(nowMs) <= before + 1);
      if (call.outbound.paused()) {
        CHECK(call.outbound.queuedMs() ==
              doctest::Approx((static_cast<double>(accepted.size()) - call.played(nowMs)) /
                              call.far.samplesPerMs));
        CHECK(std::isinf(call.outbound.dueMs()));
        CHECK(std::isinf(call.outbound.pcmDueMs()));
      }
      const double untilMs = nowMs + random() % 400;
      for (; nowMs < untilMs; nowMs += kTickMs) call.tick(nowMs);
    }
    call.outbound.resume(nowMs);
    const double untilMs = nowMs + call.outbound.queuedMs() + 1000;
    for (; nowMs < untilMs; nowMs += kTickMs) call.tick(nowMs);
    call.far.play(nowMs);
    CHECK(call.outbound.queuedMs() == 0);
    // Audio that comes less than the encoder's 6 ms before the far end has nothing more is heard after a gap.
    if (!call.outbound.pooled()) CHECK(call.outbound.counters().underruns == 0);
    std::vector<int16_t> wanted = accepted;
    if (config.encoding == Encoding::Pcmu) {
      std::vector<uint8_t> codes(accepted.size());
      ulawEncode(accepted.data(), accepted.size(), codes.data());
      ulawDecode(codes.data(), codes.size(), wanted.data());
    }
    CHECK(without(call.far.heard, 0) == wanted);
    // Nothing is held for audio that has been heard.
    call.outbound.forget(nowMs);
    CHECK(call.pool.blocksInUse() == 0);
    SkippedRange range{};
    CHECK_FALSE(call.outbound.takeSkipped(range));
  }
}

TEST_CASE("live audio is not kept: a pause leaves out what had been sent and says so") {
  Call call(OutboundConfig{});
  const std::vector<int16_t> pcm(160, 5000);
  const Live live{400, Live::kNoTime, true};
  double nowMs = 0;
  for (; nowMs < 200; nowMs += 20) {
    call.outbound.enqueue(pcm.data(), pcm.size(), 8000, nullptr, nowMs, live);
    call.tick(nowMs);
  }
  call.outbound.pause(nowMs - 10);
  CHECK(call.outbound.queuedMs() == 0);
  SkippedRange range{};
  REQUIRE(call.outbound.takeSkipped(range));
  CHECK(range.from == 1520);
  CHECK(range.to == 1600);
  CHECK(call.pool.blocksInUse() == 0);
}

TEST_CASE("little memory is left to live audio: nothing is kept, and a pause says what it leaves out") {
  BlockPool pool(256);
  std::vector<Block*> taken;
  while (pool.blocksLeft() > 24) taken.push_back(pool.take());
  Outbound outbound(pool, OutboundConfig{});
  const std::vector<int16_t> pcm(4000, 5000);
  REQUIRE(outbound.enqueue(pcm.data(), pcm.size(), 8000, nullptr, 0) > 0);
  std::vector<uint8_t> payload(2000);
  while (outbound.take(0, payload.data()) > 0) {
  }
  const double sent = outbound.sentPosition();
  outbound.pause(50);
  SkippedRange range{};
  REQUIRE(outbound.takeSkipped(range));
  CHECK(range.from == 400);
  CHECK(range.to == sent);
  CHECK(outbound.sentPosition() == sent);
  for (Block* block : taken) pool.give(block);
}

TEST_CASE("a block queue takes bytes at both ends") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  BlockPool pool(256);
  BlockQueue queue(pool);
  std::deque<uint8_t> wanted;
  for (int step = 0; step < 2000; step++) {
    std::vector<uint8_t> bytes(random() % 3000);
    for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
    switch (random() % 3) {
      case 0:
        if (queue.append(bytes.data(), bytes.size())) wanted.insert(wanted.end(), bytes.begin(), bytes.end());
        break;
      case 1:
        if (queue.prepend(bytes.data(), bytes.size()))
          wanted.insert(wanted.begin(), bytes.begin(), bytes.end());
        break;
      default: {
        const size_t count = std::min(wanted.size(), size_t{random() % 6000});
        std::vector<uint8_t> out(count);
        queue.read(out.data(), count);
        CHECK(std::equal(out.begin(), out.end(), wanted.begin()));
        wanted.erase(wanted.begin(), wanted.begin() + static_cast<long>(count));
      }
    }
    CHECK(queue.bytes() == wanted.size());
  }
  queue.clear();
  CHECK(pool.blocksInUse() == 0);
}
