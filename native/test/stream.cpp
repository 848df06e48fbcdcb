#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "codec/g711.h"
#include "stream/inbound.h"
#include "stream/media_timeline.h"
#include "stream/outbound.h"
#include "stream/playout.h"

using namespace sidetone;

namespace {
constexpr double kTickMs = 2;

/** The far end: plays what it gets, and knows when it ran dry. */
struct FarEnd {
  double bytesPerMs = 8;
  double dryAtMs = 0;
  double gapMs = 0;
  bool started = false;
  std::vector<uint8_t> heard;

  void hear(const uint8_t* payload, size_t bytes, double nowMs) {
    if (started && nowMs > dryAtMs) gapMs += nowMs - dryAtMs;
    dryAtMs = std::max(dryAtMs, nowMs) + static_cast<double>(bytes) / bytesPerMs;
    started = true;
    heard.insert(heard.end(), payload, payload + bytes);
  }
};

struct Call {
  explicit Call(OutboundConfig config = {})
      : outbound(pool, config), payload(Outbound::payloadBytesMax(config)) {}

  /** Sends what is due; returns the sizes of the messages. */
  std::vector<size_t> pump(double nowMs) {
    std::vector<size_t> sizes;
    while (const size_t bytes = outbound.take(nowMs, payload.data())) {
      REQUIRE(bytes <= payload.size());
      sizes.push_back(bytes);
      far.hear(payload.data(), bytes, nowMs);
    }
    // What take() says and what dueMs() says must agree, or a reactor would spin or sleep.
    CHECK(outbound.dueMs() > nowMs);
    return sizes;
  }

  BlockPool pool{1 << 16};
  Outbound outbound;
  std::vector<uint8_t> payload;
  FarEnd far;
};

std::vector<int16_t> ramp(size_t samples) {
  std::vector<int16_t> pcm(samples);
  for (size_t i = 0; i < samples; i++) pcm[i] = static_cast<int16_t>(i * 37 % 30000);
  return pcm;
}
}  // namespace

TEST_CASE("live audio goes out at once, 20 ms at a time") {
  Call call;
  const auto pcm = ramp(160);
  for (double now = 0; now < 2000; now += 20) {
    call.outbound.enqueue(pcm.data(), 160, 8000, nullptr, now);
    CHECK(call.pump(now) == std::vector<size_t>{160});
  }
  CHECK(call.far.gapMs == 0);
}

TEST_CASE("queued audio starts with 20 ms, grows to the chunk and keeps the lead") {
  Call call;
  const auto pcm = ramp(8000 * 3);
  call.outbound.enqueue(pcm.data(), pcm.size(), 8000, nullptr, 0);
  CHECK(call.pump(0) == std::vector<size_t>{160, 320, 640, 800});
  for (double now = 0; now < 3000; now += kTickMs) {
    for (const size_t bytes : call.pump(now)) CHECK(bytes >= 160);
    if (call.outbound.queuedMs() > 0) CHECK(call.far.dryAtMs - now >= 200);
  }
  CHECK(call.far.gapMs == 0);
  std::vector<uint8_t> expected(pcm.size());
  ulawEncode(pcm.data(), pcm.size(), expected.data());
  CHECK(call.far.heard == expected);
}

TEST_CASE("a blocked event loop of 200 ms is not heard") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  Call call;
  const auto pcm = ramp(8000 * 20);
  call.outbound.enqueue(pcm.data(), pcm.size(), 8000, nullptr, 0);
  for (double now = 0; now < 20000; now += random() % 10 == 0 ? 200 : kTickMs) call.pump(now);
  CHECK(call.far.gapMs == 0);
  CHECK(call.outbound.counters().underruns == 0);
}

