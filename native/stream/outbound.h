#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "codec/encoding.h"
#include "codec/g722.h"
#include "codec/l16.h"
#include "memory/block_queue.h"
#include "mix/mixer.h"
#include "resample/resampler.h"
#include "stream/encoded_runs.h"
#include "stream/live_parts.h"
#include "stream/playout.h"

namespace sidetone {

struct OutboundConfig {
  Encoding encoding = Encoding::Pcmu;
  int announcedHz = 8000;  // sample rate asked of the far end
  ByteOrder l16Order = ByteOrder::Little;
  double leadMs = 200;            // the far end is kept at least this far ahead while audio is queued
  double chunkMs = 100;           // longest audio of one message
  double queueMaxMs = 60e3;       // longest audio waiting here
  double liveLatencyMaxMs = 400;  // live audio that is later than this is caught up; 0: never
};

/** What enqueue() and passThrough() know of audio that is played as it comes. */
struct Live {
  static constexpr double kNoTime = -1;
  double latencyMaxMs = 0;       // 0: it is not live, or may be as late as it likes
  double timestampMs = kNoTime;  // of the frame that is being heard, on its own stream's time axis
  bool isLive = false;
};

struct OutboundCounters {
  uint32_t messages = 0;
  uint32_t underruns = 0;  // the far end ran dry within an utterance
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
 * Live audio that is late is shortened in the queue when its next message is due (see CatchUp). Positions go
 * on counting what was accepted, so that a shortened message stands for more samples than it has.
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
   * Queues PCM. `echoed` (may be null) is the PCMU payload that `pcm` was decoded from. PCM has one zero and
   * µ-law two, so it tells which one stood there, and an echo is byte for byte what came in. Returns the
   * samples accepted, at the encoding's rate, or -1 when the queue has no room: nothing is queued then.
   */
  double enqueue(const int16_t* pcm, size_t samples, int fromHz, const uint8_t* echoed, double nowMs,
                 const Live& live = {});

  /** Queues `bytes` that are encoded already. Returns as enqueue() does. Not for the pool's encodings. */
  double enqueueEncoded(const uint8_t* payload, size_t bytes, double nowMs);

  /**
   * Encodes live audio that keeps up straight into `payload`. This holds where nothing is queued, the
   * encoding needs no memory of what went before, and all of `pcm` makes one message that is due now. Returns
   * its bytes, or 0, after which enqueue() is the way. Arguments as there.
   */
  size_t passThrough(const int16_t* pcm, size_t samples, int fromHz, const uint8_t* echoed, double nowMs,
                     const Live& live, uint8_t* payload);

  /** Payload of the next message into `payload`, if one is due; its bytes, or 0. Not for G722. */
  size_t take(double nowMs, uint8_t* payload);

  /** G722 only: the encoder of this stream; else null. Its messages come as PCM, to be encoded many streams
   * at once. */
  G722Encoder* g722() { return g722_.get(); }
  /** G722 only: PCM of the next message into `pcm`, if one is due; its samples (an even number), or 0. */
  size_t takeG722(double nowMs, int16_t* pcm);
  /**
   * G722 only: the payload of the next message, if one is due whose audio came encoded; its bytes, or 0.
   * Before takeG722(), which takes no such audio.
   */
  size_t takeEncodedG722(double nowMs, uint8_t* payload);
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

  /**
   * What goes out besides what is played, and how loud it all is: see Mixer. It is made when it is asked for
   * and let go when there is nothing left for it. While a background sounds, messages go out without end:
   * where nothing is queued, or it is paused, they hold the background alone. They have no positions.
   */
  Mixer& mixer(double nowMs);
  bool mixes() const { return mixes_; }

  /** Byte order of L16 from the next message on: what is queued goes out in it too. */
  void setL16Order(ByteOrder order) { config_.l16Order = order; }

  /**
   * Drops what is queued; the far end drops what it has not played. What would have been heard during the
   * next `fadeMs` is queued again, fading out, as far as fadeSamples() says. Ends a pause.
   */
  void clear(double nowMs, double fadeMs = 0);
  /** How much of what is being heard clear() can fade out, in samples: none where nothing that is kept is
   * heard. */
  double fadeSamples(double nowMs, double fadeMs) const;

