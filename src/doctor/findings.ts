/** What the doctor says. */
import type { Format } from '../formats.js';

/** `error`: audio is lost or garbled. `warning`: it suffers. `note`: worth knowing, nothing to mend. */
export type Severity = 'error' | 'warning' | 'note';

export type FindingId =
  // the stream
  | 'no-start'
  | 'no-media'
  | 'refused-frames'
  | 'binary-frames'
  | 'telnyx-error'
  | 'capture-incomplete'
  // what Telnyx's audio is
  | 'inbound-encoding'
  | 'inbound-byte-order'
  | 'inbound-rate'
  | 'inbound-packing'
  | 'inbound-rtp-header'
  | 'inbound-odd-length'
  | 'inbound-payloads'
  | 'opus-packets'
  | 'silence'
  | 'clipping'
  | 'noise'
  | 'dc-offset'
  | 'narrow-band'
  // how it comes
  | 'timestamp-unit'
  | 'timestamp-clock'
  | 'chunk-numbers'
  | 'ptime'
  | 'loss'
  | 'reordering'
  | 'duplicates'
  | 'stall'
  | 'arrival-rate'
  // what the server sends
  | 'outbound-messages'
  | 'outbound-base64'
  | 'outbound-empty'
  | 'outbound-container'
  | 'outbound-rtp-header'
  | 'outbound-encoding'
  | 'outbound-byte-order'
  | 'outbound-packing'
  | 'outbound-payloads'
  | 'outbound-odd-length'
  | 'outbound-short'
  | 'outbound-long'
  | 'outbound-message-rate'
  | 'outbound-ahead'
  | 'outbound-gaps'
  | 'outbound-dropped'
  | 'marks-missing';

export interface Finding {
  id: FindingId;
  severity: Severity;
  /** `likely`: it is based on what speech usually is like. docs/tools.md says how often that is wrong. */
  confidence: 'sure' | 'likely';
  what: string;
  evidence: string;
  /** The field of the streaming request to change; null where the request is not to blame. */
  field: string | null;
  remedy: string;
}

/** What one track, or the server's audio, was found to be. Levels are in dB below full scale. */
export interface AudioFacts {
  declared: string;
  actual: string;
  messages: number;
  audioMs: number;
  ptimeMs?: number;
  speechDbfs?: number;
  noiseFloorDbfs?: number;
  clippedPercent?: number;
}

export interface TrackFacts extends AudioFacts {
  timestampUnit?: 'rtp' | 'ms';
  timestampClockHz?: number;
  chunkOrigin?: number;
  chunkCounting?: 'track' | 'stream';
  lost: number;
  reordered: number;
  duplicates: number;
  longestPauseMs: number;
}

export interface Diagnosis {
  /** No finding but notes. */
  healthy: boolean;
  streamId?: string;
  durationMs: number;
  inbound?: TrackFacts;
  outbound?: TrackFacts;
  /** What the server sent. */
  server?: AudioFacts;
  findings: Finding[];
}

export function showFormat({ encoding, sampleRate }: Format, more = ''): string {
  return `${encoding} at ${sampleRate} Hz${more}`;
}

export const percent = (share: number): string => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
export const dbfs = (amplitude: number): number =>
  Math.round(200 * Math.log10(Math.max(amplitude, 1e-6))) / 10;
