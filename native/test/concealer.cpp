#include "plc/concealer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <vector>

using namespace sidetone;

namespace {

constexpr int kRates[] = {8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000};
using Pcm = std::vector<int16_t>;

/** A voice: harmonics of `pitchHz` up to 3 kHz, falling by 6 dB an octave. */
Pcm voice(int rateHz, double pitchHz, size_t samples) {
  Pcm pcm(samples);
  for (size_t i = 0; i < samples; i++) {
    double sum = 0;
    for (int k = 1; k * pitchHz < 3000; k++) {
      sum += std::sin(2 * std::numbers::pi * k * pitchHz * static_cast<double>(i) / rateHz + k * k) / k;
    }
    pcm[i] = static_cast<int16_t>(std::lrint(6000 * sum));
  }
  return pcm;
}

Pcm noise(size_t samples, uint32_t seed) {
  std::mt19937 random(seed);
  Pcm pcm(samples);
  for (auto& sample : pcm) sample = static_cast<int16_t>(random());
  return pcm;
}

/** Runs `in` through a concealer with [from, to) lost, in frames of `frame` samples. */
Pcm withGap(Concealer& concealer, Pcm pcm, size_t from, size_t to, size_t frame) {
  for (size_t at = 0; at < pcm.size();) {
    const size_t edge = at < from ? from : at < to ? to : pcm.size();
    const size_t count = std::min(frame, edge - at);
    if (at >= from && at < to) {
      concealer.conceal(&pcm[at], count);
    } else {
      concealer.receive(&pcm[at], count);
    }
    at += count;
  }
  return pcm;
}

/** The largest |x[i-1] - 2 x[i] + x[i+1]| with i in [from, to): how sharply the signal bends; a click bends
 * it most.
 */
int bend(const Pcm& pcm, size_t from, size_t to) {
  int worst = 0;
  for (size_t i = from; i < to; i++) worst = std::max(worst, std::abs(pcm[i - 1] - 2 * pcm[i] + pcm[i + 1]));
  return worst;
}

double energy(const Pcm& pcm, size_t from, size_t to) {
  double sum = 0;
  for (size_t i = from; i < to; i++) sum += static_cast<double>(pcm[i]) * pcm[i];
  return sum / static_cast<double>(to - from);
}

}  // namespace

TEST_CASE("concealer: without a loss every bit passes, at once") {
  for (const int rate : kRates) {
    Concealer concealer(rate);
    CHECK(concealer.delaySamples() == 0);
    const auto in = noise(5000, 1);
    CHECK(withGap(concealer, in, in.size(), in.size(), 160) == in);
  }
}

TEST_CASE("concealer: the standard's timing passes good audio 3.75 ms late") {
  Concealer concealer(8000, Concealer::Timing::Standard);
  REQUIRE(concealer.delaySamples() == 30);
  const auto in = noise(5000, 2);
  const auto out = withGap(concealer, in, in.size(), in.size(), 160);
  CHECK(std::equal(out.begin() + 30, out.end(), in.begin()));
  CHECK(energy(out, 0, 30) == 0);
}

TEST_CASE("concealer: output does not depend on the length of frames") {
  for (const auto timing : {Concealer::Timing::Live, Concealer::Timing::Standard}) {
    for (const int rate : kRates) {
      CAPTURE(rate);
      const auto ms = static_cast<size_t>(rate / 1000);
      auto in = voice(rate, 130, 300 * ms);
      for (const size_t gapMs : {3U, 10U, 25U, 40U, 75U, 130U}) {
        CAPTURE(gapMs);
        Concealer whole(rate, timing);
        const auto expected = withGap(whole, in, 100 * ms, (100 + gapMs) * ms, in.size());
        for (const size_t frame : {size_t{1}, size_t{7}, 5 * ms, 20 * ms}) {
          Concealer cut(rate, timing);
          CHECK(withGap(cut, in, 100 * ms, (100 + gapMs) * ms, frame) == expected);
        }
      }
    }
  }
}

TEST_CASE("concealer: a steady voice goes on as if nothing was lost") {
  for (const int rate : kRates) {
    for (const double pitch : {70.0, 100.0, 147.0, 190.0}) {
      CAPTURE(rate);
      CAPTURE(pitch);
      const auto ms = static_cast<size_t>(rate / 1000);
      const auto in = voice(rate, pitch, 300 * ms);
      Concealer concealer(rate);
      const auto out = withGap(concealer, in, 100 * ms, 110 * ms, 10 * ms);
      double error = 0;
      for (size_t i = 100 * ms; i < 110 * ms; i++) error += std::pow(out[i] - in[i], 2);
      error /= static_cast<double>(10 * ms);
      const double snrDb = 10 * std::log10(energy(in, 100 * ms, 110 * ms) / error);
      CHECK(snrDb > 8);  // the pitch is known to a sample only; silence would give 0 dB
    }
  }
}

