#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "load/payload.h"

namespace sidetone::load {

enum class Mode : uint8_t {
  /** The application is expected to send back what it hears. */
  Echo,
  /** The application joins the streams 0 and 1, 2 and 3, …: each is expected to hear what the other sends. */
  Bridge,
  /** The application speaks; what it says is only counted and timed. */
  Listen,
};

/** One run, checked by the caller. Times in ms, as the user gave them. */
struct LoadOptions {
  /** Numeric address, IPv4 or IPv6: the core resolves no names. */
  std::string address;
  uint16_t port = 0;
  /** The whole HTTP/1.1 upgrade request, with kUpgradeKey as its Sec-WebSocket-Key. */
  std::string upgradeRequest;
  /** The `connected` message. */
  std::string connectedMessage;
  /** `media_format.encoding` and `sample_rate` as they stand in `start`. */
  std::string encoding;
  uint32_t clockRate = 8000;
  Codec codec = Codec::Pcmu;
  /** What comes back: its codec and, for L16, its rate. */
  Codec replyCodec = Codec::Pcmu;
  uint32_t replySampleRate = 8000;
  Mode mode = Mode::Echo;
  bool verify = false;
  uint32_t streams = 1;
  uint32_t connectsPerSecond = 500;
  uint32_t ptimeMs = 20;
  uint32_t warmupMs = 2000;
  uint32_t measureMs = 10000;
  uint32_t connectTimeoutMs = 5000;
  /** How long frames may take to come back after the last one was sent. */
  uint32_t drainMs = 500;
  uint32_t playoutMs = 40;
  uint32_t utteranceGapMs = 1000;
  /** Process whose processor time and memory are read at both ends of the measurement; 0: none. */
  int serverPid = 0;
  /** Payloads of one ptime each, sent round and round. */
  std::vector<std::vector<uint8_t>> frames;
};

/** RFC 6455's own example pair (section 1.3): a nonce guards against caches, of which a load test has none.
 */
constexpr char kUpgradeKey[] = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr char kUpgradeAccept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

}  // namespace sidetone::load
