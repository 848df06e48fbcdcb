#include "binding/supervision.h"

#include <node_api.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#ifdef __linux__
#include <linux/sockios.h>
#include <sys/ioctl.h>
#endif
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <memory>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "notify/notify.h"

// What is used of libuv, which Node.js exports with a stable ABI; its header does not come with Node-API's.
extern "C" {
struct uv_handle_s;
void uv_walk(uv_loop_s* loop, void (*callback)(uv_handle_s*, void*), void* argument);
int uv_is_closing(const uv_handle_s* handle);
int uv_handle_get_type(const uv_handle_s* handle);
int uv_fileno(const uv_handle_s* handle, int* descriptor);
void uv_close(uv_handle_s* handle, void (*callback)(uv_handle_s*));
int uv_run(uv_loop_s* loop, int mode);
}

namespace sidetone::binding {
namespace {

using std::chrono::milliseconds;

constexpr int kUvPoll = 8;       // UV_POLL
constexpr int kUvRunNoWait = 2;  // UV_RUN_NOWAIT

/** A word of the memory that all threads of a server share. The main thread holds the memory. */
class Word {
 public:
  Word(Napi::Int32Array words, Napi::Value at) : at_(words.Data() + at.ToNumber().Uint32Value()) {}
  int32_t load() const { return std::atomic_ref<int32_t>(*at_).load(); }
  void store(int32_t value) { std::atomic_ref<int32_t>(*at_).store(value); }

 private:
  int32_t* at_;
};

// --- the end of a thread ---

/**
 * Node.js aborts the process when a thread ends whose event loop has open handles, and uWebSockets.js leaves
 * those of its sockets open. So they are closed here, whatever ended the thread.
 */
struct ThreadEnd {
  napi_env env;
  Word ending;
  Word undealt;
  Word port;
};

/** How long the main thread may take to deal no more connections to a thread that ends. */
constexpr auto kUndealtWithin = milliseconds(1500);

/** The sockets of uWebSockets.js on this loop: polled, of TCP, and on the port of the server. */
std::vector<uv_handle_s*> socketsOn(uv_loop_s* loop, int port) {
  struct Search {
    std::vector<uv_handle_s*> found;
    int port;
  } search{{}, port};
  uv_walk(
      loop,
      [](uv_handle_s* handle, void* argument) {
        auto* const wanted = static_cast<Search*>(argument);
        int descriptor = -1;
        if (uv_handle_get_type(handle) != kUvPoll || uv_is_closing(handle)) return;
        if (uv_fileno(handle, &descriptor) != 0) return;
        sockaddr_storage address{};
        socklen_t length = sizeof address;
        if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length) != 0) return;
        uint16_t local = 0;
        if (address.ss_family == AF_INET) local = ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port);
        if (address.ss_family == AF_INET6)
          local = ntohs(reinterpret_cast<sockaddr_in6*>(&address)->sin6_port);
        if (local == wanted->port) wanted->found.push_back(handle);
      },
      &search);
  return std::move(search.found);
}

void closeSockets(uv_loop_s* loop, int port) {
  for (auto* const handle : socketsOn(loop, port)) {
    int descriptor = -1;
    if (uv_fileno(handle, &descriptor) != 0) continue;
    // Its memory belongs to uWebSockets.js and outlives the loop.
    uv_close(handle, nullptr);
    close(descriptor);
  }
}

void atThreadEnd(void* argument) {
  const std::unique_ptr<ThreadEnd> end(static_cast<ThreadEnd*>(argument));
  uv_loop_s* loop = nullptr;
  if (napi_get_uv_event_loop(end->env, &loop) != napi_ok) return;
  end->ending.store(1);
  for (auto waited = milliseconds(0); end->undealt.load() == 0 && waited < kUndealtWithin; ++waited) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  closeSockets(loop, end->port.load());
  // Connections that were dealt and not yet taken become sockets in this turn.
  uv_run(loop, kUvRunNoWait);
  closeSockets(loop, end->port.load());
}

/** (words: Int32Array, { ending, undealt, port }: places in it): to be called after uWebSockets.js was
 * loaded. */
Napi::Value CloseSocketsAtEnd(const Napi::CallbackInfo& info) {
  auto words = info[0].As<Napi::Int32Array>();
  auto at = info[1].As<Napi::Object>();
  auto* const end = new ThreadEnd{info.Env(), Word(words, at.Get("ending")), Word(words, at.Get("undealt")),
                                  Word(words, at.Get("port"))};
  napi_add_env_cleanup_hook(info.Env(), atThreadEnd, end);
  return info.Env().Undefined();
}

/** Whether the peer of this socket has not read all that was sent, or has not answered the end of it. */
bool isUnfinished(uv_handle_s* handle) {
  int descriptor = -1;
  if (uv_fileno(handle, &descriptor) != 0) return false;
  int listens = 0;
  socklen_t length = sizeof listens;
  if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0 || listens != 0) return false;
#ifdef __linux__
  tcp_info info{};
  length = sizeof info;
  int unread = 0;
  if (getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 &&
      ioctl(descriptor, SIOCOUTQ, &unread) == 0) {
    return info.tcpi_state != TCP_ESTABLISHED || unread > 0;
  }
#endif
  return true;
}

/** (port) → connections of this thread at that port that are sending or being shut down. */
Napi::Value UnfinishedConnections(const Napi::CallbackInfo& info) {
  uv_loop_s* loop = nullptr;
  if (napi_get_uv_event_loop(info.Env(), &loop) != napi_ok) return Napi::Number::New(info.Env(), 0);
  const auto sockets = socketsOn(loop, info[0].ToNumber().Int32Value());
  const auto count = std::count_if(sockets.begin(), sockets.end(), isUnfinished);
  return Napi::Number::New(info.Env(), static_cast<double>(count));
}

