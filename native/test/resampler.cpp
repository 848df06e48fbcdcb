#include "resample/resampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "resample/filter.h"
#include "resample/kernels.h"

using namespace sidetone;

namespace {

constexpr int kRates[] = {8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000};

std::vector<const ResampleKernels*> allKernels() {
  std::vector<const ResampleKernels*> all{&resampleKernelsScalar()};
  if (resampleKernelsAvx2() != nullptr) all.push_back(resampleKernelsAvx2());
  if (resampleKernelsNeon() != nullptr) all.push_back(resampleKernelsNeon());
  return all;
}

std::vector<int16_t> noise(size_t samples, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int16_t> pcm(samples);
  for (auto& sample : pcm) sample = static_cast<int16_t>(random());
  return pcm;
}

std::vector<int16_t> sine(int rateHz, double hz, double amplitude, size_t samples) {
  std::vector<int16_t> pcm(samples);
  for (size_t i = 0; i < samples; i++) {
    const double phase = 2 * std::numbers::pi * hz * static_cast<double>(i) / rateHz;
    pcm[i] = static_cast<int16_t>(std::lrint(amplitude * std::sin(phase)));
  }
  return pcm;
}

std::vector<int16_t> process(Resampler& resampler, const std::vector<int16_t>& in) {
  std::vector<int16_t> out(resampler.outputMax(in.size()));
  out.resize(resampler.process(in.data(), in.size(), out.data()));
  return out;
}

std::vector<int16_t> processInCuts(Resampler& resampler, const std::vector<int16_t>& in, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int16_t> out;
  for (size_t at = 0; at < in.size();) {
    const size_t wanted = random() % 4 == 0 ? random() % 3 : random() % 700;
    const size_t samples = std::min<size_t>(wanted, in.size() - at);
    std::vector<int16_t> part(resampler.outputMax(samples));
    const size_t written = resampler.process(in.data() + at, samples, part.data());
    REQUIRE(written <= part.size());
    out.insert(out.end(), part.begin(), part.begin() + static_cast<ptrdiff_t>(written));
    at += samples;
  }
  return out;
}

/** What the filter is by its definition, in double precision. */
double ideal(const ResampleFilter& filter, const std::vector<int16_t>& in, size_t n) {
  const size_t time = n * filter.down();
  const float* c = filter.coefficients(static_cast<uint32_t>(time % filter.up()));
  double sum = 0;
  for (size_t k = 0; k < filter.taps(); k++) {
    const auto at =
        static_cast<ptrdiff_t>(time / filter.up() + k) - static_cast<ptrdiff_t>(filter.taps() - 1);
    if (at >= 0) sum += static_cast<double>(c[k]) * in[static_cast<size_t>(at)];
  }
  return std::min(32767.0, std::max(-32768.0, sum));
}

template <typename Body>
void forEveryPair(Body body) {
  for (const int from : kRates) {
    for (const int to : kRates) {
      CAPTURE(from);
      CAPTURE(to);
      body(from, to);
    }
  }
}

}  // namespace

TEST_CASE("resampler: every pair of rates gives the filter's sum, rounded, on every kernel") {
  const auto in = noise(3000, 1);
  forEveryPair([&](int from, int to) {
    const ResampleFilter* filter = resampleFilter(from, to);
    CHECK((filter == nullptr) == (from == to));
    for (const auto* kernels : allKernels()) {
      CAPTURE(std::string(kernels->name));
      Resampler resampler(from, to, *kernels);
      const auto out = process(resampler, in);
      REQUIRE(out.size() == (in.size() * static_cast<size_t>(to) + static_cast<size_t>(from) - 1) /
                                static_cast<size_t>(from));
      if (filter == nullptr) {
        CHECK(out == in);
        continue;
      }
      double worst = 0;
      for (size_t n = 0; n < out.size(); n++) {
        worst = std::max(worst, std::abs(ideal(*filter, in, n) - out[n]));
      }
      CHECK(worst < 0.52);  // half a step of rounding, and what float sums add to it
    }
  });
}

TEST_CASE("resampler: kernels agree bit for bit") {
  const auto in = noise(2500, 2);
  forEveryPair([&](int from, int to) {
    Resampler reference(from, to, resampleKernelsScalar());
    const auto expected = process(reference, in);
    for (const auto* kernels : allKernels()) {
      Resampler resampler(from, to, *kernels);
      CHECK(process(resampler, in) == expected);
    }
  });
}

TEST_CASE("resampler: however the input is cut, the output is the same") {
  const auto in = noise(5000, 3);
  forEveryPair([&](int from, int to) {
    Resampler whole(from, to);
    const auto expected = process(whole, in);
    for (uint32_t seed = 0; seed < 3; seed++) {
      Resampler cut(from, to);
      CHECK(processInCuts(cut, in, seed) == expected);
    }
    Resampler single(from, to);
    std::vector<int16_t> out;
    int16_t few[8];
    for (size_t i = 0; i < 700; i++) {
      out.insert(out.end(), few, few + single.process(&in[i], 1, few));
    }
    CHECK(std::equal(out.begin(), out.end(), expected.begin()));
  });
}

