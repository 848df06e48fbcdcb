// What a background, comfort noise and a gain cost a stream-second of speech that is played: queue, mix, encode.
// Usage: sidetone_bench_mixing
#include <cstdio>
#include <vector>

#include "mix/mixer.h"
#include "stream/outbound.h"
#include "timing.h"

using namespace sidetone;

namespace {
constexpr int kStepMs = 100;

/** A stream that plays speech all the time, or nothing. */
struct Call {
  Call(Encoding encoding, bool speaks)
      : outbound(pool, configOf(encoding)), payload(Outbound::payloadBytesMax(outbound.config())) {
    if (speaks) speech.assign(static_cast<size_t>(outbound.sampleHz()) * kStepMs / 1000, 5000);
  }
  static OutboundConfig configOf(Encoding encoding) {
    OutboundConfig config;
    config.encoding = encoding;
    config.announcedHz = encoding == Encoding::L16 ? 16000 : 8000;
    return config;
  }
  void step() {
    nowMs += kStepMs;
    if (!speech.empty())
      outbound.enqueue(speech.data(), speech.size(), outbound.sampleHz(), nullptr, nowMs);
    while (outbound.take(nowMs, payload.data()) > 0) {
    }
  }
  void add(const std::shared_ptr<const Sound>& sound) {
    LayerConfig layer;
    layer.sound = sound;
    layer.duckedGain = 0.25F;
    outbound.mixer(nowMs).add(layer);
  }

  BlockPool pool{1 << 12};
  Outbound outbound;
  std::vector<uint8_t> payload;
  std::vector<int16_t> speech;
  double nowMs = 1000;
};
}  // namespace

int main() {
  for (const Encoding encoding : {Encoding::Pcmu, Encoding::L16}) {
    const int hz = sampleRateHz(encoding, 16000);
    const auto office = makeSound(std::vector<int16_t>(static_cast<size_t>(hz) * 30, 500).data(),
                                  static_cast<size_t>(hz) * 30, hz, hz, true);
    Call plain(encoding, true);
    Call louder(encoding, true);
    Call over(encoding, true);
    Call both(encoding, true);
    Call alone(encoding, false);
    louder.outbound.mixer(0).setSpeechGain(0.5F, 0);
    over.add(office);
    both.add(office);
    both.add(comfortNoise(hz));
    alone.add(office);
    std::vector<bench::Contender> contenders{
        {"speech, nothing beside it", [&] { plain.step(); }},
        {"speech with a gain", [&] { louder.step(); }},
        {"speech over a background", [&] { over.step(); }},
        {"speech over a background and noise", [&] { both.step(); }},
        {"a background alone", [&] { alone.step(); }},
    };
    bench::compare(contenders);
    std::printf("%s: us a stream-second\n", kEncodingNames[static_cast<size_t>(encoding)]);
    for (const auto& contender : contenders) {
      std::printf("  %-36s %7.2f\n", contender.name.c_str(), contender.medianNs / 1000 * 1000 / kStepMs);
    }
  }
}
