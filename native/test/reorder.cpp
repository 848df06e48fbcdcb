#include "reorder/reorder.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "reorder/sequence_tracker.h"

namespace {
using sidetone::BlockPool;
using sidetone::Reorder;
using sidetone::ReorderFrame;
using sidetone::SequenceTracker;

constexpr double kWaitMs = 60;

struct Sent {
  uint64_t sequence;
  uint64_t chunk;
  uint64_t timestamp;
  size_t bytes = 160;
};

uint8_t fill(uint64_t chunk, size_t i) { return static_cast<uint8_t>(chunk * 31 + i * 7); }

/** A track with everything around it: what was heard, in order, and what was given up. */
struct Track {
  explicit Track(BlockPool& pool, SequenceTracker& tracker) : reorder(pool, kWaitMs), sequence(tracker) {}

  void send(const Sent& sent, double nowMs) {
    std::vector<uint8_t> payload(sent.bytes);
    for (size_t i = 0; i < sent.bytes; i++) payload[i] = fill(sent.chunk, i);
    const auto arrival = sequence.note(sent.sequence);
    const ReorderFrame frame{sent.chunk, sent.timestamp, payload.data(), payload.size()};
    if (reorder.push(frame, arrival.fresh, arrival.nothingMissing, nowMs) == Reorder::Push::Deliver) {
      heard.push_back(sent.chunk);
    }
    drain(nowMs);
  }

  void drain(double nowMs) {
    std::vector<uint8_t> out(65536);
    Reorder::Popped popped;
    for (;;) {
      const bool ready = reorder.ready(nowMs);
      const auto pop = reorder.pop(nowMs, out.data(), popped);
      // ready() may speak of a frame that pop() then finds to be late; never the other way round.
      if (pop != Reorder::Pop::Nothing) CHECK(ready);
      if (pop == Reorder::Pop::Nothing) return;
      if (pop == Reorder::Pop::Gap) {
        lost.push_back(popped.lost);
        continue;
      }
      heard.push_back(popped.frame.chunk);
      for (size_t i = 0; i < popped.frame.bytes; i++) REQUIRE(out[i] == fill(popped.frame.chunk, i));
    }
  }

  Reorder reorder;
  SequenceTracker& sequence;
  std::vector<uint64_t> heard;
  std::vector<uint64_t> lost;
};

struct Line {
  Line() { tracker.note(1); }  // start
  BlockPool pool{4096};
  SequenceTracker tracker;
  Track track{pool, tracker};

  /** Frame number i of an orderly call: chunk i, 20 ms each, RTP timestamps. */
  static Sent frame(uint64_t i) { return {i + 1, i, i * 160}; }
};

std::vector<uint64_t> range(uint64_t from, uint64_t to) {
  std::vector<uint64_t> numbers;
  for (uint64_t i = from; i <= to; i++) numbers.push_back(i);
  return numbers;
}
}  // namespace

TEST_CASE("frames in order pass at once and hold no memory") {
  Line line;
  for (uint64_t i = 1; i <= 100; i++) {
    line.track.send(Line::frame(i), static_cast<double>(i) * 20);
    CHECK(line.track.heard.back() == i);
    CHECK(line.pool.blocksInUse() == 0);
  }
  CHECK(line.track.lost.empty());
}

TEST_CASE("a call may begin at chunk 0, 1 or anywhere") {
  for (const uint64_t origin : {0u, 1u, 5u, 70000u}) {
    Line line;
    for (uint64_t i = 0; i < 5; i++) line.track.send({i + 2, origin + i, i * 160}, 0);
    CHECK(line.track.heard == range(origin, origin + 4));
  }
}

