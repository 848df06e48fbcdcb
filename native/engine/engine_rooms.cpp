#include <algorithm>

#include "engine/engine.h"

namespace sidetone {
namespace {
// What of a prompt the far end still has when a room is heard again behind it: enough for no gap.
constexpr double kOwnAheadMs = 20;
// A tick that waits for another thread is looked at again after this long.
constexpr double kLookAgainMs = 1;
// A tick that is later than this comes from a stall of the event loop.
constexpr double kStallMs = 10;
}  // namespace

int Engine::openRoom(uint8_t* memory, const RoomShape& shape, uint32_t reactor) {
  const auto free = std::find(rooms_.begin(), rooms_.end(), nullptr);
  const auto number = static_cast<int>(free - rooms_.begin());
  auto room = std::make_unique<Room>(memory, shape, reactor);
  if (free == rooms_.end())
    rooms_.push_back(std::move(room));
  else
    *free = std::move(room);
  return number;
}

Room* Engine::room(int room) const {
  return room >= 0 && static_cast<size_t>(room) < rooms_.size() ? rooms_[static_cast<size_t>(room)].get()
                                                                : nullptr;
}

bool Engine::join(int stream, int number, double nowMs) {
  Stream& joining = at(stream);
  Room* joined = room(number);
  InboundTrack* inbound = joining.tracks[static_cast<size_t>(Track::Inbound)];
  if (!joined || !inbound || joining.inRoom) return false;
  const int delayMs = inbound->jitterBuffer() ? DelayLine::kSteadyMs : DelayLine::kDelayMs;
  Participant* participant =
      joined->join(stream, inbound->sourceHz(), joining.outbound.sampleHz(), nowMs, delayMs);
  if (!participant) return false;
  joining.room = joined;
  joining.participant = participant;
  joining.inRoom = true;
  joining.ownEnd = joining.outbound.acceptedPosition();
  inbound->setTap(&participant->line);
  scheduleRooms(nowMs);
  return true;
}

void Engine::leave(int stream) {
  Stream& leaving = at(stream);
  if (!leaving.inRoom) return;
  leaving.tracks[static_cast<size_t>(Track::Inbound)]->setTap(nullptr);
  leaving.room->leave(leaving.participant);
  leaving.room = nullptr;
  leaving.participant = nullptr;
  leaving.inRoom = false;
}

void Engine::setSeat(int stream, bool isHeard, bool hears) {
  Stream& seated = at(stream);
  if (!seated.inRoom) return;
  Participant& participant = *seated.participant;
  participant.hears = hears;
  if (participant.isHeard == isHeard) return;
  participant.isHeard = isHeard;
  participant.line.clear();
  // Whoever is not heard is not decoded either, unless a handler wants it.
  seated.tracks[static_cast<size_t>(Track::Inbound)]->setTap(isHeard ? &participant.line : nullptr);
}

void Engine::record(int number, int sampleHz, double nowMs) {
  if (Room* recorded = room(number)) {
    recorded->record(sampleHz, nowMs);
    scheduleRooms(nowMs);
  }
}

bool Engine::hasOwnAudio(int stream, double nowMs) const { return ownAheadMs(at(stream), nowMs) > 0; }

/** How much of what no room has played is still to be heard. */
double Engine::ownAheadMs(const Stream& playing, double nowMs) {
  const Outbound& outbound = playing.outbound;
  const double samplesPerMs = outbound.sampleHz() / 1000.0;
  const double ahead = (playing.ownEnd - outbound.playout().playedPosition(nowMs)) / samplesPerMs;
  if (ahead <= 0) return 0;
  const double queuedMs = (outbound.acceptedPosition() - outbound.sentPosition()) / samplesPerMs;
  // What was taken back and left out keeps its positions, and is never heard.
  return std::min(ahead, outbound.playout().unheardMs(nowMs) + queuedMs);
}

void Engine::scheduleRooms(double nowMs) {
  if (roomTimer_.scheduled()) return;
  double dueMs = static_cast<double>((Room::tickOf(nowMs) + 1) * kRoomTickMs);
  bool isActive = false;
  for (const auto& room : rooms_) {
    if (!room || !room->isActive()) continue;
    isActive = true;
    if (room->isWaiting()) dueMs = std::min(dueMs, nowMs + kLookAgainMs);
  }
  roomTimer_.track = kRoomTimer;
  if (isActive) wheel_.schedule(roomTimer_, dueMs);
}

void Engine::runRooms(double nowMs) {
  // What came during a stall is still in the sockets: without it, the participants' lines would run dry.
  if (!roomsStalled_ && nowMs > roomTimer_.dueMs + kStallMs) {
    roomsStalled_ = true;
    wheel_.schedule(roomTimer_, nowMs + kLookAgainMs);
    return;
  }
  roomsStalled_ = false;
  for (const auto& room : rooms_) {
    if (room && room->isActive()) room->run(nowMs, *this);
  }
  scheduleRooms(nowMs);
}

/** What play() has taken goes before what a room has, of which nothing is kept for later. */
void Engine::playMixed(int stream, const int16_t* pcm, size_t samples, int sampleHz, double timestampMs) {
  Stream& playing = at(stream);
  Outbound& outbound = playing.outbound;
  const double nowMs = tickedMs_;
  if (nowMs < playing.ownUntilMs || outbound.paused() || ownAheadMs(playing, nowMs) > kOwnAheadMs) return;
  const Live live{outbound.config().liveLatencyMaxMs, timestampMs, true};
  if (sendCount_ < kSendSlots) {
    char* const slot = reinterpret_cast<char*>(buffers_.slab + sendCount_ * slotBytes_);
    if (const size_t bytes =
            outbound.passThrough(pcm, samples, sampleHz, nullptr, nowMs, live, encoded_.data())) {
      addSend(playing, writeMedia(encoded_.data(), bytes, slot));
      return;
    }
  }
  if (outbound.enqueue(pcm, samples, sampleHz, nullptr, nowMs, live) >= 0) scheduleSend(playing, nowMs);
}

}  // namespace sidetone
