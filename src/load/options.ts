/** What a load run takes, checked before a socket is opened. */
import { lookup } from 'node:dns/promises';
import { SidetoneError } from '../errors.js';
import { CODECS, ENCODINGS, type Encoding, isEncoding } from '../formats.js';
import type { LoadProgress, NativeLoadOptions } from '../native/load.js';
import { AUTH_TOKEN_HEADER } from '../telnyx/frames.js';
import { makePayloads, VERIFIABLE } from './payloads.js';

/** Streams that one generator thread may hold; the stamps in the payloads tell this many apart. */
export const STREAMS_MAX = 5000;
export const SECONDS_MAX = 3600;

export interface LoadOptions {
  /** Simultaneous streams, 1 to 5,000. */
  streams: number;
  /** Length of the measurement, in seconds; connecting, warming up and closing come on top. */
  seconds: number;
  /**
   * `echo`: the application sends back what it hears, and latency is taken. `bridge`: it joins the streams 2k and 2k + 1,
   * whose `call_control_id`s end so, and each hears the other; latency is from one caller to the other. `listen`: it speaks.
   * Default echo.
   */
  mode?: 'echo' | 'bridge' | 'listen';
  /** What the callers speak. Default PCMU. */
  encoding?: Encoding;
  /** As announced in `media_format`, in Hz. Default: 8000; 16000 for L16, OPUS and AMR-WB. */
  sampleRate?: number;
  /** What the application speaks. Default: as `encoding`. */
  replyEncoding?: Encoding;
  /** In Hz; counts for L16 only. Default: `sampleRate` where the encodings are the same, else 16000. */
  replySampleRate?: number;
  /** Length of a media frame to the application, in ms. Default 20. */
  ptimeMs?: number;
  /**
   * Echo or bridge of PCMU, PCMA or L16 only: every byte that comes back must be the byte that was sent, in order, none
   * missing. Of a bridge from the first one on that came.
   */
  verify?: boolean;
  /** Sent as `x-telnyx-streaming-auth-token` and in `connected`. */
  token?: string;
  /** A process on this machine, the server's: its processor time and memory are read at both ends of the measurement. */
  serverPid?: number;
  /** New connections a second while the load builds up. Default 500. */
  connectsPerSecond?: number;
  /** Between the last connect and the measurement, in seconds. Default 2. */
  warmupSeconds?: number;
  /** For one stream to connect and upgrade, in ms. Default 5000. */
  connectTimeoutMs?: number;
  /** Echo: how long frames may take to come back after the last one was sent, in seconds. Default 0.5. */
  drainSeconds?: number;
  /** Jitter buffer of the simulated far end: playing starts this long after an utterance's first audio, in ms. Default 40. */
  playoutMs?: number;
  /** Silence from the application that is a pause between utterances, not an underrun, in ms. Default 1000. */
  utteranceGapMs?: number;
  /** Called about twice a second. */
  onProgress?: (progress: LoadProgress) => void;
  /** Ends the run early; what has been measured by then is the result. */
  signal?: AbortSignal;
}

function bad(field: string, value: unknown, remedy: string): SidetoneError {
  return new SidetoneError('SIDETONE_BAD_OPTION', `${field} = ${String(value)}: ${remedy}`);
}

function number(
  field: string,
  value: number | undefined,
  fallback: number,
  min: number,
  max: number,
  whole = true,
): number {
  const given = value ?? fallback;
  if (!(given >= min && given <= max) || (whole && !Number.isInteger(given))) {
    throw bad(field, given, `give ${whole ? 'a whole number' : 'a number'} from ${min} to ${max}`);
  }
  return given;
}

function encodingOf(field: string, value: unknown): Encoding {
  if (!isEncoding(value)) throw bad(field, value, `give one of ${ENCODINGS.join(', ')}`);
  return value;
}

function rateOf(encoding: Encoding, value: number | undefined): number {
  const wideband = encoding === 'L16' || encoding === 'OPUS' || encoding === 'AMR-WB';
  const rate = value ?? (wideband ? 16000 : 8000);
  const { announcedRates } = CODECS[encoding];
  if (!announcedRates.includes(rate)) {
    throw bad('sampleRate', rate, `${encoding} is announced with ${announcedRates.join(', ')} Hz`);
  }
  return rate;
}

