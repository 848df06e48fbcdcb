#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <random>
#include <vector>

#include "hearing/fft.h"
#include "hearing/key_detector.h"
#include "hearing/listener.h"
#include "hearing/pitch.h"
#include "hearing/voice_detector.h"

using namespace sidetone;

namespace {

constexpr double kHz = 8000;

std::vector<int16_t> toInt16(const std::vector<double>& signal) {
  std::vector<int16_t> pcm;
  for (const double sample : signal) {
    pcm.push_back(static_cast<int16_t>(std::lround(std::clamp(sample, -1.0, 1.0) * 32767)));
  }
  return pcm;
}

std::vector<double> silence(double ms) { return std::vector<double>(static_cast<size_t>(ms * kHz / 1000)); }

void add(std::vector<double>& signal, const std::vector<double>& more) {
  signal.insert(signal.end(), more.begin(), more.end());
}

/** Sines of these frequencies (Hz) and amplitudes. */
std::vector<double> tones(double ms, const std::vector<std::pair<double, double>>& parts) {
  std::vector<double> signal = silence(ms);
  for (size_t i = 0; i < signal.size(); i++) {
    for (const auto& [hz, amplitude] : parts) {
      signal[i] += amplitude * std::sin(2 * std::numbers::pi * hz * static_cast<double>(i) / kHz);
    }
  }
  return signal;
}

std::vector<double> noise(double ms, double rms, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(0, rms);
  std::vector<double> signal = silence(ms);
  for (double& sample : signal) sample = normal(random);
  return signal;
}

/** Harmonics under two formants, with a pitch that glides as a voice's does. */
std::vector<double> vowel(double ms, double amplitude, double pitchHz = 130) {
  std::vector<double> signal = silence(ms);
  double phase = 0;
  for (size_t i = 0; i < signal.size(); i++) {
    const double t = static_cast<double>(i) / kHz;
    const double hz = pitchHz * (1 + 0.15 * std::sin(2 * std::numbers::pi * 2.5 * t));
    phase += 2 * std::numbers::pi * hz / kHz;
    for (int harmonic = 1; harmonic * hz < 3400; harmonic++) {
      const double at = harmonic * hz;
      const double shape =
          1 / (1 + std::pow((at - 500) / 250, 2)) + 0.4 / (1 + std::pow((at - 1500) / 300, 2));
      signal[i] += amplitude * shape * std::sin(phase * harmonic);
    }
  }
  return signal;
}

struct Heard {
  int began = 0;
  int ended = 0;
  double beganAtMs = 0;
  double startMs = 0;
  double endMs = 0;
  float highest = 0;
};

Heard listenTo(const std::vector<double>& signal, const VoiceOptions& options = {}) {
  const auto pcm = toInt16(signal);
  VoiceDetector detector(options);
  Heard heard;
  for (size_t at = 0; at + VoiceDetector::kHopSamples <= pcm.size(); at += VoiceDetector::kHopSamples) {
    const auto change = detector.hear(pcm.data() + at, false);
    heard.highest = std::max(heard.highest, detector.probability());
    if (change == VoiceDetector::Change::Began) {
      heard.began++;
      heard.startMs = detector.startMs();
      heard.beganAtMs = static_cast<double>(at + VoiceDetector::kHopSamples) * 1000 / kHz;
    } else if (change == VoiceDetector::Change::Ended) {
      heard.ended++;
      heard.endMs = detector.endMs();
    }
  }
  return heard;
}

std::string keysIn(const std::vector<double>& signal, size_t shift = 0) {
  std::vector<double> shifted(shift);
  add(shifted, signal);
  add(shifted, silence(100));
  const auto pcm = toInt16(shifted);
  KeyDetector detector;
  std::string keys;
  for (size_t at = 0; at + KeyDetector::kHopSamples <= pcm.size(); at += KeyDetector::kHopSamples) {
    if (const char key = detector.hear(pcm.data() + at)) keys += key;
  }
  return keys;
}

double amplitude(double dbfs) { return std::pow(10, dbfs / 20); }

}  // namespace

TEST_CASE("the power spectrum is what a discrete Fourier transform gives") {
  std::mt19937 random(1);
  std::vector<float> samples(PowerSpectrum::kSamples);
  for (float& sample : samples) sample = static_cast<float>(random() % 2001) / 1000 - 1;
  float power[PowerSpectrum::kBins];
  PowerSpectrum::compute(samples.data(), power);
  const double turn = 2 * std::numbers::pi / PowerSpectrum::kSamples;
  for (size_t bin = 0; bin < PowerSpectrum::kBins; bin++) {
    std::complex<double> sum = 0;
    for (size_t i = 0; i < PowerSpectrum::kSamples; i++) {
      const double window = (1 - std::cos(turn * static_cast<double>(i))) / PowerSpectrum::kSamples;
      sum += samples[i] * window * std::polar(1.0, -turn * static_cast<double>(i * bin));
    }
    CHECK(power[bin] == doctest::Approx(std::norm(sum)).epsilon(1e-3).scale(1e-4));
  }
}

