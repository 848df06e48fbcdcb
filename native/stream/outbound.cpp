#include "stream/outbound.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "codec/g711.h"

namespace sidetone {
namespace {
constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr int kRateRatioMax = 6;  // 8 kHz to 48 kHz

size_t bytesPerQueuedSample(Encoding encoding) {
  return encoding == Encoding::Pcmu || encoding == Encoding::Pcma ? 1 : 2;
}
}  // namespace

Outbound::Outbound(BlockPool& pool, const OutboundConfig& config)
    : config_(config),
      sampleHz_(sampleRateHz(config.encoding, config.announcedHz)),
      samplesPerMs_(sampleHz_ / 1000.0),
      minSamples_(static_cast<size_t>(sampleHz_) * kMessageMinMs / 1000),
      bytesPerSample_(bytesPerQueuedSample(config.encoding)),
      pooled_(runsInPool(config.encoding)),
      queue_(pool),
      playout_(sampleHz_),
      pool_(&pool),
      kept_(pool) {
  if (pooled_) {
    packets_ = std::make_unique<BlockQueue>(pool);
    spans_ = std::make_unique<BlockQueue>(pool);
  }
  if (config.encoding == Encoding::G722) g722_ = std::make_unique<G722Encoder>();
}

size_t Outbound::payloadBytesMax(const OutboundConfig& config) {
  if (runsInPool(config.encoding)) return 2048;
  // A short tail is sent along rather than left behind, so a message may be 20 ms longer than a chunk.
  const double samples =
      (config.chunkMs + kMessageMinMs) * sampleRateHz(config.encoding, config.announcedHz) / 1000;
  const double bytesPerSample = config.encoding == Encoding::L16    ? 2
                                : config.encoding == Encoding::G722 ? 0.5
                                                                    : 1;
  return static_cast<size_t>(std::ceil(samples * bytesPerSample)) + 2;
}

double Outbound::enqueue(const int16_t* pcm, size_t samples, int fromHz, const uint8_t* echoed, double nowMs,
                         const Live& live) {
  const double comingMs = static_cast<double>(samples) * 1000 / fromHz;
  if (queuedMs() + comingMs > config_.queueMaxMs || !hasMemory(comingMs)) {
    counters_.refused++;
    return -1;
  }
  const double before = accepted_;
  if (live.isLive) noteGap(live, comingMs, nowMs);
  begin(live);
  bool fits = true;
  if (fromHz == sampleHz_) {
    resamplerFromHz_ = 0;
    resampler_.reset();
    fits = append(pcm, samples, echoed);
  } else {
    if (resamplerFromHz_ != fromHz) {
      resampler_ = std::make_unique<Resampler>(fromHz, sampleHz_);
      resamplerFromHz_ = fromHz;
    }
    std::array<int16_t, kPieceSamples * kRateRatioMax + 64> converted;
    for (size_t done = 0; done < samples && fits; done += kPieceSamples) {
      const size_t piece = std::min(kPieceSamples, samples - done);
      fits = append(converted.data(), resampler_->process(pcm + done, piece, converted.data()), nullptr);
    }
  }
  lastEnqueueMs_ = nowMs;
  if (!fits) counters_.refused++;
  return fits ? accepted_ - before : -1;
}

/** Where live audio goes on after the far end has run dry, the caller has heard a gap. */
void Outbound::noteGap(const Live& live, double durationMs, double nowMs) {
  const double gapMs = nowMs - playout_.dryAtMs();
  if (gapMs < kGapMinMs || !lastWasLive_ || queuedMs() > 0) return;
  const bool goesOn = live.timestampMs == Live::kNoTime || lastLiveMs_ == Live::kNoTime
                          ? gapMs < kRestMs
                          : std::fabs(live.timestampMs - lastLiveMs_ - durationMs) < 1;
  if (goesOn) counters_.underruns++;
}

/** What is accepted from here on is live, or not. */
void Outbound::begin(const Live& live) {
  lastWasLive_ = live.isLive;
  lastLiveMs_ = live.timestampMs;
  runs_.begin(live.latencyMaxMs, accepted_, queue_.bytes() == 0);
}

// All of it fits, or nothing is begun. The last eighth of the memory is kept for streams that hold little, so
// that one which queues minutes cannot silence the live audio of the others.
bool Outbound::hasMemory(double comingMs) const {
  constexpr double kResamplerMs = 10;  // what a resampler may give besides
  const double bytes = (comingMs + kResamplerMs) * samplesPerMs_ * static_cast<double>(bytesPerSample_);
  const size_t blocks = static_cast<size_t>(bytes / Block::kDataBytes) + 2;
  const size_t kept = queuedMs() + comingMs > kSmallMs ? pool_->blocksMax() / 8 : 0;
  return blocks + kept <= pool_->blocksLeft();
}

bool Outbound::append(const int16_t* pcm, size_t samples, const uint8_t* echoed) {
  std::array<uint8_t, kPieceSamples * 2> encoded;
  for (size_t done = 0; done < samples; done += kPieceSamples) {
    const size_t piece = std::min(kPieceSamples, samples - done);
    const int16_t* from = pcm + done;
    const uint8_t* bytes = encoded.data();
    if (bytesPerSample_ == 1) {
      encode(from, piece, echoed ? echoed + done : nullptr, encoded.data());
    } else {
      bytes = reinterpret_cast<const uint8_t*>(from);
    }
    if (!queue_.append(bytes, piece * bytesPerSample_)) return false;
    accepted_ += static_cast<double>(piece);
  }
  return true;
}

/** PCMU and PCMA. */
void Outbound::encode(const int16_t* pcm, size_t samples, const uint8_t* echoed, uint8_t* payload) const {
  if (config_.encoding == Encoding::Pcma) {
    alawEncode(pcm, samples, payload);
    return;
  }
  ulawEncode(pcm, samples, payload);
  if (!echoed) return;
  for (size_t i = 0; i < samples; i++) {
    if (echoed[i] == 0x7F && payload[i] == 0xFF) payload[i] = 0x7F;
  }
}

size_t Outbound::passThrough(const int16_t* pcm, size_t samples, int fromHz, const uint8_t* echoed,
                             double nowMs, const Live& live, uint8_t* payload) {
  const bool isWhole = samples >= minSamples_ && samples < 2 * minSamples_;
  if (bytesPerSample_ != 1 || fromHz != sampleHz_ || !isWhole || paused_) return 0;
  if (queue_.bytes() > 0 || cutCount_ > 0 || keeps_ || mixes_) return 0;
  if (nowMs < playout_.dryAtMs() - leadMs(live.latencyMaxMs) - kTickSlackMs) return 0;
  if (nowMs - playout_.dryAtMs() >= kGapMinMs) {
    noteGap(live, static_cast<double>(samples) / samplesPerMs_, nowMs);
  }
  begin(live);
  resamplerFromHz_ = 0;
  resampler_.reset();
  encode(pcm, samples, echoed, payload);
  accepted_ += static_cast<double>(samples);
  lastEnqueueMs_ = nowMs;
  sent(samples, static_cast<double>(samples), 0, samples, nowMs);
  return samples;
}

size_t Outbound::g722SamplesMax(const OutboundConfig& config) {
  return static_cast<size_t>(std::ceil((config.chunkMs + kMessageMinMs) * 16)) + 2;
}

size_t Outbound::take(double nowMs, uint8_t* payload) {
  if (pooled_) return takePacket(nowMs, payload);
  const size_t samples = dueSamples(nowMs);
  if (samples == 0) return mixes_ ? takeAlone(nowMs, payload) : 0;
  const size_t padding = paddingFor(samples);
  const size_t bytes = samples * bytesPerSample_;
  queue_.read(payload, bytes);
  const double stoodFor = head_.take(samples);
  keep(payload, samples, sent_, stoodFor, nowMs);
  const uint8_t silence = config_.encoding == Encoding::Pcmu   ? 0xFF
                          : config_.encoding == Encoding::Pcma ? 0xD5
                                                               : 0;
  if (mixes_)
    mixPayload(payload, samples, samples + padding, nowMs);
  else
    std::memset(payload + bytes, silence, padding * bytesPerSample_);
  if (config_.encoding == Encoding::L16) l16Reorder(payload, samples + padding, config_.l16Order);
  sent(samples, stoodFor, padding, bytes + padding * bytesPerSample_, nowMs);
  return bytes + padding * bytesPerSample_;
}

/** Samples of the next message, which holds encoded audio, or PCM; 0 where the next one is of the other kind.
 */
size_t Outbound::dueG722(double nowMs, bool isEncoded) {
  double end = accepted_;
  if (encoded_.at(sent_, end) != isEncoded) return 0;
  return std::min(dueSamples(nowMs), static_cast<size_t>(end - sent_));
}

size_t Outbound::takeG722(double nowMs, int16_t* pcm) {
  size_t samples = encoded_.empty() ? dueSamples(nowMs) : dueG722(nowMs, false);
  const bool isEncoded = mixes_ && samples == 0 && !encoded_.empty();
  if (isEncoded) samples = dueG722(nowMs, true);
  if (samples == 0) return mixes_ ? takeAlonePcm(nowMs, pcm) : 0;
  size_t padding = paddingFor(samples);
  padding += (samples + padding) % 2;
  queue_.read(reinterpret_cast<uint8_t*>(pcm), samples * sizeof(int16_t));
  const double stoodFor = head_.take(samples);
  keep(reinterpret_cast<const uint8_t*>(pcm), samples, sent_, stoodFor, nowMs);
  if (isEncoded) decodeG722(pcm, samples);
  if (mixes_)
    mix(pcm, samples, samples + padding, nowMs);
  else
    std::fill(pcm + samples, pcm + samples + padding, int16_t{0});
  sent(samples, stoodFor, padding, (samples + padding) / 2, nowMs);
  return samples + padding;
}

/** Samples up to the first cut, if it lies within the next `samples` and leaves no message too short; else 0.
 */
size_t Outbound::untilCut(size_t samples) const {
  for (size_t i = 0; i < cutCount_; i++) {
    const double distance = head_.queued((*cuts_)[i] - sent_);
    if (distance > static_cast<double>(samples)) break;
    const auto whole = static_cast<size_t>(std::max(distance, 0.0));
    if (whole >= minSamples_ && (!g722_ || whole % 2 == 0)) return whole;
  }
  return 0;
}

void Outbound::cutAt(double position) {
  if (position <= sent_ || cutCount_ == kCuts) return;
  if (!cuts_) cuts_ = std::make_unique<std::array<double, kCuts>>();
  auto& cuts = *cuts_;
  size_t at = cutCount_;
  while (at > 0 && cuts[at - 1] > position) at--;
  if (at > 0 && cuts[at - 1] == position) return;
  std::copy_backward(cuts.begin() + static_cast<long>(at), cuts.begin() + static_cast<long>(cutCount_),
                     cuts.begin() + static_cast<long>(cutCount_ + 1));
  cuts[at] = position;
  cutCount_++;
}

/** Forgets the cuts that have been sent. */
void Outbound::passCuts() {
  auto& cuts = *cuts_;
  size_t passed = 0;
  while (passed < cutCount_ && cuts[passed] <= sent_) passed++;
  std::copy(cuts.begin() + static_cast<long>(passed), cuts.begin() + static_cast<long>(cutCount_),
            cuts.begin());
  cutCount_ -= passed;
}

size_t Outbound::paddingFor(size_t samples) const {
  return samples < minSamples_ ? minSamples_ - samples : 0;
}

double Outbound::dueMs() const {
  if (pooled_) {
    return packets_->bytes() > 0 ? leadDueMs() : kNever;
  }
  const double queued = paused_ ? 0 : queuedSamples();
  if (queued == 0) return mixes_ ? aloneDueMs() : kNever;
  return queued < static_cast<double>(minSamples_) ? tailDueMs() : leadDueMs();
}

/**
 * A tail shorter than a message may take waits for more audio: for 20 ms, or as long as the far end is busy.
 * A background must not run dry meanwhile.
 */
double Outbound::tailDueMs() const {
  if (soundsAlone()) {
    return playout_.dryAtMs() + encoding_ / samplesPerMs_ - (pooled_ ? kAlonePooledLeadMs : kTickSlackMs);
  }
  return std::max(lastEnqueueMs_ + kMessageMinMs, playout_.dryAtMs() - kTickSlackMs);
}

size_t Outbound::dueSamples(double nowMs) {
  auto queued = static_cast<size_t>(queuedSamples());
  if (queued == 0 || paused_) return 0;
  if (queued < minSamples_) {
    if (nowMs < tailDueMs()) return 0;
    flushResampler();
    return std::min(static_cast<size_t>(queuedSamples()), minSamples_);
  }
  if (nowMs < leadDueMs()) return 0;
  if (playout_.aheadMs(nowMs) == 0) chunkMs_ = kMessageMinMs;
  if (runs_.headBoundMs() > 0) {
    catchUp(static_cast<size_t>(chunkMs_ * samplesPerMs_) + minSamples_, nowMs);
    queued = static_cast<size_t>(queuedSamples());
    if (queued < minSamples_) return 0;
  }
  const auto chunk = static_cast<size_t>(chunkMs_ * samplesPerMs_);
  if (const size_t cut = untilCut(std::min(queued, chunk + minSamples_))) return cut;
  if (queued < chunk + minSamples_) {
    // All of it, rather than leaving a tail behind; G.722 makes a byte of two samples.
    return g722_ ? queued - queued % 2 : queued;
  }
  return chunk;
}

/** At the end of an utterance the filter's delay is still inside the resampler. */
void Outbound::flushResampler() {
  if (!resampler_) return;
  std::array<int16_t, 512> tail;
  if (resampler_->flushMax() > tail.size()) return;
  append(tail.data(), resampler_->flush(tail.data()), nullptr);
  resampler_.reset();
  resamplerFromHz_ = 0;
}

double Outbound::pcmDueMs() const {
  const double queued = pooled_ && !paused_ ? queuedSamples() : 0;
  if (queued == 0) return mixes_ && pooled_ ? aloneDueMs() : kNever;
  if (queued < static_cast<double>(minSamples_)) return tailDueMs();
  // Audio is encoded so far ahead that a packet is there when it is due, and no further. What a clear() drops
  // was encoded in vain, and the pool takes only so much of one stream. A far end that has long run dry
  // changes nothing about that: the next packet that comes back or is sent makes room.
  const double aheadMs = leadMs(runs_.headBoundMs()) + chunkMaxMs();
  if (encoding_ >= aheadMs * samplesPerMs_) return kNever;
  return playout_.dryAtMs() + encoding_ / samplesPerMs_ - aheadMs;
}

size_t Outbound::takePcm(double nowMs, int16_t* pcm) {
  if (nowMs < pcmDueMs()) return 0;
  if (paused_ || queue_.bytes() == 0) return takeAlonePcm(nowMs, pcm);
  if (queuedSamples() < static_cast<double>(minSamples_))
    flushResampler();
  else if (runs_.headBoundMs() > 0)
    catchUp(minSamples_, nowMs);
  const size_t samples = std::min(static_cast<size_t>(queuedSamples()), minSamples_);
  const Span span{static_cast<uint32_t>(head_.stoodFor(samples)), static_cast<uint32_t>(samples)};
  if (samples == 0 || !spans_->append(reinterpret_cast<const uint8_t*>(&span), sizeof span)) return 0;
  const double position = headPosition();
  head_.take(samples);
  queue_.read(reinterpret_cast<uint8_t*>(pcm), samples * sizeof(int16_t));
  keep(reinterpret_cast<const uint8_t*>(pcm), samples, position, span.stoodFor, nowMs);
  if (mixes_)
    mix(pcm, samples, minSamples_, nowMs);
  else
    std::fill(pcm + samples, pcm + minSamples_, int16_t{0});
  if (samples < minSamples_) counters_.padded++;
  encoding_ += static_cast<double>(minSamples_);
  if (runs_.headBoundMs() == 0) notLiveUntilMs_ = heardUntilMs(nowMs);
  if (runs_.several()) runs_.passed(headPosition());
  withEncoder_++;
  return minSamples_;
}

bool Outbound::enqueuePacket(const uint8_t* packet, size_t bytes) {
  withEncoder_--;
  if (staleWithEncoder_ > 0) {
    staleWithEncoder_--;
    return true;
  }
  const std::array<uint8_t, 2> length{static_cast<uint8_t>(bytes & 0xFF), static_cast<uint8_t>(bytes >> 8)};
  return packets_->append(length.data(), length.size()) && packets_->append(packet, bytes);
}

void Outbound::packetLost() {
  withEncoder_--;
  if (staleWithEncoder_ > 0) {
    staleWithEncoder_--;
    return;
  }
  encoding_ -= static_cast<double>(minSamples_);
  sent_ += takeSpan().stoodFor;
}

Outbound::Span Outbound::takeSpan() {
  Span span;
  spans_->read(reinterpret_cast<uint8_t*>(&span), sizeof span);
  return span;
}

size_t Outbound::takePacket(double nowMs, uint8_t* payload) {
  if (packets_->bytes() == 0 || nowMs < leadDueMs()) return 0;
  std::array<uint8_t, 2> length;
  packets_->read(length.data(), length.size());
  const size_t bytes = static_cast<size_t>(length[0]) | static_cast<size_t>(length[1]) << 8;
  packets_->read(payload, bytes);
  encoding_ -= static_cast<double>(minSamples_);
  const Span span = takeSpan();
  if (span.stoodFor == 0)
    sentAlone(minSamples_, bytes, nowMs);
  else
    sent(span.samples, span.stoodFor, minSamples_ - span.samples, bytes, nowMs);
  return bytes;
}

void Outbound::sent(size_t samples, double stoodFor, size_t padding, size_t bytes, double nowMs) {
  const double gapMs = nowMs - playout_.dryAtMs();
  if (gapMs > 0 && lastEnqueueMs_ < playout_.dryAtMs() && (!lastWasLive_ || gapMs >= kGapMinMs)) {
    counters_.underruns++;
  }
  playout_.sent(sent_, stoodFor, static_cast<double>(padding), nowMs,
                stoodFor - static_cast<double>(samples));
  if (!pooled_ && runs_.headBoundMs() == 0) notLiveUntilMs_ = playout_.dryAtMs();
  sent_ += stoodFor;
  if (runs_.several()) runs_.passed(headPosition());
  if (cutCount_ > 0) passCuts();
  counters_.messages++;
  counters_.payloadBytes += bytes;
  if (padding > 0 && !pooled_) counters_.padded++;
  chunkMs_ = queuedSamples() > 0 ? std::min(chunkMs_ * 2, chunkMaxMs()) : kMessageMinMs;
}

}  // namespace sidetone
