#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sidetone {

/**
 * Immutable polyphase coefficients for one pair of rates, shared by all streams and threads.
 *
 * The prototype is a Kaiser-windowed sinc at `up * fromHz`, 27 samples of the lower rate to either side of
 * its centre. It is cut off (-6 dB) at the lower rate's Nyquist frequency, flat to 0.9 of it, over 80 dB down
 * from 1.1 of it. The transition is centred there because that halves the delay of one that ends there; what
 * falls into it comes back above 0.9 of Nyquist only. Output n is the sum over k of coefficients[phase][k] *
 * input[base - (taps - 1) + k],   base = n*down / up,   phase = n*down mod up.
 */
class ResampleFilter {
 public:
  ResampleFilter(int fromHz, int toHz);

  /** Non-zero taps k = m + j*down for j in [first, first + count), for one phase and one m. */
  struct Branch {
    const float* coefficients;
    uint32_t first;
    uint32_t count;
  };

  uint32_t up() const { return up_; }
  uint32_t down() const { return down_; }
  /** Inputs that one output depends on. */
  uint32_t taps() const { return taps_; }
  /** `taps` rounded up to a multiple of 8; the coefficients beyond `taps` are zero. */
  uint32_t tapsPadded() const { return tapsPadded_; }
  /** Group delay in units of 1 / (up * fromHz) s: the same for every frequency. */
  uint32_t centre() const { return centre_; }
  double delayMs() const { return delayMs_; }
  /** Whether outputs of one phase are computed side by side (small ratios) rather than one by one. */
  bool byBranch() const { return !branches_.empty(); }

  const float* coefficients(uint32_t phase) const {
    return coefficients_.data() + static_cast<size_t>(phase) * tapsPadded_;
  }
  const Branch& branch(uint32_t phase, uint32_t m) const {
    return branches_[static_cast<size_t>(phase) * down_ + m];
  }

 private:
  void buildBranches();

  uint32_t up_;
  uint32_t down_;
  uint32_t taps_;
  uint32_t tapsPadded_;
  uint32_t centre_;
  double delayMs_;
  std::vector<float> coefficients_;
  std::vector<float> branchCoefficients_;
  std::vector<Branch> branches_;
};

}  // namespace sidetone
