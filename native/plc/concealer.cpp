#include "plc/concealer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "memory/prefetch.h"

namespace sidetone {
namespace {

constexpr double kAttenuationPerFrame = 0.2;
/** 10 ms frames until silence. */
constexpr uint32_t kFramesMax = 6;
constexpr uint32_t kPeriodsMax = 3;
/** Floor of the energy that correlations are normalised by: noise of a few steps has no pitch. */
constexpr double kEnergyMin = 250;
/** (correlation + pitchMax) / coarseStep, and more for the roundings at 11.025 kHz and its multiples. */
constexpr size_t kCoarseMax = 256;

uint32_t scaled(int sampleRateHz, int milliseconds, uint32_t multipleOf) {
  const double steps = sampleRateHz * milliseconds / 1000.0 / multipleOf;
  return static_cast<uint32_t>(std::lround(steps)) * multipleOf;
}

/** Truncates, as the standard's reference does. */
int16_t toSample(double value) { return static_cast<int16_t>(std::clamp(value, -32768.0, 32767.0)); }

/**
 * Cross-fade over `length` samples from `from` to `to`: into[i - begin] for i in [begin, end). The weights
 * add up step by step from the start whatever `begin` is, since the standard's reference rounds that way.
 */
template <typename From, typename To>
void crossFade(double gain, uint32_t length, uint32_t begin, uint32_t end, From from, To to, int16_t* into) {
  const double step = 1.0 / length;
  double left = (1.0 - step) * gain;
  double right = step;
  for (uint32_t i = 0; i < end; i++) {
    if (i >= begin) into[i - begin] = toSample(left * from(i) + right * to(i));
    left -= step * gain;
    right += step;
  }
}

/** Exact whatever the order, since int16 products and their sums fit a double: four chains for speed. */
struct Products {
  double cross = 0;
  double energy = 0;
};

double dot(const float* a, const float* b, size_t count) {
  double sums[4] = {};
  size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (size_t lane = 0; lane < 4; lane++) {
      sums[lane] += static_cast<double>(a[i + lane]) * static_cast<double>(b[i + lane]);
    }
  }
  for (; i < count; i++) sums[0] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

Products products(const int16_t* a, const int16_t* b, size_t count, size_t step) {
  int64_t cross = 0;
  int64_t energy = 0;
  for (size_t i = 0; i < count; i += step) {
    cross += a[i] * b[i];
    energy += a[i] * a[i];
  }
  return {static_cast<double>(cross), static_cast<double>(energy)};
}

double normalised(double cross, double energy) { return cross / std::sqrt(std::max(energy, kEnergyMin)); }

}  // namespace

Concealer::Lengths::Lengths(int sampleRateHz)
    : coarseStep(2 * static_cast<uint32_t>(std::lround(sampleRateHz / 8000.0))),
      frame(scaled(sampleRateHz, 10, 1)),
      pitchMin(scaled(sampleRateHz, 5, coarseStep)),
      pitchMax(scaled(sampleRateHz, 15, coarseStep)),
      correlation(scaled(sampleRateHz, 20, coarseStep)),
      overlapMax(pitchMax / 4),
      fadeStep(scaled(sampleRateHz, 4, 1)),
      history(kPeriodsMax * pitchMax + overlapMax) {}

Concealer::Concealer(int sampleRateHz, Timing timing, BlockPool* pool)
    : lengths_(sampleRateHz),
      timing_(timing),
      pool_(pool && gapSamples() * sizeof(int16_t) <= Block::kDataBytes ? pool : nullptr) {
  samples_ = std::make_unique<int16_t[]>(lengths_.history + (pool_ ? 0 : gapSamples()));
  if (!pool_) period_ = samples_.get() + lengths_.history;
}

Concealer::~Concealer() { giveGap(); }

bool Concealer::takeGap() {
  if (!pool_ || block_) return true;
  block_ = pool_->take();
  if (!block_) return false;
  period_ = reinterpret_cast<int16_t*>(block_->data);
  return true;
}

void Concealer::giveGap() {
  if (!block_) return;
  pool_->give(block_);
  block_ = nullptr;
}

void Concealer::fetch() const {
  const uint32_t ahead = std::min(2 * lengths_.frame, lengths_.history - ringAt_);
  prefetch(samples_.get() + ringAt_, ahead * sizeof(int16_t));
  prefetch(samples_.get(), (2 * lengths_.frame - ahead) * sizeof(int16_t) + 1);
}

void Concealer::reset() {
  std::fill_n(samples_.get(), lengths_.history, int16_t{0});
  giveGap();
  ringAt_ = 0;
  elapsed_ = 0;
  fadeLeft_ = 0;
}

size_t Concealer::stateBytes() const {
  const size_t gap = pool_ && !block_ ? 0 : gapSamples();
  return sizeof(*this) + (lengths_.history + gap) * sizeof(int16_t);
}

void Concealer::receive(int16_t* frame, size_t samples) {
  if (elapsed_ != 0) beginRecovery();
  if (fadeLeft_ != 0) recover(frame, samples);
  if (fadeLeft_ == 0) giveGap();
  if (timing_ == Timing::Live) {
    remember(frame, samples);
    return;
  }
  for (size_t at = 0; at < samples; at += lengths_.frame) {
    const size_t count = std::min<size_t>(lengths_.frame, samples - at);
    remember(frame + at, count);
    delayOutput(frame + at, count);
  }
}

void Concealer::conceal(int16_t* out, size_t samples) {
  if (samples == 0) return;
  if (elapsed_ == 0 && !takeGap()) {
    std::fill_n(out, samples, int16_t{0});
    remember(out, samples);
    return;
  }
  if (elapsed_ == 0) beginGap();
  for (size_t done = 0; done < samples;) {
    const uint32_t segment = elapsed_ / lengths_.frame;
    const uint32_t at = elapsed_ % lengths_.frame;
    if (at == 0) beginSegment(segment);
    const auto count = static_cast<uint32_t>(std::min<size_t>(lengths_.frame - at, samples - done));
    if (segment < kFramesMax) {
      repeat(out + done, count);
      smooth(out + done, at, count, segment);
      attenuate(out + done, at, count, segment);
    } else {
      std::fill_n(out + done, count, int16_t{0});
    }
    remember(out + done, count);
    if (timing_ == Timing::Standard) delayOutput(out + done, count);
    done += count;
    elapsed_ += count;
    // Beyond silence nothing changes any more: no gap is too long to count.
    if (elapsed_ >= (kFramesMax + 2) * lengths_.frame) elapsed_ -= lengths_.frame;
  }
}

/** Appends to the ring; of more than it holds, the last. */
void Concealer::remember(const int16_t* samples, size_t count) {
  const uint32_t size = lengths_.history;
  if (count > size) {
    samples += count - size;
    count = size;
  }
  const auto length = static_cast<uint32_t>(count);
  const uint32_t first = std::min(length, size - ringAt_);
  std::memcpy(samples_.get() + ringAt_, samples, first * sizeof(int16_t));
  std::memcpy(samples_.get(), samples + first, (length - first) * sizeof(int16_t));
  ringAt_ = length == first ? ringAt_ + length : length - first;
  if (ringAt_ == size) ringAt_ = 0;
}

/** The `count` samples that begin `back` samples before the end of the ring. */
void Concealer::recall(size_t back, size_t count, int16_t* out) const {
  const uint32_t size = lengths_.history;
  const size_t start = ringAt_ >= back ? ringAt_ - back : ringAt_ + size - back;
  const size_t first = std::min(count, size - start);
  std::memcpy(out, samples_.get() + start, first * sizeof(int16_t));
  std::memcpy(out + first, samples_.get(), (count - first) * sizeof(int16_t));
}

/** Replaces the newest samples by as many that ended `overlapMax` earlier. */
void Concealer::delayOutput(int16_t* samples, size_t count) const {
  recall(count + lengths_.overlapMax, count, samples);
}

void Concealer::beginGap() {
  fadeLeft_ = 0;
  recall(lengths_.history, lengths_.history, period_);
  pitch_ = findPitch();
  overlap_ = pitch_ / 4;
  std::memcpy(quarter(), period_ + lengths_.history - overlap_, overlap_ * sizeof(int16_t));
}

/** At each 10 ms of the gap: one period, then two, then three; then no more change. */
void Concealer::beginSegment(uint32_t segment) {
  if (segment >= kPeriodsMax) return;
  if (segment == 0) {
    loopLength_ = pitch_;
    loopAt_ = 0;
  } else {
    const uint32_t resumeAt = loopAt_;
    repeat(tail(), overlap_);
    loopAt_ = resumeAt;
    while (loopAt_ > pitch_) loopAt_ -= pitch_;
    loopLength_ += pitch_;
  }
  joinTailToPeriodStart();
}

/** Makes the loop's end run into its start: the last quarter period turns into the one before the loop's
 * start. */
void Concealer::joinTailToPeriodStart() {
  int16_t* joint = period_ + lengths_.history - overlap_;
  const int16_t* before = joint - loopLength_;
  crossFade(
      1.0, overlap_, 0, overlap_, [&](uint32_t i) { return quarter()[i]; },
      [&](uint32_t i) { return before[i]; }, joint);
  if (timing_ != Timing::Standard || elapsed_ != 0) return;
  // The delayed output has not played these yet: let the joint be heard.
  ringAt_ = ringAt_ >= overlap_ ? ringAt_ - overlap_ : ringAt_ + lengths_.history - overlap_;
  remember(joint, overlap_);
}

/** The first quarter period of a segment, where the signal before it goes over into the loop. */
void Concealer::smooth(int16_t* out, uint32_t at, uint32_t count, uint32_t segment) {
  if (at >= overlap_ || segment >= kPeriodsMax) return;
  const uint32_t end = std::min(at + count, overlap_);
  if (segment != 0) {
    crossFade(
        1.0, overlap_, at, end, [&](uint32_t i) { return tail()[i]; },
        [&](uint32_t i) { return out[i - at]; }, out);
  } else if (timing_ == Timing::Live) {
    // The loop starts beside where the signal was; the step fades out, so the signal goes on from its last
    // value.
    const int32_t step = quarter()[overlap_ - 1] - period_[lengths_.history - loopLength_ - 1];
    for (uint32_t i = at; i < end; i++) {
      const double left = 1.0 - static_cast<double>(i) / overlap_;
      out[i - at] = toSample(out[i - at] + left * step);
    }
  }
}

void Concealer::attenuate(int16_t* out, uint32_t at, uint32_t count, uint32_t segment) {
  if (segment == 0) return;
  const double step = kAttenuationPerFrame / lengths_.frame;
  double gain = 1.0 - (segment - 1) * kAttenuationPerFrame;
  for (uint32_t i = 0; i < at + count; i++) {
    if (i >= at) out[i - at] = toSample(gain * out[i - at]);
    gain -= step;
  }
}

void Concealer::beginRecovery() {
  const uint32_t frames = (elapsed_ + lengths_.frame - 1) / lengths_.frame;
  const double framesLost = static_cast<double>(elapsed_) / lengths_.frame;
  fadeSamples_ = std::min(lengths_.frame, overlap_ + (frames - 1) * lengths_.fadeStep);
  fadeLeft_ = fadeSamples_;
  fadeGain_ = std::clamp(1.0 - (framesLost - 1.0) * kAttenuationPerFrame, 0.0, 1.0);
  elapsed_ = 0;
}

void Concealer::recover(int16_t* frame, size_t samples) {
  const auto count = static_cast<uint32_t>(std::min<size_t>(samples, fadeLeft_));
  const uint32_t done = fadeSamples_ - fadeLeft_;
  int16_t synthetic;
  crossFade(
      fadeGain_, fadeSamples_, done, done + count,
      [&](uint32_t) {
        repeat(&synthetic, 1);
        return synthetic;
      },
      [&](uint32_t i) { return frame[i - done]; }, frame);
  fadeLeft_ -= count;
}

/** The next samples of the loop. */
void Concealer::repeat(int16_t* out, size_t count) {
  const int16_t* loop = period_ + lengths_.history - loopLength_;
  while (count != 0) {
    const auto run = static_cast<uint32_t>(std::min<size_t>(count, loopLength_ - loopAt_));
    std::memcpy(out, loop + loopAt_, run * sizeof(int16_t));
    out += run;
    count -= run;
    loopAt_ += run;
    if (loopAt_ == loopLength_) loopAt_ = 0;
  }
}

/** The lag, pitchMin to pitchMax, at which the last 20 ms correlate best with what was before them. */
uint32_t Concealer::findPitch() const {
  const uint32_t step = lengths_.coarseStep;
  const uint32_t average = step / 2;  // 1 at 8 kHz: the standard drops every other sample
  const int16_t* latest = period_ + lengths_.history - lengths_.correlation;
  const int16_t* earliest = latest - lengths_.pitchMax;

  float coarse[kCoarseMax];
  const uint32_t coarseLength = (lengths_.correlation + lengths_.pitchMax) / step;
  for (uint32_t i = 0; i < coarseLength; i++) {
    int32_t sum = 0;
    for (uint32_t j = 0; j < average; j++) sum += earliest[i * step + j];
    coarse[i] = static_cast<float>(sum / static_cast<int32_t>(average));
  }
  const uint32_t window = lengths_.correlation / step;
  const uint32_t lags = (lengths_.pitchMax - lengths_.pitchMin) / step;
  const float* target = coarse + lengths_.pitchMax / step;
  double energy = dot(coarse, coarse, window);
  double best = normalised(dot(coarse, target, window), energy);
  uint32_t bestAt = 0;
  for (uint32_t j = 1; j <= lags; j++) {
    const double leaves = coarse[j - 1];
    const double enters = coarse[j - 1 + window];
    energy += enters * enters - leaves * leaves;
    const double correlation = normalised(dot(coarse + j, target, window), energy);
    if (correlation >= best) {
      best = correlation;
      bestAt = j;
    }
  }

  const uint32_t centre = bestAt * step;
  const uint32_t low = centre >= step ? centre - (step - 1) : 0;
  const uint32_t high = std::min(centre + step - 1, lengths_.pitchMax - lengths_.pitchMin);
  uint32_t found = low;
  for (uint32_t j = low; j <= high; j++) {
    const Products sums = products(earliest + j, latest, lengths_.correlation, average);
    const double correlation = normalised(sums.cross, sums.energy);
    if (j == low || correlation > best) {
      best = correlation;
      found = j;
    }
  }
  return lengths_.pitchMax - found;
}

}  // namespace sidetone
