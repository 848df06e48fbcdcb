#include "engine/engine.h"

#include <algorithm>
#include <cmath>

#include "base64/base64.h"
#include "memory/prefetch.h"

namespace sidetone {
namespace {
constexpr size_t kFetchedAheadBytes = 384;
// An echo may come back so long after what it is of was heard: over a satellite and a speakerphone.
constexpr double kEchoMs = 500;
// Live audio that pauses for longer than this lets the room be heard again.
constexpr double kOwnRestMs = 60;
constexpr size_t kSliceSamplesMax = 48000 / 1000 * InboundTrack::kOpusSliceMs;
}  // namespace

Engine::Stream::Stream(BlockPool& pool, VoiceWindows& windows, const StreamConfig& config, int32_t index)
    : id(config.streamId), outbound(pool, config.outbound) {
  sequence.note(config.startSequence);
  sendTimer.stream = index;
  sendTimer.track = kSendTimer;
  for (size_t track = 0; track < 2; track++) {
    gapTimers[track].stream = index;
    gapTimers[track].track = static_cast<int8_t>(track);
    if (!config.wanted[track]) continue;
    const VoiceSeat seat{&windows, index, static_cast<int32_t>(track)};
    if (!firstTrack) {
      tracks[track] = &firstTrack.emplace(pool, config.inbound, seat);
    } else {
      secondTrack = std::make_unique<InboundTrack>(pool, config.inbound, seat);
      tracks[track] = secondTrack.get();
    }
  }
  if (tracks[0] && tracks[1]) {
    tracks[0]->reorder().setSibling(&tracks[1]->reorder());
    tracks[1]->reorder().setSibling(&tracks[0]->reorder());
  }
}

void Engine::Stream::fetch() const {
  const auto* begin = reinterpret_cast<const char*>(this);
  const auto* end = static_cast<const char*>(outbound.oftenUsedEnd());
  prefetch(begin, static_cast<size_t>(end - begin));
}

size_t Engine::slotBytes(const EngineConfig& config) {
  return mediaMessageLength(Outbound::payloadBytesMax(config.largestOutbound));
}

size_t Engine::payloadBytes(const EngineConfig& config) {
  return base64DecodedCapacity(config.messageBytesMax);
}

Engine::Engine(const EngineConfig& config, const EngineBuffers& buffers)
    : pool_(config.blocksMax),
      buffers_(buffers),
      payloadBytes_(payloadBytes(config)),
      pcm_(kSliceSamplesMax),
      encoded_(Outbound::payloadBytesMax(config.largestOutbound)),
      g722Batch_(Outbound::g722SamplesMax(config.largestOutbound)),
      slotBytes_(slotBytes(config)) {}

int Engine::open(const StreamConfig& config) {
  int32_t index;
  if (freeStreams_.empty()) {
    index = static_cast<int32_t>(streams_.size());
    streams_.emplace_back();
  } else {
    index = freeStreams_.back();
    freeStreams_.pop_back();
  }
  auto stream = std::make_unique<Stream>(pool_, voiceWindows_, config, index);
  if (stream->outbound.g722()) g722Batch_.reserve();
  streams_[static_cast<size_t>(index)] = std::move(stream);
  openStreams_++;
  return index;
}

void Engine::close(int stream) {
  Stream& closing = at(stream);
  leave(stream);
  addCounters(closing, closedTotals_);
  wheel_.cancel(closing.sendTimer);
  for (Timer& timer : closing.gapTimers) wheel_.cancel(timer);
  if (heard_.stream == stream) heard_ = {};
  streams_[static_cast<size_t>(stream)].reset();
  freeStreams_.push_back(stream);
  openStreams_--;
}

bool Engine::isOpen(int stream) const {
  return stream >= 0 && static_cast<size_t>(stream) < streams_.size() &&
         streams_[static_cast<size_t>(stream)];
}

size_t Engine::frameSamplesUsual(int stream, Track track) const {
  const auto& inbound = at(stream).tracks[static_cast<size_t>(track)];
  return inbound ? inbound->frameSamplesUsual() : 0;
}

size_t Engine::frameSamplesMax(int stream, Track track) const {
  const auto& inbound = at(stream).tracks[static_cast<size_t>(track)];
  return inbound ? inbound->frameSamplesMax() : 0;
}

const Senses* Engine::hush(int stream, Track track) {
  InboundTrack* inbound = at(stream).tracks[static_cast<size_t>(track)];
  return inbound ? inbound->hush() : nullptr;
}

void Engine::deafen(int stream) {
  for (InboundTrack* track : at(stream).tracks) {
    if (track) track->deafen();
  }
}

void Engine::setFrameBuffer(int stream, Track track, int16_t* frame, size_t samples) {
  at(stream).tracks[static_cast<size_t>(track)]->setFrameBuffer(frame, samples);
}

int Engine::receive(int stream, const char* text, size_t length, double nowMs) {
  at(stream).fetch();  // arrives while the message is being scanned
  MediaMessage message;
  if (!scanMedia(text, length, message)) return kNotRecognised;
  const int outcome = accept(at(stream), message, nowMs);
  // The scanner takes the payload up to the next quote; whether that was right is for the full parser to say.
  return outcome == kBadBase64 || outcome == kForeignStream ? kNotRecognised : outcome;
}

int Engine::receiveParsed(int stream, const MediaMessage& message, double nowMs) {
  return accept(at(stream), message, nowMs);
}

int Engine::accept(Stream& stream, const MediaMessage& message, double nowMs) {
  if (!(stream.id == message.streamId)) return kForeignStream;
  heard_.stream = -1;
  InboundTrack* inbound = stream.tracks[static_cast<size_t>(message.track)];
  if (inbound) inbound->fetch();  // arrives while the payload is being decoded
  size_t bytes = 0;
  if (inbound) {
    if (base64DecodedCapacity(message.payload.size()) > payloadBytes_) return kBadBase64;
    bytes = base64Decode(message.payload.data(), message.payload.size(), buffers_.payload);
    if (bytes == kBase64Invalid) return kBadBase64;
  }
  const SequenceTracker::Arrival arrival = stream.sequence.note(message.sequence);
  stream.lastMediaMs = nowMs;
  stream.mediaReceived++;
  if (!inbound) {
    stream.unwantedTrack++;
    return kNothing;
  }
  stream.bytesReceived += bytes;
  if (bytes == 0) stream.emptyPayloads++;
  inbound->push({message.chunk, message.timestamp, buffers_.payload, bytes}, arrival.fresh,
                arrival.nothingMissing, nowMs);
  return deliver(stream, message.track, nowMs);
}

int Engine::next(int stream, Track track, double nowMs) {
  if (!isOpen(stream)) return kNothing;
  heard_.stream = -1;
  return deliver(at(stream), track, nowMs);
}

int Engine::deliver(Stream& stream, Track track, double nowMs) {
  // Where one chunk counter serves both tracks, a frame of one can be what the other was waiting for.
  InboundTrack* other = stream.tracks[1 - static_cast<size_t>(track)];
  if (other && other->ready(nowMs) && !stream.tracks[static_cast<size_t>(track)]->ready(nowMs)) {
    track = track == Track::Inbound ? Track::Outbound : Track::Inbound;
  }
  InboundTrack& inbound = *stream.tracks[static_cast<size_t>(track)];
  if (track == Track::Inbound) inbound.setPlaying(stream.outbound.playout().isAudible(nowMs, kEchoMs));
  Delivery delivery = inbound.next(nowMs, buffers_.payload, pcm_.data());
  scheduleGap(stream, track);
  if (track == Track::Inbound && inbound.findsL16Order()) stream.outbound.setL16Order(inbound.l16Order());
  other = stream.tracks[1 - static_cast<size_t>(track)];
  if (other) delivery.more = delivery.more || other->ready(nowMs);
  return report(stream, track, delivery);
}

int Engine::deliverPcm(int stream, Track track, const int16_t* pcm, size_t samples, bool concealed,
                       double nowMs) {
  InboundTrack& inbound = *at(stream).tracks[static_cast<size_t>(track)];
  const Delivery delivery = inbound.deliverPcm(pcm, samples, concealed, nowMs);
  if (inbound.jitterBuffer()) scheduleGap(at(stream), track);
  return report(at(stream), track, delivery);
}

int Engine::report(Stream& stream, Track track, const Delivery& delivery) {
  delivery_ = delivery;
  deliveryTrack_ = track;
  switch (delivery.kind) {
    case Delivery::Kind::Frame: {
      const InboundTrack& inbound = *stream.tracks[static_cast<size_t>(track)];
      const bool isUlaw = inbound.encoding() == Encoding::Pcmu && !inbound.resamples();
      heard_ = {stream.sendTimer.stream, inbound.frameBuffer(), delivery.samples,
                inbound.handlerHz(),     delivery.timestampMs,  isUlaw ? delivery.payload : nullptr};
      return static_cast<int>(delivery.samples);
    }
    case Delivery::Kind::PoolPayload:
      return kPoolPayload;
    case Delivery::Kind::PoolLoss:
      return kPoolLoss;
    case Delivery::Kind::NeedsRoom:
      return kNeedsRoom;
    default:
      return kNothing;
  }
}

void Engine::scheduleGap(Stream& stream, Track track) {
  Timer& timer = stream.gapTimers[static_cast<size_t>(track)];
  const double deadlineMs = stream.tracks[static_cast<size_t>(track)]->deadlineMs();
  if (std::isinf(deadlineMs)) {
    wheel_.cancel(timer);
  } else if (!timer.scheduled() || timer.dueMs != deadlineMs) {
    wheel_.schedule(timer, deadlineMs);
  }
}

double Engine::play(int stream, const int16_t* pcm, size_t samples, int fromHz, double nowMs, bool sendNow,
                    double liveLatencyMaxMs) {
  Stream& playing = at(stream);
  const bool isHeard = heard_.stream >= 0 && heard_.pcm == pcm;
  const uint8_t* echoed = isHeard && heard_.stream == stream ? heard_.ulaw : nullptr;
  if (liveLatencyMaxMs == kStreamsBound) liveLatencyMaxMs = playing.outbound.config().liveLatencyMaxMs;
  Live live;
  if (liveLatencyMaxMs >= 0 && playing.inRoom) playing.ownUntilMs = nowMs + kOwnRestMs;
  if (liveLatencyMaxMs >= 0) live = {liveLatencyMaxMs, isHeard ? heard_.timestampMs : Live::kNoTime, true};
  const double accepted = playing.outbound.enqueue(pcm, samples, fromHz, echoed, nowMs, live);
  // Where it is refused nobody looks into the slab: what is due waits for the tick.
  if (accepted >= 0) finishPlay(playing, nowMs, sendNow);
  return accepted;
}

bool Engine::playHeard(int stream, double nowMs) {
  sendCount_ = 0;
  if (heard_.stream != stream) return true;  // the stream has been closed under its handler
  Stream& playing = at(stream);
  const Live live{playing.outbound.config().liveLatencyMaxMs, heard_.timestampMs, true};
  const size_t bytes = playing.outbound.passThrough(heard_.pcm, heard_.samples, heard_.sampleHz, heard_.ulaw,
                                                    nowMs, live, encoded_.data());
  if (bytes > 0) {
    addSend(playing, writeMedia(encoded_.data(), bytes, reinterpret_cast<char*>(buffers_.slab)));
    scheduleSend(playing);
    return true;
  }
  const double accepted =
      playing.outbound.enqueue(heard_.pcm, heard_.samples, heard_.sampleHz, heard_.ulaw, nowMs, live);
  if (accepted >= 0) finishPlay(playing, nowMs, true);
  return accepted >= 0;
}

/** What was played last is the stream's own, and not its room's. */
void Engine::finishPlay(Stream& stream, double nowMs, bool sendNow) {
  if (stream.inRoom) stream.ownEnd = stream.outbound.acceptedPosition();
  sendOrWait(stream, nowMs, sendNow);
}

/** What is queued waits for its time; with `sendNow`, what is due goes into the slab. */
void Engine::sendOrWait(Stream& stream, double nowMs, bool sendNow) {
  sendCount_ = 0;
  if (sendNow) {
    sendDue(stream, nowMs);
    g722Batch_.encode(buffers_.slab, slotBytes_);
  }
  scheduleSend(stream);
}

double Engine::playEncoded(int stream, const uint8_t* payload, size_t bytes, double nowMs, bool sendNow) {
  Stream& playing = at(stream);
  const double accepted = playing.outbound.enqueueEncoded(payload, bytes, nowMs);
  // Where it is refused nobody looks into the slab: what is due waits for the tick.
  if (accepted >= 0) finishPlay(playing, nowMs, sendNow);
  return accepted;
}

void Engine::clear(int stream, double nowMs, double fadeMs) {
  Stream& clearing = at(stream);
  clearing.outbound.clear(nowMs, fadeMs);
  clearing.ownEnd = clearing.outbound.queuedSamples() > 0 ? clearing.outbound.acceptedPosition() : 0;
  scheduleSend(clearing);
}

void Engine::pause(int stream, double nowMs) {
  Stream& pausing = at(stream);
  pausing.outbound.pause(nowMs);
  if (pausing.outbound.hasSkipped()) skips_++;
  scheduleSend(pausing);
}

void Engine::remove(int stream, double from, double to) {
  Stream& playing = at(stream);
  playing.outbound.remove(from, to);
  playing.ownEnd = std::min(playing.ownEnd, playing.outbound.acceptedPosition());
  scheduleSend(playing);
}

void Engine::resume(int stream, double nowMs, bool sendNow) {
  at(stream).outbound.resume(nowMs);
  sendOrWait(at(stream), nowMs, sendNow);
}

bool Engine::background(int stream, const LayerConfig& layer, double nowMs) {
  const bool isAdded = at(stream).outbound.mixer(nowMs).add(layer);
  scheduleSend(at(stream));
  return isAdded;
}

void Engine::setLayerGain(int stream, int layer, float gain, double rampMs, double nowMs) {
  Outbound& outbound = at(stream).outbound;
  if (outbound.mixes()) outbound.mixer(nowMs).setGain(layer, gain, rampMs);
}

void Engine::stopLayer(int stream, int layer, double fadeMs, double nowMs) {
  Outbound& outbound = at(stream).outbound;
  if (outbound.mixes()) outbound.mixer(nowMs).stop(layer, fadeMs);
}

void Engine::setSpeechGain(int stream, float gain, double rampMs, double nowMs) {
  at(stream).outbound.mixer(nowMs).setSpeechGain(gain, rampMs);
}

/** True: everything of this stream that is due is in the slab; false: the slab is full. */
bool Engine::sendDue(Stream& stream, double nowMs) {
  if (stream.outbound.g722()) return queueG722(stream, nowMs);
  while (sendCount_ < kSendSlots) {
    const size_t bytes = stream.outbound.take(nowMs, encoded_.data());
    if (bytes == 0) return true;
    const size_t length =
        writeMedia(encoded_.data(), bytes, reinterpret_cast<char*>(buffers_.slab + sendCount_ * slotBytes_));
    addSend(stream, length);
  }
  return false;
}

void Engine::addSend(const Stream& stream, size_t length) {
  int32_t* const send = buffers_.sends + sendCount_ * kSendFields;
  const Outbound& outbound = stream.outbound;
  const bool isFollowed =
      stream.followed || outbound.queuedSamples() < stream.followedBelow || outbound.hasSkipped();
  send[kSendStream] = stream.sendTimer.stream;
  send[kSendBytes] = static_cast<int32_t>(length);
  send[kSendFollowed] = isFollowed ? 1 : 0;
  if (outbound.hasSkipped()) skips_++;
  sendCount_++;
}

/** As sendDue(), but the messages are only written when the batch is encoded. */
bool Engine::queueG722(Stream& stream, double nowMs) {
  while (sendCount_ < kSendSlots) {
    // A batch holds one message of each stream.
    if (stream.inG722Batch && stream.outbound.dueMs() <= nowMs) g722Batch_.encode(buffers_.slab, slotBytes_);
    if (const size_t bytes = stream.outbound.takeEncodedG722(nowMs, encoded_.data())) {
      char* const slot = reinterpret_cast<char*>(buffers_.slab + sendCount_ * slotBytes_);
      addSend(stream, writeMedia(encoded_.data(), bytes, slot));
      continue;
    }
    const size_t samples = stream.outbound.takeG722(nowMs, g722Batch_.pcm(sendCount_));
    if (samples == 0) return true;
    g722Batch_.add(stream.outbound.g722(), stream.inG722Batch, sendCount_, samples);
    addSend(stream, mediaMessageLength(samples / 2));
  }
  return false;
}

void Engine::scheduleSend(Stream& stream, double notBeforeMs) {
  // A packet that comes from its encoder behind its time is late by what the next tick is late, not by the
  // lead it could not have.
  if (stream.outbound.pooled()) notBeforeMs = std::max(notBeforeMs, tickedMs_);
  const double dueMs = std::max(std::min(stream.outbound.dueMs(), stream.outbound.pcmDueMs()), notBeforeMs);
  if (std::isinf(dueMs)) {
    wheel_.cancel(stream.sendTimer);
  } else if (!stream.sendTimer.scheduled() || stream.sendTimer.dueMs != dueMs) {
    wheel_.schedule(stream.sendTimer, dueMs);
  }
}

size_t Engine::tick(double nowMs) {
  collectDue(nowMs);
  g722Batch_.encode(buffers_.slab, slotBytes_);
  return sendCount_;
}

void Engine::collectDue(double nowMs) {
  tickedMs_ = nowMs;
  sendCount_ = 0;
  gapCount_ = encodeCount_ = 0;
  heard_.stream = -1;
  tickHasMore_ = false;
  while (gapCount_ < kWakesMax && encodeCount_ < kWakesMax) {
    TimerNode* node = wheel_.collect(nowMs);
    if (!node) return;
    // The timer lies before what sending reads and writes: see Stream.
    if (const TimerNode* ahead = wheel_.ahead()) prefetch(ahead, kFetchedAheadBytes);
    auto* timer = static_cast<Timer*>(node);
    if (timer->track == kRoomTimer) {
      runRooms(nowMs);
      continue;
    }
    Stream& stream = at(timer->stream);
    if (timer->track != kSendTimer) {
      stream.tracks[static_cast<size_t>(timer->track)]->playTo(nowMs);
      buffers_.gaps[gapCount_++] = timer->stream * 2 + timer->track;
      continue;
    }
    const auto bin = static_cast<size_t>(std::max(0.0, (nowMs - timer->dueMs) * 4));
    const size_t sentBefore = sendCount_;
    const bool all = sendDue(stream, nowMs);
    // The timer of an encoder's stream also wakes it to take PCM.
    if (sendCount_ > sentBefore) lateness_[std::min(bin, kLatenessBins - 1)]++;
    if (!all) {
      wheel_.schedule(*timer, nowMs);
      break;
    }
    if (stream.outbound.pcmDueMs() <= nowMs) buffers_.encodes[encodeCount_++] = timer->stream;
    // What goes to an encoder is taken after this call: its deadline is looked at again at the next tick.
    scheduleSend(stream, stream.outbound.pooled() ? nowMs + 1 : 0);
  }
  tickHasMore_ = true;
}

size_t Engine::takePcm(int stream, double nowMs, int16_t* pcm) {
  const size_t samples = at(stream).outbound.takePcm(nowMs, pcm);
  scheduleSend(at(stream), nowMs + 1);
  return samples;
}

bool Engine::enqueuePacket(int stream, const uint8_t* packet, size_t bytes) {
  const bool kept = at(stream).outbound.enqueuePacket(packet, bytes);
  scheduleSend(at(stream));
  return kept;
}

void Engine::packetsLost(int stream, size_t frames) {
  for (size_t i = 0; i < frames; i++) at(stream).outbound.packetLost();
  scheduleSend(at(stream));
}

}  // namespace sidetone
