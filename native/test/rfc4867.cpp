#include "codec/rfc4867.h"

#include <doctest/doctest.h>

#include <cstring>
#include <iterator>
#include <memory>
#include <random>
#include <vector>

using namespace sidetone;

namespace {

/** A frame of a type, with random speech bits and zeros for padding, as storage form wants. */
AmrWbFrame randomFrame(std::mt19937& random, uint8_t frameType, bool good = true) {
  AmrWbFrame frame{};
  frame.bytes[0] = amrWbStorageHeader(frameType, good);
  const size_t bits = kAmrWbFrameBits[frameType];
  for (size_t bit = 0; bit < bits; bit++) {
    if (random() & 1)
      frame.bytes[1 + bit / 8] = static_cast<uint8_t>(frame.bytes[1 + bit / 8] | (0x80 >> (bit % 8)));
  }
  return frame;
}

bool same(const AmrWbFrame& a, const AmrWbFrame& b) {
  return std::memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

/** The bytes on a heap block of just their length, so that a sanitizer sees any read past the end. */
std::unique_ptr<uint8_t[]> exactly(const uint8_t* bytes, size_t count) {
  auto copy = std::make_unique<uint8_t[]>(count);
  if (count > 0) std::memcpy(copy.get(), bytes, count);
  return copy;
}

const uint8_t kTypes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14, 15};
const Rfc4867Form kForms[] = {Rfc4867Form::BandwidthEfficient, Rfc4867Form::OctetAligned};

}  // namespace

TEST_CASE("rfc4867: the RFC's own layout, written by hand") {
  // Section 4.3.5.1: CMR=6, F=0, FT=0 (6.60), Q=1, 132 speech bits d(0)...d(131), two padding bits.
  AmrWbFrame frame{};
  frame.bytes[0] = amrWbStorageHeader(0, true);
  frame.bytes[1] = 0b10110001;
  frame.bytes[17] = 0b10100000;  // d(128) to d(131)
  uint8_t payload[kAmrWbPayloadBytesMax];
  REQUIRE(packRfc4867(&frame, 1, 6, Rfc4867Form::BandwidthEfficient, payload) == 18);
  CHECK(payload[0] == 0b01100000);  // CMR 0110, F 0, FT 000
  CHECK(payload[1] == 0b01101100);  // FT 0, Q 1, d(0)... 101100
  CHECK(payload[2] == 0b01000000);
  CHECK(payload[17] == 0b00101000);  // d(126), d(127) = 00, d(128..131) = 1010, padding 00
  REQUIRE(packRfc4867(&frame, 1, 6, Rfc4867Form::OctetAligned, payload) == 19);
  CHECK(payload[0] == 0x60);
  CHECK(payload[1] == 0x04);
  CHECK(payload[2] == 0b10110001);
  CHECK(payload[18] == 0b10100000);
}

TEST_CASE("rfc4867: what is packed comes back, in both forms, found by itself") {
  std::mt19937 random(4867);
  uint8_t payload[kAmrWbPayloadBytesMax];
  AmrWbFrame back[kAmrWbFramesMax];
  for (int round = 0; round < 2000; round++) {
    const size_t count = 1 + random() % (round % 10 == 0 ? kAmrWbFramesMax : 4);
    std::vector<AmrWbFrame> frames;
    for (size_t i = 0; i < count; i++) {
      frames.push_back(randomFrame(random, kTypes[random() % std::size(kTypes)], random() % 8 != 0));
    }
    const auto request = static_cast<uint8_t>(random() % 10 == 9 ? 15 : random() % 9);
    for (const Rfc4867Form form : kForms) {
      const size_t bytes = packRfc4867(frames.data(), count, request, form, payload);
      REQUIRE(bytes > 0);
      const auto copy = exactly(payload, bytes);
      const Rfc4867Payload unpacked = unpackRfc4867(copy.get(), bytes, form, back);
      REQUIRE(unpacked.error == Rfc4867Error::None);
      CHECK(unpacked.exact);
      CHECK(unpacked.modeRequest == request);
      REQUIRE(unpacked.frameCount == count);
      for (size_t i = 0; i < count; i++) CHECK(same(back[i], frames[i]));

      Rfc4867Form found = form;
      CHECK(unpackRfc4867Auto(copy.get(), bytes, &found, back).exact);
      CHECK(found == form);
    }
  }
}

