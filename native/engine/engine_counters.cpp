#include "engine/engine.h"

namespace sidetone {
namespace {
double& value(CounterValues& values, Counter counter) { return values[static_cast<size_t>(counter)]; }
}  // namespace

void Engine::streamCounters(int stream, CounterValues& values) const {
  values.fill(0);
  addCounters(at(stream), values);
}

void Engine::totals(CounterValues& values) const {
  values = closedTotals_;
  for (const auto& stream : streams_) {
    if (stream) addCounters(*stream, values);
  }
}

void Engine::addCounters(const Stream& stream, CounterValues& values) const {
  value(values, Counter::MediaReceived) += stream.mediaReceived;
  value(values, Counter::BytesReceived) += static_cast<double>(stream.bytesReceived);
  value(values, Counter::EmptyPayloads) += stream.emptyPayloads;
  value(values, Counter::UnwantedTrack) += stream.unwantedTrack;
  for (const auto& track : stream.tracks) {
    if (!track) continue;
    const InboundCounters& inbound = track->counters();
    const ReorderCounters& reorder = track->reorder().counters();
    value(values, Counter::FramesHeard) += inbound.frames;
    value(values, Counter::FramesConcealed) += inbound.concealed;
    value(values, Counter::Pauses) += inbound.pauses;
    value(values, Counter::VoiceFallBacks) += track->voiceFallBacks();
    value(values, Counter::BadPayloads) += inbound.badPayload;
    value(values, Counter::FramesLost) += reorder.lost;
    value(values, Counter::FramesReordered) += reorder.reordered;
    value(values, Counter::FramesLate) += reorder.late;
    value(values, Counter::FramesDuplicate) += reorder.duplicate;
    value(values, Counter::ReorderOverflows) += reorder.overflow;
    value(values, Counter::Resyncs) += reorder.resync;
  }
  const OutboundCounters& outbound = stream.outbound.counters();
  value(values, Counter::MediaSent) += outbound.messages;
  value(values, Counter::BytesSent) += static_cast<double>(outbound.payloadBytes);
  value(values, Counter::Underruns) += outbound.underruns;
  value(values, Counter::PaddedMessages) += outbound.padded;
  value(values, Counter::PlaysRefused) += outbound.refused;
  const CatchUp::Counters& late = stream.outbound.catchUps();
  value(values, Counter::LiveCatchUps) += late.catchUps;
  value(values, Counter::LivePauseCutSeconds) += late.pauseCutMs / 1000;
  value(values, Counter::LiveSpeechCutSeconds) += late.speechCutMs / 1000;
  value(values, Counter::LiveSkippedSeconds) += late.skippedMs / 1000;
}

}  // namespace sidetone
