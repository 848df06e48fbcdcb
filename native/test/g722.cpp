#include "codec/g722.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "codec/g722_kernels.h"
#include "codec/g722_tables.h"

using namespace sidetone;

namespace {

using Pcm = std::vector<int16_t>;
using Bytes = std::vector<uint8_t>;
using Mode = G722Decoder::Mode;

std::vector<const g722::Kernels*> allKernels() {
  std::vector<const g722::Kernels*> all{&g722::kernelsScalar()};
  for (const auto* kernels : {g722::kernelsSse2(), g722::kernelsAvx2(), g722::kernelsNeon()}) {
    if (kernels != nullptr) all.push_back(kernels);
  }
  return all;
}

/** Signals that reach the coder's corners: noise, steps between the rails, constants, chirps, silence, in
 * turn. */
Pcm corners(size_t samples, uint32_t seed) {
  std::mt19937 random(seed);
  Pcm pcm(samples);
  for (size_t at = 0; at < samples;) {
    const uint32_t kind = random() % 7;
    const size_t end = std::min<size_t>(samples, at + 2 + random() % 1500);
    const uint32_t half = 1 + random() % 60;
    const auto level = static_cast<int16_t>(random());
    for (size_t i = at; i < end; i++) {
      switch (kind) {
        case 0:
          pcm[i] = static_cast<int16_t>(random());
          break;
        case 1:
          pcm[i] = i / half % 2 == 0 ? int16_t{32767} : int16_t{-32768};
          break;
        case 2:
          pcm[i] = level;
          break;
        case 3:
          pcm[i] = 0;
          break;
        case 4:
          pcm[i] = static_cast<int16_t>(std::lrint(32767 * std::sin(1e-4 * std::pow(i - at, 2))));
          break;
        case 5:
          pcm[i] = static_cast<int16_t>(random() % 16);
          break;
        default:
          pcm[i] = int16_t{-32768};
      }
    }
    at = end;
  }
  return pcm;
}

Bytes randomBytes(size_t bytes, uint32_t seed) {
  std::mt19937 random(seed);
  Bytes payload(bytes);
  for (auto& byte : payload) byte = static_cast<uint8_t>(random());
  return payload;
}

/** Random runs of one code: they drive the adaptive filters to their limits. */
Bytes stuckBytes(size_t bytes, uint32_t seed) {
  std::mt19937 random(seed);
  Bytes payload;
  while (payload.size() < bytes) {
    const size_t period = 1 + random() % 4;
    uint8_t pattern[4];
    for (auto& byte : pattern) byte = static_cast<uint8_t>(random());
    for (size_t i = random() % 600; i != 0; i--) payload.push_back(pattern[i % period]);
  }
  payload.resize(bytes);
  return payload;
}

Bytes encode(G722Encoder& encoder, const Pcm& pcm) {
  Bytes payload(pcm.size() / 2);
  encoder.encode(pcm.data(), pcm.size(), payload.data());
  return payload;
}

Pcm decode(G722Decoder& decoder, const Bytes& payload) {
  Pcm pcm(2 * payload.size());
  decoder.decode(payload.data(), payload.size(), pcm.data());
  return pcm;
}

}  // namespace

TEST_CASE("g722: kernels agree bit for bit, also at full scale and on hostile payloads") {
  for (uint32_t seed = 0; seed < 20; seed++) {
    CAPTURE(seed);
    const auto pcm = corners(20000, seed);
    const auto payload = seed % 2 == 0 ? randomBytes(10000, seed) : stuckBytes(10000, seed);
    G722Encoder encoderReference(g722::kernelsScalar());
    const auto expectedBytes = encode(encoderReference, pcm);
    for (const auto* kernels : allKernels()) {
      CAPTURE(std::string(kernels->name));
      G722Encoder encoder(*kernels);
      CHECK(encode(encoder, pcm) == expectedBytes);
      for (const auto mode : {Mode::k64, Mode::k56, Mode::k48}) {
        G722Decoder decoderReference(mode, g722::kernelsScalar());
        G722Decoder decoder(mode, *kernels);
        CHECK(decode(decoder, payload) == decode(decoderReference, payload));
      }
    }
  }
}

TEST_CASE("g722: state goes on from call to call, whatever the lengths") {
  const auto pcm = corners(30000, 77);
  G722Encoder whole;
  const auto expected = encode(whole, pcm);
  G722Decoder wholeDecoder;
  const auto expectedPcm = decode(wholeDecoder, expected);
  std::mt19937 random(78);
  G722Encoder encoder;
  G722Decoder decoder;
  Bytes bytes(expected.size());
  Pcm out(pcm.size());
  for (size_t at = 0; at < bytes.size();) {
    const size_t count = std::min<size_t>(bytes.size() - at, random() % 500);
    encoder.encode(&pcm[2 * at], 2 * count, bytes.data() + at);
    decoder.decode(bytes.data() + at, count, &out[2 * at]);
    at += count;
  }
  CHECK(bytes == expected);
  CHECK(out == expectedPcm);
}

