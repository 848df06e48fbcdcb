#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "hearing/listener.h"
#include "hearing/voice_windows.h"

using namespace sidetone;

namespace {

constexpr float kLost = std::numeric_limits<float>::quiet_NaN();

/** A listener whose neural detector is the test. */
struct Heard {
  VoiceWindows windows;
  std::unique_ptr<Listener> listener;
  double positionMs = 0;
  std::vector<int32_t> fields = std::vector<int32_t>(VoiceWindows::kMax * VoiceWindows::kFields);
  std::vector<double> ends = std::vector<double>(VoiceWindows::kMax);
  std::vector<int16_t> samples = std::vector<int16_t>(VoiceWindows::kMax * VoiceWindows::kSamples);
  std::vector<VoiceEvent> events;

  Heard() { sit(3, 1); }
  void sit(int32_t stream, int32_t track) {
    ListenerConfig config;
    config.voice.emplace();
    config.neural = true;
    listener = std::make_unique<Listener>(8000, config, VoiceSeat{&windows, stream, track});
  }
  /** Frames of 20 ms that hold `sample` throughout. */
  Senses hear(double ms, int16_t sample = 5000) {
    const std::vector<int16_t> frame(160, sample);
    Senses last;
    for (double at = 0; at < ms; at += 20, positionMs += 20) {
      last = listener->hear(frame.data(), frame.size(), positionMs, false);
    }
    return last;
  }
  size_t take() { return windows.take(fields.data(), ends.data(), samples.data()); }
  void answer(size_t count, float probability) {
    for (size_t i = 0; i < count; i++) {
      VoiceEvent event;
      const int32_t* window = fields.data() + i * VoiceWindows::kFields;
      if (windows.answer(window, ends[i], probability, event)) events.push_back(event);
    }
  }
  void hearAndAnswer(double ms, float probability, int16_t sample = 5000) {
    for (double at = 0; at < ms; at += 40) {
      hear(40, sample);
      answer(take(), probability);
    }
  }
};

}  // namespace

TEST_CASE("windows of 32 ms leave in order, whatever the frames, and say where they end") {
  Heard heard;
  heard.hear(160);
  REQUIRE(heard.take() == 5);
  for (size_t i = 0; i < 5; i++) {
    CHECK(heard.ends[i] == doctest::Approx(32.0 * static_cast<double>(i + 1)));
    CHECK(heard.fields[i * VoiceWindows::kFields + 2] == (i == 0 ? VoiceWindows::kFresh : 0));
    CHECK(heard.samples[i * VoiceWindows::kSamples + 255] == 5000);
  }
  CHECK(heard.take() == 0);
}

TEST_CASE("likely windows begin speech, a pause ends it, and the events say whose it is") {
  Heard heard;
  heard.hearAndAnswer(400, 0.1F);
  CHECK(heard.events.empty());
  heard.hearAndAnswer(400, 0.9F);
  REQUIRE(heard.events.size() == 1);
  CHECK(heard.events[0].stream == 3);
  CHECK(heard.events[0].track == 1);
  CHECK(heard.events[0].flags == Senses::kBegan);
  CHECK(std::abs(heard.events[0].startMs - 400) <= 32);
  CHECK(heard.hear(20).speech == doctest::Approx(0.9));
  heard.answer(heard.take(), 0.1F);
  heard.hearAndAnswer(200, 0.1F);
  CHECK(heard.events.size() == 1);
  heard.hearAndAnswer(200, 0.1F);
  REQUIRE(heard.events.size() == 2);
  CHECK(heard.events[1].flags == Senses::kEnded);
  CHECK(std::abs(heard.events[1].endMs - 800) <= 32);
  CHECK(heard.events[1].durationMs == doctest::Approx(heard.events[1].endMs - heard.events[0].startMs));
}

TEST_CASE("one likely window is no speech, and what is quieter than allowed is none at all") {
  Heard heard;
  bool likely = false;
  for (int i = 0; i < 10; i++) {
    heard.hear(160);
    const size_t count = heard.take();
    for (size_t k = 0; k < count; k++) {
      VoiceEvent event;
      const int32_t* window = heard.fields.data() + k * VoiceWindows::kFields;
      likely = !likely;
      CHECK(!heard.windows.answer(window, heard.ends[k], likely ? 0.9F : 0.1F, event));
    }
  }
  heard.hearAndAnswer(1000, 0.9F, 20);
  CHECK(heard.events.empty());
}