TEST_CASE("resampler: 20 ms in gives 20 ms out at each call, from the first") {
  forEveryPair([&](int from, int to) {
    if (from % 50 != 0 || to % 50 != 0) return;
    Resampler resampler(from, to);
    const auto in = noise(static_cast<size_t>(from / 50), 4);
    for (int call = 0; call < 5; call++) CHECK(process(resampler, in).size() == static_cast<size_t>(to / 50));
  });
}

TEST_CASE("resampler: constants and full-scale square waves stay within range") {
  forEveryPair([&](int from, int to) {
    for (const int16_t level : {int16_t{32767}, int16_t{-32768}, int16_t{12345}}) {
      Resampler resampler(from, to);
      const auto out = process(resampler, std::vector<int16_t>(4000, level));
      for (size_t n = out.size() / 2; n < out.size(); n++) REQUIRE(std::abs(out[n] - level) <= 1);
    }
    std::vector<int16_t> square(4000);
    for (size_t i = 0; i < square.size(); i++) square[i] = i / 20 % 2 == 0 ? int16_t{32767} : int16_t{-32768};
    Resampler resampler(from, to);
    const auto out = process(resampler, square);
    // A wrapped overshoot would jump from one rail to the other inside a half wave; a half wave's middle is
    // near it.
    const auto delay = static_cast<size_t>(resampler.delayMs() * to / 1000);
    for (size_t half = 40; half < 150; half++) {
      const size_t middle = delay + (half * 20 + 10) * static_cast<size_t>(to) / static_cast<size_t>(from);
      if (to * 20 / from < 6 || middle >= out.size()) continue;
      CHECK((out[middle] > 0) == (half % 2 == 0));
      CHECK(std::abs(out[middle]) > 20000);
    }
  });
}

TEST_CASE("resampler: flush brings the tail, then all is as new") {
  forEveryPair([&](int from, int to) {
    Resampler resampler(from, to);
    CHECK(resampler.flush(nullptr) == 0);
    std::vector<int16_t> in(static_cast<size_t>(from / 10), 0);
    // The last 2 ms must still come out.
    std::fill(in.end() - from / 500, in.end(), int16_t{30000});
    const auto first = process(resampler, in);
    std::vector<int16_t> tail(resampler.flushMax() + 1, 1234);
    const size_t written = resampler.flush(tail.data());
    REQUIRE(written <= resampler.flushMax());
    CHECK(tail.back() == 1234);
    if (from == to) {
      CHECK(written == 0);
    } else {
      CHECK(std::abs(static_cast<double>(written) * 1000 / to - resampler.delayMs()) <=
            1000.0 / to + 1000.0 / from);
      auto all = first;
      all.insert(all.end(), tail.begin(), tail.begin() + static_cast<ptrdiff_t>(written));
      CHECK(all[all.size() - static_cast<size_t>(to / 1000)] == doctest::Approx(30000).epsilon(0.1));
    }
    CHECK(process(resampler, in) == first);
  });
}

TEST_CASE("resampler: a sine comes out later by the stated delay, and by nothing else") {
  forEveryPair([&](int from, int to) {
    if (from == to) return;
    const double hz = 700;
    Resampler resampler(from, to);
    const auto out = process(resampler, sine(from, hz, 20000, static_cast<size_t>(from / 4)));
    double worst = 0;
    for (size_t n = out.size() / 2; n < out.size(); n++) {
      const double at = static_cast<double>(n) / to - resampler.delayMs() / 1000;
      worst = std::max(worst, std::abs(out[n] - 20000 * std::sin(2 * std::numbers::pi * hz * at)));
    }
    CHECK(worst < 3.5);
  });
}

TEST_CASE("resampler: state is small, and of the stated size") {
  CHECK(Resampler(8000, 16000).stateBytes() <= 160);
  CHECK(Resampler(16000, 8000).stateBytes() <= 260);
  forEveryPair([&](int from, int to) { CHECK(Resampler(from, to).stateBytes() < 700); });
  CHECK(Resampler(8000, 16000).delayMs() == doctest::Approx(3.375));
  CHECK(!isResampleRate(12000));
  CHECK(resampleFilter(8000, 12000) == nullptr);
}

TEST_CASE("resampler: threads that ask at once get one filter") {
  const ResampleFilter* seen[8] = {};
  std::vector<std::thread> threads;
  for (auto& slot : seen) threads.emplace_back([&slot] { slot = resampleFilter(44100, 32000); });
  for (auto& thread : threads) thread.join();
  for (const auto* filter : seen) CHECK(filter == seen[0]);
}
