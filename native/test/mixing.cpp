// Backgrounds under what is played: the envelope, the mixer, and what an Outbound sends with them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <random>
#include <vector>

#include "codec/g711.h"
#include "codec/g722.h"
#include "memory/block_queue.h"
#include "mix/mixer.h"
#include "stream/outbound.h"
#include "test/far_end.h"

using namespace sidetone;

namespace {
std::shared_ptr<const Sound> soundOf(std::vector<int16_t> samples) {
  return std::make_shared<const Sound>(Sound{std::move(samples)});
}

LayerConfig layerOf(std::shared_ptr<const Sound> sound, float gain = 1, float duckedGain = 1) {
  LayerConfig layer;
  layer.sound = std::move(sound);
  layer.gain = gain;
  layer.duckedGain = duckedGain;
  return layer;
}

double rms(const int16_t* pcm, size_t samples) {
  double energy = 0;
  for (size_t i = 0; i < samples; i++) energy += static_cast<double>(pcm[i]) * pcm[i];
  return std::sqrt(energy / static_cast<double>(samples));
}
}  // namespace

TEST_CASE("an envelope has no jump, whatever is asked of it and taken back") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 200; round++) {
    Envelope envelope(0.5F);
    int64_t out = 0;
    int64_t heard = 0;
    float target = 0.5F;
    float last = 0.5F;  // at heard - 1
    std::vector<float> levels;
    const auto hear = [&](int64_t until) {
      levels.resize(static_cast<size_t>(until - heard));
      if (levels.empty()) return;
      envelope.fill(heard, levels.data(), levels.size());
      for (const float level : levels) {
        CHECK(std::fabs(level - last) <= 1.0F / 50 + 1e-5F);
        last = level;
      }
      envelope.forget(until - 1);
      heard = until;
    };
    for (int step = 0; step < 30; step++) {
      switch (random() % 3) {
        case 0:
          target = static_cast<float>(random() % 100) / 100;
          envelope.to(target, out + static_cast<int64_t>(random() % 2 * 40), 50 + random() % 100);
          break;
        case 1:
          out += random() % 200;
          hear(std::max(heard, out - static_cast<int64_t>(random() % 150)));
          break;
        default:
          out = heard;
          envelope.takeBack(out);
      }
      CHECK(envelope.target() == target);
    }
    hear(out + 400);
    CHECK(last == target);
    CHECK(envelope.stands(target, heard));
  }
}

TEST_CASE("a mixer adds loops to speech, and what is taken back goes out the same once more") {
  Mixer mixer(8);
  std::vector<int16_t> loop(700);
  for (size_t i = 0; i < loop.size(); i++) loop[i] = static_cast<int16_t>(i * 10);
  CHECK(mixer.add(layerOf(soundOf(loop), 0.5F)));
  mixer.setSpeechGain(2, 0);
  std::vector<int16_t> pcm(1000, 100);
  mixer.mix(pcm.data(), 400, pcm.size());
  for (size_t i = 0; i < pcm.size(); i++) {
    CHECK(std::fabs(pcm[i] - ((i < 400 ? 200 : 0) + 0.5 * loop[i % 700])) <= 0.5);
  }
  mixer.takeBack(300);
  std::vector<int16_t> again(300);
  mixer.mix(again.data(), 0, again.size());
  CHECK(std::equal(again.begin(), again.end(), pcm.begin() + 700));
}

TEST_CASE("a sum that is too loud is clipped and does not wrap") {
  Mixer mixer(8);
  CHECK(mixer.add(layerOf(soundOf({30000, -30000}))));
  std::vector<int16_t> pcm(100);
  for (size_t i = 0; i < pcm.size(); i++) pcm[i] = static_cast<int16_t>(i % 2 ? -20000 : 20000);
  mixer.mix(pcm.data(), pcm.size(), pcm.size());
  for (size_t i = 0; i < pcm.size(); i++) CHECK(pcm[i] == (i % 2 ? -32768 : 32767));
}

