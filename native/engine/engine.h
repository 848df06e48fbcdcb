#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/counters.h"
#include "engine/g722_batch.h"
#include "memory/block_pool.h"
#include "mix/room.h"
#include "pacer/timer_wheel.h"
#include "reorder/sequence_tracker.h"
#include "stream/inbound.h"
#include "stream/outbound.h"
#include "wire/envelope.h"
#include "wire/stream_id.h"

namespace sidetone {

struct EngineConfig {
  size_t messageBytesMax = 65536;  // longest WebSocket message
  size_t blocksMax = 1 << 20;      // memory for held and queued audio, in KiB
  OutboundConfig largestOutbound;  // sizes the slots of the send slab
};

/**
 * Memory that the engine shares with its caller, who owns and sizes it. Everything in it is valid until the
 * engine's next call.
 */
struct EngineBuffers {
  uint8_t* slab = nullptr;     // Engine::kSendSlots messages of Engine::slotBytes(config) each
  uint8_t* payload = nullptr;  // Engine::payloadBytes(config): the payload that a Delivery points into
  int32_t* sends = nullptr;    // kSendFields per slot, see SendField
  int32_t* gaps = nullptr;     // kWakesMax: stream * 2 + track whose wait for a missing frame is over
  int32_t* encodes = nullptr;  // kWakesMax: streams that have PCM for their encoder in the pool
};

struct StreamConfig {
  InboundConfig inbound;
  std::array<bool, 2> wanted{true, false};  // by Track
  OutboundConfig outbound;
  std::string streamId;
  uint64_t startSequence = 1;
};

/** What stands in EngineBuffers::sends of one message. */
enum SendField : size_t {
  kSendStream,    // whose it is
  kSendBytes,     // of the message
  kSendFollowed,  // whether its stream is followed: see Engine::follow()
  kSendFields,
};

/** Outcomes of receive() that are not a frame. */
constexpr int kNothing = 0;         // held, dropped, empty or of a track nobody wants
constexpr int kNotRecognised = -1;  // the full JSON parser must judge this message
constexpr int kBadBase64 = -2;      // receiveParsed() only
constexpr int kForeignStream = -3;  // a stream_id that is not this stream's
constexpr int kPoolPayload = -10;   // `delivery` says what the pool must decode
constexpr int kPoolLoss = -11;
constexpr int kNeedsRoom = -12;  // the next frame is longer than the frame buffer: bring a longer one

/** In place of a bound of live audio. */
constexpr double kNotLive = -1;
constexpr double kStreamsBound = -2;  // the one of its OutboundConfig

// clang-format off
/**
 * The media path of one reactor, all streams of it. It owns no thread, no socket and no clock.
 *
 *   receive()   one message of one stream:  scan ─▶ base64 ─▶ reorder ─▶ decode ─▶ resample ─▶ frame buffer
 *   play()      a handler's PCM:            resample ─▶ queue, and what is due at once ─▶ send slab
 *   tick()      all streams that are due:   queue ─▶ encode ─▶ base64 ─▶ envelope ─▶ send slab
 *
 * PCMU and PCMA are encoded before the queue (see Outbound). tick() also finds the gaps whose wait is over.
 *
 * What play() and tick() want sent lies in the slab, message i in slot i; EngineBuffers::sends says whose it
 * is.
 */
// clang-format on
class Engine : private RoomPlayer {
 public:
  static constexpr size_t kSendSlots = G722Batch::kSlots;
  static constexpr size_t kWakesMax = 256;

  static size_t slotBytes(const EngineConfig& config);
  static size_t payloadBytes(const EngineConfig& config);

  Engine(const EngineConfig& config, const EngineBuffers& buffers);

  int open(const StreamConfig& config);
  void close(int stream);
  bool isOpen(int stream) const;
  /** Samples of a track's frame: of one of 20 ms, and of the longest. 0 for a track that nobody wants. */
  size_t frameSamplesUsual(int stream, Track track) const;
  size_t frameSamplesMax(int stream, Track track) const;
  void setFrameBuffer(int stream, Track track, int16_t* frame, size_t samples);
  /** Nobody hears this stream: its frames are put in order and counted, and go no further. */
  void deafen(int stream);

  /** Samples now in the frame buffer (> 0), or one of the outcomes above; delivery() says the rest. */
  int receive(int stream, const char* text, size_t length, double nowMs);
  /** A media frame that the full JSON parser read. */
  int receiveParsed(int stream, const MediaMessage& message, double nowMs);
  /** The next frame of a track that has more. */
  int next(int stream, Track track, double nowMs);
  /** PCM from the pool's decoder; at most InboundTrack's slice at once. */
  int deliverPcm(int stream, Track track, const int16_t* pcm, size_t samples, bool concealed, double nowMs);
  const Delivery& delivery() const { return delivery_; }
  /** No frames of this track come: see Listener. Null where nobody listens. */
  const Senses* hush(int stream, Track track);
  /** Windows of all streams for the neural detector. */
  VoiceWindows& voiceWindows() { return voiceWindows_; }
  Track deliveryTrack() const { return deliveryTrack_; }

