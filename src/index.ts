export { type DtmfOptions, dtmfTones } from './audio/dtmf.js';
export { readWav, type WavAudio, WavWriter, type WavWriterOptions, wavBytes } from './audio/wav.js';
export { type Clock, systemClock, VirtualClock } from './clock.js';
export {
  createDecoder,
  createEncoder,
  type DecoderOptions,
  type EncoderOptions,
  resample,
} from './codecs/create.js';
export type { PayloadDecoder, PayloadEncoder } from './codecs/types.js';
export { bridge } from './conference/conferences.js';
export { type ErrorCode, SidetoneError } from './errors.js';
export {
  ENCODINGS,
  type Encoding,
  type Format as StreamFormat,
  type OutboundMode,
  type OutboundOptions,
  SAMPLE_RATES,
} from './formats.js';
export type { Logger } from './log/log.js';
export type { ResolvedOptions as ResolvedServerOptions, ServerOptions } from './options/options.js';
export type { PluginEntry } from './options/table.js';
export type { Background, BackgroundOptions, ComfortNoiseOptions } from './plugin/background.js';
export type {
  Conference,
  ConferenceOptions,
  ConferenceRecording,
  ConferenceRecordingOptions,
  HoldOptions,
  JoinOptions,
  Participant,
  RecordingWriter,
} from './plugin/conference.js';
export { definePlugin } from './plugin/define.js';
export type { Isolation, ThreadIsolation } from './plugin/isolation.js';
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
  Resumption,
  Speech,
  SpeechOptions,
  Stream,
  StreamRequest,
} from './plugin/stream.js';
export { type HeldAnswer, type Turn, type TurnOptions, TurnTaking } from './plugin/turns.js';
export { default as echo } from './plugins/echo.js';
export {
  type RealtimeOptions,
  type RealtimeSound,
  type RealtimeTool,
  realtime,
  realtimeTool,
  type TokenPrices,
  type ToolContext,
} from './plugins/realtime.js';
export { type RecordOptions, record } from './plugins/record.js';
export { type SpeakOptions, speak } from './plugins/speak.js';
export { tone } from './plugins/tone.js';
export type { ReactorHealth } from './reactor/snapshot.js';
export { createServer, type Server } from './server/server.js';
export type { Latencies } from './simulator/echo.js';
export type { ApplicationEnd, LinkOptions } from './simulator/memory.js';
export type { CallOptions as SimulatedCallOptions } from './simulator/options.js';
export type { Gap as HeardGap, HeardSegment } from './simulator/playback.js';
export type { CallResult, SentError } from './simulator/result.js';
export { type Call, Simulator, type SimulatorOptions } from './simulator/simulator.js';
export type { SocketOptions as SimulatedSocketOptions } from './simulator/socket.js';
export type { CodecFactory, Pcm, SpeechFormat, SpokenOptions } from './simulator/speech.js';
export { type AnswererOptions, createAnswerer } from './telnyx/answer.js';
export {
  type Address as StreamAddress,
  type AnswerRequest,
  buildAnswer,
  buildDial,
  buildStreamingStart,
  type DialRequest,
  type Outbound as StreamingOutbound,
  type OutboundOnAnswer,
  type StreamingStartRequest,
} from './telnyx/build.js';
export type {
  CallControl,
  CommandOptions,
  RecordingOptions,
  SendDtmfOptions,
  TransferOptions,
} from './telnyx/call-control.js';
export type { Severity } from './telnyx/check/findings.js';
export { type CheckOptions, checkRequest, type Finding, type RequestKind } from './telnyx/check.js';
export type {
  CallAnsweredEvent,
  CallBridgedEvent,
  CallDtmfReceivedEvent,
  CallEvent,
  CallHangupEvent,
  CallInitiatedEvent,
  CallMachineEvent,
  CallQuality,
  CallRecordingSavedEvent,
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
export {
  type StreamExpectation,
  StreamExpectations,
  type StreamExpectationsOptions,
} from './telnyx/expectations.js';
export type { MediaFormat, Track } from './telnyx/frames.js';
export type { AnswerBody, CustomParameter, DialBody, StreamingStartBody } from './telnyx/requests.js';
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
  type TelnyxErrorFacts,
  type TelnyxOptions,
  TelnyxUnavailableError,
  TelnyxUnreachableError,
  UnknownCallError,
} from './telnyx/rest.js';
export {
  buildTexml,
  escapeXml,
  type TexmlAfter,
  type TexmlDocument,
  type TexmlOutbound,
  type TexmlStream,
} from './telnyx/texml.js';
export {
  createWebhookHandler,
  type WebhookEvent,
  type WebhookHandler,
  type WebhookOptions,
  type WebhookOutcome,
  type WebhookReply,
} from './telnyx/webhooks.js';
