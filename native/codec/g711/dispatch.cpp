// Which kernels this machine has, decided once, when the library is loaded.
#include <array>

#include "codec/g711/kernels.h"

namespace sidetone {
namespace {

struct Table {
  std::array<G711Kernel, 2> kernels{};
  size_t count = 0;

  void add(G711Kernel kernel) { kernels[count++] = kernel; }
};

const Table kTable = [] {
  Table table;
  table.add({"scalar", g711::scalar::ulawDecode, g711::scalar::ulawEncode, g711::scalar::alawDecode,
             g711::scalar::alawEncode});
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) {
    table.add({"avx2", g711::avx2::ulawDecode, g711::avx2::ulawEncode, g711::avx2::alawDecode,
               g711::avx2::alawEncode});
  }
#elif defined(__aarch64__)
  table.add({"neon", g711::neon::ulawDecode, g711::neon::ulawEncode, g711::neon::alawDecode,
             g711::neon::alawEncode});  // part of every ARMv8-A
#endif
  return table;
}();

const G711Kernel kFastest = kTable.kernels[kTable.count - 1];

}  // namespace

std::span<const G711Kernel> g711Kernels() { return {kTable.kernels.data(), kTable.count}; }

void ulawDecode(const uint8_t* payload, size_t samples, int16_t* pcm) {
  kFastest.ulawDecode(payload, samples, pcm);
}
void ulawEncode(const int16_t* pcm, size_t samples, uint8_t* payload) {
  kFastest.ulawEncode(pcm, samples, payload);
}
void alawDecode(const uint8_t* payload, size_t samples, int16_t* pcm) {
  kFastest.alawDecode(payload, samples, pcm);
}
void alawEncode(const int16_t* pcm, size_t samples, uint8_t* payload) {
  kFastest.alawEncode(pcm, samples, payload);
}

}  // namespace sidetone
