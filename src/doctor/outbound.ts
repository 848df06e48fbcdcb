/**
 * Checks what the server sends: whether it keeps to the specification, and whether the caller hears it as it was
 * meant.
 */

import { payloadDuration } from '../codecs/payload.js';
import { CODECS, type Format } from '../formats.js';
import { containerOf } from './container.js';
import type { Evidence, ServerMessage } from './evidence.js';
import { type AudioFacts, type Finding, showFormat } from './findings.js';
import { type Identity, readingOf } from './identify.js';
import { showReading } from './inbound.js';
import { stripRtp } from './rtp.js';
import { quantile } from './signal.js';
import { decodeAll, measureLevels, type Reading } from './sound.js';

/** The specification: 20 ms to 30 s of audio a message. */
const MEDIA_MS_MIN = 20;
const MEDIA_MS_MAX = 30_000;

class Report {
  readonly findings: Finding[] = [];

  add(finding: Omit<Finding, 'confidence' | 'field'> & Partial<Finding>): void {
    this.findings.push({ confidence: 'sure', field: null, ...finding });
  }

  /** One finding for all messages of a kind, with how many there are and when the first was. */
  group(
    messages: readonly ServerMessage[],
    of: number,
    finding: Omit<Finding, 'confidence' | 'field' | 'evidence'> & Partial<Finding>,
    more = '',
  ): void {
    const first = messages[0];
    if (!first) return;
    const evidence = `${messages.length} of ${of} messages, the first at ${Math.round(first.atMs)} ms${more}`;
    this.add({ evidence, ...finding });
  }
}

export function checkServer(
  evidence: Evidence,
  expected: Format,
): { facts?: AudioFacts; findings: Finding[] } {
  const report = new Report();
  const { server } = evidence;
  const media = server.filter(({ kind }) => kind === 'media');
  checkMessages(server, media, report);
  const payloads = media.flatMap(({ payload }) => (payload?.length ? [payload] : []));
  checkMarks(evidence, report);
  if (payloads.length === 0) return { findings: report.findings };
  const container = containerOf(payloads);
  if (container) {
    report.add({
      id: 'outbound-container',
      severity: 'error',
      what: `the server sends ${container.name}`,
      evidence: container.evidence,
      field: container.name === 'MP3' ? 'stream_bidirectional_mode' : null,
      remedy: container.remedy,
    });
    if (container.name === 'MP3') return { findings: report.findings };
  }
  const rtp = stripRtp(payloads);
  if (rtp) {
    report.add({
      id: 'outbound-rtp-header',
      severity: 'error',
      what: 'the server leaves the RTP header on',
      evidence: `12 bytes before the audio: version 2, sequence numbers that count, ${rtp.type}`,
      remedy: 'send the RTP payload alone: with its header it is played as noise, or not at all',
    });
  }
  const bare = rtp?.payloads ?? payloads;
  const { reading, identity } = checkIdentity(bare, expected, evidence, report);
  // The length of payloads in another encoding tells nothing.
  if (!identity || identity.encoding === expected.encoding) {
    checkDurations(media, reading, rtp !== undefined, report);
    checkPacing(media, reading, rtp !== undefined, evidence, report);
  }
  const sound = decodeAll(bare, reading);
  const levels = sound && sound.pcm.length > 0 ? measureLevels(sound) : undefined;
  const ms = media.map(message => durationOf(message, reading, rtp !== undefined)).filter(value => value > 0);
  const facts: AudioFacts = {
    declared: showFormat(expected),
    actual: identity && identity.encoding === undefined ? 'unknown' : showReading(reading),
    messages: server.length,
    audioMs: Math.round(ms.reduce((sum, value) => sum + value, 0)),
    ptimeMs: Math.round(quantile(ms, 0.5) * 10) / 10 || 0,
    ...(levels && {
      speechDbfs: levels.speechDbfs,
      noiseFloorDbfs: levels.noiseFloorDbfs,
      clippedPercent: Math.round(levels.clipped * 1e4) / 100,
    }),
  };
  return { facts, findings: report.findings };
}

function checkMessages(
  server: readonly ServerMessage[],
  media: readonly ServerMessage[],
  report: Report,
): void {
  const wrong = server.filter(({ kind }) => kind === 'wrong');
  report.group(
    wrong,
    server.length,
    {
      id: 'outbound-messages',
      severity: 'error',
      what: 'the server sends what Telnyx does not know',
      remedy:
        'send JSON texts with the event media, mark or clear, and nothing else; Telnyx answers with error 100003',
    },
    `: ${wrong[0]?.problem}`,
  );
  report.group(
    media.filter(({ badBase64 }) => badBase64),
    media.length,
    {
      id: 'outbound-base64',
      severity: 'error',
      what: 'media.payload of the server is not base64',
      remedy:
        'use the standard alphabet with padding, no URL-safe characters and no line breaks (RFC 4648 section 4)',
    },
  );
  report.group(
    media.filter(({ badBase64, payloadBytes }) => !badBase64 && payloadBytes === 0),
    media.length,
    {
      id: 'outbound-empty',
      severity: 'warning',
      what: 'the server sends media without audio',
      remedy: 'send nothing where there is nothing to say',
    },
  );
  report.group(
    server.filter(({ dropped }) => dropped),
    server.length,
    {
      id: 'outbound-dropped',
      severity: 'warning',
      what: 'messages of the server never left it',
      remedy:
        'the far end read too slowly: the network, or more audio than it takes; see backpressureBytesMax',
    },
  );
}