TEST_CASE("the first frames may come in any order: sequence numbers tell that one is missing") {
  std::vector<uint64_t> order = {1, 2, 3, 4};
  do {
    Line line;
    for (const uint64_t i : order) line.track.send(Line::frame(i), 0);
    CHECK(line.track.heard == range(1, 4));
    CHECK(line.track.lost.empty());
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("a first frame whose predecessors never come is heard after the wait") {
  Line line;
  line.track.send({9, 8, 0}, 0);
  line.track.drain(kWaitMs - 1);
  CHECK(line.track.heard.empty());
  line.track.drain(kWaitMs);
  CHECK(line.track.heard == std::vector<uint64_t>{8});
  CHECK(line.track.lost.empty());
}

TEST_CASE("a gap waits, and is mended when the frame comes in time") {
  Line line;
  line.track.send(Line::frame(1), 0);
  line.track.send(Line::frame(3), 20);
  line.track.send(Line::frame(4), 40);
  CHECK(line.track.heard == range(1, 1));
  line.track.send(Line::frame(2), 79);
  CHECK(line.track.heard == range(1, 4));
  CHECK(line.track.lost.empty());
  CHECK(line.pool.blocksInUse() == 0);
}

TEST_CASE("a gap is given up when its wait is over, each gap by its own wait") {
  Line line;
  line.track.send(Line::frame(1), 0);
  line.track.send(Line::frame(3), 10);
  line.track.send(Line::frame(5), 40);
  CHECK(line.track.reorder.deadlineMs() == 70);
  line.track.drain(69);
  CHECK(line.track.heard == range(1, 1));
  line.track.drain(70);
  CHECK(line.track.heard == std::vector<uint64_t>{1, 3});
  CHECK(line.track.reorder.deadlineMs() == 100);
  line.track.drain(100);
  CHECK(line.track.heard == std::vector<uint64_t>{1, 3, 5});
  CHECK(line.track.lost == std::vector<uint64_t>{1, 1});
  line.track.send(Line::frame(2), 110);
  CHECK(line.track.reorder.counters().late == 1);
}

TEST_CASE("a duplicate is heard once, whether its original was heard, waits or is long gone") {
  Line line;
  for (uint64_t i = 1; i <= 10; i++) line.track.send(Line::frame(i), 0);
  line.track.send(Line::frame(10), 0);
  line.track.send(Line::frame(3), 0);
  line.track.send(Line::frame(12), 0);
  line.track.send(Line::frame(12), 0);
  line.track.send(Line::frame(11), 0);
  CHECK(line.track.heard == range(1, 12));
  CHECK(line.track.reorder.counters().duplicate == 3);
}

TEST_CASE("duplicates with sequence numbers of their own are heard once") {
  Line line;
  uint64_t sequence = 1;
  for (uint64_t i = 1; i <= 50; i++) {
    line.track.send({++sequence, i, i * 160}, 0);
    line.track.send({++sequence, i, i * 160}, 0);
  }
  CHECK(line.track.heard == range(1, 50));
}

TEST_CASE("chunk numbers that restart or jump are followed") {
  const auto jump = [](int64_t by) {
    Line line;
    uint64_t sequence = 1;
    std::vector<uint64_t> expected;
    double now = 0;
    for (uint64_t i = 1; i <= 100; i++, now += 20) {
      const uint64_t chunk = i <= 50 ? i + 100 : static_cast<uint64_t>(static_cast<int64_t>(i) + 100 + by);
      line.track.send({++sequence, chunk, i * 160}, now);
      line.track.drain(now);
      expected.push_back(chunk);
    }
    line.track.drain(now + 100);
    CHECK(line.track.heard == expected);
  };
  SUBCASE("to 1") { jump(-150 + 1); }
  SUBCASE("back by 20") { jump(-20); }
  SUBCASE("on by 20") { jump(20); }
  SUBCASE("back by 64") { jump(-64); }
  SUBCASE("back by 65") { jump(-65); }
  SUBCASE("far on") { jump(int64_t{1} << 40); }
}

TEST_CASE("one garbled chunk number does not stop the track") {
  Line line;
  uint64_t sequence = 1;
  double now = 0;
  for (uint64_t i = 1; i <= 50; i++, now += 20) {
    line.track.send({++sequence, i == 20 ? uint64_t{1} << 52 : i, i * 160}, now);
  }
  line.track.drain(now + 100);
  CHECK(line.track.heard.back() == 50);
  CHECK(line.track.heard.size() >= 46);
}

TEST_CASE("one number near 2^53 does not make the track lose billions, whichever number it is") {
  constexpr uint64_t kHuge = (uint64_t{1} << 53) - 1;
  enum Field { Sequence = 1, Chunk = 2, Timestamp = 4 };
  for (unsigned garbled = 1; garbled < 8; garbled++) {
    for (const uint64_t at : {1, 2, 20}) {
      for (const bool reordered : {false, true}) {
        Line line;
        double now = 0;
        std::vector<Sent> call;
        for (uint64_t i = 1; i <= 100; i++) {
          Sent sent = Line::frame(i);
          if (i == at && garbled & Sequence) sent.sequence = kHuge;
          if (i == at && garbled & Chunk) sent.chunk = kHuge;
          if (i == at && garbled & Timestamp) sent.timestamp = kHuge;
          call.push_back(sent);
        }
        if (reordered) std::swap(call[at], call[at + 1]);
        for (const Sent& sent : call) {
          line.track.send(sent, now);
          now += 20;
          line.track.drain(now);
        }
        line.track.drain(now + 100);
        CAPTURE(garbled);
        CAPTURE(at);
        CAPTURE(reordered);
        // All but the frame itself and what was held beside it.
        CHECK(line.track.heard.size() >= 96);
        CHECK(line.track.heard.back() == 100);
        const auto& counters = line.track.reorder.counters();
        CHECK(counters.lost <= 3);
        CHECK(counters.late <= 3);
        CHECK(counters.resync <= 2);
        CHECK(line.pool.blocksInUse() == 0);
        // And afterwards everything is as it was: a number that jumps back is followed, a duplicate is not
        // heard.
        const size_t heard = line.track.heard.size();
        for (uint64_t i = 101; i <= 110; i++) {
          line.track.send({i + 1, i - 20, i * 160}, now);
          line.track.send({i + 1, i - 20, i * 160}, now);
        }
        line.track.drain(now + 100);
        CHECK(line.track.heard.size() == heard + 10);
      }
    }
  }
}

TEST_CASE("the longest gap counts as lost, a longer one as numbers that begin anew") {
  for (const uint64_t gap : {Reorder::kGapMax, Reorder::kGapMax + 1}) {
    Line line;
    uint64_t sequence = 1;
    for (uint64_t i = 1; i <= 10; i++) line.track.send({++sequence, i, i * 160}, 0);
    for (uint64_t i = 11; i <= 20; i++) line.track.send({++sequence, i + gap, (i + gap) * 160}, 0);
    line.track.drain(100);
    const bool isLost = gap == Reorder::kGapMax;
    CHECK(line.track.heard.size() == 20);
    CHECK(line.track.reorder.counters().lost == (isLost ? gap : 0));
    CHECK(line.track.reorder.counters().resync == (isLost ? 0 : 1));
  }
}

TEST_CASE("a burst of waiting frames is bounded; then the gap is given up") {
  Line line;
  line.track.send(Line::frame(1), 0);
  for (uint64_t i = 3; i <= 400; i++) line.track.send(Line::frame(i), 0);
  CHECK(line.track.heard.size() == 399);
  CHECK(line.track.lost == std::vector<uint64_t>{1});
  CHECK(line.track.reorder.counters().overflow == 1);
  CHECK(line.pool.blocksInUse() == 0);
}

TEST_CASE("memory that runs out costs the frames that do not fit and nothing else") {
  BlockPool pool{BlockPool::kBlocksPerSlab};
  SequenceTracker tracker;
  tracker.note(1);
  Track track(pool, tracker);
  std::vector<sidetone::Block*> taken;
  for (size_t i = 0; i < BlockPool::kBlocksPerSlab - 2; i++) taken.push_back(pool.take());
  track.send(Line::frame(1), 0);
  for (uint64_t i = 3; i <= 10; i++) track.send(Line::frame(i), 0);
  CHECK(track.reorder.counters().overflow == 6);
  track.drain(60);
  CHECK(track.heard == std::vector<uint64_t>{1, 3, 4});
  for (auto* block : taken) pool.give(block);
  CHECK(pool.blocksInUse() == 0);
}

TEST_CASE("payloads longer than a block are held whole") {
  Line line;
  for (const uint64_t i : {1u, 3u, 2u}) {
    Sent sent = Line::frame(i);
    sent.bytes = 5000;
    line.track.send(sent, 0);
  }
  CHECK(line.track.heard == range(1, 3));
}

TEST_CASE("any shuffling inside the wait is mended: random permutations in a window") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 200; round++) {
    Line line;
    const uint64_t count = 60;
    const size_t window = 1 + random() % 16;
    std::vector<uint64_t> order = range(1, count);
    for (size_t i = 0; i < order.size(); i += window) {
      std::shuffle(order.begin() + static_cast<long>(i),
                   order.begin() + static_cast<long>(std::min(order.size(), i + window)), random);
    }
    double now = 0;
    for (const uint64_t i : order) {
      line.track.send(Line::frame(i), now);
      if (random() % 5 == 0) line.track.send(Line::frame(i), now);
      now += 60.0 / 16;
    }
    CHECK(line.track.heard == range(1, count));
    CHECK(line.track.lost.empty());
    CHECK(line.pool.blocksInUse() == 0);
  }
}