  /**
   * The far end drops what it has not played, which is queued again before the rest; nothing is due any more.
   * What was not kept (see keep()) is left out, which takeSkipped() tells. Again: nothing happens.
   */
  void pause(double nowMs);
  /** Gives back the memory of what was kept and has been heard. */
  void forget(double nowMs) {
    if (keeps_) dropHeard(playout_.playedPosition(nowMs));
  }
  /** What is queued goes on. */
  void resume(double nowMs);
  bool paused() const { return paused_; }
  /**
   * Takes the positions from `from` up to `to` out of what is queued; those behind them move up. Both lie
   * within what has been accepted and is still queued: see headPosition().
   */
  void remove(double from, double to);

  /** Whether takeSkipped() has something. */
  bool hasSkipped() const { return !skipped_.empty(); }
  /** The next range of positions that was left out because it was hopelessly late. False: there is none. */
  bool takeSkipped(SkippedRange& range) { return skipped_.take(range); }

  double queuedSamples() const { return static_cast<double>(queue_.bytes() / bytesPerSample_); }
  double queuedMs() const { return (accepted_ - sent_) / samplesPerMs_; }
  double acceptedPosition() const { return accepted_; }
  /** The first position that is still queued here: of the pool's encodings, not with the encoder. */
  double headPosition() const { return accepted_ - queuedSamples() - static_cast<double>(head_.cut()); }
  double sentPosition() const { return sent_; }
  const Playout& playout() const { return playout_; }
  /** How much the far end still has to play, without a background that goes out by itself. */
  double unheardMs(double nowMs) const {
    return mixes_ ? playout_.unheardMs(nowMs) : playout_.aheadMs(nowMs);
  }
  /** Where the part of it that every message touches ends. */
  const void* oftenUsedEnd() const { return playout_.oftenUsedEnd(); }
  const OutboundConfig& config() const { return config_; }
  const OutboundCounters& counters() const { return counters_; }
  /** Of live audio that was late. */
  const CatchUp::Counters& catchUps() const { return catchUp_.counters; }
  int sampleHz() const { return sampleHz_; }
  bool pooled() const { return pooled_; }

 private:
  static constexpr double kTickSlackMs = 20;  // a late tick must not eat into the lead
  static constexpr size_t kPieceSamples = 960;
  static constexpr double kSmallMs = 1000;
  // A gap of live audio shorter than this is hidden by whatever jitter buffer stands behind the far end.
  static constexpr double kGapMinMs = 20;
  // Live audio without a time axis that rests for longer has ended and begins anew.
  static constexpr double kRestMs = 1000;
  // A background alone is sent in messages of this length, and so far ahead: what is played waits behind it.
  static constexpr double kAloneMs = 40;
  static constexpr double kAloneLeadMs = 40;
  static constexpr double kAlonePooledLeadMs = 60;  // its packets take a while to come
  // Behind live audio it waits until the last moment, or each frame that is late would leave a gap of its
  // length.
  static constexpr double kAloneLastMs = 10;
  static constexpr double kLiveGoesOnMs = 100;

