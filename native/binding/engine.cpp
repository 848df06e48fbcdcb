#include "binding/engine.h"

#include <memory>
#include <string>
#include <vector>

#include "binding/arguments.h"
#include "engine/engine.h"

namespace sidetone::binding {
namespace {

// Layout of the `info` view, which every call may write; native.ts has the same list. The time of a call
// stands in it too: a number with a fraction costs an allocation each time it is passed as an argument.
enum Info : size_t {
  kTimestampMs,
  kTrack,
  kConcealed,
  kMore,
  kPayloadOffset,
  kPayloadBytes,
  kLostFrames,
  kTickHasMore,
  kGapCount,
  kEncodeCount,
  kAccepted,
  kSent,
  kPlayed,
  kAheadMs,
  kQueuedMs,
  kScheduled,
  kNowMs,
  kInfoCount,
};

/**
 * One engine with the JavaScript memory it writes to. The functions of the object that createEngine() returns
 * hold a plain pointer to it, so it lives until its environment (main thread or worker) is torn down;
 * destroy() empties it.
 */
struct Handle {
  std::unique_ptr<Engine> engine;
  double* info = nullptr;
  uint8_t* payload = nullptr;
  std::vector<Napi::Reference<Napi::TypedArray>> buffers;
};

void report(Handle& handle, int outcome) {
  handle.info[kScheduled] = static_cast<double>(handle.engine->scheduled());
  if (outcome == kNothing || (outcome < 0 && outcome > kPoolPayload)) {
    handle.info[kMore] = 0;
    return;
  }
  const Delivery& delivery = handle.engine->delivery();
  handle.info[kTimestampMs] = delivery.timestampMs;
  handle.info[kTrack] = static_cast<double>(handle.engine->deliveryTrack());
  handle.info[kConcealed] = delivery.concealed ? 1 : 0;
  handle.info[kMore] = delivery.more ? 1 : 0;
  if (outcome == kPoolPayload) {
    handle.info[kPayloadOffset] = static_cast<double>(delivery.payload - handle.payload);
    handle.info[kPayloadBytes] = static_cast<double>(delivery.bytes);
  }
  handle.info[kLostFrames] = delivery.lostFrames;
}

template <size_t N>
struct Call : FastArguments<N> {
  Call(napi_env env, napi_callback_info callback) : FastArguments<N>(env, callback) {
    handle = this->template self<Handle>();
    open = handle->engine && handle->engine->isOpen(stream = this->integer(0));
  }
  double nowMs() const { return handle->info[kNowMs]; }
  Handle* handle;
  int stream = 0;
  bool open;
};

Track trackOf(int32_t value) { return value == 1 ? Track::Outbound : Track::Inbound; }

// --- the media path: one call a message, one a tick ---

napi_value Receive(napi_env env, napi_callback_info callback) {
  Call<2> call(env, callback);
  if (!call.open) return call.result(kNothing);
  const auto message = call.arrayBuffer(1);
  const int outcome = call.handle->engine->receive(call.stream, reinterpret_cast<const char*>(message.data),
                                                   message.count, call.nowMs());
  report(*call.handle, outcome);
  return call.result(outcome);
}

napi_value Next(napi_env env, napi_callback_info callback) {
  Call<2> call(env, callback);
  if (!call.open) return call.result(kNothing);
  const int outcome = call.handle->engine->next(call.stream, trackOf(call.integer(1)), call.nowMs());
  report(*call.handle, outcome);
  return call.result(outcome);
}

napi_value DeliverPcm(napi_env env, napi_callback_info callback) {
  Call<4> call(env, callback);
  if (!call.open) return call.result(kNothing);
  const auto pcm = call.samples(2);
  const int outcome = call.handle->engine->deliverPcm(call.stream, trackOf(call.integer(1)), pcm.data,
                                                      pcm.count, call.boolean(3));
  report(*call.handle, outcome);
  return call.result(outcome);
}

/** What play() and playHeard() left in the slab, or -1 where the queue was full. */
napi_value played(const Call<4>& call, bool accepted) {
  const Engine& engine = *call.handle->engine;
  call.handle->info[kScheduled] = static_cast<double>(engine.scheduled());
  return call.result(accepted ? static_cast<int32_t>(engine.sendCount()) : -1);
}

napi_value Play(napi_env env, napi_callback_info callback) {
  Call<4> call(env, callback);
  if (!call.open) return call.result(-1);
  const auto pcm = call.samples(1);
  const double accepted = call.handle->engine->play(call.stream, pcm.data, pcm.count, call.integer(2),
                                                    call.nowMs(), call.boolean(3));
  return played(call, accepted >= 0);
}

napi_value PlayHeard(napi_env env, napi_callback_info callback) {
  Call<4> call(env, callback);
  if (!call.open) return call.result(-1);
  return played(call, call.handle->engine->playHeard(call.stream, call.nowMs()));
}

napi_value Tick(napi_env env, napi_callback_info callback) {
  FastArguments<1> call(env, callback);
  auto& handle = *call.self<Handle>();
  if (!handle.engine) return call.result(0);
  const size_t sends = handle.engine->tick(handle.info[kNowMs]);
  handle.info[kTickHasMore] = handle.engine->tickHasMore() ? 1 : 0;
  handle.info[kGapCount] = static_cast<double>(handle.engine->gapCount());
  handle.info[kEncodeCount] = static_cast<double>(handle.engine->encodeCount());
  handle.info[kScheduled] = static_cast<double>(handle.engine->scheduled());
  return call.result(static_cast<int32_t>(sends));
}

napi_value TakePcm(napi_env env, napi_callback_info callback) {
  Call<2> call(env, callback);
  if (!call.open) return call.result(0);
  return call.result(
      static_cast<int32_t>(call.handle->engine->takePcm(call.stream, call.nowMs(), call.samples(1).data)));
}

napi_value EnqueuePacket(napi_env env, napi_callback_info callback) {
  Call<2> call(env, callback);
  if (!call.open) return call.result(0);
  const auto packet = call.bytes(1);
  const bool kept = call.handle->engine->enqueuePacket(call.stream, packet.data, packet.count);
  call.handle->info[kScheduled] = static_cast<double>(call.handle->engine->scheduled());
  return call.result(kept ? 1 : 0);
}

// --- now and then ---

napi_value PacketsLost(napi_env env, napi_callback_info callback) {
  Call<2> call(env, callback);
  if (call.open) call.handle->engine->packetsLost(call.stream, static_cast<size_t>(call.integer(1)));
  return nullptr;
}

napi_value ReceiveParsed(napi_env env, napi_callback_info callback) {
  Call<7> call(env, callback);
  if (!call.open) return call.result(kNothing);
  const auto id = call.bytes(5);
  const auto payload = call.bytes(6);
  MediaMessage message{};
  message.track = trackOf(call.integer(1));
  message.sequence = static_cast<uint64_t>(call.number(2));
  message.chunk = static_cast<uint64_t>(call.number(3));
  message.timestamp = static_cast<uint64_t>(call.number(4));
  message.streamId = {reinterpret_cast<const char*>(id.data), id.count};
  message.payload = {reinterpret_cast<const char*>(payload.data), payload.count};
  const int outcome = call.handle->engine->receiveParsed(call.stream, message, call.nowMs());
  report(*call.handle, outcome);
  return call.result(outcome);
}

napi_value LastMediaMs(napi_env env, napi_callback_info callback) {
  Call<1> call(env, callback);
  return call.result(call.open ? call.handle->engine->lastMediaMs(call.stream) : 0);
}

napi_value NoteSequence(napi_env env, napi_callback_info callback) {
  Call<2> call(env, callback);
  if (call.open) call.handle->engine->noteSequence(call.stream, static_cast<uint64_t>(call.number(1)));
  return nullptr;
}

napi_value Deafen(napi_env env, napi_callback_info callback) {
  Call<1> call(env, callback);
  if (call.open) call.handle->engine->deafen(call.stream);
  return nullptr;
}

napi_value Follow(napi_env env, napi_callback_info callback) {
  Call<2> call(env, callback);
  if (call.open) call.handle->engine->follow(call.stream, call.boolean(1));
  return nullptr;
}

napi_value FollowBelow(napi_env env, napi_callback_info callback) {
  Call<2> call(env, callback);
  if (call.open) call.handle->engine->followBelow(call.stream, call.number(1));
  return nullptr;
}

napi_value Clear(napi_env env, napi_callback_info callback) {
  Call<1> call(env, callback);
  if (call.open) call.handle->engine->clear(call.stream, call.nowMs());
  return nullptr;
}

napi_value CutAt(napi_env env, napi_callback_info callback) {
  Call<2> call(env, callback);
  if (call.open) call.handle->engine->cutAt(call.stream, call.number(1));
  return nullptr;
}

napi_value Position(napi_env env, napi_callback_info callback) {
  Call<1> call(env, callback);
  if (!call.open) return nullptr;
  const Outbound& outbound = call.handle->engine->outbound(call.stream);
  const double nowMs = call.nowMs();
  double* info = call.handle->info;
  info[kAccepted] = outbound.acceptedPosition();
  info[kSent] = outbound.sentPosition();
  info[kPlayed] = outbound.playout().playedPosition(nowMs);
  info[kAheadMs] = outbound.playout().aheadMs(nowMs);
  info[kQueuedMs] = outbound.queuedMs();
  return nullptr;
}

OutboundConfig readOutbound(const Napi::Object& object) {
  OutboundConfig config;
  config.encoding = static_cast<Encoding>(object.Get("encoding").ToNumber().Int32Value());
  config.announcedHz = object.Get("sampleRate").ToNumber().Int32Value();
  config.l16Order = object.Get("l16BigEndian").ToBoolean() ? ByteOrder::Big : ByteOrder::Little;
  config.leadMs = object.Get("leadMs").ToNumber().DoubleValue();
  config.chunkMs = object.Get("chunkMs").ToNumber().DoubleValue();
  config.queueMaxMs = object.Get("queueMaxMs").ToNumber().DoubleValue();
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
      sends.ElementLength() < Engine::kSendSlots * Engine::kSendFields ||
      gaps.ElementLength() < Engine::kWakesMax || encodes.ElementLength() < Engine::kWakesMax ||
      state.ElementLength() < kInfoCount) {
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
  const auto fast = [&](const char* name, napi_callback callback) {
    napi_value function = nullptr;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, handle, &function);
    engine.Set(name, Napi::Value(env, function));
  };
  fast("receive", Receive);
  fast("receiveParsed", ReceiveParsed);
  fast("next", Next);
  fast("deliverPcm", DeliverPcm);
  fast("play", Play);
  fast("playHeard", PlayHeard);
  fast("tick", Tick);
  fast("takePcm", TakePcm);
  fast("enqueuePacket", EnqueuePacket);
  fast("packetsLost", PacketsLost);
  fast("lastMediaMs", LastMediaMs);
  fast("noteSequence", NoteSequence);
  fast("deafen", Deafen);
  fast("follow", Follow);
  fast("followBelow", FollowBelow);
  fast("clear", Clear);
  fast("cutAt", CutAt);
  fast("position", Position);
  const auto slow = [&](const char* name, Napi::Value (*callback)(const Napi::CallbackInfo&)) {
    engine.Set(name, Napi::Function::New(env, callback, name, handle));
  };
  slow("open", Open);
  slow("close", Close);
  slow("frameSamplesUsual", FrameSamples<&Engine::frameSamplesUsual>);
  slow("frameSamplesMax", FrameSamples<&Engine::frameSamplesMax>);
  slow("setFrameBuffer", SetFrameBuffer);
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