TEST_CASE("no message is shorter than 20 ms: the tail of an utterance is filled with silence") {
  for (const size_t samples : {1u, 159u, 160u, 161u, 333u, 1777u}) {
    Call call;
    const auto pcm = ramp(samples);
    call.outbound.enqueue(pcm.data(), samples, 8000, nullptr, 0);
    for (double now = 0; now < 1000; now += kTickMs) {
      for (const size_t bytes : call.pump(now)) CHECK(bytes >= 160);
    }
    CHECK(call.outbound.queuedMs() == 0);
    REQUIRE(call.far.heard.size() >= samples);
    CHECK(call.far.heard.size() < samples + 160);
    for (size_t i = samples; i < call.far.heard.size(); i++) CHECK(call.far.heard[i] == 0xFF);
    CHECK(call.outbound.playout().playedPosition(1000) == static_cast<double>(samples));
  }
}

TEST_CASE("audio in pieces of 10 ms is not padded while more keeps coming") {
  Call call;
  const auto pcm = ramp(80);
  for (double now = 0; now < 1000; now += 10) {
    call.outbound.enqueue(pcm.data(), 80, 8000, nullptr, now);
    call.pump(now);
  }
  CHECK(call.outbound.counters().padded == 0);
  CHECK(call.far.gapMs == 0);
}

TEST_CASE("an echo keeps both zeros of mu-law") {
  Call call;
  std::vector<uint8_t> codes(256);
  for (size_t i = 0; i < 256; i++) codes[i] = static_cast<uint8_t>(i);
  std::vector<int16_t> pcm(256);
  ulawDecode(codes.data(), 256, pcm.data());
  call.outbound.enqueue(pcm.data(), 256, 8000, codes.data(), 0);
  call.pump(0);
  CHECK(call.far.heard == codes);
}

TEST_CASE("a full queue takes nothing, and says so") {
  OutboundConfig config;
  config.queueMaxMs = 1000;
  Call call(config);
  const auto pcm = ramp(8000);
  CHECK(call.outbound.enqueue(pcm.data(), 8000, 8000, nullptr, 0) == 8000);
  CHECK(call.outbound.enqueue(pcm.data(), 1, 8000, nullptr, 0) == -1);
  CHECK(call.outbound.acceptedPosition() == 8000);
  CHECK(call.outbound.counters().refused == 1);
}

TEST_CASE("clear drops what is queued and remembers what was heard") {
  Call call;
  const auto pcm = ramp(16000);
  call.outbound.enqueue(pcm.data(), 16000, 8000, nullptr, 0);
  for (double now = 0; now <= 700; now += kTickMs) call.pump(now);
  CHECK(call.outbound.playout().playedPosition(700) == doctest::Approx(700 * 8));
  call.outbound.clear(700);
  CHECK(call.outbound.queuedMs() == 0);
  CHECK(call.outbound.playout().aheadMs(700) == 0);
  CHECK(call.outbound.playout().playedPosition(5000) == doctest::Approx(700 * 8));
  CHECK(call.outbound.take(700, call.payload.data()) == 0);
}

TEST_CASE("a message ends where a mark goes behind it, unless it would be too short") {
  Call call;
  const auto pcm = ramp(8000 * 2);
  call.outbound.enqueue(pcm.data(), pcm.size(), 8000, nullptr, 0);
  const std::vector<double> marks = {8000, 2400, 2450, 15999};
  for (const double mark : marks) call.outbound.cutAt(mark);
  std::vector<double> ends;
  double sent = 0;
  for (double now = 0; now < 2000; now += kTickMs) {
    for (const size_t bytes : call.pump(now)) ends.push_back(sent += static_cast<double>(bytes));
  }
  const auto cut = [&](double at) { return std::find(ends.begin(), ends.end(), at) != ends.end(); };
  CHECK(cut(2400));
  CHECK_FALSE(cut(2450));
  CHECK(cut(8000));
  CHECK(call.far.gapMs == 0);
}

