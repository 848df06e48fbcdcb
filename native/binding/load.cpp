#include "binding/load.h"

#include <algorithm>
#include <memory>
#include <thread>

#include "load/generator.h"

namespace sidetone::binding {
namespace {

using load::LoadOptions;
using load::LoadResult;

std::string text(const Napi::Object& object, const char* name) {
  return object.Get(name).As<Napi::String>().Utf8Value();
}
uint32_t number(const Napi::Object& object, const char* name) {
  return object.Get(name).As<Napi::Number>().Uint32Value();
}

load::Codec codecOf(const std::string& name) {
  if (name == "PCMA") return load::Codec::Pcma;
  if (name == "G722") return load::Codec::G722;
  if (name == "OPUS") return load::Codec::Opus;
  if (name == "AMR-WB") return load::Codec::AmrWb;
  if (name == "L16") return load::Codec::L16;
  return load::Codec::Pcmu;
}

LoadOptions readOptions(const Napi::Object& from) {
  LoadOptions options;
  options.address = text(from, "address");
  options.port = static_cast<uint16_t>(number(from, "port"));
  options.upgradeRequest = text(from, "upgradeRequest");
  options.connectedMessage = text(from, "connectedMessage");
  options.encoding = text(from, "encoding");
  options.clockRate = number(from, "clockRate");
  options.codec = codecOf(options.encoding);
  options.replyCodec = codecOf(text(from, "replyEncoding"));
  options.replySampleRate = number(from, "replySampleRate");
  const std::string mode = text(from, "mode");
  options.mode = mode == "echo"     ? load::Mode::Echo
                 : mode == "bridge" ? load::Mode::Bridge
                                    : load::Mode::Listen;
  options.verify = from.Get("verify").ToBoolean();
  options.streams = number(from, "streams");
  options.connectsPerSecond = number(from, "connectsPerSecond");
  options.ptimeMs = number(from, "ptimeMs");
  options.warmupMs = number(from, "warmupMs");
  options.measureMs = number(from, "measureMs");
  options.connectTimeoutMs = number(from, "connectTimeoutMs");
  options.drainMs = number(from, "drainMs");
  options.playoutMs = number(from, "playoutMs");
  options.utteranceGapMs = number(from, "utteranceGapMs");
  options.serverPid = static_cast<int>(number(from, "serverPid"));
  const Napi::Array frames = from.Get("frames").As<Napi::Array>();
  for (uint32_t i = 0; i < frames.Length(); i++) {
    const Napi::Uint8Array frame = frames.Get(i).As<Napi::Uint8Array>();
    options.frames.emplace_back(frame.Data(), frame.Data() + frame.ByteLength());
  }
  return options;
}

/** What only misuse from within this package can get wrong; the TypeScript side checks what users give. */
const char* complaint(const LoadOptions& options) {
  if (options.streams == 0 || options.streams > load::kStampStreams) return "streams must be 1 to 16384";
  if (options.ptimeMs == 0 || options.connectsPerSecond == 0)
    return "ptimeMs and connectsPerSecond must be over 0";
  if (options.frames.empty()) return "frames must hold at least one payload";
  if (options.clockRate == 0 || options.replySampleRate == 0) return "rates must be over 0";
  for (const auto& frame : options.frames) {
    if (frame.size() < load::kStampBytes) return "every payload must have at least 6 bytes";
    if (frame.size() > 16384) return "no payload may have over 16384 bytes";
    if (load::isFixedRate(options.codec) && frame.size() != options.frames[0].size()) {
      return "the payloads of a fixed-rate codec must be of one size";
    }
  }
  return nullptr;
}

Napi::Object histogramToJs(Napi::Env env, const load::Histogram& histogram) {
  size_t used = 0;
  for (size_t i = 0; i < load::Histogram::kBuckets; i++) used += size_t{histogram.bucketCount(i) > 0};
  // Three numbers a bucket that holds any: its lowest value in µs, its width, its count.
  Napi::Float64Array buckets = Napi::Float64Array::New(env, used * 3);
  double* const values = buckets.Data();
  size_t at = 0;
  for (size_t i = 0; i < load::Histogram::kBuckets; i++) {
    if (histogram.bucketCount(i) == 0) continue;
    values[at++] = static_cast<double>(load::Histogram::lowUs(i));
    values[at++] = static_cast<double>(load::Histogram::widthUs(i));
    values[at++] = static_cast<double>(histogram.bucketCount(i));
  }
  Napi::Object out = Napi::Object::New(env);
  out.Set("count", static_cast<double>(histogram.count()));
  out.Set("minUs", static_cast<double>(histogram.minUs()));
  out.Set("maxUs", static_cast<double>(histogram.maxUs()));
  out.Set("meanUs", histogram.meanUs());
  out.Set("p50Us", histogram.quantileUs(0.5));
  out.Set("p90Us", histogram.quantileUs(0.9));
  out.Set("p99Us", histogram.quantileUs(0.99));
  out.Set("p999Us", histogram.quantileUs(0.999));
  out.Set("buckets", buckets);
  return out;
}

Napi::Object processToJs(Napi::Env env, const load::ProcessUse& use) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("userUs", static_cast<double>(use.cpu.userUs));
  out.Set("kernelUs", static_cast<double>(use.cpu.kernelUs));
  out.Set("rssBytes", static_cast<double>(use.rssBytes));
  return out;
}

Napi::Object resultToJs(Napi::Env env, const LoadResult& result) {
  Napi::Object out = Napi::Object::New(env);
  const auto set = [&out](const char* name, auto value) { out.Set(name, static_cast<double>(value)); };
  out.Set("failure", result.failure);
  out.Set("firstError", result.firstError);
  set("windowUs", result.windowUs);
  set("framesSent", result.window.framesSent);
  set("framesNotSent", result.window.framesNotSent);
  set("wireBytesSent", result.window.wireBytesSent);
  set("wireBytesReceived", result.window.wireBytesReceived);
  set("mediaMessages", result.window.mediaMessages);
  set("payloadBytes", result.window.payloadBytes);
  set("audioMs", result.window.audioTicks / 48);
  set("underruns", result.window.underruns);
  set("underrunUs", result.window.underrunUs);
  set("streamsWithUnderrun", result.streamsWithUnderrun);
  set("opened", result.run.opened);
  set("connectFailed", result.run.connectFailed);
  set("upgradeRefused", result.run.upgradeRefused);
  set("timedOut", result.run.timedOut);
  set("closedEarly", result.run.closedEarly);
  set("protocolErrors", result.run.protocolErrors);
  set("marks", result.run.marks);
  set("marksReturned", result.run.marksReturned);
  set("marksRefused", result.run.marksRefused);
  set("clears", result.run.clears);
  set("otherMessages", result.run.otherMessages);
  set("badMessages", result.run.badMessages);
  set("badPayloads", result.run.badPayloads);
  set("framesUnreturned", result.run.framesUnreturned);
  set("bytesRight", result.verify.bytesRight);
  set("bytesWrong", result.verify.bytesWrong);
  set("framesMissing", result.verify.framesMissing);
  set("framesRepeated", result.verify.framesRepeated);
  set("generatorUserUs", result.generatorCpu.userUs);
  set("generatorKernelUs", result.generatorCpu.kernelUs);
  out.Set("latency", histogramToJs(env, result.latency));
  out.Set("sendLateness", histogramToJs(env, result.sendLateness));
  out.Set("deadlineError", histogramToJs(env, result.deadlineError));
  out.Set("underrunLength", histogramToJs(env, result.underrunLength));
  Napi::Float64Array rates = Napi::Float64Array::New(env, result.audioRates.size());
  std::copy(result.audioRates.begin(), result.audioRates.end(), rates.Data());
  out.Set("audioRates", rates);
  if (result.serverKnown) {
    out.Set("serverBefore", processToJs(env, result.serverBefore));
    out.Set("serverAfter", processToJs(env, result.serverAfter));
  }
  return out;
}

/**
 * One run: its thread, what it reports, and the way back into JavaScript. Owned by the object that runLoad()
 * returned and by the threadsafe function, so it outlives both the thread and the caller's interest. At the
 * environment's end the thread is stopped and joined.
 */
struct Run {
  LoadOptions options;
  load::Progress progress;
  LoadResult result;
  std::thread thread;
  Napi::ThreadSafeFunction done;

