#pragma once
#include <array>
#include <cstddef>

namespace sidetone {

/**
 * The noise of a line, band by band, as logarithms (base 2) of power. What is no voice draws it up within a
 * fifth of a second. What never pauses for 1.8 s is taken for noise too, and quieter sound draws it down.
 */
class NoiseFloor {
 public:
  static constexpr size_t kBands = 11;
  using Bands = std::array<float, kBands>;

  NoiseFloor();

  /** 20 ms of sound. `isNoise`: no voice is in it. */
  void hear(const Bands& level, bool isNoise);
  const Bands& level() const { return floor_; }

 private:
  static constexpr size_t kWindows = 6;
  static constexpr int kWindowHops = 15;

  Bands floor_;
  Bands smooth_;
  Bands lowest_;                          // of the window that is being heard
  std::array<Bands, kWindows> lowestOf_;  // the windows before it
  size_t window_ = 0;
  int hops_ = 0;
  int first_;  // steps until the line is known
};

}  // namespace sidetone