TEST_CASE("a background makes way for speech and comes back, in ramps") {
  Mixer mixer(8);
  CHECK(mixer.add(layerOf(soundOf({10000}), 1, 0.25F)));
  std::vector<int16_t> out;
  const auto mix = [&](size_t played, size_t samples) {
    std::vector<int16_t> pcm(samples, 0);
    mixer.mix(pcm.data(), played, samples);
    out.insert(out.end(), pcm.begin(), pcm.end());
  };
  mix(0, 800);
  CHECK(out.back() == 10000);
  mix(4000, 4000);
  CHECK(out.back() == 2500);
  CHECK(out[800 + 640] == 2500);  // within 80 ms
  // A break that is shorter than one between words changes nothing.
  mix(0, 1600);
  CHECK(out.back() == 2500);
  mix(800, 800);
  mix(0, 2000);
  CHECK(out.back() == 2500);
  mix(0, 6000);
  CHECK(out.back() == 10000);
  for (size_t i = 1; i < out.size(); i++) CHECK(std::abs(out[i] - out[i - 1]) <= 13);
}

TEST_CASE("a layer that has stopped is over when its end has been heard, and not before") {
  Mixer mixer(8);
  CHECK(mixer.add(layerOf(soundOf({10000}))));
  std::vector<int16_t> pcm(800);
  mixer.mix(pcm.data(), 0, 800);
  mixer.stop(0, 50);
  mixer.forget(800);
  mixer.mix(pcm.data(), 0, 800);
  CHECK(pcm[0] > 9900);
  CHECK(pcm[200] == doctest::Approx(5000).epsilon(0.01));
  CHECK(pcm[400] == 0);
  CHECK(!mixer.sounds());
  CHECK(!mixer.idle());
  // None of it was heard: it ends from there on, in as long.
  mixer.takeBack(1600);
  CHECK(mixer.sounds());
  mixer.mix(pcm.data(), 0, 800);
  CHECK(pcm[0] > 9900);
  CHECK(pcm[200] == doctest::Approx(5000).epsilon(0.01));
  mixer.forget(0);
  mixer.mix(pcm.data(), 0, 8);
  CHECK(mixer.idle());
  CHECK(!mixer.sounds());
}

TEST_CASE("a sound that does not loop is heard once; a ninth background is refused") {
  Mixer mixer(8);
  LayerConfig once = layerOf(soundOf(std::vector<int16_t>(300, 1000)));
  once.loops = false;
  CHECK(mixer.add(once));
  std::vector<int16_t> pcm(400);
  mixer.mix(pcm.data(), 0, 400);
  CHECK(std::count(pcm.begin(), pcm.end(), 1000) == 300);
  CHECK(!mixer.sounds());
  for (size_t i = 1; i < Mixer::kLayersMax; i++) CHECK(mixer.add(once));
  CHECK(!mixer.add(once));
}

TEST_CASE("comfort noise has its level, no seam, and falls towards high frequencies") {
  for (const int hz : {8000, 16000, 48000}) {
    const auto noise = comfortNoise(hz);
    CHECK(comfortNoise(hz) == noise);
    const std::vector<int16_t>& pcm = noise->samples;
    CHECK(20 * std::log10(rms(pcm.data(), pcm.size()) / 32768) ==
          doctest::Approx(kComfortNoiseDbfs).epsilon(0.01));
    const auto between = [&](size_t i) { return std::abs(pcm[(i + 1) % pcm.size()] - pcm[i]); };
    int largest = 0;
    for (size_t i = 0; i + 1 < pcm.size(); i++) largest = std::max(largest, between(i));
    CHECK(between(pcm.size() - 1) <= largest);
    // Energy of the differences of neighbours beside that of white noise, which has twice its own.
    double slope = 0;
    for (size_t i = 0; i + 1 < pcm.size(); i++) slope += std::pow(pcm[i + 1] - pcm[i], 2);
    const double level = rms(pcm.data(), pcm.size());
    CHECK(slope / static_cast<double>(pcm.size()) < 0.5 * level * level);
  }
}

