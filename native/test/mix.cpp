#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "mix/delay_line.h"
#include "mix/room.h"
#include "mix/sum.h"
#include "mix/tape.h"

using namespace sidetone;

namespace {
constexpr size_t kFrame = 160;  // 20 ms at 8 kHz

/** The memory of a room, aligned and 0. */
struct Memory {
  explicit Memory(size_t seats, uint32_t rateMax = 0)
      : shape{seats, rateMax}, words(RoomMemory::bytes(shape) / 8 + 1) {}
  uint8_t* data() { return reinterpret_cast<uint8_t*>(words.data()); }
  RoomShape shape;
  std::vector<uint64_t> words;
};

/** What each stream heard, by the tick's time. */
struct Heard : RoomPlayer {
  void playMixed(int stream, const int16_t* pcm, size_t samples, int sampleHz, double timestampMs) override {
    frames[{stream, timestampMs}].assign(pcm, pcm + samples);
    rates.insert(sampleHz);
  }
  std::map<std::pair<int, double>, std::vector<int16_t>> frames;
  std::set<int> rates;
};

std::vector<int16_t> noise(std::mt19937& random, size_t samples, int loudest) {
  std::vector<int16_t> pcm(samples);
  for (auto& sample : pcm) {
    sample = static_cast<int16_t>(static_cast<int>(random() % (2 * static_cast<unsigned>(loudest) + 1)) - loudest);
  }
  return pcm;
}

/** Fills a line so that it has something at each of its next pulls. */
void fill(DelayLine& line, int16_t value, int frames) {
  const std::vector<int16_t> pcm(line.frameSamples(), value);
  for (int i = 0; i < frames; i++) line.push(pcm.data(), pcm.size());
}
}  // namespace

TEST_CASE("the sum without one is the sum of the others, limited to 16 bits") {
  std::mt19937 random(14);
  for (const size_t samples : {size_t{1}, size_t{7}, size_t{160}, size_t{441}, size_t{960}}) {
    std::vector<std::vector<int16_t>> voices;
    for (int i = 0; i < 20; i++) voices.push_back(noise(random, samples, 32767));
    voices[3].assign(samples, INT16_MIN);
    std::vector<int32_t> sum(samples);
    for (const auto& voice : voices) addTo(sum.data(), voice.data(), samples);
    std::vector<int16_t> out(samples);
    size_t limited = 0;
    for (const auto& own : voices) {
      leaveOut(sum.data(), own.data(), samples, out.data());
      for (size_t i = 0; i < samples; i++) {
        int32_t others = 0;
        for (const auto& voice : voices) others += &voice == &own ? 0 : voice[i];
        if (others > 32767 || others < -32768) limited++;
        REQUIRE(out[i] == std::clamp(others, -32768, 32767));
      }
    }
    CHECK((samples < 160 || limited > 0));
    leaveOut(sum.data(), nullptr, samples, out.data());
    for (size_t i = 0; i < samples; i++) REQUIRE(out[i] == std::clamp(sum[i], -32768, 32767));
  }
}

TEST_CASE("a line gives back what came, in pieces of 20 ms, after its delay") {
  DelayLine line(8000);
  std::vector<int16_t> pcm(kFrame);
  std::vector<int16_t> out(kFrame);
  int16_t next = 0;
  int16_t expected = 0;
  const auto push = [&](size_t samples) {
    std::vector<int16_t> piece(samples);
    for (auto& sample : piece) sample = next++;
    line.push(piece.data(), samples);
  };
  push(300);
  CHECK_FALSE(line.pull(out.data()));
  push(180);
  for (int i = 0; i < 40; i++) {
    REQUIRE(line.pull(out.data()));
    for (const int16_t sample : out) REQUIRE(sample == expected++);
    push(i % 2 == 0 ? 0 : 320);
  }
  SUBCASE("what is left at the end is filled up with silence, and it begins anew with more delay") {
    push(40);
    while (line.heldSamples() >= kFrame) REQUIRE(line.pull(out.data()));
    REQUIRE(line.pull(out.data()));
    CHECK(out[39] != 0);
    CHECK(out[40] == 0);
    CHECK_FALSE(line.pull(out.data()));
    push(3 * kFrame);
    CHECK_FALSE(line.pull(out.data()));
    push(kFrame);
    CHECK(line.pull(out.data()));
  }
  SUBCASE("a burst longer than it holds drops the oldest") {
    push(8000);
    CHECK(line.heldSamples() == kFrame * DelayLine::kHeldMaxMs / 20);
    REQUIRE(line.pull(out.data()));
    CHECK(out[0] == static_cast<int16_t>(next - static_cast<int>(kFrame * DelayLine::kHeldMaxMs / 20)));
  }
}

