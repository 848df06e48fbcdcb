#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace sidetone {

/** Rates at which rooms mix, in Hz. */
constexpr std::array<int, 4> kRoomRates = {8000, 16000, 24000, 48000};
/** Index of the lowest of kRoomRates that loses nothing of `hz`. */
uint32_t roomRateFor(int hz);

/** One tick of all rooms in all threads. */
constexpr int kRoomTickMs = 20;

struct RoomShape {
  size_t seats = 2;
  uint32_t rateMax = 3;  // index of kRoomRates
};

// clang-format off
/**
 * The memory of one room. The threads of a process share it, and each has a RoomMemory of its own over it.
 *
 *   header | words of seat 0, 1, … | frames of seat 0: tick % 16 = 0, 1, … 15 | frames of seat 1 | …
 *
 * A seat is written by the one thread that has taken it. A frame is valid for a tick when its seat's word
 * says that tick. A reader that a stall holds for 300 ms may hear a newer frame, and nothing worse.
 *
 * The room's rate is a function of the tick, so that all threads agree: it is raised some ticks ahead, and
 * never lowered.
 */
// clang-format on
class RoomMemory {
 public:
  static constexpr size_t kTicks = 16;

  /** Bytes that a room needs, all of them 0 at first. */
  static size_t bytes(const RoomShape& shape);

  /** `memory` must be aligned to 8 bytes. */
  RoomMemory(uint8_t* memory, const RoomShape& shape);

  /** Takes a free seat for a participant that needs the rate kRoomRates[rate]; none where all are taken. */
  std::optional<size_t> take(uint32_t reactor, uint32_t rate, uint64_t tick);
  void give(size_t seat);
  /** Gives all seats of a thread that has ended. */
  void giveAll(uint32_t reactor);

  /** Participants of all threads. */
  uint32_t taken() const { return header_->taken.load(std::memory_order_relaxed); }
  /**
   * Whether the other threads than this one's have done with a tick. Those that have not come near it are
   * held by something, and are not waited for.
   */
  bool othersAreDone(uint32_t reactor, uint64_t tick) const;
  /** The thread has done with this tick, whether there was a frame or not. */
  void done(size_t seat, uint64_t tick) const {
    seats_[seat].done.store(tagOf(tick), std::memory_order_release);
  }
  uint32_t rateAt(uint64_t tick) const;

  /** Where the frame of a seat for this tick lies, for its writer. */
  int16_t* frame(size_t seat, uint64_t tick) const {
    return frames_ + (seat * kTicks + tick % kTicks) * frameSamples_;
  }
  /** The frame of this tick is written. */
  void written(size_t seat, uint64_t tick) const {
    seats_[seat].written[tick % kTicks].store(tagOf(tick), std::memory_order_release);
  }
  /** The frame of a seat for this tick; null where it has none. */
  const int16_t* heard(size_t seat, uint64_t tick) const {
    const uint32_t tag = seats_[seat].written[tick % kTicks].load(std::memory_order_acquire);
    return tag == tagOf(tick) ? frame(seat, tick) : nullptr;
  }
  /** Seats from this one on have never been taken. */
  size_t seatsUsed() const { return header_->used.load(std::memory_order_acquire); }

 private:
  static constexpr int32_t kNearTicks = 2;
  // A rise of the rate is seen by every thread before its tick comes.
  static constexpr uint64_t kRiseTicks = 4;
  static uint32_t tagOf(uint64_t tick) { return static_cast<uint32_t>(tick) + 1; }

  // Threads that write different seats should not share a cache line: hence the sizes.
  struct Header {
    std::atomic<uint64_t> rate;  // tick of the last rise << 4 | rate before << 2 | rate since
    std::array<std::atomic<uint32_t>, kRoomRates.size()> needs;  // participants by the rate they need
    std::atomic<uint32_t> taken;
    std::atomic<uint32_t> used;
    std::array<uint32_t, 8> unused;
  };
  static_assert(sizeof(Header) == 64);
  struct Seat {
    std::atomic<uint32_t> owner;  // number of its thread's reactor + 1; 0: free
    std::atomic<uint32_t> need;
    std::atomic<uint32_t> done;
    std::array<std::atomic<uint32_t>, kTicks> written;
    std::array<uint32_t, 13> unused;
  };
  static_assert(sizeof(Seat) == 128);

  void raise(uint64_t tick);

  Header* header_;
  Seat* seats_;
  int16_t* frames_;
  size_t seatCount_;
  size_t frameSamples_;
  uint32_t rateMax_;
};

}  // namespace sidetone
