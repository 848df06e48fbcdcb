#include "codec/amrwb.h"

#include <dlfcn.h>

#include <cmath>
#include <cstring>
#include <new>

namespace sidetone {
namespace {

/** The library stays loaded once it was opened: its code must outlive every stream of every thread. */
void* openLibrary(const char* name) { return dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE); }

template <typename Function>
bool resolve(void* handle, const char* name, Function* function) {
  void* address = dlsym(handle, name);
  static_assert(sizeof(address) == sizeof(*function));
  std::memcpy(function, &address, sizeof address);
  return address != nullptr;
}

}  // namespace

struct AmrWbDecoder::Library {
  void* (*init)();
  void (*decode)(void* state, const unsigned char* storageFrame, short* pcm, int badFrame);
  void (*exit)(void* state);

  bool load() {
    void* handle = openLibrary("libopencore-amrwb.so.0");
    return handle != nullptr && resolve(handle, "D_IF_init", &init) &&
           resolve(handle, "D_IF_decode", &decode) && resolve(handle, "D_IF_exit", &exit);
  }
};

std::unique_ptr<AmrWbDecoder> AmrWbDecoder::open() {
  Library library;
  if (!library.load()) return nullptr;
  void* state = library.init();
  if (state == nullptr) return nullptr;
  return std::unique_ptr<AmrWbDecoder>(new AmrWbDecoder(library, state));
}

AmrWbDecoder::AmrWbDecoder(const Library& library, void* state)
    : library_(std::make_unique<const Library>(library)), state_(state) {}

AmrWbDecoder::~AmrWbDecoder() { library_->exit(state_); }

void AmrWbDecoder::decode(const AmrWbFrame& frame, int16_t* pcm) {
  if (!frame.good() || frame.frameType() == kAmrWbSpeechLost) {
    conceal(pcm);
    return;
  }
  lastGood_ = frame;
  inSpeech_ = frame.frameType() < kAmrWbSid;
  lostInARow_ = 0;
  run(frame, pcm);
}

void AmrWbDecoder::run(const AmrWbFrame& frame, int16_t* pcm) {
  library_->decode(state_, frame.bytes, pcm, frame.good() ? 0 : 1);
  // The library leaves the two low bits to the caller's taste; the reference writes 14-bit samples.
  for (size_t i = 0; i < kAmrWbFrameSamples; i++) pcm[i] = static_cast<int16_t>(pcm[i] & ~3);
}

void AmrWbDecoder::conceal(int16_t* pcm) {
  if (!inSpeech_ || lostInARow_ == kRepeatsMax) {
    AmrWbFrame lost{};
    lost.bytes[0] = amrWbStorageHeader(kAmrWbSpeechLost, true);
    run(lost, pcm);
    return;
  }
  run(lastGood_, pcm);
  const double from = std::pow(kRepeatGain, lostInARow_++);
  const double step = from * (kRepeatGain - 1) / kAmrWbFrameSamples;
  for (size_t i = 0; i < kAmrWbFrameSamples; i++) {
    pcm[i] = static_cast<int16_t>(std::lrint(pcm[i] * (from + step * static_cast<double>(i + 1))));
  }
}

struct AmrWbEncoder::Library {
  void* (*init)();
  int (*encode)(void* state, int mode, const short* pcm, unsigned char* storageFrame, int dtx);
  void (*exit)(void* state);

  bool load() {
    void* handle = openLibrary("libvo-amrwbenc.so.0");
    return handle != nullptr && resolve(handle, "E_IF_init", &init) &&
           resolve(handle, "E_IF_encode", &encode) && resolve(handle, "E_IF_exit", &exit);
  }
};

std::unique_ptr<AmrWbEncoder> AmrWbEncoder::open() {
  Library library;
  if (!library.load()) return nullptr;
  void* state = library.init();
  if (state == nullptr) return nullptr;
  return std::unique_ptr<AmrWbEncoder>(new AmrWbEncoder(library, state));
}

AmrWbEncoder::AmrWbEncoder(const Library& library, void* state)
    : library_(std::make_unique<const Library>(library)), state_(state) {}

AmrWbEncoder::~AmrWbEncoder() { library_->exit(state_); }

bool AmrWbEncoder::encode(const int16_t* pcm, uint8_t mode, bool dtx, AmrWbFrame* frame) {
  unsigned char serial[(kAmrWbStorageBytesMax + 7) / 8 * 8] = {};
  const int bytes = library_->encode(state_, mode, pcm, serial, dtx ? 1 : 0);
  if (bytes < 1 || static_cast<size_t>(bytes) > kAmrWbStorageBytesMax) return false;
  std::memset(frame->bytes, 0, sizeof frame->bytes);
  std::memcpy(frame->bytes, serial, static_cast<size_t>(bytes));
  return true;
}

}  // namespace sidetone
