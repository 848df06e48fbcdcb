export { readWav, WavWriter, wavBytes } from './audio/wav.js';
export { type Clock, systemClock, VirtualClock } from './clock.js';
export { ENCODINGS, type Encoding, SAMPLE_RATES } from './codec.js';
export type { PayloadDecoder, PayloadEncoder } from './codecs/types.js';
export {
  createDecoder,
  createEncoder,
  type DecoderOptions,
  type EncoderOptions,
  resample,
} from './codecs.js';
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
export type { CallOptions as SimulatedCallOptions } from './simulator/options.js';
export type { CallResult } from './simulator/result.js';
export { type Call, Simulator, type SimulatorOptions } from './simulator/simulator.js';
export type { CodecFactory, Pcm } from './simulator/speech.js';
export type { CallInfo, PlayableAudio, PlayOptions, Stream } from './stream.js';
