#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "mix/delay_line.h"
#include "mix/room_memory.h"
#include "mix/tape.h"
#include "resample/resampler.h"

namespace sidetone {

/** One stream in a room, in the thread that carries it. */
struct Participant {
  Participant(int streamNumber, size_t seatNumber, int sourceHz)
      : stream(streamNumber), seat(seatNumber), line(sourceHz) {}
  int stream;
  size_t seat;
  bool isHeard = true;  // by the others
  bool hears = true;    // the others
  DelayLine line;
  int roomHz = 0;  // that the resampler was made for
  std::unique_ptr<Resampler> resampler;
};

/** Whoever plays to the participants what they are to hear. */
class RoomPlayer {
 public:
  virtual void playMixed(int stream, const int16_t* pcm, size_t samples, int sampleHz, double timestampMs) = 0;

 protected:
  ~RoomPlayer() = default;
};

/**
 * A room as one thread runs it. At every tick of 20 ms it takes 20 ms of each of its own participants, writes
 * them to the shared memory, and mixes for them what all threads have written:
 *
 *   each:  line ─▶ resample ─▶ frame of its seat │ sum of all frames ─▶ less its own ─▶ playMixed()
 *
 * Where other threads have participants too, a tick is mixed when all have written it, as a rule within 2 ms.
 * A thread that is held by something is waited for once, for 40 ms, and is silent for the others then.
 */
class Room {
 public:
  Room(uint8_t* memory, const RoomShape& shape, uint32_t reactor);
  ~Room();
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;

  static uint64_t tickOf(double nowMs) { return static_cast<uint64_t>(nowMs / kRoomTickMs); }

  /** `outHz`: the rate of what it hears. Null: all seats are taken. */
  Participant* join(int stream, int sourceHz, int outHz, double nowMs);
  void leave(Participant* participant);

  /** Records from the next tick on, at `sampleHz`. */
  void record(int sampleHz, double nowMs);
  void stopRecording() { tape_.reset(); }
  Tape* tape() { return tape_.get(); }

  /** Whether it must run at every tick. */
  bool isActive() const { return !participants_.empty() || tape_; }
  void run(double nowMs, RoomPlayer& player);
  /** A tick waits for another thread: run it again soon. */
  bool isWaiting() const { return mixed_ < spoken_; }

  /** Participants of all threads. */
  uint32_t taken() const { return memory_.taken(); }
  int sampleHz(double nowMs) const { return kRoomRates[memory_.rateAt(tickOf(nowMs))]; }

 private:
  static constexpr size_t kFrameMax = 48000 * kRoomTickMs / 1000;
  // A stall that is longer than this is not made up for: the far ends would only have it as delay.
  static constexpr uint64_t kCatchUpTicks = 8;
  static constexpr uint64_t kWaitTicks = 2;

  void begin(double nowMs);
  void speak(uint64_t tick);
  void write(Participant& participant, uint64_t tick, int hz);
  void mixReady(RoomPlayer& player);
  void mix(uint64_t tick, RoomPlayer& player);

  RoomMemory memory_;
  uint32_t reactor_;
  uint64_t spoken_ = 0;  // the last tick that was written …
  uint64_t mixed_ = 0;   // … and the last that was mixed
  std::vector<std::unique_ptr<Participant>> participants_;
  std::unique_ptr<Tape> tape_;
  std::array<int32_t, kFrameMax> sum_{};
  std::array<int16_t, kFrameMax> pcm_{};
  std::array<int16_t, kFrameMax + 64> converted_{};
};

}  // namespace sidetone
