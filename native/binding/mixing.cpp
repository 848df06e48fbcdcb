// The sounds that streams have beside what they play. JavaScript holds them as externals.
#include "binding/mixing.h"

#include <memory>

namespace sidetone::binding {
namespace {
using Shared = std::shared_ptr<const Sound>;

Napi::Value external(Napi::Env env, Shared sound) {
  const auto bytes = static_cast<int64_t>(sound->samples.size() * sizeof(int16_t));
  Napi::MemoryManagement::AdjustExternalMemory(env, bytes);
  return Napi::External<Shared>::New(env, new Shared(std::move(sound)), [bytes](Napi::Env end, Shared* held) {
    Napi::MemoryManagement::AdjustExternalMemory(end, -bytes);
    delete held;
  });
}

/** makeSound(pcm, fromHz, toHz, loops): `pcm` has a sample at least, and the caller has checked the rates. */
Napi::Value MakeSound(const Napi::CallbackInfo& info) {
  const auto pcm = info[0].As<Napi::Int16Array>();
  return external(info.Env(), makeSound(pcm.Data(), pcm.ElementLength(), info[1].ToNumber().Int32Value(),
                                        info[2].ToNumber().Int32Value(), info[3].ToBoolean()));
}

/** comfortNoise(hz) */
Napi::Value ComfortNoise(const Napi::CallbackInfo& info) {
  return external(info.Env(), comfortNoise(info[0].ToNumber().Int32Value()));
}

/** numberSound(sound): a number by which another thread gets it. */
Napi::Value NumberSound(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), soundNumbers().add(*info[0].As<Napi::External<Shared>>().Data()));
}

/** numberedSound(number): undefined where nobody has it any more. */
Napi::Value NumberedSound(const Napi::CallbackInfo& info) {
  auto sound = soundNumbers().at(info[0].ToNumber().Uint32Value());
  return sound ? external(info.Env(), std::move(sound)) : info.Env().Undefined();
}

}  // namespace

LayerConfig readLayer(const Napi::Value& sound, const Napi::Object& options) {
  LayerConfig layer;
  layer.sound = *sound.As<Napi::External<Shared>>().Data();
  layer.number = options.Get("number").ToNumber().Int32Value();
  layer.gain = options.Get("gain").ToNumber().FloatValue();
  layer.duckedGain = options.Get("duckedGain").ToNumber().FloatValue();
  layer.loops = options.Get("loops").ToBoolean();
  layer.fadeMs = options.Get("fadeMs").ToNumber().DoubleValue();
  layer.offset = static_cast<size_t>(options.Get("offset").ToNumber().DoubleValue());
  return layer;
}

void exportMixing(Napi::Env env, Napi::Object exports) {
  exports.Set("makeSound", Napi::Function::New(env, MakeSound));
  exports.Set("comfortNoise", Napi::Function::New(env, ComfortNoise));
  exports.Set("numberSound", Napi::Function::New(env, NumberSound));
  exports.Set("numberedSound", Napi::Function::New(env, NumberedSound));
  exports.Set("comfortNoiseDbfs", kComfortNoiseDbfs);
}

}  // namespace sidetone::binding
