/** Compares Telnyx's audio with what `start` declares. */

import { payloadDuration } from '../codecs/payload.js';
import { CODECS, type Format } from '../formats.js';
import type { Track } from '../telnyx/frames.js';
import type { Evidence, InboundMedia } from './evidence.js';
import { type Finding, percent, showFormat, type TrackFacts } from './findings.js';
import { type Identity, readingOf } from './identify.js';
import { arrivalBytesPerSecond, checkOrder, type Order, orderOf, timestampsPerMs } from './order.js';
import { stripRtp } from './rtp.js';
import { quantile } from './signal.js';
import { checkSound, decodeAll, measureLevels, type Reading } from './sound.js';

type Add = (finding: Omit<Finding, 'confidence'> & { confidence?: Finding['confidence'] }) => void;

export function checkTrack(
  evidence: Evidence,
  track: Track,
  declared: Format,
): { facts: TrackFacts; findings: Finding[] } {
  const order = orderOf(evidence, track);
  const findings = checkOrder(order, track, evidence);
  const add: Add = finding => findings.push({ confidence: 'sure', ...finding });
  const raw = order.media.flatMap(({ payload }) => (payload?.length ? [payload] : []));
  const rtp = stripRtp(raw);
  if (rtp) {
    add({
      id: 'inbound-rtp-header',
      severity: 'error',
      what: `the ${track} payloads have their RTP header on`,
      evidence: `12 bytes before the audio: version 2, sequence numbers that count, ${rtp.type}`,
      field: null,
      remedy:
        'whatever relays the stream must send the RTP payload alone; the server takes the header for sound',
    });
  }
  const payloads = rtp?.payloads ?? raw;
  const { reading, identity } = checkIdentity(payloads, declared, track, evidence, add);
  const headerBytes = rtp ? raw[0]!.length - payloads[0]!.length : 0;
  const msOf = durations(reading, headerBytes);
  const actual = checkRate(order, evidence.tracks[track] ?? [], reading, headerBytes, declared, track, add);
  if (identity === undefined || identity.encoding === declared.encoding) {
    checkPayloads(payloads, reading, track, add);
  }
  // A track that is not what it declares gets one finding. Those that follow from it are left out.
  const asDeclared =
    (identity?.encoding ?? declared.encoding) === declared.encoding &&
    actual.sampleRate === reading.sampleRate;
  const unknown = identity !== undefined && identity.encoding === undefined;
  const clock = asDeclared && !unknown ? checkTimestamps(order, actual, msOf, track, add) : {};
  const ptimeMs = asDeclared && !unknown ? checkPtime(order, msOf, track, add) : 0;
  const sound = unknown ? undefined : decodeAll(payloads, actual);
  const levels = sound && sound.pcm.length > 0 ? measureLevels(sound) : undefined;
  if (sound && levels) findings.push(...checkSound(sound, levels, track));
  const facts: TrackFacts = {
    declared: showFormat(declared),
    actual: unknown ? 'unknown' : showReading(actual),
    messages: (evidence.tracks[track] ?? []).length,
    audioMs: Math.round(order.media.reduce((sum, media) => sum + (msOf(media) || 0), 0)),
    ...(ptimeMs > 0 && { ptimeMs }),
    ...(levels && {
      speechDbfs: levels.speechDbfs,
      noiseFloorDbfs: levels.noiseFloorDbfs,
      clippedPercent: Math.round(levels.clipped * 1e4) / 100,
    }),
    ...clock,
    chunkOrigin: order.origin,
    ...(order.counting && { chunkCounting: order.counting }),
    lost: order.lost,
    reordered: order.reordered,
    duplicates: order.duplicates,
    longestPauseMs: order.longestPauseMs,
  };
  return { facts, findings };
}

export function showReading({ encoding, sampleRate, byteOrder, form }: Reading): string {
  const unusual =
    encoding === 'L16'
      ? byteOrder === 'be' && 'big-endian'
      : encoding === 'AMR-WB' && form === 'octet-aligned' && form;
  const more = unusual ? `, ${unusual}` : '';
  return showFormat({ encoding, sampleRate }, more);
}

/** How long a message plays, read in this way; NaN where its payload cannot be read. */
function durations(reading: Reading, headerBytes: number): (media: InboundMedia) => number {
  const format = { ...reading, amrWbFraming: reading.form };
  const constant = { PCMU: 8, PCMA: 8, G722: 8, L16: (2 * reading.sampleRate) / 1000 } as Record<
    string,
    number
  >;
  const bytesPerMs = constant[reading.encoding];
  return ({ payload, payloadBytes }) => {
    if (bytesPerMs !== undefined) return Math.max(0, payloadBytes - headerBytes) / bytesPerMs;
    if (!payload) return 20;
    const duration = payloadDuration(payload.subarray(headerBytes), format);
    return 'ms' in duration ? duration.ms : Number.NaN;
  };
}