TEST_CASE("rfc4867: one frame a payload is told apart whatever form was taken before") {
  std::mt19937 random(1);
  uint8_t payload[kAmrWbPayloadBytesMax];
  AmrWbFrame back[kAmrWbFramesMax];
  for (const uint8_t type : kTypes) {
    for (const Rfc4867Form form : kForms) {
      for (const Rfc4867Form before : kForms) {
        const AmrWbFrame frame = randomFrame(random, type);
        const size_t bytes = packRfc4867(&frame, 1, kAmrWbNoRequest, form, payload);
        Rfc4867Form found = before;
        const Rfc4867Payload unpacked = unpackRfc4867Auto(payload, bytes, &found, back);
        CAPTURE(int{type});
        CHECK(found == form);
        REQUIRE(unpacked.frameCount == 1);
        CHECK(same(back[0], frame));
      }
    }
  }
}

TEST_CASE("rfc4867: reserved modes, empty, endless and cut payloads") {
  AmrWbFrame back[kAmrWbFramesMax];
  uint8_t payload[kAmrWbPayloadBytesMax] = {};
  for (uint8_t mode = 10; mode <= 13; mode++) {
    payload[0] = static_cast<uint8_t>(0xf0 | (mode >> 1));
    payload[1] = static_cast<uint8_t>((mode & 1) << 7 | 0x40);
    CHECK(unpackRfc4867(payload, 60, kForms[0], back).error == Rfc4867Error::ReservedMode);
    payload[0] = 0xf0;
    payload[1] = amrWbStorageHeader(mode, true);
    CHECK(unpackRfc4867(payload, 60, kForms[1], back).error == Rfc4867Error::ReservedMode);
    AmrWbFrame frame{};
    frame.bytes[0] = amrWbStorageHeader(mode, true);
    CHECK(packRfc4867(&frame, 1, 15, kForms[0], payload) == 0);
  }
  for (const Rfc4867Form form : kForms) {
    CHECK(unpackRfc4867(payload, 0, form, back).error == Rfc4867Error::Empty);
    CHECK(unpackRfc4867(payload, 1, form, back).error == Rfc4867Error::Empty);
  }
  // Section 4.4.2: F=1, FT=15 in every entry never ends.
  std::memset(payload, 0xfc, sizeof payload);
  CHECK(unpackRfc4867(payload, sizeof payload, kForms[1], back).error == Rfc4867Error::TooManyFrames);
  CHECK(unpackRfc4867(payload, 5, kForms[1], back).error == Rfc4867Error::Truncated);
}

TEST_CASE("rfc4867: a cut payload gives the frames that came whole and the others as lost") {
  std::mt19937 random(2);
  AmrWbFrame back[kAmrWbFramesMax];
  uint8_t payload[kAmrWbPayloadBytesMax];
  for (const Rfc4867Form form : kForms) {
    const AmrWbFrame frames[3] = {randomFrame(random, 2), randomFrame(random, 8), randomFrame(random, 0)};
    const size_t bytes = packRfc4867(frames, 3, 15, form, payload);
    for (size_t cut = 0; cut < bytes; cut++) {
      const auto copy = exactly(payload, cut);
      const Rfc4867Payload unpacked = unpackRfc4867(copy.get(), cut, form, back);
      if (unpacked.error != Rfc4867Error::None) {
        CHECK(cut < 36);  // 263 + 12 bits, or 36 bytes: the first frame's end
        continue;
      }
      REQUIRE(unpacked.frameCount == 3);
      CHECK_FALSE(unpacked.exact);
      CHECK(same(back[0], frames[0]));
      CHECK((same(back[1], frames[1]) || back[1].frameType() == kAmrWbSpeechLost));
      CHECK(back[2].frameType() == kAmrWbSpeechLost);
    }
  }
}

TEST_CASE("rfc4867: random bytes never read out of bounds and never give a reserved type") {
  std::mt19937 random(3);
  AmrWbFrame back[kAmrWbFramesMax];
  uint8_t bytes[200];
  for (int round = 0; round < 20000; round++) {
    const size_t count = random() % (round % 2 ? 70 : sizeof bytes);
    for (size_t i = 0; i < count; i++) bytes[i] = static_cast<uint8_t>(random());
    const auto copy = exactly(bytes, count);
    Rfc4867Form form = kForms[random() % 2];
    const Rfc4867Payload unpacked = unpackRfc4867Auto(copy.get(), count, &form, back);
    REQUIRE(unpacked.frameCount <= kAmrWbFramesMax);
    REQUIRE((unpacked.error == Rfc4867Error::None) == (unpacked.frameCount > 0));
    for (size_t i = 0; i < unpacked.frameCount; i++) {
      const uint8_t type = back[i].frameType();
      REQUIRE((type <= kAmrWbSid || type >= kAmrWbSpeechLost));
    }
  }
}
