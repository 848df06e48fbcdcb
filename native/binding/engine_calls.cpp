// What is called with every message, every tick, or often: without the C++ layer over Node-API, which
// allocates.
#include "binding/arguments.h"
#include "binding/engine_handle.h"

namespace sidetone::binding {
namespace {

void tell(Handle& handle, const Senses* senses) {
  handle.info[kSenses] = senses ? senses->flags : 0;
  if (!senses) return;
  handle.info[kSpeech] = static_cast<double>(senses->speech);
  handle.info[kSpeechStartMs] = senses->startMs;
  handle.info[kSpeechEndMs] = senses->endMs;
  handle.info[kSpeechMs] = senses->durationMs;
  handle.info[kKeys] = senses->keys;
}

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
  tell(handle, delivery.senses);
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

/** What receive() and its like return: an outcome, with the delivery behind it in `info`. */
template <size_t N>
napi_value delivered(const Call<N>& call, int outcome) {
  report(*call.handle, outcome);
  return call.result(outcome);
}

// --- the media path: one call a message, one a tick ---

napi_value Receive(napi_env env, napi_callback_info callback) {
  Call<2> call(env, callback);
  if (!call.open) return call.result(kNothing);
  const auto message = call.arrayBuffer(1);
  return delivered(call,
                   call.handle->engine->receive(call.stream, reinterpret_cast<const char*>(message.data),
                                                message.count, call.nowMs()));
}

napi_value Next(napi_env env, napi_callback_info callback) {
  Call<2> call(env, callback);
  if (!call.open) return call.result(kNothing);
  return delivered(call, call.handle->engine->next(call.stream, trackOf(call.integer(1)), call.nowMs()));
}

napi_value DeliverPcm(napi_env env, napi_callback_info callback) {
  Call<4> call(env, callback);
  if (!call.open) return call.result(kNothing);
  const auto pcm = call.samples(2);
  return delivered(call, call.handle->engine->deliverPcm(call.stream, trackOf(call.integer(1)), pcm.data,
                                                         pcm.count, call.boolean(3)));
}

/** What play() and playHeard() left in the slab, or -1 where the queue was full. */
template <size_t N>
napi_value played(const Call<N>& call, bool accepted) {
  const Engine& engine = *call.handle->engine;
  call.handle->info[kScheduled] = static_cast<double>(engine.scheduled());
  call.handle->info[kSkips] = engine.skips();
  return call.result(accepted ? static_cast<int32_t>(engine.sendCount()) : -1);
}

napi_value Play(napi_env env, napi_callback_info callback) {
  Call<5> call(env, callback);
  if (!call.open) return call.result(-1);
  const auto pcm = call.samples(1);
  const double accepted = call.handle->engine->play(call.stream, pcm.data, pcm.count, call.integer(2),
                                                    call.nowMs(), call.boolean(3), call.integer(4));
  return played(call, accepted >= 0);
}

napi_value PlayHeard(napi_env env, napi_callback_info callback) {
  Call<1> call(env, callback);
  if (!call.open) return call.result(-1);
  return played(call, call.handle->engine->playHeard(call.stream, call.nowMs()));
}

napi_value PlayEncoded(napi_env env, napi_callback_info callback) {
  Call<3> call(env, callback);
  if (!call.open) return call.result(-1);
  const auto payload = call.bytes(1);
  return played(call, call.handle->engine->playEncoded(call.stream, payload.data, payload.count, call.nowMs(),
                                                       call.boolean(2)) >= 0);
}

napi_value Resume(napi_env env, napi_callback_info callback) {
  Call<2> call(env, callback);
  if (!call.open) return call.result(0);
  call.handle->engine->resume(call.stream, call.nowMs(), call.boolean(1));
  return played(call, true);
}

napi_value SendNow(napi_env env, napi_callback_info callback) {
  Call<1> call(env, callback);
  if (!call.open) return call.result(0);
  call.handle->engine->sendNow(call.stream, call.nowMs());
  return played(call, true);
}

napi_value FadeSamples(napi_env env, napi_callback_info callback) {
  Call<2> call(env, callback);
  if (!call.open) return call.result(0);
  return call.result(call.handle->engine->fadeSamples(call.stream, call.nowMs(), call.number(1)));
}

/** 1 with the place of the payload of the frame that is being heard in `info`, or 0. */
napi_value HeardPayload(napi_env env, napi_callback_info callback) {
  Call<1> call(env, callback);
  size_t bytes = 0;
  const uint8_t* payload = call.open ? call.handle->engine->heardPayload(call.stream, bytes) : nullptr;
  if (!payload) return call.result(0);
  call.handle->info[kPayloadOffset] = static_cast<double>(payload - call.handle->payload);
  call.handle->info[kPayloadBytes] = static_cast<double>(bytes);
  return call.result(1);
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
  handle.info[kSkips] = handle.engine->skips();
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

/** A call of N arguments that does something to a stream, if it is open, and returns nothing. */
template <size_t N, auto kAction>
napi_value Do(napi_env env, napi_callback_info callback) {
  Call<N> call(env, callback);
  if (call.open) kAction(*call.handle->engine, call);
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
  return delivered(call, call.handle->engine->receiveParsed(call.stream, message, call.nowMs()));
}

/** 1 with a range in `info`, or 0. */
napi_value TakeSkipped(napi_env env, napi_callback_info callback) {
  Call<1> call(env, callback);
  SkippedRange range;
  if (!call.open || !call.handle->engine->takeSkipped(call.stream, range)) return call.result(0);
  call.handle->info[kSkippedFrom] = range.from;
  call.handle->info[kSkippedTo] = range.to;
  return call.result(1);
}

napi_value LastMediaMs(napi_env env, napi_callback_info callback) {
  Call<1> call(env, callback);
  return call.result(call.open ? call.handle->engine->lastMediaMs(call.stream) : 0);
}

void position(const Engine& engine, const Call<1>& call) {
  const Outbound& outbound = engine.outbound(call.stream);
  const double nowMs = call.nowMs();
  double* info = call.handle->info;
  info[kAccepted] = outbound.acceptedPosition();
  info[kSent] = outbound.sentPosition();
  info[kPlayed] = outbound.playout().playedPosition(nowMs);
  info[kAheadMs] = outbound.playout().aheadMs(nowMs);
  info[kQueuedMs] = outbound.queuedMs();
  info[kHead] = outbound.headPosition();
  info[kUnheardMs] = outbound.unheardMs(nowMs);
}

void hush(Engine& engine, const Call<2>& call) {
  tell(*call.handle, engine.hush(call.stream, trackOf(call.integer(1))));
}

void packetsLost(Engine& engine, const Call<2>& call) {
  engine.packetsLost(call.stream, static_cast<size_t>(call.integer(1)));
}
void noteSequence(Engine& engine, const Call<2>& call) {
  engine.noteSequence(call.stream, static_cast<uint64_t>(call.number(1)));
}
void deafen(Engine& engine, const Call<1>& call) { engine.deafen(call.stream); }
void follow(Engine& engine, const Call<2>& call) { engine.follow(call.stream, call.boolean(1)); }
void followBelow(Engine& engine, const Call<2>& call) { engine.followBelow(call.stream, call.number(1)); }
void clear(Engine& engine, const Call<2>& call) { engine.clear(call.stream, call.nowMs(), call.number(1)); }
void pause(Engine& engine, const Call<1>& call) {
  engine.pause(call.stream, call.nowMs());
  call.handle->info[kSkips] = engine.skips();
}
void remove(Engine& engine, const Call<3>& call) {
  engine.remove(call.stream, call.number(1), call.number(2));
}
void setLayerGain(Engine& engine, const Call<4>& call) {
  engine.setLayerGain(call.stream, call.integer(1), static_cast<float>(call.number(2)), call.number(3),
                      call.nowMs());
}
void stopLayer(Engine& engine, const Call<3>& call) {
  engine.stopLayer(call.stream, call.integer(1), call.number(2), call.nowMs());
}
void setSpeechGain(Engine& engine, const Call<3>& call) {
  engine.setSpeechGain(call.stream, static_cast<float>(call.number(1)), call.number(2), call.nowMs());
}
void forget(Engine& engine, const Call<1>& call) { engine.forget(call.stream, call.nowMs()); }
void cutAt(Engine& engine, const Call<2>& call) { engine.cutAt(call.stream, call.number(1)); }

constexpr EngineCall kCalls[] = {
    {"receive", Receive},
    {"receiveParsed", ReceiveParsed},
    {"next", Next},
    {"deliverPcm", DeliverPcm},
    {"play", Play},
    {"playHeard", PlayHeard},
    {"playEncoded", PlayEncoded},
    {"tick", Tick},
    {"takePcm", TakePcm},
    {"enqueuePacket", EnqueuePacket},
    {"packetsLost", Do<2, packetsLost>},
    {"lastMediaMs", LastMediaMs},
    {"takeSkipped", TakeSkipped},
    {"noteSequence", Do<2, noteSequence>},
    {"deafen", Do<1, deafen>},
    {"hush", Do<2, hush>},
    {"follow", Do<2, follow>},
    {"followBelow", Do<2, followBelow>},
    {"clear", Do<2, clear>},
    {"pause", Do<1, pause>},
    {"forget", Do<1, forget>},
    {"remove", Do<3, remove>},
    {"resume", Resume},
    {"sendNow", SendNow},
    {"setLayerGain", Do<4, setLayerGain>},
    {"stopLayer", Do<3, stopLayer>},
    {"setSpeechGain", Do<3, setSpeechGain>},
    {"fadeSamples", FadeSamples},
    {"heardPayload", HeardPayload},
    {"cutAt", Do<2, cutAt>},
    {"position", Do<1, position>},
};

}  // namespace

std::span<const EngineCall> engineCalls() { return kCalls; }

}  // namespace sidetone::binding