function checkIdentity(
  payloads: readonly Uint8Array[],
  declared: Format,
  track: Track,
  evidence: Evidence,
  add: Add,
): { reading: Reading; identity: Identity | undefined } {
  const byteOrder = evidence.l16ByteOrder;
  const { reading, identity } = readingOf(payloads, declared, byteOrder);
  if (!identity) return { reading, identity };
  const { confidence, evidence: shown } = identity;
  if (identity.encoding === undefined) {
    add({
      id: 'inbound-encoding',
      severity: 'error',
      confidence,
      what: `the ${track} payloads are no ${declared.encoding}, and nothing else that is known`,
      evidence: shown,
      field: 'stream_codec',
      remedy: 'are they encrypted, compressed, or cut in the wrong place? compare with a call in PCMU',
    });
    return { reading, identity };
  }
  if (identity.encoding !== declared.encoding) {
    reading.encoding = identity.encoding;
    reading.sampleRate = identity.encoding === 'AMR-WB' || identity.encoding === 'OPUS' ? 16_000 : 8000;
    add({
      id: 'inbound-encoding',
      severity: 'error',
      confidence,
      what: `start declares ${showFormat(declared)}, but the ${track} payloads are ${identity.encoding}`,
      evidence: shown,
      field: 'stream_codec',
      remedy: `ask for the encoding by name with stream_codec (${identity.encoding} to get what comes now), and decode what media_format says`,
    });
    return { reading, identity };
  }
  if (identity.encoding === 'L16' && identity.byteOrder !== byteOrder) {
    add({
      id: 'inbound-byte-order',
      severity: 'error',
      confidence,
      what: `the ${track} L16 is ${identity.byteOrder === 'be' ? 'big' : 'little'}-endian, the server reads it the other way round`,
      evidence: shown,
      field: null,
      remedy: `serve with --l16-byte-order ${identity.byteOrder}`,
    });
  }
  if (identity.form === 'octet-aligned') {
    add({
      id: 'inbound-packing',
      severity: 'warning',
      what: `the ${track} AMR-WB is octet-aligned`,
      evidence: shown,
      field: null,
      remedy:
        'calls from the telephone network are bandwidth-efficient; the server hears both, but what it sends must be told: option amrwb.form octet-aligned',
    });
  }
  return { reading, identity };
}

const RATE_TOLERANCE = 0.02;
const EDGES_MS = 200;
const RATES = [8000, 16_000, 22_050, 24_000, 48_000];

/** Compares the sample rate with the time that passed. Gives how the payloads must really be read. */
function checkRate(
  order: Order,
  came: readonly InboundMedia[],
  reading: Reading,
  headerBytes: number,
  declared: Format,
  track: Track,
  add: Add,
): Reading {
  const bytesPerSecond = arrivalBytesPerSecond(order, came);
  const messageBytes = order.media.reduce((sum, media) => sum + media.payloadBytes, 0) / order.media.length;
  const audioBytesPerSecond = (bytesPerSecond * (messageBytes - headerBytes)) / messageBytes;
  if (Number.isNaN(audioBytesPerSecond) || CODECS[reading.encoding].runsIn === 'pool') return reading;
  const declaredBytesPerSecond = reading.encoding === 'L16' ? 2 * reading.sampleRate : 8000;
  const ratio = audioBytesPerSecond / declaredBytesPerSecond;
  const foundRate = RATES.find(rate => Math.abs(audioBytesPerSecond / (2 * rate) - 1) < 0.05);
  const evidence = `${Math.round(audioBytesPerSecond)} bytes of audio come a second, ${declaredBytesPerSecond} would be right`;
  if (reading.encoding === 'L16' && foundRate !== undefined && foundRate !== reading.sampleRate) {
    const wasDeclared = declared.encoding === 'L16';
    if (wasDeclared) {
      add({
        id: 'inbound-rate',
        severity: 'error',
        what: `media_format says ${declared.sampleRate} Hz, the ${track} L16 has ${foundRate} Hz`,
        evidence,
        field: 'stream_codec',
        remedy: `it plays ${foundRate < declared.sampleRate ? 'too fast and too high' : 'too slow and too low'}; ask for another encoding, or correct the rate before the server`,
      });
    }
    return { ...reading, sampleRate: foundRate };
  }
  // Delays at the ends of a short capture would be taken for another rate.
  const tolerance = RATE_TOLERANCE + EDGES_MS / (came.at(-1)!.atMs - came[0]!.atMs);
  if (Math.abs(ratio - 1) > tolerance) {
    add({
      id: 'arrival-rate',
      severity: Math.abs(ratio - 1) > 0.2 ? 'warning' : 'note',
      what: `the ${track} audio comes ${ratio > 1 ? 'faster' : 'slower'} than real time`,
      evidence,
      field: null,
      remedy:
        ratio > 1
          ? 'a replayed capture, a burst after a stall, or two streams in one'
          : 'silence that is not sent (DTX), losses, or a process that was held up',
    });
  }
  return reading;
}

