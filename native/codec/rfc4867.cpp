#include "codec/rfc4867.h"

#include <algorithm>
#include <cstring>

namespace sidetone {
namespace {

/** Bits, most significant first. The caller checks `leftBits` before it takes any. */
class BitReader {
 public:
  BitReader(const uint8_t* data, size_t bytes) : data_(data), endBit_(bytes * 8) {}

  size_t leftBits() const { return endBit_ - bit_; }

  uint8_t take(size_t count) {
    unsigned value = 0;
    for (size_t i = 0; i < count; i++, bit_++)
      value = (value << 1) | ((static_cast<unsigned>(data_[bit_ / 8]) >> (7 - bit_ % 8)) & 1u);
    return static_cast<uint8_t>(value);
  }

  /** `count` bits to whole bytes, the last one padded with zeros. */
  void copy(size_t count, uint8_t* out) {
    const size_t shift = bit_ % 8;
    const uint8_t* in = data_ + bit_ / 8;
    const size_t bytes = (count + 7) / 8;
    const size_t inBytes = (shift + count + 7) / 8;
    for (size_t i = 0; i < bytes; i++) {
      const unsigned high = in[i];
      const unsigned low = i + 1 < inBytes ? in[i + 1] : 0u;
      out[i] = static_cast<uint8_t>(((high << 8 | low) >> (8 - shift)) & 0xffu);
    }
    if (count % 8 != 0) out[bytes - 1] = static_cast<uint8_t>(out[bytes - 1] & (0xff00u >> (count % 8)));
    bit_ += count;
  }

  void align() { bit_ = (bit_ + 7) / 8 * 8; }

  /** Whether the rest of the byte that was begun is zero. */
  bool paddingIsZero() const {
    if (bit_ % 8 == 0) return true;
    return (data_[bit_ / 8] & (0xffu >> (bit_ % 8))) == 0;
  }

 private:
  const uint8_t* data_;
  size_t endBit_;
  size_t bit_ = 0;
};

/** Bits, most significant first, into zeroed memory. */
class BitWriter {
 public:
  explicit BitWriter(uint8_t* data) : data_(data) {}

  void put(unsigned value, size_t count) {
    for (size_t i = count; i-- > 0; bit_++) {
      if ((value >> i) & 1u) data_[bit_ / 8] = static_cast<uint8_t>(data_[bit_ / 8] | (0x80u >> (bit_ % 8)));
    }
  }

  void copy(const uint8_t* in, size_t count) {
    for (size_t i = 0; i < count / 8; i++) put(in[i], 8);
    if (count % 8 != 0) put(static_cast<unsigned>(in[count / 8]) >> (8 - count % 8), count % 8);
  }

  void align() { bit_ = (bit_ + 7) / 8 * 8; }
  size_t bytes() const { return (bit_ + 7) / 8; }

 private:
  uint8_t* data_;
  size_t bit_ = 0;
};

bool isReserved(uint8_t frameType) { return frameType > kAmrWbSid && frameType < kAmrWbSpeechLost; }

Rfc4867Payload failed(Rfc4867Error error) { return {error, 0, kAmrWbNoRequest, false}; }

}  // namespace

Rfc4867Payload unpackRfc4867(const uint8_t* payload, size_t payloadBytes, Rfc4867Form form,
                             AmrWbFrame* frames) {
  const bool aligned = form == Rfc4867Form::OctetAligned;
  const size_t entryBits = aligned ? 8 : 6;
  BitReader bits(payload, payloadBytes);
  if (bits.leftBits() < (aligned ? 8 : 4) + entryBits) return failed(Rfc4867Error::Empty);

  bool exact = true;
  const uint8_t request = bits.take(4);
  if (aligned) exact = bits.take(4) == 0;

  size_t count = 0;
  for (bool more = true; more; count++) {
    if (count == kAmrWbFramesMax) return failed(Rfc4867Error::TooManyFrames);
    if (bits.leftBits() < entryBits) return failed(Rfc4867Error::Truncated);
    more = bits.take(1) != 0;
    const uint8_t frameType = bits.take(4);
    const bool good = bits.take(1) != 0;
    if (aligned) exact = bits.take(2) == 0 && exact;
    if (isReserved(frameType)) return failed(Rfc4867Error::ReservedMode);
    frames[count].bytes[0] = amrWbStorageHeader(frameType, good);
  }

  for (size_t i = 0; i < count; i++) {
    AmrWbFrame& frame = frames[i];
    const size_t frameBits = kAmrWbFrameBits[frame.frameType()];
    std::memset(frame.bytes + 1, 0, sizeof frame.bytes - 1);
    if (frameBits == 0) continue;
    if (bits.leftBits() < frameBits) {
      if (i == 0) return failed(Rfc4867Error::Truncated);
      for (size_t lost = i; lost < count; lost++) {
        std::memset(frames[lost].bytes, 0, sizeof frames[lost].bytes);
        frames[lost].bytes[0] = amrWbStorageHeader(kAmrWbSpeechLost, true);
      }
      return {Rfc4867Error::None, static_cast<uint8_t>(count), request > 8 ? kAmrWbNoRequest : request,
              false};
    }
    bits.copy(frameBits, frame.bytes + 1);
    if (aligned) {
      exact = bits.paddingIsZero() && exact;
      bits.align();
    }
  }
  exact = exact && bits.paddingIsZero() && bits.leftBits() < 8;
  return {Rfc4867Error::None, static_cast<uint8_t>(count), request > 8 ? kAmrWbNoRequest : request, exact};
}

Rfc4867Payload unpackRfc4867Auto(const uint8_t* payload, size_t payloadBytes, Rfc4867Form* form,
                                 AmrWbFrame* frames) {
  const Rfc4867Payload first = unpackRfc4867(payload, payloadBytes, *form, frames);
  if (first.error == Rfc4867Error::None && first.exact) return first;
  const Rfc4867Form other =
      *form == Rfc4867Form::BandwidthEfficient ? Rfc4867Form::OctetAligned : Rfc4867Form::BandwidthEfficient;
  const Rfc4867Payload second = unpackRfc4867(payload, payloadBytes, other, frames);
  if (second.error == Rfc4867Error::None && second.exact) {
    *form = other;
    return second;
  }
  return unpackRfc4867(payload, payloadBytes, *form, frames);
}

size_t packRfc4867(const AmrWbFrame* frames, size_t frameCount, uint8_t modeRequest, Rfc4867Form form,
                   uint8_t* payload) {
  if (frameCount == 0 || frameCount > kAmrWbFramesMax || modeRequest > 15) return 0;
  const bool aligned = form == Rfc4867Form::OctetAligned;
  size_t totalBytes = 1 + frameCount;
  for (size_t i = 0; i < frameCount; i++) {
    if (isReserved(frames[i].frameType())) return 0;
    totalBytes += (kAmrWbFrameBits[frames[i].frameType()] + 7u) / 8u;
  }
  std::memset(payload, 0, totalBytes);  // octet-aligned is the longer form

  BitWriter bits(payload);
  bits.put(modeRequest, 4);
  if (aligned) bits.put(0, 4);
  for (size_t i = 0; i < frameCount; i++) {
    bits.put(i + 1 < frameCount ? 1 : 0, 1);
    bits.put(frames[i].frameType(), 4);
    bits.put(frames[i].good() ? 1 : 0, 1);
    if (aligned) bits.put(0, 2);
  }
  for (size_t i = 0; i < frameCount; i++) {
    bits.copy(frames[i].bytes + 1, kAmrWbFrameBits[frames[i].frameType()]);
    if (aligned) bits.align();
  }
  return bits.bytes();
}

}  // namespace sidetone
