/** What a stream and its parts need of the reactor that carries them, and of the connection that they belong to. */

import type { Clock } from '../clock.js';
import type { OutputCounter, ReactorCounter } from '../counters.js';
import type { LoggedStream } from '../log/call-log.js';
import type { ReactorOptions } from '../options/options.js';
import type { StopReason } from '../plugin/plugin.js';
import type { CodecPool } from '../pool/pool.js';
import type { VoicePool } from '../pool/voice-pool.js';
import type { CallControl } from '../telnyx/call-control.js';
import type { MediaPath } from './path.js';

export interface StreamHost {
  readonly path: MediaPath;
  readonly clock: Clock;
  readonly options: ReactorOptions;
  /** Workers for the costly codecs. */
  readonly pool: CodecPool;
  /** The neural voice detector. */
  readonly voices: VoicePool;
  /** Counters of what goes out without the engine. */
  readonly outputCounters: Record<OutputCounter, number>;
  count(counter: ReactorCounter, times?: number): void;
  /** Takes memory for queued audio; false where not as much of it is left. */
  reserve(bytes: number): boolean;
  release(bytes: number): void;
  /** A whole MP3 file of mono PCM. */
  encodeMp3(pcm: Int16Array, sampleRate: number): Promise<Uint8Array>;
  /** Counts up over all streams, for marks without a name. */
  nextMarkNumber(): number;
  /** Commands to the call of a stream. */
  callControl(stream: LoggedStream & { readonly runsTexml: boolean }): CallControl;
  /** The handler of this call has onResume: it can go on with another stream. */
  canResume(callControlId: string): void;
  handlerFailed(stream: LoggedStream, where: string, cause: unknown): void;
  handlerStalled(stream: LoggedStream, where: string, heldMs: number): void;
}

/** How a stream's connection sends text and ends. */
export interface StreamLink {
  sendText(text: string): void;
  /** True when the peer has so much to read that a message sent now would be dropped. */
  readonly backlogged: boolean;
  end(reason: StopReason): void;
}