function checkPayloads(payloads: readonly Uint8Array[], reading: Reading, track: Track, add: Add): void {
  const format = { ...reading, amrWbFraming: reading.form };
  const problems = payloads.flatMap(payload => {
    const duration = payloadDuration(payload, format);
    return 'problem' in duration ? [duration.problem] : [];
  });
  if (problems.length > 0) {
    add({
      id: reading.encoding === 'L16' ? 'inbound-odd-length' : 'inbound-payloads',
      severity: problems.length > 0.01 * payloads.length ? 'error' : 'warning',
      what: `some ${track} payloads are broken`,
      evidence: `${problems.length} of ${payloads.length} (${percent(problems.length / payloads.length)}), first: ${problems[0]}`,
      field: null,
      remedy: 'the server conceals them; are they cut or joined on the way?',
    });
  }
  if (reading.encoding !== 'OPUS') return;
  const stereo = payloads.filter(payload => payload[0]! & 4).length;
  if (stereo > 0) {
    add({
      id: 'opus-packets',
      severity: 'note',
      what: `the ${track} OPUS is coded in stereo`,
      evidence: `${stereo} of ${payloads.length} packets say so`,
      field: null,
      remedy: 'the server mixes it to mono; a mono encoder would need half the bits',
    });
  }
}

function checkTimestamps(
  order: Order,
  reading: Reading,
  msOf: (media: InboundMedia) => number,
  track: Track,
  add: Add,
): Pick<TrackFacts, 'timestampUnit' | 'timestampClockHz'> {
  const perMs = timestampsPerMs(order.media, msOf);
  if (Number.isNaN(perMs)) return {};
  const near = (value: number): boolean => Math.abs(perMs / value - 1) < 0.02;
  if (near(1)) {
    add({
      id: 'timestamp-unit',
      severity: 'note',
      what: `media.timestamp of the ${track} track counts milliseconds`,
      evidence: `it goes up by ${perMs.toFixed(2)} a ms of audio`,
      field: null,
      remedy: 'nothing: the server finds the unit out; others may take it for RTP clock units',
    });
    return { timestampUnit: 'ms' };
  }
  const expected = CODECS[reading.encoding].clockRate(reading.sampleRate) / 1000;
  const clock = [8, 16, 22.05, 24, 48].find(near);
  if (clock === undefined || !near(expected)) {
    add({
      id: 'timestamp-clock',
      severity: clock === undefined ? 'warning' : 'note',
      what: `media.timestamp of the ${track} track ${clock === undefined ? 'counts nothing known' : `runs at ${clock * 1000} Hz`}`,
      evidence: `it goes up by ${perMs.toFixed(2)} a ms of audio, ${expected} would be usual for ${reading.encoding}`,
      field: null,
      remedy: 'do not take it for a time without measuring, as the server does',
    });
  }
  return { timestampUnit: 'rtp', ...(clock !== undefined && { timestampClockHz: clock * 1000 }) };
}

function checkPtime(order: Order, msOf: (media: InboundMedia) => number, track: Track, add: Add): number {
  const all = order.media.map(msOf).filter(ms => ms > 0);
  const ptimeMs = Math.round(quantile(all, 0.5) * 10) / 10;
  const others = all.filter(ms => Math.abs(ms - ptimeMs) > 0.1).length;
  if (all.length > 0 && (ptimeMs !== 20 || others > 0.05 * all.length)) {
    add({
      id: 'ptime',
      severity: 'note',
      what: `${track} media messages do not hold 20 ms each`,
      evidence: `${ptimeMs} ms is the middle, ${others} of ${all.length} differ from it`,
      field: null,
      remedy: 'nothing: the server takes any length; code that counts messages as 20 ms goes wrong',
    });
  }
  return ptimeMs || 0;
}