TEST_CASE("a loop at another rate goes on without a seam") {
  constexpr double kPi = 3.14159265358979;
  for (const int fromHz : {8000, 24000, 48000, 44100}) {
    // Whole periods, so that the loop itself has no seam.
    std::vector<int16_t> pcm(static_cast<size_t>(fromHz));
    for (size_t i = 0; i < pcm.size(); i++) {
      pcm[i] =
          static_cast<int16_t>(std::lround(8000 * std::sin(2 * kPi * 440 * static_cast<double>(i) / fromHz)));
    }
    const auto sound = makeSound(pcm.data(), pcm.size(), fromHz, 16000, true);
    REQUIRE(sound->samples.size() == 16000);
    // Its phase may be off by less than a sample; then it is a tone all around.
    double sine = 0;
    double cosine = 0;
    for (size_t i = 0; i < 16000; i++) {
      const double angle = 2 * kPi * 440 * static_cast<double>(i) / 16000;
      sine += sound->samples[i] * std::sin(angle) / 8000;
      cosine += sound->samples[i] * std::cos(angle) / 8000;
    }
    CHECK(std::fabs(std::atan2(cosine, sine)) < 2 * kPi * 440 / 16000);
    for (size_t i = 0; i < 16000; i++) {
      const double angle = 2 * kPi * 440 * static_cast<double>(i) / 16000;
      CHECK(std::fabs(sound->samples[i] - sine * std::sin(angle) - cosine * std::cos(angle)) < 20);
    }
  }
}

namespace {
constexpr double kTickMs = 2;

struct Call {
  explicit Call(Encoding encoding) : outbound(pool, configOf(encoding)) {
    payload.resize(Outbound::payloadBytesMax(outbound.config()));
    far.samplesPerMs = outbound.sampleHz() / 1000.0;
  }
  static OutboundConfig configOf(Encoding encoding) {
    OutboundConfig config;
    config.encoding = encoding;
    config.announcedHz = encoding == Encoding::Pcmu || encoding == Encoding::Pcma ? 8000 : 16000;
    return config;
  }
  /** Packets hold the frame itself and come back 6 ms later; G.722 is not encoded here. */
  void send(double nowMs) {
    if (outbound.pooled()) {
      std::vector<int16_t> pcm(static_cast<size_t>(outbound.sampleHz()) / 50);
      while (outbound.takePcm(nowMs, pcm.data()) > 0) encoding.emplace_back(nowMs + 6, pcm);
      while (!encoding.empty() && encoding.front().first <= nowMs) {
        const auto& frame = encoding.front().second;
        REQUIRE(outbound.enqueuePacket(reinterpret_cast<const uint8_t*>(frame.data()), frame.size() * 2));
        encoding.pop_front();
      }
    }
    if (outbound.g722()) {
      std::vector<int16_t> pcm(Outbound::g722SamplesMax(outbound.config()));
      while (const size_t samples = outbound.takeG722(nowMs, pcm.data())) {
        CHECK(samples % 2 == 0);
        far.hear({pcm.begin(), pcm.begin() + static_cast<long>(samples)}, nowMs);
      }
      CHECK(outbound.takeEncodedG722(nowMs, payload.data()) == 0);
      return;
    }
    while (const size_t bytes = outbound.take(nowMs, payload.data())) far.hear(decoded(bytes), nowMs);
  }
  std::vector<int16_t> decoded(size_t bytes) const {
    const Encoding law = outbound.config().encoding;
    const bool isByte = law == Encoding::Pcmu || law == Encoding::Pcma;
    std::vector<int16_t> pcm(isByte ? bytes : bytes / 2);
    if (law == Encoding::Pcmu)
      ulawDecode(payload.data(), bytes, pcm.data());
    else if (law == Encoding::Pcma)
      alawDecode(payload.data(), bytes, pcm.data());
    else
      std::copy_n(payload.data(), bytes, reinterpret_cast<uint8_t*>(pcm.data()));
    return pcm;
  }

  BlockPool pool{1 << 16};
  Outbound outbound;
  FarEnd far;
  std::vector<uint8_t> payload;
  std::deque<std::pair<double, std::vector<int16_t>>> encoding;
};

constexpr int kLoop = 4001;
/** Even, and so that each place of the loop sounds different; speech is odd and larger. */
int16_t backgroundAt(size_t i) { return static_cast<int16_t>(static_cast<int>(i % kLoop) * 2 - kLoop); }
}  // namespace

