#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>

#include "codec/encoding.h"
#include "codec/g722.h"
#include "codec/l16.h"
#include "codec/l16_order.h"
#include "hearing/listener.h"
#include "jitter/jitter_buffer.h"
#include "memory/block_pool.h"
#include "mix/delay_line.h"
#include "plc/concealer.h"
#include "reorder/reorder.h"
#include "resample/resampler.h"
#include "stream/media_timeline.h"

namespace sidetone {

struct InboundConfig {
  Encoding encoding = Encoding::Pcmu;
  int announcedHz = 8000;  // media_format.sample_rate
  int handlerHz = 8000;    // rate at which the handler hears
  ByteOrder l16Order = ByteOrder::Little;
  bool l16OrderAuto = false;  // found by listening; l16Order is not looked at
  double reorderWaitMs = 60;
  double gapFillMaxMs = 1000;  // longer losses are a jump of the frames' timestamps, not concealed frames
  bool conceals = true;        // false: silence stands in for what is lost
  ListenerConfig listener;
  bool playout = false;  // frames leave on a steady clock of 20 ms, and not as they come
  double playoutDelayMinMs = 20;
  double playoutDelayMaxMs = 400;
};

struct InboundCounters {
  uint32_t frames = 0;      // heard by the handler, concealed ones among them
  uint32_t concealed = 0;   // synthesised for what was lost
  uint32_t pauses = 0;      // timestamps showed a time in which nothing was sent
  uint32_t badPayload = 0;  // odd byte of an L16 payload, dropped
};

/** What InboundTrack::next() has for the caller. */
struct Delivery {
  enum class Kind : uint8_t {
    Nothing,
    Frame,        // `samples` of PCM at the handler's rate lie in the frame buffer
    PoolPayload,  // decode `payload` in the pool, then bring the PCM to deliverPcm()
    PoolLoss,     // have the pool's decoder conceal `lostFrames` frames of 20 ms
    NeedsRoom,    // the next frame is longer than the frame buffer: bring a longer one and call again
  };
  Kind kind = Kind::Nothing;
  bool concealed = false;
  bool more = false;  // next() has something more right now
  size_t samples = 0;
  double timestampMs = 0;
  const uint8_t* payload = nullptr;  // also for Frame, where the PCM is this payload, decoded; else null
  size_t bytes = 0;
  uint32_t lostFrames = 0;
  const Senses* senses = nullptr;  // of Frame, where somebody listens: valid until the track's next frame
};

/**
 * One track of one call from payloads to frames of PCM:
 *
 *   push(payload) ─▶ reorder ─▶ decode │ conceal ─▶ resample ─▶ frame buffer
 *
 * A payload longer than kSliceMs is heard as several frames. After push(), call next() until it says `more`
 * no longer.
 */
class InboundTrack {
 public:
  /** Longest frame a handler gets. Opus packets may last 120 ms; the other encodings are cut at 60. */
  static constexpr int kSliceMs = 60;
  static constexpr int kOpusSliceMs = 120;

  InboundTrack(BlockPool& pool, const InboundConfig& config, const VoiceSeat& seat = {});

  /** Samples of a frame of 20 ms, which nearly all are, and of the longest that is ever made. */
  size_t frameSamplesUsual() const;
  size_t frameSamplesMax() const;
  void setFrameBuffer(int16_t* frame, size_t samples) {
    frame_ = frame;
    frameRoom_ = samples;
  }
  const int16_t* frameBuffer() const { return frame_; }

  /** From now on no handler hears it: next() has nothing but the counting of what is lost, late or doubled.
   */
  void deafen();
  /** What is heard goes there too, at the source's rate, and also where no handler hears it; null: no more.
   */
  void setTap(DelayLine* tap);
  /** The memory that the next frame goes to. */
  void fetch() const;

  /** `frame.payload` must stay where it is until next() has nothing more. */
  void push(const ReorderFrame& frame, bool fresh, bool nothingMissing, double nowMs);
  Delivery next(double nowMs, uint8_t* payloadScratch, int16_t* pcmScratch);

  /** PCM of the pool's decoder, at most one slice, in order. */
  Delivery deliverPcm(const int16_t* pcm, size_t samples, bool concealed, double nowMs);

