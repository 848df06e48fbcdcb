#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "load/histogram.h"
#include "load/payload.h"
#include "load/process.h"

namespace sidetone::load {

/** Counts within the measured window. */
struct WindowCounts {
  uint64_t framesSent = 0;
  /** Frames not sent because the socket's queue was full: the server reads too slowly. */
  uint64_t framesNotSent = 0;
  uint64_t wireBytesSent = 0;
  uint64_t wireBytesReceived = 0;
  uint64_t mediaMessages = 0;
  uint64_t payloadBytes = 0;
  uint64_t audioTicks = 0;
  uint64_t underruns = 0;
  uint64_t underrunUs = 0;
};

/** Counts of the whole run. */
struct RunCounts {
  uint32_t opened = 0;
  uint32_t connectFailed = 0;
  uint32_t upgradeRefused = 0;
  uint32_t timedOut = 0;
  /** Closed by the application, or reset, before `stop` was sent. */
  uint32_t closedEarly = 0;
  /** Closed by us: what came was not WebSocket. */
  uint32_t protocolErrors = 0;
  uint64_t marks = 0;
  uint64_t marksReturned = 0;
  uint64_t marksRefused = 0;
  uint64_t clears = 0;
  uint64_t otherMessages = 0;
  /** Messages that are not JSON objects with an event, and binary ones. */
  uint64_t badMessages = 0;
  /** Media whose payload is not base64 or not of the codec. */
  uint64_t badPayloads = 0;
  /** Sent frames whose audio had not come back `drainMs` after the last one was sent (echo). */
  uint64_t framesUnreturned = 0;
};

struct LoadResult {
  /** Why the run could not be made at all; empty: it was made. */
  std::string failure;
  /** The first thing that went wrong with a stream, for people. */
  std::string firstError;
  int64_t windowUs = 0;
  WindowCounts window;
  RunCounts run;
  VerifyCounts verify;
  Histogram latency;
  /** How late the generator itself sent, against its schedule. */
  Histogram sendLateness;
  Histogram deadlineError;
  Histogram underrunLength;
  /** Audio received over time passed, a stream; 1 is real time. Only streams that were open throughout. */
  std::vector<double> audioRates;
  uint32_t streamsWithUnderrun = 0;
  CpuTime generatorCpu;
  bool serverKnown = false;
  ProcessUse serverBefore;
  ProcessUse serverAfter;
};

}  // namespace sidetone::load
