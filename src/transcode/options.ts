/** What `transcode` is told: encodings, rates and how their payloads are written. */
import { extname } from 'node:path';
import { OPUS_RATES } from '../codecs/opus.js';
import { SidetoneError } from '../errors.js';
import { CODECS, ENCODINGS, type Encoding, isEncoding } from '../formats.js';

export interface TranscodeOptions {
  /** What IN holds, with or without `@rate`. Not needed where the file says it (.wav, .awb). */
  from?: string;
  /** What OUT is to hold, in the same way. */
  to?: string;
  /** In Hz: of every side whose rate is open (L16, OPUS, a WAV that is written) and not given behind `@`. */
  rate?: number;
  /** Of a stereo WAV. */
  channel?: 'left' | 'right';
  /** Of L16 payloads, on both sides. Default 'le'. */
  l16ByteOrder?: 'le' | 'be';
  /** AMR-WB that is written: 0 to 8. Default 2, 12.65 kbit/s. */
  amrMode?: number;
  /** AMR-WB payloads that are written are octet-aligned instead of bandwidth-efficient; .awb files always are. */
  amrOctetAligned?: boolean;
  /** OPUS that is written, in bit/s. */
  bitrate?: number;
  /** Silence becomes comfort noise: OPUS and AMR-WB that are written. */
  dtx?: boolean;
}

/** One side. `packets`: a packet file; `raw`: payload bytes one behind the other. */
export type AudioFormat =
  | { container: 'wav'; sampleRate: number | undefined }
  | { container: 'awb' | 'packets' | 'raw'; encoding: Encoding; sampleRate: number | undefined };

function refuse(option: string, value: unknown, remedy: string): never {
  throw new SidetoneError('SIDETONE_BAD_OPTION', `${option}: ${String(value)}: ${remedy}`);
}

/** The rates that a side may have; none where it has only the one. */
function openRates(format: AudioFormat): readonly number[] {
  if (format.container === 'wav') return [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000];
  if (format.encoding === 'OPUS') return OPUS_RATES;
  return format.encoding === 'L16' ? CODECS.L16.announcedRates : [];
}

/**
 * What the two sides are, from the options and the names of the files.
 * @throws SidetoneError SIDETONE_BAD_OPTION naming option, value and remedy
 */
export function resolveFormats(
  input: string,
  output: string,
  options: TranscodeOptions,
): { from: AudioFormat; to: AudioFormat } {
  const from = side('--from', options.from, input);
  const to = side('--to', options.to, output);
  // A WAV that is read says its own rate.
  const open = [from, to].filter(
    format => openRates(format).length > 0 && !(format === from && format.container === 'wav'),
  );
  const { rate } = options;
  if (rate !== undefined) {
    const fixed =
      open.length === 0 && `the encodings of both sides have a rate of their own; leave --rate out`;
    if (fixed) refuse('--rate', rate, fixed);
    for (const format of open) {
      if (format.sampleRate !== undefined) continue;
      checkRate('--rate', rate, format);
      format.sampleRate = rate;
    }
  }
  return { from, to };
}

function checkRate(option: string, rate: number, format: AudioFormat): void {
  const rates = openRates(format);
  const what = format.container === 'wav' ? 'a WAV file' : format.encoding;
  if (rates.length === 0) refuse(option, rate, `${what} has a rate of its own; leave it out`);
  if (!rates.includes(rate)) refuse(option, rate, `for ${what} give one of ${rates.join(', ')} (Hz)`);
}

function side(option: '--from' | '--to', spelled: string | undefined, path: string): AudioFormat {
  const [name, rateText] = spelled?.split('@') ?? [];
  if (name !== undefined && !isEncoding(name)) {
    refuse(option, spelled, `give one of ${ENCODINGS.join(', ')}, for L16 and OPUS with or without @rate`);
  }
  const format = container(option, name as Encoding | undefined, path);
  if (rateText !== undefined) {
    const rate = Number(rateText);
    if (format.container === 'wav' && option === '--from') {
      refuse(option, spelled, `${path} says its own rate; leave it out`);
    }
    checkRate(option, rate, format);
    format.sampleRate = rate;
  }
  return format;
}

function container(option: '--from' | '--to', encoding: Encoding | undefined, path: string): AudioFormat {
  const extension = extname(path).toLowerCase();
  const sampleRate = undefined;
  if (extension === '.wav') {
    if (encoding !== undefined && encoding !== 'L16') {
      const remedy = `${path} is a WAV file, which holds linear PCM: leave ${option} out, or name the file otherwise`;
      refuse(option, encoding, remedy);
    }
    return { container: 'wav', sampleRate };
  }
  if (extension === '.awb') {
    if (encoding !== undefined && encoding !== 'AMR-WB') {
      const remedy = `${path} is an AMR-WB file: leave ${option} out, or name the file otherwise`;
      refuse(option, encoding, remedy);
    }
    return { container: 'awb', encoding: 'AMR-WB', sampleRate };
  }
  if (encoding === undefined) {
    refuse(option, 'missing', `${path} does not say what it holds: give one of ${ENCODINGS.join(', ')}`);
  }
  const packets = encoding === 'OPUS' || encoding === 'AMR-WB';
  return { container: packets ? 'packets' : 'raw', encoding, sampleRate };
}
