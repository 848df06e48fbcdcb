#include "load/generator.h"

#if defined(__linux__)

#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <queue>

#include "base64/base64.h"
#include "load/connections.h"
#include "load/messages.h"
#include "load/scan.h"

namespace sidetone::load {
namespace {

/** How often the thread wakes at most: sends that fall due in between go together, up to this much late. */
constexpr int64_t kTickUs = 250;
/** And at least, to read and to answer marks in time. */
constexpr int64_t kIdleTickUs = 1000;
constexpr int64_t kCloseUs = 2'000'000;
constexpr size_t kMarkNameBytesMax = 4096;

int64_t nowUs() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1000;
}

void sleepUntil(int64_t untilUs) {
  timespec until{};
  until.tv_sec = untilUs / 1'000'000;
  until.tv_nsec = untilUs % 1'000'000 * 1000;
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}

struct DueMark {
  int64_t dueUs;
  uint32_t index;
  bool operator>(const DueMark& other) const { return dueUs > other.dueUs; }
};

class Generator final : public Receiver {
 public:
  Generator(const LoadOptions& options, Progress& progress)
      : options_(options),
        progress_(progress),
        pool_(options.frames, isFixedRate(options.codec) && options.codec != Codec::G722),
        connections_(options, *this, result_.run, result_.firstError),
        ptimeUs_(int64_t{options.ptimeMs} * 1000),
        ptimeTicks_(int64_t{options.ptimeMs} * kTicksPerSecond / 1000) {}

  LoadResult run();

  void onOpen(Stream& stream, uint32_t index, int64_t nowUs) override;
  void onText(Stream& stream, uint32_t index, std::string_view text, int64_t arrivedUs) override;

 private:
  void step(int64_t now);
  void enter(Phase phase, int64_t untilUs);
  bool allReturned();
  void beginWindow(int64_t now);
  void endWindow(int64_t now);
  void sendDue(int64_t now);
  void sendMedia(Stream& stream, uint32_t index, int64_t dueUs);
  void sendMark(Stream& stream, uint32_t index, std::string_view name);
  void sendStop(Stream& stream, uint32_t index);
  void returnMarks(int64_t now);
  void onMedia(Stream& stream, uint32_t index, std::string_view text, int64_t arrivedUs);
  void takeLatency(Stream& stream, const Stream& speaker, uint32_t framesBack, int64_t arrivedUs);
  /** Whether what comes back is known frame by frame. */
  bool followsFrames() const {
    return options_.mode == Mode::Echo || (options_.mode == Mode::Bridge && options_.verify);
  }
  /** Whose frames a stream hears. */
  uint32_t speakerOf(uint32_t index) const { return options_.mode == Mode::Bridge ? index ^ 1 : index; }
  uint32_t unreturned(uint32_t index) {
    const uint32_t sent = connections_.stream(speakerOf(index)).framesSent;
    return sent - std::min(sent, connections_.stream(index).framesTimed);
  }
  int64_t slotUs(uint64_t slot) const {
    const uint64_t streams = connections_.count();
    return beginUs_ + static_cast<int64_t>(slot / streams) * ptimeUs_ +
           static_cast<int64_t>(slot % streams) * ptimeUs_ / static_cast<int64_t>(streams);
  }

  const LoadOptions& options_;
  Progress& progress_;
  LoadResult result_;
  PayloadPool pool_;
  Connections connections_;
  int64_t ptimeUs_;
  int64_t ptimeTicks_;

