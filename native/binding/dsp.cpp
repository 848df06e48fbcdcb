#include "binding/dsp.h"

#include <algorithm>
#include <string>

#include "plc/concealer.h"
#include "resample/resampler.h"

namespace sidetone::binding {
namespace {

/** At most this many samples a call: ten minutes at 48 kHz. Bounds what one call may allocate. */
constexpr size_t kCallSamplesMax = size_t{48000} * 600;

[[noreturn]] void fail(const Napi::CallbackInfo& info, const std::string& message) {
  throw Napi::TypeError::New(info.Env(), message);
}

int rateArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  const Napi::Value value = info[index];
  const double hz = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : 0;
  if (!(hz >= 8000 && hz <= 48000) || !isResampleRate(static_cast<int>(hz)) || hz != static_cast<int>(hz)) {
    fail(info,
         std::string(name) + " must be one of 8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000 (Hz)");
  }
  return static_cast<int>(hz);
}

Napi::Int16Array samplesArgument(const Napi::CallbackInfo& info, const char* name) {
  if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_int16_array) {
    fail(info, std::string(name) + " must be an Int16Array of mono samples");
  }
  const auto samples = info[0].As<Napi::Int16Array>();
  if (samples.ElementLength() > kCallSamplesMax) {
    fail(info, std::string(name) + " holds more than 28,800,000 samples: pass it in parts");
  }
  return samples;
}

size_t countArgument(const Napi::CallbackInfo& info, const char* name) {
  const double count = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : -1;
  if (!(count >= 0 && count <= static_cast<double>(kCallSamplesMax)) ||
      count != static_cast<double>(static_cast<size_t>(count))) {
    fail(info, std::string(name) + " must be a whole number of samples from 0 to 28,800,000");
  }
  return static_cast<size_t>(count);
}

/** The first `length` elements, without copying. */
Napi::Int16Array head(const Napi::Int16Array& array, size_t length) {
  return Napi::Int16Array::New(array.Env(), length, array.ArrayBuffer(), 0);
}

/** new Resampler(fromHz, toHz): .process(Int16Array) and .flush() return Int16Array, .reset(), .delayMs,
 * .stateBytes
 */
class ResamplerBinding : public Napi::ObjectWrap<ResamplerBinding> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Resampler",
        {InstanceMethod<&ResamplerBinding::process>("process"),
         InstanceMethod<&ResamplerBinding::flush>("flush"), InstanceMethod<&ResamplerBinding::reset>("reset"),
         InstanceAccessor<&ResamplerBinding::delayMs>("delayMs"),
         InstanceAccessor<&ResamplerBinding::stateBytes>("stateBytes")});
  }
  explicit ResamplerBinding(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<ResamplerBinding>(info),
        resampler_(rateArgument(info, 0, "fromHz"), rateArgument(info, 1, "toHz")) {}

 private:
  Napi::Value process(const Napi::CallbackInfo& info) {
    const auto in = samplesArgument(info, "samples");
    auto out = Napi::Int16Array::New(info.Env(), resampler_.outputMax(in.ElementLength()));
    return head(out, resampler_.process(in.Data(), in.ElementLength(), out.Data()));
  }
  Napi::Value flush(const Napi::CallbackInfo& info) {
    auto out = Napi::Int16Array::New(info.Env(), resampler_.flushMax());
    return head(out, resampler_.flush(out.Data()));
  }
  void reset(const Napi::CallbackInfo&) { resampler_.reset(); }
  Napi::Value delayMs(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), resampler_.delayMs());
  }
  Napi::Value stateBytes(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(resampler_.stateBytes()));
  }

  Resampler resampler_;
};

/** new Concealer(rateHz, { standardTiming? }): .receive(Int16Array) (in place), .conceal(samples) returns
 * Int16Array, .reset(), .delaySamples, .stateBytes */
class ConcealerBinding : public Napi::ObjectWrap<ConcealerBinding> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Concealer",
                       {InstanceMethod<&ConcealerBinding::receive>("receive"),
                        InstanceMethod<&ConcealerBinding::conceal>("conceal"),
                        InstanceMethod<&ConcealerBinding::reset>("reset"),
                        InstanceAccessor<&ConcealerBinding::delaySamples>("delaySamples"),
                        InstanceAccessor<&ConcealerBinding::stateBytes>("stateBytes")});
  }
  explicit ConcealerBinding(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<ConcealerBinding>(info), concealer_(rateArgument(info, 0, "rateHz"), timing(info)) {}

 private:
  static Concealer::Timing timing(const Napi::CallbackInfo& info) {
    if (info[1].IsUndefined()) return Concealer::Timing::Live;
    if (!info[1].IsObject()) fail(info, "options must be an object, such as { standardTiming: true }");
    const bool standard = info[1].As<Napi::Object>().Get("standardTiming").ToBoolean();
    return standard ? Concealer::Timing::Standard : Concealer::Timing::Live;
  }
  void receive(const Napi::CallbackInfo& info) {
    auto frame = samplesArgument(info, "frame");
    concealer_.receive(frame.Data(), frame.ElementLength());
  }
  Napi::Value conceal(const Napi::CallbackInfo& info) {
    const size_t samples = countArgument(info, "samples");
    auto out = Napi::Int16Array::New(info.Env(), samples);
    concealer_.conceal(out.Data(), samples);
    return out;
  }
  void reset(const Napi::CallbackInfo&) { concealer_.reset(); }
  Napi::Value delaySamples(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(concealer_.delaySamples()));
  }
  Napi::Value stateBytes(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(concealer_.stateBytes()));
  }

  Concealer concealer_;
};

}  // namespace

void exportDsp(Napi::Env env, Napi::Object exports) {
  exports.Set("Resampler", ResamplerBinding::define(env));
  exports.Set("Concealer", ConcealerBinding::define(env));
}

}  // namespace sidetone::binding
