/** What each counter means, for the metrics page and its documentation. A test holds the lists complete. */
import type { CodecPoolStats } from '../pool/pool.js';

/** The engine's counters (native/engine/counters.h) and the reactor's (REACTOR_COUNTERS), in their order. */
export const COUNTER_HELP: Readonly<Record<string, string>> = {
  mediaReceived: 'Media messages that came in, of tracks that are heard.',
  bytesReceived: 'Payload bytes that came in, base64 undone.',
  framesHeard: 'Frames of audio that reached handlers, concealed ones included.',
  framesConcealed: 'Frames that were made up in place of lost audio.',
  framesLost: 'Media messages that never came, or came after their place had been given up.',
  framesReordered: 'Media messages that came out of order and were put right.',
  framesLate: 'Media messages dropped because they came after their place had been given up.',
  framesDuplicate: 'Media messages dropped because their chunk had come before.',
  reorderOverflows: 'Gaps given up early because too many messages waited behind them.',
  resyncs: 'Jumps in the numbering of chunks after which a stream began counting anew.',
  pauses: 'Stretches of time in which a stream sent no audio on purpose.',
  badPayloads: 'Payloads that could not be decoded and were concealed.',
  emptyPayloads: 'Media messages without audio in them; counted and passed over.',
  unwantedTrack: 'Media messages of a track that the plugin does not hear.',
  mediaSent: 'Media messages that were made to be sent.',
  bytesSent: 'Payload bytes that were made to be sent, before base64.',
  underruns:
    'Times that audio ran out within an utterance, or that live audio was interrupted for 20 ms or more: the caller heard a gap.',
  paddedMessages: 'Media messages filled up with silence at the end of an utterance.',
  playsRefused: 'Calls of play() refused because the queue was full.',
  liveCatchUps: 'Times that live audio was later than liveLatencyMaxMs and had to be caught up.',
  livePauseCutSeconds: 'Time taken out of the pauses of live audio that was late.',
  liveSpeechCutSeconds: 'Time by which the speech of live audio that was late was shortened.',
  liveSkippedSeconds: 'Live audio left out because it was hopelessly late.',
  connectionsOpened: 'WebSockets that were opened.',
  streamsStarted: 'Streams that began with a start message.',
  streamsStopped: 'Streams that ended, for whatever reason.',
  streamsNotOpened: 'Streams that could not be carried: a codec is missing or its workers are full.',
  poolFull: 'Streams refused at their start because the codec pool has as much to do as it can in time.',
  closedBeforeStart: 'WebSockets that closed before a start message came.',
  disconnected: 'Streams whose WebSocket broke without a stop message.',
  idleTimeouts: 'WebSockets closed because nothing came on them for idleTimeoutSeconds.',
  protocolErrors: 'WebSockets closed for what their peer did against the protocol or the limits.',
  closedByServer: 'WebSockets closed by this server because it shut down.',
  takeOvers: 'Streams replaced by a newer stream of the same call.',
  resumptions: 'Streams that came back for a call whose last stream had ended without a stop message.',
  binaryMessages: 'Binary messages, which the protocol does not have; ignored.',
  unknownEvents: 'Messages with an event that the protocol does not have; ignored.',
  unknownKeys: 'Keys within messages that the protocol does not have; ignored.',
  refusedMessages: 'Messages refused, by reason.',
  mediaParsedFully: 'Media messages written unusually, which took the slow way through the JSON parser.',
  earlyMedia: 'Media messages that came before the start message.',
  lateMedia: 'Media messages that came after the stop message; dropped.',
  messagesDropped: 'Messages not sent because the far end reads too slowly.',
  liveDropped: 'Live frames that a plugin played and the queue had no room for.',
  playsAfterEnd:
    'Calls of play(), playFile(), playEncoded(), speak(), mark(), clear() and join() on a stream that had ended; nothing was played.',
  conferenceJoins: 'Streams that took a place in a conference or a bridge.',
  conferencesFull: 'Streams refused by a conference that had as many participants as it may have.',
  poolRefused: 'Frames that the codec pool refused because a queue was full.',
  telnyxErrors: 'Error messages from Telnyx.',
  handlerFailures: 'Exceptions and rejections of plugins.',
  strayErrors:
    "Errors thrown or rejected outside of every callback: in a plugin's own timers, sockets and promises.",
  handlerStalls: 'Times that a plugin held its thread so long that other streams had to wait.',
  threadBlocks:
    "Times that a plugin's own thread had not read for 60 ms what waited for it; only its own calls suffer.",
  threadFramesLost:
    "Frames that a plugin's own thread did not get, because it was blocked for a second or is being replaced; its handlers hear silence in their place.",
  threadFramesConcealed:
    'Frames of live audio that were made up in place of what a blocked thread did not play.',
  threadsLost: 'Threads of plugins that hung or ended, and were replaced.',
  threadCallsMoved:
    'Calls that got a new handler in another thread, because theirs was lost with its thread.',
  threadCallsEnded: 'Calls that ended because their handler was lost with its thread.',
  sourceFailures: 'Iterables and web streams given to play() that failed.',
  unauthorized: 'Upgrades and streams refused for a missing or wrong token.',
  upgradesRefused: 'Upgrades refused, for whatever reason.',
  upgradesFull: 'Upgrades refused with 503: full or draining.',
  upgradesOverloaded: 'Upgrades refused with 503: the streams that run take all the time of their thread.',
  upgradesBad: 'Requests refused with 4xx: no proper WebSocket upgrade, or a path that no plugin answers.',
  upgradesForbidden: 'Upgrades refused with 403 by a plugin.',
  upgradesNotAllowed: 'Upgrades refused with 403: from an address that is not in `allow`.',
  upgradesTooMany: 'Upgrades refused with 429: more from their address than `upgradesPerSecondMax`.',
  upgradesFailed: 'Upgrades refused with 500 because a plugin failed.',
  upgradesAborted: 'Upgrades whose peer went away while a plugin judged them.',
  upgradesUnfinished: 'Connections that closed, or were closed after ten seconds, without a whole request.',
  captureDropped: 'Messages left out of captures because the disk was too slow.',
  webhooksAccepted: 'Webhooks whose event was told.',
  webhooksDuplicate: 'Webhooks of an event that had been told; answered with 200.',
  webhooksNoSignature: 'Webhooks refused with 401: without the headers of a signature.',
  webhooksBadTimestamp: 'Webhooks refused with 401: their timestamp is none.',
  webhooksStale: 'Webhooks refused with 401: signed more than 300 s before or after now.',
  webhooksBadSignature: 'Webhooks refused with 401: not signed with the public key.',
  webhooksReplayed: 'Webhooks refused with 409: the same signature had come before.',
  webhooksBadBody: 'Webhooks that are signed and cannot be read; answered with 200, for they are genuine.',
  webhooksNotNow: 'Webhooks refused with 503: a call that cannot be taken now. They are sent again.',
  callsAnswered: 'Incoming calls that this server answered.',
  callsLeftRinging: 'Incoming calls not answered because the server was draining or full.',
  answersFailed: 'Commands to answer a call or to start its stream that failed.',
  webhooksTooLarge: 'Webhooks refused with 413: more than 256 KiB.',
  webhooksUnfinished: 'Webhooks refused with 408: not whole after ten seconds.',
  webhooksAborted: 'Webhooks whose sender went away before they were whole.',
  webhooksOverflow: 'Webhooks refused with 503: too many bytes were under way.',
  webhooksUnjudged: 'Webhooks refused with 503: the main thread did not judge them within five seconds.',
  webhookFailures: 'Exceptions and rejections of plugins in onWebhook.',
};

