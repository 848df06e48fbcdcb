export { type Clock, systemClock, VirtualClock } from './clock.js';
export { ENCODINGS, type Encoding, SAMPLE_RATES } from './codec.js';
export { type ErrorCode, SidetoneError } from './errors.js';
export type { MarkResult, Playback } from './ledger.js';
export type { ServerOptions } from './options.js';
export {
  type AcceptResult,
  type AudioFrame,
  type AudioOptions,
  definePlugin,
  type OutboundOptions,
  type PlaybackResult,
  type Plugin,
  type StopReason,
  type StreamHandler,
  type StreamRequest,
} from './plugin.js';
export { createServer, type Server } from './server.js';
export type { CallInfo, PlayableAudio, PlayOptions, Stream } from './stream.js';