TEST_CASE("what is far behind the voice in front begins no speech, until that is long ago") {
  Heard heard;
  heard.hearAndAnswer(2000, 0.9F, 10'000);
  heard.hearAndAnswer(1000, 0.1F, 10'000);
  REQUIRE(heard.events.size() == 2);
  heard.hearAndAnswer(2000, 0.9F, 500);
  CHECK(heard.events.size() == 2);
  heard.hearAndAnswer(2000, 0.9F, 5000);
  CHECK(heard.events.size() == 3);
}

TEST_CASE("with answers that are late the track falls back once, and returns when they are there again") {
  Heard heard;
  heard.hear(600);
  CHECK(heard.listener->voiceFallBacks() == 1);
  // No more than 256 ms of one track are ever waiting.
  const size_t waiting = heard.take();
  CHECK(waiting == NeuralVoice::kAwaitedMax);
  heard.hear(1000);
  CHECK(heard.take() == 0);
  // What is answered now is of no use.
  heard.answer(waiting, 0.9F);
  CHECK(heard.events.empty());
  heard.hear(200);
  const size_t again = heard.take();
  REQUIRE(again >= 1);
  CHECK(heard.fields[2] == VoiceWindows::kFresh);
  heard.answer(again, 0.9F);
  heard.hearAndAnswer(100, 0.9F);
  CHECK(heard.events.size() == 1);
  CHECK(heard.listener->voiceFallBacks() == 1);
}

TEST_CASE("an answer that is lost makes the track fall back for a second") {
  Heard heard;
  heard.hear(60);
  heard.answer(heard.take(), kLost);
  CHECK(heard.listener->voiceFallBacks() == 1);
  heard.hear(900);
  CHECK(heard.take() == 0);
  heard.hear(400);
  CHECK(heard.take() >= 1);
}

TEST_CASE("an answer to a listener that has gone reaches nobody, whoever sits there now") {
  Heard heard;
  heard.hear(200);
  const size_t count = heard.take();
  heard.listener.reset();
  heard.answer(count, 0.9F);
  CHECK(heard.events.empty());
  heard.sit(5, 0);
  heard.answer(count, 0.9F);
  CHECK(heard.events.empty());
}

TEST_CASE("speech ends where nothing comes any more, and late answers do not begin it again") {
  Heard heard;
  heard.hearAndAnswer(400, 0.9F);
  REQUIRE(heard.events.size() == 1);
  heard.hear(100);
  const size_t count = heard.take();
  const Senses senses = heard.listener->hush();
  CHECK(senses.flags == Senses::kEnded);
  CHECK(senses.endMs == doctest::Approx(384));
  CHECK(heard.listener->hush().flags == 0);
  heard.answer(count, 0.9F);
  CHECK(heard.events.size() == 1);
}

TEST_CASE("a pause of the wire ends speech, and what comes behind it is fresh") {
  Heard heard;
  heard.hearAndAnswer(400, 0.9F);
  heard.positionMs += 1000;
  const Senses senses = heard.hear(20);
  CHECK(senses.flags == (Senses::kEnded | Senses::kSpeech));
  heard.hear(40);
  REQUIRE(heard.take() == 1);
  CHECK(heard.fields[2] == VoiceWindows::kFresh);
}

TEST_CASE("there is room for so many windows; the listener that finds none falls back") {
  VoiceWindows windows;
  const int32_t seat = windows.sit(nullptr, VoiceSeat{&windows, 0, 0});
  const std::vector<int16_t> silence(VoiceWindows::kSamples);
  for (size_t i = 0; i < VoiceWindows::kMax; i++) REQUIRE(windows.add(seat, 0, 0, silence.data()));
  CHECK(!windows.add(seat, 0, 0, silence.data()));
  ListenerConfig config;
  config.voice.emplace();
  config.neural = true;
  Listener listener(8000, config, VoiceSeat{&windows, 1, 0});
  for (int i = 0; i < 2; i++) listener.hear(silence.data(), 160, i * 20, false);
  CHECK(listener.voiceFallBacks() == 1);
}