TEST_CASE("the pool is given as much as may lie ahead, however long the far end has been dry") {
  OutboundConfig config;
  config.encoding = Encoding::Opus;
  config.announcedHz = 16000;
  Call call(config);
  std::vector<int16_t> pcm(320);
  double nowMs = 3600e3;
  call.outbound.enqueue(ramp(16000 * 6).data(), 16000 * 6, 16000, nullptr, nowMs);
  size_t taken = 0;
  while (call.outbound.takePcm(nowMs, pcm.data()) > 0) taken++;
  CHECK(taken == (config.leadMs + config.chunkMs) / 20);

  // Packets come back and are sent: all of it gets through, and never is more with the encoder or waiting.
  const std::vector<uint8_t> packet(40, 1);
  size_t returned = 0;
  size_t sent = 0;
  for (int tick = 0; tick < 4000 && sent < 300; tick++, nowMs += kTickMs) {
    for (; returned < taken; returned++) call.outbound.enqueuePacket(packet.data(), packet.size());
    while (call.outbound.take(nowMs, call.payload.data()) > 0) sent++;
    while (call.outbound.takePcm(nowMs, pcm.data()) > 0) taken++;
    CHECK(taken - sent <= (config.leadMs + config.chunkMs) / 20);
  }
  CHECK(sent == 300);
}

TEST_CASE("any rate into any encoding: as much comes out as went in") {
  for (const Encoding encoding : {Encoding::Pcmu, Encoding::Pcma, Encoding::L16}) {
    for (const int rate : {8000, 16000, 22050, 24000, 44100, 48000}) {
      OutboundConfig config;
      config.encoding = encoding;
      config.announcedHz = encoding == Encoding::L16 ? 16000 : 8000;
      Call call(config);
      const double bytesPerMs = encoding == Encoding::L16 ? 32 : 8;
      call.far.bytesPerMs = bytesPerMs;
      const auto pcm = ramp(static_cast<size_t>(rate));
      for (size_t done = 0; done < pcm.size(); done += 441) {
        call.outbound.enqueue(pcm.data() + done, std::min<size_t>(441, pcm.size() - done), rate, nullptr, 0);
      }
      for (double now = 0; now < 2000; now += kTickMs) call.pump(now);
      CHECK(std::fabs(static_cast<double>(call.far.heard.size()) / bytesPerMs - 1000) <= 25);
      CHECK(call.far.gapMs == 0);
    }
  }
}

TEST_CASE("the playout model: random sends against a far end simulated sample by sample") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 300; round++) {
    Playout playout(8000);
    struct Piece {
      double position, samples, padding, startMs;
    };
    std::vector<Piece> pieces;
    double position = 0, now = 0, dry = 0;
    for (int i = 0; i < 40; i++) {
      now += random() % 120;
      // As a pacer does: never more than 300 ms ahead.
      if (dry - now < 200) {
        const double samples = 160 + random() % 640, padding = random() % 4 == 0 ? random() % 159 : 0;
        const double start = std::max(dry, now);
        pieces.push_back({position, samples, padding, start});
        playout.sent(position, samples, padding, now);
        dry = start + (samples + padding) / 8;
        position += samples;
      }
      const double ask = now + random() % 50;
      double expected = 0;
      for (const Piece& piece : pieces) {
        if (ask > piece.startMs)
          expected = piece.position + std::min(piece.samples, (ask - piece.startMs) * 8);
      }
      CHECK(playout.playedPosition(ask) == doctest::Approx(expected).epsilon(1e-9));
      CHECK(playout.aheadMs(ask) == doctest::Approx(std::max(0.0, dry - ask)).epsilon(1e-9));
    }
  }
}

