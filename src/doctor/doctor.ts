/** What a capture's audio really is, what is wrong with it, and what to change. */

import type { Format } from '../formats.js';
import { TELNYX_ERRORS } from '../telnyx/frames.js';
import { type Evidence, gather } from './evidence.js';
import type { Diagnosis, Finding, TrackFacts } from './findings.js';
import { checkTrack } from './inbound.js';
import { checkServer } from './outbound.js';

export interface DoctorOptions {
  /** What stream_bidirectional_codec was; default: what the capture says the server took it for. */
  outbound?: Format;
}

const SEVERITIES: readonly Finding['severity'][] = ['error', 'warning', 'note'];

/** Throws SIDETONE_BAD_ARGUMENT where the file is no capture. */
export async function diagnose(path: string, options: DoctorOptions = {}): Promise<Diagnosis> {
  const evidence = await gather(path);
  const findings = checkStream(evidence);
  const tracks: { inbound?: TrackFacts; outbound?: TrackFacts } = {};
  const { declared, tracks: media } = evidence;
  for (const track of ['inbound', 'outbound'] as const) {
    if (!declared || !media[track]?.length) continue;
    const checked = checkTrack(evidence, track, declared);
    tracks[track] = checked.facts;
    findings.push(...checked.findings);
  }
  const expected = options.outbound ?? evidence.expected ?? declared;
  const server = expected && evidence.server.length > 0 ? checkServer(evidence, expected) : undefined;
  findings.push(...(server?.findings ?? []));
  findings.sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity));
  return {
    healthy: findings.every(({ severity }) => severity === 'note'),
    ...(evidence.streamId !== undefined && { streamId: evidence.streamId }),
    durationMs: Math.round(evidence.endMs - (evidence.startMs ?? 0)),
    ...tracks,
    ...(server?.facts && { server: server.facts }),
    findings,
  };
}

/** What Telnyx's error codes mean for whoever gets them. */
const ERROR_REMEDIES: Record<number, string> = {
  100002: 'see its detail; if it goes on, report it to Telnyx with the stream_id',
  100003: 'a message of the server was no JSON object with a known event',
  100004: 'a payload of the server was no audio of stream_bidirectional_codec, or under 20 ms, or not base64',
  100005: 'the server sent too many messages, or too much audio ahead of time',
};

/** Long enough for Telnyx to have sent media, had there been some. */
const MEDIA_WAIT_MS = 2000;

function checkStream(evidence: Evidence): Finding[] {
  const findings: Finding[] = [];
  const add = (finding: Omit<Finding, 'confidence'>): number =>
    findings.push({ confidence: 'sure', ...finding });
  const { startMs, endMs, tracks, refused, errors } = evidence;
  if (startMs === undefined) {
    add({
      id: 'no-start',
      severity: 'error',
      what: 'no start came that can be read',
      evidence: `${Math.round(endMs)} ms from the opening of the WebSocket to its end`,
      field: null,
      remedy:
        refused.size > 0
          ? 'see what was refused'
          : 'start comes when the call is answered: was it? the WebSocket may open before that',
    });
  } else if (!tracks.inbound?.length && !tracks.outbound?.length && endMs - startMs > MEDIA_WAIT_MS) {
    add({
      id: 'no-media',
      severity: 'error',
      what: 'no media came',
      evidence: `none in ${Math.round(endMs - startMs)} ms after start`,
      field: 'stream_track',
      remedy: 'the track that is streamed carries nothing: try both_tracks',
    });
  }
  for (const [detail, count] of refused) {
    add({
      id: 'refused-frames',
      severity: 'error',
      what: 'messages of Telnyx that do not follow the specification',
      evidence: `${count}: ${detail}`,
      field: null,
      remedy: 'the server ignores them; has something rewritten them on the way?',
    });
  }
  if (evidence.badBase64 > 0) {
    add({
      id: 'refused-frames',
      severity: 'error',
      what: 'media payloads of Telnyx that are not base64',
      evidence: `${evidence.badBase64} messages`,
      field: null,
      remedy: 'the server ignores them; has something rewritten them on the way?',
    });
  }
  if (evidence.binaryIn > 0) {
    add({
      id: 'binary-frames',
      severity: 'warning',
      what: 'binary messages came',
      evidence: `${evidence.binaryIn} messages`,
      field: null,
      remedy: 'Telnyx sends texts only: is the other end Telnyx?',
    });
  }
  for (const code of new Set(errors.map(error => error.code))) {
    const same = errors.filter(error => error.code === code);
    const title = TELNYX_ERRORS[code as keyof typeof TELNYX_ERRORS] ?? same[0]!.title;
    add({
      id: 'telnyx-error',
      severity: 'error',
      what: `Telnyx sent error ${code}, ${title}`,
      evidence: `${same.length} times, first at ${Math.round(same[0]!.atMs)} ms: ${same[0]!.detail}`,
      field: code === 100004 ? 'stream_bidirectional_codec' : null,
      remedy: ERROR_REMEDIES[code] ?? 'see its detail',
    });
  }
  if (evidence.missing > 0 || evidence.truncated) {
    const missing =
      evidence.missing > 0 ? `${evidence.missing} messages are missing` : 'the file ends inside a line';
    add({
      id: 'capture-incomplete',
      severity: 'note',
      what: 'the capture is not complete',
      evidence: missing,
      field: null,
      remedy:
        'losses may be of the capture, not of the call: capture to a faster disk, or fewer calls at once',
    });
  }
  return findings;
}
