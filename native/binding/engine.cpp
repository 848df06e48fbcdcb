#include "binding/engine.h"

#include <memory>
#include <string>

#include "binding/engine_handle.h"
#include "binding/hearing.h"
#include "binding/mixing.h"
#include "binding/rooms.h"

namespace sidetone::binding {
namespace {

OutboundConfig readOutbound(const Napi::Object& object) {
  OutboundConfig config;
  config.encoding = static_cast<Encoding>(object.Get("encoding").ToNumber().Int32Value());
  config.announcedHz = object.Get("sampleRate").ToNumber().Int32Value();
  config.l16Order = object.Get("l16BigEndian").ToBoolean() ? ByteOrder::Big : ByteOrder::Little;
  config.leadMs = object.Get("leadMs").ToNumber().DoubleValue();
  config.chunkMs = object.Get("chunkMs").ToNumber().DoubleValue();
  config.queueMaxMs = object.Get("queueMaxMs").ToNumber().DoubleValue();
  config.liveLatencyMaxMs = object.Get("liveLatencyMaxMs").ToNumber().DoubleValue();
  return config;
}

InboundConfig readInbound(const Napi::Object& object) {
  InboundConfig config;
  config.encoding = static_cast<Encoding>(object.Get("encoding").ToNumber().Int32Value());
  config.announcedHz = object.Get("sampleRate").ToNumber().Int32Value();
  config.handlerHz = object.Get("handlerRate").ToNumber().Int32Value();
  config.l16Order = object.Get("l16BigEndian").ToBoolean() ? ByteOrder::Big : ByteOrder::Little;
  config.reorderWaitMs = object.Get("reorderWaitMs").ToNumber().DoubleValue();
  config.gapFillMaxMs = object.Get("gapFillMaxMs").ToNumber().DoubleValue();
  config.l16OrderAuto = object.Get("l16OrderAuto").ToBoolean();
  config.conceals = object.Get("conceals").ToBoolean();
  config.listener = readListener(object);
  return config;
}

Napi::Value Open(const Napi::CallbackInfo& info) {
  auto& handle = *static_cast<Handle*>(info.Data());
  const auto object = info[0].As<Napi::Object>();
  StreamConfig config;
  config.inbound = readInbound(object.Get("inbound").As<Napi::Object>());
  config.outbound = readOutbound(object.Get("outbound").As<Napi::Object>());
  config.wanted = {object.Get("wantsInbound").ToBoolean(), object.Get("wantsOutbound").ToBoolean()};
  config.streamId = object.Get("streamId").ToString().Utf8Value();
  config.startSequence = static_cast<uint64_t>(object.Get("startSequence").ToNumber().DoubleValue());
  const int stream = handle.engine->open(config);
  return Napi::Number::New(info.Env(), stream);
}

Napi::Value Close(const Napi::CallbackInfo& info) {
  auto& handle = *static_cast<Handle*>(info.Data());
  const int stream = info[0].ToNumber().Int32Value();
  if (handle.engine && handle.engine->isOpen(stream)) {
    handle.engine->close(stream);
  }
  return info.Env().Undefined();
}

template <size_t (Engine::*kSamples)(int, Track) const>
Napi::Value FrameSamples(const Napi::CallbackInfo& info) {
  auto& handle = *static_cast<Handle*>(info.Data());
  const size_t samples =
      (*handle.engine.*kSamples)(info[0].ToNumber().Int32Value(), trackOf(info[1].ToNumber().Int32Value()));
  return Napi::Number::New(info.Env(), static_cast<double>(samples));
}

// The caller keeps the memory: a reference to it from here would cost half as much again.
Napi::Value SetFrameBuffer(const Napi::CallbackInfo& info) {
  auto& handle = *static_cast<Handle*>(info.Data());
  const int stream = info[0].ToNumber().Int32Value();
  const Track track = trackOf(info[1].ToNumber().Int32Value());
  auto samples = info[2].As<Napi::Int16Array>();
  handle.engine->setFrameBuffer(stream, track, samples.Data(), samples.ElementLength());
  return info.Env().Undefined();
}

/** False: the stream has too many backgrounds, or is closed. */
Napi::Value Background(const Napi::CallbackInfo& info) {
  auto& handle = *static_cast<Handle*>(info.Data());
  const int stream = info[0].ToNumber().Int32Value();
  bool isAdded = false;
  if (handle.engine && handle.engine->isOpen(stream)) {
    isAdded = handle.engine->background(stream, readLayer(info[1], info[2].As<Napi::Object>()),
                                        handle.info[kNowMs]);
    handle.info[kScheduled] = static_cast<double>(handle.engine->scheduled());
  }
  return Napi::Boolean::New(info.Env(), isAdded);
}

Napi::Value TakeVoiceWindows(const Napi::CallbackInfo& info) {
  auto& handle = *static_cast<Handle*>(info.Data());
  if (!handle.engine) return Napi::Number::New(info.Env(), 0);
  return takeWindows(handle.engine->voiceWindows(), info);
}

Napi::Value AnswerVoices(const Napi::CallbackInfo& info) {
  auto& handle = *static_cast<Handle*>(info.Data());
  if (!handle.engine) return Napi::Number::New(info.Env(), 0);
  return answerWindows(handle.engine->voiceWindows(), info);
}

Napi::Value fill(const Napi::CallbackInfo& info, const CounterValues& values) {
  auto out = info[info.Length() - 1].As<Napi::Float64Array>();
  for (size_t i = 0; i < kCounters && i < out.ElementLength(); i++) out[i] = values[i];
  return info.Env().Undefined();
}

Napi::Value StreamCounters(const Napi::CallbackInfo& info) {
  auto& handle = *static_cast<Handle*>(info.Data());
  CounterValues values{};
  const int stream = info[0].ToNumber().Int32Value();
  if (handle.engine && handle.engine->isOpen(stream)) handle.engine->streamCounters(stream, values);
  return fill(info, values);
}

Napi::Value Totals(const Napi::CallbackInfo& info) {
  auto& handle = *static_cast<Handle*>(info.Data());
  CounterValues values{};
  if (handle.engine) handle.engine->totals(values);
  return fill(info, values);
}

Napi::Value Lateness(const Napi::CallbackInfo& info) {
  auto& handle = *static_cast<Handle*>(info.Data());
  auto out = Napi::Float64Array::New(info.Env(), Engine::kLatenessBins);
  for (size_t i = 0; handle.engine && i < Engine::kLatenessBins; i++)
    out[i] = static_cast<double>(handle.engine->lateness()[i]);
  return out;
}

Napi::Value QueueBytes(const Napi::CallbackInfo& info) {
  auto& handle = *static_cast<Handle*>(info.Data());
  const size_t blocks = handle.engine ? handle.engine->blocks().blocksInUse() : 0;
  return Napi::Number::New(info.Env(), static_cast<double>(blocks * sizeof(Block)));
}

Napi::Value Destroy(const Napi::CallbackInfo& info) {
  auto& handle = *static_cast<Handle*>(info.Data());
  handle.engine.reset();
  handle.buffers.clear();
  handle.rooms.clear();
  return info.Env().Undefined();
}

EngineConfig readConfig(const Napi::Object& object) {
  EngineConfig config;
  config.messageBytesMax = static_cast<size_t>(object.Get("messageBytesMax").ToNumber().DoubleValue());
  config.blocksMax =
      static_cast<size_t>(object.Get("queueBytesMax").ToNumber().DoubleValue()) / sizeof(Block);
  config.largestOutbound = readOutbound(object.Get("largestOutbound").As<Napi::Object>());
  return config;
}

/** Sizes of the buffers that createEngine() wants for a configuration. */
Napi::Value EngineBufferSizes(const Napi::CallbackInfo& info) {
  const EngineConfig config = readConfig(info[0].As<Napi::Object>());
  auto sizes = Napi::Object::New(info.Env());
  sizes.Set("sendSlots", static_cast<double>(Engine::kSendSlots));
  sizes.Set("slotBytes", static_cast<double>(Engine::slotBytes(config)));
  sizes.Set("payloadBytes", static_cast<double>(Engine::payloadBytes(config)));
  sizes.Set("wakes", static_cast<double>(Engine::kWakesMax));
  sizes.Set("info", static_cast<double>(kInfoCount));
  return sizes;
}

Napi::Value CreateEngine(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const EngineConfig config = readConfig(info[0].As<Napi::Object>());
  const auto views = info[1].As<Napi::Object>();
  auto slab = views.Get("slab").As<Napi::Uint8Array>();
  auto payload = views.Get("payload").As<Napi::Uint8Array>();
  auto sends = views.Get("sends").As<Napi::Int32Array>();
  auto gaps = views.Get("gaps").As<Napi::Int32Array>();
  auto encodes = views.Get("encodes").As<Napi::Int32Array>();
  auto state = views.Get("info").As<Napi::Float64Array>();
  if (slab.ElementLength() < Engine::slotBytes(config) * Engine::kSendSlots ||
      payload.ElementLength() < Engine::payloadBytes(config) ||
      sends.ElementLength() < Engine::kSendSlots * kSendFields || gaps.ElementLength() < Engine::kWakesMax ||
      encodes.ElementLength() < Engine::kWakesMax || state.ElementLength() < kInfoCount) {
    throw Napi::TypeError::New(env, "createEngine: a buffer is smaller than engineBufferSizes() says");
  }

  auto* handle = new Handle;
  napi_add_env_cleanup_hook(env, [](void* data) { delete static_cast<Handle*>(data); }, handle);
  handle->info = state.Data();
  handle->payload = payload.Data();
  for (Napi::TypedArray view : {Napi::TypedArray(slab), Napi::TypedArray(payload), Napi::TypedArray(sends),
                                Napi::TypedArray(gaps), Napi::TypedArray(encodes), Napi::TypedArray(state)}) {
    handle->buffers.push_back(Napi::Persistent(view));
  }
  handle->engine = std::make_unique<Engine>(
      config, EngineBuffers{slab.Data(), payload.Data(), sends.Data(), gaps.Data(), encodes.Data()});

  auto engine = Napi::Object::New(env);
  for (const auto calls : {engineCalls(), roomCalls()}) {
    for (const auto& [name, callback] : calls) {
      napi_value function = nullptr;
      napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, handle, &function);
      engine.Set(name, Napi::Value(env, function));
    }
  }
  addRoomFunctions(env, engine, handle);
  const auto slow = [&](const char* name, Napi::Value (*callback)(const Napi::CallbackInfo&)) {
    engine.Set(name, Napi::Function::New(env, callback, name, handle));
  };
  slow("open", Open);
  slow("close", Close);
  slow("frameSamplesUsual", FrameSamples<&Engine::frameSamplesUsual>);
  slow("frameSamplesMax", FrameSamples<&Engine::frameSamplesMax>);
  slow("setFrameBuffer", SetFrameBuffer);
  slow("background", Background);
  slow("takeVoiceWindows", TakeVoiceWindows);
  slow("answerVoices", AnswerVoices);
  slow("streamCounters", StreamCounters);
  slow("totals", Totals);
  slow("lateness", Lateness);
  slow("queueBytes", QueueBytes);
  slow("destroy", Destroy);
  return engine;
}

}  // namespace

void exportEngine(Napi::Env env, Napi::Object exports) {
  exports.Set("createEngine", Napi::Function::New(env, CreateEngine));
  exports.Set("engineBufferSizes", Napi::Function::New(env, EngineBufferSizes));
  auto names = Napi::Array::New(env, kCounters);
  for (uint32_t i = 0; i < kCounters; i++) names.Set(i, kCounterNames[i]);
  exports.Set("counterNames", names);
}

}  // namespace sidetone::binding
