#include "binding/clock.h"

#include <chrono>

namespace sidetone::binding {

double monotonicMs() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::milli>(since).count();
}

namespace {

Napi::Value MonotonicMs(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), monotonicMs());
}

napi_value Stamp(napi_env env, napi_callback_info callback) {
  void* place = nullptr;
  napi_get_cb_info(env, callback, nullptr, nullptr, nullptr, &place);
  *static_cast<double*>(place) = monotonicMs();
  return nullptr;
}

/** (view: Float64Array, at: number) → a function that writes the time to view[at]. */
Napi::Value CreateStamper(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto view = info[0].As<Napi::Float64Array>();
  const auto at = info[1].ToNumber().Uint32Value();
  if (at >= view.ElementLength()) throw Napi::TypeError::New(env, "createStamper: at: outside of the view");
  napi_value stamp = nullptr;
  napi_create_function(env, "stamp", NAPI_AUTO_LENGTH, Stamp, view.Data() + at, &stamp);
  // The memory lives as long as the function that writes to it.
  Napi::Function(env, stamp).Set("view", view);
  return Napi::Value(env, stamp);
}

}  // namespace

void exportClock(Napi::Env env, Napi::Object exports) {
  exports.Set("monotonicMs", Napi::Function::New(env, MonotonicMs));
  exports.Set("createStamper", Napi::Function::New(env, CreateStamper));
}

}  // namespace sidetone::binding
