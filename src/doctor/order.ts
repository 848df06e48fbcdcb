/** How Telnyx's media came: in which order, with what missing, and when. */
import type { Track } from '../telnyx/frames.js';
import type { Evidence, InboundMedia } from './evidence.js';
import { type Finding, percent } from './findings.js';
import { quantile } from './signal.js';

export interface Order {
  /** The track's media by chunk number, each once. */
  media: InboundMedia[];
  origin: number;
  counting: 'track' | 'stream' | undefined;
  /** Chunks that never came. */
  lost: number;
  /** Media that came after one with a higher chunk number. */
  reordered: number;
  /** By how many places, at most. */
  displacementMax: number;
  duplicates: number;
  /** Chunk numbers go up at all. */
  numbered: boolean;
  longestPauseMs: number;
}

/** A gap in the numbers that is longer is a new beginning, not a loss: 20 s. */
const GAP_MAX = 1000;

/** Chunks may be counted a track or a stream: with two tracks that share hardly a number it is a stream. */
export function chunkCounting(tracks: Evidence['tracks']): 'track' | 'stream' | undefined {
  const { inbound, outbound } = tracks;
  if (!inbound?.length || !outbound?.length) return undefined;
  const chunks = new Set(inbound.map(({ chunk }) => chunk));
  const shared = outbound.filter(({ chunk }) => chunks.has(chunk)).length;
  return shared > 0.1 * Math.min(inbound.length, outbound.length) ? 'track' : 'stream';
}

/** Older numbers add nothing. */
const PLACES_MAX = 500;

/** `numbers`: of all media that are counted together. */
function losses(numbers: readonly number[]): number {
  let lost = 0;
  const sorted = [...new Set(numbers)].sort((a, b) => a - b);
  for (let i = 1; i < sorted.length; i++) {
    const missing = sorted[i]! - sorted[i - 1]! - 1;
    if (missing < GAP_MAX) lost += missing;
  }
  return lost;
}

export function orderOf(evidence: Evidence, track: Track): Order {
  const came = evidence.tracks[track] ?? [];
  const counting = chunkCounting(evidence.tracks);
  const seen = new Set<number>();
  const once = came.filter(({ chunk }) => !seen.has(chunk) && seen.add(chunk));
  let highest = Number.NEGATIVE_INFINITY;
  let reordered = 0;
  let displacementMax = 0;
  const highestFirst: number[] = [];
  for (const { chunk } of once) {
    if (chunk > highest) {
      highest = chunk;
      highestFirst.push(chunk);
      continue;
    }
    reordered++;
    let places = 0;
    while (places < PLACES_MAX && highestFirst[highestFirst.length - 1 - places]! > chunk) places++;
    displacementMax = Math.max(displacementMax, places);
  }
  const pauses = came.slice(1).map(({ atMs }, i) => atMs - came[i]!.atMs);
  const media = once.sort((a, b) => a.chunk - b.chunk);
  const together = counting === 'stream' ? Object.values(evidence.tracks).flat() : media;
  const lostTogether = losses(together.map(({ chunk }) => chunk));
  return {
    media,
    origin: media[0]?.chunk ?? 0,
    counting,
    // Where chunks are counted over the stream, the track of a missing chunk is unknown. It is reported once, for the
    // caller's track.
    lost: counting === 'stream' && track === 'outbound' ? 0 : lostTogether,
    reordered,
    displacementMax,
    duplicates: came.length - media.length,
    numbered: came.length < 3 || media.length > came.length / 2,
    longestPauseMs: Math.round(pauses.reduce((max, pause) => Math.max(max, pause), 0)),
  };
}

/** As many places as a server's reordering hides (`reorderWaitMs` 60 at 20 ms a frame). */
const MENDED_PLACES = 3;
const STALL_MS = 250;
/** One lost frame in two thousand is not heard. */
const LOSS_NOTED = 0.0005;
const LOSS_ERROR = 0.05;

