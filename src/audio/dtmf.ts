import { SidetoneError, shown } from '../errors.js';
import { SAMPLE_RATES } from '../formats.js';

/** How `dtmfTones` makes its tones. */
export interface DtmfOptions {
  /** Rate of the samples, in Hz. Default 8000. */
  sampleRate?: number;
  /** Length of each key, in ms: 40 to 10000. Default 100. */
  toneMs?: number;
  /** Silence behind each key, in ms: 40 to 10000. Default 100. */
  pauseMs?: number;
  /** Peak of the two tones together, in dBFS: -40 to 0. Default -6. */
  levelDb?: number;
}

const ROWS = [697, 770, 852, 941];
const COLUMNS = [1209, 1336, 1477, 1633];
const KEYS = '123A456B789C*0#D';
/** As in `send_dtmf` of Telnyx. */
const WAITS_MS: Readonly<Record<string, number>> = { w: 500, W: 1000 };
/** The high tone is 2 dB louder than the low one, because lines weaken high tones more. */
const HIGH_TO_LOW = 10 ** (2 / 20);
/** A tone that begins at once would click. */
const EDGE_MS = 2;

/**
 * Keys as the two tones that telephones send for them (ITU-T Q.23), to be played or mixed: mono PCM.
 *
 * @param digits 1 to 500 of 0 to 9, *, #, A to D; `w` waits for 0.5 s and `W` for 1 s
 * @throws SidetoneError SIDETONE_BAD_ARGUMENT
 */
export function dtmfTones(digits: string, options: DtmfOptions = {}): Int16Array {
  const bad = (field: string, value: unknown, remedy: string): never => {
    throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `dtmfTones ${field}: ${shown(value)}: ${remedy}`);
  };
  if (typeof digits !== 'string' || !/^[0-9*#A-Da-dwW]{1,500}$/.test(digits)) {
    bad('digits', digits, 'give 1 to 500 of 0 to 9, *, #, A to D, w and W');
  }
  const { sampleRate = 8000, toneMs = 100, pauseMs = 100, levelDb = -6 } = options;
  if (!(SAMPLE_RATES as readonly unknown[]).includes(sampleRate)) {
    bad('sampleRate', sampleRate, `use one of ${SAMPLE_RATES.join(', ')} Hz`);
  }
  const limits = [
    ['toneMs', toneMs, 40, 10_000, 'ms'],
    ['pauseMs', pauseMs, 40, 10_000, 'ms'],
    ['levelDb', levelDb, -40, 0, 'dBFS'],
  ] as const;
  for (const [name, value, min, max, unit] of limits) {
    if (typeof value !== 'number' || !(value >= min && value <= max)) {
      bad(name, value, `give ${min} to ${max} ${unit}`);
    }
  }
  const samples = (ms: number): number => Math.round((ms * sampleRate) / 1000);
  const step = samples(toneMs) + samples(pauseMs);
  const length = [...digits].reduce(
    (sum, digit) => sum + (WAITS_MS[digit] ? samples(WAITS_MS[digit]) : step),
    0,
  );
  const pcm = new Int16Array(length);
  const low = (32767 * 10 ** (levelDb / 20)) / (1 + HIGH_TO_LOW);
  let at = 0;
  for (const digit of digits) {
    const waitMs = WAITS_MS[digit];
    if (waitMs === undefined) key(pcm.subarray(at, at + samples(toneMs)), digit, sampleRate, low);
    at += waitMs === undefined ? step : samples(waitMs);
  }
  return pcm;
}

function key(pcm: Int16Array, digit: string, sampleRate: number, low: number): void {
  const place = KEYS.indexOf(digit.toUpperCase());
  const row = (2 * Math.PI * ROWS[place >> 2]!) / sampleRate;
  const column = (2 * Math.PI * COLUMNS[place & 3]!) / sampleRate;
  const edge = (EDGE_MS * sampleRate) / 1000;
  for (let i = 0; i < pcm.length; i++) {
    const gain = Math.min(1, (i + 1) / edge, (pcm.length - i) / edge);
    pcm[i] = Math.round(gain * low * (Math.sin(row * i) + HIGH_TO_LOW * Math.sin(column * i)));
  }
}
