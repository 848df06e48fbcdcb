#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "codec/encoding.h"
#include "codec/g722.h"
#include "codec/l16.h"
#include "memory/block_queue.h"
#include "resample/resampler.h"
#include "stream/playout.h"

namespace sidetone {

struct OutboundConfig {
  Encoding encoding = Encoding::Pcmu;
  int announcedHz = 8000;  // sample rate asked of the far end
  ByteOrder l16Order = ByteOrder::Little;
  double leadMs = 200;       // the far end is kept at least this far ahead while audio is queued
  double chunkMs = 100;      // longest audio of one message
  double queueMaxMs = 60e3;  // longest audio waiting here
};

struct OutboundCounters {
  uint32_t messages = 0;
  uint32_t underruns = 0;  // the far end ran dry although audio was queued here
  uint32_t padded = 0;     // messages filled up with silence to the 20 ms that Telnyx wants at least
  uint32_t refused = 0;    // play() refused because the queue was full
  uint64_t payloadBytes = 0;
};

/**
 * One call's audio on its way out:
 *
 *   enqueue(pcm) ─▶ resample ─▶ encode ─▶ queue │ take() when due ─▶ payload of one message
 *
 * Encodings without memory (PCMU, PCMA) are encoded on entry, so that audio is touched once and PCMU
 * waits in half the room; L16 waits as PCM and takes its byte order when it is due; G722 waits as PCM and is
 * encoded when it is due; the pool's encodings wait as PCM until the encoder may take them (takePcm) and come
 * back as packets (enqueuePacket), one a message.
 *
 * A message is due when the far end has less than `leadMs` (and a tick's slack) left to play. What is live
 * goes out 20 ms at a time; while more is queued, messages grow to `chunkMs`. Time is passed in.
 */
class Outbound {
 public:
  /** Shortest message Telnyx plays. */
  static constexpr int kMessageMinMs = 20;

  Outbound(BlockPool& pool, const OutboundConfig& config);

  /** The largest payload take() makes, in bytes. */
  static size_t payloadBytesMax(const OutboundConfig& config);

  /**
   * Queues PCM. `echoed` (may be null) is the PCMU payload that `pcm` was decoded from: PCM has one zero and
   * µ-law two, so it tells which one stood there, and an echo is byte for byte what came in. Returns the
   * samples accepted, at the encoding's rate, or -1 when the queue has no room: nothing is queued then.
   */
  double enqueue(const int16_t* pcm, size_t samples, int fromHz, const uint8_t* echoed, double nowMs);

  /**
   * Live audio that keeps up: where nothing is queued, the encoding needs no memory of what went before, and
   * all of `pcm` makes one message that is due now, its payload lies in `payload` at once. Returns its bytes,
   * or 0, after which enqueue() is the way. Arguments as there.
   */
  size_t passThrough(const int16_t* pcm, size_t samples, int fromHz, const uint8_t* echoed, double nowMs,
                     uint8_t* payload);

  /** Payload of the next message into `payload`, if one is due; its bytes, or 0. Not for G722. */
  size_t take(double nowMs, uint8_t* payload);

  /** G722 only: the encoder of this stream; else null. Its messages come as PCM, to be encoded many streams
   * at once. */
  G722Encoder* g722() { return g722_.get(); }
  /** G722 only: PCM of the next message into `pcm`, if one is due; its samples (an even number), or 0. */
  size_t takeG722(double nowMs, int16_t* pcm);
  /** Samples that takeG722() may give. */
  static size_t g722SamplesMax(const OutboundConfig& config);

  /** When take() will have something; infinity when nothing is queued. */
  double dueMs() const;
  /** Pool encodings: when takePcm() will have something; infinity for the others and when nothing is queued.
   */
  double pcmDueMs() const;

  /** Pool encodings: the next 20 ms of PCM for the encoder into `pcm`, if it may run that far ahead; samples
   * or 0. */
  size_t takePcm(double nowMs, int16_t* pcm);
  /**
   * Pool encodings: a packet of 20 ms that came back, oldest first; those from before a clear() are dropped
   * here. False: no memory block was left; the packet is dropped.
   */
  bool enqueuePacket(const uint8_t* packet, size_t bytes);
  /** Pool encodings: a frame of 20 ms whose packet will never come; its time is passed over. */
  void packetLost();

  /**
   * A message should end at this position (of accepted samples), because a mark goes behind it: a mark comes
   * back when the whole message before it has been played. Kept unless it would make a message of less than
   * 20 ms.
   */
  void cutAt(double position);

  /** Byte order of L16 from the next message on: what is queued goes out in it too. */
  void setL16Order(ByteOrder order) { config_.l16Order = order; }

  /** Drops what is queued; the far end drops what it has not played. */
  void clear(double nowMs);

  double queuedSamples() const { return static_cast<double>(queue_.bytes() / bytesPerSample_); }
  double queuedMs() const { return (accepted_ - sent_) / samplesPerMs_; }
  double acceptedPosition() const { return accepted_; }
  double sentPosition() const { return sent_; }
  const Playout& playout() const { return playout_; }
  /** Where the part of it that every message touches ends. */
  const void* oftenUsedEnd() const { return playout_.oftenUsedEnd(); }
  const OutboundConfig& config() const { return config_; }
  const OutboundCounters& counters() const { return counters_; }
  int sampleHz() const { return sampleHz_; }
  bool pooled() const { return pooled_; }

 private:
  static constexpr double kTickSlackMs = 20;  // a late tick must not eat into the lead
  static constexpr size_t kPieceSamples = 960;
  static constexpr double kSmallMs = 1000;

  bool hasMemory(double comingMs) const;
  bool append(const int16_t* pcm, size_t samples, const uint8_t* echoed);
  void encode(const int16_t* pcm, size_t samples, const uint8_t* echoed, uint8_t* payload) const;
  void flushResampler();
  size_t dueSamples(double nowMs);
  size_t takePacket(double nowMs, uint8_t* payload);
  double tailDueMs() const;
  double leadDueMs() const { return playout_.dryAtMs() - config_.leadMs - kTickSlackMs; }
  size_t untilCut(size_t samples) const;
  size_t paddingFor(size_t samples) const;
  void sent(size_t samples, size_t padding, size_t bytes, double nowMs);

  // What every message touches, up to …
  OutboundConfig config_;
  int sampleHz_;
  int resamplerFromHz_ = 0;
  double samplesPerMs_;
  size_t minSamples_;  // samples of the shortest message
  size_t bytesPerSample_;
  bool pooled_;
  size_t cutCount_ = 0;
  std::unique_ptr<Resampler> resampler_;
  std::unique_ptr<G722Encoder> g722_;
  BlockQueue queue_;
  double chunkMs_ = kMessageMinMs;
  double lastEnqueueMs_ = 0;
  double accepted_ = 0;  // samples taken in since the start
  double sent_ = 0;      // of those, sent or dropped by clear()
  OutboundCounters counters_;
  Playout playout_;  // … the first runs of this

  BlockPool* pool_;
  double encoding_ = 0;                  // pool: samples with the encoder or waiting as packets
  uint32_t withEncoder_ = 0;             // pool: frames of 20 ms that have not come back
  uint32_t staleWithEncoder_ = 0;        // pool: of those, the ones from before a clear()
  std::unique_ptr<BlockQueue> packets_;  // pool: | bytes (2) | packet | …
  // Cuts ahead of sent_, rising. More marks than this within what is queued are rare; the later ones then
  // come back a message late.
  static constexpr size_t kCuts = 8;
  std::array<double, kCuts> cuts_{};
};

}  // namespace sidetone
