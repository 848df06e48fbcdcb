#include "load/scan.h"

#include <cstring>

namespace sidetone::load {
namespace {

constexpr int kDepthMax = 64;

/** Walks JSON text; every call returns false at text that is not what was asked for. */
class Cursor {
 public:
  explicit Cursor(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  bool take(char wanted) {
    skipSpace();
    if (at_ == end_ || *at_ != wanted) return false;
    at_++;
    return true;
  }

  /** A string; `content` is what stands between the quotes. */
  bool string(std::string_view& content) {
    if (!take('"')) return false;
    const char* const start = at_;
    while (at_ < end_) {
      const void* found = std::memchr(at_, '"', static_cast<size_t>(end_ - at_));
      if (found == nullptr) return false;
      const char* quote = static_cast<const char*>(found);
      const char* escape = quote;
      while (escape > start && escape[-1] == '\\') escape--;
      at_ = quote + 1;
      // An even number of backslashes escape one another, not the quote.
      if ((quote - escape) % 2 == 0) {
        content = std::string_view(start, static_cast<size_t>(quote - start));
        return true;
      }
    }
    return false;
  }

  /** Any value, thrown away. */
  bool skip() {
    int depth = 0;
    std::string_view ignored;
    do {
      skipSpace();
      if (at_ == end_) return false;
      switch (*at_) {
        case '{':
        case '[':
          if (++depth > kDepthMax) return false;
          at_++;
          break;
        case '}':
        case ']':
          if (--depth < 0) return false;
          at_++;
          break;
        case '"':
          if (!string(ignored)) return false;
          break;
        case ',':
        case ':':
          if (depth == 0) return false;
          at_++;
          break;
        default: {
          const char* const start = at_;
          while (at_ < end_ && std::strchr(" \t\r\n,:{}[]\"", *at_) == nullptr) at_++;
          if (at_ == start) return false;
        }
      }
    } while (depth > 0);
    return true;
  }

  /** An object; `member(key)` reads or skips each value. */
  template <typename Member>
  bool object(Member member) {
    if (!take('{')) return false;
    if (take('}')) return true;
    do {
      std::string_view key;
      if (!string(key) || !take(':') || !member(key)) return false;
    } while (take(','));
    return take('}');
  }

  bool nextIs(char wanted) {
    skipSpace();
    return at_ < end_ && *at_ == wanted;
  }

 private:
  void skipSpace() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) at_++;
  }

  const char* at_;
  const char* end_;
};

}  // namespace

AppMessage scanMessage(std::string_view json) {
  AppMessage message;
  std::string_view event;
  Cursor cursor(json);

  // The string member `wanted` of the object that comes next, into `found`.
  const auto stringIn = [&cursor](std::string_view wanted, std::string_view& found) {
    if (!cursor.nextIs('{')) return cursor.skip();
    return cursor.object([&](std::string_view key) {
      return key == wanted && cursor.nextIs('"') ? cursor.string(found) : cursor.skip();
    });
  };

  const bool whole = cursor.object([&](std::string_view key) {
    if (key == "event" && cursor.nextIs('"')) return cursor.string(event);
    if (key == "media") return stringIn("payload", message.payload);
    if (key == "mark") return stringIn("name", message.name);
    return cursor.skip();
  });

  if (!whole || event.data() == nullptr) return message;
  message.event = event == "media"   ? Event::Media
                  : event == "mark"  ? Event::Mark
                  : event == "clear" ? Event::Clear
                                     : Event::Other;
  return message;
}

}  // namespace sidetone::load
