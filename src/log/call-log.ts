/** The lines of the log about a call. docs/admin.md lists their fields. */
import type { Format, OutboundMode } from '../formats.js';
import type { Logger } from './log.js';

/** What names a stream in the log. */
export interface LoggedStream {
  /** Telnyx's stream_id. */
  readonly id: string;
  readonly callControlId: string;
}

/** How a call's stream went. */
export interface CallFigures {
  /** The engine's counters of this stream (native/engine/counters.h). */
  counters: Record<string, number>;
  /** Audio that was played and heard in the call, in ms. */
  playedMs: number;
  /** Clears that cut off audio. */
  interruptions: number;
  /** Since its start frame, in ms. */
  lengthMs: number;
}

/** A stream whose start and end are logged. */
export interface LoggedCall extends LoggedStream {
  readonly plugin: string;
  readonly inbound: Format;
  readonly outbound: Format;
  readonly mode: OutboundMode;
  figures(): CallFigures;
}

/** What a webhook event may tell of its call. */
interface LoggedEvent {
  readonly type: string;
  readonly eventType?: string | undefined;
  readonly callControlId?: string | undefined;
  readonly streamId?: string | undefined;
}

/** The fields that every line of a call has, so that one search finds all of them. */
interface CallFields {
  stream: string;
  call: string;
}

export function callFields({ id, callControlId }: LoggedStream): CallFields {
  return { stream: id, call: callControlId };
}

/** The same of a webhook event, as far as it has them; `event` is Telnyx's name of it. */
export function eventFields(event: LoggedEvent): Partial<CallFields> & { event: string } {
  const { type, eventType, callControlId, streamId } = event;
  return {
    event: eventType ?? type,
    ...(streamId !== undefined && { stream: streamId }),
    ...(callControlId !== undefined && { call: callControlId }),
  };
}

/** Counters of a stream that tell how its call went. */
const END_COUNTERS = [
  'mediaReceived',
  'framesHeard',
  'framesConcealed',
  'framesLost',
  'framesLate',
  'mediaSent',
  'bytesSent',
  'underruns',
] as const;

/** One line at a call's start. */
export function logStart(log: Logger, call: LoggedCall): void {
  if (!log.isLevelEnabled('info')) return;
  log.info({ ...callFields(call), plugin: call.plugin, ...codecs(call) }, 'stream started');
}

/** One line at a call's end, with its figures. It is written while the engine still has them. */
export function logEnd(log: Logger, call: LoggedCall, reason: string): void {
  if (!log.isLevelEnabled('info')) return;
  const { counters, playedMs, interruptions, lengthMs } = call.figures();
  log.info(
    {
      ...callFields(call),
      plugin: call.plugin,
      reason,
      lengthMs: Math.round(lengthMs),
      ...codecs(call),
      ...Object.fromEntries(END_COUNTERS.map(name => [name, counters[name]])),
      playedMs: Math.round(playedMs),
      interruptions,
    },
    'stream ended',
  );
}

function codecs({ inbound, outbound, mode }: LoggedCall): { inbound: string; outbound: string } {
  return { inbound: codec(inbound), outbound: mode === 'mp3' ? 'MP3' : codec(outbound) };
}

/** As `--outbound-codec` takes it. */
function codec({ encoding, sampleRate }: Format): string {
  return `${encoding}@${sampleRate}`;
}
