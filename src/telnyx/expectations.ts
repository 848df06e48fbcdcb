/**
 * Keeps what a request to start a stream asked for until its `start` frame arrives. That frame announces only what
 * Telnyx sends, not what it wants to be sent. The requested format gets there in one of two ways:
 * - within one process: `StreamExpectations`, by call_control_id;
 * - across processes and threads: as a custom parameter of the request itself, which comes back in `start`.
 */
import type { Clock } from '../clock.js';
import { CODECS, type Encoding, isEncoding, type OutboundOptions } from '../formats.js';
import type { CustomParameter, StreamingStartBody } from './requests.js';

/** What a request to start a stream asks for. */
export interface RequestedFormat {
  /** In `mp3` mode raw audio is ignored: encoding and rate mean nothing. */
  mode: 'rtp' | 'mp3';
  /** Of what the application is to send. */
  outboundEncoding: Encoding;
  /** The rate in Hz, as it would be announced: G722 says 8000. */
  outboundSampleRate: number;
  /** What the application hears. */
  track: 'inbound' | 'outbound' | 'both';
}

/** A request that is kept until its stream starts. */
export interface StreamExpectation extends RequestedFormat {
  /** On the clock that was given. */
  requestedAtMs: number;
}

/** What a body asks for, with the defaults that Telnyx documents. A rate that the codec does not have counts as left out. */
export function requestedBy(body: StreamingStartBody): RequestedFormat {
  const outboundEncoding = body.stream_bidirectional_codec ?? 'PCMU';
  const rates = CODECS[outboundEncoding].announcedRates;
  const rate = body.stream_bidirectional_sampling_rate;
  return {
    mode: body.stream_bidirectional_mode ?? 'mp3',
    outboundEncoding,
    outboundSampleRate: rate !== undefined && rates.includes(rate) ? rate : (rates[0] as number),
    track: (body.stream_track ?? 'inbound_track').replace(/_tracks?$/, '') as RequestedFormat['track'],
  };
}

/** Name of the custom parameter that carries the requested format. */
export const REQUESTED_PARAMETER = 'sidetone_outbound';

/** The custom parameter for a requested format, such as `rtp/L16/16000/inbound`. */
export function requestedParameter(requested: RequestedFormat): CustomParameter {
  const { mode, outboundEncoding, outboundSampleRate, track } = requested;
  return { name: REQUESTED_PARAMETER, value: [mode, outboundEncoding, outboundSampleRate, track].join('/') };
}

/** Reads `start.custom_parameters`; undefined where no requested format is in it, or none that can be read. */
export function requestedIn(
  parameters: Readonly<Record<string, string>> | undefined,
): RequestedFormat | undefined {
  if (!parameters || !Object.hasOwn(parameters, REQUESTED_PARAMETER)) return undefined;
  const [mode, encoding, rate, track, ...rest] = (parameters[REQUESTED_PARAMETER] ?? '').split('/');
  const sampleRate = Number(rate);
  if ((mode !== 'rtp' && mode !== 'mp3') || !isEncoding(encoding) || rest.length > 0) return undefined;
  if (!CODECS[encoding].announcedRates.includes(sampleRate)) return undefined;
  if (track !== 'inbound' && track !== 'outbound' && track !== 'both') return undefined;
  return { mode, outboundEncoding: encoding, outboundSampleRate: sampleRate, track };
}

/** What the server is to send, in the form of a plugin's `outbound`. */
export function outboundOf(requested: RequestedFormat | undefined): OutboundOptions | undefined {
  if (requested?.mode !== 'rtp') return requested && { mode: requested.mode };
  return { mode: 'rtp', encoding: requested.outboundEncoding, sampleRate: requested.outboundSampleRate };
}

/** How long requests are kept, and who is told. */
export interface StreamExpectationsOptions {
  /** Measures how old they are. */
  clock: Clock;
  /** How long a request waits for its `start`; a call may ring for minutes. Default one hour. */
  ttlMs?: number;
  /** Default 10,000: at about 300 bytes each, 3 MB. When full the oldest goes. */
  entriesMax?: number;
  /** Called with every request, and with undefined when a call is over: for copies in other threads. */
  onChange?: (callControlId: string, requested: RequestedFormat | undefined) => void;
}

/** Bounded memory of what was asked for, by call_control_id. */
export class StreamExpectations {
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #entriesMax: number;
  readonly #onChange: StreamExpectationsOptions['onChange'];
  /** Oldest first: a new request for the same call goes to the end. */
  readonly #entries = new Map<string, StreamExpectation>();
  /** Entries that had to go before their time, because the memory was full. */
  evicted = 0;

  constructor(options: StreamExpectationsOptions) {
    this.#clock = options.clock;
    this.#ttlMs = options.ttlMs ?? 3_600_000;
    this.#entriesMax = options.entriesMax ?? 10_000;
    this.#onChange = options.onChange;
  }

  /** Requests whose stream has not started yet. */
  get size(): number {
    this.#expire();
    return this.#entries.size;
  }

  /** Remembers what a body asks for; a later request for the same call replaces it, as its stream does. */
  expect(callControlId: string, body: StreamingStartBody): void {
    this.set(callControlId, requestedBy(body));
  }

  /** As `expect`, for a body that has been read already. */
  set(callControlId: string, requested: RequestedFormat): void {
    this.#expire();
    this.#entries.delete(callControlId);
    if (this.#entries.size >= this.#entriesMax) {
      this.#entries.delete(this.#entries.keys().next().value as string);
      this.evicted++;
    }
    this.#entries.set(callControlId, { ...requested, requestedAtMs: this.#clock.now() });
    this.#onChange?.(callControlId, requested);
  }

  /** What was asked for that call; it stays, for Telnyx may open the WebSocket again. */
  get(callControlId: string): StreamExpectation | undefined {
    this.#expire();
    return this.#entries.get(callControlId);
  }

  /** All of them, the oldest first. */
  entries(): [string, StreamExpectation][] {
    this.#expire();
    return [...this.#entries];
  }

  /** The call is over. */
  forget(callControlId: string): void {
    if (this.#entries.delete(callControlId)) this.#onChange?.(callControlId, undefined);
  }

  #expire(): void {
    const oldest = this.#clock.now() - this.#ttlMs;
    for (const [id, entry] of this.#entries) {
      if (entry.requestedAtMs > oldest) return;
      this.#entries.delete(id);
    }
  }
}