function checkIdentity(
  payloads: readonly Uint8Array[],
  expected: Format,
  evidence: Evidence,
  report: Report,
): { reading: Reading; identity: Identity | undefined } {
  const byteOrder = evidence.l16ByteOrder;
  const { reading, identity } = readingOf(payloads, expected, byteOrder);
  if (!identity) return { reading, identity };
  const { confidence, evidence: shown } = identity;
  const field = 'stream_bidirectional_codec';
  if (identity.encoding !== expected.encoding) {
    const { encoding } = identity;
    report.add({
      id: 'outbound-encoding',
      severity: 'error',
      confidence,
      what: `Telnyx is to get ${showFormat(expected)}, the server sends ${encoding ?? 'something else'}`,
      evidence: shown,
      field,
      remedy: encoding
        ? `set stream_bidirectional_codec to ${encoding}, or encode as ${expected.encoding}: the caller hears noise`
        : `encode as ${expected.encoding}: the caller hears noise`,
    });
    if (encoding) {
      reading.encoding = encoding;
      reading.sampleRate = CODECS[encoding].announcedRates[0]!;
    }
    return { reading, identity };
  }
  if (identity.encoding === 'L16' && identity.byteOrder === 'be') {
    report.add({
      id: 'outbound-byte-order',
      severity: 'error',
      confidence,
      what: 'the server sends big-endian L16',
      evidence: shown,
      field: null,
      remedy: 'Telnyx takes little-endian: swap the bytes (sidetone: --l16-byte-order le)',
    });
  }
  if (identity.form === 'octet-aligned') {
    report.add({
      id: 'outbound-packing',
      severity: 'warning',
      confidence: 'likely',
      what: 'the server sends octet-aligned AMR-WB',
      evidence: shown,
      field: null,
      remedy:
        'Telnyx takes bandwidth-efficient payloads (RFC 4867 section 4.3) on calls from the telephone network',
    });
  }
  return { reading, identity };
}

/** In ms; NaN where it cannot be read. */
function durationOf(message: ServerMessage, reading: Reading, hasHeader: boolean): number {
  if (message.badBase64) return Number.NaN;
  const bytes = Math.max(0, message.payloadBytes - (hasHeader ? 12 : 0));
  if (reading.encoding === 'L16') return (bytes * 500) / reading.sampleRate;
  if (CODECS[reading.encoding].runsIn === 'reactor') return bytes / 8;
  if (!message.payload) return 20;
  const duration = payloadDuration(message.payload.subarray(hasHeader ? 12 : 0), {
    ...reading,
    amrWbFraming: reading.form,
  });
  return 'ms' in duration ? duration.ms : Number.NaN;
}

function checkDurations(
  media: readonly ServerMessage[],
  reading: Reading,
  hasHeader: boolean,
  report: Report,
): void {
  const format = { ...reading, amrWbFraming: reading.form };
  const whole = media.filter(({ payload }) => payload && payload.length > (hasHeader ? 12 : 0));
  const broken = whole.flatMap(message => {
    const duration = payloadDuration(message.payload!.subarray(hasHeader ? 12 : 0), format);
    return 'problem' in duration ? [{ ...message, problem: duration.problem }] : [];
  });
  report.group(
    broken,
    media.length,
    {
      id: reading.encoding === 'L16' ? 'outbound-odd-length' : 'outbound-payloads',
      severity: 'error',
      what: `payloads of the server are no whole ${reading.encoding}`,
      remedy:
        reading.encoding === 'L16'
          ? 'cut between samples: two bytes each'
          : 'send whole frames; for OPUS exactly one packet a message',
    },
    `: ${broken[0]?.problem}`,
  );
  const timed = whole.map(message => ({ message, ms: durationOf(message, reading, hasHeader) }));
  const short = timed.filter(({ ms }) => ms < MEDIA_MS_MIN - 0.01);
  report.group(
    short.map(({ message }) => message),
    media.length,
    {
      id: 'outbound-short',
      severity: 'error',
      what: 'the server sends less than 20 ms a message',
      remedy: 'collect 20 ms or more; fill the end of an utterance up with silence',
    },
    `, the shortest ${Math.min(...short.map(({ ms }) => ms)).toFixed(1)} ms`,
  );
  const long = timed.filter(({ ms }) => ms > MEDIA_MS_MAX);
  report.group(
    long.map(({ message }) => message),
    media.length,
    {
      id: 'outbound-long',
      severity: 'error',
      what: 'the server sends more than 30 s a message',
      remedy: 'cut it: 20 ms to 30 s a message, better 100 ms',
    },
  );
}

