// What listening costs a frame of 20 ms, beside a gate that compares the frame's RMS with a floor.
// Usage: sidetone_bench_hearing
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "hearing/listener.h"
#include "timing.h"

using namespace sidetone;

namespace {

/** The plain detector of many samples: loud enough is speech. */
struct RmsGate {
  double floor = 150;
  bool hear(const int16_t* pcm, size_t samples) {
    double sum = 0;
    for (size_t i = 0; i < samples; i++) sum += static_cast<double>(pcm[i]) * pcm[i];
    const double rms = std::sqrt(sum / static_cast<double>(samples));
    floor = rms < floor ? rms : floor * 1.002 + 0.01;
    return rms > floor * 3;
  }
};

/** A second of something like speech in noise: what costs most. */
std::vector<int16_t> sound(int hz) {
  std::mt19937 random(1);
  std::vector<int16_t> pcm(static_cast<size_t>(hz));
  double phase = 0;
  for (size_t i = 0; i < pcm.size(); i++) {
    const double t = static_cast<double>(i) / hz;
    phase += 2 * M_PI * 140 * (1 + 0.1 * std::sin(15 * t)) / hz;
    double sample = static_cast<double>(random() % 400) - 200;
    for (int harmonic = 1; harmonic < 12; harmonic++) sample += 3000 * std::sin(phase * harmonic) / harmonic;
    pcm[i] = static_cast<int16_t>(sample * (std::sin(12 * t) > -0.5 ? 1 : 0.05));
  }
  return pcm;
}

}  // namespace

int main() {
  std::printf("median us of a frame of 20 ms\n");
  for (const int hz : {8000, 16000, 24000, 48000}) {
    const auto pcm = sound(hz);
    const auto frame = static_cast<size_t>(hz / 50);
    ListenerConfig voiceOnly, keysOnly, both;
    voiceOnly.voice.emplace();
    keysOnly.keys = true;
    both.voice.emplace();
    both.keys = true;
    Listener voice(hz, voiceOnly), keys(hz, keysOnly), all(hz, both);
    RmsGate gate;
    size_t at = 0;
    volatile double heard = 0;
    const auto next = [&] {
      at = at + 2 * frame <= pcm.size() ? at + frame : 0;
      return pcm.data() + at;
    };
    // Each listener has its own axis: a jump would be taken for a pause.
    double voiceMs = 0, keysMs = 0, allMs = 0;
    std::vector<bench::Contender> contenders{
        {"RMS gate", [&] { heard = heard + gate.hear(next(), frame); }},
        {"voice", [&] { heard = heard + voice.hear(next(), frame, voiceMs += 20, false).speech; }},
        {"keys", [&] { heard = heard + keys.hear(next(), frame, keysMs += 20, false).keys; }},
        {"both", [&] { heard = heard + all.hear(next(), frame, allMs += 20, false).speech; }},
    };
    bench::compare(contenders);
    std::printf("%5d Hz:", hz);
    for (const auto& contender : contenders) {
      std::printf("  %s %.3f", contender.name.c_str(), contender.medianNs / 1000);
    }
    std::printf("   (state of both: %zu bytes)\n", sizeof(Listener));
  }
  return 0;
}
