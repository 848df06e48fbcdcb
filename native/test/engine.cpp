#include "engine/engine.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base64/base64.h"
#include "codec/g711.h"

using namespace sidetone;

namespace {
const std::string kPrefix(kMediaPrefix);

/** An engine with the memory its caller owns, and per stream what was sent. */
struct Reactor {
  Reactor() {
    config.largestOutbound.encoding = Encoding::L16;
    config.largestOutbound.announcedHz = 48000;
    slab.resize(Engine::slotBytes(config) * Engine::kSendSlots);
    payload.resize(Engine::payloadBytes(config));
    sends.resize(Engine::kSendSlots * kSendFields);
    gaps.resize(Engine::kWakesMax);
    encodes.resize(Engine::kWakesMax);
    engine = std::make_unique<Engine>(
        config, EngineBuffers{slab.data(), payload.data(), sends.data(), gaps.data(), encodes.data()});
  }

  int open(Encoding encoding, std::array<bool, 2> wanted = {true, false}) {
    StreamConfig stream;
    stream.inbound.encoding = encoding;
    stream.inbound.handlerHz = sampleRateHz(encoding, 8000);
    stream.outbound.encoding = encoding;
    stream.streamId = "stream-1";
    stream.wanted = wanted;
    const int id = engine->open(stream);
    if (sent.size() <= static_cast<size_t>(id)) sent.resize(static_cast<size_t>(id) + 1);
    for (const Track track : {Track::Inbound, Track::Outbound}) {
      if (!wanted[static_cast<size_t>(track)]) continue;
      auto& frame = frames.emplace_back(engine->frameSamplesMax(id, track));
      engine->setFrameBuffer(id, track, frame.data(), frame.size());
    }
    return id;
  }

  void collect() {
    for (size_t i = 0; i < engine->sendCount(); i++) {
      const char* text = reinterpret_cast<const char*>(slab.data() + i * Engine::slotBytes(config));
      const auto length = static_cast<size_t>(sends[i * kSendFields + 1]);
      REQUIRE(std::string(text, kPrefix.size()) == kPrefix);
      const size_t chars = length - kMediaEnvelopeBytes;
      std::vector<uint8_t> bytes(base64DecodedCapacity(chars));
      const size_t count = base64Decode(text + kPrefix.size(), chars, bytes.data());
      REQUIRE(count != kBase64Invalid);
      auto& out = sent[static_cast<size_t>(sends[i * kSendFields])];
      out.insert(out.end(), bytes.begin(), bytes.begin() + static_cast<long>(count));
    }
  }

  void tick(double nowMs) {
    do {
      engine->tick(nowMs);
      collect();
    } while (engine->tickHasMore());
  }

  EngineConfig config;
  std::vector<uint8_t> slab, payload;
  std::vector<int32_t> sends, gaps, encodes;
  std::unique_ptr<Engine> engine;
  std::vector<std::vector<uint8_t>> sent;
  std::vector<std::vector<int16_t>> frames;
};

std::string media(uint64_t sequence, const std::string& track, uint64_t chunk,
                  const std::vector<uint8_t>& payload) {
  std::string base64(base64EncodedLength(payload.size()), ' ');
  base64Encode(payload.data(), payload.size(), base64.data());
  return R"({"event":"media","sequence_number":")" + std::to_string(sequence) +
         R"(","stream_id":"stream-1","media":{"track":")" + track + R"(","chunk":")" + std::to_string(chunk) +
         R"(","timestamp":")" + std::to_string(chunk * 160) + R"(","payload":")" + base64 + R"("}})";
}
}  // namespace

TEST_CASE("G.722 of many streams, encoded together, is what each alone gives") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  Reactor reactor;
  std::vector<std::vector<int16_t>> spoken;
  for (int i = 0; i < 150; i++) {
    const int stream = reactor.open(Encoding::G722);
    std::vector<int16_t> pcm(320 + random() % 20000);
    for (auto& sample : pcm) sample = static_cast<int16_t>(random());
    reactor.engine->play(stream, pcm.data(), pcm.size(), 16000, static_cast<double>(random() % 40) / 10,
                         false);
    spoken.push_back(pcm);
  }
  for (double now = 5; now < 3000; now += 2) reactor.tick(now);
  for (size_t i = 0; i < spoken.size(); i++) {
    std::vector<int16_t> pcm = spoken[i];
    pcm.resize(reactor.sent[i].size() * 2);  // the padding
    REQUIRE(pcm.size() >= spoken[i].size());
    std::vector<uint8_t> expected(pcm.size() / 2);
    G722Encoder encoder;
    encoder.encode(pcm.data(), pcm.size(), expected.data());
    CHECK(reactor.sent[i] == expected);
  }
}

