// Inbound audio on a steady clock: see InboundConfig::playout.
#include <algorithm>

#include "stream/inbound.h"

namespace sidetone {

double InboundTrack::deadlineMs() const {
  if (!playout_) return reorder_.deadlineMs();
  return isUnheard() ? reorder_.deadlineMs() : std::min(playout_->nextMs, reorder_.deadlineMs());
}

Delivery InboundTrack::nextPlayout(double nowMs, uint8_t* payloadScratch, int16_t* pcmScratch) {
  for (;;) {
    while (fillPlayout(nowMs, payloadScratch, pcmScratch)) {
      if (pooled_) return poolPayload(nowMs);
    }
    if (!isPlayoutDue()) return {};
    // What waits behind a gap is needed now.
    if (!playout_->buffer.isStarving(playout_->nextMs) || !reorder_.giveUpGap()) break;
  }
  return pull(nowMs, pcmScratch);
}

/** The next payload in order goes to the buffer, or is ready for the pool. False: there is none. */
bool InboundTrack::fillPlayout(double nowMs, uint8_t* payloadScratch, int16_t* pcmScratch) {
  while (sliceBytes_ == 0) {
    Reorder::Popped popped;
    const Reorder::Pop pop = reorder_.pop(nowMs, payloadScratch, popped);
    if (pop == Reorder::Pop::Nothing) return false;
    if (pop == Reorder::Pop::Gap) {
      openGap(popped);
    } else {
      playout_->arrivedMs = popped.arrivedMs;
      playout_->heldMs = nowMs - popped.arrivedMs;
      take(popped.frame, afterGap_);
    }
    if (isUnheard()) discard();
  }
  while (!pooled_ && sliceBytes_ > 0) {
    const size_t samples = std::min(bytesToSamples(sliceBytes_), sliceSamplesMax_);
    const size_t bytes = samplesToBytes(samples);
    decode(slice_, samples, pcmScratch);
    slice_ += bytes;
    sliceBytes_ -= bytes;
    keep(pcmScratch, samples, playout_->arrivedMs, nowMs);
    timeline_.played(static_cast<double>(samples) * 1000 / sourceHz_);
  }
  return true;
}

void InboundTrack::keep(const int16_t* pcm, size_t samples, double arrivedMs, double nowMs) {
  if (isUnheard()) return;
  // The clock begins with the first frame.
  if (!playout_->buffer.started()) playout_->nextMs = nowMs + JitterBuffer::kFrameMs;
  playout_->buffer.push(pcm, samples, timeline_.positionMs(), arrivedMs);
}

Delivery InboundTrack::pull(double nowMs, int16_t* pcmScratch) {
  int16_t* pcm = resampler_ || deaf_ ? pcmScratch : frame_;
  const size_t samples = playout_->buffer.frameSamples();
  Delivery delivery;
  delivery.kind = Delivery::Kind::Frame;
  delivery.concealed = playout_->buffer.pull(playout_->nextMs, pcm).concealed;
  delivery.timestampMs = playout_->frames * JitterBuffer::kFrameMs;
  playout_->frames++;
  playout_->nextMs += JitterBuffer::kFrameMs;
  if (listener_) delivery.senses = &listener_->hear(pcm, samples, delivery.timestampMs, delivery.concealed);
  if (tap_) tap_->push(pcm, samples);
  delivery.samples = resampler_ && !deaf_ ? resampler_->process(pcm, samples, frame_) : samples;
  delivery.more = ready(nowMs);
  counters_.frames++;
  if (delivery.concealed) counters_.concealed++;
  return delivery;
}

}  // namespace sidetone
