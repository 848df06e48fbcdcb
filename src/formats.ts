/** Encodings as the specification spells them. */
export const ENCODINGS = ['PCMU', 'PCMA', 'G722', 'OPUS', 'AMR-WB', 'L16'] as const;
/** How audio is encoded on the wire. */
export type Encoding = (typeof ENCODINGS)[number];

/** Rates that handlers, files and `play()` may use, in Hz. */
export const SAMPLE_RATES = [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000] as const;

export interface CodecFacts {
  /** What `media_format.sample_rate` and RTP timestamps count in, in Hz. G722 says 8000 and carries 16 kHz audio. */
  clockRate(announcedRate: number): number;
  /** Rate of the decoded PCM, in Hz. */
  sampleRate(announcedRate: number): number;
  /** Announced rates that Telnyx knows for it. */
  announcedRates: readonly number[];
  /** Where encoding and decoding run: in the reactor's thread, or in the worker pool because they would stall it. */
  runsIn: 'reactor' | 'pool';
}

const same = (rate: number): number => rate;
const fixed = (rate: number) => () => rate;

export const CODECS: Readonly<Record<Encoding, CodecFacts>> = {
  PCMU: { clockRate: fixed(8000), sampleRate: fixed(8000), announcedRates: [8000], runsIn: 'reactor' },
  PCMA: { clockRate: fixed(8000), sampleRate: fixed(8000), announcedRates: [8000], runsIn: 'reactor' },
  G722: {
    clockRate: fixed(8000),
    sampleRate: fixed(16000),
    announcedRates: [8000, 16000],
    runsIn: 'reactor',
  },
  OPUS: { clockRate: same, sampleRate: same, announcedRates: [8000, 16000, 24000, 48000], runsIn: 'pool' },
  'AMR-WB': {
    clockRate: fixed(16000),
    sampleRate: fixed(16000),
    announcedRates: [16000, 8000],
    runsIn: 'pool',
  },
  L16: {
    clockRate: same,
    sampleRate: same,
    announcedRates: [8000, 16000, 22050, 24000, 48000],
    runsIn: 'reactor',
  },
};

export function isEncoding(value: unknown): value is Encoding {
  return ENCODINGS.includes(value as Encoding);
}

/** What one direction of a stream carries. */
export interface Format {
  /** As the wire names it. */
  encoding: Encoding;
  /** As announced or asked for (`media_format.sample_rate`), in Hz. */
  sampleRate: number;
}

const KNOWN_FORMATS: readonly Format[] = ENCODINGS.flatMap(encoding =>
  CODECS[encoding].announcedRates.map(sampleRate => Object.freeze({ encoding, sampleRate })),
);

/** A format, frozen; the same object again where Telnyx knows it, because thousands of streams have it. */
export function formatOf(encoding: Encoding, sampleRate: number): Format {
  const isIt = (known: Format): boolean => known.encoding === encoding && known.sampleRate === sampleRate;
  return KNOWN_FORMATS.find(isIt) ?? Object.freeze({ encoding, sampleRate });
}

/** How audio is played into the call: what Telnyx was told as stream_bidirectional_mode. */
export type OutboundMode = 'rtp' | 'mp3';

/** What a stream sends. */
export interface OutboundOptions {
  /** Default: rtp, unless the server's `outboundMode` says otherwise. In `mp3` mode encoding and rate mean nothing. */
  mode?: OutboundMode;
  /** What Telnyx was told as stream_bidirectional_codec. Default: what comes in. */
  encoding?: Encoding;
  /** What Telnyx was told as stream_bidirectional_sampling_rate, in Hz. */
  sampleRate?: number;
}
