// How well gaps are filled: segmental SNR and log-spectral distance to the clean signal, where the loss is
// heard. Usage: sidetone_bench_concealment SPEECH.wav… (mono, 16-bit, a rate that the resampler knows)
#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdio>
#include <exception>
#include <functional>
#include <numbers>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "plc/concealer.h"
#include "resample/resampler.h"
#include "timing.h"
#include "wav.h"

using namespace sidetone;
using Pcm = std::vector<int16_t>;

namespace {

constexpr int kFrameMs = 20;
constexpr uint32_t kSeeds = 5;
/** Spectra are compared up to here: what the wideband codecs carry. */
constexpr int kBandHz = 7000;

Pcm atRate(const bench::Wav& wav, int rateHz) {
  Resampler resampler(wav.rateHz, rateHz);
  Pcm out(resampler.outputMax(wav.samples.size()));
  out.resize(resampler.process(wav.samples.data(), wav.samples.size(), out.data()));
  return out;
}

/** Which frames are lost: independent of each other, each with the same chance. */
std::vector<bool> losses(size_t frames, double chance, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<bool> lost(frames);
  for (size_t n = 0; n < frames; n++) lost[n] = std::uniform_real_distribution<>(0, 1)(random) < chance;
  return lost;
}

using Method = std::function<Pcm(const Pcm&, const std::vector<bool>&, int rateHz)>;

Pcm silence(const Pcm& clean, const std::vector<bool>& lost, int rateHz) {
  const auto frame = static_cast<size_t>(rateHz * kFrameMs / 1000);
  Pcm out = clean;
  for (size_t n = 0; n < lost.size(); n++) {
    if (lost[n]) std::fill_n(out.begin() + static_cast<ptrdiff_t>(n * frame), frame, int16_t{0});
  }
  return out;
}

Pcm repetition(const Pcm& clean, const std::vector<bool>& lost, int rateHz) {
  const auto frame = static_cast<size_t>(rateHz * kFrameMs / 1000);
  Pcm out = clean;
  for (size_t n = 1; n < lost.size(); n++) {
    if (lost[n]) std::copy_n(&out[(n - 1) * frame], frame, &out[n * frame]);
  }
  return out;
}

Pcm concealed(const Pcm& clean, const std::vector<bool>& lost, int rateHz, Concealer::Timing timing) {
  const auto frame = static_cast<size_t>(rateHz * kFrameMs / 1000);
  Concealer concealer(rateHz, timing);
  Pcm out = clean;
  for (size_t n = 0; n < lost.size(); n++) {
    if (lost[n]) {
      concealer.conceal(&out[n * frame], frame);
    } else {
      concealer.receive(&out[n * frame], frame);
    }
  }
  const size_t delay = concealer.delaySamples();
  Pcm tail(delay);
  concealer.receive(tail.data(), delay);
  out.resize(lost.size() * frame);
  out.insert(out.end(), tail.begin(), tail.end());
  out.erase(out.begin(), out.begin() + static_cast<ptrdiff_t>(delay));
  return out;
}

void fft(std::vector<std::complex<double>>& x) {
  const size_t n = x.size();
  for (size_t i = 1, j = 0; i < n; i++) {
    size_t bit = n >> 1;
    for (; (j & bit) != 0; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(x[i], x[j]);
  }
  for (size_t length = 2; length <= n; length *= 2) {
    for (size_t k = 0; k < length / 2; k++) {
      const auto turn =
          std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(length));
      for (size_t i = k; i < n; i += length) {
        const auto odd = turn * x[i + length / 2];
        x[i + length / 2] = x[i] - odd;
        x[i] += odd;
      }
    }
  }
}

/** Log power spectrum of a Hann window, in dB, floored 60 dB below a full-scale sine. */
std::vector<double> spectrum(const Pcm& pcm, size_t at, size_t length) {
  std::vector<std::complex<double>> x(length);
  for (size_t i = 0; i < length; i++) {
    const double window =
        0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(length));
    x[i] = window * pcm[at + i] / 32768.0;
  }
  fft(x);
  std::vector<double> decibels(length / 2);
  const double full = std::pow(static_cast<double>(length) / 4, 2);
  for (size_t i = 0; i < decibels.size(); i++) {
    decibels[i] = 10 * std::log10(std::max(std::norm(x[i]) / full, 1e-8));
  }
  return decibels;
}

struct Score {
  double snrDb = 0;
  double distanceDb = 0;
  size_t lostFrames = 0;
  size_t windows = 0;
};

/** Means over the lost frames and the one after each, where the clean signal is above -50 dB of full scale.
 */