export function checkOrder(order: Order, track: Track, evidence: Evidence): Finding[] {
  const findings: Finding[] = [];
  const count = order.media.length;
  const of = `of ${count + order.lost} ${track} media messages`;
  const add = (finding: Omit<Finding, 'confidence' | 'field'>): number =>
    findings.push({ confidence: evidence.missing > 0 ? 'likely' : 'sure', field: null, ...finding });
  if (!order.numbered) {
    add({
      id: 'chunk-numbers',
      severity: 'warning',
      what: 'media.chunk does not count',
      evidence: `${order.duplicates + count} ${track} media messages have ${count} different chunk numbers`,
      remedy:
        'nothing can be put in order or missed by it; report it to Telnyx, or to whatever stands in between',
    });
    return findings;
  }
  const share = order.lost / Math.max(1, count + order.lost);
  if (order.lost > 0) {
    add({
      id: 'loss',
      severity: share > LOSS_ERROR ? 'error' : share > LOSS_NOTED ? 'warning' : 'note',
      what: 'media messages are lost before they reach the server',
      evidence: `${order.lost} ${of} (${percent(share)}) are missing in the chunk numbers`,
      remedy:
        'WebSockets lose nothing: look at what stands between Telnyx and the server, and at the network of the call itself; the server conceals what is missing',
    });
  }
  if (order.reordered > 0) {
    const mended = order.displacementMax <= MENDED_PLACES;
    add({
      id: 'reordering',
      severity: mended ? 'note' : 'warning',
      what: mended ? 'media messages overtake each other' : 'media messages overtake each other by too far',
      evidence: `${order.reordered} ${of} came late, by up to ${order.displacementMax} places`,
      remedy: mended
        ? 'nothing: the server puts them in order'
        : 'raise --reorder-wait (60 ms mends three places at 20 ms a frame), at the price of that much delay where frames are missing',
    });
  }
  if (order.duplicates > 0) {
    add({
      id: 'duplicates',
      severity: order.duplicates > 0.01 * count ? 'warning' : 'note',
      what: 'media messages come more than once',
      evidence: `${order.duplicates} ${of} have a chunk number that came before`,
      remedy: 'the server plays each once; look for a proxy that sends again',
    });
  }
  if (order.longestPauseMs > STALL_MS && track === 'inbound') {
    add({
      id: 'stall',
      severity: order.longestPauseMs > 4 * STALL_MS ? 'warning' : 'note',
      what: 'media stopped coming for a while',
      evidence: `the longest pause between two ${track} media messages is ${order.longestPauseMs} ms`,
      remedy:
        'a stall of the network, or of the process that captured (see its event loop delay); with DTX a pause is silence',
    });
  }
  return findings;
}

/** By how much `timestamp` goes up a ms of audio, between media that follow each other; NaN where it cannot be said. */
export function timestampsPerMs(
  media: readonly InboundMedia[],
  msOf: (media: InboundMedia) => number,
): number {
  const steps: number[] = [];
  for (let i = 1; i < media.length; i++) {
    const [before, now] = [media[i - 1]!, media[i]!];
    const step = (now.timestamp - before.timestamp + 2 ** 32) % 2 ** 32;
    const ms = msOf(before);
    if (now.chunk === before.chunk + 1 && ms > 0 && step < 2 ** 31) steps.push(step / ms);
  }
  return quantile(steps, 0.5);
}

/** Bytes a second of audio, by the clock of the wall; NaN under a second, or where most of it is missing. */
export function arrivalBytesPerSecond(order: Order, came: readonly InboundMedia[]): number {
  const first = came[0];
  const last = came.at(-1);
  const { media, lost } = order;
  if (!first || !last || media.length < 20 || lost > media.length) return Number.NaN;
  const count = media.length + lost;
  const spanMs = ((last.atMs - first.atMs) * count) / (count - 1);
  if (spanMs < 1000) return Number.NaN;
  const bytes = media.reduce((sum, { payloadBytes }) => sum + payloadBytes, 0) / media.length;
  return (bytes * count * 1000) / spanMs;
}
