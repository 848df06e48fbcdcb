#include "wire/envelope.h"

#include <bit>
#include <cstring>

namespace sidetone {
namespace {

constexpr uint64_t kNumberMax = (uint64_t{1} << 53) - 1;
constexpr size_t kNumberDigitsMax = 16;
constexpr size_t kStreamIdMax = 128;

// One 64-bit word of eight equal bytes.
constexpr uint64_t eight(uint8_t byte) { return uint64_t{0x0101010101010101} * byte; }

// 0x80 in each byte of `word` that is 0. A byte above such a one may be marked too, but never one below: the
// first mark is always true.
constexpr uint64_t zeroBytes(uint64_t word) { return (word - eight(1)) & ~word & eight(0x80); }

// 0x80 in each byte that may not stand in a stream id, of which again the first is always true.
constexpr uint64_t foreignBytes(uint64_t word) {
  return (word & eight(0x80)) | ((word - eight(' ')) & ~word & eight(0x80)) | zeroBytes(word ^ eight('"')) |
         zeroBytes(word ^ eight('\\')) | zeroBytes(word ^ eight(0x7f));
}

constexpr bool isForeign(uint8_t byte) { return byte < ' ' || byte >= 0x7f || byte == '"' || byte == '\\'; }

// Reads tokens from the front of the text. A take…() that returns false may have moved: the caller gives up.
class Scanner {
 public:
  Scanner(const char* text, size_t length) : at_(text), end_(text + length) {}

  bool atEnd() const { return at_ == end_; }

  void skipSpace() {
    while (at_ != end_ && static_cast<uint8_t>(*at_) <= ' ') {
      if (*at_ != ' ' && *at_ != '\n' && *at_ != '\r' && *at_ != '\t') return;
      at_++;
    }
  }

  bool take(char c) {
    if (at_ == end_ || *at_ != c) return false;
    at_++;
    return true;
  }

  // `literal` or nothing: does not move where it returns false.
  template <size_t N>
  bool takeLiteral(const char (&literal)[N]) {
    constexpr size_t length = N - 1;
    if (left() < length || std::memcmp(at_, literal, length) != 0) return false;
    at_ += length;
    return true;
  }

  // One of the structural characters and the white space around it.
  bool takeToken(char c) {
    skipSpace();
    if (!take(c)) return false;
    skipSpace();
    return true;
  }

  // Digits in a string, or bare: then as JSON has them, and what follows must not make them another number.
  bool takeNumber(uint64_t& value) {
    const bool quoted = take('"');
    const char* const first = at_;
    const char* const limit = left() < kNumberDigitsMax ? end_ : at_ + kNumberDigitsMax;
    value = 0;
    for (; at_ != limit; at_++) {
      const auto digit = static_cast<uint8_t>(*at_ - '0');
      if (digit > 9) break;
      value = value * 10 + digit;
    }
    if (at_ == first || value > kNumberMax) return false;
    if (quoted) return take('"');
    return *first != '0' || at_ - first == 1;
  }

  bool takeStreamId(std::string_view& id) {
    if (!take('"')) return false;
    const char* const first = at_;
    if (!skipToForeign()) return false;
    const auto length = static_cast<size_t>(at_ - first);
    id = {first, length};
    return length >= 1 && length <= kStreamIdMax && take('"');
  }

  bool takeTrack(Track& track) {
    if (takeLiteral("\"inbound\"")) {
      track = Track::Inbound;
      return true;
    }
    track = Track::Outbound;
    return takeLiteral("\"outbound\"");
  }

  bool takePayload(std::string_view& payload) {
    if (!take('"')) return false;
    const void* const quote = std::memchr(at_, '"', left());
    if (quote == nullptr) return false;
    const char* const last = static_cast<const char*>(quote);
    payload = {at_, static_cast<size_t>(last - at_)};
    at_ = last + 1;
    return true;
  }

 private:
  size_t left() const { return static_cast<size_t>(end_ - at_); }

  // To the first character that may not stand in a stream id; false if there is none.
  bool skipToForeign() {
    if constexpr (std::endian::native == std::endian::little) {
      for (; left() >= 8; at_ += 8) {
        uint64_t word;
        std::memcpy(&word, at_, 8);
        const uint64_t foreign = foreignBytes(word);
        if (foreign == 0) continue;
        at_ += std::countr_zero(foreign) / 8;
        return true;
      }
    }
    while (at_ != end_ && !isForeign(static_cast<uint8_t>(*at_))) at_++;
    return at_ != end_;
  }

  const char* at_;
  const char* end_;
};

constexpr int kMembers = 4;
constexpr unsigned kEveryMember = (1u << kMembers) - 1;

// Both objects have four members and every one is wanted: four that are known and differ are all of them.

bool scanMediaObject(Scanner& in, MediaMessage& message) {
  unsigned seen = 0;
  if (!in.takeToken('{')) return false;
  for (int member = 0; member < kMembers; member++) {
    if (member > 0 && !in.takeToken(',')) return false;
    if (in.takeLiteral("\"track\"")) {
      if (!in.takeToken(':') || !in.takeTrack(message.track)) return false;
      seen |= 1;
    } else if (in.takeLiteral("\"chunk\"")) {
      if (!in.takeToken(':') || !in.takeNumber(message.chunk)) return false;
      seen |= 2;
    } else if (in.takeLiteral("\"timestamp\"")) {
      if (!in.takeToken(':') || !in.takeNumber(message.timestamp)) return false;
      seen |= 4;
    } else if (in.takeLiteral("\"payload\"")) {
      if (!in.takeToken(':') || !in.takePayload(message.payload)) return false;
      seen |= 8;
    } else {
      return false;
    }
  }
  return seen == kEveryMember && in.takeToken('}');
}

}  // namespace

bool scanMedia(const char* text, size_t length, MediaMessage& message) {
  Scanner in(text, length);
  unsigned seen = 0;
  if (!in.takeToken('{')) return false;
  for (int member = 0; member < kMembers; member++) {
    if (member > 0 && !in.takeToken(',')) return false;
    if (in.takeLiteral("\"event\"")) {
      if (!in.takeToken(':') || !in.takeLiteral("\"media\"")) return false;
      seen |= 1;
    } else if (in.takeLiteral("\"sequence_number\"")) {
      if (!in.takeToken(':') || !in.takeNumber(message.sequence)) return false;
      seen |= 2;
    } else if (in.takeLiteral("\"stream_id\"")) {
      if (!in.takeToken(':') || !in.takeStreamId(message.streamId)) return false;
      seen |= 4;
    } else if (in.takeLiteral("\"media\"")) {
      if (!in.takeToken(':') || !scanMediaObject(in, message)) return false;
      seen |= 8;
    } else {
      return false;
    }
  }
  return seen == kEveryMember && in.takeToken('}') && in.atEnd();
}

size_t writeMedia(const uint8_t* payload, size_t bytes, char* out) {
  std::memcpy(out, kMediaPrefix.data(), kMediaPrefix.size());
  const size_t written = kMediaPrefix.size() + base64Encode(payload, bytes, out + kMediaPrefix.size());
  std::memcpy(out + written, kMediaSuffix.data(), kMediaSuffix.size());
  return written + kMediaSuffix.size();
}

}  // namespace sidetone
