#include "binding/amrwb.h"

#include "codec/amrwb.h"

namespace sidetone::binding {
namespace {

Napi::Error codedError(Napi::Env env, const char* code, const char* message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

Napi::Error unavailable(Napi::Env env) {
  return codedError(
      env, "SIDETONE_CODEC_UNAVAILABLE",
      "AMR-WB needs the system libraries libopencore-amrwb.so.0 (decoder) and libvo-amrwbenc.so.0 "
      "(encoder); on Debian: apt-get install libopencore-amrwb0 libvo-amrwbenc0");
}

Napi::Error closed(Napi::Env env) {
  return codedError(env, "SIDETONE_CODEC_CLOSED", "AMR-WB codec: used after close()");
}

Napi::TypedArray typedArray(const Napi::CallbackInfo& info, size_t index, napi_typedarray_type type,
                            const char* what) {
  if (!info[index].IsTypedArray()) throw Napi::TypeError::New(info.Env(), what);
  Napi::TypedArray array = info[index].As<Napi::TypedArray>();
  if (array.TypedArrayType() != type) throw Napi::TypeError::New(info.Env(), what);
  return array;
}

/** 'auto' is true in `*automatic`; anything but the three names throws. */
Rfc4867Form formArgument(const Napi::CallbackInfo& info, size_t index, bool* automatic) {
  const std::string name = info[index].IsString() ? info[index].As<Napi::String>().Utf8Value() : "";
  *automatic = name == "auto";
  if (*automatic || name == "bandwidth-efficient") return Rfc4867Form::BandwidthEfficient;
  if (name == "octet-aligned") return Rfc4867Form::OctetAligned;
  throw Napi::TypeError::New(info.Env(),
                             "form: must be 'bandwidth-efficient', 'octet-aligned' or, to decode, 'auto'");
}

class DecoderWrap : public Napi::ObjectWrap<DecoderWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "AmrWbDecoder",
        {InstanceMethod<&DecoderWrap::decode>("decode"), InstanceMethod<&DecoderWrap::conceal>("conceal"),
         InstanceMethod<&DecoderWrap::close>("close"),
         InstanceAccessor<&DecoderWrap::modeRequest>("modeRequest")});
  }

  /** new (form) */
  explicit DecoderWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    form_ = formArgument(info, 0, &automatic_);
    decoder_ = AmrWbDecoder::open();
    if (!decoder_) throw unavailable(info.Env());
  }

  /** (payload: Uint8Array, pcm: Int16Array with room for kAmrWbFramesMax frames) → samples, or minus
   * Rfc4867Error. */
  Napi::Value decode(const Napi::CallbackInfo& info) {
    if (!decoder_) throw closed(info.Env());
    const auto payload =
        typedArray(info, 0, napi_uint8_array, "payload: must be a Uint8Array").As<Napi::Uint8Array>();
    auto pcm = typedArray(info, 1, napi_int16_array, "pcm: must be an Int16Array").As<Napi::Int16Array>();
    if (pcm.ElementLength() < kAmrWbFramesMax * kAmrWbFrameSamples) {
      throw Napi::TypeError::New(info.Env(), "pcm: must have room for 24 frames of 320 samples");
    }
    AmrWbFrame frames[kAmrWbFramesMax];
    const Rfc4867Payload unpacked =
        automatic_ ? unpackRfc4867Auto(payload.Data(), payload.ByteLength(), &form_, frames)
                   : unpackRfc4867(payload.Data(), payload.ByteLength(), form_, frames);
    if (unpacked.error != Rfc4867Error::None) {
      return Napi::Number::New(info.Env(), -static_cast<int>(unpacked.error));
    }
    modeRequest_ = unpacked.modeRequest;
    for (size_t i = 0; i < unpacked.frameCount; i++)
      decoder_->decode(frames[i], pcm.Data() + i * kAmrWbFrameSamples);
    return Napi::Number::New(info.Env(), static_cast<double>(unpacked.frameCount * kAmrWbFrameSamples));
  }

  /** (pcm: Int16Array with room for one frame) → samples. */
  Napi::Value conceal(const Napi::CallbackInfo& info) {
    if (!decoder_) throw closed(info.Env());
    auto pcm = typedArray(info, 0, napi_int16_array, "pcm: must be an Int16Array").As<Napi::Int16Array>();
    if (pcm.ElementLength() < kAmrWbFrameSamples) {
      throw Napi::TypeError::New(info.Env(), "pcm: must have room for 320 samples");
    }
    decoder_->conceal(pcm.Data());
    return Napi::Number::New(info.Env(), static_cast<double>(kAmrWbFrameSamples));
  }

  /** The mode that the peer last asked this side to send in, 0 to 8; 15 for none. */
  Napi::Value modeRequest(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), modeRequest_);
  }

  void close(const Napi::CallbackInfo&) { decoder_.reset(); }

 private:
  std::unique_ptr<AmrWbDecoder> decoder_;
  Rfc4867Form form_ = Rfc4867Form::BandwidthEfficient;
  bool automatic_ = false;
  uint8_t modeRequest_ = kAmrWbNoRequest;
};

