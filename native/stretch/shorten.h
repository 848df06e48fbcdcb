#pragma once
#include <cstddef>
#include <cstdint>

namespace sidetone {

/** What shorten() is asked for. Lengths count samples. */
struct ShortenRequest {
  int sampleHz = 8000;
  size_t outWanted = 0;   // it stops when this much has been made
  size_t cutMax = 0;      // and when this much has been taken out
  double speed = 1;       // of speech, 1 to 2; 1: only pauses are shortened
  double pauseLevel = 0;  // 10 ms whose root mean square lies below this are a pause
};

/** What shorten() did: `in` samples were read and `out` are left; what is missing lay in pauses or in speech.
 */
struct Shortened {
  size_t in = 0;
  size_t out = 0;
  size_t pauseCut = 0;
  size_t speechCut = 0;
};

/**
 * Shortens sound in place and keeps its pitch: `pcm` holds `samples`, of which the first Shortened::in become
 * Shortened::out at the same place.
 *
 * A pause loses its middle: 60 ms are left of it. Speech loses periods of its pitch, as in PICOLA: two
 * neighbouring periods, found by their likeness, are faded into one. The sound between two such places stays
 * as it is. (N. Morita and F. Itakura, "Time-scale modification algorithm for speech by use of pointer
 * interval control overlap and add (PICOLA)", 1986.) Each fade begins with the sound before it and ends with
 * the sound behind it, so nothing clicks.
 */
Shortened shorten(int16_t* pcm, size_t samples, const ShortenRequest& request);

/** The root mean square of the loudest 10 ms. */
double loudestLevel(const int16_t* pcm, size_t samples, int sampleHz);

/** `from` fades out while `to` fades in. `out` may lie at or before `from`. */
void crossFade(const int16_t* from, const int16_t* to, size_t samples, int16_t* out);

}  // namespace sidetone
