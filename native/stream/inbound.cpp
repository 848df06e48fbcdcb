#include "stream/inbound.h"

#include <algorithm>
#include <cstring>

#include "codec/g711.h"
#include "memory/prefetch.h"

namespace sidetone {
namespace {
constexpr double kPoolFrameMs = 20;
}

InboundTrack::InboundTrack(BlockPool& pool, const InboundConfig& config, const VoiceSeat& seat)
    : encoding_(config.encoding),
      l16Order_(config.l16Order),
      pooled_(runsInPool(config.encoding)),
      sourceHz_(sampleRateHz(config.encoding, config.announcedHz)),
      handlerHz_(config.handlerHz),
      gapFillMaxMs_(config.gapFillMaxMs),
      sliceSamplesMax_(static_cast<size_t>(sourceHz_) *
                       (config.encoding == Encoding::Opus ? kOpusSliceMs : kSliceMs) / 1000),
      timeline_(clockRateHz(config.encoding, config.announcedHz)),
      reorder_(pool, config.playout ? std::max(config.reorderWaitMs, config.playoutDelayMaxMs)
                                    : config.reorderWaitMs) {
  if (config.playout) {
    const JitterConfig jitter{sourceHz_, config.playoutDelayMinMs, config.playoutDelayMaxMs, config.conceals};
    playout_ = std::make_unique<Playout>(pool, jitter);
  } else if (!pooled_ && config.conceals) {
    concealer_.emplace(sourceHz_, Concealer::Timing::Live, &pool);
  }
  if (config.encoding == Encoding::L16 && config.l16OrderAuto)
    l16Finder_ = std::make_unique<L16OrderFinder>(sourceHz_);
  if (config.handlerHz != sourceHz_) resampler_ = std::make_unique<Resampler>(sourceHz_, config.handlerHz);
  if (config.encoding == Encoding::G722) g722_ = std::make_unique<G722Decoder>();
  if (config.listener.wantsAnything())
    listener_ = std::make_unique<Listener>(sourceHz_, config.listener, seat);
}

size_t InboundTrack::frameSamplesUsual() const {
  return resampler_ ? resampler_->outputMax(usualSamples()) : usualSamples();
}

size_t InboundTrack::frameSamplesMax() const {
  return resampler_ ? resampler_->outputMax(sliceSamplesMax_) : sliceSamplesMax_;
}

void InboundTrack::deafen() {
  deaf_ = true;
  if (!tap_) discard();
}

void InboundTrack::setTap(DelayLine* tap) {
  tap_ = tap;
  if (isUnheard()) discard();
}

/** What is left of the payload or the gap that is being heard. */
void InboundTrack::discard() {
  sliceBytes_ = concealSamples_ = 0;
  skipMs_ = 0;
}

void InboundTrack::fetch() const {
  if (deaf_) return;
  prefetch(frame_, std::min(frameRoom_, usualSamples()) * sizeof(int16_t));
  if (concealer_) concealer_->fetch();
}

void InboundTrack::push(const ReorderFrame& frame, bool fresh, bool nothingMissing, double nowMs) {
  const uint32_t late = reorder_.counters().late;
  const Reorder::Push pushed = reorder_.push(frame, fresh, nothingMissing, nowMs);
  if (playout_) {
    playout_->arrivedMs = nowMs;
    playout_->heldMs = 0;
    const bool isLate = pushed == Reorder::Push::Dropped && reorder_.counters().late != late;
    if (isLate) playout_->buffer.noteLate(timeline_.positionAt(frame.timestamp), nowMs);
  }
  if (pushed == Reorder::Push::Deliver) take(frame, false);
  if (isUnheard()) discard();
}

Delivery InboundTrack::next(double nowMs, uint8_t* payloadScratch, int16_t* pcmScratch) {
  Delivery delivery = nextSlice(nowMs, payloadScratch, pcmScratch);
  // What only the tap hears is no concern of the caller.
  while (deaf_ && delivery.kind == Delivery::Kind::Frame) {
    delivery = nextSlice(nowMs, payloadScratch, pcmScratch);
  }
  return delivery;
}

Delivery InboundTrack::nextSlice(double nowMs, uint8_t* payloadScratch, int16_t* pcmScratch) {
  if (playout_) return nextPlayout(nowMs, payloadScratch, pcmScratch);
  while (sliceBytes_ == 0 && concealSamples_ == 0) {
    Reorder::Popped popped;
    switch (reorder_.pop(nowMs, payloadScratch, popped)) {
      case Reorder::Pop::Nothing:
        return {};
      case Reorder::Pop::Gap:
        openGap(popped);
        break;
      case Reorder::Pop::Payload:
        take(popped.frame, afterGap_);
        break;
    }
    if (isUnheard()) discard();
  }
  return concealSamples_ > 0 ? concealSlice(pcmScratch, nowMs) : decodeSlice(pcmScratch, nowMs);
}

void InboundTrack::take(const ReorderFrame& frame, bool afterGap) {
  afterGap_ = false;
  slice_ = frame.payload;
  sliceBytes_ = frame.bytes;
  if (encoding_ == Encoding::L16 && sliceBytes_ % 2 != 0) {
    counters_.badPayload++;
    sliceBytes_--;
  }
  if (l16Finder_) l16Finder_->judge(slice_, sliceBytes_ / 2);
  const double ms = durationMs(frame);
  if (afterGap) {
    timeline_.resumes(frame.timestamp, ms);
  } else if (timeline_.continues(frame.timestamp, ms)) {
    counters_.pauses++;
  }
}

void InboundTrack::openGap(const Reorder::Popped& gap) {
  afterGap_ = true;
  const double missingMs = timeline_.missingMs(gap.frame.timestamp, gap.lost);
  if (missingMs == 0) {
    reorder_.gapWasStride(gap.lost);
    return;
  }
  if (playout_) {
    timeline_.played(missingMs);  // made up when its time has come
    return;
  }
  const double fillMs = std::min(missingMs, gapFillMaxMs_);
  concealSamples_ = static_cast<size_t>(fillMs * sourceHz_ / 1000 + 0.5);
  skipMs_ = missingMs - fillMs;
  if (concealSamples_ == 0) timeline_.played(skipMs_);
}

Delivery InboundTrack::concealSlice(int16_t* pcmScratch, double nowMs) {
  Delivery delivery;
  if (pooled_) {
    delivery.kind = Delivery::Kind::PoolLoss;
    delivery.lostFrames =
        static_cast<uint32_t>(static_cast<double>(concealSamples_) * 1000 / sourceHz_ / kPoolFrameMs + 0.5);
    concealSamples_ = 0;
    delivery.more = ready(nowMs);
    return delivery;
  }
  // Concealed frames are as long as ordinary ones: handlers often rely on it.
  const size_t samples = std::min(concealSamples_, usualSamples());
  int16_t* pcm = resampler_ || deaf_ ? pcmScratch : frame_;
  if (concealer_) {
    concealer_->conceal(pcm, samples);
  } else {
    std::fill_n(pcm, samples, int16_t{0});
  }
  concealSamples_ -= samples;
  counters_.concealed++;
  delivery = frame(pcm, samples, true, nowMs);
  if (concealSamples_ == 0) {
    timeline_.played(skipMs_);
    skipMs_ = 0;
  }
  return delivery;
}

/** The payload being heard goes to the pool's decoder, whole. */
Delivery InboundTrack::poolPayload(double nowMs) {
  Delivery delivery;
  delivery.kind = Delivery::Kind::PoolPayload;
  delivery.payload = slice_;
  delivery.bytes = sliceBytes_;
  sliceBytes_ = 0;
  delivery.more = ready(nowMs);
  return delivery;
}

Delivery InboundTrack::decodeSlice(int16_t* pcmScratch, double nowMs) {
  if (pooled_) return poolPayload(nowMs);
  const size_t samples = std::min(bytesToSamples(sliceBytes_), sliceSamplesMax_);
  if (!hasRoomFor(samples)) {
    Delivery delivery;
    delivery.kind = Delivery::Kind::NeedsRoom;
    delivery.more = true;
    return delivery;
  }
  const size_t bytes = samplesToBytes(samples);
  const uint8_t* payload = slice_;
  int16_t* pcm = resampler_ || deaf_ ? pcmScratch : frame_;
  decode(payload, samples, pcm);
  slice_ += bytes;
  sliceBytes_ -= bytes;
  if (concealer_) concealer_->receive(pcm, samples);
  Delivery delivery = frame(pcm, samples, false, nowMs);
  delivery.payload = payload;
  delivery.bytes = bytes;
  return delivery;
}

Delivery InboundTrack::frame(int16_t* pcm, size_t samples, bool concealed, double nowMs) {
  Delivery delivery;
  delivery.kind = Delivery::Kind::Frame;
  delivery.concealed = concealed;
  delivery.timestampMs = timeline_.positionMs();
  if (listener_) delivery.senses = &listener_->hear(pcm, samples, delivery.timestampMs, concealed);
  timeline_.played(static_cast<double>(samples) * 1000 / sourceHz_);
  if (tap_) tap_->push(pcm, samples);
  delivery.samples = resampler_ && !deaf_ ? resampler_->process(pcm, samples, frame_) : samples;
  delivery.more = ready(nowMs);
  counters_.frames++;
  return delivery;
}

Delivery InboundTrack::deliverPcm(const int16_t* pcm, size_t samples, bool concealed, double nowMs) {
  Delivery delivery;
  if (playout_) {
    // What its decoder had to make up is missing, and made up where it is.
    if (!concealed) keep(pcm, samples, nowMs - playout_->heldMs, nowMs);
    timeline_.played(static_cast<double>(samples) * 1000 / sourceHz_);
    return delivery;
  }
  if (!hasRoomFor(samples)) {
    delivery.kind = Delivery::Kind::NeedsRoom;
    delivery.more = true;
    return delivery;
  }
  delivery.kind = Delivery::Kind::Frame;
  delivery.concealed = concealed;
  delivery.timestampMs = timeline_.positionMs();
  if (tap_) tap_->push(pcm, samples);
  if (deaf_) {
    timeline_.played(static_cast<double>(samples) * 1000 / sourceHz_);
    return {};
  }
  if (listener_) delivery.senses = &listener_->hear(pcm, samples, delivery.timestampMs, concealed);
  timeline_.played(static_cast<double>(samples) * 1000 / sourceHz_);
  if (resampler_) {
    delivery.samples = resampler_->process(pcm, samples, frame_);
  } else {
    std::memcpy(frame_, pcm, samples * sizeof(int16_t));
    delivery.samples = samples;
  }
  counters_.frames++;
  if (concealed) counters_.concealed++;
  return delivery;
}

void InboundTrack::decode(const uint8_t* payload, size_t samples, int16_t* pcm) {
  switch (encoding_) {
    case Encoding::Pcmu:
      ulawDecode(payload, samples, pcm);
      break;
    case Encoding::Pcma:
      alawDecode(payload, samples, pcm);
      break;
    case Encoding::L16:
      l16Decode(payload, samples, l16Order(), pcm);
      break;
    case Encoding::G722:
      g722_->decode(payload, samples / 2, pcm);
      break;
    default:
      break;  // pooled: never here
  }
}

size_t InboundTrack::bytesToSamples(size_t bytes) const {
  switch (encoding_) {
    case Encoding::L16:
      return bytes / 2;
    case Encoding::G722:
      return bytes * 2;
    default:
      return bytes;
  }
}

size_t InboundTrack::samplesToBytes(size_t samples) const {
  switch (encoding_) {
    case Encoding::L16:
      return samples * 2;
    case Encoding::G722:
      return samples / 2;
    default:
      return samples;
  }
}

double InboundTrack::durationMs(const ReorderFrame& frame) const {
  if (pooled_) return kPoolFrameMs;
  return static_cast<double>(bytesToSamples(frame.bytes)) * 1000 / sourceHz_;
}

}  // namespace sidetone