  bool ready(double nowMs) {
    return concealSamples_ > 0 || sliceBytes_ > 0 || reorder_.ready(nowMs) || isPlayoutDue();
  }
  /** When next() will have something without a push(); infinity: never. */
  double deadlineMs() const;
  /** With playout: frames that are due by `nowMs` may leave. What has come until then has been pushed. */
  void playTo(double nowMs) {
    if (playout_) playout_->clockMs = nowMs;
  }
  /** Null without playout. */
  const JitterBuffer* jitterBuffer() const { return playout_ ? &playout_->buffer : nullptr; }
  Reorder& reorder() { return reorder_; }
  MediaTimeline& timeline() { return timeline_; }
  const InboundCounters& counters() const { return counters_; }
  /** How often the neural detector was behind. */
  uint32_t voiceFallBacks() const { return listener_ ? listener_->voiceFallBacks() : 0; }
  /** Whether an echo of what is played may come back. */
  void setPlaying(bool playing) {
    if (listener_) listener_->setPlaying(playing);
  }
  /** No frames come: see Listener. Null where nobody listens. */
  const Senses* hush() { return listener_ && !deaf_ ? &listener_->hush() : nullptr; }
  Encoding encoding() const { return encoding_; }
  /** Rate at which the handler hears, in Hz. */
  int handlerHz() const { return handlerHz_; }
  int sourceHz() const { return sourceHz_; }
  /** Whether the byte order of L16 is found by listening. */
  bool findsL16Order() const { return l16Finder_ != nullptr; }
  /** Of L16: as configured, or as found so far. */
  ByteOrder l16Order() const { return l16Finder_ ? l16Finder_->order() : l16Order_; }
  bool resamples() const { return resampler_ != nullptr; }

 private:
  /** The steady clock, and what waits for it. */
  struct Playout {
    Playout(BlockPool& pool, const JitterConfig& config) : buffer(pool, config) {}
    JitterBuffer buffer;
    double nextMs = std::numeric_limits<double>::infinity();  // of the next frame
    double clockMs = -std::numeric_limits<double>::infinity();
    double frames = 0;     // so far
    double arrivedMs = 0;  // of the payload that is being heard
    double heldMs = 0;     // how long it had waited behind a gap
  };

  void take(const ReorderFrame& frame, bool afterGap);
  void openGap(const Reorder::Popped& gap);
  void discard();
  Delivery nextPlayout(double nowMs, uint8_t* payloadScratch, int16_t* pcmScratch);
  Delivery pull(double nowMs, int16_t* pcmScratch);
  bool fillPlayout(double nowMs, uint8_t* payloadScratch, int16_t* pcmScratch);
  void keep(const int16_t* pcm, size_t samples, double arrivedMs, double nowMs);
  bool isPlayoutDue() const { return playout_ && !isUnheard() && playout_->nextMs <= playout_->clockMs; }
  Delivery nextSlice(double nowMs, uint8_t* payloadScratch, int16_t* pcmScratch);
  bool isUnheard() const { return deaf_ && !tap_; }
  size_t usualSamples() const { return static_cast<size_t>(sourceHz_) / 50; }
  bool hasRoomFor(size_t samples) const {
    return deaf_ || (resampler_ ? resampler_->outputMax(samples) : samples) <= frameRoom_;
  }
  Delivery frame(int16_t* pcm, size_t samples, bool concealed, double nowMs);
  Delivery concealSlice(int16_t* pcmScratch, double nowMs);
  Delivery poolPayload(double nowMs);
  Delivery decodeSlice(int16_t* pcmScratch, double nowMs);
  void decode(const uint8_t* payload, size_t samples, int16_t* pcm);
  size_t bytesToSamples(size_t bytes) const;
  size_t samplesToBytes(size_t samples) const;
  double durationMs(const ReorderFrame& frame) const;

  Encoding encoding_;
  ByteOrder l16Order_;
  bool pooled_;
  bool deaf_ = false;
  bool afterGap_ = false;
  int sourceHz_;
  int handlerHz_;
  double gapFillMaxMs_;
  size_t sliceSamplesMax_;
  int16_t* frame_ = nullptr;
  size_t frameRoom_ = 0;            // samples
  const uint8_t* slice_ = nullptr;  // what is left of the payload being heard
  size_t sliceBytes_ = 0;
  size_t concealSamples_ = 0;  // what is left to synthesise for the gap before it
  double skipMs_ = 0;          // lost time that is not filled, after the concealed part
  MediaTimeline timeline_;
  InboundCounters counters_;
  std::unique_ptr<G722Decoder> g722_;
  Reorder reorder_;
  std::optional<Concealer> concealer_;  // pool decoders conceal by themselves
  std::unique_ptr<Resampler> resampler_;
  std::unique_ptr<L16OrderFinder> l16Finder_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Playout> playout_;
  DelayLine* tap_ = nullptr;
};

}  // namespace sidetone
