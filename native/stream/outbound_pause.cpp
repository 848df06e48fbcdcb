// What an Outbound does when what it has sent is taken back: to go on later, or to end without a click.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "stream/outbound.h"

namespace sidetone {
namespace {
// A position that lies less than this behind a sample's end is rounding of sums of durations.
constexpr double kRounding = 1e-3;
}  // namespace

/**
 * `samples` that were queued as `queued` go to the far end now, or to the encoder. They are kept until they
 * have been heard, about the lead and a message: pause() sends them again. Live audio is kept only behind
 * what is not live; none of it is where it was shortened, or where there is little memory.
 */
void Outbound::keep(const uint8_t* queued, size_t samples, double position, double stoodFor, double nowMs) {
  const bool isLive = runs_.headBoundMs() > 0;
  if (isLive && !keeps_) return;
  dropHeard(playout_.playedPosition(nowMs));
  const bool isLittle = pool_->blocksLeft() < pool_->blocksMax() / 8;
  const bool isWhole = stoodFor == static_cast<double>(samples);
  if (position != keptEnd_ || isLittle || !isWhole) kept_.clear();
  keeps_ = !isLittle && isWhole && (!isLive || kept_.bytes() > 0) &&
           kept_.append(queued, samples * bytesPerSample_);
  if (!keeps_) return;
  keptEnd_ = position + stoodFor;
  if (!isLive) notLiveEnd_ = keptEnd_;
}

/** Of what is kept, drops all before `position`; and the rest where it is live. */
void Outbound::dropHeard(double position) {
  if (position >= notLiveEnd_) kept_.clear();
  const double heard = std::clamp(std::floor(position - keptFrom()), 0.0, keptSamples());
  kept_.drop(static_cast<size_t>(heard) * bytesPerSample_);
  keeps_ = kept_.bytes() > 0;
}

/** The first sample that has not been heard: one of which a part was heard has been. */
double Outbound::heardPosition(double nowMs) const {
  return std::min(std::ceil(playout_.playedPosition(nowMs) - kRounding), headPosition());
}

void Outbound::pause(double nowMs) {
  if (paused_) return;
  paused_ = true;
  if (mixes_) takeMixedBack(nowMs);
  const double handed = headPosition();
  const double heard = std::min(encoded_.aligned(heardPosition(nowMs)), handed);
  double from = handed;
  if (keeps_ && keptEnd_ == handed) {
    dropHeard(heard);
    std::vector<uint8_t> again(kept_.bytes());
    const double keptBegin = keptFrom();
    kept_.read(again.data(), again.size());
    const bool wasEmpty = queue_.bytes() == 0;
    if (queue_.prepend(again.data(), again.size())) {
      from = keptBegin;
      const size_t samples = again.size() / bytesPerSample_;
      if (head_.out() > 0) head_.set(samples + head_.out() + head_.cut(), samples + head_.out());
      if (samples > 0) runs_.prepend(handed, wasEmpty);
    }
  }
  kept_.clear();
  keeps_ = false;
  if (from > heard) skipped_.add({heard, from});
  if (packets_) packets_->clear();
  if (spans_) spans_->clear();
  encoding_ = 0;
  staleWithEncoder_ = withEncoder_;
  playout_.clear(nowMs, heard);
  sent_ = from;
  chunkMs_ = kMessageMinMs;
}

void Outbound::resume(double nowMs) {
  if (!paused_) return;
  paused_ = false;
  playout_.rest(nowMs);
  lastEnqueueMs_ = nowMs;
}

void Outbound::remove(double from, double to) {
  const double begin = headPosition();
  from = std::max(from, begin);
  to = std::min(to, accepted_);
  if (from >= to) return;
  const auto offset = static_cast<size_t>(head_.queued(from - begin)) * bytesPerSample_;
  const auto end = static_cast<size_t>(head_.queued(to - begin)) * bytesPerSample_;
  std::vector<uint8_t> rest(queue_.bytes() - end);
  queue_.peek(end, rest.data(), rest.size());
  std::vector<uint8_t> before(offset);
  queue_.peek(0, before.data(), offset);
  queue_.clear();
  // It was there before, so it fits.
  queue_.append(before.data(), before.size());
  queue_.append(rest.data(), rest.size());
  accepted_ -= to - from;
  runs_.remove(from, to);
  encoded_.remove(from, to);
  while (cutCount_ > 0 && (*cuts_)[cutCount_ - 1] > from) cutCount_--;
  if (rest.empty() && resampler_) resampler_->reset();
}

double Outbound::fadeSamples(double nowMs, double fadeMs) const {
  const double heard = heardPosition(nowMs);
  if (paused_ || fadeMs <= 0 || unheardMs(nowMs) == 0) return 0;
  if (!keeps_ || keptEnd_ != headPosition() || heard < keptFrom() || encoded_.behind(heard)) return 0;
  const double queued = head_.out() == 0 ? queuedSamples() : 0;
  return std::min(std::floor(fadeMs * samplesPerMs_), keptEnd_ - heard + queued);
}

void Outbound::clear(double nowMs, double fadeMs) {
  const auto fading = static_cast<size_t>(fadeSamples(nowMs, fadeMs));
  std::vector<int16_t> pcm(fading);
  if (fading > 0) {
    const auto offset = static_cast<size_t>(heardPosition(nowMs) - keptFrom());
    const size_t kept = std::min(fading, kept_.bytes() / bytesPerSample_ - offset);
    peekPcm(kept_, offset, kept, pcm.data());
    peekPcm(queue_, 0, fading - kept, pcm.data() + kept);
  }
  if (mixes_) takeMixedBack(nowMs);
  queue_.clear();
  kept_.clear();
  keeps_ = false;
  cutCount_ = 0;
  if (packets_) packets_->clear();
  if (spans_) spans_->clear();
  head_.set(0, 0);
  runs_.clear();
  encoded_.clear();
  lastWasLive_ = false;
  encoding_ = 0;
  staleWithEncoder_ = withEncoder_;
  playout_.clear(nowMs);
  sent_ = accepted_;
  chunkMs_ = kMessageMinMs;
  paused_ = false;
  if (resampler_) resampler_->reset();
  if (fading == 0) return;
  for (size_t i = 0; i < fading; i++) {
    const double place = (static_cast<double>(i) + 1) / static_cast<double>(fading + 1);
    pcm[i] = static_cast<int16_t>(std::lround(pcm[i] * 0.5 * (1 + std::cos(std::numbers::pi * place))));
  }
  // A message may be no shorter, and a tail that is would wait for more.
  pcm.resize(std::max(fading, minSamples_));
  begin({});
  append(pcm.data(), pcm.size(), nullptr);
  lastEnqueueMs_ = nowMs;
}

double Outbound::enqueueEncoded(const uint8_t* payload, size_t bytes, double nowMs) {
  const size_t samples = g722_ ? bytes * 2 : bytes / bytesPerSample_;
  const double comingMs = static_cast<double>(samples) / samplesPerMs_;
  if (queuedMs() + comingMs > config_.queueMaxMs || !hasMemory(comingMs)) {
    counters_.refused++;
    return -1;
  }
  flushResampler();
  begin({});
  const double before = accepted_;
  if (bytesPerSample_ == 1) {
    queue_.append(payload, bytes);
  } else {
    std::vector<int16_t> queued(samples);
    if (g722_) {
      // Byte and sample keep their places in the queue: a byte stands where the first of its two samples
      // would.
      for (size_t i = 0; i < bytes; i++) queued[2 * i] = payload[i];
      encoded_.add(accepted_, accepted_ + static_cast<double>(samples), playout_.playedPosition(nowMs));
    } else {
      l16Decode(payload, samples, config_.l16Order, queued.data());
    }
    queue_.append(reinterpret_cast<const uint8_t*>(queued.data()), samples * sizeof(int16_t));
  }
  accepted_ += static_cast<double>(samples);
  lastEnqueueMs_ = nowMs;
  return accepted_ - before;
}

size_t Outbound::takeEncodedG722(double nowMs, uint8_t* payload) {
  const size_t samples = encoded_.empty() || mixes_ ? 0 : dueG722(nowMs, true);
  if (samples == 0) return 0;
  std::vector<int16_t> queued(samples);
  queue_.read(reinterpret_cast<uint8_t*>(queued.data()), samples * sizeof(int16_t));
  const double stoodFor = head_.take(samples);
  keep(reinterpret_cast<const uint8_t*>(queued.data()), samples, sent_, stoodFor, nowMs);
  const size_t padding = paddingFor(samples) / 2 * 2;
  const size_t bytes = samples / 2;
  for (size_t i = 0; i < bytes; i++) payload[i] = static_cast<uint8_t>(queued[2 * i]);
  if (padding > 0) {
    const std::vector<int16_t> silence(padding);
    G722Encoder().encode(silence.data(), padding, payload + bytes);
  }
  sent(samples, stoodFor, padding, bytes + padding / 2, nowMs);
  return bytes + padding / 2;
}

}  // namespace sidetone
