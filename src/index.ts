export { type DtmfOptions, dtmfTones } from './audio/dtmf.js';
export { readWav, WavWriter, wavBytes } from './audio/wav.js';
export { type Clock, systemClock, VirtualClock } from './clock.js';
export {
  createDecoder,
  createEncoder,
  type DecoderOptions,
  type EncoderOptions,
  resample,
} from './codecs/create.js';
export type { PayloadDecoder, PayloadEncoder } from './codecs/types.js';
export { type ErrorCode, SidetoneError } from './errors.js';
export { ENCODINGS, type Encoding, type OutboundOptions, SAMPLE_RATES } from './formats.js';
export type { Logger } from './log/log.js';
export type { ServerOptions } from './options/options.js';
export type { PluginEntry } from './options/table.js';
export { definePlugin } from './plugin/define.js';
export type {
  HistogramOptions,
  LabelValues,
  MetricOptions,
  PluginCounter,
  PluginGauge,
  PluginHistogram,
  PluginMetrics,
} from './plugin/metrics.js';
export type { OptionsSchema } from './plugin/options.js';
export type {
  Accepted,
  AcceptResult,
  AudioOptions,
  Plugin,
  PluginContext,
  SetupContext,
  StopReason,
  StreamHandler,
} from './plugin/plugin.js';
export type { SpeechEnd, SpeechStart, VadOptions } from './plugin/speech.js';
export type {
  AudioFrame,
  CallInfo,
  ClearOptions,
  MarkResult,
  PlayableAudio,
  Playback,
  PlaybackResult,
  PlayedFrame,
  PlayOptions,
  Speech,
  SpeechOptions,
  Stream,
  StreamRequest,
} from './plugin/stream.js';
export { type HeldAnswer, type Turn, type TurnOptions, TurnTaking } from './plugin/turns.js';
export { default as echo } from './plugins/echo.js';
export {
  type RealtimeOptions,
  type RealtimeTool,
  realtime,
  realtimeTool,
  type ToolContext,
} from './plugins/realtime.js';
export { type RecordOptions, record } from './plugins/record.js';
export { type SpeakOptions, speak } from './plugins/speak.js';
export { tone } from './plugins/tone.js';
export { createServer, type Server } from './server/server.js';
export type { CallOptions as SimulatedCallOptions } from './simulator/options.js';
export type { CallResult } from './simulator/result.js';
export { type Call, Simulator, type SimulatorOptions } from './simulator/simulator.js';
export type { CodecFactory, Pcm } from './simulator/speech.js';
export { type AnswererOptions, createAnswerer } from './telnyx/answer.js';
export {
  type AnswerRequest,
  buildAnswer,
  buildDial,
  buildStreamingStart,
  type DialRequest,
  type StreamingStartRequest,
} from './telnyx/build.js';
export { type CheckOptions, checkRequest, type Finding, type RequestKind } from './telnyx/check.js';
export type {
  CallAnsweredEvent,
  CallBridgedEvent,
  CallDtmfReceivedEvent,
  CallHangupEvent,
  CallInitiatedEvent,
  CallMachineEvent,
  CallQuality,
  OtherEvent,
  StreamingFailedEvent,
  StreamingStartedEvent,
  StreamingStoppedEvent,
} from './telnyx/events.js';
export type {
  RequestedFormat,
  /** @deprecated Its name is RequestedFormat now. */
  RequestedFormat as StreamWishes,
} from './telnyx/expectations.js';
export { type StreamExpectation, StreamExpectations } from './telnyx/expectations.js';
export type { AnswerBody, DialBody, StreamingStartBody } from './telnyx/requests.js';
export {
  ApiKeyRefusedError,
  answerCall,
  CallEndedError,
  ChannelLimitError,
  ClientStateRefusedError,
  type CommandResult,
  type RateLimit,
  RateLimitedError,
  StreamingInUseError,
  StreamingNotInUseError,
  StreamUrlRefusedError,
  startStreaming,
  TelnyxError,
  type TelnyxOptions,
  TelnyxUnavailableError,
  TelnyxUnreachableError,
  UnknownCallError,
} from './telnyx/rest.js';
export { buildTexml, escapeXml, type TexmlDocument, type TexmlStream } from './telnyx/texml.js';
export {
  createWebhookHandler,
  type WebhookEvent,
  type WebhookHandler,
  type WebhookOptions,
  type WebhookReply,
} from './telnyx/webhooks.js';