  /** When the stream's last media frame came, of whatever track. */
  double lastMediaMs(int stream) const { return streams_[static_cast<size_t>(stream)]->lastMediaMs; }

  /** The sequence number of a frame that is not media. */
  void noteSequence(int stream, uint64_t sequence) {
    streams_[static_cast<size_t>(stream)]->sequence.note(sequence);
  }

  /**
   * Returns the samples accepted (at the outbound rate) or -1 when the queue is full. With `sendNow`,
   * messages that are due are in the slab: sendCount() of them; without, they wait for the next tick.
   * `liveLatencyMaxMs`: how late it may be, 0 for as late as it likes, or kNotLive or kStreamsBound.
   */
  double play(int stream, const int16_t* pcm, size_t samples, int fromHz, double nowMs, bool sendNow,
              double liveLatencyMaxMs = kNotLive);
  /**
   * Plays the frame in the frame buffer, as it was delivered last or changed since, and sends what is due. So
   * a handler's frame is played back while it is being heard.
   * @returns false when the queue is full
   */
  bool playHeard(int stream, double nowMs);
  /** Plays what is encoded already: see Outbound::enqueueEncoded(); the rest as play() does. */
  double playEncoded(int stream, const uint8_t* payload, size_t bytes, double nowMs, bool sendNow);
  /** See Outbound: what fades is due at once, and resume() sends it. */
  void clear(int stream, double nowMs, double fadeMs = 0);
  double fadeSamples(int stream, double nowMs, double fadeMs) {
    return at(stream).outbound.fadeSamples(nowMs, fadeMs);
  }
  void pause(int stream, double nowMs);
  /** What is queued goes on. With `sendNow`, messages that are due are in the slab, as after play(). */
  void resume(int stream, double nowMs, bool sendNow);
  /** See Mixer::add(): begins at once. */
  bool background(int stream, const LayerConfig& layer, double nowMs);
  /** See Mixer. `layer` may be over. */
  void setLayerGain(int stream, int layer, float gain, double rampMs, double nowMs);
  void stopLayer(int stream, int layer, double fadeMs, double nowMs);
  void setSpeechGain(int stream, float gain, double rampMs, double nowMs);
  /** Messages that are due are in the slab, as after play(). */
  void sendNow(int stream, double nowMs) { sendOrWait(at(stream), nowMs, true); }
  /** See Outbound. */
  void remove(int stream, double from, double to);
  /** Gives back the memory of what has been heard. */
  void forget(int stream, double nowMs) { at(stream).outbound.forget(nowMs); }
  /** The payload of the frame that was delivered last, as long as it lies where it did; null for one made up.
   */
  const uint8_t* heardPayload(int stream, size_t& bytes) const {
    if (heard_.stream != stream) return nullptr;
    bytes = delivery_.bytes;
    return delivery_.payload;
  }
  /** The next range of positions of live audio that was left out. False: there is none. */
  bool takeSkipped(int stream, SkippedRange& range) { return at(stream).outbound.takeSkipped(range); }
  /** Grows whenever a message is sent of a stream for which takeSkipped() has something. */
  double skips() const { return skips_; }
  /** Whether the caller follows every message of this stream that is sent. */
  void follow(int stream, bool every) { at(stream).followed = every; }
  /** The caller follows messages that leave less than this many samples queued. */
  void followBelow(int stream, double samples) { at(stream).followedBelow = samples; }
  /** A mark goes behind this position: see Outbound::cutAt(). */
  void cutAt(int stream, double position) { streams_[static_cast<size_t>(stream)]->outbound.cutAt(position); }

  /** Fills the slab with what is due; call again at once while `tickHasMore()`. Returns sendCount(). */
  size_t tick(double nowMs);
  bool tickHasMore() const { return tickHasMore_; }
  size_t sendCount() const { return sendCount_; }
  /** Found by the last tick(), in EngineBuffers::gaps: call next() on each until it has nothing more. */
  size_t gapCount() const { return gapCount_; }
  /** Found by the last tick(), in EngineBuffers::encodes: call takePcm() on each until 0. */
  size_t encodeCount() const { return encodeCount_; }
  /** The next 20 ms for a stream's encoder into `pcm`; samples, or 0 when it has enough for now. */
  size_t takePcm(int stream, double nowMs, int16_t* pcm);
  /** A packet of 20 ms from a stream's encoder. False: no memory was left and it was dropped. */
  bool enqueuePacket(int stream, const uint8_t* packet, size_t bytes);
  /** `frames` of 20 ms of a stream whose packets will never come. */
  void packetsLost(int stream, size_t frames);

  const Outbound& outbound(int stream) const { return streams_[static_cast<size_t>(stream)]->outbound; }

  // --- rooms, in which streams hear each other (see Room) ---