  Phase phase_ = Phase::Connecting;
  int64_t phaseEndUs_ = 0;
  int64_t beginUs_ = 0;
  int64_t windowUs_ = 0;
  bool measuring_ = false;
  bool measured_ = false;
  uint32_t nextConnect_ = 0;
  uint64_t slot_ = 0;
  uint64_t wireBytesBefore_ = 0;
  uint32_t runId_ = 0;
  std::vector<uint8_t> decoded_;
  std::string unescaped_;
  // Bounded by kMarksMax marks a stream and one entry a clear, popped within a tick.
  std::priority_queue<DueMark, std::vector<DueMark>, std::greater<>> dueMarks_;
};

LoadResult Generator::run() {
  result_.failure = connections_.prepare();
  if (!result_.failure.empty()) return std::move(result_);
  decoded_.resize(base64DecodedCapacity(kMessageBytesMax));
  // The default slack of 50 µs would be added to every sleep.
  prctl(PR_SET_TIMERSLACK, 1000UL);

  beginUs_ = nowUs();
  runId_ = static_cast<uint32_t>(beginUs_);
  int64_t now = beginUs_;
  while (phase_ != Phase::Done) {
    step(now);
    if (phase_ <= Phase::Measuring) sendDue(now);
    connections_.poll(nowUs());
    returnMarks(nowUs());
    progress_.phase.store(phase_, std::memory_order_relaxed);
    progress_.opened.store(result_.run.opened, std::memory_order_relaxed);
    const RunCounts& run = result_.run;
    progress_.failed.store(
        run.connectFailed + run.upgradeRefused + run.timedOut + run.closedEarly + run.protocolErrors,
        std::memory_order_relaxed);

    const int64_t wakeUs = std::min(std::max(slotUs(slot_), now + kTickUs), now + kIdleTickUs);
    now = nowUs();
    if (wakeUs > now) {
      sleepUntil(wakeUs);
      now = nowUs();
    }
  }
  connections_.closeAll();
  return std::move(result_);
}

void Generator::enter(Phase phase, int64_t untilUs) {
  phase_ = phase;
  phaseEndUs_ = untilUs;
}

void Generator::step(int64_t now) {
  if (progress_.stop.load(std::memory_order_relaxed) && phase_ < Phase::Draining) phaseEndUs_ = now;
  switch (phase_) {
    case Phase::Connecting: {
      const bool stopping = progress_.stop.load(std::memory_order_relaxed);
      const int64_t allowed = (now - beginUs_) * options_.connectsPerSecond / 1'000'000 + 1;
      while (!stopping && nextConnect_ < connections_.count() && nextConnect_ < allowed) {
        connections_.connect(nextConnect_++, now);
      }
      connections_.expire(now);
      if (stopping || (nextConnect_ == connections_.count() && connections_.opening() == 0)) {
        enter(Phase::WarmingUp, now + int64_t{options_.warmupMs} * 1000);
      }
      break;
    }
    case Phase::WarmingUp:
      // Without a single stream there is nothing to wait for.
      if (now < phaseEndUs_ && connections_.active() > 0) break;
      enter(Phase::Measuring, now + int64_t{options_.measureMs} * 1000);
      beginWindow(now);
      break;
    case Phase::Measuring:
      if (now < phaseEndUs_ && connections_.active() > 0) break;
      endWindow(now);
      enter(Phase::Draining, now + int64_t{options_.drainMs} * 1000);
      break;
    case Phase::Draining:
      if (now < phaseEndUs_ && !allReturned()) break;
      for (uint32_t i = 0; i < connections_.count(); i++) {
        Stream& stream = connections_.stream(i);
        if (stream.state != Stream::State::Open) continue;
        if (followsFrames()) result_.run.framesUnreturned += unreturned(i);
        sendStop(stream, i);
        connections_.beginClose(i);
      }
      enter(Phase::Closing, now + kCloseUs);
      break;
    case Phase::Closing:
      if (now >= phaseEndUs_ || connections_.active() == 0) enter(Phase::Done, now);
      break;
    case Phase::Done:
      break;
  }
}

bool Generator::allReturned() {
  if (!followsFrames()) return true;
  for (uint32_t i = 0; i < connections_.count(); i++) {
    if (connections_.stream(i).state == Stream::State::Open && unreturned(i) > 0) return false;
  }
  return true;
}

void Generator::beginWindow(int64_t now) {
  windowUs_ = now;
  measuring_ = true;
  wireBytesBefore_ = connections_.wireBytesReceived();
  result_.serverKnown = options_.serverPid > 0 && processUse(options_.serverPid, result_.serverBefore);
  result_.generatorCpu = threadCpu();
}

void Generator::endWindow(int64_t now) {
  measuring_ = false;
  result_.windowUs = now - windowUs_;
  const CpuTime cpu = threadCpu();
  result_.generatorCpu = {cpu.userUs - result_.generatorCpu.userUs,
                          cpu.kernelUs - result_.generatorCpu.kernelUs};
  if (result_.serverKnown) result_.serverKnown = processUse(options_.serverPid, result_.serverAfter);
  result_.window.wireBytesReceived = connections_.wireBytesReceived() - wireBytesBefore_;
  for (uint32_t i = 0; i < connections_.count(); i++) {
    const Stream& stream = connections_.stream(i);
    if (stream.underran) result_.streamsWithUnderrun++;
    if (stream.state != Stream::State::Open) continue;
    result_.audioRates.push_back(stream.rate.rate(now));
  }
}

void Generator::sendDue(int64_t now) {
  const uint64_t streams = connections_.count();
  // At most one whole round, so that an overloaded generator still reads; the lateness is on record.
  for (uint64_t sent = 0; sent < streams; sent++) {
    const int64_t dueUs = slotUs(slot_);
    if (dueUs > now) break;
    const uint32_t index = static_cast<uint32_t>(slot_ % streams);
    slot_++;
    Stream& stream = connections_.stream(index);
    if (stream.state == Stream::State::Open) sendMedia(stream, index, dueUs);
  }
}

void Generator::onOpen(Stream& stream, uint32_t index, int64_t) {
  const CallName call{runId_, index};
  nameStream(stream, call);
  uint8_t* const out = connections_.textBuffer();
  std::memcpy(out, options_.connectedMessage.data(), options_.connectedMessage.size());
  connections_.sendText(index, options_.connectedMessage.size());
  connections_.sendText(index, writeStart(out, stream, ++stream.sequence, call, options_));
}

void Generator::sendMedia(Stream& stream, uint32_t index, int64_t dueUs) {
  const uint32_t frame = stream.framesSent;
  const size_t bytes =
      writeMedia(connections_.textBuffer(), stream, stream.sequence + 1, {index, frame}, options_, pool_);
  const int64_t atUs = nowUs();
  const size_t wireBytes = connections_.sendText(index, bytes);
  if (wireBytes == 0) {
    if (measuring_) result_.window.framesNotSent++;
    return;
  }
  stream.sequence++;
  stream.sentUs[frame % Stream::kSentMax] = static_cast<uint32_t>(atUs - beginUs_);
  stream.framesSent++;
  progress_.framesSent.fetch_add(1, std::memory_order_relaxed);
  if (!measuring_) return;
  result_.window.framesSent++;
  result_.window.wireBytesSent += wireBytes;
  result_.sendLateness.record(atUs - dueUs);
}

void Generator::sendMark(Stream& stream, uint32_t index, std::string_view name) {
  const size_t bytes = writeMark(connections_.textBuffer(), stream, ++stream.sequence, name);
  if (connections_.sendText(index, bytes) > 0) result_.run.marksReturned++;
}

void Generator::sendStop(Stream& stream, uint32_t index) {
  const size_t bytes = writeStop(connections_.textBuffer(), stream, ++stream.sequence, {runId_, index});
  connections_.sendText(index, bytes);
}

void Generator::onText(Stream& stream, uint32_t index, std::string_view text, int64_t arrivedUs) {
  const AppMessage message = scanMessage(text);
  switch (message.event) {
    case Event::Media:
      onMedia(stream, index, message.payload, arrivedUs);
      break;
    case Event::Mark:
      result_.run.marks++;
      if (message.name.size() > kMarkNameBytesMax || !stream.playback.mark(arrivedUs, message.name)) {
        result_.run.marksRefused++;
      } else {
        dueMarks_.push({stream.playback.lastMarkDueUs(), index});
      }
      break;
    case Event::Clear:
      result_.run.clears++;
      stream.playback.clear(arrivedUs);
      if (stream.playback.hasMarks()) dueMarks_.push({arrivedUs, index});
      break;
    case Event::Other:
      result_.run.otherMessages++;
      break;
    case Event::Bad:
      result_.run.badMessages++;
      break;
  }
}

void Generator::onMedia(Stream& stream, uint32_t index, std::string_view text, int64_t arrivedUs) {
  const bool verify = options_.verify && options_.mode != Mode::Listen;
  const uint32_t speaker = speakerOf(index);
  if (std::memchr(text.data(), '\\', text.size()) != nullptr) {
    // Some JSON writers escape the '/' of base64; no other character of it can be escaped by any sane one.
    unescaped_.clear();
    for (const char c : text) {
      if (c != '\\') unescaped_ += c;
    }
    text = unescaped_;
  }
  size_t bytes = base64Bytes(text);
  int64_t ticks;
  if (verify || !isFixedRate(options_.replyCodec)) {
    const size_t decoded = base64Decode(text.data(), text.size(), decoded_.data());
    bytes = decoded == kBase64Invalid ? 0 : decoded;
    ticks = audioTicks(options_.replyCodec, options_.replySampleRate, std::span(decoded_.data(), bytes));
  } else {
    ticks = audioTicks(options_.replyCodec, options_.replySampleRate, bytes);
  }
  if (bytes == 0 || ticks < 0) {
    result_.run.badPayloads++;
    return;
  }

  stream.receivedTicks += ticks;
  progress_.mediaMessages.fetch_add(1, std::memory_order_relaxed);
  const Playback::Arrival arrival = stream.playback.push(arrivedUs, ticks);
  uint32_t framesBack = static_cast<uint32_t>(stream.receivedTicks / ptimeTicks_);
  if (verify) {
    const uint64_t missingBefore = result_.verify.framesMissing;
    const std::span<const uint8_t> payload(decoded_.data(), bytes);
    bool hasBegun = true;
    if (options_.mode == Mode::Bridge)
      hasBegun = stream.verifier.checkFromFirst(pool_, speaker, payload, result_.verify);
    else
      stream.verifier.check(pool_, speaker, payload, result_.verify);
    framesBack = static_cast<uint32_t>(stream.verifier.position() / pool_.frameBytes());
    // Frames that were passed over have no latency.
    if (result_.verify.framesMissing != missingBefore || !hasBegun) stream.framesTimed = framesBack;
  }
  if (followsFrames()) takeLatency(stream, connections_.stream(speaker), framesBack, arrivedUs);
  if (!measuring_) return;

  result_.window.mediaMessages++;
  result_.window.payloadBytes += bytes;
  result_.window.audioTicks += static_cast<uint64_t>(ticks);
  result_.deadlineError.record(arrival.deadlineErrorUs);
  if (arrival.gapUs > 0) {
    result_.window.underruns++;
    result_.window.underrunUs += static_cast<uint64_t>(arrival.gapUs);
    result_.underrunLength.record(arrival.gapUs);
    stream.underran = true;
  }
  stream.rate.push(windowUs_, int64_t{options_.measureMs} * 1000, ticks, arrivedUs);
}

void Generator::takeLatency(Stream& stream, const Stream& speaker, uint32_t framesBack, int64_t arrivedUs) {
  const uint32_t until = std::min(framesBack, speaker.framesSent);
  for (; stream.framesTimed < until; stream.framesTimed++) {
    if (!measuring_ || speaker.framesSent - stream.framesTimed > Stream::kSentMax) continue;
    const uint32_t sent = speaker.sentUs[stream.framesTimed % Stream::kSentMax];
    // Both are µs since the run began, modulo 2^32: the difference is right whatever the length of the run.
    result_.latency.record(static_cast<int32_t>(static_cast<uint32_t>(arrivedUs - beginUs_) - sent));
  }
}

void Generator::returnMarks(int64_t now) {
  std::string name;
  while (!dueMarks_.empty() && dueMarks_.top().dueUs <= now) {
    const uint32_t index = dueMarks_.top().index;
    dueMarks_.pop();
    Stream& stream = connections_.stream(index);
    while (stream.playback.popDueMark(now, name)) {
      if (stream.state == Stream::State::Open) sendMark(stream, index, name);
    }
  }
}

}  // namespace

LoadResult runLoad(const LoadOptions& options, Progress& progress) {
  // Off the stack: four histograms and the scratch of a run take 100 KB.
  const auto generator = std::make_unique<Generator>(options, progress);
  LoadResult result = generator->run();
  progress.phase.store(Phase::Done);
  return result;
}

}  // namespace sidetone::load

#else

namespace sidetone::load {
LoadResult runLoad(const LoadOptions&, Progress& progress) {
  LoadResult result;
  result.failure = "load can be generated on Linux only (epoll, kernel timestamps)";
  progress.phase.store(Phase::Done);
  return result;
}
}  // namespace sidetone::load

#endif