/** Why messages are refused: by the reading of frames, by the connection, by the WebSocket layer. */
export const REFUSAL_REASONS = [
  'bad_json',
  'not_an_object',
  'missing_field',
  'wrong_type',
  'bad_value',
  'bad_base64',
  'foreign_stream',
  'second_start',
  'early_media',
  'ping_flood',
  'websocket_frame',
  'websocket_utf8',
  'websocket_too_big',
] as const;

/** `refused` stands among the reactor's counters: poolRefused. */
export const POOL_COUNTER_HELP = {
  jobs: 'Frames given to the codec pool.',
  opened: 'Decoders and encoders that the codec pool admitted.',
  openRefused: 'Decoders and encoders refused because the workers have as much to do as they can in time.',
  batches: 'Tasks run by the codec pool; jobs by batches is the size of a batch.',
  discarded: 'Results of the codec pool for streams that had ended.',
  restarts: 'Workers of the codec pool that were replaced.',
  hung: 'Workers of the codec pool that were replaced because a task took too long.',
  jobsLost: 'Frames that went down with a worker of the codec pool.',
  sinkErrors: 'Results of the codec pool whose receiver threw.',
} as const satisfies Partial<Record<keyof CodecPoolStats, string>>;

export const POOL_GAUGE_HELP = {
  workers: 'Worker threads of the codec pool that run.',
  load: 'What the open decoders and encoders take of the codec pool, in workers: 1 is one that is always busy.',
  capacity: 'What they may take, in workers; beyond it streams are refused at their start.',
  streams: 'Decoders and encoders that are open in the codec pool.',
  jobsPending: 'Frames that wait for the codec pool or are being worked on.',
} as const satisfies Partial<Record<keyof CodecPoolStats, string>>;

/** `framesHeard` ─▶ `frames_heard`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`);
}
