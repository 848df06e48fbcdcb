#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "load/options.h"
#include "load/payload.h"
#include "load/stream.h"

namespace sidetone::load {

/**
 * What the platform's side of a call writes, as JSON into `out`, which has room for it; each returns the
 * bytes and takes `sequence` as the message's own number. `call` makes the names of one run's calls unique.
 */
struct CallName {
  uint32_t run;
  uint32_t index;
};
void nameStream(Stream& stream, CallName call);
size_t writeStart(uint8_t* out, const Stream& stream, uint32_t sequence, CallName call,
                  const LoadOptions& options);
size_t writeMedia(uint8_t* out, const Stream& stream, uint32_t sequence, Stamp stamp,
                  const LoadOptions& options, const PayloadPool& pool);
size_t writeMark(uint8_t* out, const Stream& stream, uint32_t sequence, std::string_view name);
size_t writeStop(uint8_t* out, const Stream& stream, uint32_t sequence, CallName call);

}  // namespace sidetone::load