class EncoderWrap : public Napi::ObjectWrap<EncoderWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "AmrWbEncoder",
        {InstanceMethod<&EncoderWrap::encode>("encode"), InstanceMethod<&EncoderWrap::close>("close")});
  }

  /** new (form, mode 0 to 8, dtx) */
  explicit EncoderWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    bool automatic = false;
    form_ = formArgument(info, 0, &automatic);
    if (automatic)
      throw Napi::TypeError::New(info.Env(), "form: 'auto' is for decoders; an encoder needs one form");
    const double mode = info[1].IsNumber() ? info[1].As<Napi::Number>().DoubleValue() : -1;
    if (!(mode >= 0 && mode <= 8) || mode != static_cast<double>(static_cast<int>(mode))) {
      throw Napi::TypeError::New(info.Env(), "mode: must be a whole number from 0 to 8");
    }
    if (!info[2].IsBoolean()) throw Napi::TypeError::New(info.Env(), "dtx: must be a boolean");
    mode_ = static_cast<uint8_t>(mode);
    dtx_ = info[2].As<Napi::Boolean>().Value();
    encoder_ = AmrWbEncoder::open();
    if (!encoder_) throw unavailable(info.Env());
  }

  /** (pcm: Int16Array of one frame, payload: Uint8Array with room for 62 bytes) → bytes. */
  Napi::Value encode(const Napi::CallbackInfo& info) {
    if (!encoder_) throw closed(info.Env());
    const auto pcm =
        typedArray(info, 0, napi_int16_array, "pcm: must be an Int16Array").As<Napi::Int16Array>();
    auto payload =
        typedArray(info, 1, napi_uint8_array, "payload: must be a Uint8Array").As<Napi::Uint8Array>();
    if (pcm.ElementLength() != kAmrWbFrameSamples) {
      throw Napi::TypeError::New(info.Env(), "pcm: must be one frame of 320 samples");
    }
    if (payload.ByteLength() < 1 + kAmrWbStorageBytesMax) {
      throw Napi::TypeError::New(info.Env(), "payload: must have room for 62 bytes");
    }
    AmrWbFrame frame;
    if (!encoder_->encode(pcm.Data(), mode_, dtx_, &frame)) return Napi::Number::New(info.Env(), 0);
    const size_t bytes = packRfc4867(&frame, 1, kAmrWbNoRequest, form_, payload.Data());
    return Napi::Number::New(info.Env(), static_cast<double>(bytes));
  }

  void close(const Napi::CallbackInfo&) { encoder_.reset(); }

 private:
  std::unique_ptr<AmrWbEncoder> encoder_;
  Rfc4867Form form_ = Rfc4867Form::BandwidthEfficient;
  uint8_t mode_ = 0;
  bool dtx_ = false;
};

}  // namespace

void exportAmrWb(Napi::Env env, Napi::Object exports) {
  exports.Set("AmrWbDecoder", DecoderWrap::define(env));
  exports.Set("AmrWbEncoder", EncoderWrap::define(env));
}

}  // namespace sidetone::binding
