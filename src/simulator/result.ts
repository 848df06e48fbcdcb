import type { Encoding } from '../formats.js';
import type { TelnyxErrorCode } from '../telnyx/frames.js';
import type { Latencies } from './echo.js';
import type { Gap, HeardSegment } from './playback.js';

/** An error frame that the simulated Telnyx sent. `atMs` is since `start`, negative before it. */
export interface SentError {
  atMs: number;
  code: TelnyxErrorCode;
  title: string;
  detail: string;
}

/** What one simulated call came to. Times are in ms since the `start` frame unless said otherwise. */
export interface CallResult {
  /** Gives the same call again. */
  seed: number;
  streamId: string;
  callControlId: string;
  encoding: Encoding;
  sampleRate: number;
  outboundEncoding: Encoding;
  outboundSampleRate: number;

  /** `unanswered`: the WebSocket closed before `start`. `failed`: there never was a WebSocket, or it broke. */
  ended: 'by the caller' | 'by the application' | 'unanswered' | 'failed' | 'running';
  /** Why it failed, with `httpStatus` where the upgrade was refused. */
  failure?: string;
  httpStatus?: number;
  /** Of the WebSocket, where the application closed it. */
  closeCode?: number;
  closeReason?: string;
  /** From `start` to the end. */
  durationMs: number;

  /** WebSocket messages. `lost`, `duplicated` and `overtaken` count media frames that the impairments touched. */
  frames: {
    sent: number;
    received: number;
    mediaSent: number;
    mediaReceived: number;
    clearsReceived: number;
    lost: number;
    duplicated: number;
    /** Media frames that left after one with a higher sequence number. */
    overtaken: number;
  };
  /** Payload bytes, base64 undone. */
  bytes: { sent: number; received: number };
  marks: { received: number; returned: number };
  /** The first thousand; `errorsSent` counts all. */
  errors: SentError[];
  errorsSent: number;
  /** What Telnyx may tolerate though the specification does not know it. */
  warnings: string[];

  /** What the caller heard, in order. */
  heard: HeardSegment[];
  /** Audio heard, and audio that arrived and was cleared or still queued when the call ended. */
  heardMs: number;
  discardedMs: number;
  /** Audio that came too late inside an utterance. Gaps under a millisecond are not counted, only listed. */
  underruns: { count: number; totalMs: number; maxMs: number };
  gaps: readonly Gap[];

  latencies: {
    /** From the first media frame sent to the first audio heard. */
    firstHeardMs?: number;
    /** From a frame's sending to the arrival of its echo, where the application sent the same bytes back. */
    echoArrivalMs?: Latencies;
    /** From a frame's sending to its echo being heard. */
    echoHeardMs?: Latencies;
  };
  /** The caller's frames that reached the wire, and those of them that came back byte for byte and in order. */
  echo: { sent: number; matched: number };
}