  void join() {
    progress.stop.store(true);
    if (thread.joinable()) thread.join();
  }
};

Napi::Value runLoad(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto run = std::make_shared<Run>();
  run->options = readOptions(info[0].As<Napi::Object>());
  if (const char* wrong = complaint(run->options)) {
    throw Napi::RangeError::New(env, std::string("runLoad: ") + wrong);
  }

  using Held = std::shared_ptr<Run>;
  run->done = Napi::ThreadSafeFunction::New(
      env, info[1].As<Napi::Function>(), "sidetone load", 0, 1,
      [](Napi::Env, Held* held) {
        (*held)->join();
        delete held;
      },
      new Held(run));
  run->thread = std::thread([raw = run.get()] {
    raw->result = load::runLoad(raw->options, raw->progress);
    const napi_status status = raw->done.BlockingCall([raw](Napi::Env callEnv, Napi::Function callback) {
      callback.Call({resultToJs(callEnv, raw->result)});
    });
    // An environment that is ending has taken the function back already.
    if (status != napi_closing) raw->done.Release();
  });

  Napi::Object handle = Napi::Object::New(env);
  handle.Set("progress", Napi::Function::New(env, [run](const Napi::CallbackInfo& call) {
               Napi::Object out = Napi::Object::New(call.Env());
               constexpr const char* kPhases[] = {"connecting", "warming-up", "measuring",
                                                  "draining",   "closing",    "done"};
               out.Set("phase", kPhases[static_cast<size_t>(run->progress.phase.load())]);
               out.Set("opened", run->progress.opened.load());
               out.Set("failed", run->progress.failed.load());
               out.Set("framesSent", static_cast<double>(run->progress.framesSent.load()));
               out.Set("mediaMessages", static_cast<double>(run->progress.mediaMessages.load()));
               return out;
             }));
  handle.Set("stop",
             Napi::Function::New(env, [run](const Napi::CallbackInfo&) { run->progress.stop.store(true); }));
  return handle;
}

}  // namespace

void exportLoad(Napi::Env env, Napi::Object exports) {
  exports.Set("runLoad", Napi::Function::New(env, runLoad));
}

}  // namespace sidetone::binding