TEST_CASE("a clock that is faster by a thousandth makes no delay that grows") {
  DelayLine line(8000);
  std::vector<int16_t> out(kFrame);
  const std::vector<int16_t> pcm(kFrame);
  double came = 0;
  for (int tick = 0; tick < 50 * 600; tick++) {
    for (came += 1.001; came >= 1; came -= 1) line.push(pcm.data(), kFrame);
    line.pull(out.data());
    REQUIRE(line.heldSamples() <= kFrame * 6);
  }
}

TEST_CASE("a room's seats are taken once, and given back") {
  Memory memory(3);
  RoomMemory one(memory.data(), memory.shape);
  RoomMemory other(memory.data(), memory.shape);
  CHECK(one.take(0, 0, 1) == 0U);
  CHECK(other.take(1, 0, 1) == 1U);
  CHECK(one.take(0, 0, 1) == 2U);
  CHECK_FALSE(other.take(1, 0, 1).has_value());
  CHECK(other.taken() == 3);
  one.give(0);
  CHECK(other.take(1, 0, 1) == 0U);
  // The thread of the reactor 1 has ended.
  one.giveAll(1);
  CHECK(one.taken() == 1);
}

TEST_CASE("a thread that is near is waited for, and one that is held is not") {
  Memory memory(3);
  RoomMemory room(memory.data(), memory.shape);
  const auto own = room.take(0, 0, 1);
  CHECK(room.othersAreDone(0, 10));
  const auto other = room.take(1, 0, 1);
  // It has not begun.
  CHECK(room.othersAreDone(0, 10));
  room.done(*other, 8);
  CHECK_FALSE(room.othersAreDone(0, 10));
  CHECK(room.othersAreDone(0, 11));
  room.done(*other, 10);
  CHECK(room.othersAreDone(0, 10));
  CHECK(room.othersAreDone(0, 9));
  CHECK_FALSE(room.othersAreDone(0, 11));
  room.done(*own, 1);
  CHECK(room.othersAreDone(0, 10));
  room.give(*other);
  CHECK(room.othersAreDone(0, 11));
}

TEST_CASE("a frame is heard at its tick alone") {
  Memory memory(1);
  RoomMemory room(memory.data(), memory.shape);
  CHECK(room.heard(0, 0) == nullptr);
  std::fill_n(room.frame(0, 5), kFrame, int16_t{7});
  room.written(0, 5);
  REQUIRE(room.heard(0, 5) != nullptr);
  CHECK(room.heard(0, 5)[kFrame - 1] == 7);
  CHECK(room.heard(0, 5 + RoomMemory::kTicks) == nullptr);
  CHECK(room.heard(0, 4) == nullptr);
}

TEST_CASE("the rate rises to the second-highest that a participant needs, some ticks later, and never falls") {
  Memory memory(4, 3);
  RoomMemory room(memory.data(), memory.shape);
  const auto rate = [&](uint64_t tick) { return kRoomRates[room.rateAt(tick)]; };
  room.take(0, roomRateFor(16000), 100);
  CHECK(rate(200) == 8000);
  const auto second = room.take(0, roomRateFor(22050), 200);
  CHECK(rate(203) == 8000);
  CHECK(rate(204) == 16000);
  room.take(1, roomRateFor(48000), 300);
  CHECK(rate(303) == 16000);
  CHECK(rate(304) == 24000);
  room.give(*second);
  CHECK(rate(400) == 24000);
}

