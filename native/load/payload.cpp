#include "load/payload.h"

#include <algorithm>
#include <cstring>

#include "base64/base64.h"

namespace sidetone::load {
namespace {

constexpr int64_t kTicksPerMs = 48;

/** Ticks of one frame by the five configuration bits of the TOC, RFC 6716 table 2. */
int64_t opusFrameTicks(unsigned config) {
  constexpr int64_t kSilkMs[] = {10, 20, 40, 60};
  if (config < 12) return kSilkMs[config % 4] * kTicksPerMs;
  if (config < 16) return (config % 2 == 0 ? 10 : 20) * kTicksPerMs;
  return (5 * kTicksPerMs / 2) << (config % 4);
}

int64_t opusTicks(std::span<const uint8_t> packet) {
  if (packet.empty()) return -1;
  const unsigned code = packet[0] & 3;
  if (code == 3 && packet.size() < 2) return -1;
  const int64_t frames = code == 0 ? 1 : code < 3 ? 2 : packet[1] & 63;
  return frames * opusFrameTicks(packet[0] >> 3);
}

/** Speech bits by frame type, RFC 4867 table 1 and section 4.3.2; -1: not for use. */
constexpr int kAmrWbBits[16] = {132, 177, 253, 285, 317, 365, 397, 461, 477, 40, -1, -1, -1, -1, 0, 0};

/** Frames in a payload whose table entries are `entryBits` wide behind `headerBits` of codec mode request; 0:
 * no. */
int64_t amrWbFrames(std::span<const uint8_t> payload, size_t headerBits, size_t entryBits,
                    bool alignedFrames) {
  const auto bit = [payload](size_t at) { return payload[at / 8] >> (7 - at % 8) & 1; };
  size_t at = headerBits;
  size_t speechBits = 0;
  int64_t frames = 0;
  for (bool more = true; more; at += entryBits) {
    if (at + entryBits > payload.size() * 8) return 0;
    more = bit(at) != 0;
    const int type = bit(at + 1) << 3 | bit(at + 2) << 2 | bit(at + 3) << 1 | bit(at + 4);
    if (kAmrWbBits[type] < 0) return 0;
    const size_t bits = static_cast<size_t>(kAmrWbBits[type]);
    speechBits += alignedFrames ? (bits + 7) / 8 * 8 : bits;
    frames++;
  }
  return (at + speechBits + 7) / 8 == payload.size() ? frames : 0;
}

int64_t amrWbTicks(std::span<const uint8_t> payload) {
  int64_t frames = amrWbFrames(payload, 4, 6, false);
  if (frames == 0) frames = amrWbFrames(payload, 8, 8, true);
  return frames == 0 ? -1 : frames * 20 * kTicksPerMs;
}

}  // namespace

int64_t audioTicks(Codec codec, uint32_t sampleRate, size_t bytes) {
  const int64_t bytesPerSecond = codec == Codec::L16 ? int64_t{sampleRate} * 2 : 8000;
  return static_cast<int64_t>(bytes) * 1000 * kTicksPerMs / bytesPerSecond;
}

int64_t audioTicks(Codec codec, uint32_t sampleRate, std::span<const uint8_t> payload) {
  if (codec == Codec::Opus) return opusTicks(payload);
  if (codec == Codec::AmrWb) return amrWbTicks(payload);
  return audioTicks(codec, sampleRate, payload.size());
}

size_t base64Bytes(std::string_view text) {
  size_t chars = text.size();
  while (chars > 0 && text.size() - chars < 2 && text[chars - 1] == '=') chars--;
  return chars * 3 / 4;
}

void writeStamp(Stamp stamp, uint8_t* out) {
  const uint64_t bits = uint64_t{stamp.stream & (kStampStreams - 1)} << 28 | (stamp.frame & 0x0fffffff);
  for (size_t i = 0; i < kStampBytes; i++) {
    out[i] = static_cast<uint8_t>(0x80 | (bits >> (7 * (kStampBytes - 1 - i)) & 0x7f));
  }
}

bool readStamp(const uint8_t* bytes, Stamp& stamp) {
  uint64_t bits = 0;
  for (size_t i = 0; i < kStampBytes; i++) {
    if (bytes[i] < 0x80) return false;
    bits = bits << 7 | (bytes[i] & 0x7f);
  }
  stamp = {static_cast<uint32_t>(bits >> 28), static_cast<uint32_t>(bits & 0x0fffffff)};
  return true;
}

PayloadPool::PayloadPool(std::vector<std::vector<uint8_t>> frames, bool stamped)
    : frames_(std::move(frames)), stamped_(stamped) {
  texts_.reserve(frames_.size());
  for (const std::vector<uint8_t>& frame : frames_) {
    std::string text(base64EncodedLength(frame.size()), '\0');
    base64Encode(frame.data(), frame.size(), text.data());
    charsMax_ = std::max(charsMax_, text.size());
    texts_.push_back(std::move(text));
  }
}

size_t PayloadPool::writeText(Stamp stamp, uint8_t* out) const {
  const std::string& text = texts_[indexOf(stamp)];
  std::memcpy(out, text.data(), text.size());
  if (stamped_) {
    uint8_t bytes[kStampBytes];
    char chars[kStampChars];
    writeStamp(stamp, bytes);
    base64Encode(bytes, kStampBytes, chars);
    std::memcpy(out, chars, kStampChars);
  }
  return text.size();
}

std::span<const uint8_t> PayloadPool::body(Stamp stamp) const {
  return std::span(frames_[indexOf(stamp)]).subspan(kStampBytes);
}

bool Verifier::checkFromFirst(const PayloadPool& pool, uint32_t stream, std::span<const uint8_t> payload,
                              VerifyCounts& counts) {
  Stamp stamp{};
  const bool hadBegun = begun_;
  if (!begun_ && payload.size() >= kStampBytes && readStamp(payload.data(), stamp) && stamp.stream == stream) {
    begun_ = true;
    position_ = uint64_t{stamp.frame} * pool.frameBytes();
  }
  check(pool, stream, payload, counts);
  return hadBegun;
}

void Verifier::check(const PayloadPool& pool, uint32_t stream, std::span<const uint8_t> payload,
                     VerifyCounts& counts) {
  const size_t frameBytes = pool.frameBytes();
  uint8_t wanted[kStampBytes];
  size_t at = 0;
  while (at < payload.size()) {
    const uint32_t frame = static_cast<uint32_t>(position_ / frameBytes);
    const size_t offset = position_ % frameBytes;
    const uint8_t* got = payload.data() + at;

    // One run of expected bytes: what is left of the stamp, or what is left of the body.
    const uint8_t* expected;
    size_t run;
    if (offset < kStampBytes) {
      writeStamp({stream, frame}, wanted);
      expected = wanted + offset;
      run = kStampBytes - offset;
    } else {
      const std::span<const uint8_t> body = pool.body({stream, frame});
      expected = body.data() + (offset - kStampBytes);
      run = frameBytes - offset;
    }
    run = std::min(run, payload.size() - at);
    if (std::memcmp(got, expected, run) == 0) {
      counts.bytesRight += run;
      position_ += run;
      at += run;
      continue;
    }

    // Something is wrong. The next stamp of this stream in the payload says where in the stream we are; one
    // from far away is chance.
    constexpr uint32_t kFramesAwayMax = 1u << 16;
    Stamp stamp{};
    size_t next = at;
    const auto isElsewhere = [&] {
      return readStamp(payload.data() + next, stamp) && stamp.stream == stream && stamp.frame != frame &&
             (stamp.frame > frame ? stamp.frame - frame : frame - stamp.frame) <= kFramesAwayMax;
    };
    while (next + kStampBytes <= payload.size() && !isElsewhere()) next++;
    if (next + kStampBytes > payload.size()) {
      // No stamp to go by: damaged in place, byte by byte.
      for (size_t i = 0; i < run; i++) (got[i] == expected[i] ? counts.bytesRight : counts.bytesWrong)++;
      position_ += run;
      at += run;
    } else if (next > at) {
      // Up to that stamp the bytes stand in no place of their own, unless it is the very next frame's.
      const size_t inPlace = std::min(run, next - at);
      for (size_t i = 0; i < inPlace; i++) {
        (got[i] == expected[i] ? counts.bytesRight : counts.bytesWrong)++;
      }
      position_ += inPlace;
      at += inPlace;
    } else if (stamp.frame > frame) {
      counts.framesMissing += stamp.frame - frame;
      position_ = uint64_t{stamp.frame} * frameBytes;
    } else {
      counts.framesRepeated++;
      at += std::min(frameBytes, payload.size() - at);
    }
  }
}

}  // namespace sidetone::load
