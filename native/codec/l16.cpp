#include "codec/l16.h"

#include <bit>
#include <cstring>

namespace sidetone {
namespace {
constexpr ByteOrder kHostOrder =
    std::endian::native == std::endian::little ? ByteOrder::Little : ByteOrder::Big;

void swapPairs(const uint8_t* in, size_t pairs, uint8_t* out) {
  for (size_t i = 0; i < pairs; i++) {
    const uint8_t first = in[2 * i];
    out[2 * i] = in[2 * i + 1];
    out[2 * i + 1] = first;
  }
}
}  // namespace

void l16Decode(const uint8_t* payload, size_t samples, ByteOrder order, int16_t* pcm) {
  auto* out = reinterpret_cast<uint8_t*>(pcm);
  if (order == kHostOrder) {
    std::memcpy(out, payload, samples * 2);
  } else {
    swapPairs(payload, samples, out);
  }
}

void l16Reorder(uint8_t* bytes, size_t samples, ByteOrder order) {
  if (order != kHostOrder) swapPairs(bytes, samples, bytes);
}

}  // namespace sidetone
