#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "load/playback.h"
#include "load/rate_meter.h"

namespace sidetone::load {

/** Largest message taken from an application: 30 s of L16 at 16 kHz in base64, and room to spare. */
constexpr size_t kMessageBytesMax = 2u << 20;
/** Bytes that wait for a socket which is full: about a second and a half of PCMU. Then frames are not sent.
 */
constexpr size_t kUnsentBytesMax = 32u << 10;
/** Bytes of HTTP answer to an upgrade. */
constexpr size_t kUpgradeBytesMax = 16u << 10;

/** One simulated call: everything the generator knows of a connection. */
struct Stream {
  enum class State : uint8_t { Waiting, Connecting, Upgrading, Open, Closing, Closed };

  Stream(int64_t playoutUs, int64_t utteranceGapUs) : playback(playoutUs, utteranceGapUs) {}

  int fd = -1;
  State state = State::Waiting;
  bool wantsWrite = false;
  bool continuing = false;
  int64_t deadlineUs = 0;
  /** `stream_id`, a UUID. */
  std::array<char, 37> id{};

  /** An incomplete frame, until the rest comes. */
  std::vector<uint8_t> partial;
  /** A fragmented message, until its last fragment comes. */
  std::string message;
  /** Bytes that the socket did not take. */
  std::vector<uint8_t> unsent;

  uint32_t sequence = 0;
  uint32_t framesSent = 0;
  /** When each of the last frames was sent: 512 frames are 10 s at 20 ms. µs since the run began, so 71
   * minutes fit. */
  static constexpr uint32_t kSentMax = 512;
  std::array<uint32_t, kSentMax> sentUs{};

  Playback playback;
  Verifier verifier;
  /** Audio received since the start, and what of it has had its latency taken. */
  int64_t receivedTicks = 0;
  uint32_t framesTimed = 0;

  RateMeter rate;
  bool underran = false;
};

}  // namespace sidetone::load
