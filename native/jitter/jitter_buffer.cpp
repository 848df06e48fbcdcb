#include "jitter/jitter_buffer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "stretch/shorten.h"

namespace sidetone {
namespace {
constexpr double kContiguousMs = 2;    // rounding and a sender's carelessness
constexpr double kEarlyMs = 1000;      // earlier than the fastest by this much: the axis jumped
constexpr double kLateShiftMs = 1000;  // late for this long: the axis was shifted
constexpr uint32_t kLateShiftFrames = 3;
// The delay may be this far from its target: wider than what one frame or one period of pitch changes.
constexpr double kBelowMs = 10;
constexpr double kAboveMs = 30;
constexpr double kHurryMs = 100;
constexpr double kSpeed = 1.25;
constexpr double kSpeedHurry = 1.6;
constexpr uint32_t kStretchEvery = 5;  // frames
constexpr int kQuietCutMs = 10;
constexpr int kQuietFadeMs = 5;
constexpr double kQuietLevel = 100;  // root mean square; -50 dBFS
constexpr int kLookMs = 100;         // of shorten()
constexpr size_t kLookSamplesMax = 48000 / 1000 * kLookMs;
}  // namespace

JitterBuffer::JitterBuffer(BlockPool& pool, const JitterConfig& config)
    : config_(config),
      frameSamples_(static_cast<size_t>(config.sampleHz * kFrameMs / 1000)),
      arrivals_(config.delayMinMs, config.delayMaxMs),
      queue_(pool),
      sinceStretch_(kStretchEvery) {
  if (config.conceals) concealer_.emplace(config.sampleHz, Concealer::Timing::Live, &pool);
}

int64_t JitterBuffer::samplesOf(double ms) const { return std::llround(ms * config_.sampleHz / 1000); }

void JitterBuffer::push(const int16_t* pcm, size_t samples, double positionMs, double arrivedMs) {
  double transitMs = arrivedMs - (positionMs + offsetMs_);
  if (arrivals_.started() && transitMs < arrivals_.baseMs() - kEarlyMs) {
    offsetMs_ += transitMs - arrivals_.baseMs();
    transitMs = arrivals_.baseMs();
  }
  int64_t at = samplesOf(positionMs + offsetMs_);
  const auto length = static_cast<int64_t>(samples);
  if (playing_ && at + length <= playAt_) {
    if (!isShift(transitMs, msOf(samples), arrivedMs)) {
      arrivals_.note(transitMs, arrivedMs);
      counters_.late++;
      return;
    }
    arrivals_.forgetLateness();
    offsetMs_ += transitMs - arrivals_.baseMs();
    transitMs = arrivals_.baseMs();
    at = samplesOf(positionMs + offsetMs_);
  }
  lateRun_ = 0;
  lateSinceMs_ = -1;
  arrivals_.note(transitMs, arrivedMs);
  if (runCount_ > 0 && std::abs(at - last().end()) <= samplesOf(kContiguousMs)) at = last().end();
  lastAt_ = at;
  lastSamples_ = length;
  // What of it should have been heard already, and what lies there already.
  int64_t from = playing_ ? std::max(at, playAt_) : at;
  if (runCount_ > 0) from = std::max(from, last().end());
  if (from >= at + length) return;
  const auto skipped = static_cast<size_t>(from - at);
  if (!append(from, pcm + skipped, samples - skipped)) counters_.overflow++;
}

void JitterBuffer::noteLate(double positionMs, double arrivedMs) {
  if (arrivals_.started()) arrivals_.note(arrivedMs - (positionMs + offsetMs_), arrivedMs);
}

/** Whether a late frame shows that all that follows will be as late. A burst behind a stall catches up
 * instead. */
bool JitterBuffer::isShift(double transitMs, double durationMs, double arrivedMs) {
  if (lateSinceMs_ < 0) lateSinceMs_ = arrivedMs;
  lateRun_ = lateRun_ > 0 && transitMs < lateTransitMs_ - durationMs / 4 ? 1 : lateRun_ + 1;
  lateTransitMs_ = transitMs;
  return lateRun_ >= kLateShiftFrames || arrivedMs - lateSinceMs_ >= kLateShiftMs;
}

bool JitterBuffer::append(int64_t at, const int16_t* pcm, size_t samples) {
  const bool continues = runCount_ > 0 && at == last().end();
  if (!continues && runCount_ == kRuns) return false;
  if (msOf(heldSamples() + samples) > config_.delayMaxMs + kHeldMaxMs) return false;
  if (!queue_.append(reinterpret_cast<const uint8_t*>(pcm), samples * sizeof(int16_t))) return false;
  if (!continues) {
    runCount_++;
    last() = {at, 0};
  }
  last().samples += static_cast<int64_t>(samples);
  return true;
}

void JitterBuffer::take(int16_t* pcm, size_t samples) {
  queue_.read(reinterpret_cast<uint8_t*>(pcm), samples * sizeof(int16_t));
  dropTaken(samples);
}

/** The first samples of the first run have left the queue. */
void JitterBuffer::dropTaken(size_t samples) {
  const auto count = static_cast<int64_t>(samples);
  first().at += count;
  first().samples -= count;
  playAt_ = first().at;
  if (first().samples > 0) return;
  firstRun_ = (firstRun_ + 1) % kRuns;
  runCount_--;
}

/** How much the last frame that a pull needs could be late. */
double JitterBuffer::spareMs(double nowMs) const {
  const int64_t needed = playAt_ + static_cast<int64_t>(frameSamples_) - 1 - lastAt_;
  const int64_t length = std::max<int64_t>(lastSamples_, 1);
  const int64_t frames = needed >= 0 ? needed / length : -((-needed + length - 1) / length);
  const int64_t begins = std::max(playAt_, lastAt_ + frames * length);
  return nowMs - arrivals_.baseMs() - msOf(begins);
}

void JitterBuffer::makeUp(int16_t* pcm, size_t samples) {
  if (concealer_) {
    concealer_->conceal(pcm, samples);
  } else {
    std::fill_n(pcm, samples, int16_t{0});
  }
  if (heardAny_) counters_.concealedMs += msOf(samples);
}

bool JitterBuffer::isStarving(double nowMs) const {
  // Below its target a pull waits for what is missing.
  if (!playing_ || spareMs(nowMs) < arrivals_.targetMs() - kBelowMs) return false;
  return runCount_ == 0 || first().at > playAt_ || first().samples < static_cast<int64_t>(frameSamples_);
}

JitterBuffer::Pulled JitterBuffer::pull(double nowMs, int16_t* pcm) {
  if (!arrivals_.started()) return {};
  const double target = arrivals_.targetMs();
  if (!playing_) {
    playAt_ = samplesOf(nowMs - arrivals_.baseMs() - target);
    if (runCount_ > 0) playAt_ = std::min(playAt_, first().at);
    playing_ = true;
  }
  const double spare = spareMs(nowMs);
  const double excess = spare - target;
  delayMs_ = nowMs - arrivals_.baseMs() - msOf(playAt_);
  counters_.frames++;
  counters_.delayMs += delayMs_;
  counters_.targetMs += target;
  sinceStretch_++;

  const bool hasGap = runCount_ == 0 || first().at > playAt_;
  if (heardAny_ && excess < -kBelowMs && (runCount_ == 0 || sinceStretch_ > kStretchEvery)) {
    makeUp(pcm, frameSamples_);
    counters_.stretchedMs += kFrameMs;
    sinceStretch_ = 0;
    return {true, true};
  }
  if (excess > kAboveMs && runCount_ > 0) {
    if (hasGap) {
      const int64_t cut = std::min(first().at - playAt_, samplesOf(excess));
      playAt_ += cut;
      counters_.acceleratedMs += msOf(cut);
    } else if (accelerate(excess, pcm)) {
      return {true, false};
    }
  }
  const size_t madeUp = play(pcm);
  return {true, madeUp * 2 >= frameSamples_};
}

/** Fills a frame with what is there, and makes up the rest in its place. Returns how much that was. */
size_t JitterBuffer::play(int16_t* pcm) {
  size_t madeUp = 0;
  for (size_t done = 0; done < frameSamples_;) {
    const size_t left = frameSamples_ - done;
    if (runCount_ > 0 && first().at == playAt_) {
      const size_t part = std::min(left, static_cast<size_t>(first().samples));
      take(pcm + done, part);
      if (concealer_) concealer_->receive(pcm + done, part);
      heardAny_ = true;
      done += part;
      continue;
    }
    const size_t part = runCount_ == 0 ? left : std::min(left, static_cast<size_t>(first().at - playAt_));
    makeUp(pcm + done, part);
    playAt_ += static_cast<int64_t>(part);
    madeUp += part;
    done += part;
  }
  return madeUp;
}

/** Makes a frame out of more than 20 ms. False: nothing could be left out. */
bool JitterBuffer::accelerate(double excessMs, int16_t* out) {
  std::array<int16_t, kLookSamplesMax> look;
  const auto held = static_cast<size_t>(first().samples);
  const size_t samples = std::min(held, static_cast<size_t>(config_.sampleHz * kLookMs / 1000));
  const size_t quietCut = static_cast<size_t>(config_.sampleHz * kQuietCutMs / 1000);
  if (samples < frameSamples_ + quietCut) return false;
  queue_.peek(0, reinterpret_cast<uint8_t*>(look.data()), samples * sizeof(int16_t));
  if (cutQuiet(look.data(), out)) return true;

  const double excess = std::max(1.0, excessMs - kBelowMs) * config_.sampleHz / 1000;
  const double speed = excessMs > kHurryMs ? kSpeedHurry : kSpeed;
  const Shortened done =
      shorten(look.data(), samples, {config_.sampleHz, frameSamples_, static_cast<size_t>(excess), speed, 0});
  const size_t cut = done.in - done.out;
  if (cut == 0) return false;
  // What shorten() did not come to follows as it is.
  const size_t rest = samples - done.in;
  std::memmove(look.data() + done.out, look.data() + done.in, rest * sizeof(int16_t));
  const size_t left = samples - cut - frameSamples_;
  std::memcpy(out, look.data(), frameSamples_ * sizeof(int16_t));
  queue_.drop((samples - left) * sizeof(int16_t));
  queue_.overwrite(0, reinterpret_cast<const uint8_t*>(look.data() + frameSamples_), left * sizeof(int16_t));
  dropTaken(frameSamples_ + cut);
  counters_.acceleratedMs += msOf(cut);
  if (concealer_) concealer_->receive(out, frameSamples_);
  return true;
}

bool JitterBuffer::cutQuiet(const int16_t* pcm, int16_t* out) {
  const size_t cut = static_cast<size_t>(config_.sampleHz * kQuietCutMs / 1000);
  const size_t fade = static_cast<size_t>(config_.sampleHz * kQuietFadeMs / 1000);
  if (loudestLevel(pcm, frameSamples_ + cut, config_.sampleHz) > kQuietLevel) return false;
  const size_t plain = frameSamples_ - fade;
  std::memcpy(out, pcm, plain * sizeof(int16_t));
  crossFade(pcm + plain, pcm + plain + cut, fade, out + plain);
  queue_.drop((frameSamples_ + cut) * sizeof(int16_t));
  dropTaken(frameSamples_ + cut);
  counters_.acceleratedMs += msOf(cut);
  if (concealer_) concealer_->receive(out, frameSamples_);
  return true;
}

}  // namespace sidetone
