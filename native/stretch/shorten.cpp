#include "stretch/shorten.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace sidetone {
namespace {
constexpr int kPitchMinHz = 65;
constexpr int kPitchMaxHz = 400;
constexpr int kSearchHz = 4000;  // the likeness of periods is looked for at about this rate, then refined
constexpr int kStepMs = 10;
constexpr int kPauseHeadMs = 30;  // what is left of a pause: behind the sound before it …
constexpr int kPauseTailMs = 20;  // … and before the next one
constexpr int kPauseFadeMs = 10;

double level(const int16_t* pcm, size_t samples) {
  double sum = 0;
  for (size_t i = 0; i < samples; i++) sum += static_cast<double>(pcm[i]) * pcm[i];
  return std::sqrt(sum / static_cast<double>(std::max<size_t>(samples, 1)));
}

/** How little two neighbouring periods are alike: mean difference of samples that are a period apart. */
double difference(const int16_t* pcm, size_t period, size_t stride) {
  int64_t sum = 0;
  size_t count = 0;
  for (size_t i = 0; i < period; i += stride, count++) sum += std::abs(pcm[i] - pcm[i + period]);
  return static_cast<double>(sum) / static_cast<double>(count);
}

size_t bestPeriod(const int16_t* pcm, size_t from, size_t to, size_t step, size_t stride) {
  size_t best = from;
  double least = std::numeric_limits<double>::infinity();
  for (size_t period = from; period <= to; period += step) {
    const double unlike = difference(pcm, period, stride);
    if (unlike < least) {
      least = unlike;
      best = period;
    }
  }
  return best;
}

struct PitchSearch {
  explicit PitchSearch(int sampleHz)
      : shortest(static_cast<size_t>(sampleHz / kPitchMaxHz)),
        longest(static_cast<size_t>(sampleHz / kPitchMinHz)),
        stride(std::max<size_t>(1, static_cast<size_t>(sampleHz / kSearchHz))) {}
  size_t shortest;
  size_t longest;
  size_t stride;

  /** Needs twice the longest period. */
  size_t period(const int16_t* pcm) const {
    const size_t coarse = bestPeriod(pcm, shortest, longest, stride, stride);
    if (stride == 1) return coarse;
    return bestPeriod(pcm, std::max(shortest, coarse - stride), std::min(longest, coarse + stride), 1, 1);
  }
};
}  // namespace

void crossFade(const int16_t* from, const int16_t* to, size_t samples, int16_t* out) {
  for (size_t i = 0; i < samples; i++) {
    const auto weight = static_cast<int64_t>(i);
    const auto all = static_cast<int64_t>(samples);
    out[i] = static_cast<int16_t>((from[i] * (all - weight) + to[i] * weight) / all);
  }
}

double loudestLevel(const int16_t* pcm, size_t samples, int sampleHz) {
  const auto step = static_cast<size_t>(sampleHz * kStepMs / 1000);
  double loudest = 0;
  for (size_t at = 0; at + step <= samples; at += step) loudest = std::max(loudest, level(pcm + at, step));
  return loudest;
}

Shortened shorten(int16_t* pcm, size_t samples, const ShortenRequest& request) {
  const auto msSamples = [&](int ms) { return static_cast<size_t>(request.sampleHz * ms / 1000); };
  const size_t step = msSamples(kStepMs);
  const size_t head = msSamples(kPauseHeadMs);
  const size_t tail = msSamples(kPauseTailMs);
  const size_t fade = msSamples(kPauseFadeMs);
  const PitchSearch pitch(request.sampleHz);
  Shortened done;
  const auto cut = [&] { return done.pauseCut + done.speechCut; };
  const auto keep = [&](size_t count) {
    count = std::min(count, samples - done.in);
    if (done.in != done.out) std::memmove(pcm + done.out, pcm + done.in, count * sizeof(int16_t));
    done.in += count;
    done.out += count;
  };
  /** From here on `gap` samples are left out; they end in `over` samples that are faded into. */
  const auto leaveOut = [&](size_t gap, size_t over) {
    crossFade(pcm + done.in, pcm + done.in + gap, over, pcm + done.out);
    done.in += gap + over;
    done.out += over;
  };

  while (done.out < request.outWanted && done.in < samples && cut() < request.cutMax) {
    const int16_t* const here = pcm + done.in;
    const size_t left = samples - done.in;
    size_t pause = 0;
    while (pause + step <= left && level(here + pause, step) < request.pauseLevel) pause += step;
    if (pause > head + tail + fade) {
      const size_t gap = std::min(pause - head - tail - fade, request.cutMax - cut());
      keep(head);
      leaveOut(gap, fade);
      done.pauseCut += gap;
      keep(tail);
      continue;
    }
    if (pause >= step || request.speed <= 1) {
      keep(step);
      continue;
    }
    if (left < 2 * pitch.longest) break;
    const size_t period = pitch.period(here);
    leaveOut(period, period);
    done.speechCut += period;
    // Two periods became one: this much may stay as it is for the speed that was asked for.
    const double speed = std::min(request.speed, 2.0);
    keep(static_cast<size_t>(static_cast<double>(period) * (2 - speed) / (speed - 1)));
  }
  return done;
}

}  // namespace sidetone