const MESSAGES_PER_SECOND_MAX = 100;
/** Audio that waits at Telnyx: this much is a lead, more is a queue. */
const AHEAD_NOTED_MS = 5000;
const AHEAD_WARNED_MS = 30_000;
/** Silence that is shorter is heard as a gap inside speech, longer as a pause. */
const GAP_MS_MIN = 5;
const GAP_MS_MAX = 400;
/** The first few gaps may come from delays at the beginning of the call. */
const GAPS_MIN = 5;
const GAPS_SHARE = 0.02;

/** Plays what the server sends as Telnyx would, and looks at the queue. */
function checkPacing(
  media: readonly ServerMessage[],
  reading: Reading,
  hasHeader: boolean,
  evidence: Evidence,
  report: Report,
): void {
  const clears = evidence.server.filter(({ kind }) => kind === 'clear').map(({ atMs }) => atMs);
  let playedUntilMs = Number.NEGATIVE_INFINITY;
  let aheadMaxMs = 0;
  const gaps: ServerMessage[] = [];
  let longestGapMs = 0;
  let audioMs = 0;
  for (const message of media) {
    const ms = durationOf(message, reading, hasHeader);
    if (!(ms > 0) || message.dropped) continue;
    audioMs += ms;
    while (clears.length > 0 && clears[0]! <= message.atMs) {
      const clearedMs = clears.shift()!;
      if (playedUntilMs > clearedMs) playedUntilMs = Number.NEGATIVE_INFINITY;
    }
    const gapMs = message.atMs - playedUntilMs;
    if (gapMs >= GAP_MS_MIN && gapMs <= GAP_MS_MAX) {
      gaps.push(message);
      longestGapMs = Math.max(longestGapMs, gapMs);
    }
    playedUntilMs = Math.max(playedUntilMs, message.atMs) + ms;
    aheadMaxMs = Math.max(aheadMaxMs, playedUntilMs - message.atMs);
  }
  if (gaps.length > Math.max(GAPS_MIN, GAPS_SHARE * media.length)) {
    report.group(
      gaps,
      media.length,
      {
        id: 'outbound-gaps',
        severity: 'warning',
        confidence: 'likely',
        what: 'the caller hears gaps in what the server says',
        remedy:
          'send ahead of time (sidetone: --lead) and against absolute deadlines: timers of 20 ms that are set anew each time fall behind',
      },
      ` come after what went before was played, up to ${Math.round(longestGapMs)} ms late`,
    );
  }
  if (aheadMaxMs > AHEAD_NOTED_MS) {
    report.add({
      id: 'outbound-ahead',
      severity: aheadMaxMs > AHEAD_WARNED_MS ? 'warning' : 'note',
      what: 'the server sends far faster than real time',
      evidence: `up to ${(aheadMaxMs / 1000).toFixed(1)} s of audio wait at Telnyx, of ${(audioMs / 1000).toFixed(1)} s in all`,
      remedy:
        'an interruption then needs clear, and what was heard is known by marks only; pace it (sidetone keeps 200 ms ahead)',
    });
  }
  const rate = messagesPerSecond(media);
  if (rate > MESSAGES_PER_SECOND_MAX) {
    report.add({
      id: 'outbound-message-rate',
      severity: 'warning',
      confidence: 'likely',
      what: 'the server sends very many messages',
      evidence: `up to ${rate} media messages within a second`,
      remedy: 'put more audio into each (20 ms to 30 s): very many draw error 100005, rate_limit_reached',
    });
  }
}

function messagesPerSecond(media: readonly ServerMessage[]): number {
  let most = 0;
  let from = 0;
  media.forEach(({ atMs }, i) => {
    while (media[from]!.atMs < atMs - 1000) from++;
    most = Math.max(most, i - from + 1);
  });
  return most;
}

/** Marks that did not come back though their audio, and a second more, had passed. */
function checkMarks({ server, marksReturned, endMs }: Evidence, report: Report): void {
  const returned = new Map<string, number>();
  for (const name of marksReturned) returned.set(name, (returned.get(name) ?? 0) + 1);
  const missing = server.filter(({ kind, name, atMs }) => {
    if (kind !== 'mark' || name === undefined) return false;
    const left = returned.get(name) ?? 0;
    returned.set(name, left - 1);
    return left <= 0 && atMs < endMs - MARK_WAIT_MS;
  });
  const marks = server.filter(({ kind }) => kind === 'mark').length;
  report.group(missing, marks, {
    id: 'marks-missing',
    severity: 'warning',
    confidence: 'likely',
    what: 'marks did not come back',
    field: 'stream_bidirectional_mode',
    remedy:
      'a mark comes back when the audio before it has been played: was that audio taken? see the errors, and rtp mode',
  });
}

/** Longer than what is usually queued before a mark. */
const MARK_WAIT_MS = 10_000;