TEST_CASE("g722: a batch gives what its streams give one by one") {
  for (const size_t count :
       {size_t{0}, size_t{1}, size_t{3}, size_t{4}, size_t{15}, size_t{16}, size_t{17}, size_t{45}}) {
    CAPTURE(count);
    std::vector<G722Encoder> encoders(count);
    std::vector<G722Encoder> alone(count);
    std::vector<G722Decoder> decoders(count);
    std::vector<G722Decoder> decodersAlone(count);
    std::vector<G722Encoder*> encoderList;
    std::vector<G722Decoder*> decoderList;
    for (auto& encoder : encoders) encoderList.push_back(&encoder);
    for (auto& decoder : decoders) decoderList.push_back(&decoder);
    // Lengths around a step of 8 bytes and a block of 160, and one after another on the same streams.
    for (const size_t bytes : {160U, 0U, 1U, 7U, 80U, 161U, 333U}) {
      CAPTURE(bytes);
      std::vector<Pcm> pcm;
      std::vector<Bytes> payload(count, Bytes(bytes));
      std::vector<Bytes> received;
      std::vector<Pcm> heard(count, Pcm(2 * bytes));
      std::vector<const int16_t*> pcmList;
      std::vector<uint8_t*> payloadList;
      std::vector<const uint8_t*> receivedList;
      std::vector<int16_t*> heardList;
      for (size_t i = 0; i < count; i++) {
        const auto seed = static_cast<uint32_t>(1000 * count + 50 * bytes + i);
        pcm.push_back(corners(2 * bytes, seed));
        received.push_back(i % 2 == 0 ? stuckBytes(bytes, seed) : randomBytes(bytes, seed));
      }
      for (size_t i = 0; i < count; i++) {
        pcmList.push_back(pcm[i].data());
        payloadList.push_back(payload[i].data());
        receivedList.push_back(received[i].data());
        heardList.push_back(heard[i].data());
      }
      g722EncodeBatch(encoderList.data(), pcmList.data(), 2 * bytes, payloadList.data(), count);
      g722DecodeBatch(decoderList.data(), receivedList.data(), bytes, heardList.data(), count);
      for (size_t i = 0; i < count; i++) {
        CHECK(payload[i] == encode(alone[i], pcm[i]));
        CHECK(heard[i] == decode(decodersAlone[i], received[i]));
      }
    }
  }
}

TEST_CASE("g722: a batch of decoders in other modes than 64 kbit/s") {
  const auto payload = randomBytes(160, 3);
  std::vector<G722Decoder> decoders;
  for (int i = 0; i < 9; i++) decoders.emplace_back(static_cast<Mode>(1 + i % 3));
  std::vector<Pcm> heard(decoders.size(), Pcm(320));
  std::vector<G722Decoder*> list;
  std::vector<const uint8_t*> payloads(decoders.size(), payload.data());
  std::vector<int16_t*> out;
  for (size_t i = 0; i < decoders.size(); i++) {
    list.push_back(&decoders[i]);
    out.push_back(heard[i].data());
  }
  g722DecodeBatch(list.data(), payloads.data(), 160, out.data(), list.size());
  for (size_t i = 0; i < decoders.size(); i++) {
    G722Decoder alone(static_cast<Mode>(1 + i % 3));
    CHECK(heard[i] == decode(alone, payload));
  }
}

TEST_CASE("g722: the mirror filter's output is limited to 15 bits") {
  // A full-scale square wave makes the filter overshoot; the recommendation's LIMIT then shows in the code
  // words.
  Pcm pcm(4000);
  for (size_t i = 0; i < pcm.size(); i++) pcm[i] = i / 20 % 2 == 0 ? int16_t{32767} : int16_t{-32768};
  Pcm low;
  Pcm high;
  int32_t beyond = 0;
  for (size_t t = 0; 2 * t < pcm.size(); t++) {
    int32_t even = 0;
    int32_t odd = 0;
    for (size_t i = 0; i < 12; i++) {
      if (2 * t + 2 * i < 22) continue;
      even += pcm[2 * t + 2 * i - 22] * g722::kMirror[2 * i];
      odd += pcm[2 * t + 2 * i - 21] * g722::kMirror[2 * i + 1];
    }
    beyond = std::max(beyond, (odd + even) >> 14);
    low.push_back(static_cast<int16_t>(std::clamp((odd + even) >> 14, -16384, 16383)));
    high.push_back(static_cast<int16_t>(std::clamp((odd - even) >> 14, -16384, 16383)));
  }
  CHECK(beyond > 16383);
  for (const auto* kernels : allKernels()) {
    G722Encoder whole(*kernels);
    G722Encoder bands(*kernels);
    Bytes expected(low.size());
    bands.encodeBands(low.data(), high.data(), low.size(), expected.data());
    CHECK(encode(whole, pcm) == expected);
  }
}

TEST_CASE("g722: what goes in comes out, 22 samples later") {
  Pcm pcm(16000);
  for (size_t i = 0; i < pcm.size(); i++) {
    const double t = static_cast<double>(i) / 16000;
    pcm[i] = static_cast<int16_t>(8000 * std::sin(2 * M_PI * 440 * t) + 3000 * std::sin(2 * M_PI * 2600 * t) +
                                  1000 * std::sin(2 * M_PI * 5500 * t));
  }
  G722Encoder encoder;
  G722Decoder decoder;
  const auto out = decode(decoder, encode(encoder, pcm));
  double signal = 0;
  double error = 0;
  for (size_t i = 2000; i < pcm.size(); i++) {
    signal += std::pow(pcm[i - 22], 2);
    error += std::pow(out[i] - pcm[i - 22], 2);
  }
  CHECK(10 * std::log10(signal / error) > 20);
}

TEST_CASE("g722: reset makes as new") {
  const auto pcm = corners(4000, 5);
  G722Encoder encoder;
  const auto first = encode(encoder, pcm);
  encoder.reset();
  CHECK(encode(encoder, pcm) == first);
  G722Decoder decoder;
  const auto heard = decode(decoder, first);
  decoder.reset();
  CHECK(decode(decoder, first) == heard);
}

TEST_CASE("g722: state is small") {
  CHECK(sizeof(G722Encoder) <= 160);
  CHECK(sizeof(G722Decoder) <= 160);
}
