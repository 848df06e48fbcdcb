#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sidetone::load {

enum class Codec : uint8_t { Pcmu, Pcma, G722, Opus, AmrWb, L16 };

/** True where `ticks` follow from the number of bytes alone. */
constexpr bool isFixedRate(Codec codec) { return codec != Codec::Opus && codec != Codec::AmrWb; }

/**
 * Audio in `payload`, in ticks of 1/48000 s. Fixed-rate codecs: by its bytes. OPUS: by the TOC of its one
 * packet (RFC 6716 section 3.1). AMR-WB: by the table of contents, bandwidth-efficient or octet-aligned,
 * whichever explains the length (RFC 4867 section 4.3). Returns -1 for a payload that no such table explains.
 * `sampleRate` counts for L16 only.
 */
int64_t audioTicks(Codec codec, uint32_t sampleRate, std::span<const uint8_t> payload);

/** The same for a fixed-rate codec, from the number of bytes. */
int64_t audioTicks(Codec codec, uint32_t sampleRate, size_t bytes);

/** Bytes that base64 text of this length and padding decodes to; its alphabet is not looked at. */
size_t base64Bytes(std::string_view text);

/**
 * A stamp in front of each frame makes every frame of a run unique. It has 14 bits of the stream's number and
 * 28 of the frame's, seven to a byte with the top bit set. So no byte is 0x7F, which µ-law decoders turn into
 * the 0xFF of the same value.
 */
constexpr size_t kStampBytes = 6;
constexpr size_t kStampChars = 8;
constexpr uint32_t kStampStreams = 1u << 14;
struct Stamp {
  uint32_t stream;
  uint32_t frame;
};
void writeStamp(Stamp stamp, uint8_t* out);
/** False unless all kStampBytes bytes have their top bit set. */
bool readStamp(const uint8_t* bytes, Stamp& stamp);

/** The payloads to send, as bytes and as base64 made once, so that sending is copying. */
class PayloadPool {
 public:
  /** `frames`: at least one. `stamped`: all are of one size, at least kStampBytes, and each sent frame
   * carries its stamp. */
  PayloadPool(std::vector<std::vector<uint8_t>> frames, bool stamped);

  bool stamped() const { return stamped_; }
  size_t charsMax() const { return charsMax_; }
  /** Bytes of every frame when stamped. */
  size_t frameBytes() const { return frames_[0].size(); }

  /** Writes the base64 of the stream's frame to `out`, which has room for charsMax(). Returns the characters.
   */
  size_t writeText(Stamp stamp, uint8_t* out) const;
  /** The bytes of the stream's frame, behind its stamp. */
  std::span<const uint8_t> body(Stamp stamp) const;

 private:
  // Neighbouring streams start far apart in the pool, so that no two frames sent at one time are alike.
  size_t indexOf(Stamp stamp) const { return (size_t{stamp.stream} * 31 + stamp.frame) % frames_.size(); }

  std::vector<std::vector<uint8_t>> frames_;
  std::vector<std::string> texts_;
  size_t charsMax_ = 0;
  bool stamped_;
};

/** What became of the bytes that were sent to be echoed. */
struct VerifyCounts {
  uint64_t bytesRight = 0;
  uint64_t bytesWrong = 0;
  /** Frames that were passed over: what came next belongs behind them. */
  uint64_t framesMissing = 0;
  /** Frames that came again, or after a later one. */
  uint64_t framesRepeated = 0;
};

/** Checks that one stream's payloads, however they are cut, are the bytes that were sent to it, in order and
 * complete. */
class Verifier {
 public:
  void check(const PayloadPool& pool, uint32_t stream, std::span<const uint8_t> payload,
             VerifyCounts& counts);
  /** The same of a stream that is heard from some frame on: what was sent before is not missing. False: it is
   * the first that is heard. */
  bool checkFromFirst(const PayloadPool& pool, uint32_t stream, std::span<const uint8_t> payload,
                      VerifyCounts& counts);
  /** Bytes accounted for so far: right, wrong or missing. */
  uint64_t position() const { return position_; }

 private:
  uint64_t position_ = 0;
  bool begun_ = false;
};

}  // namespace sidetone::load
