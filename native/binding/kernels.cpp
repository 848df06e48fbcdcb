#include "binding/kernels.h"

#include <array>
#include <string>

#include "base64/base64.h"
#include "codec/g711.h"
#include "wire/envelope.h"

namespace sidetone::binding {
namespace {

// A typed array as the core wants it: where it begins, and how many elements it has.
template <typename Element>
struct View {
  Element* data;
  size_t count;
};

template <typename Element>
constexpr napi_typedarray_type kArrayType = napi_uint8_array;
template <>
constexpr napi_typedarray_type kArrayType<int16_t> = napi_int16_array;

template <typename Element>
View<Element> viewOf(const Napi::CallbackInfo& info, size_t index, const char* name) {
  const Napi::Value value = info[index];
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != kArrayType<Element>) {
    const char* type = kArrayType<Element> == napi_int16_array ? "an Int16Array" : "a Uint8Array";
    throw Napi::TypeError::New(info.Env(), std::string(name) + " must be " + type);
  }
  auto array = value.As<Napi::TypedArrayOf<Element>>();
  return {array.Data(), array.ElementLength()};
}

void requireRoom(const Napi::CallbackInfo& info, size_t room, size_t wanted) {
  if (room >= wanted) return;
  throw Napi::TypeError::New(info.Env(), "out has room for " + std::to_string(room) +
                                             " elements and must have room for " + std::to_string(wanted));
}

Napi::Value count(const Napi::CallbackInfo& info, size_t value) {
  return Napi::Number::New(info.Env(), static_cast<double>(value));
}

template <typename Function>
void define(Napi::Object object, const char* name, Function function) {
  object.Set(name, Napi::Function::New(object.Env(), function, name));
}

/** The bytes of base64 text, or undefined for what is none. */
Napi::Value DecodeBase64(const Napi::CallbackInfo& info) {
  const std::string text = info[0].As<Napi::String>().Utf8Value();
  auto room = Napi::ArrayBuffer::New(info.Env(), base64DecodedCapacity(text.size()));
  const size_t bytes = base64Decode(text.data(), text.size(), static_cast<uint8_t*>(room.Data()));
  if (bytes == kBase64Invalid) return info.Env().Undefined();
  return Napi::Uint8Array::New(info.Env(), bytes, room, 0);
}

Napi::Object base64Object(Napi::Env env, const Base64Kernel& kernel) {
  Napi::Object object = Napi::Object::New(env);
  define(object, "encode", [encode = kernel.encode](const Napi::CallbackInfo& info) {
    const auto bytes = viewOf<uint8_t>(info, 0, "bytes");
    const auto out = viewOf<uint8_t>(info, 1, "out");
    requireRoom(info, out.count, base64EncodedLength(bytes.count));
    return count(info, encode(bytes.data, bytes.count, reinterpret_cast<char*>(out.data)));
  });
  define(object, "decode", [decode = kernel.decode](const Napi::CallbackInfo& info) {
    const auto chars = viewOf<uint8_t>(info, 0, "chars");
    const auto out = viewOf<uint8_t>(info, 1, "out");
    requireRoom(info, out.count, base64DecodedCapacity(chars.count));
    const size_t bytes = decode(reinterpret_cast<const char*>(chars.data), chars.count, out.data);
    return bytes == kBase64Invalid ? Napi::Number::New(info.Env(), -1) : count(info, bytes);
  });
  return object;
}

using Encode = void (*)(const int16_t*, size_t, uint8_t*);
using Decode = void (*)(const uint8_t*, size_t, int16_t*);

Napi::Object lawObject(Napi::Env env, Encode encode, Decode decode) {
  Napi::Object object = Napi::Object::New(env);
  define(object, "encode", [encode](const Napi::CallbackInfo& info) {
    const auto pcm = viewOf<int16_t>(info, 0, "pcm");
    const auto out = viewOf<uint8_t>(info, 1, "out");
    requireRoom(info, out.count, pcm.count);
    encode(pcm.data, pcm.count, out.data);
    return count(info, pcm.count);
  });
  define(object, "decode", [decode](const Napi::CallbackInfo& info) {
    const auto payload = viewOf<uint8_t>(info, 0, "payload");
    const auto out = viewOf<int16_t>(info, 1, "out");
    requireRoom(info, out.count, payload.count);
    decode(payload.data, payload.count, out.data);
    return count(info, payload.count);
  });
  return object;
}

Napi::Value scanMediaText(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto text = viewOf<uint8_t>(info, 0, "text");
  const char* const chars = reinterpret_cast<const char*>(text.data);
  MediaMessage message;
  if (!scanMedia(chars, text.count, message)) return env.Null();
  Napi::Object payload = Napi::Object::New(env);
  payload.Set("offset", count(info, static_cast<size_t>(message.payload.data() - chars)));
  payload.Set("length", count(info, message.payload.size()));
  Napi::Object fields = Napi::Object::New(env);
  fields.Set("track", message.track == Track::Inbound ? "inbound" : "outbound");
  fields.Set("sequence", count(info, message.sequence));  // at most 2^53 − 1, so exact
  fields.Set("chunk", count(info, message.chunk));
  fields.Set("timestamp", count(info, message.timestamp));
  fields.Set("streamId", Napi::String::New(env, message.streamId.data(), message.streamId.size()));
  fields.Set("payload", payload);
  return fields;
}

// What a stream does with a PCMU message, in one call: for the benchmark against JSON.parse.
Napi::Value ulawFromMedia(const Napi::CallbackInfo& info) {
  const auto text = viewOf<uint8_t>(info, 0, "text");
  const auto out = viewOf<int16_t>(info, 1, "out");
  MediaMessage message;
  std::array<uint8_t, 8192> payload;  // a second of PCMU
  size_t samples = kBase64Invalid;
  if (scanMedia(reinterpret_cast<const char*>(text.data), text.count, message) &&
      base64DecodedCapacity(message.payload.size()) <= payload.size()) {
    samples = base64Decode(message.payload.data(), message.payload.size(), payload.data());
  }
  if (samples == kBase64Invalid) return Napi::Number::New(info.Env(), -1);
  requireRoom(info, out.count, samples);
  ulawDecode(payload.data(), samples, out.data);
  return count(info, samples);
}

Napi::Value writeMediaText(const Napi::CallbackInfo& info) {
  const auto payload = viewOf<uint8_t>(info, 0, "payload");
  const auto out = viewOf<uint8_t>(info, 1, "out");
  requireRoom(info, out.count, mediaMessageLength(payload.count));
  return count(info, writeMedia(payload.data, payload.count, reinterpret_cast<char*>(out.data)));
}

}  // namespace

void exportKernels(Napi::Env env, Napi::Object exports) {
  exports.Set("version", Napi::String::New(env, "0.1.0"));

  Napi::Object base64 = Napi::Object::New(env);
  for (const auto& kernel : base64Kernels()) base64.Set(kernel.name, base64Object(env, kernel));
  Napi::Object ulaw = Napi::Object::New(env), alaw = Napi::Object::New(env);
  for (const auto& kernel : g711Kernels()) {
    ulaw.Set(kernel.name, lawObject(env, kernel.ulawEncode, kernel.ulawDecode));
    alaw.Set(kernel.name, lawObject(env, kernel.alawEncode, kernel.alawDecode));
  }

  Napi::Object kernels = Napi::Object::New(env);
  kernels.Set("base64", base64);
  kernels.Set("ulaw", ulaw);
  kernels.Set("alaw", alaw);
  define(kernels, "scanMedia", scanMediaText);
  define(kernels, "ulawFromMedia", ulawFromMedia);
  define(kernels, "writeMedia", writeMediaText);
  exports.Set("decodeBase64", Napi::Function::New(env, DecodeBase64, "decodeBase64"));
  exports.Set("kernels", kernels);
}

}  // namespace sidetone::binding