TEST_CASE("concealer: no click at either edge") {
  for (const int rate : kRates) {
    const auto ms = static_cast<size_t>(rate / 1000);
    for (const double pitch : {71.3, 96.1, 123.4, 158.9, 187.7, 240.0}) {
      for (const size_t gapMs : {10U, 20U, 40U}) {
        CAPTURE(rate);
        CAPTURE(pitch);
        CAPTURE(gapMs);
        const auto in = voice(rate, pitch, 300 * ms);
        const size_t from = 101 * ms;
        const size_t to = from + gapMs * ms;
        const int natural = bend(in, 50 * ms, 250 * ms);
        Concealer concealer(rate);
        const auto out = withGap(concealer, in, from, to, 20 * ms);
        CHECK(bend(out, from - ms, from + 5 * ms) < 1.6 * natural);
        CHECK(bend(out, to - ms, to + 12 * ms) < 1.6 * natural);
        // After the cross-fade, the caller hears what was said, bit for bit.
        CHECK(std::equal(out.begin() + static_cast<ptrdiff_t>(to + 11 * ms), out.end(),
                         in.begin() + static_cast<ptrdiff_t>(to + 11 * ms)));
      }
    }
  }
}

TEST_CASE("concealer: a long gap fades, and is silent after 60 ms for as long as it lasts") {
  for (const int rate : kRates) {
    CAPTURE(rate);
    const auto frame = static_cast<size_t>(std::lround(rate / 100.0));
    const auto in = voice(rate, 110, 40 * frame);
    Concealer concealer(rate);
    const auto out = withGap(concealer, in, 10 * frame, 30 * frame, 2 * frame);
    double before = energy(out, 10 * frame, 11 * frame);
    CHECK(before > 0.5 * energy(in, 10 * frame, 11 * frame));
    for (size_t n = 11; n < 16; n++) {
      const double now = energy(out, n * frame, (n + 1) * frame);
      CHECK(now < before);
      CHECK(now > 0);
      before = now;
    }
    CHECK(energy(out, 16 * frame, 30 * frame) == 0);
    // Out of silence the voice fades in over 10 ms.
    CHECK(std::abs(out[30 * frame]) <= std::abs(in[30 * frame]) / 10 + 1);
    Concealer endless(rate);
    Pcm pcm(3 * frame, 1000);
    endless.receive(pcm.data(), pcm.size());
    for (int n = 0; n < 1000; n++) endless.conceal(pcm.data(), pcm.size());
    CHECK(energy(pcm, 0, pcm.size()) == 0);
  }
}

TEST_CASE("concealer: losses in a row, in silence, at the very start and at full scale stay in range") {
  for (const auto timing : {Concealer::Timing::Live, Concealer::Timing::Standard}) {
    for (const int rate : kRates) {
      Concealer concealer(rate, timing);
      Pcm pcm(static_cast<size_t>(rate / 50));
      concealer.conceal(pcm.data(), pcm.size());
      CHECK(energy(pcm, 0, pcm.size()) == 0);
      concealer.receive(pcm.data(), 0);
      concealer.conceal(pcm.data(), 0);
      std::mt19937 random(static_cast<uint32_t>(rate));
      for (int n = 0; n < 300; n++) {
        for (size_t i = 0; i < pcm.size(); i++) {
          pcm[i] = n % 3 == 0 ? static_cast<int16_t>(random()) : i / (random() % 90 + 1) % 2 ? 32767 : -32768;
        }
        const size_t count = random() % pcm.size();
        if (random() % 3 == 0) {
          concealer.conceal(pcm.data(), count);
        } else {
          concealer.receive(pcm.data(), count);
        }
      }
    }
  }
}

TEST_CASE("concealer: reset forgets all") {
  Concealer used(16000);
  const auto in = voice(16000, 120, 4000);
  withGap(used, in, 2000, 2400, 160);
  used.reset();
  Concealer fresh(16000);
  CHECK(withGap(used, in, 1000, 1300, 160) == withGap(fresh, in, 1000, 1300, 160));
}

TEST_CASE("concealer: state size") {
  CHECK(Concealer(8000).stateBytes() <= 1800);
  CHECK(Concealer(16000).stateBytes() <= 3500);
}

TEST_CASE("concealer: with a pool it sounds the same and holds a block only while a gap is being mended") {
  BlockPool pool(256);
  const auto in = voice(8000, 120, 8000);
  for (const size_t frame : {80u, 160u, 240u}) {
    Concealer own(8000), pooled(8000, Concealer::Timing::Live, &pool);
    CHECK(pooled.stateBytes() <= own.stateBytes());
    CHECK(withGap(own, in, 2400, 3120, frame) == withGap(pooled, in, 2400, 3120, frame));
    CHECK(pool.blocksInUse() == 0);
  }
  {
    Concealer unmended(8000, Concealer::Timing::Live, &pool);
    Pcm pcm(160);
    unmended.conceal(pcm.data(), pcm.size());
    CHECK(pool.blocksInUse() == 1);
  }
  CHECK(pool.blocksInUse() == 0);
}

TEST_CASE("concealer: where no block is left, a gap is silence and what follows is heard as it came") {
  BlockPool pool(0);
  Concealer concealer(8000, Concealer::Timing::Live, &pool);
  Pcm frame = voice(8000, 120, 160);
  concealer.receive(frame.data(), frame.size());
  Pcm gap(160, 1);
  concealer.conceal(gap.data(), gap.size());
  CHECK(gap == Pcm(160, 0));
  const Pcm sent = voice(8000, 200, 160);
  frame = sent;
  concealer.receive(frame.data(), frame.size());
  CHECK(frame == sent);
}
