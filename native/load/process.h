#pragma once
#include <cstdint>

namespace sidetone::load {

/** Processor time used so far, in µs. */
struct CpuTime {
  int64_t userUs = 0;
  int64_t kernelUs = 0;
};

struct ProcessUse {
  CpuTime cpu;
  int64_t rssBytes = 0;
};

/** Of the calling thread. */
CpuTime threadCpu();

/**
 * Of process `pid`, all its threads, from /proc (utime and stime, whose sum the kernel keeps to the
 * nanosecond and gives in ticks of 10 ms). False where there is no such process or no /proc.
 */
bool processUse(int pid, ProcessUse& use);

}  // namespace sidetone::load
