#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "load/frame.h"
#include "load/options.h"
#include "load/result.h"
#include "load/stream.h"

namespace sidetone::load {

/** Who is told what the connections bring. Times are CLOCK_MONOTONIC µs. */
class Receiver {
 public:
  virtual ~Receiver() = default;
  virtual void onOpen(Stream& stream, uint32_t index, int64_t nowUs) = 0;
  virtual void onText(Stream& stream, uint32_t index, std::string_view text, int64_t arrivedUs) = 0;
};

/**
 * The sockets of a run: non-blocking connects, HTTP upgrades, WebSocket frames both ways, closing.
 * Level-triggered epoll, polled by the owner. Arrival times are the kernel's own (SO_TIMESTAMPNS), so polling
 * every quarter of a millisecond, instead of waking for each message, costs no precision.
 */
class Connections {
 public:
  Connections(const LoadOptions& options, Receiver& receiver, RunCounts& run, std::string& firstError);
  ~Connections();
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  /** Empty, or why there can be no run: bad address, no epoll, too few file descriptors. */
  std::string prepare();

  Stream& stream(uint32_t index) { return *streams_[index]; }
  uint32_t count() const { return static_cast<uint32_t>(streams_.size()); }
  /** Streams that are neither waiting nor closed. */
  uint32_t active() const { return active_; }
  /** Streams that are connecting or upgrading. */
  uint32_t opening() const { return opening_; }

  void connect(uint32_t index, int64_t nowUs);
  /** Reads whatever has come, without waiting. */
  void poll(int64_t nowUs);
  /** Gives up streams that are still opening past their deadline. */
  void expire(int64_t nowUs);

  /** Where the text of a message is written before sendText(). */
  uint8_t* textBuffer() { return scratch_.data() + kClientHeaderBytesMax; }
  size_t textBytesMax() const { return scratch_.size() - kClientHeaderBytesMax; }
  /** Sends the first `count` bytes of textBuffer(). Returns the bytes on the wire; 0: the stream's queue is
   * full, nothing was sent. */
  size_t sendText(uint32_t index, size_t count);
  /** Sends a close frame (1000) and waits for the peer's; closeAll() ends what does not come. */
  void beginClose(uint32_t index);
  void closeAll();

  uint64_t wireBytesReceived() const { return wireBytesReceived_; }

 private:
  enum class Fault : uint8_t { Connect, Upgrade, TimedOut, Closed, Protocol };

  void fail(Stream& stream, Fault fault, std::string_view why);
  void release(Stream& stream);
  void onWritable(Stream& stream, uint32_t index);
  void onReadable(Stream& stream, uint32_t index, int64_t nowUs);
  void onUpgradeBytes(Stream& stream, uint32_t index, std::span<const uint8_t> bytes, int64_t nowUs);
  void onFrameBytes(Stream& stream, uint32_t index, std::span<const uint8_t> bytes, int64_t nowUs);
  /** False when the stream is closed by it. */
  bool onFrame(Stream& stream, uint32_t index, const ServerFrame& frame, const uint8_t* payload,
               int64_t nowUs);
  size_t send(Stream& stream, uint32_t index, uint8_t* payload, size_t count, Opcode opcode);
  bool write(Stream& stream, uint32_t index, const uint8_t* bytes, size_t count);
  void watch(Stream& stream, uint32_t index, bool write);
  void keepPartial(Stream& stream, std::span<const uint8_t> bytes);
  void dropPartial(Stream& stream);
  uint32_t nextMask();
  void readClockOffset();

  const LoadOptions& options_;
  Receiver& receiver_;
  RunCounts& run_;
  std::string& firstError_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<uint8_t> scratch_;
  std::vector<uint8_t> readBuffer_;
  int epoll_ = -1;
  uint32_t active_ = 0;
  uint32_t opening_ = 0;
  uint32_t mask_ = 0x9e3779b9;
  uint64_t heldBytes_ = 0;
  uint64_t wireBytesReceived_ = 0;
  int64_t realtimeOffsetUs_ = 0;
};

}  // namespace sidetone::load
