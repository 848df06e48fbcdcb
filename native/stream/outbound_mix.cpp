// What an Outbound does while something goes out besides what is played.
#include <algorithm>
#include <cstring>
#include <limits>

#include "codec/g711.h"
#include "stream/outbound.h"

namespace sidetone {

Mixer& Outbound::mixer(double nowMs) {
  if (mixes_) {
    mixing_->mixer.forget(unheardSamples(nowMs));
  } else {
    const bool isPlaying = queue_.bytes() > 0 || unheardSamples(nowMs) > 0;
    mixing_ = std::make_unique<Mixing>(Mixing{Mixer(samplesPerMs_, isPlaying), {}, nullptr});
    mixes_ = true;
  }
  return mixing_->mixer;
}

/** When the next of the background alone is due: never while something is queued, and as late as can be. */
double Outbound::aloneDueMs() const {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  if (!mixing_->mixer.sounds() || (!paused_ && queue_.bytes() > 0)) return kNever;
  const double leadMs = pooled_ ? kAlonePooledLeadMs : kAloneLeadMs;
  // A far end that has long run dry changes nothing about what the pool takes: see pcmDueMs().
  if (pooled_ && encoding_ >= leadMs * samplesPerMs_) return kNever;
  const double endMs = playout_.dryAtMs() + encoding_ / samplesPerMs_;
  if (!lastWasLive_ || paused_) return endMs - leadMs;
  const double lastMs = leadMs - kAloneLeadMs + kAloneLastMs;
  return std::clamp(lastEnqueueMs_ + kLiveGoesOnMs, endMs - leadMs, endMs - lastMs);
}

/** PCMU, PCMA and L16: a message of the background alone into `payload`, if one is due; its bytes, or 0. */
size_t Outbound::takeAlone(double nowMs, uint8_t* payload) {
  if (nowMs < aloneDueMs()) return 0;
  const auto samples = static_cast<size_t>(kAloneMs * samplesPerMs_);
  const size_t bytes = samples * bytesPerSample_;
  mixPayload(payload, 0, samples, nowMs);
  if (config_.encoding == Encoding::L16) l16Reorder(payload, samples, config_.l16Order);
  sentAlone(samples, bytes, nowMs);
  return bytes;
}

/** G722: the same as PCM, which is sent by this; its samples, or 0. The pool's encodings: 20 ms for the
 * encoder. */
size_t Outbound::takeAlonePcm(double nowMs, int16_t* pcm) {
  if (nowMs < aloneDueMs()) return 0;
  if (!pooled_) {
    const auto samples = static_cast<size_t>(kAloneMs * samplesPerMs_);
    mix(pcm, 0, samples, nowMs);
    sentAlone(samples, samples / 2, nowMs);
    return samples;
  }
  const Span span{0, 0};
  if (!spans_->append(reinterpret_cast<const uint8_t*>(&span), sizeof span)) return 0;
  mix(pcm, 0, minSamples_, nowMs);
  encoding_ += static_cast<double>(minSamples_);
  notLiveUntilMs_ = heardUntilMs(nowMs);
  withEncoder_++;
  return minSamples_;
}

/** A message went out that holds nothing of what is played: it takes time, and no positions. */
void Outbound::sentAlone(size_t samples, size_t bytes, double nowMs) {
  playout_.sent(sent_, 0, static_cast<double>(samples), nowMs);
  if (!pooled_) notLiveUntilMs_ = playout_.dryAtMs();
  counters_.messages++;
  counters_.payloadBytes += bytes;
}

/** The far end drops what it has not played. To be called before playout_ and encoding_ know of it. */
void Outbound::takeMixedBack(double nowMs) { mixing_->mixer.takeBack(unheardSamples(nowMs)); }

/** `samples` in place, of which the first `played` are what is played. */
void Outbound::mix(int16_t* pcm, size_t played, size_t samples, double nowMs) {
  Mixer& mixer = mixing_->mixer;
  mixer.forget(unheardSamples(nowMs));
  mixer.mix(pcm, played, samples);
  if (!mixer.idle()) return;
  mixing_.reset();
  mixes_ = false;
}

/** The same of a payload. */
void Outbound::mixPayload(uint8_t* payload, size_t played, size_t samples, double nowMs) {
  // It may go with the last of what there is to mix.
  std::vector<int16_t> pcm = std::move(mixing_->pcm);
  pcm.resize(std::max(pcm.size(), samples));
  if (config_.encoding == Encoding::L16)
    std::memcpy(pcm.data(), payload, played * sizeof(int16_t));
  else if (config_.encoding == Encoding::Pcma)
    alawDecode(payload, played, pcm.data());
  else
    ulawDecode(payload, played, pcm.data());
  mix(pcm.data(), played, samples, nowMs);
  if (config_.encoding == Encoding::L16)
    std::memcpy(payload, pcm.data(), samples * sizeof(int16_t));
  else
    encode(pcm.data(), samples, nullptr, payload);
  if (mixes_) mixing_->pcm = std::move(pcm);
}

/** What is queued encoded, byte by byte in the place of every second sample, as PCM in place. */
void Outbound::decodeG722(int16_t* queued, size_t samples) {
  if (!mixing_->g722) mixing_->g722 = std::make_unique<G722Decoder>();
  std::vector<uint8_t> bytes(samples / 2);
  for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<uint8_t>(queued[2 * i]);
  mixing_->g722->decode(bytes.data(), bytes.size(), queued);
}

}  // namespace sidetone
