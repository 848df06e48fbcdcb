#include "codec/amrwb.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

using namespace sidetone;

namespace {

double rms(const int16_t* pcm, size_t samples) {
  double sum = 0;
  for (size_t i = 0; i < samples; i++) sum += static_cast<double>(pcm[i]) * pcm[i];
  return std::sqrt(sum / static_cast<double>(samples));
}

/** Something like a voice: a 140 Hz buzz whose loudness swings four times a second. */
void buzz(size_t frame, int16_t* pcm) {
  for (size_t i = 0; i < kAmrWbFrameSamples; i++) {
    const double t = static_cast<double>(frame * kAmrWbFrameSamples + i) / 16000;
    double sum = 0;
    for (int harmonic = 1; harmonic < 20; harmonic++)
      sum += std::sin(2 * M_PI * 140 * harmonic * t) / harmonic;
    pcm[i] = static_cast<int16_t>(5000 * sum * (1.2 + std::sin(2 * M_PI * 4 * t)) / 2.2);
  }
}

}  // namespace

TEST_CASE("amrwb: every mode carries a voice") {
  for (uint8_t mode = 0; mode <= 8; mode++) {
    auto encoder = AmrWbEncoder::open();
    auto decoder = AmrWbDecoder::open();
    if (!encoder || !decoder) {
      MESSAGE("AMR-WB libraries are not installed: nothing tested");
      return;
    }
    AmrWbFrame frame;
    int16_t in[kAmrWbFrameSamples];
    int16_t out[kAmrWbFrameSamples];
    double sent = 0;
    double heard = 0;
    for (size_t i = 0; i < 50; i++) {
      buzz(i, in);
      REQUIRE(encoder->encode(in, mode, false, &frame));
      REQUIRE(frame.frameType() == mode);
      REQUIRE(frame.good());
      decoder->decode(frame, out);
      for (const int16_t sample : out) REQUIRE((sample & 3) == 0);
      if (i < 10) continue;
      sent += rms(in, kAmrWbFrameSamples);
      heard += rms(out, kAmrWbFrameSamples);
    }
    CAPTURE(int{mode});
    CHECK(heard / sent > 0.8);
    CHECK(heard / sent < 1.2);
  }
}

TEST_CASE("amrwb: damaged and missing frames fade, and speech comes back") {
  auto encoder = AmrWbEncoder::open();
  auto decoder = AmrWbDecoder::open();
  auto damaged = AmrWbDecoder::open();
  if (!encoder || !decoder || !damaged) return;
  AmrWbFrame frame;
  int16_t in[kAmrWbFrameSamples];
  int16_t out[kAmrWbFrameSamples];
  int16_t outDamaged[kAmrWbFrameSamples];
  double before = 0;
  for (size_t i = 0; i < 100; i++) {
    buzz(i, in);
    encoder->encode(in, 2, false, &frame);
    const bool lost = i >= 40 && i < 60;
    if (lost) {
      decoder->conceal(out);
      frame.bytes[0] = amrWbStorageHeader(2, false);
      damaged->decode(frame, outDamaged);
    } else {
      decoder->decode(frame, out);
      damaged->decode(frame, outDamaged);
    }
    if (i == 39) before = rms(out, kAmrWbFrameSamples);
    if (i == 40) {
      CHECK(rms(out, kAmrWbFrameSamples) > before / 20);
      CHECK(rms(outDamaged, kAmrWbFrameSamples) > before / 20);
    }
    if (i == 59) {
      CHECK(rms(out, kAmrWbFrameSamples) < before / 20);
      CHECK(rms(outDamaged, kAmrWbFrameSamples) < before / 20);
    }
    if (i == 99) {
      CHECK(rms(out, kAmrWbFrameSamples) > 1000);
      CHECK(rms(outDamaged, kAmrWbFrameSamples) > 1000);
    }
  }
}

TEST_CASE("amrwb: a single loss and the frame after it are about as loud as what was lost") {
  auto encoder = AmrWbEncoder::open();
  auto whole = AmrWbDecoder::open();
  auto holed = AmrWbDecoder::open();
  if (!encoder || !whole || !holed) return;
  AmrWbFrame frame;
  int16_t in[kAmrWbFrameSamples];
  int16_t want[kAmrWbFrameSamples];
  int16_t out[kAmrWbFrameSamples];
  double wanted[2] = {};
  double heard[2] = {};
  for (size_t i = 0; i < 200; i++) {
    buzz(i, in);
    encoder->encode(in, 2, false, &frame);
    whole->decode(frame, want);
    const bool lost = i % 11 == 10;
    lost ? holed->conceal(out) : holed->decode(frame, out);
    if (i < 10 || (!lost && i % 11 != 0)) continue;
    wanted[lost] += rms(want, kAmrWbFrameSamples);
    heard[lost] += rms(out, kAmrWbFrameSamples);
  }
  for (const int lost : {0, 1}) {
    CAPTURE(lost);
    CHECK(heard[lost] > wanted[lost] / 1.6);
    CHECK(heard[lost] < wanted[lost] * 1.6);
  }
}

TEST_CASE("amrwb: silence with dtx becomes SID and no-data frames, and comfort noise again") {
  auto encoder = AmrWbEncoder::open();
  auto decoder = AmrWbDecoder::open();
  if (!encoder || !decoder) return;
  std::mt19937 random(5);
  AmrWbFrame frame;
  int16_t in[kAmrWbFrameSamples];
  int16_t out[kAmrWbFrameSamples];
  size_t sid = 0;
  size_t noData = 0;
  for (size_t i = 0; i < 100; i++) {
    for (int16_t& sample : in) sample = static_cast<int16_t>(static_cast<int>(random() % 41) - 20);
    REQUIRE(encoder->encode(in, 2, true, &frame));
    sid += frame.frameType() == kAmrWbSid ? 1 : 0;
    noData += frame.frameType() == kAmrWbNoData ? 1 : 0;
    decoder->decode(frame, out);
    CHECK(rms(out, kAmrWbFrameSamples) < 200);
  }
  CHECK(sid > 5);
  CHECK(noData > 50);
}

TEST_CASE("amrwb: random payloads and full-scale input never leave the lines") {
  auto encoder = AmrWbEncoder::open();
  auto decoder = AmrWbDecoder::open();
  if (!encoder || !decoder) return;
  std::mt19937 random(6);
  AmrWbFrame frames[kAmrWbFramesMax];
  int16_t out[kAmrWbFrameSamples];
  uint8_t bytes[128];
  for (int round = 0; round < 3000; round++) {
    const size_t count = random() % sizeof bytes;
    for (size_t i = 0; i < count; i++) bytes[i] = static_cast<uint8_t>(random());
    Rfc4867Form form = Rfc4867Form::BandwidthEfficient;
    const Rfc4867Payload unpacked = unpackRfc4867Auto(bytes, count, &form, frames);
    if (unpacked.error != Rfc4867Error::None) decoder->conceal(out);
    for (size_t i = 0; i < unpacked.frameCount; i++) decoder->decode(frames[i], out);
  }
  int16_t square[kAmrWbFrameSamples];
  AmrWbFrame frame;
  for (int round = 0; round < 60; round++) {
    for (size_t i = 0; i < kAmrWbFrameSamples; i++) {
      square[i] = round < 30 ? ((i / 8) % 2 ? int16_t{32767} : int16_t{-32768}) : int16_t{-32768};
    }
    REQUIRE(encoder->encode(square, static_cast<uint8_t>(round % 9), round % 2 == 0, &frame));
    decoder->decode(frame, out);
  }
}
