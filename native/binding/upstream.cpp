#include "binding/upstream.h"

#include <sys/socket.h>

#include <cerrno>

#include "base64/base64.h"
#include "binding/arguments.h"
#include "upstream/client_frame.h"
#include "upstream/delta.h"

namespace sidetone::binding {
namespace {

#ifdef MSG_NOSIGNAL
constexpr int kSendFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
#else
constexpr int kSendFlags = MSG_DONTWAIT;
#endif

using Bytes = FastArguments<5>::Bytes;

/** The place for `wanted` bytes at `at` of `out`, or null where there is no room. */
uint8_t* room(const Bytes& out, double at, size_t wanted) {
  if (!(at >= 0) || at > static_cast<double>(out.count)) return nullptr;
  const auto from = static_cast<size_t>(at);
  return out.count - from < wanted ? nullptr : out.data + from;
}

/** (opcode, payload, mask, out, at) → where the frame ends, or 0 where it has no room. */
napi_value ClientFrame(napi_env env, napi_callback_info info) {
  const FastArguments<5> arguments(env, info);
  const auto payload = arguments.bytes(1);
  const double at = arguments.number(4);
  uint8_t* const out = room(arguments.bytes(3), at, clientFrameLength(payload.count));
  if (out == nullptr) return arguments.result(0);
  const auto mask = static_cast<uint32_t>(arguments.number(2));
  const auto opcode = static_cast<uint8_t>(arguments.integer(0) & 0x0f);
  return arguments.result(
      at + static_cast<double>(writeClientFrame(opcode, payload.data, payload.count, mask, out)));
}

/** (audio, mask, out, at) → where the frame ends, or 0 where it has no room. */
napi_value AppendFrame(napi_env env, napi_callback_info info) {
  const FastArguments<5> arguments(env, info);
  const auto audio = arguments.bytes(0);
  const double at = arguments.number(3);
  uint8_t* const out = room(arguments.bytes(2), at, clientFrameLength(appendTextLength(audio.count)));
  if (out == nullptr || audio.data == nullptr) return arguments.result(0);
  const auto mask = static_cast<uint32_t>(arguments.number(1));
  return arguments.result(at + static_cast<double>(writeAppendFrame(audio.data, audio.count, mask, out)));
}

/**
 * (memory, rows, count): rows of four numbers, a descriptor, where its bytes begin and end in `memory`, and
 * how many of them it has taken, which is written here. What it has not taken is the caller's, errors too.
 */
napi_value SendFrames(napi_env env, napi_callback_info info) {
  const FastArguments<5> arguments(env, info);
  const auto memory = arguments.bytes(0);
  const auto rows = arguments.integers(1);
  const auto count = static_cast<size_t>(arguments.integer(2));
  for (size_t i = 0; i < count && 4 * i + 3 < rows.count; i++) {
    int32_t* const row = rows.data + 4 * i;
    row[3] = 0;
    if (row[0] < 0 || row[1] < 0 || row[2] <= row[1] || static_cast<size_t>(row[2]) > memory.count) continue;
    ssize_t sent;
    do {
      sent = ::send(row[0], memory.data + row[1], static_cast<size_t>(row[2] - row[1]), kSendFlags);
    } while (sent < 0 && errno == EINTR);
    if (sent > 0) row[3] = static_cast<int32_t>(sent);
    if (row[3] == row[2] - row[1]) continue;
    // What follows for this socket must not overtake the rest.
    for (size_t next = i + 1; next < count && 4 * next + 3 < rows.count; next++) {
      if (rows.data[4 * next] == row[0]) rows.data[4 * next] = -1;
    }
  }
  return nullptr;
}

/**
 * (message, audio, places: Int32Array) → 0 for a message that JSON.parse has to judge, 1 for audio, 2 for
 * words. Places: begin and end of the item's id, of the answer's, and of the delta's text; for audio its
 * decoded bytes stand in `audio`, from 0, and the last place is their number.
 */
napi_value ScanDelta(napi_env env, napi_callback_info info) {
  const FastArguments<5> arguments(env, info);
  const auto text = arguments.bytes(0);
  const auto audio = arguments.bytes(1);
  const auto places = arguments.integers(2);
  if (text.data == nullptr || places.count < 6) return arguments.result(0);
  const char* const from = reinterpret_cast<const char*>(text.data);
  DeltaMessage message;
  const Delta delta = scanDelta(from, text.count, message);
  if (delta == Delta::None) return arguments.result(0);
  const auto place = [&](int32_t* at, std::string_view view) {
    at[0] = view.data() == nullptr ? 0 : static_cast<int32_t>(view.data() - from);
    at[1] = at[0] + static_cast<int32_t>(view.size());
  };
  place(places.data, message.itemId);
  place(places.data + 2, message.responseId);
  place(places.data + 4, message.delta);
  if (delta == Delta::Audio) {
    if (base64DecodedCapacity(message.delta.size()) > audio.count) return arguments.result(0);
    const size_t bytes = base64Decode(message.delta.data(), message.delta.size(), audio.data);
    if (bytes == kBase64Invalid) return arguments.result(0);
    places.data[5] = static_cast<int32_t>(bytes);
  }
  return arguments.result(static_cast<int32_t>(delta));
}

}  // namespace

void exportUpstream(Napi::Env env, Napi::Object exports) {
  const auto define = [&](const char* name, napi_callback function) {
    napi_value value = nullptr;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, function, nullptr, &value);
    exports.Set(name, Napi::Value(env, value));
  };
  define("clientFrame", ClientFrame);
  define("appendFrame", AppendFrame);
  define("sendFrames", SendFrames);
  define("scanDelta", ScanDelta);
}

}  // namespace sidetone::binding
