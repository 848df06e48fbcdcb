#include "codec/l16_order.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <numbers>
#include <random>
#include <string>
#include <vector>

#include "codec/g711.h"
#include "stream/inbound.h"
#include "stream/outbound.h"

using namespace sidetone;

namespace {

constexpr int kRates[] = {8000, 16000, 22050, 24000, 48000};
using Pcm = std::vector<int16_t>;

std::vector<uint8_t> wire(const Pcm& pcm, ByteOrder order) {
  std::vector<uint8_t> payload(pcm.size() * 2);
  std::memcpy(payload.data(), pcm.data(), payload.size());
  l16Reorder(payload.data(), pcm.size(), order);
  return payload;
}

Pcm made(size_t samples, const std::function<double(size_t)>& at) {
  Pcm pcm(samples);
  for (size_t i = 0; i < samples; i++) {
    pcm[i] = static_cast<int16_t>(std::lrint(std::clamp(at(i), -32768.0, 32767.0)));
  }
  return pcm;
}

Pcm tone(int rateHz, double hz, double peak, size_t samples) {
  return made(samples, [=](size_t i) {
    return peak * std::sin(2 * std::numbers::pi * hz * static_cast<double>(i) / rateHz + 0.3);
  });
}

/** Harmonics that fall by 6 dB an octave, over a little noise. */
Pcm voice(int rateHz, double pitchHz, double peak, size_t samples, std::mt19937& random) {
  std::uniform_real_distribution<double> hiss(-1, 1);
  return made(samples, [&](size_t i) {
    double sum = 0;
    for (int k = 1; k * pitchHz < 3400; k++) {
      sum += std::sin(2 * std::numbers::pi * k * pitchHz * static_cast<double>(i) / rateHz + k * k) / k;
    }
    return peak / 2.5 * sum + peak / 200 * hiss(random);
  });
}

Pcm noise(double rms, size_t samples, std::mt19937& random) {
  std::normal_distribution<double> normal(0, rms);
  return made(samples, [&](size_t) { return normal(random); });
}

/** Every 20 ms, from the first that is telling on, must be read in the order in which it was written. */
void checkFound(const Pcm& pcm, int rateHz, const std::string& what) {
  CAPTURE(what);
  CAPTURE(rateHz);
  for (const ByteOrder order : {ByteOrder::Little, ByteOrder::Big}) {
    CAPTURE(static_cast<int>(order));
    const auto payload = wire(pcm, order);
    L16OrderFinder finder(rateHz);
    const auto frame = static_cast<size_t>(rateHz) / 50;
    int wrong = 0;
    for (size_t at = 0; at + frame <= pcm.size(); at += frame) {
      if (finder.judge(&payload[2 * at], frame) != order) wrong++;
    }
    CHECK(wrong == 0);
    CHECK(finder.settled());
  }
}

}  // namespace

TEST_CASE("l16 order: found in the first frame and kept, for voices, tones and noise of any level") {
  std::mt19937 random(20);
  for (const int rateHz : kRates) {
    const auto samples = static_cast<size_t>(rateHz) * 3 / 10;
    for (const double peak : {3.0, 20.0, 120.0, 600.0, 4000.0, 16000.0, 32767.0}) {
      const std::string level = " peak " + std::to_string(peak);
      for (const double hz : {61.0, 300.0, 1004.0, 2100.0, 3391.0}) {
        checkFound(tone(rateHz, hz, peak, samples), rateHz, "tone " + std::to_string(hz) + level);
      }
      for (const double hz : {85.0, 140.0, 260.0}) {
        checkFound(voice(rateHz, hz, peak, samples, random), rateHz, "voice " + std::to_string(hz) + level);
      }
    }
    for (const double rms : {1.0, 10.0, 100.0, 1000.0, 5000.0}) {
      checkFound(noise(rms, samples, random), rateHz, "noise " + std::to_string(rms));
    }
  }
}

TEST_CASE("l16 order: sound that went through G.711 or an offset, and 8-bit sound in 16 bits") {
  std::mt19937 random(21);
  for (const double peak : {100.0, 2000.0, 30000.0}) {
    Pcm pcm = voice(8000, 120, peak, 2400, random);
    std::vector<uint8_t> codes(pcm.size());
    Pcm decoded(pcm.size());
    ulawEncode(pcm.data(), pcm.size(), codes.data());
    ulawDecode(codes.data(), codes.size(), decoded.data());
    checkFound(decoded, 8000, "u-law " + std::to_string(peak));
    alawEncode(pcm.data(), pcm.size(), codes.data());
    alawDecode(codes.data(), codes.size(), decoded.data());
    checkFound(decoded, 8000, "A-law " + std::to_string(peak));
  }
  for (const double offset : {-3000.0, 77.0, 5000.0}) {
    Pcm pcm = tone(16000, 440, 200, 4800);
    for (auto& sample : pcm) sample = static_cast<int16_t>(sample + offset);
    checkFound(pcm, 16000, "offset " + std::to_string(offset));
  }
  Pcm eightBits = voice(16000, 130, 20000, 4800, random);
  for (auto& sample : eightBits) sample = static_cast<int16_t>(sample & 0xFF00);
  checkFound(eightBits, 16000, "8 bits");
}

