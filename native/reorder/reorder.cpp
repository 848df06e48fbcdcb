#include "reorder/reorder.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace sidetone {
namespace {
constexpr double kNever = std::numeric_limits<double>::infinity();
// An hour at 48 kHz.
constexpr uint64_t kTimestampStepMax = uint64_t{48000} * 3600;
}  // namespace

Reorder::~Reorder() {
  dropHeld();
  for (uint32_t i = 0; i < suspectCount_; i++) pool_->give(suspects_[i]->block);
}

Reorder::Push Reorder::push(const ReorderFrame& frame, bool fresh, bool nothingMissing, double nowMs) {
  if (sibling_ && !ownCounter_ && sibling_->seen(frame.chunk)) ownCounter_ = sibling_->ownCounter_ = true;
  const bool newTimestamp = isNewTimestamp(frame.timestamp);

  if (!started_) {
    // Chunk 0 can have no predecessor, whatever the origin.
    if (!nothingMissing && frame.chunk != 0) return hold(frame, nowMs) ? Push::Held : Push::Dropped;
    // What is held came earlier and has waited for this: it begins, if it is the lower number.
    start(held_ && held_->chunk < frame.chunk ? held_->chunk : frame.chunk);
  }
  passSibling();

  if (frame.chunk == next_) {
    dropSuspects();
    advance(1, true);
    return Push::Deliver;
  }
  const bool ahead = frame.chunk > next_;
  const uint64_t distance = ahead ? frame.chunk - next_ : next_ - frame.chunk;
  if (ahead && isWithinGap(frame.chunk)) return hold(frame, nowMs) ? Push::Held : Push::Dropped;
  if (stride_ == 2 && frame.chunk + 1 == next_ && fresh) {  // the counter no longer serves another track too
    stride_ = 1;
    strideGuess_ = 0;
    start(frame.chunk);
    advance(1, true);
    return Push::Deliver;
  }

  const bool inWindow = !ahead && distance <= kWindow * stride_;
  if (!fresh && !newTimestamp && inWindow) {
    (seen(frame.chunk) ? counters_.duplicate : counters_.late)++;
    return Push::Dropped;
  }
  if (fresh && !inWindow) {
    dropHeld();
    start(frame.chunk);
    advance(1, true);
    counters_.resync++;
    return Push::Deliver;
  }
  return suspect(frame, nowMs);
}

Reorder::Pop Reorder::pop(double nowMs, uint8_t* out, Popped& popped) {
  while (held_) {
    const Held& first = *held_;
    if (!started_) {
      if (nowMs < deadlineMs_ && !giveUpGap_) return Pop::Nothing;
      start(first.chunk);
    }
    passSibling();
    if (first.chunk < next_) {  // the other track's number was the same as ours, or the numbers were reset
      counters_.late++;
      removeFirst();
      continue;
    }
    if (first.chunk == next_) {
      copyOut(first, out);
      popped.frame = {first.chunk, first.timestamp, out, first.bytes};
      popped.arrivedMs = first.arrivedMs;
      counters_.reordered++;
      advance(1, true);
      removeFirst();
      return Pop::Payload;
    }
    if (nowMs < deadlineMs_ && !giveUpGap_) return Pop::Nothing;
    giveUpGap_ = false;
    const uint64_t distance = first.chunk - next_;
    if (distance > kGapMax * stride_) {
      // It came before the track had begun: its number is garbled, unless others follow it.
      if (first.later && first.later->chunk - first.chunk <= kWindow * stride_) {
        start(first.chunk);
        counters_.resync++;
      } else {
        counters_.late++;
        removeFirst();
      }
      continue;
    }
    popped.frame = {first.chunk, first.timestamp, nullptr, 0};
    popped.lost = distance / stride_ + (distance % stride_ != 0 ? 1 : 0);
    counters_.lost += static_cast<uint32_t>(popped.lost);
    advance(std::min<uint64_t>(popped.lost, kWindow), false);
    next_ = first.chunk;
    return Pop::Gap;
  }
  return Pop::Nothing;
}

bool Reorder::giveUpGap() {
  if (!started_ || !held_ || held_->chunk <= next_) return false;
  giveUpGap_ = true;
  return true;
}

bool Reorder::ready(double nowMs) {
  if (!held_) return false;
  if (nowMs >= deadlineMs_ || giveUpGap_) return true;
  if (!started_) return false;
  passSibling();
  return held_->chunk <= next_;
}

void Reorder::gapWasStride(uint64_t lost) {
  counters_.lost -= static_cast<uint32_t>(std::min<uint64_t>(lost, counters_.lost));
  // One counter for two tracks makes strides of 2; anything larger is a jump of the numbers.
  const uint64_t stride = lost + 1;
  if (stride_ == 1 && stride == 2) {
    if (strideGuess_ == stride) stride_ = stride;
    strideGuess_ = stride;
  }
}

bool Reorder::hold(const ReorderFrame& frame, double nowMs) {
  Held** link = &held_;
  while (*link && (*link)->chunk < frame.chunk) link = &(*link)->later;
  if (*link && (*link)->chunk == frame.chunk) {
    counters_.duplicate++;
    return false;
  }
  Held* held = store(frame, nowMs);
  if (!held) return false;
  held->later = *link;
  *link = held;
  heldCount_++;
  // Never left full: the caller pops now, and the first gap is given up.
  if (heldCount_ == kHeldMax) {
    giveUpGap_ = true;
    counters_.overflow++;
  }
  updateDeadline();
  return true;
}

