import type { Clock } from '../clock.js';
import {
  type Duration,
  decodeBase64,
  hasRtpHeader,
  type PayloadFormat,
  payloadDuration,
} from '../codecs/payload.js';
import { isObject } from '../objects.js';
import type { TelnyxErrorCode } from '../telnyx/frames.js';
import { mp3Duration } from './mp3.js';

/** RTP media: 20 ms to 30 s of audio a message. */
const MEDIA_MS_MIN = 20;
const MEDIA_MS_MAX = 30_000;
/** MP3 media: one message a second. Timers and the network may bring two messages nearer to each other by a little. */
const MP3_INTERVAL_MS = 1000 - 50;

export interface JudgeOptions {
  mode: 'rtp' | 'mp3';
  format: PayloadFormat;
  /** Media messages a second that may go on for ever. */
  messageRateMax: number;
  /** Media messages that may come at once. */
  messageBurstMax: number;
  /** What to do with keys that the specification does not know. Its schema forbids them, but applications send them. */
  extraKeys: 'warn' | 'refuse';
}

/** What a frame of the application means, or the error that Telnyx answers it with. */
export type Verdict =
  | { kind: 'media'; payload: Uint8Array; durationMs: number }
  | { kind: 'mark'; name: string }
  | { kind: 'clear' }
  | { kind: 'error'; code: TelnyxErrorCode; detail: string };

type Json = Record<string, unknown>;

const malformed = (detail: string): Verdict => ({ kind: 'error', code: 100003, detail });
const invalid = (detail: string): Verdict => ({ kind: 'error', code: 100004, detail });
const tooFast = (detail: string): Verdict => ({ kind: 'error', code: 100005, detail });

/** How a value reads in a message, cut short. */
function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

/** Judges the application's frames to the letter of the specification. One judge a stream: it counts rates. */
export class FrameJudge {
  /** What Telnyx may tolerate and the specification does not know; each once. */
  readonly warnings = new Set<string>();
  #allowance: number;
  #allowanceAt: number;
  #lastMp3At = Number.NEGATIVE_INFINITY;
  /** An application that leaves RTP headers on does so from its first message on: what comes later is audio. */
  #mayHaveHeaders = true;

  constructor(
    private readonly clock: Clock,
    private readonly options: JudgeOptions,
  ) {
    this.#allowance = options.messageBurstMax;
    this.#allowanceAt = clock.now();
  }

  /** Judges one text message. */
  judge(text: string): Verdict {
    let frame: unknown;
    try {
      frame = JSON.parse(text);
    } catch {
      return malformed(`The message is not JSON: ${show(text)}`);
    }
    if (!isObject(frame)) return malformed(`A frame must be a JSON object, not ${show(frame)}`);
    switch (frame.event) {
      case 'media':
        return this.#checkKeys(frame, ['event', 'media']) ?? this.#media(frame);
      case 'mark':
        return this.#checkKeys(frame, ['event', 'mark']) ?? this.#mark(frame);
      case 'clear':
        return this.#checkKeys(frame, ['event']) ?? { kind: 'clear' };
      default:
        return malformed(`event must be media, mark or clear, not ${show(frame.event)}`);
    }
  }

  /** Judges one binary message: none is allowed. */
  judgeBinary(bytes: Uint8Array): Verdict {
    return malformed(`Frames are text messages of JSON; this one is binary, ${bytes.length} bytes`);
  }

  #checkKeys(object: Json, known: string[], where = ''): Verdict | undefined {
    const extra = Object.keys(object).find(key => !known.includes(key));
    if (extra === undefined) return undefined;
    const what = `${where || 'the frame'} has the key ${show(extra)}, which the specification does not know`;
    if (this.options.extraKeys === 'refuse') return malformed(what);
    if (this.warnings.size < 100) this.warnings.add(what);
    return undefined;
  }

  #mark(frame: Json): Verdict {
    if (!isObject(frame.mark)) return malformed(`mark must be an object, not ${show(frame.mark)}`);
    const { name } = frame.mark;
    if (typeof name !== 'string') return malformed(`mark.name must be a string, not ${show(name)}`);
    return this.#checkKeys(frame.mark, ['name'], 'mark') ?? { kind: 'mark', name };
  }

  #media(frame: Json): Verdict {
    if (!isObject(frame.media)) return malformed(`media must be an object, not ${show(frame.media)}`);
    const { payload: text } = frame.media;
    if (typeof text !== 'string') return malformed(`media.payload must be a string, not ${show(text)}`);
    const refused = this.#checkKeys(frame.media, ['payload'], 'media') ?? this.#checkRate();
    if (refused) return refused;
    const payload = decodeBase64(text);
    if (!payload) return invalid('Media provided was not base64 encoded');
    if (this.options.mode === 'mp3') return judgeMp3(payload);
    const verdict = judgeRtp(payload, this.options.format, this.#mayHaveHeaders);
    if (verdict.kind === 'media') this.#mayHaveHeaders = false;
    return verdict;
  }

  #checkRate(): Verdict | undefined {
    const now = this.clock.now();
    if (this.options.mode === 'mp3') {
      const sinceMs = now - this.#lastMp3At;
      if (sinceMs < MP3_INTERVAL_MS) {
        return tooFast(
          `One MP3 message a second is allowed; this one came ${Math.round(sinceMs)} ms after the last`,
        );
      }
      this.#lastMp3At = now;
      return undefined;
    }
    const { messageRateMax, messageBurstMax } = this.options;
    const earned = ((now - this.#allowanceAt) / 1000) * messageRateMax;
    this.#allowance = Math.min(messageBurstMax, this.#allowance + earned);
    this.#allowanceAt = now;
    if (this.#allowance < 1) {
      return tooFast(
        `More than ${messageRateMax} media messages a second: send longer chunks (20 ms to 30 s)`,
      );
    }
    this.#allowance--;
    return undefined;
  }
}

function judgeRtp(payload: Uint8Array, format: PayloadFormat, mayHaveHeader: boolean): Verdict {
  if (payload.length === 0) return invalid('media.payload is empty');
  const duration: Duration = payloadDuration(payload, format);
  const whole = 'ms' in duration && duration.ms % 20 === 0 && duration.ms >= MEDIA_MS_MIN;
  if (mayHaveHeader && !whole && hasRtpHeader(payload, format)) {
    return invalid('The payload begins with a 12-byte RTP header: send the RTP payload alone');
  }
  if ('problem' in duration) return invalid(duration.problem);
  if (duration.ms < MEDIA_MS_MIN || duration.ms > MEDIA_MS_MAX) {
    const given = `${duration.ms} ms of ${format.encoding} in ${payload.length} bytes`;
    return invalid(
      `A media frame must hold ${MEDIA_MS_MIN} ms to ${MEDIA_MS_MAX / 1000} s of audio, not ${given}`,
    );
  }
  return { kind: 'media', payload, durationMs: duration.ms };
}

function judgeMp3(payload: Uint8Array): Verdict {
  const duration = mp3Duration(payload);
  if ('problem' in duration) {
    return invalid(
      `${duration.problem}; raw audio needs stream_bidirectional_mode=rtp, this stream is in MP3 mode`,
    );
  }
  return { kind: 'media', payload, durationMs: duration.ms };
}
