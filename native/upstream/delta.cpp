#include "upstream/delta.h"

#include <cstring>

namespace sidetone {
namespace {

class Reader {
 public:
  Reader(const char* text, size_t length) : at_(text), end_(text + length) {}

  bool atEnd() const { return at_ == end_; }
  bool at(char c) const { return at_ != end_ && *at_ == c; }

  void skipSpace() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) at_++;
  }

  bool take(char c) {
    skipSpace();
    if (!at(c)) return false;
    at_++;
    return true;
  }

  // A string of printable ASCII without escapes.
  bool takePlain(std::string_view& value) {
    if (!take('"')) return false;
    const char* const from = at_;
    while (at_ != end_ && *at_ >= ' ' && *at_ < 0x7f && *at_ != '"' && *at_ != '\\') at_++;
    value = {from, static_cast<size_t>(at_ - from)};
    return closeString();
  }

  // A string up to the next quote, whatever it holds: the caller judges.
  bool takeAny(std::string_view& value) {
    if (!take('"')) return false;
    const void* const quote = std::memchr(at_, '"', static_cast<size_t>(end_ - at_));
    if (quote == nullptr) return false;
    const char* const to = static_cast<const char*>(quote);
    value = {at_, static_cast<size_t>(to - at_)};
    at_ = to + 1;
    return true;
  }

  // A plain string, digits or null, which nobody wants to know.
  bool skipValue() {
    skipSpace();
    std::string_view ignored;
    if (at('"')) return takePlain(ignored);
    if (at('n')) {
      if (end_ - at_ < 4 || std::memcmp(at_, "null", 4) != 0) return false;
      at_ += 4;
      return true;
    }
    const char* const from = at_;
    while (at_ != end_ && *at_ >= '0' && *at_ <= '9') at_++;
    // JSON knows no number with a zero in front.
    return at_ != from && (*from != '0' || at_ - from == 1);
  }

 private:
  bool closeString() {
    if (!at('"')) return false;
    at_++;
    return true;
  }

  const char* at_;
  const char* end_;
};

Delta deltaOf(std::string_view type) {
  if (type == "response.output_audio.delta" || type == "response.audio.delta") return Delta::Audio;
  if (type == "response.output_audio_transcript.delta" || type == "response.audio_transcript.delta")
    return Delta::Words;
  return Delta::None;
}

bool isPlainText(std::string_view text) {
  for (const char c : text)
    if (c == '\\' || static_cast<uint8_t>(c) < ' ') return false;
  return true;
}

}  // namespace

Delta scanDelta(const char* text, size_t length, DeltaMessage& message) {
  Reader reader(text, length);
  std::string_view type, key;
  message = {};
  bool hasType = false, hasItem = false, hasResponse = false, hasDelta = false;
  if (!reader.take('{')) return Delta::None;
  do {
    if (!reader.takePlain(key) || !reader.take(':')) return Delta::None;
    bool* seen = nullptr;
    bool taken = false;
    if (key == "type") {
      seen = &hasType;
      taken = reader.takePlain(type);
      // Most other messages are told apart here.
      if (taken && deltaOf(type) == Delta::None) return Delta::None;
    } else if (key == "item_id") {
      seen = &hasItem;
      taken = reader.takePlain(message.itemId);
    } else if (key == "response_id") {
      seen = &hasResponse;
      taken = reader.takePlain(message.responseId);
    } else if (key == "delta") {
      seen = &hasDelta;
      taken = reader.takeAny(message.delta);
    } else {
      taken = reader.skipValue();
    }
    if (!taken || (seen != nullptr && *seen)) return Delta::None;
    if (seen != nullptr) *seen = true;
  } while (reader.take(','));
  if (!reader.take('}')) return Delta::None;
  reader.skipSpace();
  if (!reader.atEnd() || !hasType || !hasItem || !hasDelta) return Delta::None;
  const Delta delta = deltaOf(type);
  return delta == Delta::Words && !isPlainText(message.delta) ? Delta::None : delta;
}

}  // namespace sidetone