// --- the watch over the process ---

std::atomic<int> signals{0};
std::array<struct sigaction, NSIG> passedOn{};

/** Counts a signal that the main thread may be too busy to hear of, and passes it on to Node.js. */
void noteSignal(int number, siginfo_t* details, void* context) {
  signals.fetch_add(1);
  const auto& next = passedOn[static_cast<size_t>(number)];
  if (next.sa_flags & SA_SIGINFO) {
    next.sa_sigaction(number, details, context);
  } else if (next.sa_handler != SIG_DFL && next.sa_handler != SIG_IGN) {
    next.sa_handler(number);
  }
}

void noteSignals(int number) {
  struct sigaction current{};
  sigaction(number, nullptr, &current);
  if ((current.sa_flags & SA_SIGINFO) && current.sa_sigaction == noteSignal) return;
  passedOn[static_cast<size_t>(number)] = current;
  struct sigaction noting = current;
  noting.sa_flags |= SA_SIGINFO;
  noting.sa_sigaction = noteSignal;
  sigaction(number, &noting, nullptr);
}

constexpr auto kTick = milliseconds(100);
/** After the deadline a main thread that has not beaten all the while gets this long, any other the longer
 * time. */
constexpr int kGraceStuckMs = 4000;
constexpr int kGraceMs = 10'000;

class Watch {
 public:
  struct Setup {
    Word beat;
    Word draining;
    Word closingNow;
    int stuckMs;
    double drainMs;
    /** Lines of the log without the time: what stands before it, and what after. Empty: not wanted. */
    std::string stuckLine;
    std::string turnsLine;
    std::string deadlineLine;
  };

  explicit Watch(Setup setup) : setup_(std::move(setup)), thread_([this] { run(); }) {}

  ~Watch() {
    stop_.release();
    thread_.join();
  }

 private:
  void run() {
    while (!stop_.try_acquire_for(kTick)) tick();
  }

  /** Time is counted in ticks: a process that was stopped, or a machine that slept, is not late. */
  void tick() {
    const int32_t beat = setup_.beat.load();
    if (beat != beat_) {
      if (stillMs_ >= setup_.stuckMs) write(setup_.turnsLine);
      beat_ = beat;
      stillMs_ = 0;
    } else {
      stillMs_ += static_cast<int>(kTick.count());
      if (stillMs_ == setup_.stuckMs) write(setup_.stuckLine);
    }
    const bool isClosingNow = signals.load() >= 2 || setup_.closingNow.load() != 0;
    if (isClosingNow) closingNowMs_ += static_cast<int>(kTick.count());
    if (signals.load() >= 1 || setup_.draining.load() != 0) drainingMs_ += static_cast<int>(kTick.count());
    const int graceMs = stillMs_ >= kGraceStuckMs ? kGraceStuckMs : kGraceMs;
    if (drainingMs_ < setup_.drainMs + graceMs && closingNowMs_ < graceMs) return;
    write(setup_.deadlineLine);
    _exit(1);
  }

  static void write(const std::string& line) {
    if (line.empty()) return;
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto time = std::to_string(std::chrono::duration_cast<milliseconds>(now).count());
    std::string whole = line;
    const auto at = whole.find(kTimeMark);
    if (at != std::string::npos) whole.replace(at, std::strlen(kTimeMark), time);
    whole += '\n';
    [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, whole.data(), whole.size());
  }

  static constexpr const char* kTimeMark = "\"TIME\"";

  Setup setup_;
  int32_t beat_ = 0;
  int stillMs_ = 0;
  int drainingMs_ = 0;
  int closingNowMs_ = 0;
  // A condition variable with a monotonic timeout would want glibc 2.30.
  std::binary_semaphore stop_{0};
  std::thread thread_;  // last: it uses all the others
};

void endWatch(void* watch) { delete static_cast<Watch*>(watch); }

/**
 * (words: Int32Array, { beat, draining, closingNow }: places in it, { stuckMs, drainMs }, { stuck, turns,
 * deadline }: lines) → a function that ends it. To be called after SIGTERM and SIGINT were listened to.
 */
Napi::Value WatchProcess(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto words = info[0].As<Napi::Int32Array>();
  auto at = info[1].As<Napi::Object>();
  auto times = info[2].As<Napi::Object>();
  auto lines = info[3].As<Napi::Object>();
  const auto line = [&](const char* name) { return lines.Get(name).ToString().Utf8Value(); };
  noteSignals(SIGTERM);
  noteSignals(SIGINT);
  auto* watch = new Watch({Word(words, at.Get("beat")), Word(words, at.Get("draining")),
                           Word(words, at.Get("closingNow")), times.Get("stuckMs").ToNumber().Int32Value(),
                           times.Get("drainMs").ToNumber().DoubleValue(), line("stuck"), line("turns"),
                           line("deadline")});
  napi_add_env_cleanup_hook(env, endWatch, watch);
  return env.Undefined();
}

/** (address, message) → 0 or an errno: see notify/notify.h. */
Napi::Value Notify(const Napi::CallbackInfo& info) {
  const auto text = [&](size_t at) { return info[at].ToString().Utf8Value(); };
  return Napi::Number::New(info.Env(), notify(text(0), text(1)));
}

}  // namespace

void exportSupervision(Napi::Env env, Napi::Object exports) {
  exports.Set("closeSocketsAtEnd", Napi::Function::New(env, CloseSocketsAtEnd));
  exports.Set("unfinishedConnections", Napi::Function::New(env, UnfinishedConnections));
  exports.Set("watchProcess", Napi::Function::New(env, WatchProcess));
  exports.Set("notify", Napi::Function::New(env, Notify));
}

}  // namespace sidetone::binding
