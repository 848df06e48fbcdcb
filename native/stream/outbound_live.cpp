// What an Outbound does with live audio in its queue that is late.
#include <algorithm>
#include <array>

#include "codec/g711.h"
#include "stream/outbound.h"
#include "stretch/shorten.h"

namespace sidetone {
namespace {
constexpr double kWindowMs = 300;  // a pause is seen as far ahead as this
constexpr size_t kWindowSamplesMax = 48000 * 300 / 1000;
constexpr double kFadeMs = 10;
constexpr size_t kFadeSamplesMax = 480;
constexpr size_t kPieceSamples = 960;
}  // namespace

void Outbound::catchUp(size_t samplesWanted, double nowMs) {
  const double queued = queuedSamples();
  const double cut = static_cast<double>(head_.cut());
  const double live = std::min(queued, runs_.headEnd(accepted_) - headPosition() - cut);
  // Live audio that waits behind something else is late by what waits of itself.
  const double aheadMs = std::max(0.0, heardUntilMs(nowMs) - std::max(nowMs, notLiveUntilMs_));
  const double lateMs = aheadMs + live / samplesPerMs_;
  CatchUp::Step step;
  if (!catchUp_.step(lateMs, runs_.headBoundMs(), nowMs, step)) return;
  const double spare = live - static_cast<double>(minSamples_) - kFadeMs * samplesPerMs_;
  if (spare <= 0) return;
  if (step.skipMs > 0) {
    skip(static_cast<size_t>(std::min(step.skipMs * samplesPerMs_, spare)));
    return;
  }
  const double cutMax = std::min(step.cutMaxMs * samplesPerMs_, spare);
  shortenHead(samplesWanted, static_cast<size_t>(cutMax), step.speed, static_cast<size_t>(live));
}

/** Leaves out the first `samples` of the queue: what is there fades into what stands behind them. */
void Outbound::skip(size_t samples) {
  const auto fade = static_cast<size_t>(kFadeMs * samplesPerMs_);
  std::array<int16_t, kFadeSamplesMax> from;
  std::array<int16_t, kFadeSamplesMax> to;
  peekPcm(0, fade, from.data());
  peekPcm(samples, fade, to.data());
  crossFade(from.data(), to.data(), fade, from.data());
  overwritePcm(samples, fade, from.data());
  const double begin = headPosition();
  const auto in = static_cast<size_t>(head_.stoodFor(samples + fade));
  skipped_.add({begin, begin + head_.stoodFor(samples)});
  queue_.drop(samples * bytesPerSample_);
  head_.set(in, fade);
  catchUp_.counters.skippedMs += static_cast<double>(samples) / samplesPerMs_;
}

/** Makes sure that the first `samplesWanted` have been shortened as `speed` says. */
void Outbound::shortenHead(size_t samplesWanted, size_t cutMax, double speed, size_t live) {
  const size_t done = head_.out();
  if (done >= samplesWanted || done >= live) return;
  std::array<int16_t, kWindowSamplesMax> pcm;
  const size_t window = std::min(live - done, static_cast<size_t>(kWindowMs * samplesPerMs_));
  peekPcm(done, window, pcm.data());
  ShortenRequest request;
  request.sampleHz = sampleHz_;
  request.outWanted = samplesWanted - done;
  request.cutMax = cutMax;
  request.speed = speed;
  request.pauseLevel = catchUp_.pauseLevel(loudestLevel(pcm.data(), window, sampleHz_));
  const Shortened shortened = shorten(pcm.data(), window, request);
  const size_t cut = shortened.in - shortened.out;
  if (cut == 0) return;
  // What was shortened moves up to what stands behind it, and what stands before it moves up too.
  overwritePcm(done + cut, shortened.out, pcm.data());
  for (size_t end = done; end > 0;) {
    const size_t piece = std::min(end, pcm.size());
    end -= piece;
    peekPcm(end, piece, pcm.data());
    overwritePcm(end + cut, piece, pcm.data());
  }
  queue_.drop(cut * bytesPerSample_);
  head_.set(done + head_.cut() + shortened.in, done + shortened.out);
  catchUp_.counters.pauseCutMs += static_cast<double>(shortened.pauseCut) / samplesPerMs_;
  catchUp_.counters.speechCutMs += static_cast<double>(shortened.speechCut) / samplesPerMs_;
}

/** `samples` of the queue as PCM, of an encoding that waits encoded too. */
void Outbound::peekPcm(const BlockQueue& queue, size_t offset, size_t samples, int16_t* pcm) const {
  if (bytesPerSample_ == 2) {
    queue.peek(offset * 2, reinterpret_cast<uint8_t*>(pcm), samples * 2);
    return;
  }
  std::array<uint8_t, kPieceSamples> codes;
  for (size_t at = 0; at < samples; at += kPieceSamples) {
    const size_t piece = std::min(kPieceSamples, samples - at);
    queue.peek(offset + at, codes.data(), piece);
    if (config_.encoding == Encoding::Pcma)
      alawDecode(codes.data(), piece, pcm + at);
    else
      ulawDecode(codes.data(), piece, pcm + at);
  }
}

void Outbound::overwritePcm(size_t offset, size_t samples, const int16_t* pcm) {
  if (bytesPerSample_ == 2) {
    queue_.overwrite(offset * 2, reinterpret_cast<const uint8_t*>(pcm), samples * 2);
    return;
  }
  std::array<uint8_t, kPieceSamples> codes;
  for (size_t at = 0; at < samples; at += kPieceSamples) {
    const size_t piece = std::min(kPieceSamples, samples - at);
    encode(pcm + at, piece, nullptr, codes.data());
    queue_.overwrite(offset + at, codes.data(), piece);
  }
}

}  // namespace sidetone
