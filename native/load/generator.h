#pragma once
#include <atomic>
#include <cstdint>

#include "load/options.h"
#include "load/result.h"

namespace sidetone::load {

/** Which part of a run goes on. */
enum class Phase : uint8_t { Connecting, WarmingUp, Measuring, Draining, Closing, Done };

/** What a run has done so far, to be read by another thread; and the one thing that thread may ask. */
struct Progress {
  std::atomic<Phase> phase{Phase::Connecting};
  std::atomic<uint32_t> opened{0};
  std::atomic<uint32_t> failed{0};
  std::atomic<uint64_t> framesSent{0};
  std::atomic<uint64_t> mediaMessages{0};
  /** Ends the run early: what has been measured by then is the result. */
  std::atomic<bool> stop{false};
};

/**
 * Makes one run and returns when it is over. It connects the streams at the given pace and sends a frame of
 * media on each every ptime (absolute schedule, phases spread evenly). It warms up, measures, drains, says
 * `stop` and closes. Blocks the calling thread, which should be one of its own; uses that thread only.
 * Bounded: connects + connectTimeoutMs + warmupMs + measureMs + 3 s at most. Linux only.
 */
LoadResult runLoad(const LoadOptions& options, Progress& progress);

}  // namespace sidetone::load