TEST_CASE("a voice is periodic, noise is not") {
  const auto highestOf = [](const std::vector<double>& signal, size_t from) {
    Periodicity periodicity;
    float highest = 0;
    for (size_t at = 0; at + 160 <= signal.size(); at += 160) {
      const std::vector<float> hop(signal.begin() + static_cast<long>(at),
                                   signal.begin() + static_cast<long>(at) + 160);
      periodicity.take(hop.data());
      const float period = periodicity.value();
      CHECK(period >= 0);
      CHECK(period <= 1);
      if (at >= from) highest = std::max(highest, period);
    }
    return highest;
  };
  for (const double pitch : {75.0, 120.0, 220.0, 380.0}) {
    CAPTURE(pitch);
    CHECK(highestOf(vowel(300, 0.1, pitch), 0) > 0.8F);
  }
  CHECK(highestOf(silence(300), 0) == 0);
  // The mean of many, because the highest of much noise is high.
  Periodicity periodicity;
  float sum = 0;
  const auto hiss = noise(20000, 0.1, 3);
  for (size_t at = 0; at + 160 <= hiss.size(); at += 160) {
    const std::vector<float> hop(hiss.begin() + static_cast<long>(at),
                                 hiss.begin() + static_cast<long>(at) + 160);
    periodicity.take(hop.data());
    sum += periodicity.value();
  }
  CHECK(sum / 1000 < 0.45F);
}

TEST_CASE("a voice in silence and in comfort noise is found where it is") {
  for (const double noiseRms : {0.0, 0.0126}) {  // -35 dBFS of a sine
    CAPTURE(noiseRms);
    std::vector<double> signal = silence(1500);
    add(signal, vowel(600, 0.1));
    add(signal, silence(1200));
    const auto hiss = noise(3300, noiseRms, 5);
    for (size_t i = 0; i < signal.size(); i++) signal[i] += hiss[i];
    const Heard heard = listenTo(signal);
    CHECK(heard.began == 1);
    CHECK(heard.ended == 1);
    CHECK(heard.beganAtMs >= 1540);
    CHECK(heard.beganAtMs <= 1620);
    CHECK(std::abs(heard.startMs - 1500) <= 30);
    CHECK(std::abs(heard.endMs - 2100) <= 60);
    CHECK(heard.highest > 0.9F);
  }
}

TEST_CASE("what is no voice begins no speech") {
  SUBCASE("noise that comes and goes") {
    std::vector<double> signal = noise(2000, 0.003, 1);
    for (int i = 0; i < 8; i++) {
      add(signal, noise(400, 0.05, static_cast<unsigned>(i) + 10));
      add(signal, noise(700, 0.003, static_cast<unsigned>(i) + 50));
    }
    CHECK(listenTo(signal).began == 0);
  }
  SUBCASE("keys, dial tone, busy tone, ring-back tone") {
    std::vector<double> signal = silence(500);
    for (const double low : {697.0, 770.0, 852.0, 941.0}) {
      for (const double high : {1209.0, 1336.0, 1477.0}) {
        add(signal, tones(100, {{low, 0.2}, {high, 0.2}}));
        add(signal, silence(100));
      }
    }
    add(signal, tones(3000, {{350, 0.1}, {440, 0.1}}));
    for (int i = 0; i < 4; i++) {
      add(signal, tones(500, {{425, 0.2}}));
      add(signal, silence(500));
    }
    add(signal, tones(2000, {{440, 0.1}, {480, 0.1}}));
    CHECK(listenTo(signal).began == 0);
  }
  SUBCASE("clicks") {
    std::vector<double> signal = noise(6000, 0.0005, 2);
    for (size_t at = 4000; at + 100 < signal.size(); at += 1777) {
      for (size_t i = 0; i < 60; i++) signal[at + i] += (i % 2 != 0 ? 0.5 : -0.5) * std::exp(-0.1 * i);
    }
    CHECK(listenTo(signal).began == 0);
  }
  SUBCASE("a voice below the level that is asked for") {
    std::vector<double> signal = silence(1000);
    add(signal, vowel(600, 0.02));
    CHECK(listenTo(signal, {60, 300, 0.5, -20}).began == 0);
    CHECK(listenTo(signal, {60, 300, 0.5, -55}).began == 1);
  }
}

