#include "mix/room_memory.h"

#include <algorithm>

namespace sidetone {

static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<uint32_t>::is_always_lock_free);

uint32_t roomRateFor(int hz) {
  uint32_t rate = 0;
  while (rate + 1 < kRoomRates.size() && kRoomRates[rate] < hz) rate++;
  return rate;
}

namespace {
size_t frameSamplesOf(uint32_t rate) {
  return static_cast<size_t>(kRoomRates[rate]) * kRoomTickMs / 1000;
}
}  // namespace

size_t RoomMemory::bytes(const RoomShape& shape) {
  return sizeof(Header) + shape.seats * sizeof(Seat) +
         shape.seats * kTicks * frameSamplesOf(shape.rateMax) * sizeof(int16_t);
}

RoomMemory::RoomMemory(uint8_t* memory, const RoomShape& shape)
    : header_(reinterpret_cast<Header*>(memory)),
      seats_(reinterpret_cast<Seat*>(memory + sizeof(Header))),
      frames_(reinterpret_cast<int16_t*>(memory + sizeof(Header) + shape.seats * sizeof(Seat))),
      seatCount_(shape.seats),
      frameSamples_(frameSamplesOf(shape.rateMax)),
      rateMax_(shape.rateMax) {}

std::optional<size_t> RoomMemory::take(uint32_t reactor, uint32_t rate, uint64_t tick) {
  for (size_t seat = 0; seat < seatCount_; seat++) {
    uint32_t free = 0;
    if (!seats_[seat].owner.compare_exchange_strong(free, reactor + 1)) continue;
    const uint32_t need = std::min(rate, rateMax_);
    seats_[seat].need.store(need);
    header_->needs[need].fetch_add(1);
    header_->taken.fetch_add(1);
    uint32_t used = header_->used.load();
    const auto wanted = static_cast<uint32_t>(seat + 1);
    while (used < wanted && !header_->used.compare_exchange_weak(used, wanted)) {
    }
    raise(tick);
    return seat;
  }
  return std::nullopt;
}

void RoomMemory::give(size_t seat) {
  header_->needs[seats_[seat].need.load()].fetch_sub(1);
  header_->taken.fetch_sub(1);
  for (auto& tag : seats_[seat].written) tag.store(0, std::memory_order_relaxed);
  seats_[seat].done.store(0, std::memory_order_relaxed);
  seats_[seat].owner.store(0, std::memory_order_release);
}

void RoomMemory::giveAll(uint32_t reactor) {
  for (size_t seat = 0; seat < seatsUsed(); seat++) {
    if (seats_[seat].owner.load() == reactor + 1) give(seat);
  }
}

bool RoomMemory::othersAreDone(uint32_t reactor, uint64_t tick) const {
  for (size_t seat = 0; seat < seatsUsed(); seat++) {
    const uint32_t owner = seats_[seat].owner.load(std::memory_order_relaxed);
    if (owner == 0 || owner == reactor + 1) continue;
    const auto missing =
        static_cast<int32_t>(tagOf(tick) - seats_[seat].done.load(std::memory_order_acquire));
    if (missing > 0 && missing <= kNearTicks) return false;
  }
  return true;
}

uint32_t RoomMemory::rateAt(uint64_t tick) const {
  const uint64_t rate = header_->rate.load(std::memory_order_acquire);
  return static_cast<uint32_t>(tick >= rate >> 4 ? rate & 3 : rate >> 2 & 3);
}

/** No two participants have more in common than the second-highest of the rates that they need. */
void RoomMemory::raise(uint64_t tick) {
  uint32_t wanted = static_cast<uint32_t>(kRoomRates.size());
  for (uint32_t atLeast = 0; wanted > 0 && atLeast < 2;) atLeast += header_->needs[--wanted].load();
  uint64_t rate = header_->rate.load();
  while (wanted > (rate & 3)) {
    const uint64_t next = (tick + kRiseTicks) << 4 | rateAt(tick) << 2 | wanted;
    if (header_->rate.compare_exchange_weak(rate, next)) return;
  }
}

}  // namespace sidetone
