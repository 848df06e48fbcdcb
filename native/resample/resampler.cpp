#include "resample/resampler.h"

#include <algorithm>
#include <cstring>

#include "resample/filter.h"
#include "resample/kernels.h"

namespace sidetone {
namespace {

/** Inputs per step; bounds the scratch on the stack. 20 ms at 24 kHz, half of 20 ms at 48 kHz. */
constexpr size_t kBlockSamples = 480;
/** The longest history: 2 * 27 * 6 samples (48 to 8 kHz). Every other pair has taps <= 2 * 27 * 6 + 1, too.
 */
constexpr size_t kHistoryMax = 324;
/** Kernels compute whole groups of 8 and read beyond the window by as much. */
constexpr size_t kSlack = 16;
constexpr size_t kRatioMax = 6;
/** Outputs of one phase in a block, rounded up to 8. */
constexpr size_t kRowMax = kBlockSamples + 8;
constexpr size_t kWindowsMax = 64;

/** out[i * Stride] = row[i], with the stride known to the compiler. */
template <size_t Stride>
void interleave(const int16_t (*rows)[kRowMax], size_t outputs, int16_t* out) {
  const size_t whole = outputs / Stride;
  for (size_t i = 0; i < whole; i++) {
    for (size_t row = 0; row < Stride; row++) out[i * Stride + row] = rows[row][i];
  }
  for (size_t row = 0; row < outputs % Stride; row++) out[whole * Stride + row] = rows[row][whole];
}

/** streams[m][i] = x[i * Count + m] */
template <size_t Count>
void deinterleave(const float* x, size_t length, float* streams, size_t stride) {
  for (size_t i = 0; i < length; i++) {
    for (size_t m = 0; m < Count; m++) streams[m * stride + i] = x[i * Count + m];
  }
  for (size_t m = 0; m < Count; m++) std::fill_n(streams + m * stride + length, kSlack, 0.0F);
}

}  // namespace

Resampler::Resampler(int fromHz, int toHz) : Resampler(fromHz, toHz, resampleKernelsBest()) {}

Resampler::Resampler(int fromHz, int toHz, const ResampleKernels& kernels)
    : filter_(resampleFilter(fromHz, toHz)), kernels_(&kernels) {
  if (filter_ != nullptr) history_ = std::make_unique<int16_t[]>(filter_->taps() - 1);
}

size_t Resampler::outputMax(size_t samples) const {
  return filter_ == nullptr ? samples : (samples * filter_->up()) / filter_->down() + 1;
}

size_t Resampler::process(const int16_t* in, size_t samples, int16_t* out) {
  if (samples == 0) return 0;
  if (filter_ == nullptr) {
    std::memcpy(out, in, samples * sizeof(int16_t));
    return samples;
  }
  fed_ = true;
  size_t written = 0;
  for (size_t at = 0; at < samples; at += kBlockSamples) {
    written += processBlock(in + at, std::min(kBlockSamples, samples - at), out + written);
  }
  return written;
}

size_t Resampler::processBlock(const int16_t* in, size_t samples, int16_t* out) {
  const size_t kept = filter_->taps() - 1;
  float x[kHistoryMax + kBlockSamples + kSlack];
  kernels_->widen(history_.get(), kept, x);
  kernels_->widen(in, samples, x + kept);
  std::fill_n(x + kept + samples, kSlack, 0.0F);

  const size_t end = samples * filter_->up();
  const size_t outputs = end > time_ ? (end - time_ + filter_->down() - 1) / filter_->down() : 0;
  if (filter_->byBranch()) {
    byBranch(x, kept + samples, outputs, out);
  } else {
    byWindow(x, outputs, out);
  }
  time_ = static_cast<uint32_t>(time_ + outputs * filter_->down() - end);

  if (samples >= kept) {
    std::memcpy(history_.get(), in + samples - kept, kept * sizeof(int16_t));
  } else {
    std::memmove(history_.get(), history_.get() + samples, (kept - samples) * sizeof(int16_t));
    std::memcpy(history_.get() + kept - samples, in, samples * sizeof(int16_t));
  }
  return outputs;
}

/*
 * Outputs r, r + up, r + 2*up, … share a phase, and their windows start `down` inputs apart. The input is
 * dealt out to `down` streams (m-th input to stream m mod down), so neighbouring outputs read neighbouring
 * samples. The kernel computes 8 of them at once with each coefficient in all lanes, and needs no sum across
 * lanes.
 */
void Resampler::byBranch(const float* x, size_t inputs, size_t outputs, int16_t* out) const {
  const size_t up = filter_->up();
  const size_t down = filter_->down();
  // Sum over m of a stream's length, each with slack of its own.
  constexpr size_t kStreamsMax = kHistoryMax + kBlockSamples + kRatioMax * 2 * kSlack;
  float dealt[kStreamsMax];
  const float* streams = x;
  const size_t length = inputs / down + 1;
  const size_t stride = length + kSlack;
  switch (down) {
    case 2:
      deinterleave<2>(x, length, dealt, stride);
      break;
    case 3:
      deinterleave<3>(x, length, dealt, stride);
      break;
    case 4:
      deinterleave<4>(x, length, dealt, stride);
      break;
    case 6:
      deinterleave<6>(x, length, dealt, stride);
      break;
    default:
      break;
  }
  if (down != 1) streams = dealt;

  int16_t rows[kRatioMax][kRowMax];
  for (size_t r = 0; r < std::min(up, outputs); r++) {
    const size_t time = time_ + r * down;
    const size_t base = time / up;
    TapRun runs[kRatioMax];
    size_t runCount = 0;
    for (size_t m = 0; m < down; m++) {
      const auto& branch = filter_->branch(static_cast<uint32_t>(time % up), static_cast<uint32_t>(m));
      if (branch.count == 0) continue;
      const size_t at = base + m;
      runs[runCount++] = {branch.coefficients, streams + at % down * stride + at / down + branch.first,
                          branch.count};
    }
    kernels_->runs(runs, runCount, (outputs - r + up - 1) / up, rows[r]);
  }
  switch (up) {
    case 1:
      std::memcpy(out, rows[0], outputs * sizeof(int16_t));
      break;
    case 2:
      interleave<2>(rows, outputs, out);
      break;
    case 3:
      interleave<3>(rows, outputs, out);
      break;
    case 4:
      interleave<4>(rows, outputs, out);
      break;
    default:
      interleave<6>(rows, outputs, out);
      break;
  }
}

void Resampler::byWindow(const float* x, size_t outputs, int16_t* out) const {
  const uint32_t up = filter_->up();
  const uint32_t wholeStep = filter_->down() / up;
  const uint32_t phaseStep = filter_->down() % up;
  size_t base = time_ / up;
  uint32_t phase = time_ % up;
  for (size_t i = 0; i < outputs; i += kWindowsMax) {
    const size_t count = std::min(kWindowsMax, outputs - i);
    TapWindow windows[kWindowsMax];
    for (size_t n = 0; n < count; n++) {
      windows[n] = {filter_->coefficients(phase), x + base};
      base += wholeStep;
      phase += phaseStep;
      if (phase >= up) {
        phase -= up;
        base++;
      }
    }
    kernels_->windows(windows, filter_->tapsPadded(), count, out + i);
  }
}

size_t Resampler::flushMax() const {
  return filter_ == nullptr ? 0 : outputMax(filter_->centre() / filter_->up() + 1);
}

size_t Resampler::flush(int16_t* out) {
  if (filter_ == nullptr || !fed_) return 0;
  const int16_t silence[kHistoryMax / 2 + 1] = {};
  const size_t samples = (filter_->centre() + filter_->up() - 1) / filter_->up();
  const size_t written = process(silence, samples, out);
  reset();
  return written;
}

void Resampler::reset() {
  if (filter_ != nullptr) std::fill_n(history_.get(), filter_->taps() - 1, int16_t{0});
  time_ = 0;
  fed_ = false;
}

double Resampler::delayMs() const { return filter_ == nullptr ? 0 : filter_->delayMs(); }

size_t Resampler::stateBytes() const {
  return sizeof(*this) + (filter_ == nullptr ? 0 : (filter_->taps() - 1) * sizeof(int16_t));
}

}  // namespace sidetone
