/** The format that a stream sends, which is settled once, at its start. */

import {
  CODECS,
  type Encoding,
  type Format,
  isEncoding,
  type OutboundMode,
  type OutboundOptions,
} from '../formats.js';

export interface OutboundFormat {
  mode: OutboundMode;
  outbound: Format;
}

/**
 * Encoding, rate and mode are settled each for itself: the first of `requested` that names it decides. What none of them
 * names is as it comes in.
 * @param requested the most important first
 */
export function settleOutbound(
  inbound: Format,
  defaultMode: OutboundMode,
  requested: readonly (OutboundOptions | undefined)[],
): OutboundFormat {
  const wanted: OutboundOptions = Object.assign({}, ...requested.toReversed());
  const mode = wanted.mode ?? defaultMode;
  // Files do not pass through the engine, so its stream gets the format that costs least.
  if (mode === 'mp3') return { mode, outbound: { encoding: 'PCMU', sampleRate: 8000 } };
  const encoding = wanted.encoding ?? inbound.encoding;
  // The rate may have been given for another encoding.
  const { sampleRate } = wanted;
  if (sampleRate !== undefined && CODECS[encoding].announcedRates.includes(sampleRate)) {
    return { mode, outbound: { encoding, sampleRate } };
  }
  if (encoding === inbound.encoding) return { mode, outbound: inbound };
  return { mode, outbound: { encoding, sampleRate: encoding === 'AMR-WB' ? 16000 : 8000 } };
}

/** The outbound format that a stream_url's query asks for: `?outbound=L16&outbound_rate=16000`, `?mode=mp3`. */
export function queryOutbound(query: URLSearchParams): OutboundOptions {
  const options: { mode?: OutboundMode; encoding?: Encoding; sampleRate?: number } = {};
  const mode = query.get('mode')?.toLowerCase();
  if (mode === 'rtp' || mode === 'mp3') options.mode = mode;
  const encoding = query.get('outbound')?.toUpperCase();
  if (isEncoding(encoding)) options.encoding = encoding;
  const sampleRate = Number(query.get('outbound_rate') ?? Number.NaN);
  const known = options.encoding
    ? CODECS[options.encoding].announcedRates
    : [8000, 16000, 22050, 24000, 48000];
  if (known.includes(sampleRate)) options.sampleRate = sampleRate;
  return options;
}