TEST_CASE("two tracks, each with its own counter") {
  BlockPool pool{4096};
  SequenceTracker tracker;
  tracker.note(1);
  Track a(pool, tracker), b(pool, tracker);
  a.reorder.setSibling(&b.reorder);
  b.reorder.setSibling(&a.reorder);
  uint64_t sequence = 1;
  for (uint64_t i = 1; i <= 20; i++) {
    if (i != 10) a.send({sequence + 1, i, i * 160}, static_cast<double>(i) * 20);
    b.send({sequence + 2, i, i * 160}, static_cast<double>(i) * 20);
    sequence += 2;
  }
  CHECK(b.heard == range(1, 20));
  a.drain(1000);
  CHECK(a.lost == std::vector<uint64_t>{1});
  CHECK(a.heard.size() == 19);
}

TEST_CASE("two tracks on one counter: the other track's numbers are no losses") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 50; round++) {
    BlockPool pool{4096};
    SequenceTracker tracker;
    tracker.note(1);
    Track a(pool, tracker), b(pool, tracker);
    a.reorder.setSibling(&b.reorder);
    b.reorder.setSibling(&a.reorder);
    std::vector<uint64_t> expectA, expectB, order = range(1, 60);
    std::vector<bool> isA(61);
    for (const uint64_t chunk : order) {
      isA[chunk] = random() % 2 == 0;
      (isA[chunk] ? expectA : expectB).push_back(chunk);
    }
    for (size_t i = 0; i + 3 < order.size(); i += 3) {
      std::shuffle(order.begin() + static_cast<long>(i), order.begin() + static_cast<long>(i + 3), random);
    }
    for (const uint64_t chunk : order) {
      (isA[chunk] ? a : b).send({chunk + 1, chunk, chunk * 160}, static_cast<double>(chunk));
      a.drain(static_cast<double>(chunk));
      b.drain(static_cast<double>(chunk));
    }
    CHECK(a.heard == expectA);
    CHECK(b.heard == expectB);
    CHECK(a.lost.empty());
    CHECK(b.lost.empty());
  }
}

