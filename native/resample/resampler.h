#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

namespace sidetone {

class ResampleFilter;
struct ResampleKernels;

/** Whether `hz` is one of 8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000. */
bool isResampleRate(int hz);

/**
 * The coefficients for a pair of rates; nullptr when they are equal (or one is not supported, see
 * isResampleRate). Built once per process on first use (thread-safe), never freed: warm it up before the
 * first call.
 */
const ResampleFilter* resampleFilter(int fromHz, int toHz);

/**
 * Changes the sample rate of one stream in one direction, mono int16.
 *
 * After N inputs exactly ceil(N * toHz / fromHz) outputs have come, the same bit for bit however the input
 * was cut. So 160 samples at 8 kHz give 320 at 16 kHz from the first call on. The output lags the input by
 * `delayMs` (27 samples of the lower rate). Figures of the filter: resample/filter.h. Equal rates copy.
 */
class Resampler {
 public:
  /** Both rates must satisfy isResampleRate. Allocates the history, and nothing later. */
  Resampler(int fromHz, int toHz);
  /** The same on given kernels: for tests and benchmarks. */
  Resampler(int fromHz, int toHz, const ResampleKernels& kernels);

  /** Upper bound of what `process` returns for `samples` inputs: the capacity that `out` needs. */
  size_t outputMax(size_t samples) const;
  /** Any number of samples, 0 included. Returns the outputs written. `out` must not overlap `in`. */
  size_t process(const int16_t* in, size_t samples, int16_t* out);

  /** Capacity that `flush` needs. */
  size_t flushMax() const;
  /** Feeds silence until the last input has come out, then resets. Nothing if nothing was fed since the last
   * reset. */
  size_t flush(int16_t* out);
  /** As new: the history is silence. */
  void reset();

  /** Group delay, the same for every frequency. */
  double delayMs() const;
  /** Everything this object holds, itself included; the shared coefficients are not counted. */
  size_t stateBytes() const;

 private:
  size_t processBlock(const int16_t* in, size_t samples, int16_t* out);
  void byBranch(const float* x, size_t inputs, size_t outputs, int16_t* out) const;
  void byWindow(const float* x, size_t outputs, int16_t* out) const;

  const ResampleFilter* filter_;
  const ResampleKernels* kernels_;
  std::unique_ptr<int16_t[]> history_;  // the last taps - 1 inputs, oldest first
  uint32_t time_ = 0;                   // of the next output, in 1 / (up * fromHz) s after the next input
  bool fed_ = false;
};

}  // namespace sidetone