  bool hasMemory(double comingMs) const;
  bool append(const int16_t* pcm, size_t samples, const uint8_t* echoed);
  void encode(const int16_t* pcm, size_t samples, const uint8_t* echoed, uint8_t* payload) const;
  void flushResampler();
  size_t dueSamples(double nowMs);
  size_t dueG722(double nowMs, bool isEncoded);
  size_t takePacket(double nowMs, uint8_t* payload);
  double aloneDueMs() const;
  size_t takeAlone(double nowMs, uint8_t* payload);
  size_t takeAlonePcm(double nowMs, int16_t* pcm);
  void sentAlone(size_t samples, size_t bytes, double nowMs);
  bool soundsAlone() const { return mixes_ && mixing_->mixer.sounds(); }
  void takeMixedBack(double nowMs);
  void mix(int16_t* pcm, size_t played, size_t samples, double nowMs);
  void mixPayload(uint8_t* payload, size_t played, size_t samples, double nowMs);
  void decodeG722(int16_t* queued, size_t samples);
  /** What has been mixed and may not have been heard, in samples. */
  double unheardSamples(double nowMs) const { return playout_.aheadMs(nowMs) * samplesPerMs_ + encoding_; }
  double tailDueMs() const;
  double leadDueMs() const { return playout_.dryAtMs() - leadMs(runs_.headBoundMs()) - kTickSlackMs; }
  /** What was sent cannot be shortened any more, so live audio is sent ahead by half of its bound at most. */
  double leadMs(double boundMs) const {
    return boundMs > 0 ? std::min(config_.leadMs, boundMs / 2) : config_.leadMs;
  }
  double chunkMaxMs() const {
    const double boundMs = runs_.headBoundMs();
    return boundMs > 0 ? std::min(config_.chunkMs, std::max<double>(boundMs / 4, kMessageMinMs))
                       : config_.chunkMs;
  }
  void noteGap(const Live& live, double durationMs, double nowMs);
  void begin(const Live& live);
  /** When the far end will have played what it has and what is being encoded for it. */
  double heardUntilMs(double nowMs) const {
    return std::max(playout_.dryAtMs(), nowMs) + encoding_ / samplesPerMs_;
  }
  void catchUp(size_t samplesWanted, double nowMs);
  void skip(size_t samples);
  void shortenHead(size_t samplesWanted, size_t cutMax, double speed, size_t live);
  void peekPcm(size_t offset, size_t samples, int16_t* pcm) const { peekPcm(queue_, offset, samples, pcm); }
  void peekPcm(const BlockQueue& queue, size_t offset, size_t samples, int16_t* pcm) const;
  void overwritePcm(size_t offset, size_t samples, const int16_t* pcm);
  size_t untilCut(size_t samples) const;
  void passCuts();
  size_t paddingFor(size_t samples) const;
  void sent(size_t samples, double stoodFor, size_t padding, size_t bytes, double nowMs);
  void keep(const uint8_t* queued, size_t samples, double position, double stoodFor, double nowMs);
  void dropHeard(double position);
  double heardPosition(double nowMs) const;
  double keptSamples() const { return static_cast<double>(kept_.bytes() / bytesPerSample_); }
  double keptFrom() const { return keptEnd_ - keptSamples(); }

  // What every message touches, up to …
  OutboundConfig config_;
  int sampleHz_;
  int resamplerFromHz_ = 0;
  double samplesPerMs_;
  size_t minSamples_;  // samples of the shortest message
  size_t bytesPerSample_;
  bool pooled_;
  bool paused_ = false;
  bool keeps_ = false;  // something is kept
  bool mixes_ = false;  // mixing_ is there
  size_t cutCount_ = 0;
  std::unique_ptr<Resampler> resampler_;
  std::unique_ptr<G722Encoder> g722_;
  BlockQueue queue_;
  double chunkMs_ = kMessageMinMs;
  double lastEnqueueMs_ = 0;
  double accepted_ = 0;                // samples taken in since the start
  double sent_ = 0;                    // of those, sent or dropped by clear()
  double lastLiveMs_ = Live::kNoTime;  // timestamp of the live frame that was played last
  bool lastWasLive_ = false;
  ShortenedHead head_;
  LiveRuns runs_;
  SkippedRanges skipped_;
  OutboundCounters counters_;
  Playout playout_;  // … the first runs of this

  BlockPool* pool_;
  double encoding_ = 0;                  // pool: samples with the encoder or waiting as packets
  uint32_t withEncoder_ = 0;             // pool: frames of 20 ms that have not come back
  uint32_t staleWithEncoder_ = 0;        // pool: of those, the ones from before a clear()
  std::unique_ptr<BlockQueue> packets_;  // pool: | bytes (2) | packet | …
  std::unique_ptr<BlockQueue> spans_;  // pool: a Span for each frame with the encoder or waiting as a packet
  BlockQueue
      kept_;  // what went to the far end, or to the encoder, and may not have been heard, as it was queued
  double keptEnd_ = 0;     // the position behind it
  double notLiveEnd_ = 0;  // and behind what of it is not live
  EncodedRuns encoded_;
  double notLiveUntilMs_ = 0;  // the far end will have played everything that is not live
  CatchUp catchUp_;
  // Cuts ahead of sent_, rising. More marks than this within what is queued are rare; the later ones then
  // come back a message late.
  static constexpr size_t kCuts = 8;
  std::unique_ptr<std::array<double, kCuts>> cuts_;  // made at the first mark

  /** Pool: what the 20 ms of a packet are. */
  struct Span {
    uint32_t stoodFor;  // accepted samples
    uint32_t samples;   // of the packet; the rest is padding
  };
  Span takeSpan();

  struct Mixing {
    Mixer mixer;
    std::vector<int16_t> pcm;
    std::unique_ptr<G722Decoder> g722;  // of what is queued encoded
  };
  std::unique_ptr<Mixing> mixing_;
};

}  // namespace sidetone