Score score(const Pcm& clean, const Pcm& heard, const std::vector<bool>& lost, int rateHz) {
  const auto frame = static_cast<size_t>(rateHz * kFrameMs / 1000);
  const size_t window = rateHz > 16000 ? 1024 : rateHz > 8000 ? 512 : 256;
  Score total;
  for (size_t n = 1; n < lost.size(); n++) {
    if (!lost[n] && !lost[n - 1]) continue;
    double signal = 0;
    double error = 0;
    for (size_t i = n * frame; i < (n + 1) * frame; i++) {
      signal += std::pow(clean[i], 2);
      error += std::pow(clean[i] - heard[i], 2);
    }
    if (signal / static_cast<double>(frame) < 1e-5 * 32768 * 32768) continue;
    if (lost[n]) {
      total.snrDb += std::clamp(10 * std::log10(signal / std::max(error, 1e-9)), -10.0, 35.0);
      total.lostFrames++;
    }
    // Around the middle of the frame and around its start, where the joints are.
    for (const size_t centre : {n * frame + frame / 2, n * frame}) {
      const size_t at = centre - window / 2;
      if (at + window > std::min(clean.size(), heard.size())) continue;
      const auto a = spectrum(clean, at, window);
      const auto b = spectrum(heard, at, window);
      const size_t bins =
          std::min(a.size(), static_cast<size_t>(kBandHz) * window / static_cast<size_t>(rateHz));
      double distance = 0;
      for (size_t i = 0; i < bins; i++) distance += std::pow(a[i] - b[i], 2);
      total.distanceDb += std::sqrt(distance / static_cast<double>(bins));
      total.windows++;
    }
  }
  return total;
}

void report(const std::vector<bench::Wav>& speech) {
  const std::pair<const char*, Method> methods[] = {
      {"silence", silence},
      {"repeat the last frame", repetition},
      {"concealer, no delay",
       [](auto& a, auto& b, int c) { return concealed(a, b, c, Concealer::Timing::Live); }},
      {"concealer, standard's delay",
       [](auto& a, auto& b, int c) { return concealed(a, b, c, Concealer::Timing::Standard); }},
  };
  for (const int rateHz : {8000, 16000, 48000}) {
    for (const double chance : {0.03, 0.10}) {
      std::printf("%d Hz, %.0f %% of frames of %d ms lost\n", rateHz, chance * 100, kFrameMs);
      for (const auto& [name, method] : methods) {
        Score sum;
        for (const auto& wav : speech) {
          const Pcm clean = atRate(wav, rateHz);
          const size_t frames = clean.size() * 1000 / static_cast<size_t>(rateHz * kFrameMs);
          for (uint32_t seed = 1; seed <= kSeeds; seed++) {
            const auto lost = losses(frames, chance, seed);
            const Score one = score(clean, method(clean, lost, rateHz), lost, rateHz);
            sum.snrDb += one.snrDb;
            sum.distanceDb += one.distanceDb;
            sum.lostFrames += one.lostFrames;
            sum.windows += one.windows;
          }
        }
        std::printf("  %-28s segmental SNR %5.2f dB, log-spectral distance %5.2f dB (%zu lost frames)\n",
                    name, sum.snrDb / static_cast<double>(sum.lostFrames),
                    sum.distanceDb / static_cast<double>(sum.windows), sum.lostFrames);
      }
    }
  }
}

void cost() {
  std::printf("median cost of 20 ms\n");
  for (const int rateHz : {8000, 16000, 48000}) {
    Concealer steady(rateHz);
    Concealer lossy(rateHz);
    std::mt19937 random(1);
    Pcm frame(static_cast<size_t>(rateHz * kFrameMs / 1000));
    for (auto& sample : frame) sample = static_cast<int16_t>(random());
    Pcm out = frame;
    std::vector<bench::Contender> contenders{
        {"good frame", [&] { steady.receive(out.data(), out.size()); }},
        {"lost frame and the good one after it",
         [&] {
           lossy.conceal(out.data(), out.size());
           out = frame;
           lossy.receive(out.data(), out.size());
         }},
    };
    bench::compare(contenders);
    std::printf("  %d Hz, state %zu B:", rateHz, steady.stateBytes());
    for (const auto& contender : contenders)
      std::printf("  %s %.0f ns", contender.name.c_str(), contender.medianNs);
    std::printf("\n");
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::vector<bench::Wav> speech;
    for (int i = 1; i < argc; i++) speech.push_back(bench::readWav(argv[i]));
    if (speech.empty()) throw std::runtime_error("usage: sidetone_bench_concealment SPEECH.wav…");
    report(speech);
    cost();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
  return 0;
}
