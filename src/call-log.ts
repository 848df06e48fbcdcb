/** What the log says of a call. docs/admin.md lists the fields. */
import type { Format } from './engine.js';
import type { Logger } from './log.js';

/** How a stream went. */
export interface StreamFigures {
  /** The engine's counters of this stream (native/engine/counters.h). */
  counters: Record<string, number>;
  /** Audio that was played and heard in the call, in ms. */
  playedMs: number;
  /** Clears that cut off audio. */
  interruptions: number;
  /** Since its start frame, in ms. */
  durationMs: number;
}

/** What the log needs of a stream. */
export interface LoggedStream {
  readonly id: string;
  readonly callControlId: string;
  readonly inbound: Format;
  readonly outbound: Format;
  readonly mode: 'rtp' | 'mp3';
  figures(): StreamFigures;
}

/** What every line of a call holds, so that one search finds them all. */
export interface CallFields {
  /** Telnyx's stream_id. */
  stream: string;
  /** Telnyx's call_control_id. */
  call: string;
}

export function callFields({ id, callControlId }: Pick<LoggedStream, 'id' | 'callControlId'>): CallFields {
  return { stream: id, call: callControlId };
}

/** Counters of a stream that tell how its call went. */
const END_COUNTERS = [
  'mediaReceived',
  'framesHeard',
  'framesConcealed',
  'framesLost',
  'framesLate',
  'mediaSent',
  'underruns',
] as const;

/** One line at a call's start. */
export function logStart(log: Logger, stream: LoggedStream, plugin: string): void {
  if (!log.isLevelEnabled('info')) return;
  log.info({ ...callFields(stream), plugin, ...codecs(stream) }, 'stream started');
}

/** One line at a call's end, with its figures: while the engine still has them. */
export function logEnd(log: Logger, stream: LoggedStream, plugin: string, reason: string): void {
  if (!log.isLevelEnabled('info')) return;
  const { counters, playedMs, interruptions, durationMs } = stream.figures();
  log.info(
    {
      ...callFields(stream),
      plugin,
      reason,
      durationMs: Math.round(durationMs),
      ...codecs(stream),
      ...Object.fromEntries(END_COUNTERS.map(name => [name, counters[name]])),
      playedMs: Math.round(playedMs),
      interruptions,
    },
    'stream ended',
  );
}

function codecs({ inbound, outbound, mode }: LoggedStream): { inbound: string; outbound: string } {
  return { inbound: codec(inbound), outbound: mode === 'mp3' ? 'MP3' : codec(outbound) };
}

/** As `--outbound-codec` takes it. */
function codec({ encoding, sampleRate }: Format): string {
  return `${encoding}@${sampleRate}`;
}
