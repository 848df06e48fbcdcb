#include "binding/dsp.h"

#include <algorithm>
#include <string>
#include <vector>

#include "codec/g722.h"
#include "codec/l16_order.h"
#include "plc/concealer.h"
#include "resample/resampler.h"
#include "stream/live_parts.h"
#include "stretch/shorten.h"

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

Napi::Int16Array samplesArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (!info[index].IsTypedArray() ||
      info[index].As<Napi::TypedArray>().TypedArrayType() != napi_int16_array) {
    fail(info, std::string(name) + " must be an Int16Array of mono samples");
  }
  const auto samples = info[index].As<Napi::Int16Array>();
  if (samples.ElementLength() > kCallSamplesMax) {
    fail(info, std::string(name) + " holds more than 28,800,000 samples: pass it in parts");
  }
  return samples;
}

Napi::Uint8Array payloadArgument(const Napi::CallbackInfo& info) {
  if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    fail(info, "payload must be a Uint8Array");
  }
  const auto payload = info[0].As<Napi::Uint8Array>();
  if (payload.ElementLength() > kCallSamplesMax / 2) {
    fail(info, "payload holds more than 14,400,000 bytes: pass it in parts");
  }
  return payload;
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
    const auto in = samplesArgument(info, 0, "samples");
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
    auto frame = samplesArgument(info, 0, "frame");
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

/** new G722Encoder(): .encode(Int16Array, even length, 16 kHz) returns Uint8Array; .encodeBands(low, high)
 * codes sub-band samples, the mirror filter bypassed; .reset() */
class G722EncoderBinding : public Napi::ObjectWrap<G722EncoderBinding> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "G722Encoder",
                       {InstanceMethod<&G722EncoderBinding::encode>("encode"),
                        InstanceMethod<&G722EncoderBinding::encodeBands>("encodeBands"),
                        InstanceMethod<&G722EncoderBinding::reset>("reset")});
  }
  explicit G722EncoderBinding(const Napi::CallbackInfo& info) : Napi::ObjectWrap<G722EncoderBinding>(info) {}

 private:
  Napi::Value encode(const Napi::CallbackInfo& info) {
    const auto pcm = samplesArgument(info, 0, "pcm");
    if (pcm.ElementLength() % 2 != 0) {
      fail(info, "pcm must hold an even number of samples: two make one byte of G.722");
    }
    auto payload = Napi::Uint8Array::New(info.Env(), pcm.ElementLength() / 2);
    encoder_.encode(pcm.Data(), pcm.ElementLength(), payload.Data());
    return payload;
  }
  Napi::Value encodeBands(const Napi::CallbackInfo& info) {
    const auto low = samplesArgument(info, 0, "low");
    const auto high = samplesArgument(info, 1, "high");
    if (low.ElementLength() != high.ElementLength()) fail(info, "low and high must be of one length");
    auto payload = Napi::Uint8Array::New(info.Env(), low.ElementLength());
    encoder_.encodeBands(low.Data(), high.Data(), low.ElementLength(), payload.Data());
    return payload;
  }
  void reset(const Napi::CallbackInfo&) { encoder_.reset(); }

  G722Encoder encoder_;
};

/** new G722Decoder(mode = 1): .decode(Uint8Array) returns Int16Array at 16 kHz; .decodeBands(Uint8Array)
 * returns { low, high }, the mirror filter bypassed; .reset(). Modes 1, 2, 3 are 64, 56, 48 kbit/s. */
class G722DecoderBinding : public Napi::ObjectWrap<G722DecoderBinding> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "G722Decoder",
                       {InstanceMethod<&G722DecoderBinding::decode>("decode"),
                        InstanceMethod<&G722DecoderBinding::decodeBands>("decodeBands"),
                        InstanceMethod<&G722DecoderBinding::reset>("reset")});
  }
  explicit G722DecoderBinding(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<G722DecoderBinding>(info), decoder_(mode(info)) {}

 private:
  static G722Decoder::Mode mode(const Napi::CallbackInfo& info) {
    if (info[0].IsUndefined()) return G722Decoder::Mode::k64;
    const double number = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : 0;
    if (number != 1 && number != 2 && number != 3) {
      fail(info, "mode must be 1, 2 or 3 (64, 56 or 48 kbit/s)");
    }
    return static_cast<G722Decoder::Mode>(number);
  }
  Napi::Value decode(const Napi::CallbackInfo& info) {
    const auto payload = payloadArgument(info);
    auto pcm = Napi::Int16Array::New(info.Env(), 2 * payload.ElementLength());
    decoder_.decode(payload.Data(), payload.ElementLength(), pcm.Data());
    return pcm;
  }
  Napi::Value decodeBands(const Napi::CallbackInfo& info) {
    const auto payload = payloadArgument(info);
    auto low = Napi::Int16Array::New(info.Env(), payload.ElementLength());
    auto high = Napi::Int16Array::New(info.Env(), payload.ElementLength());
    decoder_.decodeBands(payload.Data(), payload.ElementLength(), low.Data(), high.Data());
    auto bands = Napi::Object::New(info.Env());
    bands.Set("low", low);
    bands.Set("high", high);
    return bands;
  }
  void reset(const Napi::CallbackInfo&) { decoder_.reset(); }

  G722Decoder decoder_;
};

