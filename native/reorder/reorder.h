#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "memory/block_pool.h"
#include "reorder/number_jump.h"

namespace sidetone {

/** One media frame as it arrived. `payload` need not outlive the call it is passed to. */
struct ReorderFrame {
  uint64_t chunk;
  uint64_t timestamp;
  const uint8_t* payload;
  size_t bytes;
};

struct ReorderCounters {
  uint32_t reordered = 0;  // came before its turn and was heard in its turn
  uint32_t late = 0;       // came after its turn was given up; dropped
  uint32_t duplicate = 0;  // came again; dropped
  uint32_t lost = 0;       // never came in time
  uint32_t overflow = 0;   // a gap given up early because no more frames could be held
  uint32_t resync = 0;     // chunk numbers restarted, jumped back, or on by more than a call can lose
};

/**
 * Puts one track's frames in order without delaying what is in order. A frame whose turn it is passes
 * straight through; only a gap makes later frames wait, for at most `waitMs` from when the gap was noticed.
 *
 * Time is passed in. Held frames live in blocks of the reactor's pool. At most kHeldMax are held, which at 20
 * ms a frame is 2.5 s, far above any sensible `waitMs`. Only a burst can reach it, and then the gap is given
 * up.
 *
 * Chunk numbers are learned. Their origin is the first chunk seen, once nothing sent before it can still be
 * on its way. Their stride is what consecutive frames show. Where one counter serves both tracks, the other
 * track's numbers are not taken for losses. Numbers that restart, jump back, or jump on by more than kGapMax
 * are followed: at once where the sequence numbers vouch for them, else after kRunLength frames. Nothing of
 * such a jump counts as lost.
 */
class Reorder {
 public:
  static constexpr size_t kHeldMax = 128;
  static constexpr size_t kRunLength = 3;
  /** Two minutes of 20 ms: by then a connection on which nothing comes has been closed as idle. */
  static constexpr uint64_t kGapMax = 6000;

  Reorder(BlockPool& pool, double waitMs) : pool_(&pool), waitMs_(waitMs) {}
  ~Reorder();
  Reorder(const Reorder&) = delete;
  Reorder& operator=(const Reorder&) = delete;

  enum class Push : uint8_t {
    Deliver,  // it is this frame's turn: hear it now, then pop() until nothing comes
    Held,     // waits, or was the last of a run: pop() until nothing comes
    Dropped,  // late or duplicate
  };

  /**
   * @param fresh          newer than everything seen on this connection
   * @param nothingMissing nothing sent before it is still on its way, so that it may start the track
   */
  Push push(const ReorderFrame& frame, bool fresh, bool nothingMissing, double nowMs);

  enum class Pop : uint8_t {
    Nothing,
    Payload,  // `frame` is next; its payload was copied to `out`
    Gap,      // `lost` frames never came; the next pop() gives the frame after them, numbered here already
  };
  struct Popped {
    ReorderFrame frame{};
    uint64_t lost = 0;
    double arrivedMs = 0;  // of a payload
  };

  /** `out` has room for the largest payload ever pushed. */
  Pop pop(double nowMs, uint8_t* out, Popped& popped);

  /** Whether pop() would give something now. */
  bool ready(double nowMs);

  /** The frames that the present gap lacks are needed now. False: nothing waits behind one. */
  bool giveUpGap();

  /** When pop() will give up the present gap; infinity while nothing waits. */
  double deadlineMs() const { return deadlineMs_; }

  /** The other track of a stream whose chunk counter may serve both. */
  void setSibling(Reorder* sibling) { sibling_ = sibling; }

  /** Told when a gap turned out to be none (the audio is continuous): twice the same one is the stride. */
  void gapWasStride(uint64_t lost);

  const ReorderCounters& counters() const { return counters_; }
  size_t held() const { return heldCount_; }

 private:
  // A held frame is its first block: this header, then the payload, which goes on in the blocks chained
  // behind.
  //   Block | next | Held header (48 bytes) | first 968 bytes of the payload |
  struct Held {
    Held* later;  // the next higher chunk
    uint64_t chunk;
    uint64_t timestamp;
    double arrivedMs;
    size_t bytes;
    Block* block;  // the block this header lives in
  };
  static constexpr size_t kFirstBytes = Block::kDataBytes - sizeof(Held);

  static constexpr uint64_t kWindow = 64;

  bool hold(const ReorderFrame& frame, double nowMs);
  Held* store(const ReorderFrame& frame, double nowMs);
  static void copyOut(const Held& held, uint8_t* out);
  void removeFirst();
  void dropHeld();
  void passSibling();
  bool seen(uint64_t chunk) const;
  bool isWithinGap(uint64_t chunk) const;
  bool isNewTimestamp(uint64_t timestamp);
  void advance(uint64_t steps, bool received);
  void start(uint64_t chunk);
  Push suspect(const ReorderFrame& frame, double nowMs);
  void dropSuspects();
  void updateDeadline();

  BlockPool* pool_;
  Reorder* sibling_ = nullptr;
  Held* held_ = nullptr;  // by rising chunk
  double waitMs_;
  double deadlineMs_ = std::numeric_limits<double>::infinity();
  uint64_t next_ = 0;
  uint64_t seen_ = 0;  // bit i: next_ - (i + 1) * stride_ was received
  uint64_t stride_ = 1;
  uint64_t strideGuess_ = 0;
  uint64_t newestTimestamp_ = 0;
  FarNumber farTimestamp_;
  uint32_t heldCount_ = 0;
  uint32_t suspectCount_ = 0;
  std::array<Held*, kRunLength - 1> suspects_{};
  bool started_ = false;
  bool giveUpGap_ = false;
  bool ownCounter_ = false;  // a chunk number was seen on both tracks: each track counts for itself
  ReorderCounters counters_;
};

}  // namespace sidetone
