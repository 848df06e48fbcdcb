// What came on a simulated call's socket: the answer to the upgrade, then WebSocket frames and the messages
// in them.
#include "load/connections.h"

#if defined(__linux__)

#include <cstring>

namespace sidetone::load {
namespace {

/** Incomplete messages of all streams together. */
constexpr uint64_t kHeldBytesMax = 256u << 20;

bool containsIgnoringCase(std::string_view text, std::string_view wanted) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  for (size_t at = 0; at + wanted.size() <= text.size(); at++) {
    size_t same = 0;
    while (same < wanted.size() && lower(text[at + same]) == lower(wanted[same])) same++;
    if (same == wanted.size()) return true;
  }
  return false;
}

}  // namespace

void Connections::onUpgradeBytes(Stream& stream, uint32_t index, std::span<const uint8_t> bytes,
                                 int64_t nowUs) {
  keepPartial(stream, bytes);
  const std::string_view text(reinterpret_cast<const char*>(stream.partial.data()), stream.partial.size());
  const size_t end = text.find("\r\n\r\n");
  if (end == std::string_view::npos) {
    if (text.size() > kUpgradeBytesMax) fail(stream, Fault::Upgrade, "answer to the upgrade without an end");
    return;
  }
  const std::string_view head = text.substr(0, end);
  if (!head.starts_with("HTTP/1.1 101") || !containsIgnoringCase(head, "sec-websocket-accept:") ||
      head.find(kUpgradeAccept) == std::string_view::npos) {
    return fail(stream, Fault::Upgrade, std::string(head.substr(0, head.find('\r'))));
  }
  const std::vector<uint8_t> rest(stream.partial.begin() + static_cast<ptrdiff_t>(end + 4),
                                  stream.partial.end());
  dropPartial(stream);
  stream.state = Stream::State::Open;
  opening_--;
  run_.opened++;
  receiver_.onOpen(stream, index, nowUs);
  if (!rest.empty() && stream.fd >= 0) onFrameBytes(stream, index, rest, nowUs);
}

void Connections::onFrameBytes(Stream& stream, uint32_t index, std::span<const uint8_t> bytes,
                               int64_t nowUs) {
  // Nearly always a read holds whole frames and they are parsed where they lie; a rest is kept until more
  // comes.
  const bool kept = !stream.partial.empty();
  if (kept) keepPartial(stream, bytes);
  const std::span<const uint8_t> all = kept ? std::span<const uint8_t>(stream.partial) : bytes;
  size_t at = 0;
  ServerFrame frame{};
  while (true) {
    const ParseResult result = parseServerFrame(all.data() + at, all.size() - at, kMessageBytesMax, frame);
    if (result == ParseResult::NeedMore) break;
    if (result == ParseResult::Bad) {
      return fail(stream, Fault::Protocol, "what came is not a WebSocket frame, or too large a one");
    }
    if (!onFrame(stream, index, frame, all.data() + at + frame.headerBytes, nowUs)) return;
    at += frame.headerBytes + frame.payloadBytes;
  }
  if (!kept) {
    if (at < bytes.size()) keepPartial(stream, bytes.subspan(at));
  } else if (at == all.size()) {
    dropPartial(stream);
    // What one huge message needed is not kept by every stream for ever.
    if (stream.partial.capacity() > kUnsentBytesMax) stream.partial.shrink_to_fit();
  } else if (at > 0) {
    heldBytes_ -= at;
    stream.partial.erase(stream.partial.begin(), stream.partial.begin() + static_cast<ptrdiff_t>(at));
  }
  if (heldBytes_ > kHeldBytesMax) {
    fail(stream, Fault::Protocol, "incomplete messages of all streams take over 256 MB");
  }
}

bool Connections::onFrame(Stream& stream, uint32_t index, const ServerFrame& frame, const uint8_t* payload,
                          int64_t nowUs) {
  const std::string_view text(reinterpret_cast<const char*>(payload), frame.payloadBytes);
  switch (frame.opcode) {
    case Opcode::Ping:
      std::memcpy(textBuffer(), payload, frame.payloadBytes);
      send(stream, index, textBuffer(), frame.payloadBytes, Opcode::Pong);
      return stream.fd >= 0;
    case Opcode::Pong:
      return true;
    case Opcode::Close: {
      const size_t codeBytes = std::min<size_t>(frame.payloadBytes, 2);
      std::memcpy(textBuffer(), payload, codeBytes);
      if (stream.state == Stream::State::Open) {
        send(stream, index, textBuffer(), codeBytes, Opcode::Close);
        const int code = codeBytes == 2 ? payload[0] << 8 | payload[1] : 1005;
        if (stream.fd >= 0) {
          fail(stream, Fault::Closed, "the server closed the stream with code " + std::to_string(code));
        }
      } else {
        release(stream);
      }
      return false;
    }
    case Opcode::Binary:
      run_.badMessages++;
      return true;
    case Opcode::Text:
      if (frame.fin) {
        receiver_.onText(stream, index, text, nowUs);
        return stream.fd >= 0;
      }
      stream.message.assign(text);
      stream.continuing = true;
      heldBytes_ += text.size();
      return true;
    case Opcode::Continuation:
      if (!stream.continuing || stream.message.size() + text.size() > kMessageBytesMax) {
        fail(stream, Fault::Protocol, "a fragment that belongs to no message, or a message over 2 MB");
        return false;
      }
      stream.message.append(text);
      heldBytes_ += text.size();
      if (frame.fin) {
        stream.continuing = false;
        heldBytes_ -= stream.message.size();
        receiver_.onText(stream, index, stream.message, nowUs);
        stream.message.clear();
        if (stream.message.capacity() > kUnsentBytesMax) stream.message.shrink_to_fit();
      }
      return stream.fd >= 0;
  }
  return true;
}

void Connections::keepPartial(Stream& stream, std::span<const uint8_t> bytes) {
  heldBytes_ += bytes.size();
  stream.partial.insert(stream.partial.end(), bytes.begin(), bytes.end());
}

void Connections::dropPartial(Stream& stream) {
  heldBytes_ -= stream.partial.size();
  stream.partial.clear();
}

}  // namespace sidetone::load

#endif  // __linux__