TEST_CASE("all sixteen keys are recognised once each, wherever the steps of 10 ms lie") {
  const std::string expected = "123A456B789C*0#D";
  const double rows[] = {697, 770, 852, 941};
  const double columns[] = {1209, 1336, 1477, 1633};
  std::vector<double> signal;
  for (const double row : rows) {
    for (const double column : columns) {
      add(signal, tones(40, {{row, 0.1}, {column, 0.1}}));
      add(signal, silence(40));
    }
  }
  for (size_t shift = 0; shift < 80; shift += 7) {
    CAPTURE(shift);
    CHECK(keysIn(signal, shift) == expected);
  }
}

TEST_CASE("the limits of Q.24") {
  const auto five = [](double ms, double lowDb, double highDb, double off = 0) {
    return tones(ms, {{770 * (1 + off), amplitude(lowDb)}, {1336 * (1 + off), amplitude(highDb)}});
  };
  SUBCASE("level") {
    CHECK(keysIn(five(60, -6, -6)) == "5");
    CHECK(keysIn(five(60, -33, -33)) == "5");
    CHECK(keysIn(five(60, -50, -50)).empty());
  }
  SUBCASE("twist") {
    CHECK(keysIn(five(60, -10, -18)) == "5");
    CHECK(keysIn(five(60, -14, -10)) == "5");
    CHECK(keysIn(five(60, -10, -22)).empty());
    CHECK(keysIn(five(60, -18, -10)).empty());
  }
  SUBCASE("frequency") {
    for (const double off : {-0.015, 0.015}) CHECK(keysIn(five(60, -10, -10, off)) == "5");
    for (const double off : {-0.035, 0.035}) CHECK(keysIn(five(200, -10, -10, off)).empty());
  }
  SUBCASE("duration: 40 ms are a key, 23 ms are none") {
    for (size_t shift = 0; shift < 80; shift += 7) {
      CAPTURE(shift);
      CHECK(keysIn(five(40, -10, -10), shift) == "5");
      CHECK(keysIn(five(23, -10, -10), shift).empty());
    }
  }
  SUBCASE("a gap of 10 ms is none, one of 40 ms divides two keys") {
    for (size_t shift = 0; shift < 80; shift += 7) {
      CAPTURE(shift);
      for (const double gapMs : {10.0, 40.0}) {
        std::vector<double> signal = five(60, -10, -10);
        add(signal, silence(gapMs));
        add(signal, five(60, -10, -10));
        CHECK(keysIn(signal, shift) == (gapMs == 10 ? "5" : "55"));
      }
    }
  }
  SUBCASE("noise 15 dB below the key") {
    std::vector<double> signal = five(60, -10, -10);
    const auto hiss = noise(60, amplitude(-10) * 0.178, 4);
    for (size_t i = 0; i < signal.size(); i++) signal[i] += hiss[i];
    CHECK(keysIn(signal) == "5");
  }
  SUBCASE("one tone alone, three tones, and a voice are none") {
    CHECK(keysIn(tones(200, {{770, 0.2}})).empty());
    CHECK(keysIn(tones(200, {{770, 0.1}, {852, 0.1}, {1336, 0.1}})).empty());
    CHECK(keysIn(vowel(2000, 0.1)).empty());
  }
}

TEST_CASE("the listener tells times on the axis of the frames, after a pause too") {
  ListenerConfig config;
  config.voice.emplace();
  config.keys = true;
  Listener listener(8000, config);
  std::vector<double> signal = silence(1000);
  add(signal, vowel(500, 0.1));
  const auto pcm = toInt16(signal);
  uint8_t flags = 0;
  double startMs = -1;
  for (size_t at = 0; at < pcm.size(); at += 160) {
    const Senses& senses = listener.hear(pcm.data() + at, 160, static_cast<double>(at) / 8, false);
    flags |= senses.flags;
    if (senses.flags & Senses::kBegan) startMs = senses.startMs;
  }
  CHECK((flags & Senses::kBegan) != 0);
  CHECK((flags & Senses::kEnded) == 0);
  CHECK(std::abs(startMs - 1000) <= 30);
  // The wire's timestamps say that 5 s passed; speech ended with the last frame before.
  const std::vector<int16_t> quiet(160);
  const Senses& after = listener.hear(quiet.data(), quiet.size(), 6500, false);
  CHECK((after.flags & Senses::kEnded) != 0);
  CHECK(std::abs(after.endMs - 1500) <= 20);
  CHECK(after.durationMs == doctest::Approx(after.endMs - startMs));
  for (size_t at = 0; at < pcm.size(); at += 160) {
    const Senses& senses = listener.hear(pcm.data() + at, 160, 6520 + static_cast<double>(at) / 8, false);
    if (senses.flags & Senses::kBegan) startMs = senses.startMs;
  }
  CHECK(std::abs(startMs - 7520) <= 30);
}
