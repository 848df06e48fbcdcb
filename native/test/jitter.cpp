#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <vector>

#include "jitter/arrival_delay.h"
#include "jitter/jitter_buffer.h"

using namespace sidetone;

namespace {
constexpr size_t kFrame = 160;
constexpr int kLevelStep = 4;  // frame i is kLevelStep * (i + 1) throughout

/** A sender of 20 ms frames and a steady clock of 20 ms, in virtual time. */
struct Line {
  explicit Line(JitterConfig config = {}) : buffer(pool, config) {}

  /** Frame `number` comes at `atMs`, and says that it begins at `positionMs`. */
  void arrive(double atMs, int number, double positionMs) {
    runTo(atMs);
    if (firstMs < 0) {
      firstMs = atMs;
      dueMs = atMs + 20;
    }
    std::vector<int16_t> pcm(kFrame, static_cast<int16_t>(kLevelStep * (number + 1)));
    buffer.push(pcm.data(), kFrame, positionMs, atMs);
  }
  void arrive(double atMs, int number) { arrive(atMs, number, number * 20.0); }

  void runTo(double nowMs) {
    if (firstMs < 0) return;
    for (; dueMs <= nowMs; dueMs += 20) {
      int16_t pcm[kFrame];
      const auto pulled = buffer.pull(dueMs, pcm);
      REQUIRE(pulled.hasFrame);
      frames++;
      delays.push_back(buffer.delayMs());
      madeUp.push_back(pulled.concealed);
      mostBlocks = std::max(mostBlocks, pool.blocksInUse());
      if (pulled.concealed) continue;
      for (const int16_t sample : pcm) {
        if (sample > 0 && sample % kLevelStep == 0) heard[sample / kLevelStep - 1]++;
      }
    }
  }

  double delayAround(double ms, double overMs = 1000) const {
    const auto at = static_cast<size_t>(ms / 20);
    const auto count = std::min(static_cast<size_t>(overMs / 20), delays.size() - at);
    double sum = 0;
    for (size_t i = at; i < at + count; i++) sum += delays[i];
    return sum / static_cast<double>(count);
  }
  size_t concealed() const { return static_cast<size_t>(std::count(madeUp.begin(), madeUp.end(), true)); }
  /** What is made up for less than half a frame has the level of the frame before it. */
  void checkNothingTwice() const {
    for (const auto& [number, samples] : heard) {
      CAPTURE(number);
      CHECK(samples < kFrame * 2);
    }
  }

  BlockPool pool{1 << 12};
  JitterBuffer buffer;
  double firstMs = -1;
  double dueMs = 0;
  size_t frames = 0;
  std::vector<double> delays;
  std::vector<bool> madeUp;
  std::map<int, size_t> heard;  // samples by frame
  size_t mostBlocks = 0;
};
}  // namespace

TEST_CASE("frames without jitter are all heard, once, in order, at the least delay") {
  Line line;
  for (int i = 0; i < 1000; i++) line.arrive(i * 20, i);
  line.runTo(20000);
  CHECK(line.frames == 1000);
  CHECK(line.buffer.targetMs() == 20);
  CHECK(line.buffer.counters().late == 0);
  CHECK(line.buffer.counters().stretchedMs == 0);
  CHECK(line.delays.back() < 60);
  line.checkNothingTwice();
  CHECK(line.heard.size() > 990);
}

TEST_CASE("the delay follows jitter up, and down again when it is over") {
  std::mt19937 random(7);
  Line line;
  double last = 0;
  for (int i = 0; i < 9000; i++) {
    const bool rough = i >= 1500 && i < 4500;  // 30 s to 90 s
    double at = i * 20 + (rough ? static_cast<double>(random() % 120) : 0);
    last = std::max(last, at);  // as over TCP: nothing overtakes
    line.arrive(last, i);
  }
  line.runTo(180000);
  CHECK(line.frames == 9000);
  const double calm = line.delayAround(25000);
  const double rough = line.delayAround(85000);
  const double again = line.delayAround(175000);
  CHECK(calm < 60);
  CHECK(rough > 100);
  CHECK(rough < 170);
  CHECK(again < 60);
  CHECK(line.buffer.counters().acceleratedMs > 40);
  CHECK(line.buffer.counters().stretchedMs > 40);
  // While it is learnt some are late, then few.
  size_t lateAfter = 0;
  for (size_t i = 2000; i < 4400; i++) lateAfter += line.madeUp[i];
  CHECK(lateAfter < 2400 / 50);
  line.checkNothingTwice();
}

