#pragma once
#include <cstddef>

namespace sidetone {

/**
 * Asks for `bytes` of memory that are about to be read and written. A stream is touched once in 20 ms, with
 * thousands of others in between, so all of it comes from main memory. Its cache lines arrive together when
 * they are asked for at once. Asked for as they are reached, each is waited for.
 */
inline void prefetch(const void* memory, size_t bytes) {
  constexpr size_t kCacheLine = 64;
  const auto* first = static_cast<const char*>(memory);
  for (size_t at = 0; at < bytes; at += kCacheLine) __builtin_prefetch(first + at, 1);
  __builtin_prefetch(first + bytes - 1, 1);  // where it does not begin at a line's begin
}

}  // namespace sidetone