TEST_CASE("the unit of timestamps is learned from two steps, and pauses count") {
  for (const double unit : {1.0, 8.0}) {
    MediaTimeline timeline(8000);
    const auto stamp = [&](double ms) { return static_cast<uint64_t>(5000 + ms * unit); };
    for (const double ms : {0.0, 20.0, 40.0}) {
      CHECK_FALSE(timeline.continues(stamp(ms), 20));
      timeline.played(20);
    }
    CHECK(timeline.unitsPerMs() == unit);
    CHECK(timeline.positionMs() == 60);
    CHECK(timeline.continues(stamp(1060), 20));
    CHECK(timeline.positionMs() == doctest::Approx(1060));
    timeline.played(20);
    // Three numbers are missing, and 60 ms of audio with them; or the numbers jumped and nothing is missing.
    CHECK(timeline.missingMs(stamp(1140), 3) == doctest::Approx(60));
    CHECK(timeline.missingMs(stamp(1080), 3) == 0);
    // Timestamps that restarted say nothing: the count decides.
    CHECK(timeline.missingMs(3, 3) == doctest::Approx(60));
  }
}

TEST_CASE("a track: what is lost is concealed, sample for sample, and long gaps move the time") {
  BlockPool pool(1024);
  InboundConfig config;
  config.gapFillMaxMs = 200;
  InboundTrack track(pool, config);
  std::vector<int16_t> frame(track.frameSamplesMax());
  std::vector<uint8_t> payload(160, 0x55), scratch(65536);
  std::vector<int16_t> pcm(48000);
  track.setFrameBuffer(frame.data(), frame.size());

  double samples = 0, concealed = 0, nextMs = 0;
  const auto send = [&](uint64_t chunk, double now) {
    track.push({chunk, chunk * 160, payload.data(), payload.size()}, true, true, now);
    for (Delivery d = track.next(now, scratch.data(), pcm.data()); d.kind == Delivery::Kind::Frame;
         d = track.next(now, scratch.data(), pcm.data())) {
      CHECK(d.samples == 160);
      CHECK(d.timestampMs >= nextMs - 1e-9);
      nextMs = d.timestampMs + 20;
      samples += static_cast<double>(d.samples);
      if (d.concealed) concealed += static_cast<double>(d.samples);
    }
  };
  for (uint64_t i = 1; i <= 10; i++) send(i, static_cast<double>(i) * 20);
  send(16, 320);  // 5 lost: 100 ms
  send(17, 400);
  CHECK(concealed == 5 * 160);
  CHECK(samples == 17 * 160);
  CHECK(nextMs == doctest::Approx(340));
  send(68, 1500);  // 50 lost: 1 s, of which 200 ms are filled
  send(69, 1600);
  CHECK(concealed == 15 * 160);
  CHECK(nextMs == doctest::Approx(69 * 20));
}

TEST_CASE("payloads of any length: every sample is heard once") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  BlockPool pool(1024);
  InboundTrack track(pool, InboundConfig{});
  std::vector<int16_t> frame(track.frameSamplesMax()), pcm(48000);
  std::vector<uint8_t> scratch(65536), sent, heard;
  track.setFrameBuffer(frame.data(), frame.size());
  uint64_t timestamp = 0;
  for (uint64_t chunk = 1; chunk <= 200; chunk++) {
    std::vector<uint8_t> payload(random() % 5 == 0 ? 0 : random() % 1600);
    for (auto& byte : payload) {
      byte = static_cast<uint8_t>(random());
      if (byte == 0x7F) byte = 0xFF;
    }
    sent.insert(sent.end(), payload.begin(), payload.end());
    track.push({chunk, timestamp, payload.data(), payload.size()}, true, true, 0);
    timestamp += payload.size();
    Delivery d;
    do {
      d = track.next(0, scratch.data(), pcm.data());
      if (d.kind != Delivery::Kind::Frame) break;
      CHECK(d.samples <= track.frameSamplesMax());
      std::vector<uint8_t> codes(d.samples);
      ulawEncode(frame.data(), d.samples, codes.data());
      heard.insert(heard.end(), codes.begin(), codes.end());
    } while (d.more);
  }
  CHECK(heard == sent);
}