TEST_CASE("losses of a Gilbert-Elliott channel are made up one for one, and move no delay") {
  std::mt19937 random(11);
  std::uniform_real_distribution<double> chance(0, 1);
  Line line;
  bool bad = false;
  size_t lost = 0;
  for (int i = 0; i < 5000; i++) {
    bad = chance(random) < (bad ? 0.7 : 0.03);
    if (i > 0 && bad && chance(random) < 0.8) {
      lost++;
      continue;
    }
    line.arrive(i * 20, i);
  }
  line.runTo(100000);
  CHECK(line.frames == 5000);
  REQUIRE(lost > 200);
  // Beside them only the delay with which it began, and what its lowering moves across the frames' borders.
  CHECK(line.concealed() >= lost - lost / 10);
  CHECK(line.concealed() <= lost + lost / 10);
  CHECK(line.buffer.targetMs() == 20);
  CHECK(line.buffer.counters().late == 0);
  line.checkNothingTwice();
}

TEST_CASE("behind a stall of 3 s what is too late is dropped, and the delay is what it was") {
  Line line;
  for (int i = 0; i < 500; i++) line.arrive(i * 20, i);
  for (int i = 500; i < 650; i++) line.arrive(13000, i);
  for (int i = 651; i < 1500; i++) line.arrive(i * 20, i);
  line.runTo(30000);
  CHECK(line.frames == 1500);
  CHECK(line.buffer.counters().late > 140);
  CHECK(line.buffer.counters().late <= 150);
  CHECK(line.delayAround(13100) < 60);
  CHECK(line.delayAround(29000) < 60);
  CHECK(line.concealed() < 160);
  CHECK(line.heard.count(660) == 1);
  line.checkNothingTwice();
  CHECK(line.mostBlocks < 8);
}

TEST_CASE("a stall of this end of 2 s loses nothing: frames and pulls both come in a burst") {
  Line line;
  for (int i = 0; i < 500; i++) line.arrive(i * 20, i);
  // Nothing was pulled meanwhile either, because the same thread was held.
  const double due = line.dueMs;
  for (int i = 500; i < 600; i++) {
    std::vector<int16_t> pcm(kFrame, static_cast<int16_t>(kLevelStep * (i + 1)));
    line.buffer.push(pcm.data(), kFrame, i * 20, 12000);
  }
  CHECK(line.dueMs == due);
  line.runTo(12000);
  CHECK(line.buffer.counters().late == 0);
  CHECK(line.buffer.counters().overflow == 0);
  CHECK(line.concealed() < 5);
  CHECK(line.heard.size() > 590);
}

TEST_CASE("a sender whose clock drifts by 200 ppm adds no delay and starves nothing") {
  for (const double ppm : {200.0, -200.0}) {
    CAPTURE(ppm);
    Line line;
    const int frames = 50 * 300;  // 5 min: 60 ms of drift
    for (int i = 0; i < frames; i++) line.arrive(i * 20 / (1 + ppm * 1e-6), i % 8000, i * 20.0);
    const double end = frames * 20.0 + 100;
    line.runTo(end);
    CHECK(line.frames == static_cast<size_t>(end / 20));
    CHECK(line.delayAround(10000) < 60);
    CHECK(line.delayAround(290000) < 60);
    CHECK(line.concealed() < 18);
  }
}

