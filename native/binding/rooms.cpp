#include "binding/rooms.h"

#include "binding/arguments.h"

namespace sidetone::binding {
namespace {

RoomShape shapeOf(const Napi::Value& seats, const Napi::Value& sampleHzMax) {
  return {static_cast<size_t>(seats.ToNumber().Int64Value()),
          roomRateFor(sampleHzMax.ToNumber().Int32Value())};
}

/** @throws TypeError for memory that is too small for the shape */
uint8_t* memoryOf(Napi::Env env, const Napi::Value& value, const RoomShape& shape) {
  auto memory = value.As<Napi::Uint8Array>();
  if (memory.ByteLength() < RoomMemory::bytes(shape)) {
    throw Napi::TypeError::New(env, "a room's memory is smaller than roomBytes() says");
  }
  return memory.Data();
}

Napi::Value RoomBytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(RoomMemory::bytes(shapeOf(info[0], info[1]))));
}

Napi::Value GiveSeats(const Napi::CallbackInfo& info) {
  const RoomShape shape = shapeOf(info[1], info[2]);
  RoomMemory(memoryOf(info.Env(), info[0], shape), shape).giveAll(info[3].ToNumber().Uint32Value());
  return info.Env().Undefined();
}

Napi::Value OpenRoom(const Napi::CallbackInfo& info) {
  auto& handle = *static_cast<Handle*>(info.Data());
  const RoomShape shape = shapeOf(info[1], info[2]);
  uint8_t* memory = memoryOf(info.Env(), info[0], shape);
  const int room = handle.engine->openRoom(memory, shape, info[3].ToNumber().Uint32Value());
  const auto at = static_cast<size_t>(room);
  if (handle.rooms.size() <= at) handle.rooms.resize(at + 1);
  handle.rooms[at] = Napi::Persistent(info[0].As<Napi::TypedArray>());
  return Napi::Number::New(info.Env(), room);
}

Napi::Value CloseRoom(const Napi::CallbackInfo& info) {
  auto& handle = *static_cast<Handle*>(info.Data());
  const int room = info[0].ToNumber().Int32Value();
  if (handle.engine && handle.engine->room(room)) {
    handle.engine->closeRoom(room);
    handle.rooms[static_cast<size_t>(room)].Reset();
  }
  return info.Env().Undefined();
}

struct RoomCall : FastArguments<2> {
  RoomCall(napi_env env, napi_callback_info callback) : FastArguments<2>(env, callback) {
    handle = self<Handle>();
    room = handle->engine ? handle->engine->room(integer(0)) : nullptr;
  }
  double nowMs() const { return handle->info[kNowMs]; }
  Handle* handle;
  Room* room;
};

bool isOpen(const Handle& handle, int stream) { return handle.engine && handle.engine->isOpen(stream); }

/** 1, or 0 where it is full. */
napi_value Join(napi_env env, napi_callback_info callback) {
  FastArguments<2> call(env, callback);
  auto& handle = *call.self<Handle>();
  if (!isOpen(handle, call.integer(0))) return call.result(0);
  const bool hasJoined = handle.engine->join(call.integer(0), call.integer(1), handle.info[kNowMs]);
  handle.info[kScheduled] = static_cast<double>(handle.engine->scheduled());
  return call.result(hasJoined ? 1 : 0);
}

napi_value Leave(napi_env env, napi_callback_info callback) {
  FastArguments<1> call(env, callback);
  auto& handle = *call.self<Handle>();
  if (isOpen(handle, call.integer(0))) handle.engine->leave(call.integer(0));
  return nullptr;
}

napi_value SetSeat(napi_env env, napi_callback_info callback) {
  FastArguments<3> call(env, callback);
  auto& handle = *call.self<Handle>();
  if (isOpen(handle, call.integer(0))) {
    handle.engine->setSeat(call.integer(0), call.boolean(1), call.boolean(2));
  }
  return nullptr;
}

napi_value HasOwnAudio(napi_env env, napi_callback_info callback) {
  FastArguments<1> call(env, callback);
  auto& handle = *call.self<Handle>();
  const int stream = call.integer(0);
  return call.result(isOpen(handle, stream) && handle.engine->hasOwnAudio(stream, handle.info[kNowMs]) ? 1 : 0);
}

napi_value RoomTaken(napi_env env, napi_callback_info callback) {
  RoomCall call(env, callback);
  return call.result(call.room ? static_cast<int32_t>(call.room->taken()) : 0);
}

napi_value RecordRoom(napi_env env, napi_callback_info callback) {
  RoomCall call(env, callback);
  if (!call.room) return nullptr;
  call.handle->engine->record(call.integer(0), call.integer(1), call.nowMs());
  call.handle->info[kScheduled] = static_cast<double>(call.handle->engine->scheduled());
  return nullptr;
}

napi_value StopRecording(napi_env env, napi_callback_info callback) {
  RoomCall call(env, callback);
  if (call.room) call.room->stopRecording();
  return nullptr;
}

napi_value TakeRecording(napi_env env, napi_callback_info callback) {
  RoomCall call(env, callback);
  if (!call.room || !call.room->tape()) return call.result(0);
  const auto pcm = call.samples(1);
  return call.result(static_cast<double>(call.room->tape()->take(pcm.data, pcm.count)));
}

constexpr EngineCall kCalls[] = {
    {"join", Join},
    {"leave", Leave},
    {"setSeat", SetSeat},
    {"hasOwnAudio", HasOwnAudio},
    {"roomTaken", RoomTaken},
    {"recordRoom", RecordRoom},
    {"stopRecording", StopRecording},
    {"takeRecording", TakeRecording},
};

}  // namespace

std::span<const EngineCall> roomCalls() { return kCalls; }

void addRoomFunctions(Napi::Env env, Napi::Object engine, Handle* handle) {
  engine.Set("openRoom", Napi::Function::New(env, OpenRoom, "openRoom", handle));
  engine.Set("closeRoom", Napi::Function::New(env, CloseRoom, "closeRoom", handle));
}

void exportRooms(Napi::Env env, Napi::Object exports) {
  exports.Set("roomBytes", Napi::Function::New(env, RoomBytes));
  exports.Set("giveSeats", Napi::Function::New(env, GiveSeats));
}

}  // namespace sidetone::binding
