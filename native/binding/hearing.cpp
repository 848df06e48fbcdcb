#include "binding/hearing.h"

#include <algorithm>
#include <string>

#include "resample/resampler.h"

namespace sidetone::binding {
namespace {

int rateOf(const Napi::CallbackInfo& info) {
  const double hz = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : 0;
  if (!(hz >= 8000 && hz <= 48000) || !isResampleRate(static_cast<int>(hz))) {
    throw Napi::TypeError::New(info.Env(), "rateHz must be a rate that Resampler knows");
  }
  return static_cast<int>(hz);
}

/**
 * new Listener(rateHz, { voice, keys }): .hear(pcm, frameSamples, concealed) hears what follows, cut into
 * frames. Returns { speech, events }: a probability a frame, and what was told at the end of which frame
 * (`atMs`). With `neural`, .takeVoiceWindows() and .answerVoices() are those of the engine.
 */
class ListenerBinding : public Napi::ObjectWrap<ListenerBinding> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Listener",
                       {InstanceMethod<&ListenerBinding::hear>("hear"),
                        InstanceMethod<&ListenerBinding::takeVoiceWindows>("takeVoiceWindows"),
                        InstanceMethod<&ListenerBinding::answerVoices>("answerVoices")});
  }
  explicit ListenerBinding(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<ListenerBinding>(info),
        hz_(rateOf(info)),
        listener_(hz_, readListener(info[1].As<Napi::Object>()), VoiceSeat{&windows_, 0, 0}) {}

 private:
  Napi::Value hear(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_int16_array) {
      throw Napi::TypeError::New(env, "pcm must be an Int16Array of mono samples");
    }
    const auto pcm = info[0].As<Napi::Int16Array>();
    const double wanted = info[1].IsNumber() ? info[1].As<Napi::Number>().DoubleValue() : 0;
    if (!(wanted >= 1 && wanted <= 48000)) {
      throw Napi::TypeError::New(env, "frameSamples must be a number from 1 to 48000");
    }
    const auto frame = static_cast<size_t>(wanted);
    const bool concealed = info[2].ToBoolean();
    const size_t frames = (pcm.ElementLength() + frame - 1) / frame;
    auto speech = Napi::Float32Array::New(env, frames);
    auto events = Napi::Array::New(env);
    for (size_t i = 0; i < frames; i++) {
      const size_t samples = std::min(frame, pcm.ElementLength() - i * frame);
      const Senses& senses = listener_.hear(pcm.Data() + i * frame, samples, positionMs(), concealed);
      heard_ += static_cast<double>(samples);
      speech[i] = senses.speech;
      note(events, senses);
    }
    auto result = Napi::Object::New(env);
    result.Set("speech", speech);
    result.Set("events", events);
    return result;
  }

  Napi::Value takeVoiceWindows(const Napi::CallbackInfo& info) { return takeWindows(windows_, info); }
  Napi::Value answerVoices(const Napi::CallbackInfo& info) { return answerWindows(windows_, info); }

  double positionMs() const { return heard_ * 1000 / hz_; }

  void note(Napi::Array& events, const Senses& senses) {
    const auto add = [&](const char* kind) {
      auto event = Napi::Object::New(events.Env());
      event.Set("kind", kind);
      event.Set("atMs", positionMs());
      events.Set(events.Length(), event);
      return event;
    };
    if (senses.flags & Senses::kEnded) {
      auto event = add("ended");
      event.Set("endMs", senses.endMs);
      event.Set("durationMs", senses.durationMs);
    }
    if (senses.flags & Senses::kBegan) add("began").Set("startMs", senses.startMs);
    for (uint32_t keys = senses.keys; keys != 0; keys >>= 8U) {
      add("key").Set("key", std::string(1, static_cast<char>(keys & 0xFFU)));
    }
  }

  int hz_;
  VoiceWindows windows_;
  Listener listener_;
  double heard_ = 0;  // samples
};

}  // namespace

namespace {

template <typename Array>
Array view(const Napi::CallbackInfo& info, size_t at, napi_typedarray_type type, size_t least) {
  if (info[at].IsTypedArray()) {
    const auto array = info[at].As<Napi::TypedArray>();
    if (array.TypedArrayType() == type && array.ElementLength() >= least) return info[at].As<Array>();
  }
  throw Napi::TypeError::New(info.Env(), "voice windows: an argument is of another type, or too short");
}

}  // namespace

Napi::Value takeWindows(VoiceWindows& windows, const Napi::CallbackInfo& info) {
  const size_t count = windows.count();
  auto fields = view<Napi::Int32Array>(info, 0, napi_int32_array, count * VoiceWindows::kFields);
  auto ends = view<Napi::Float64Array>(info, 1, napi_float64_array, count);
  auto samples = view<Napi::Int16Array>(info, 2, napi_int16_array, count * VoiceWindows::kSamples);
  return Napi::Number::New(info.Env(),
                           static_cast<double>(windows.take(fields.Data(), ends.Data(), samples.Data())));
}

Napi::Value answerWindows(VoiceWindows& windows, const Napi::CallbackInfo& info) {
  const auto count = static_cast<size_t>(std::max(0.0, info[0].ToNumber().DoubleValue()));
  auto fields = view<Napi::Int32Array>(info, 1, napi_int32_array, count * VoiceWindows::kFields);
  auto ends = view<Napi::Float64Array>(info, 2, napi_float64_array, count);
  auto probabilities = view<Napi::Float32Array>(info, 3, napi_float32_array, count);
  auto events = view<Napi::Float64Array>(info, 4, napi_float64_array, count * kVoiceEventFields);
  double* out = events.Data();
  for (size_t i = 0; i < count; i++) {
    VoiceEvent event;
    if (!windows.answer(fields.Data() + i * VoiceWindows::kFields, ends[i], probabilities[i], event)) continue;
    for (const double value : {static_cast<double>(event.stream), static_cast<double>(event.track),
                               static_cast<double>(event.flags), event.startMs, event.endMs, event.durationMs}) {
      *out++ = value;
    }
  }
  return Napi::Number::New(info.Env(), static_cast<double>((out - events.Data()) / static_cast<ptrdiff_t>(kVoiceEventFields)));
}

ListenerConfig readListener(const Napi::Object& object) {
  ListenerConfig config;
  config.keys = object.Get("keys").ToBoolean();
  config.neural = object.Get("neural").ToBoolean();
  if (!object.Get("voice").IsObject()) return config;
  const auto voice = object.Get("voice").As<Napi::Object>();
  VoiceOptions& options = config.voice.emplace();
  options.onsetMs = voice.Get("onsetMs").ToNumber().DoubleValue();
  options.hangoverMs = voice.Get("hangoverMs").ToNumber().DoubleValue();
  options.threshold = voice.Get("threshold").ToNumber().DoubleValue();
  options.levelMinDb = voice.Get("levelMinDb").ToNumber().DoubleValue();
  return config;
}

void exportHearing(Napi::Env env, Napi::Object exports) {
  exports.Set("Listener", ListenerBinding::define(env));
}

}  // namespace sidetone::binding
