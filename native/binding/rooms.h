#pragma once
#include <napi.h>

#include <span>

#include "binding/engine_handle.h"

namespace sidetone::binding {

/** What a thread needs of rooms that it only keeps: roomBytes(), giveSeats(). */
void exportRooms(Napi::Env env, Napi::Object exports);

/** The engine's calls for rooms. */
std::span<const EngineCall> roomCalls();

/** The ones that take memory. */
void addRoomFunctions(Napi::Env env, Napi::Object engine, Handle* handle);

}  // namespace sidetone::binding
