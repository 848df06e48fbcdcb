#include "binding/gather.h"

#include <node_api.h>

#include <chrono>
#include <memory>
#include <new>
#include <thread>

#include "binding/clock.h"
#include "pacer/gather_plan.h"

// What is used of libuv, which Node.js exports with a stable ABI; its header does not come with Node-API's.
extern "C" {
struct uv_handle_s;
struct uv_prepare_s;
size_t uv_handle_size(int type);
void uv_handle_set_data(uv_handle_s* handle, void* data);
void* uv_handle_get_data(const uv_handle_s* handle);
int uv_prepare_init(uv_loop_s* loop, uv_prepare_s* prepare);
int uv_prepare_start(uv_prepare_s* prepare, void (*callback)(uv_prepare_s*));
void uv_unref(uv_handle_s* handle);
void uv_close(uv_handle_s* handle, void (*callback)(uv_handle_s*));
int uv_backend_timeout(const uv_loop_s* loop);
void uv_update_time(uv_loop_s* loop);
}

namespace sidetone::binding {
namespace {

constexpr int kUvPrepare = 9;  // UV_PREPARE

/**
 * Makes an event loop look at its sockets once in `waitMs` rather than once a message. A message that finds
 * the loop asleep costs a wake-up, and thousands of them a second cost more than what is done with the
 * messages. Before the loop polls, it sleeps for what is left of `waitMs` since it last did. A timer that
 * falls due earlier cuts the sleep short, and pending work prevents it.
 */
class Gatherer {
 public:
  Gatherer(Napi::Env env, Napi::Float64Array view, double waitMs)
      : env_(env), memory_(Napi::Persistent(view.As<Napi::Object>())), view_(view.Data()), plan_(waitMs) {}

  /** False: this Node.js has no loop to be had. The caller then still owns the object. */
  bool start() {
    if (napi_get_uv_event_loop(env_, &loop_) != napi_ok) return false;
    handle_ = static_cast<uv_handle_s*>(::operator new(uv_handle_size(kUvPrepare)));
    auto* const prepare = reinterpret_cast<uv_prepare_s*>(handle_);
    uv_prepare_init(loop_, prepare);
    uv_handle_set_data(handle_, this);
    uv_prepare_start(prepare, beforePoll);
    uv_unref(handle_);  // holds no process alive
    napi_add_env_cleanup_hook(env_, closeAtExit, this);
    return true;
  }

  /** The object deletes itself when the loop has let go of it. */
  void close() {
    napi_remove_env_cleanup_hook(env_, closeAtExit, this);
    closeHandle();
  }

 private:
  static void beforePoll(uv_prepare_s* prepare) {
    static_cast<Gatherer*>(uv_handle_get_data(reinterpret_cast<uv_handle_s*>(prepare)))->wait();
  }
  static void closeAtExit(void* self) { static_cast<Gatherer*>(self)->closeHandle(); }

  void closeHandle() {
    memory_.Reset();  // while there is an environment
    uv_close(handle_, [](uv_handle_s* handle) {
      delete static_cast<Gatherer*>(uv_handle_get_data(handle));
      ::operator delete(handle);
    });
  }

  void wait() {
    const double leftMs = plan_.leftMs(monotonicMs(), view_[kMessages], view_[kAnsweredMs]);
    if (leftMs == 0) return;
    uv_update_time(loop_);
    const double sleepMs = plan_.sleepMs(leftMs, uv_backend_timeout(loop_));
    if (sleepMs == 0) return;
    const double fromMs = monotonicMs();
    std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(sleepMs));
    // The loop counts what is left to its next timer from the time it knows.
    uv_update_time(loop_);
    const double untilMs = monotonicMs();
    view_[kSleptMs] += untilMs - fromMs;
    plan_.slept(untilMs);
  }

  napi_env env_;
  Napi::ObjectReference memory_;
  double* view_;
  GatherPlan plan_;
  uv_loop_s* loop_ = nullptr;
  uv_handle_s* handle_ = nullptr;
};

/** (view: Float64Array, waitMs: number) → a function that ends it. */
Napi::Value Gather(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto view = info[0].As<Napi::Float64Array>();
  if (view.ElementLength() < kPlaces) throw Napi::TypeError::New(env, "gather: view: too short");
  auto owned = std::make_unique<Gatherer>(env, view, info[1].ToNumber().DoubleValue());
  if (!owned->start()) throw Napi::Error::New(env, "gather: no event loop");
  Gatherer* gatherer = owned.release();
  return Napi::Function::New(env, [gatherer](const Napi::CallbackInfo&) mutable {
    if (gatherer) gatherer->close();
    gatherer = nullptr;
  });
}

}  // namespace

void exportGather(Napi::Env env, Napi::Object exports) {
  exports.Set("gather", Napi::Function::New(env, Gather));
}

}  // namespace sidetone::binding