Reorder::Held* Reorder::store(const ReorderFrame& frame, double nowMs) {
  const size_t rest = frame.bytes > kFirstBytes ? frame.bytes - kFirstBytes : 0;
  const size_t blocks = 1 + (rest + Block::kDataBytes - 1) / Block::kDataBytes;
  if (pool_->blocksLeft() < blocks) {
    counters_.overflow++;
    return nullptr;
  }
  Block* block = pool_->take();
  Held* held = new (block->data) Held{nullptr, frame.chunk, frame.timestamp, nowMs, frame.bytes, block};
  std::memcpy(block->data + sizeof(Held), frame.payload, frame.bytes - rest);
  const uint8_t* from = frame.payload + (frame.bytes - rest);
  for (size_t left = rest; left > 0;) {
    block->next = pool_->take();
    block = block->next;
    const size_t part = std::min(left, Block::kDataBytes);
    std::memcpy(block->data, from, part);
    from += part;
    left -= part;
  }
  return held;
}

void Reorder::copyOut(const Held& held, uint8_t* out) {
  size_t part = std::min(held.bytes, kFirstBytes);
  std::memcpy(out, held.block->data + sizeof(Held), part);
  const Block* block = held.block->next;
  for (size_t done = part; done < held.bytes; done += part, block = block->next) {
    part = std::min(held.bytes - done, Block::kDataBytes);
    std::memcpy(out + done, block->data, part);
  }
}

void Reorder::removeFirst() {
  Held* first = held_;
  held_ = first->later;
  heldCount_--;
  pool_->give(first->block);
  updateDeadline();
}

void Reorder::dropHeld() {
  while (held_) {
    removeFirst();
    counters_.late++;
  }
  giveUpGap_ = false;
}

void Reorder::passSibling() {
  if (!sibling_ || ownCounter_ || !started_) return;
  while (sibling_->seen(next_)) advance(1, false);
}

bool Reorder::seen(uint64_t chunk) const {
  if (!started_ || chunk >= next_) {
    for (const Held* held = held_; held; held = held->later) {
      if (held->chunk == chunk) return true;
    }
    return false;
  }
  const uint64_t back = next_ - chunk;
  if (back % stride_ != 0) return false;
  const uint64_t bit = back / stride_ - 1;
  return bit < 64 && ((seen_ >> bit) & 1) != 0;
}

// Whether no more can be missing before a chunk from ahead of our place than a call can lose.
bool Reorder::isWithinGap(uint64_t chunk) const {
  if (chunk - next_ <= kGapMax * stride_) return true;
  const Held* last = held_;
  if (!last) return false;
  while (last->later) last = last->later;
  return chunk <= last->chunk + kGapMax * stride_;
}

// Whether it is above all timestamps so far. One that is hours away is believed when another follows it.
bool Reorder::isNewTimestamp(uint64_t timestamp) {
  const bool newer = timestamp > newestTimestamp_;
  const uint64_t distance = newer ? timestamp - newestTimestamp_ : newestTimestamp_ - timestamp;
  if (started_ && distance > kTimestampStepMax) {
    if (!farTimestamp_.follows(timestamp, kTimestampStepMax)) return false;
    newestTimestamp_ = timestamp;
    return true;
  }
  if (newer) newestTimestamp_ = timestamp;
  return newer;
}

void Reorder::advance(uint64_t steps, bool received) {
  next_ += steps * stride_;
  seen_ = (steps >= 64 ? 0 : seen_ << steps) | (received ? 1 : 0);
}

void Reorder::start(uint64_t chunk) {
  started_ = true;
  next_ = chunk;
  seen_ = 0;
}

/**
 * A frame from before our place, or far ahead of it, that looks new: either its number was garbled or given
 * afresh, or the numbers have restarted or jumped. kRunLength such frames in a row, each following the last,
 * are a restart where no expected frame comes between. All of them are heard.
 */
Reorder::Push Reorder::suspect(const ReorderFrame& frame, double nowMs) {
  if (suspectCount_ > 0 && frame.chunk != suspects_[suspectCount_ - 1]->chunk + stride_) dropSuspects();
  if (suspectCount_ + 1 < kRunLength) {
    Held* held = store(frame, nowMs);
    if (!held) return Push::Dropped;
    suspects_[suspectCount_++] = held;
    return Push::Held;
  }
  dropHeld();
  start(suspects_[0]->chunk);
  counters_.resync++;
  newestTimestamp_ = frame.timestamp;
  for (uint32_t i = suspectCount_; i-- > 0;) {
    suspects_[i]->later = held_;
    held_ = suspects_[i];
  }
  heldCount_ = suspectCount_;
  suspectCount_ = 0;
  updateDeadline();
  hold(frame, nowMs);
  return Push::Held;
}

void Reorder::dropSuspects() {
  for (uint32_t i = 0; i < suspectCount_; i++) {
    (seen(suspects_[i]->chunk) ? counters_.duplicate : counters_.late)++;
    pool_->give(suspects_[i]->block);
  }
  suspectCount_ = 0;
}

void Reorder::updateDeadline() {
  double noticed = kNever;
  for (const Held* held = held_; held; held = held->later) noticed = std::min(noticed, held->arrivedMs);
  deadlineMs_ = noticed + waitMs_;
}

}  // namespace sidetone
