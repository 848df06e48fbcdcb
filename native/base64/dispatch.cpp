// Which kernels this machine has, decided once, when the library is loaded.
#include <array>

#include "base64/kernels.h"

namespace sidetone {
namespace {

struct Table {
  std::array<Base64Kernel, 2> kernels{};
  size_t count = 0;

  void add(Base64Kernel kernel) { kernels[count++] = kernel; }
};

const Table kTable = [] {
  Table table;
  table.add({"scalar", base64::scalar::encode, base64::scalar::decode});
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) table.add({"avx2", base64::avx2::encode, base64::avx2::decode});
#elif defined(__aarch64__)
  table.add({"neon", base64::neon::encode, base64::neon::decode});  // part of every ARMv8-A
#endif
  return table;
}();

const Base64Kernel kFastest = kTable.kernels[kTable.count - 1];

}  // namespace

std::span<const Base64Kernel> base64Kernels() { return {kTable.kernels.data(), kTable.count}; }

size_t base64Encode(const uint8_t* bytes, size_t count, char* out) {
  return kFastest.encode(bytes, count, out);
}

size_t base64Decode(const char* chars, size_t count, uint8_t* out) {
  return kFastest.decode(chars, count, out);
}

}  // namespace sidetone
