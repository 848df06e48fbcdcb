#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "codec/rfc4867.h"

namespace sidetone {

/**
 * AMR-WB (3GPP TS 26.171, ITU-T G.722.2) by the system's libraries, opened at run time:
 * libopencore-amrwb.so.0 decodes, libvo-amrwbenc.so.0 encodes (Debian: libopencore-amrwb0, libvo-amrwbenc0).
 * Where one is missing, `open` gives null and everything else works. One object serves one stream and one
 * thread at a time.
 */
constexpr size_t kAmrWbFrameSamples = 320;

class AmrWbDecoder {
 public:
  /** Null where the library or one of its functions is missing, or memory is out. */
  static std::unique_ptr<AmrWbDecoder> open();
  ~AmrWbDecoder();
  AmrWbDecoder(const AmrWbDecoder&) = delete;
  AmrWbDecoder& operator=(const AmrWbDecoder&) = delete;

  /**
   * One frame to `kAmrWbFrameSamples` samples at 16 kHz, the two low bits of each zero as in the reference
   * decoder. A frame with Q=0 is concealed.
   */
  void decode(const AmrWbFrame& frame, int16_t* pcm);

  /**
   * Audio in place of a frame that did not come. For the first kRepeatsMax of a gap in speech it is the last
   * good frame, each softer by kRepeatGain. Then, and in comfort noise, it is what the library makes of lost
   * speech (TS 26.191). The library alone would also mute the good frame after a single loss, by 14 dB.
   */
  void conceal(int16_t* pcm);

  static constexpr uint32_t kRepeatsMax = 3;
  static constexpr double kRepeatGain = 0.8;

 private:
  struct Library;
  AmrWbDecoder(const Library& library, void* state);

  void run(const AmrWbFrame& frame, int16_t* pcm);

  const std::unique_ptr<const Library> library_;
  void* const state_;
  AmrWbFrame lastGood_{};
  bool inSpeech_ = false;  // lastGood_ is speech, and nothing but losses came since
  uint32_t lostInARow_ = 0;
};

class AmrWbEncoder {
 public:
  /** Null where the library or one of its functions is missing, or memory is out. */
  static std::unique_ptr<AmrWbEncoder> open();
  ~AmrWbEncoder();
  AmrWbEncoder(const AmrWbEncoder&) = delete;
  AmrWbEncoder& operator=(const AmrWbEncoder&) = delete;

  /**
   * `kAmrWbFrameSamples` samples at 16 kHz to one frame. `mode` 0 to 8; with `dtx`, silence becomes SID and
   * no-data frames (TS 26.193). Returns false where the library gave no frame.
   */
  bool encode(const int16_t* pcm, uint8_t mode, bool dtx, AmrWbFrame* frame);

 private:
  struct Library;
  AmrWbEncoder(const Library& library, void* state);

  const std::unique_ptr<const Library> library_;
  void* const state_;
};

}  // namespace sidetone