  /** A room in `memory`, which the caller keeps, with other threads' reactors. Returns its number. */
  int openRoom(uint8_t* memory, const RoomShape& shape, uint32_t reactor);
  /** Nobody in it must be a stream of this engine any more. */
  void closeRoom(int room) { rooms_[static_cast<size_t>(room)].reset(); }
  Room* room(int room) const;
  /** False: it has no room, or the stream has no inbound track, or is in a room already. */
  bool join(int stream, int room, double nowMs);
  void leave(int stream);
  /** Whether the others hear it, and whether it hears them. */
  void setSeat(int stream, bool isHeard, bool hears);
  void record(int room, int sampleHz, double nowMs);
  /** Whether something that play() took, and no room, has not been heard yet. */
  bool hasOwnAudio(int stream, double nowMs) const;

  void streamCounters(int stream, CounterValues& values) const;
  /** Everything since the engine's start, of streams open and closed. */
  void totals(CounterValues& values) const;

  /** How late messages were sent, in quarters of a millisecond; the last bin holds the rest. */
  static constexpr size_t kLatenessBins = 256;
  const std::array<uint64_t, kLatenessBins>& lateness() const { return lateness_; }

  /** Deadlines that wait for a tick(): while there is none, nobody need call it. */
  size_t scheduled() const { return wheel_.scheduled(); }

  size_t openStreams() const { return openStreams_; }
  const BlockPool& blocks() const { return pool_; }

 private:
  struct Timer : TimerNode {
    int32_t stream = 0;
    int8_t track = 0;  // of a gap; kSendTimer for the pacer's, kRoomTimer for the rooms'
  };
  static constexpr int8_t kSendTimer = -1;
  static constexpr int8_t kRoomTimer = -2;

  /** What a message touches stands together and is fetched at once: see fetch(). */
  struct Stream {
    Stream(BlockPool& pool, VoiceWindows& windows, const StreamConfig& config, int32_t index);
    StreamId id;
    SequenceTracker sequence;
    std::array<InboundTrack*, 2> tracks{};
    double lastMediaMs = 0;
    uint32_t mediaReceived = 0;
    uint32_t emptyPayloads = 0;
    uint64_t bytesReceived = 0;
    std::array<Timer, 2> gapTimers;
    std::optional<InboundTrack> firstTrack;  // of nearly all streams the only one
    Timer sendTimer;
    double followedBelow = 0;
    bool followed = false;
    bool inG722Batch = false;
    bool inRoom = false;
    uint32_t unwantedTrack = 0;
    Outbound outbound;
    std::unique_ptr<InboundTrack> secondTrack;
    Room* room = nullptr;
    Participant* participant = nullptr;
    double ownEnd = 0;      // where what no room has played ends
    double ownUntilMs = 0;  // live audio that no room has played goes on until then

    void fetch() const;
  };

  int accept(Stream& stream, const MediaMessage& message, double nowMs);
  int deliver(Stream& stream, Track track, double nowMs);
  int report(Stream& stream, Track track, const Delivery& delivery);
  void finishPlay(Stream& stream, double nowMs, bool sendNow);
  void sendOrWait(Stream& stream, double nowMs, bool sendNow);
  void scheduleGap(Stream& stream, Track track);
  void scheduleSend(Stream& stream, double notBeforeMs = 0);
  bool sendDue(Stream& stream, double nowMs);
  void addSend(const Stream& stream, size_t length);
  void collectDue(double nowMs);
  bool queueG722(Stream& stream, double nowMs);
  void runRooms(double nowMs);
  static double ownAheadMs(const Stream& playing, double nowMs);
  void scheduleRooms(double nowMs);
  void playMixed(int stream, const int16_t* pcm, size_t samples, int sampleHz, double timestampMs) final;
  void addCounters(const Stream& stream, CounterValues& values) const;
  Stream& at(int stream) { return *streams_[static_cast<size_t>(stream)]; }
  const Stream& at(int stream) const { return *streams_[static_cast<size_t>(stream)]; }

  BlockPool pool_;
  VoiceWindows voiceWindows_;
  TimerWheel wheel_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<int32_t> freeStreams_;
  size_t openStreams_ = 0;

  EngineBuffers buffers_;
  size_t payloadBytes_;
  std::vector<int16_t> pcm_;      // one slice before resampling
  std::vector<uint8_t> encoded_;  // one payload on its way out
  Delivery delivery_;
  Track deliveryTrack_ = Track::Inbound;
  // The frame that was delivered last, as long as its payload lies where it did.
  struct Heard {
    int stream = -1;
    const int16_t* pcm = nullptr;
    size_t samples = 0;
    int sampleHz = 0;
    double timestampMs = 0;
    const uint8_t* ulaw = nullptr;  // where the PCM is a PCMU payload decoded: this one
  };
  Heard heard_;

  G722Batch g722Batch_;

  size_t slotBytes_;
  size_t sendCount_ = 0;
  double skips_ = 0;
  double tickedMs_ = 0;
  bool tickHasMore_ = false;
  size_t gapCount_ = 0;
  size_t encodeCount_ = 0;
  std::array<uint64_t, kLatenessBins> lateness_{};
  CounterValues closedTotals_{};
  std::vector<std::unique_ptr<Room>> rooms_;
  Timer roomTimer_;
  bool roomsStalled_ = false;  // they wait once for what came meanwhile
};

}  // namespace sidetone
