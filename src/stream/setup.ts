/** What a connection gives a stream at `start`. */
import type { Format, OutboundMode } from '../formats.js';
import type { Logger } from '../log/log.js';
import type { StreamHost, StreamLink } from '../media/host.js';
import type { PlayoutSettings } from '../plugin/playout.js';
import type { StreamRequest } from '../plugin/stream.js';
import type { StartFrame, Track } from '../telnyx/frames.js';
import type { SensesSetup } from './senses.js';

export interface StreamSetup extends SensesSetup {
  host: StreamHost;
  link: StreamLink;
  slot: number;
  start: StartFrame;
  inbound: Format;
  outbound: Format;
  mode: OutboundMode;
  handlerRate: number;
  tracks: readonly Track[];
  request: StreamRequest;
  /** What the plugin's accept() gave for it. */
  context: unknown;
  /** The plugin whose handler it has. */
  plugin: StreamOwner;
  /** How late its live audio may be, in ms; 0: as late as it comes. */
  liveLatencyMaxMs: number;
  /** PCM that a handler plays in answer to a frame is live audio too. */
  livePieces: boolean;
  /** Frames leave on a steady clock; undefined: as they come. */
  playout: PlayoutSettings | undefined;
}

/** What a stream needs of its plugin. */
export interface StreamOwner {
  readonly name: string;
  readonly log: Logger;
  /** What the handler's onStop returned. */
  stopped(result: unknown): void;
}
