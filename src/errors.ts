/** What an error code means: docs/errors.md is made of this table. */
export interface ErrorFacts {
  /** What its messages look like. */
  example: string;
  cause: string;
  remedy: string;
}

/** Stable error codes. A programmer's fault throws one of these; a peer's fault is counted and survived instead. */
export const ERRORS = {
  SIDETONE_BAD_OPTION: {
    example: 'port: 70000: give a port number from 0 to 65535',
    cause: 'An option of the server, of a command or of a codec has a wrong value.',
    remedy: 'The message names the option, the value and what is allowed.',
  },
  SIDETONE_BAD_ARGUMENT: {
    example: 'play sampleRate: 44000: use one of 8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000 Hz',
    cause: 'A method got an argument of a wrong type or out of range.',
    remedy: 'The message names the argument and what is allowed.',
  },
  SIDETONE_BAD_PAYLOAD: {
    example: 'OPUS payload: 2000 bytes, but a packet has 1 to 1275',
    cause: 'A payload is not what its encoding allows. On a stream, audio is concealed in its place.',
    remedy: 'Check the encoding that the peer really sends: `sidetone doctor` says it from a capture.',
  },
  SIDETONE_QUEUE_FULL: {
    example: 'play: 90000 ms of audio do not fit behind the 0 ms that are queued (queueMaxMs 60000); …',
    cause: 'A queue is at its maximum: audio of a stream, marks, sources, or streams of the codec pool.',
    remedy: 'Await playbacks, play an async iterable, or raise the limit that the message names.',
  },
  SIDETONE_CONFERENCE_FULL: {
    example: 'conference "room 7": it is full: give it more participantsMax where it is first opened',
    cause: 'A stream joined a conference that has as many participants as it may have.',
    remedy:
      'Raise `participantsMax` of `context.conference()`: the one who opens the conference first decides.',
  },
  SIDETONE_SOURCE_IDLE: {
    example: 'play: a source has given nothing for 10000 ms, and what was played after it waits: …',
    cause:
      'A source of audio, or a `speak()`, gives nothing and does not end, so that what was played after it is not heard. ' +
      'The handler gets it through `onError`, once.',
    remedy: 'End the source, `cancel()` the speech, or `clear()`. `idleMs` says after how long it is told.',
  },
  SIDETONE_POOL_FULL: {
    example: 'OPUS: its workers have as much to do as they can: …',
    cause:
      'The workers of the codec pool could not keep one more stream in time, so it was refused at its start.',
    remedy: 'Raise `pool` where there are cores, or have fewer OPUS and AMR-WB streams on this server.',
  },
  SIDETONE_BACKPRESSURE: {
    example:
      'the far end reads too slowly: audio is dropped while more than 262144 bytes wait to be sent to it',
    cause:
      'The peer, or the network to it, does not take what is sent. The handler gets it through `onError`.',
    remedy: 'Nothing in the plugin. Look at the network; `slowReader: "close"` ends such streams.',
  },
  SIDETONE_STREAM_CLOSED: {
    example: 'append after close: the file is finished',
    cause:
      'Audio was given to a WAV writer that has been closed. (A call on a stream that has ended does nothing.)',
    remedy: 'Make a new writer.',
  },
  SIDETONE_CODEC_CLOSED: {
    example: 'OPUS codec: used after close(); open another',
    cause: 'A decoder or encoder was used after `close()`.',
    remedy: 'Make a new one.',
  },
  SIDETONE_CODEC_UNAVAILABLE: {
    example: 'the native addon is missing (no prebuilt one is for linux arm, …); building it needs cmake, …',
    cause: 'The addon, or a system library that a codec needs, is missing.',
    remedy: 'The message names what to install or to build.',
  },
  SIDETONE_WORKER_DIED: {
    example: 'CodecPool: a worker with 12 streams was replaced: Worker exited with code 1',
    cause: 'A worker thread ended. Its streams conceal audio until the new worker has taken over.',
    remedy: 'Nothing, once. If it comes back, the log of the time before says why.',
  },
  SIDETONE_PLUGIN_INVALID: {
    example: "plugin agent: handler's onAudio: 5: give a function, or leave it out",
    cause: 'A plugin does not load, or its definition or its handler has a wrong field.',
    remedy: 'The message names the plugin, the field and what is allowed.',
  },
  SIDETONE_PLUGIN_NOT_FOUND: {
    example: 'plugin: ./agnet.ts: no such file (looked for /srv/agnet.ts); built-in plugins are echo, …',
    cause: 'A plugin that was named is no built-in one, no file and no installed package.',
    remedy: 'Check the name; write `./` in front of a file.',
  },
  SIDETONE_HANDLER_FAILED: {
    example: "handler's onAudio failed",
    cause: 'A method of a handler threw, rejected, or held the thread for a second. `cause` has its error.',
    remedy: 'Mend the plugin. `handlerErrors` says whether the stream ends or goes on without the handler.',
  },
  SIDETONE_SETUP_FAILED: {
    example: 'plugin agent: setup failed: connect ECONNREFUSED 127.0.0.1:5432',
    cause: "A plugin's `setup` threw, rejected, or took longer than `setupTimeoutMs`. `cause` has its error.",
    remedy: 'Mend what the message tells of. The server does not start; a reload keeps the code of before.',
  },
  SIDETONE_PORT_IN_USE: {
    example: 'port: 8080: cannot listen on 127.0.0.1: …',
    cause: 'The server could not listen.',
    remedy: 'The message has the reason that the system gave, and what helps.',
  },
  SIDETONE_SERVER_CLOSED: {
    example: 'listen: this server is closed: make another one',
    cause: 'Something was asked of a server, or of a codec pool, that has been closed.',
    remedy: 'Make a new one.',
  },
  SIDETONE_SERVER_LISTENING: {
    example: 'listen: port 8080: this server listens or is about to: make another for another port',
    cause: '`listen()` was called a second time.',
    remedy: 'Make one server a port.',
  },
  SIDETONE_TELNYX_ERROR: {
    example: 'Telnyx: 100004 invalid_media: …',
    cause:
      'Telnyx sent an error frame (the handler gets it through `onError`), or its REST API refused a command.',
    remedy: 'The message has its code and text; errors of the REST API have a class each, with a remedy.',
  },
  SIDETONE_CALL_FAILED: {
    example: 'no load was made: only 1024 file descriptors may be open, …',
    cause: 'A simulated call or a load run could not be made.',
    remedy: 'The message has the reason.',
  },
  SIDETONE_RECORDING_FAILED: {
    example: 'record: /srv/calls/….wav: ENOSPC: no space left on device',
    cause: 'The `record` plugin could not write its file. The call goes on.',
    remedy: 'The message names the file and the reason that the system gave.',
  },
  SIDETONE_PACKAGE_MISSING: {
    example:
      'the package echarts (^6.1.0) is not installed, and reports with plots need it: run: npm install …',
    cause:
      'An optional package is needed: echarts for reports with plots, telnyx for commands to live calls, wasm-media-encoders for utterances in MP3 mode.',
    remedy: 'The message has the command that installs it.',
  },
  SIDETONE_UNSUPPORTED: {
    example: 'uWebSockets.js does not load on Node.js 24 with glibc 2.36: …',
    cause: 'This Node.js, system or processor is not supported.',
    remedy: 'The message names what is.',
  },
} as const satisfies Readonly<Record<string, ErrorFacts>>;

/** Codes of {@link SidetoneError}: docs/errors.md has each with its cause and its remedy. */
export type ErrorCode = keyof typeof ERRORS;

/**
 * A value as it stands in a message: JSON where it has any (`replace` as JSON.stringify's), cut to a line. Never throws.
 */
export function shown(value: unknown, replace?: (key: string, value: unknown) => unknown): string {
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'number') return String(value);
  if (ArrayBuffer.isView(value)) return `${value.constructor.name} of ${value.byteLength} bytes`;
  let text: string | undefined;
  try {
    // Undefined for what JSON does not know: symbols, undefined itself.
    text = JSON.stringify(value, replace) ?? String(value);
  } catch {
    // A bigint, or a circle.
    text = typeof value === 'bigint' ? `${value}n` : Object.prototype.toString.call(value);
  }
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

/** Every error this library throws. `code` is stable; `message` names the field, the value and the remedy. */
export class SidetoneError extends Error {
  /** The same for all of them; `code` tells them apart. */
  override readonly name = 'SidetoneError';
  /** For plugins that refuse something the way this library does. */
  constructor(
    /** Stable, such as `SIDETONE_PORT_IN_USE`. */
    readonly code: ErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}
