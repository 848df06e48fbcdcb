#include "mix/room.h"

#include <algorithm>

#include "mix/sum.h"

namespace sidetone {

Room::Room(uint8_t* memory, const RoomShape& shape, uint32_t reactor)
    : memory_(memory, shape), reactor_(reactor) {}

Room::~Room() {
  for (const auto& participant : participants_) memory_.give(participant->seat);
}

/** Its first tick is the next one. */
void Room::begin(double nowMs) {
  if (!isActive()) spoken_ = mixed_ = tickOf(nowMs);
}

Participant* Room::join(int stream, int sourceHz, int outHz, double nowMs) {
  const uint32_t rate = roomRateFor(std::max(sourceHz, outHz));
  const auto seat = memory_.take(reactor_, rate, tickOf(nowMs));
  if (!seat) return nullptr;
  begin(nowMs);
  participants_.push_back(std::make_unique<Participant>(stream, *seat, sourceHz));
  return participants_.back().get();
}

void Room::leave(Participant* participant) {
  memory_.give(participant->seat);
  std::erase_if(participants_, [&](const auto& other) { return other.get() == participant; });
}

void Room::record(int sampleHz, double nowMs) {
  begin(nowMs);
  tape_ = std::make_unique<Tape>(sampleHz);
}

void Room::run(double nowMs, RoomPlayer& player) {
  const uint64_t tick = tickOf(nowMs);
  if (tick > spoken_ + kCatchUpTicks) {
    const uint64_t first = tick - kCatchUpTicks;
    if (tape_) tape_->skip(first - mixed_);
    spoken_ = mixed_ = first;
  }
  while (spoken_ < tick) {
    speak(++spoken_);
    mixReady(player);
  }
  mixReady(player);
}

void Room::mixReady(RoomPlayer& player) {
  while (mixed_ < spoken_) {
    const uint64_t next = mixed_ + 1;
    if (next + kWaitTicks > spoken_ && !memory_.othersAreDone(reactor_, next)) return;
    mix(++mixed_, player);
  }
}

void Room::speak(uint64_t tick) {
  const int hz = kRoomRates[memory_.rateAt(tick)];
  for (const auto& participant : participants_) {
    if (participant->isHeard && participant->line.pull(pcm_.data())) write(*participant, tick, hz);
    memory_.done(participant->seat, tick);
  }
}

/** The 20 ms that lie in `pcm_`. */
void Room::write(Participant& participant, uint64_t tick, int hz) {
  const size_t samples = static_cast<size_t>(hz) * kRoomTickMs / 1000;
  const int16_t* pcm = pcm_.data();
  if (participant.roomHz != hz) {
    const int sourceHz = participant.line.sampleHz();
    participant.resampler = sourceHz == hz ? nullptr : std::make_unique<Resampler>(sourceHz, hz);
    participant.roomHz = hz;
  }
  if (participant.resampler) {
    participant.resampler->process(pcm, participant.line.frameSamples(), converted_.data());
    pcm = converted_.data();
  }
  std::copy_n(pcm, samples, memory_.frame(participant.seat, tick));
  memory_.written(participant.seat, tick);
}

void Room::mix(uint64_t tick, RoomPlayer& player) {
  const int hz = kRoomRates[memory_.rateAt(tick)];
  const size_t samples = static_cast<size_t>(hz) * kRoomTickMs / 1000;
  size_t speakers = 0;
  for (size_t seat = 0; seat < memory_.seatsUsed(); seat++) {
    const int16_t* frame = memory_.heard(seat, tick);
    if (!frame) continue;
    if (speakers++ == 0) std::fill_n(sum_.data(), samples, 0);
    addTo(sum_.data(), frame, samples);
  }
  if (tape_) {
    if (speakers == 0) {
      tape_->skip(1);
    } else {
      leaveOut(sum_.data(), nullptr, samples, pcm_.data());
      tape_->append(pcm_.data(), samples, hz);
    }
  }
  if (speakers == 0) return;
  for (const auto& participant : participants_) {
    if (!participant->hears) continue;
    const int16_t* own = memory_.heard(participant->seat, tick);
    if (own && speakers == 1) continue;
    leaveOut(sum_.data(), own, samples, pcm_.data());
    player.playMixed(participant->stream, pcm_.data(), samples, hz, static_cast<double>(tick * kRoomTickMs));
  }
}

}  // namespace sidetone