/** new L16OrderFinder(rateHz): .isBigEndian(Uint8Array) listens to the next payload, .settled */
class L16OrderBinding : public Napi::ObjectWrap<L16OrderBinding> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "L16OrderFinder",
                       {InstanceMethod<&L16OrderBinding::isBigEndian>("isBigEndian"),
                        InstanceAccessor<&L16OrderBinding::settled>("settled")});
  }
  explicit L16OrderBinding(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<L16OrderBinding>(info), finder_(rateArgument(info, 0, "rateHz")) {}

 private:
  Napi::Value isBigEndian(const Napi::CallbackInfo& info) {
    const auto payload = payloadArgument(info);
    const ByteOrder order = finder_.judge(payload.Data(), payload.ElementLength() / 2);
    return Napi::Boolean::New(info.Env(), order == ByteOrder::Big);
  }
  Napi::Value settled(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), finder_.settled());
  }

  L16OrderFinder finder_;
};

/**
 * shorten(Int16Array, rateHz, speed): all of a sound as late live audio is shortened, 20 ms at a time.
 * Returns { samples, places }: pairs of a place in the original and the place in `samples` that it has
 * become.
 */
Napi::Value ShortenAll(const Napi::CallbackInfo& info) {
  const auto pcm = samplesArgument(info, 0, "samples");
  const int hz = rateArgument(info, 1, "rateHz");
  const double speed = info[2].IsNumber() ? info[2].As<Napi::Number>().DoubleValue() : 0;
  if (!(speed >= 1 && speed <= 2)) fail(info, "speed must be a number from 1 to 2");
  std::vector<int16_t> window(static_cast<size_t>(hz * 300 / 1000));
  std::vector<int16_t> out;
  std::vector<uint32_t> places;
  ShortenRequest request;
  request.sampleHz = hz;
  request.outWanted = static_cast<size_t>(hz / 50);
  request.cutMax = pcm.ElementLength();
  request.speed = speed;
  CatchUp catchUp;
  for (size_t at = 0; at < pcm.ElementLength();) {
    const size_t samples = std::min(window.size(), pcm.ElementLength() - at);
    std::copy_n(pcm.Data() + at, samples, window.data());
    request.pauseLevel = catchUp.pauseLevel(loudestLevel(window.data(), samples, hz));
    Shortened done = shorten(window.data(), samples, request);
    // The end of the sound is too short to be shortened.
    if (done.out == 0) done.in = done.out = samples;
    out.insert(out.end(), window.data(), window.data() + done.out);
    at += done.in;
    places.push_back(static_cast<uint32_t>(at));
    places.push_back(static_cast<uint32_t>(out.size()));
  }
  auto samples = Napi::Int16Array::New(info.Env(), out.size());
  std::copy(out.begin(), out.end(), samples.Data());
  auto pairs = Napi::Uint32Array::New(info.Env(), places.size());
  std::copy(places.begin(), places.end(), pairs.Data());
  auto result = Napi::Object::New(info.Env());
  result.Set("samples", samples);
  result.Set("places", pairs);
  return result;
}

}  // namespace

void exportDsp(Napi::Env env, Napi::Object exports) {
  exports.Set("Resampler", ResamplerBinding::define(env));
  exports.Set("Concealer", ConcealerBinding::define(env));
  exports.Set("L16OrderFinder", L16OrderBinding::define(env));
  exports.Set("G722Encoder", G722EncoderBinding::define(env));
  exports.Set("G722Decoder", G722DecoderBinding::define(env));
  exports.Set("shorten", Napi::Function::New(env, ShortenAll, "shorten"));
}

}  // namespace sidetone::binding