TEST_CASE("l16 order: what tells nothing leaves little-endian and settles nothing") {
  std::mt19937 random(22);
  std::uniform_int_distribution<int> full(-32768, 32767);
  const Pcm untold[] = {Pcm(9600), Pcm(9600, 1234), made(9600, [&](size_t) { return full(random); })};
  for (const Pcm& pcm : untold) {
    for (const ByteOrder order : {ByteOrder::Little, ByteOrder::Big}) {
      L16OrderFinder finder(16000);
      const auto payload = wire(pcm, order);
      for (size_t at = 0; at < pcm.size(); at += 320) {
        CHECK(finder.judge(&payload[2 * at], 320) == ByteOrder::Little);
      }
      CHECK_FALSE(finder.settled());
    }
  }
}

TEST_CASE("l16 order: stands after 200 ms of signal, whatever comes then") {
  std::mt19937 random(23);
  L16OrderFinder finder(16000);
  const auto silence = wire(Pcm(16000), ByteOrder::Big);
  finder.judge(silence.data(), 16000);
  const auto speech = wire(voice(16000, 110, 8000, 3200, random), ByteOrder::Big);
  finder.judge(speech.data(), 3199);
  CHECK_FALSE(finder.settled());
  finder.judge(speech.data(), 3200);
  CHECK(finder.settled());
  const auto other = wire(voice(16000, 110, 8000, 32000, random), ByteOrder::Little);
  CHECK(finder.judge(other.data(), 32000) == ByteOrder::Big);
}

TEST_CASE("l16 order: any bytes in any cut") {
  std::mt19937 random(24);
  for (int run = 0; run < 200; run++) {
    L16OrderFinder finder(kRates[random() % 5]);
    for (int payload = 0; payload < 20; payload++) {
      std::vector<uint8_t> bytes(random() % 4000);
      const uint32_t mask = random() % 3 == 0 ? 0xFF : random();
      for (auto& byte : bytes) byte = static_cast<uint8_t>(random() & mask);
      const ByteOrder said = finder.judge(bytes.data(), bytes.size() / 2);
      CHECK(said == finder.order());
    }
  }
}

TEST_CASE("l16 order: a track that listens hears big-endian from its first frame on") {
  std::mt19937 random(25);
  const Pcm pcm = voice(16000, 150, 9000, 16000, random);
  const auto payload = wire(pcm, ByteOrder::Big);
  InboundConfig config;
  config.encoding = Encoding::L16;
  config.announcedHz = config.handlerHz = 16000;
  config.l16OrderAuto = true;
  BlockPool pool{1 << 10};
  InboundTrack track(pool, config);
  Pcm frame(track.frameSamplesMax());
  std::vector<uint8_t> payloadScratch(4096);
  Pcm pcmScratch(4096);
  track.setFrameBuffer(frame.data(), frame.size());
  Pcm heard;
  for (uint64_t chunk = 0; chunk < 50; chunk++) {
    track.push({chunk, chunk * 320, &payload[chunk * 640], 640}, true, true, static_cast<double>(chunk) * 20);
    for (bool more = true; more;) {
      const Delivery delivery =
          track.next(static_cast<double>(chunk) * 20, payloadScratch.data(), pcmScratch.data());
      heard.insert(heard.end(), frame.begin(), frame.begin() + static_cast<long>(delivery.samples));
      more = delivery.more;
    }
  }
  CHECK(heard == pcm);
  CHECK(track.l16Order() == ByteOrder::Big);
}

TEST_CASE("l16 order: what is queued goes out in the order found meanwhile") {
  OutboundConfig config;
  config.encoding = Encoding::L16;
  config.announcedHz = 16000;
  BlockPool pool{1 << 10};
  Outbound outbound(pool, config);
  const Pcm pcm = tone(16000, 500, 9000, 800);
  outbound.enqueue(pcm.data(), pcm.size(), 16000, nullptr, 0);
  outbound.setL16Order(ByteOrder::Big);
  std::vector<uint8_t> sent;
  std::vector<uint8_t> payload(Outbound::payloadBytesMax(config));
  for (double nowMs = 0; nowMs < 400; nowMs += 2) {
    while (const size_t bytes = outbound.take(nowMs, payload.data())) {
      sent.insert(sent.end(), payload.begin(), payload.begin() + static_cast<long>(bytes));
    }
  }
  const auto expected = wire(pcm, ByteOrder::Big);
  REQUIRE(sent.size() >= expected.size());
  CHECK(std::equal(expected.begin(), expected.end(), sent.begin()));
}