TEST_CASE("sequence numbers: fresh, and whether something earlier is missing") {
  SequenceTracker tracker;
  CHECK(tracker.note(1).nothingMissing);
  CHECK(tracker.note(2).nothingMissing);
  CHECK_FALSE(tracker.note(4).nothingMissing);
  const auto third = tracker.note(3);
  CHECK_FALSE(third.fresh);
  CHECK(third.nothingMissing);
  CHECK(tracker.note(5).nothingMissing);
  CHECK_FALSE(tracker.note(500).nothingMissing);
  CHECK(tracker.note(501).fresh);
}

TEST_CASE("sequence numbers: one that is far away is not believed, two are") {
  constexpr uint64_t kHuge = (uint64_t{1} << 53) - 1;
  SequenceTracker tracker;
  tracker.note(1);
  CHECK_FALSE(tracker.note(kHuge).fresh);
  CHECK(tracker.note(2).fresh);
  CHECK_FALSE(tracker.note(kHuge).fresh);
  CHECK_FALSE(tracker.note(kHuge).fresh);
  CHECK(tracker.note(3).nothingMissing);
  CHECK_FALSE(tracker.note(1u << 30).fresh);
  CHECK(tracker.note((1u << 30) + 1).fresh);
  CHECK(tracker.note((1u << 30) + 2).fresh);
  CHECK_FALSE(tracker.note(1).fresh);
  CHECK(tracker.note(2).fresh);
  CHECK(tracker.note(3).fresh);
  // What a call may lose at most is a step like any other.
  CHECK(tracker.note(3 + SequenceTracker::kJumpMax).fresh);
  SequenceTracker begunFar;
  begunFar.note(kHuge);
  CHECK_FALSE(begunFar.note(2).fresh);
  CHECK(begunFar.note(3).fresh);
}