TEST_CASE("more streams are due than the slab has slots: all are sent in the same tick") {
  Reactor reactor;
  std::vector<int16_t> pcm(800, 1000);
  for (int i = 0; i < 300; i++)
    reactor.engine->play(reactor.open(Encoding::Pcmu), pcm.data(), 800, 8000, 0, false);
  reactor.tick(0);
  for (const auto& bytes : reactor.sent) CHECK(bytes.size() == 800);
}

TEST_CASE("audio that is due is sent, also where a play behind it is refused in that moment") {
  const std::vector<int16_t> pcm(59 * 8000, 1000);
  const std::vector<uint8_t> encoded(2 * 8000, 0x55);
  for (const bool isEncoded : {false, true}) {
    Reactor reactor;
    const int stream = reactor.open(Encoding::Pcmu);
    REQUIRE(reactor.engine->play(stream, pcm.data(), pcm.size(), 8000, 0, true) > 0);
    reactor.collect();
    // The event loop was held: chunks are due. Nobody reads the slab behind a refusal.
    const double accepted =
        isEncoded ? reactor.engine->playEncoded(stream, encoded.data(), encoded.size(), 500, true)
                  : reactor.engine->play(stream, pcm.data(), 2 * 8000, 8000, 500, true);
    CHECK(accepted < 0);
    for (double now = 502; now < 61'000; now += 2) reactor.tick(now);
    CHECK(reactor.sent[0].size() == pcm.size());
  }
}

TEST_CASE("a message is a frame in one call; what is no plain media is left to the full parser") {
  Reactor reactor;
  const int stream = reactor.open(Encoding::Pcmu);
  std::vector<uint8_t> payload(160, 0x12);
  const auto receive = [&](const std::string& text) {
    return reactor.engine->receive(stream, text.data(), text.size(), 0);
  };
  CHECK(receive(media(2, "inbound", 1, payload)) == 160);
  int16_t expected = 0;
  ulawDecode(payload.data(), 1, &expected);
  CHECK(reactor.frames[0][0] == expected);
  CHECK(receive(R"({"event":"stop"})") == kNotRecognised);
  CHECK(receive(media(3, "outbound", 1, payload)) == kNothing);
  std::string bad = media(4, "inbound", 2, payload);
  bad[bad.find("payload\":\"") + 12] = '!';
  CHECK(receive(bad) == kNotRecognised);
  CounterValues values{};
  reactor.engine->streamCounters(stream, values);
  CHECK(values[static_cast<size_t>(Counter::MediaReceived)] == 2);
  CHECK(values[static_cast<size_t>(Counter::UnwantedTrack)] == 1);
  reactor.engine->close(stream);
  reactor.engine->totals(values);
  CHECK(values[static_cast<size_t>(Counter::FramesHeard)] == 1);
  CHECK(reactor.engine->blocks().blocksInUse() == 0);
}

TEST_CASE("a room that a stall of the event loop holds leaves no hole in what it mixes") {
  std::vector<uint64_t> memory(RoomMemory::bytes({}) / 8 + 1);
  Reactor reactor;
  const int room = reactor.engine->openRoom(reinterpret_cast<uint8_t*>(memory.data()), {}, 0);
  const int speaker = reactor.open(Encoding::Pcmu);
  const int listener = reactor.open(Encoding::Pcmu);
  REQUIRE(reactor.engine->join(speaker, room, 0));
  REQUIRE(reactor.engine->join(listener, room, 0));
  const std::vector<uint8_t> payload(160, 0x12);
  uint64_t chunks = 0;
  // One frame every 20 ms. From 1000 ms on, the event loop stands still for 100 ms. Then its timer comes
  // first.
  const auto say = [&](double nowMs) {
    while (static_cast<double>(chunks) * 20 <= nowMs) {
      chunks++;
      const std::string text = media(chunks + 1, "inbound", chunks, payload);
      REQUIRE(reactor.engine->receive(speaker, text.data(), text.size(), nowMs) > 0);
    }
  };
  for (double nowMs = 0; nowMs < 3000; nowMs++) {
    if (nowMs > 1000 && nowMs < 1100) continue;
    reactor.tick(nowMs);
    say(nowMs);
  }
  const auto& heard = reactor.sent[static_cast<size_t>(listener)];
  CHECK(heard.size() > 2900 * 8);
  CHECK(std::all_of(heard.begin(), heard.end(), [](uint8_t byte) { return byte == 0x12; }));
}

TEST_CASE("a gap wakes its stream when its wait is over") {
  Reactor reactor;
  const int stream = reactor.open(Encoding::Pcmu);
  const std::vector<uint8_t> payload(160, 0x12);
  const auto receive = [&](uint64_t chunk, double now) {
    const std::string text = media(chunk + 1, "inbound", chunk, payload);
    return reactor.engine->receive(stream, text.data(), text.size(), now);
  };
  CHECK(receive(1, 0) == 160);
  CHECK(receive(3, 20) == kNothing);
  reactor.tick(79);
  CHECK(reactor.engine->gapCount() == 0);
  reactor.tick(80);
  REQUIRE(reactor.engine->gapCount() == 1);
  CHECK(reactor.gaps[0] == stream * 2);
  CHECK(reactor.engine->next(stream, Track::Inbound, 80) == 160);
  CHECK(reactor.engine->delivery().concealed);
  CHECK(reactor.engine->next(stream, Track::Inbound, 80) == 160);
  CHECK_FALSE(reactor.engine->delivery().concealed);
  reactor.tick(200);
  CHECK(reactor.engine->gapCount() == 0);
}

TEST_CASE("streams come and go: slots are used again and nothing is left behind") {
  Reactor reactor;
  std::mt19937 random(1);
  std::vector<int16_t> pcm(8000, 100);
  std::vector<int> open;
  double now = 0;
  for (int i = 0; i < 3000; i++, now += 2) {
    if (open.size() < 20 && random() % 2 == 0) {
      open.push_back(reactor.open(i % 3 == 0 ? Encoding::G722 : Encoding::Pcma));
      reactor.engine->play(open.back(), pcm.data(), pcm.size(), 8000, now, true);
    } else if (!open.empty()) {
      const size_t at = random() % open.size();
      reactor.engine->close(open[at]);
      open.erase(open.begin() + static_cast<long>(at));
    }
    reactor.tick(now);
  }
  for (const int stream : open) reactor.engine->close(stream);
  CHECK(reactor.engine->openStreams() == 0);
  CHECK(reactor.engine->blocks().blocksInUse() == 0);
  CHECK(reactor.sent.size() <= 20);
}

TEST_CASE(
    "lateness counts messages, each from its deadline, and a packet from the tick that could have sent it") {
  Reactor reactor;
  const auto late = [&](size_t quarterMs) { return reactor.engine->lateness()[quarterMs]; };
  std::vector<int16_t> pcm(8000, 1000);

  const int plain = reactor.open(Encoding::Pcmu);
  reactor.engine->play(plain, pcm.data(), pcm.size(), 8000, 0, true);
  reactor.tick(0);
  const double dueMs = reactor.engine->outbound(plain).dueMs();
  reactor.tick(dueMs + 3);
  CHECK(late(12) == 1);
  reactor.engine->close(plain);

  // The live audio of a stream whose encoder is in the pool: nothing is ahead, so each packet is past its
  // deadline.
  const double nowMs = 1000;
  const int pooled = reactor.open(Encoding::Opus);
  reactor.sent[static_cast<size_t>(pooled)].clear();
  reactor.tick(nowMs);
  reactor.engine->play(pooled, pcm.data(), 320, 8000, nowMs, true);
  reactor.tick(nowMs + 2);
  REQUIRE(reactor.engine->encodeCount() == 1);
  std::vector<int16_t> frame(960);
  REQUIRE(reactor.engine->takePcm(pooled, nowMs + 2, frame.data()) > 0);
  reactor.tick(nowMs + 4);
  const std::vector<uint8_t> packet(40, 7);
  REQUIRE(reactor.engine->enqueuePacket(pooled, packet.data(), packet.size()));
  reactor.tick(nowMs + 6);
  CHECK(reactor.sent[static_cast<size_t>(pooled)] == packet);
  CHECK(late(8) == 1);

  uint64_t all = 0;
  for (const uint64_t bin : reactor.engine->lateness()) all += bin;
  CHECK(all == 2);
}