TEST_CASE("a pause that the timestamps tell is silence, and what follows is whole") {
  Line line;
  for (int i = 0; i < 200; i++) line.arrive(i * 20, i);
  for (int i = 400; i < 600; i++) line.arrive(i * 20, i);
  line.runTo(12000);
  CHECK(line.frames == 600);
  CHECK(line.concealed() >= 195);
  CHECK(line.concealed() <= 206);
  CHECK(line.buffer.counters().late == 0);
  CHECK(line.delayAround(11000) < 60);
  CHECK(line.heard[400] >= 80);
}

TEST_CASE("a pause that nothing tells costs three frames") {
  Line line;
  for (int i = 0; i < 200; i++) line.arrive(i * 20, i);
  for (int i = 200; i < 500; i++) line.arrive(4000 + i * 20, i);
  line.runTo(14000);
  CHECK(line.frames == 700);
  CHECK(line.buffer.counters().late <= 3);
  CHECK(line.heard.size() > 490);
  CHECK(line.delayAround(13000) < 60);
  line.checkNothingTwice();
}

TEST_CASE("a position that jumps ahead is heard at once") {
  Line line;
  for (int i = 0; i < 200; i++) line.arrive(i * 20, i);
  for (int i = 200; i < 400; i++) line.arrive(i * 20, i, 3600e3 + i * 20);
  line.runTo(8000);
  CHECK(line.frames == 400);
  CHECK(line.heard.size() > 390);
  CHECK(line.concealed() < 6);
}

TEST_CASE("any arrivals give one frame each 20 ms, and no frame twice") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 40; round++) {
    Line line({8000, 20.0 + random() % 60, 100.0 + random() % 300, true});
    double last = 0;
    double stall = 0;
    const unsigned jitter = 1 + random() % 150;
    const unsigned lossIn100 = random() % 40;
    for (int i = 0; i < 1500; i++) {
      if (random() % 300 == 0) stall = i * 20.0 + random() % 3000;
      last = std::max({last, stall, i * 20.0 + random() % jitter});
      if (i > 0 && random() % 100 < lossIn100) continue;
      line.arrive(last, i);
    }
    const double end = last + random() % 5000;
    line.runTo(end);
    CHECK(line.frames == static_cast<size_t>((end - line.firstMs) / 20));
    line.checkNothingTwice();
    CHECK(line.mostBlocks < 64);
  }
}

TEST_CASE("memory is held only while frames wait, and none left is survived") {
  BlockPool pool(256);
  std::vector<Block*> taken;
  JitterBuffer buffer(pool, {});
  std::vector<int16_t> pcm(kFrame, 1000);
  buffer.push(pcm.data(), kFrame, 0, 0);
  CHECK(pool.blocksInUse() == 1);
  for (int i = 1; i <= 20; i++) buffer.pull(i * 20, pcm.data());
  CHECK(buffer.heldSamples() == 0);
  while (Block* block = pool.take()) taken.push_back(block);
  buffer.push(pcm.data(), kFrame, 1000, 1000);
  CHECK(buffer.counters().overflow == 1);
  CHECK(buffer.pull(1020, pcm.data()).concealed);
  for (Block* block : taken) pool.give(block);
}

TEST_CASE("nothing comes out before anything went in") {
  BlockPool pool(256);
  JitterBuffer buffer(pool, {});
  int16_t pcm[kFrame];
  CHECK_FALSE(buffer.pull(0, pcm).hasFrame);
}

TEST_CASE("one late half second leaves the target, several raise it") {
  ArrivalDelay delay(20, 400);
  double now = 0;
  const auto halfSecond = [&](double lateMs) {
    for (int i = 0; i < 25; i++, now += 20) delay.note(i == 12 ? lateMs : 0, now);
  };
  for (int i = 0; i < 60; i++) halfSecond(0);
  CHECK(delay.targetMs() == 20);
  halfSecond(200);
  halfSecond(0);
  CHECK(delay.targetMs() == 20);
  halfSecond(200);
  halfSecond(200);
  halfSecond(0);
  CHECK(delay.targetMs() == 205);
  halfSecond(5000);
  halfSecond(5000);
  halfSecond(5000);
  CHECK(delay.targetMs() == 400);
}