TEST_CASE("threads that take and give seats at once lose none of them") {
  Memory memory(8);
  std::vector<std::thread> threads;
  std::atomic<int> doubled{0};
  std::array<std::atomic<int>, 8> holders{};
  for (uint32_t reactor = 0; reactor < 4; reactor++) {
    threads.emplace_back([&, reactor] {
      RoomMemory room(memory.data(), memory.shape);
      for (int i = 0; i < 2000; i++) {
        const auto seat = room.take(reactor, 0, 1);
        if (!seat) continue;
        if (holders[*seat].fetch_add(1) != 0) doubled++;
        holders[*seat].fetch_sub(1);
        room.give(*seat);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(doubled == 0);
  RoomMemory room(memory.data(), memory.shape);
  CHECK(room.taken() == 0);
  for (int i = 0; i < 8; i++) CHECK(room.take(0, 0, 1).has_value());
}

TEST_CASE("participants of several rates hear each other at the room's rate") {
  Memory memory(3, 3);
  Room room(memory.data(), memory.shape, 0);
  Heard heard;
  double nowMs = 1000;
  Participant* narrow = room.join(0, 8000, 8000, nowMs);
  Participant* wide = room.join(1, 16000, 16000, nowMs);
  Participant* odd = room.join(2, 22050, 22050, nowMs);
  for (int tick = 0; tick < 30; tick++, nowMs += 20) {
    fill(narrow->line, 1000, 1);
    fill(wide->line, 2000, 1);
    fill(odd->line, 3000, 1);
    room.run(nowMs, heard);
  }
  CHECK(heard.rates == std::set<int>{8000, 16000});
  // A constant is the same at all rates.
  const double last = nowMs - 20;
  for (const auto& [stream, level] : {std::pair{0, 5000}, {1, 4000}, {2, 3000}}) {
    const auto& frame = heard.frames[{stream, last}];
    REQUIRE(frame.size() == 320);
    for (const int16_t sample : frame) REQUIRE(std::abs(sample - level) <= 8);
  }
}

TEST_CASE("a tape has every tick at its place, whether it is fetched in time or not") {
  Tape tape(8000);
  std::vector<int16_t> out(16000);
  const std::vector<int16_t> pcm(kFrame, 9);
  CHECK(tape.take(out.data(), out.size()) == 0);
  tape.skip(2);
  tape.append(pcm.data(), kFrame, 8000);
  tape.skip(1);
  tape.append(pcm.data(), kFrame, 8000);
  CHECK(tape.take(out.data(), out.size()) == -320);
  CHECK(tape.take(out.data(), 200) == 200);
  CHECK(out[159] == 9);
  CHECK(out[160] == 0);
  CHECK(tape.take(out.data(), out.size()) == 280);
  CHECK(out[279] == 9);
  // Nobody fetches for 1.5 s.
  for (int i = 0; i < 75; i++) tape.append(pcm.data(), kFrame, 8000);
  CHECK(tape.take(out.data(), out.size()) == 8000);
  CHECK(tape.take(out.data(), out.size()) == -4000);
  CHECK(tape.take(out.data(), out.size()) == 0);
  // Another rate has the same length.
  const std::vector<int16_t> wide(320, 9);
  tape.append(wide.data(), 320, 16000);
  CHECK(tape.take(out.data(), out.size()) == 160);
}

// --- any joins, leaves, holds, mutes, losses and stalls, on one to three threads ---

namespace {
/** A participant and what a second line says that its own gives. */
struct Member {
  int stream;
  size_t thread;
  Participant* participant;
  DelayLine mirror{8000};
  uint64_t done = 0;
};

struct World {
  explicit World(unsigned seed) : random(seed), threads(1 + random() % 3), memory(8) {
    for (uint32_t i = 0; i < threads; i++) {
      rooms.push_back(std::make_unique<Room>(memory.data(), memory.shape, i));
    }
    stalled.resize(threads);
    spoken.resize(threads);
    mixed.resize(threads);
  }

  size_t of(size_t thread) const {
    return static_cast<size_t>(
        std::count_if(members.begin(), members.end(), [&](const auto& m) { return m->thread == thread; }));
  }

  void change() {
    const unsigned what = random() % 8;
    if (what < 2 && members.size() < 8) {
      auto member = std::make_unique<Member>();
      member->thread = random() % threads;
      member->stream = streams++;
      if (of(member->thread) == 0) {
        spoken[member->thread] = mixed[member->thread] = tick;
      }
      member->participant = rooms[member->thread]->join(member->stream, 8000, 8000, nowMs());
      REQUIRE(member->participant != nullptr);
      members.push_back(std::move(member));
    } else if (what == 2 && !members.empty()) {
      const size_t at = random() % members.size();
      rooms[members[at]->thread]->leave(members[at]->participant);
      for (auto& [key, frame] : written) {
        if (key.first == members[at]->stream) frame.clear();
      }
      members.erase(members.begin() + static_cast<long>(at));
    } else if (what < 5 && !members.empty()) {
      Member& member = *members[random() % members.size()];
      Participant& participant = *member.participant;
      participant.hears = random() % 3 != 0;
      participant.isHeard = random() % 3 != 0;
      participant.line.clear();
      member.mirror.clear();
    } else if (what == 5) {
      stalled[random() % threads] = random() % (random() % 4 == 0 ? 12 : 4);
    }
  }

  /** As the threads would do it. */
  void model(size_t thread) {
    if (of(thread) == 0) return;
    // A longer stall is not made up for.
    if (tick > spoken[thread] + 8) spoken[thread] = mixed[thread] = tick - 8;
    while (spoken[thread] < tick) {
      const uint64_t now = ++spoken[thread];
      for (const auto& member : members) {
        if (member->thread != thread) continue;
        member->done = now;
        std::vector<int16_t> frame(kFrame);
        if (!member->participant->isHeard || !member->mirror.pull(frame.data())) continue;
        written[{member->stream, now}] = frame;
      }
      while (mixed[thread] < now && isReady(thread, mixed[thread] + 1)) mixAt(thread, ++mixed[thread]);
    }
    while (mixed[thread] < tick && isReady(thread, mixed[thread] + 1)) mixAt(thread, ++mixed[thread]);
  }

  bool isReady(size_t thread, uint64_t at) const {
    return at + 2 <= spoken[thread] || std::all_of(members.begin(), members.end(), [&](const auto& member) {
             return member->thread == thread || member->done >= at || member->done + 2 < at;
           });
  }

  void mixAt(size_t thread, uint64_t at) {
    for (const auto& member : members) {
      if (member->thread != thread || !member->participant->hears) continue;
      std::vector<int32_t> sum(kFrame);
      bool any = false;
      for (const auto& [key, frame] : written) {
        if (key.second != at || key.first == member->stream || frame.empty()) continue;
        any = true;
        addTo(sum.data(), frame.data(), kFrame);
      }
      if (!any) continue;
      std::vector<int16_t> out(kFrame);
      leaveOut(sum.data(), nullptr, kFrame, out.data());
      expected[{member->stream, static_cast<double>(at * kRoomTickMs)}] = out;
    }
  }

  void step() {
    tick++;
    for (unsigned i = random() % 3; i > 0; i--) change();
    for (const auto& member : members) {
      // Of what was lost nothing comes; what is late comes with the next.
      for (unsigned frames = std::array<unsigned, 6>{0, 1, 1, 1, 1, 2}[random() % 6]; frames > 0; frames--) {
        const auto pcm = noise(random, kFrame, 20000);
        if (!member->participant->isHeard) continue;
        member->participant->line.push(pcm.data(), kFrame);
        member->mirror.push(pcm.data(), kFrame);
      }
    }
    for (size_t thread = 0; thread < threads; thread++) {
      if (stalled[thread] > 0) {
        stalled[thread]--;
        continue;
      }
      if (rooms[thread]->isActive()) rooms[thread]->run(nowMs(), heard);
      model(thread);
    }
    std::erase_if(written, [&](const auto& entry) { return entry.first.second + RoomMemory::kTicks <= tick; });
  }

  double nowMs() const { return static_cast<double>(tick * kRoomTickMs) + 3; }

  std::mt19937 random;
  size_t threads;
  Memory memory;
  std::vector<std::unique_ptr<Room>> rooms;
  std::vector<std::unique_ptr<Member>> members;
  std::vector<unsigned> stalled;
  std::vector<uint64_t> spoken;
  std::vector<uint64_t> mixed;
  std::map<std::pair<int, uint64_t>, std::vector<int16_t>> written;
  std::map<std::pair<int, double>, std::vector<int16_t>> expected;
  Heard heard;
  uint64_t tick = 100;
  int streams = 0;
};
}  // namespace

TEST_CASE("each participant hears exactly the sum of the others, whatever happens") {
  size_t heard = 0;
  for (unsigned seed = 1; seed <= 60; seed++) {
    CAPTURE(seed);
    World world(seed);
    for (int step = 0; step < 300; step++) world.step();
    REQUIRE(world.heard.frames.size() == world.expected.size());
    REQUIRE(world.heard.frames == world.expected);
    heard += world.expected.size();
  }
  CHECK(heard > 10000);
}
