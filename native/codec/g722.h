#pragma once
#include <cstddef>
#include <cstdint>

namespace sidetone {

/**
 * ITU-T G.722 at 64 kbit/s: 16 kHz audio, one byte for two samples (on an RTP clock of 8 kHz). Bit-exact.
 *
 * A quadrature mirror filter splits the signal at 4 kHz. Each half is coded as ADPCM with a backward-adaptive
 * predictor of two poles and six zeros. The lower half takes 6 bits a sample, the higher one 2. A byte holds
 * the higher band's code in its two upper bits.
 */

/** One sub-band's coder, the same in encoder and decoder (clause 3.6 and 4): 16-bit words as the
 * recommendation has them. Index 0 is the latest sample. */
struct G722Band {
  int16_t zeros[6];        // b, coefficients of the zero section
  int16_t differences[6];  // d, quantised differences
  int16_t poles[2];        // a
  int16_t partials[2];     // p, partially reconstructed signal; only its sign counts
  int16_t reconstructed;   // r
  int16_t zeroPrediction;  // s_z
  int16_t prediction;      // s
  int16_t logScale;        // nabla, the quantiser's scale factor as a logarithm
  int16_t scale;           // delta, the same, linear

  void reset(int16_t initialScale);
};

/** The coders of one stream. */
struct G722Bands {
  G722Band low;
  G722Band high;
};

/** Samples that the mirror filter looks back to. */
inline constexpr size_t kG722FilterHistory = 22;

namespace g722 {
struct Kernels;
}

class G722Encoder {
 public:
  G722Encoder();
  /** On given kernels: for tests and benchmarks. */
  explicit G722Encoder(const g722::Kernels& kernels);
  void reset();

  /** `samples` (even) at 16 kHz to `samples / 2` bytes. Any number; the state goes on from call to call. */
  void encode(const int16_t* pcm, size_t samples, uint8_t* payload);

  /** The two ADPCM coders alone: `count` pairs of 15-bit sub-band samples to as many bytes. */
  void encodeBands(const int16_t* low, const int16_t* high, size_t count, uint8_t* payload);

 private:
  friend void g722EncodeBatch(G722Encoder* const*, const int16_t* const*, size_t, uint8_t* const*, size_t);
  void split(const int16_t* pcm, size_t count, int16_t* low, int16_t* high);

  const g722::Kernels* kernels_;
  G722Bands bands_;
  int16_t history_[kG722FilterHistory];  // the latest input, oldest first
};

class G722Decoder {
 public:
  /** How many of the lower band's six bits carry audio (clause 1.4): 6 at 64, 5 at 56, 4 at 48 kbit/s. */
  enum class Mode : uint8_t { k64 = 1, k56 = 2, k48 = 3 };

  explicit G722Decoder(Mode mode = Mode::k64);
  /** On given kernels: for tests and benchmarks. */
  G722Decoder(Mode mode, const g722::Kernels& kernels);
  void reset();

  /** `bytes` to `2 * bytes` samples at 16 kHz. Every byte value is valid. */
  void decode(const uint8_t* payload, size_t bytes, int16_t* pcm);

  /** The two ADPCM decoders alone: `count` bytes to as many pairs of 15-bit sub-band samples. */
  void decodeBands(const uint8_t* payload, size_t count, int16_t* low, int16_t* high);

 private:
  friend void g722DecodeBatch(G722Decoder* const*, const uint8_t* const*, size_t, int16_t* const*, size_t);
  void join(const int16_t* low, const int16_t* high, size_t count, int16_t* pcm);

  const g722::Kernels* kernels_;
  G722Bands bands_;
  int16_t history_[kG722FilterHistory];  // differences and sums of the sub-bands in turn, oldest first
  Mode mode_;
};

/**
 * Encodes `samples` (even) of each of `count` streams: pcm[i] by encoders[i] to payload[i], `samples / 2`
 * bytes, the same bytes as one by one. With AVX2 sixteen streams share each instruction: many streams that
 * are due together cost a fraction of what they cost apart. The encoders must differ.
 */
void g722EncodeBatch(G722Encoder* const* encoders, const int16_t* const* pcm, size_t samples,
                     uint8_t* const* payload, size_t count);

/** Decodes `bytes` of each of `count` streams, likewise: payload[i] by decoders[i] to pcm[i], `2 * bytes`
 * samples. */
void g722DecodeBatch(G722Decoder* const* decoders, const uint8_t* const* payload, size_t bytes,
                     int16_t* const* pcm, size_t count);

}  // namespace sidetone