/** Checks everything, resolves the name, makes the payloads. */
export async function resolveOptions(url: string, options: LoadOptions): Promise<NativeLoadOptions> {
  const encoding = encodingOf('encoding', options.encoding ?? 'PCMU');
  const sampleRate = rateOf(encoding, options.sampleRate);
  const replyEncoding = encodingOf('replyEncoding', options.replyEncoding ?? encoding);
  const mode = options.mode ?? 'echo';
  if (mode !== 'echo' && mode !== 'bridge' && mode !== 'listen') {
    throw bad('mode', mode, 'give echo, bridge or listen');
  }
  if (mode === 'bridge' && options.streams % 2 !== 0) {
    throw bad('streams', options.streams, 'a bridge has two: give an even number');
  }
  if (options.verify && (mode === 'listen' || replyEncoding !== encoding || !VERIFIABLE.has(encoding))) {
    throw bad(
      'verify',
      true,
      `only an echo or a bridge in the same encoding, one of ${[...VERIFIABLE].join(', ')}, comes back byte for byte`,
    );
  }
  const ptimeMs = number('ptimeMs', options.ptimeMs, 20, 10, 200);
  return {
    ...(await target(url, options.token)),
    encoding,
    clockRate: CODECS[encoding].clockRate(sampleRate),
    replyEncoding,
    replySampleRate: rateOf(
      replyEncoding,
      options.replySampleRate ?? (replyEncoding === encoding ? sampleRate : undefined),
    ),
    mode,
    verify: options.verify ?? false,
    streams: number('streams', options.streams, Number.NaN, 1, STREAMS_MAX),
    measureMs: 1000 * number('seconds', options.seconds, Number.NaN, 0.1, SECONDS_MAX, false),
    connectsPerSecond: number('connectsPerSecond', options.connectsPerSecond, 500, 1, 5000),
    ptimeMs,
    warmupMs: 1000 * number('warmupSeconds', options.warmupSeconds, 2, 0, 60, false),
    connectTimeoutMs: number('connectTimeoutMs', options.connectTimeoutMs, 5000, 100, 60_000),
    drainMs: 1000 * number('drainSeconds', options.drainSeconds, 0.5, 0, 60, false),
    playoutMs: number('playoutMs', options.playoutMs, 40, 0, 1000),
    utteranceGapMs: number('utteranceGapMs', options.utteranceGapMs, 1000, 20, 60_000),
    serverPid: number('serverPid', options.serverPid, 0, 0, 2 ** 22),
    frames: makePayloads(encoding, sampleRate, ptimeMs),
  };
}

async function target(
  url: string,
  token: string | undefined,
): Promise<Pick<NativeLoadOptions, 'address' | 'port' | 'upgradeRequest' | 'connectedMessage'>> {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol === 'wss:') {
    throw bad('url', url, 'the generator speaks plain ws:// only; give the port behind the TLS endpoint');
  }
  if (parsed?.protocol !== 'ws:') throw bad('url', url, 'give ws://HOST:PORT/PATH');
  if (token !== undefined && !/^[\x20-\x7e]{1,4000}$/.test(token)) {
    throw bad('token', `(${token.length} characters)`, 'give 1 to 4000 printable ASCII characters');
  }
  const hostname = parsed.hostname.replace(/^\[|\]$/g, '');
  const found = await lookup(hostname).catch((cause: unknown) => {
    throw new SidetoneError('SIDETONE_BAD_OPTION', `url = ${url}: there is no address of ${hostname}`, {
      cause,
    });
  });
  const connected: object = token === undefined ? {} : { connected: { [AUTH_TOKEN_HEADER]: token } };
  return {
    address: found.address,
    port: Number(parsed.port || 80),
    upgradeRequest: [
      `GET ${parsed.pathname}${parsed.search} HTTP/1.1`,
      `Host: ${parsed.host}`,
      'Upgrade: websocket',
      'Connection: Upgrade',
      // The example of RFC 6455. The nonce guards against caches, and a load test has none in between.
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Version: 13',
      ...(token === undefined ? [] : [`${AUTH_TOKEN_HEADER}: ${token}`]),
      '',
      '',
    ].join('\r\n'),
    connectedMessage: JSON.stringify({ event: 'connected', version: '1.0.0', ...connected }),
  };
}
