const tables = new Map<number, { cos: Float64Array; sin: Float64Array }>();

/** Cosines and sines of half a turn in steps of 1/n. */
function turns(n: number): { cos: Float64Array; sin: Float64Array } {
  let table = tables.get(n);
  if (!table) {
    const of = (wave: (angle: number) => number): Float64Array =>
      Float64Array.from({ length: n / 2 }, (_, k) => wave((2 * Math.PI * k) / n));
    table = { cos: of(Math.cos), sin: of(Math.sin) };
    tables.set(n, table);
  }
  return table;
}

/** Complex FFT in place, radix 2: lengths are powers of two. `inverse` scales by 1/n. */
export function fft(re: Float64Array, im: Float64Array, inverse = false): void {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j |= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j]!, re[i]!];
      [im[i], im[j]] = [im[j]!, im[i]!];
    }
  }
  const { cos, sin } = turns(n);
  for (let size = 2; size <= n; size *= 2) {
    const half = size / 2;
    for (let k = 0; k < half; k++) {
      const wRe = cos[k * (n / size)]!;
      const wIm = inverse ? sin[k * (n / size)]! : -sin[k * (n / size)]!;
      for (let at = k; at < n; at += size) {
        const other = at + half;
        const x = re[other]! * wRe - im[other]! * wIm;
        const y = re[other]! * wIm + im[other]! * wRe;
        re[other] = re[at]! - x;
        im[other] = im[at]! - y;
        re[at] = re[at]! + x;
        im[at] = im[at]! + y;
      }
    }
  }
  if (!inverse) return;
  for (let i = 0; i < n; i++) {
    re[i] = re[i]! / n;
    im[i] = im[i]! / n;
  }
}

/** Hann window without its zeros at the ends. */
export function hann(length: number): Float64Array {
  return Float64Array.from(
    { length },
    (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * (i + 1)) / (length + 1)),
  );
}

/** |X|² of the bins 0 to n/2 of windowed frames `hop` apart; frames are zero-padded to `n`. */
export function powerFrames(
  signal: Float64Array,
  window: Float64Array,
  hop: number,
  n: number,
): Float64Array[] {
  const frames: Float64Array[] = [];
  const re = new Float64Array(n);
  const im = new Float64Array(n);
  for (let at = 0; at + window.length <= signal.length; at += hop) {
    re.fill(0);
    im.fill(0);
    for (let i = 0; i < window.length; i++) re[i] = signal[at + i]! * window[i]!;
    fft(re, im);
    frames.push(Float64Array.from({ length: n / 2 + 1 }, (_, k) => re[k]! ** 2 + im[k]! ** 2));
  }
  return frames;
}

/** So much of a sound's beginning shows how late it is: 8 s at 16 kHz. */
const LAG_SAMPLES = (1 << 17) - 2048;

/** By how many samples `heard` lies behind `reference`, -max to max: where they correlate best. */
export function lagOf(reference: Int16Array, heard: Int16Array, max: number): number {
  const length = Math.min(reference.length, heard.length, LAG_SAMPLES);
  let n = 1;
  while (n < length + max) n *= 2;
  const load = (pcm: Int16Array): [Float64Array, Float64Array] => {
    const re = new Float64Array(n);
    re.set(pcm.subarray(0, length));
    const im = new Float64Array(n);
    fft(re, im);
    return [re, im];
  };
  const [aRe, aIm] = load(reference);
  const [bRe, bIm] = load(heard);
  for (let k = 0; k < n; k++) {
    const re = aRe[k]! * bRe[k]! + aIm[k]! * bIm[k]!;
    aIm[k] = aRe[k]! * bIm[k]! - aIm[k]! * bRe[k]!;
    aRe[k] = re;
  }
  fft(aRe, aIm, true);
  let best = 0;
  for (let lag = -max; lag <= max; lag++) if (aRe[(lag + n) % n]! > aRe[(best + n) % n]!) best = lag;
  return best;
}

/** A rate to another, for measuring: a Kaiser-windowed sinc of 64 periods, in double precision. */
export function convertRate(pcm: Int16Array, fromHz: number, toHz: number): Float64Array {
  if (fromHz === toHz) return Float64Array.from(pcm);
  const cutoff = Math.min(1, toHz / fromHz) * 0.95;
  const reach = 32 / cutoff;
  const taps = 2 * Math.ceil(reach);
  const phases = toHz / gcd(fromHz, toHz);
  // Output i lies at i * fromHz / toHz; only the fraction of that says which taps it needs.
  const kernels = Array.from({ length: phases }, (_, phase) => {
    const fraction = ((phase * fromHz) % toHz) / toHz;
    return Float64Array.from({ length: taps }, (_, tap) => {
      const x = tap - taps / 2 + 1 - fraction;
      if (Math.abs(x) >= reach) return 0;
      const angle = Math.PI * cutoff * x;
      const sinc = x === 0 ? 1 : Math.sin(angle) / angle;
      return (
        sinc * cutoff * (besselI0(KAISER_BETA * Math.sqrt(1 - (x / reach) ** 2)) / besselI0(KAISER_BETA))
      );
    });
  });
  const out = new Float64Array(Math.floor((pcm.length * toHz) / fromHz));
  for (let i = 0; i < out.length; i++) {
    const first = Math.floor((i * fromHz) / toHz) - taps / 2 + 1;
    const kernel = kernels[i % phases]!;
    let sum = 0;
    for (let tap = Math.max(0, -first); tap < taps && first + tap < pcm.length; tap++) {
      sum += pcm[first + tap]! * kernel[tap]!;
    }
    out[i] = sum;
  }
  return out;
}

const KAISER_BETA = 8;

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

function besselI0(x: number): number {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > sum * 1e-10; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}
