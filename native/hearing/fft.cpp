#include "hearing/fft.h"

#include <cmath>
#include <numbers>

namespace sidetone {
namespace {

constexpr size_t kPoints = PowerSpectrum::kSamples / 2;

struct Tables {
  alignas(32) float window[PowerSpectrum::kSamples];
  float cosine[PowerSpectrum::kSamples];  // of 2 pi i / 256
  float sine[PowerSpectrum::kSamples];

  Tables() {
    for (size_t i = 0; i < PowerSpectrum::kSamples; i++) {
      const double angle = 2 * std::numbers::pi * static_cast<double>(i) / PowerSpectrum::kSamples;
      cosine[i] = static_cast<float>(std::cos(angle));
      sine[i] = static_cast<float>(std::sin(angle));
      window[i] = static_cast<float>((1 - std::cos(angle)) / PowerSpectrum::kSamples);
    }
  }
};

const Tables& tables() {
  static const Tables made;
  return made;
}

struct Points {
  alignas(32) float re[kPoints];
  alignas(32) float im[kPoints];
};

/** One step of radix 4: `kLength` points are left of each transform, `kStride` transforms lie interleaved. */
template <size_t kLength, size_t kStride>
void step(const Tables& table, const Points& x, Points& y) {
  constexpr size_t kQuarter = kLength / 4;
  constexpr size_t kTurn = PowerSpectrum::kSamples / kLength;
  for (size_t p = 0; p < kQuarter; p++) {
    const float c1 = table.cosine[p * kTurn], s1 = -table.sine[p * kTurn];
    const float c2 = table.cosine[2 * p * kTurn], s2 = -table.sine[2 * p * kTurn];
    const float c3 = table.cosine[3 * p * kTurn], s3 = -table.sine[3 * p * kTurn];
    const float* xr = x.re + kStride * p;
    const float* xi = x.im + kStride * p;
    float* yr = y.re + kStride * 4 * p;
    float* yi = y.im + kStride * 4 * p;
    for (size_t q = 0; q < kStride; q++) {
      const float ar = xr[q], ai = xi[q];
      const float br = xr[q + kStride * kQuarter], bi = xi[q + kStride * kQuarter];
      const float cr = xr[q + kStride * 2 * kQuarter], ci = xi[q + kStride * 2 * kQuarter];
      const float dr = xr[q + kStride * 3 * kQuarter], di = xi[q + kStride * 3 * kQuarter];
      const float acr = ar + cr, aci = ai + ci, bdr = br + dr, bdi = bi + di;
      const float er = ar - cr, ei = ai - ci;
      const float fr = di - bi, fi = br - dr;  // j (b - d)
      yr[q] = acr + bdr;
      yi[q] = aci + bdi;
      const float gr = er - fr, gi = ei - fi;
      yr[q + kStride] = c1 * gr - s1 * gi;
      yi[q + kStride] = c1 * gi + s1 * gr;
      const float hr = acr - bdr, hi = aci - bdi;
      yr[q + 2 * kStride] = c2 * hr - s2 * hi;
      yi[q + 2 * kStride] = c2 * hi + s2 * hr;
      const float kr = er + fr, ki = ei + fi;
      yr[q + 3 * kStride] = c3 * kr - s3 * ki;
      yi[q + 3 * kStride] = c3 * ki + s3 * kr;
    }
  }
}

}  // namespace

void PowerSpectrum::compute(const float* samples, float* power) {
  const Tables& table = tables();
  Points a, b;
  for (size_t i = 0; i < kPoints; i++) {
    a.re[i] = samples[2 * i] * table.window[2 * i];
    a.im[i] = samples[2 * i + 1] * table.window[2 * i + 1];
  }
  step<128, 1>(table, a, b);
  step<32, 4>(table, b, a);
  step<8, 16>(table, a, b);
  for (size_t q = 0; q < kPoints / 2; q++) {
    a.re[q] = b.re[q] + b.re[q + kPoints / 2];
    a.im[q] = b.im[q] + b.im[q + kPoints / 2];
    a.re[q + kPoints / 2] = b.re[q] - b.re[q + kPoints / 2];
    a.im[q + kPoints / 2] = b.im[q] - b.im[q + kPoints / 2];
  }
  // The even and the odd samples' transforms, put together.
  power[0] = (a.re[0] + a.im[0]) * (a.re[0] + a.im[0]);
  for (size_t k = 1; k < kBins; k++) {
    const float evenRe = 0.5F * (a.re[k] + a.re[kPoints - k]), evenIm = 0.5F * (a.im[k] - a.im[kPoints - k]);
    const float oddRe = 0.5F * (a.im[k] + a.im[kPoints - k]), oddIm = 0.5F * (a.re[kPoints - k] - a.re[k]);
    const float c = table.cosine[k], s = table.sine[k];
    const float re = evenRe + c * oddRe + s * oddIm;
    const float im = evenIm + c * oddIm - s * oddRe;
    power[k] = re * re + im * im;
  }
}

}  // namespace sidetone
