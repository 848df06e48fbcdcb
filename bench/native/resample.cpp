// What the filter does to a spectrum, and the cost of 20 ms beside libsoxr and libspeexdsp, in turns.
// Usage: sidetone_bench_resample
#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdio>
#include <memory>
#include <numbers>
#include <random>
#include <vector>

#include "resample/filter.h"
#include "resample/kernels.h"
#include "resample/resampler.h"
#include "timing.h"

#if defined(HAVE_SOXR)
#include <soxr.h>
#endif
#if defined(HAVE_SPEEXDSP)
#include <speex/speex_resampler.h>
#endif

using namespace sidetone;

namespace {

struct Response {
  double rippleDb = 0;
  double attenuationDb = 400;
};

/** Of the coefficients in use, all phases together; up to 8 times the lower Nyquist frequency. */
Response response(const ResampleFilter& filter) {
  const double nyquistStep = std::numbers::pi / std::max(filter.up(), filter.down());
  const auto gainDb = [&](double part) {
    std::complex<double> sum = 0;
    for (uint32_t phase = 0; phase < filter.up(); phase++) {
      for (uint32_t k = 0; k < filter.taps(); k++) {
        const double at = phase + static_cast<double>(filter.taps() - 1 - k) * filter.up();
        sum += static_cast<double>(filter.coefficients(phase)[k]) * std::polar(1.0, -at * part * nyquistStep);
      }
    }
    return 20 * std::log10(std::abs(sum) / filter.up());
  };
  const double most = std::min(8.0, static_cast<double>(std::max(filter.up(), filter.down())));
  Response found;
  for (double part = 0; part <= 0.9; part += 0.005) {
    found.rippleDb = std::max(found.rippleDb, std::abs(gainDb(part)));
  }
  for (double part = 1.1; part <= most; part += 0.003) {
    found.attenuationDb = std::min(found.attenuationDb, -gainDb(part));
  }
  return found;
}

void addSoxr([[maybe_unused]] std::vector<bench::Contender>& contenders, [[maybe_unused]] const char* name,
             [[maybe_unused]] unsigned long recipe, [[maybe_unused]] int from, [[maybe_unused]] int to,
             [[maybe_unused]] const std::vector<int16_t>& in, [[maybe_unused]] std::vector<int16_t>& out) {
#if defined(HAVE_SOXR)
  const auto io = soxr_io_spec(SOXR_INT16_I, SOXR_INT16_I);
  const auto quality = soxr_quality_spec(recipe, 0);
  std::shared_ptr<soxr> soxr(soxr_create(from, to, 1, nullptr, &io, &quality, nullptr), soxr_delete);
  contenders.push_back({name, [soxr, &in, &out] {
                          size_t used;
                          size_t written;
                          soxr_process(soxr.get(), in.data(), in.size(), &used, out.data(), out.size(),
                                       &written);
                        }});
#endif
}

void addSpeex([[maybe_unused]] std::vector<bench::Contender>& contenders, [[maybe_unused]] const char* name,
              [[maybe_unused]] int quality, [[maybe_unused]] int from, [[maybe_unused]] int to,
              [[maybe_unused]] const std::vector<int16_t>& in, [[maybe_unused]] std::vector<int16_t>& out) {
#if defined(HAVE_SPEEXDSP)
  int error = 0;
  std::shared_ptr<SpeexResamplerState> state(
      speex_resampler_init(1, static_cast<unsigned>(from), static_cast<unsigned>(to), quality, &error),
      speex_resampler_destroy);
  contenders.push_back({name, [state, &in, &out] {
                          auto used = static_cast<spx_uint32_t>(in.size());
                          auto written = static_cast<spx_uint32_t>(out.size());
                          speex_resampler_process_int(state.get(), 0, in.data(), &used, out.data(), &written);
                        }});
#endif
}

}  // namespace

int main() {
  const int pairs[][2] = {{8000, 16000},  {16000, 8000},  {8000, 24000},  {24000, 8000},
                          {8000, 48000},  {48000, 8000},  {16000, 24000}, {24000, 16000},
                          {16000, 48000}, {48000, 16000}, {8000, 44100},  {44100, 48000}};
  std::printf("median us of 20 ms (ratio to this resampler)\n");
  for (const auto& [from, to] : pairs) {
    std::mt19937 random(1);
    std::vector<int16_t> in(static_cast<size_t>(from / 50));
    for (auto& sample : in) sample = static_cast<int16_t>(random());
    std::vector<int16_t> out(static_cast<size_t>(to / 50) + 64);
    Resampler best(from, to);
    Resampler scalar(from, to, resampleKernelsScalar());
    std::vector<bench::Contender> contenders{
        {"sidetone", [&] { best.process(in.data(), in.size(), out.data()); }},
        {"sidetone scalar", [&] { scalar.process(in.data(), in.size(), out.data()); }},
    };
#if defined(HAVE_SOXR)
    addSoxr(contenders, "soxr 16-bit", SOXR_16_BITQ, from, to, in, out);
    addSoxr(contenders, "soxr low", SOXR_LQ, from, to, in, out);
#endif
    addSpeex(contenders, "speex 3", 3, from, to, in, out);
    addSpeex(contenders, "speex 7", 7, from, to, in, out);
    bench::compare(contenders);
    const Response found = response(*resampleFilter(from, to));
    std::printf("%5d to %5d, ripple %.4f dB, stop-band %.1f dB, delay %.3f ms, state %zu B:\n   ", from, to,
                found.rippleDb, found.attenuationDb, best.delayMs(), best.stateBytes());
    for (const auto& contender : contenders) {
      std::printf("  %s %.2f (%.1f)", contender.name.c_str(), contender.medianNs / 1000,
                  contender.medianNs / contenders[0].medianNs);
    }
    std::printf("\n");
  }
  return 0;
}