TEST_CASE("a background goes out without a gap and without end, whatever is played, paused and cleared") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 100; round++) {
    const Encoding encoding =
        std::array{Encoding::Pcmu, Encoding::L16, Encoding::G722, Encoding::Opus, Encoding::Pcma}[round % 5];
    CAPTURE(round);
    Call call(encoding);
    Outbound& outbound = call.outbound;
    std::vector<int16_t> loop(kLoop);
    for (size_t i = 0; i < loop.size(); i++) loop[i] = backgroundAt(i);
    outbound.mixer(1000).add(layerOf(soundOf(loop)));
    double nowMs = 1000;
    double playedBefore = 0;
    double accepted = 0;
    call.send(nowMs);
    for (int step = 0; step < 40; step++) {
      switch (random() % 6) {
        case 0: {
          const std::vector<int16_t> pcm(random() % 9000 + 1, 0);
          if (outbound.enqueue(pcm.data(), pcm.size(), outbound.sampleHz(), nullptr, nowMs) > 0)
            accepted = outbound.acceptedPosition();
          break;
        }
        case 1:
          if (!outbound.paused()) call.far.clear(nowMs);
          outbound.pause(nowMs);
          break;
        case 2:
          outbound.resume(nowMs);
          break;
        case 3:
          if (random() % 3 == 0) {
            outbound.clear(nowMs, random() % 2 ? 30 : 0);
            call.far.clear(nowMs);
            playedBefore = outbound.playout().playedPosition(nowMs);
            // What fades is played; of what was dropped the positions stay where they were until more is
            // played.
            accepted = outbound.queuedMs() > 0 ? outbound.acceptedPosition() : playedBefore;
          }
          break;
        default:
          break;
      }
      call.send(nowMs);
      for (int i = static_cast<int>(random() % 150); i > 0; i--) {
        nowMs += kTickMs;
        call.send(nowMs);
        // The pool's encoder takes 6 ms, which is a gap behind what was taken back.
        CHECK(outbound.unheardMs(nowMs) <= outbound.playout().aheadMs(nowMs) + 1e-6);
        const double played = outbound.playout().playedPosition(nowMs);
        CHECK(played >= playedBefore - 1e-3);
        playedBefore = played;
      }
    }
    outbound.resume(nowMs);
    for (int i = 0; i < 10000 && outbound.queuedMs() > 0; i++) call.send(nowMs += kTickMs);
    CHECK(outbound.queuedMs() == 0);
    for (int i = 0; i < 300; i++) call.send(nowMs += kTickMs);
    CHECK(outbound.playout().playedPosition(nowMs) == doctest::Approx(accepted));
    CHECK(outbound.unheardMs(nowMs) == 0);
    call.far.play(nowMs);
    if (!outbound.pooled()) CHECK(call.far.gapMs < 1e-6);
    CHECK(call.far.endMs >= nowMs);
    // What was played is silence, so that the background alone is heard: its samples one after the other.
    size_t place = 0;
    size_t off = 0;
    for (const int16_t sample : call.far.heard) {
      const int wanted = backgroundAt(place);
      // A sample more or less where a clear came within one.
      if (std::abs(sample - wanted) > (encoding == Encoding::Pcmu || encoding == Encoding::Pcma ? 160 : 1)) {
        off++;
        for (const size_t near : {place + 1, place + kLoop - 1}) {
          if (std::abs(sample - backgroundAt(near)) <= 1) place = near;
        }
      }
      place = (place + 1) % kLoop;
    }
    CHECK(off <= 40);
  }
}

TEST_CASE("speech waits no longer than 80 ms behind a background, and is louder or quieter by its gain") {
  for (const Encoding encoding : {Encoding::Pcmu, Encoding::L16, Encoding::G722, Encoding::Opus}) {
    Call call(encoding);
    Outbound& outbound = call.outbound;
    outbound.mixer(1000).add(layerOf(soundOf({0})));
    outbound.mixer(1000).setSpeechGain(0.5F, 0);
    double nowMs = 1000;
    for (; nowMs < 1501; nowMs += kTickMs) call.send(nowMs);
    const std::vector<int16_t> pcm(static_cast<size_t>(outbound.sampleHz()) / 2, 8000);
    outbound.enqueue(pcm.data(), pcm.size(), outbound.sampleHz(), nullptr, nowMs);
    const double begunMs = nowMs;
    while (outbound.playout().playedPosition(nowMs) == 0) call.send(nowMs += kTickMs);
    CHECK(nowMs - begunMs <= (outbound.pooled() ? 100 : 80) + kTickMs);
    for (; nowMs < begunMs + 1000; nowMs += kTickMs) call.send(nowMs);
    call.far.play(nowMs);
    const auto loud = std::count_if(call.far.heard.begin(), call.far.heard.end(),
                                    [](int16_t sample) { return std::abs(sample - 4000) < 150; });
    CHECK(static_cast<size_t>(loud) == pcm.size());
  }
}

