#include "binding/layout.h"

#include <span>

#include "binding/engine_handle.h"
#include "binding/gather.h"
#include "binding/hearing.h"
#include "codec/encoding.h"
#include "stream/inbound.h"

namespace sidetone::binding {
namespace {

constexpr Named kOutcomes[] = {
    {"nothing", kNothing},         {"notRecognised", kNotRecognised},
    {"badBase64", kBadBase64},     {"foreignStream", kForeignStream},
    {"poolPayload", kPoolPayload}, {"poolLoss", kPoolLoss},
    {"needsRoom", kNeedsRoom},
};

constexpr Named kSend[] = {
    {"stream", kSendStream},
    {"bytes", kSendBytes},
    {"followed", kSendFollowed},
    {"fields", kSendFields},
};

constexpr Named kSliceMs[] = {
    {"opus", InboundTrack::kOpusSliceMs},
    {"other", InboundTrack::kSliceMs},
};

constexpr Named kLive[] = {
    {"notLive", static_cast<int>(kNotLive)},
    {"streamsBound", static_cast<int>(kStreamsBound)},
};

constexpr Named kVoice[] = {
    {"samples", static_cast<int>(VoiceWindows::kSamples)},
    {"windowsMax", static_cast<int>(VoiceWindows::kMax)},
    {"fields", static_cast<int>(VoiceWindows::kFields)},
    {"fresh", VoiceWindows::kFresh},
    {"eventFields", static_cast<int>(kVoiceEventFields)},
};

constexpr Named kSensesFlags[] = {
    {"began", Senses::kBegan},
    {"ended", Senses::kEnded},
    {"keys", Senses::kKeys},
    {"speech", Senses::kSpeech},
};

Napi::Object object(Napi::Env env, std::span<const Named> entries) {
  auto result = Napi::Object::New(env);
  for (const Named& entry : entries) result.Set(entry.name, static_cast<double>(entry.value));
  return result;
}

}  // namespace

void exportLayout(Napi::Env env, Napi::Object exports) {
  auto layout = Napi::Object::New(env);
  layout.Set("info", object(env, kInfoNames));
  layout.Set("gather", object(env, kGatherNames));
  layout.Set("outcomes", object(env, kOutcomes));
  layout.Set("send", object(env, kSend));
  layout.Set("sliceMs", object(env, kSliceMs));
  layout.Set("live", object(env, kLive));
  layout.Set("voice", object(env, kVoice));
  layout.Set("senses", object(env, kSensesFlags));
  auto encodings = Napi::Object::New(env);
  for (int i = 0; i < kEncodingCount; i++) encodings.Set(kEncodingNames[static_cast<size_t>(i)], i);
  layout.Set("encodings", encodings);
  exports.Set("layout", layout);
}

}  // namespace sidetone::binding
