import type { Encoding } from '../formats.js';
import type { TelnyxErrorCode } from '../telnyx/frames.js';
import type { Latencies } from './echo.js';
import type { Gap, HeardSegment } from './playback.js';

/** An error frame that the simulated Telnyx sent. `atMs` is since `start`, negative before it. */
export interface SentError {
  /** When, in ms since `start`. */
  atMs: number;
  /** Of the specification, such as 100003. */
  code: TelnyxErrorCode;
  /** Such as `malformed_frame`. */
  title: string;
  /** What was wrong, in words. */
  detail: string;
}

/** What one simulated call came to. Times are in ms since the `start` frame unless said otherwise. */
export interface CallResult {
  /** Gives the same call again. */
  seed: number;
  /** As in `start`. */
  streamId: string;
  /** As in `start`. */
  callControlId: string;
  /** Of the caller's audio. */
  encoding: Encoding;
  /** As `start` announced it, in Hz. */
  sampleRate: number;
  /** Of what the application was to send. */
  outboundEncoding: Encoding;
  /** Of what the application was to send, in Hz. */
  outboundSampleRate: number;

  /** `unanswered`: the WebSocket closed before `start`. `failed`: there never was a WebSocket, or it broke. */
  ended: 'by the caller' | 'by the application' | 'unanswered' | 'failed' | 'running';
  /** Why it failed, with `httpStatus` where the upgrade was refused. */
  failure?: string;
  /** Of the answer to the upgrade, where it was refused. */
  httpStatus?: number;
  /** Of the WebSocket, where the application closed it. */
  closeCode?: number;
  /** Of the WebSocket, where the application closed it. */
  closeReason?: string;
  /** From `start` to the end. */
  durationMs: number;

  /** WebSocket messages. `lost`, `duplicated` and `overtaken` count media frames that the impairments touched. */
  frames: {
    /** To the application. */
    sent: number;
    /** From the application. */
    received: number;
    /** Media frames to the application. */
    mediaSent: number;
    /** Media frames from the application. */
    mediaReceived: number;
    /** `clear` frames from the application. */
    clearsReceived: number;
    /** Media frames that were left out. */
    lost: number;
    /** Media frames that were sent twice. */
    duplicated: number;
    /** Media frames that left after one with a higher sequence number. */
    overtaken: number;
  };
  /** Payload bytes, base64 undone. */
  bytes: { sent: number; received: number };
  /** Marks that came, and those of them that went back. */
  marks: { received: number; returned: number };
  /** The first thousand; `errorsSent` counts all. */
  errors: SentError[];
  /** All error frames, beyond the first thousand too. */
  errorsSent: number;
  /** What Telnyx may tolerate though the specification does not know it. */
  warnings: string[];

  /** What the caller heard, in order. */
  heard: HeardSegment[];
  /** Audio heard, and audio that arrived and was cleared or still queued when the call ended. */
  heardMs: number;
  /** Audio that was cleared, or still waited at the end. */
  discardedMs: number;
  /** Audio that came too late inside an utterance. Gaps under a millisecond are not counted, only listed. */
  underruns: { count: number; totalMs: number; maxMs: number };
  /** Each gap inside an utterance, in order. */
  gaps: readonly Gap[];

  /** How long things took, in ms; absent where they did not happen. */
  latencies: {
    /** From the first media frame sent to the first audio heard. */
    firstHeardMs?: number;
    /** From a frame's sending to the arrival of its echo, where the application sent the same bytes back. */
    echoArrivalMs?: Latencies;
    /** From a frame's sending to its echo being heard. */
    echoHeardMs?: Latencies;
  };
  /**
   * The caller's frames that reached the wire, and those of them that came back byte for byte and in order. The two
   * codes of µ-law for 0 count as the same.
   */
  echo: { sent: number; matched: number };
}