TEST_CASE("live audio that is a little late leaves no gap under a background") {
  Call call(Encoding::L16);
  Outbound& outbound = call.outbound;
  outbound.mixer(1000).add(layerOf(soundOf({0})));
  const std::vector<int16_t> frame(320, 5000);
  double nowMs = 1000;
  for (; nowMs < 1500; nowMs += kTickMs) call.send(nowMs);
  for (int i = 0; i < 200; i++) {
    const double cameMs = 1500 + i * 20 + (i % 7 == 3 ? 16 : 0);
    for (; nowMs < cameMs; nowMs += kTickMs) call.send(nowMs);
    const Live live{400, i * 20.0, true};
    outbound.enqueue(frame.data(), frame.size(), 16000, nullptr, nowMs, live);
    call.send(nowMs);
  }
  for (; nowMs < 6000; nowMs += kTickMs) call.send(nowMs);
  call.far.play(nowMs);
  const auto first = std::find(call.far.heard.begin(), call.far.heard.end(), 5000);
  const auto behind = std::find(first, call.far.heard.end(), 0);
  CHECK(behind - first == 200 * 320);
}

TEST_CASE("when the last background has ended nothing is sent any more, and nothing is kept for it") {
  for (const Encoding encoding : {Encoding::Pcma, Encoding::G722, Encoding::Opus}) {
    Call call(encoding);
    Outbound& outbound = call.outbound;
    outbound.mixer(1000).add(layerOf(soundOf({1000})));
    double nowMs = 1000;
    for (; nowMs < 2000; nowMs += kTickMs) call.send(nowMs);
    outbound.mixer(nowMs).stop(0, 100);
    for (; nowMs < 3000; nowMs += kTickMs) call.send(nowMs);
    CHECK(std::isinf(outbound.dueMs()));
    CHECK(std::isinf(outbound.pcmDueMs()));
    CHECK(call.far.endMs < 2200);
    const std::vector<int16_t> pcm(1600, 0);
    outbound.enqueue(pcm.data(), pcm.size(), outbound.sampleHz(), nullptr, nowMs);
    for (; nowMs < 4000; nowMs += kTickMs) call.send(nowMs);
    CHECK(!outbound.mixes());
    CHECK(outbound.playout().playedPosition(nowMs) == 1600);
  }
}

TEST_CASE("G.722 that was queued encoded is heard under a background") {
  constexpr double kPi = 3.14159265358979;
  Call call(Encoding::G722);
  Outbound& outbound = call.outbound;
  outbound.mixer(1000).add(layerOf(soundOf({0})));
  std::vector<int16_t> pcm(16000);
  for (size_t i = 0; i < pcm.size(); i++) {
    pcm[i] =
        static_cast<int16_t>(std::lround(8000 * std::sin(2 * kPi * 500 * static_cast<double>(i) / 16000)));
  }
  std::vector<uint8_t> bytes(pcm.size() / 2);
  G722Encoder().encode(pcm.data(), pcm.size(), bytes.data());
  double nowMs = 1000;
  call.send(nowMs);
  CHECK(outbound.enqueueEncoded(bytes.data(), bytes.size(), nowMs) == 16000);
  for (; nowMs < 3000; nowMs += kTickMs) call.send(nowMs);
  call.far.play(nowMs);
  CHECK(outbound.playout().playedPosition(nowMs) == 16000);
  const auto begin =
      std::find_if(call.far.heard.begin(), call.far.heard.end(), [](int16_t s) { return s != 0; });
  REQUIRE(call.far.heard.end() - begin > 16000);
  const double level = rms(&*begin + 1600, 12000);
  CHECK(level == doctest::Approx(8000 / std::sqrt(2)).epsilon(0.05));
}

TEST_CASE("a sound has a number for other threads as long as somebody has it") {
  SoundNumbers numbers;
  auto sound = soundOf({1, 2, 3});
  const uint32_t number = numbers.add(sound);
  const uint32_t other = numbers.add(soundOf({4}));
  CHECK(numbers.at(number) == sound);
  CHECK(numbers.at(other) == nullptr);
  CHECK(numbers.at(99) == nullptr);
  sound.reset();
  CHECK(numbers.at(number) == nullptr);
}
