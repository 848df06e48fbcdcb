#include "load/messages.h"

#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <cstring>

namespace sidetone::load {
namespace {

/** Writes text and numbers one behind another; the caller knows that they fit. */
class Writer {
 public:
  explicit Writer(uint8_t* out) : start_(out), at_(out) {}
  Writer& operator<<(std::string_view text) {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
    return *this;
  }
  Writer& operator<<(uint64_t number) {
    char* const out = reinterpret_cast<char*>(at_);
    at_ += std::to_chars(out, out + 20, number).ptr - out;
    return *this;
  }
  uint8_t* at() { return at_; }
  void advance(size_t count) { at_ += count; }
  size_t count() const { return static_cast<size_t>(at_ - start_); }

 private:
  uint8_t* start_;
  uint8_t* at_;
};

/** `{"event":…,"sequence_number":…,"stream_id":…`, up to what is the event's own. */
Writer& begin(Writer& writer, std::string_view event, uint32_t sequence, const Stream& stream) {
  return writer << R"({"event":")" << event << R"(","sequence_number":")" << uint64_t{sequence}
                << R"(","stream_id":")" << stream.id.data() << R"(",)";
}

Writer& callIds(Writer& writer, CallName call) {
  return writer << R"("user_id":"5107e000-0000-4000-8000-000000000000","call_control_id":"v3:load-)"
                << uint64_t{call.run} << "-" << uint64_t{call.index} << R"(")";
}

}  // namespace

void nameStream(Stream& stream, CallName call) {
  std::snprintf(stream.id.data(), stream.id.size(), "%08" PRIx32 "-51de-4000-8000-%012" PRIx32, call.run,
                call.index);
}

size_t writeStart(uint8_t* out, const Stream& stream, uint32_t sequence, CallName call,
                  const LoadOptions& options) {
  Writer writer(out);
  begin(writer, "start", sequence, stream) << R"("start":{)";
  callIds(writer, call) << R"(,"from":"+13125550100","to":"+13125550199","media_format":{"encoding":")"
                        << options.encoding << R"(","sample_rate":)" << uint64_t{options.clockRate}
                        << R"(,"channels":1}}})";
  return writer.count();
}

size_t writeMedia(uint8_t* out, const Stream& stream, uint32_t sequence, Stamp stamp,
                  const LoadOptions& options, const PayloadPool& pool) {
  Writer writer(out);
  begin(writer, "media", sequence, stream)
      << R"("media":{"track":"inbound","chunk":")" << uint64_t{stamp.frame} + 1 << R"(","timestamp":")"
      << uint64_t{stamp.frame} * options.ptimeMs * options.clockRate / 1000 << R"(","payload":")";
  writer.advance(pool.writeText(stamp, writer.at()));
  writer << R"("}})";
  return writer.count();
}

size_t writeMark(uint8_t* out, const Stream& stream, uint32_t sequence, std::string_view name) {
  Writer writer(out);
  begin(writer, "mark", sequence, stream) << R"("mark":{"name":")" << name << R"("}})";
  return writer.count();
}

size_t writeStop(uint8_t* out, const Stream& stream, uint32_t sequence, CallName call) {
  Writer writer(out);
  begin(writer, "stop", sequence, stream) << R"("stop":{)";
  callIds(writer, call) << "}}";
  return writer.count();
}

}  // namespace sidetone::load
