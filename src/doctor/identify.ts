/** What payload bytes are, whatever they are said to be. */

import { createDecoder } from '../codecs/create.js';
import { payloadDuration } from '../codecs/payload.js';
import type { Encoding, Format } from '../formats.js';
import { measureBlocks, quantile } from './signal.js';
import type { Reading } from './sound.js';

export interface Identity {
  encoding: Encoding | undefined;
  byteOrder?: 'le' | 'be';
  form?: 'bandwidth-efficient' | 'octet-aligned';
  confidence: 'sure' | 'likely';
  /** The measurements that say so. */
  evidence: string;
}

/** Below this there is too little to judge: half a second of G.711. */
const BYTES_MIN = 4000;

/** How much the loud half of the blocks can be predicted from the samples before, in dB (median). */
function predictability(pcm: Int16Array, blockSamples: number): { gainDb: number; rms: number } {
  const { rms, gainDb } = measureBlocks(pcm, blockSamples);
  const threshold = quantile(rms, 0.5);
  const gains = gainDb.filter((gain, i) => rms[i]! >= threshold && !Number.isNaN(gain));
  const loud = rms.filter(value => value >= threshold);
  return { gainDb: gains.length > 0 ? quantile(gains, 0.5) : 0, rms: quantile(loud, 0.5) || 0 };
}

type Law = 'PCMU' | 'PCMA';
/** How wide the steps of each of the eight segments are (G.711 tables 1a and 2a), in units of the smallest. */
const STEPS: Record<Law, readonly number[]> = {
  PCMU: [1, 2, 4, 8, 16, 32, 64, 128],
  PCMA: [1, 1, 2, 4, 8, 16, 32, 64],
};

/**
 * In any sound, loud steps are rarer than quiet ones. Bytes read under the wrong law break this order. Gives how much
 * worse the best falling density is than the density found, in nats a byte: 0 where it falls.
 */
function disorder(counts: Uint32Array, law: Law): number {
  const segments = new Float64Array(8);
  let total = 0;
  for (let code = 0; code < 256; code++) {
    const magnitude = law === 'PCMU' ? ~code & 0x7f : (code ^ 0x55) & 0x7f;
    segments[magnitude >> 4]! += counts[code]!;
    total += counts[code]!;
  }
  const steps = STEPS[law];
  // Pool adjacent violators: the falling density that fits best.
  const pools: { count: number; width: number }[] = [];
  segments.forEach((count, i) => {
    pools.push({ count, width: steps[i]! });
    for (let last = pools.at(-1)!; pools.length > 1; last = pools.at(-1)!) {
      const before = pools.at(-2)!;
      if (before.count * last.width >= last.count * before.width) break;
      pools.splice(-2, 2, { count: before.count + last.count, width: before.width + last.width });
    }
  });
  const fit = (count: number, width: number): number =>
    count > 0 ? count * Math.log(count / total / width) : 0;
  const found = segments.reduce((sum, count, i) => sum + fit(count, steps[i]!), 0);
  return (found - pools.reduce((sum, pool) => sum + fit(pool.count, pool.width), 0)) / total;
}

interface LawVerdict {
  law: Law | 'neither' | undefined;
  confidence: 'sure' | 'likely';
  gainDb: number;
  evidence: string;
}

/** Speech under the right law is predicted at least this much, and this much better than under the wrong one. */
const GAIN_DB_MIN = 1.5;
const GAIN_DB_MARGIN = 1;
const ORDERED = 0.004;
const DISORDERED = 0.02;

function judgeLaws(bytes: Uint8Array): LawVerdict {
  const counts = new Uint32Array(256);
  for (const byte of bytes) counts[byte]!++;
  const share = (...codes: number[]): number =>
    codes.reduce((sum, code) => sum + counts[code]!, 0) / bytes.length;
  // Digital silence, which predictors cannot judge.
  const silence = { PCMU: share(0xff, 0x7f), PCMA: share(0xd5, 0x55) };
  for (const law of ['PCMU', 'PCMA'] as const) {
    if (silence[law] > 0.97) {
      const evidence = `${(silence[law] * 100).toFixed(0)} % of the bytes are ${law}'s silence`;
      return { law, confidence: 'likely', gainDb: 0, evidence };
    }
  }
  const [u, a] = (['PCMU', 'PCMA'] as const).map(law => {
    const decoder = createDecoder(law);
    const { gainDb } = predictability(decoder.decode(bytes), 160);
    decoder.close();
    return { law, gainDb, disorder: disorder(counts, law) };
  }) as [Candidate, Candidate];
  const evidence = [u, a]
    .map(
      ({ law, gainDb, disorder }) =>
        `as ${law} ${gainDb.toFixed(1)} dB predictable, disorder ${disorder.toFixed(3)}`,
    )
    .join('; ');
  const [best, other] = u.disorder - u.gainDb / 100 <= a.disorder - a.gainDb / 100 ? [u, a] : [a, u];
  const ordered = best.disorder < ORDERED;
  if (ordered && best.gainDb >= GAIN_DB_MIN && best.gainDb > other.gainDb + GAIN_DB_MARGIN) {
    return { law: best.law, confidence: 'sure', gainDb: best.gainDb, evidence };
  }
  if (ordered && other.disorder > DISORDERED) {
    return { law: best.law, confidence: 'likely', gainDb: best.gainDb, evidence };
  }
  const neither =
    Math.min(u.disorder, a.disorder) > DISORDERED && Math.max(u.gainDb, a.gainDb) < 2 * GAIN_DB_MIN;
  return { law: neither ? 'neither' : undefined, confidence: 'likely', gainDb: best.gainDb, evidence };
}

interface Candidate {
  law: Law;
  gainDb: number;
  disorder: number;
}

/** Bytes around zero, as the upper bytes of quiet 16-bit samples are. */
const SIGN_LIKE = 0x10;
const PARITY_DISTANCE = 0.15;
const DISTINCT_MIN = 64;

/**
 * In 16-bit samples two kinds of bytes take turns, and the upper one holds little more than the sign. Gives the order
 * that follows, where the bytes at even and at odd places differ in that way. Pure tones in G.711 may differ too, but
 * have few values and not those.
 */
function orderByParity(bytes: Uint8Array): { order: 'le' | 'be'; evidence: string } | undefined {
  const counts = [new Uint32Array(256), new Uint32Array(256)] as const;
  bytes.forEach((byte, i) => {
    counts[(i & 1) as 0 | 1][byte]!++;
  });
  const half = bytes.length / 2;
  let distance = 0;
  let distinct = 0;
  const signLike = [0, 0];
  for (let value = 0; value < 256; value++) {
    const [even, odd] = [counts[0][value]! / half, counts[1][value]! / half];
    distance += Math.abs(even - odd) / 2;
    if (even + odd > 0) distinct++;
    if (value < SIGN_LIKE || value >= 256 - SIGN_LIKE) {
      signLike[0]! += even;
      signLike[1]! += odd;
    }
  }
  const upper = signLike[1]! >= signLike[0]! ? 1 : 0;
  if (distance < PARITY_DISTANCE || distinct < DISTINCT_MIN || signLike[upper]! < 0.5) return undefined;
  const place = upper === 1 ? 'odd' : 'even';
  const evidence = `${(signLike[upper]! * 100).toFixed(0)} % of the bytes at ${place} places are near 0, ${(signLike[1 - upper]! * 100).toFixed(0)} % of the others`;
  return { order: upper === 1 ? 'le' : 'be', evidence };
}

interface OrderVerdict {
  order: 'le' | 'be' | undefined;
  confidence: 'sure' | 'likely';
  gainDb: number;
  evidence: string;
}

/** 0 dB is full scale; white noise of all 16-bit values has -4.8. */
const FULL_SCALE_NOISE_DB = -8;

function judgeByteOrder(bytes: Uint8Array, sampleRate: number): OrderVerdict {
  const blockSamples = Math.max(160, Math.floor(sampleRate / 50));
  const [le, be] = (['le', 'be'] as const).map(l16ByteOrder => {
    const decoder = createDecoder('L16', { l16ByteOrder });
    const pcm = decoder.decode(bytes);
    decoder.close();
    const { gainDb, rms } = predictability(pcm, blockSamples);
    return { order: l16ByteOrder, gainDb, db: 20 * Math.log10(Math.max(rms, 1e-6)) };
  }) as [OrderCandidate, OrderCandidate];
  const evidence = [le, be]
    .map(
      ({ order, gainDb, db }) => `as ${order} ${gainDb.toFixed(1)} dB predictable at ${db.toFixed(0)} dBFS`,
    )
    .join('; ');
  // Quiet sound read in the wrong order is the same sound, 256 times as loud and as easy to predict. So the quiet
  // reading is right.
  const quiet = [le, be].find((candidate, i) => candidate.db < -48 && [be, le][i]!.db > candidate.db + 30);
  if (quiet) return { order: quiet.order, confidence: 'likely', gainDb: quiet.gainDb, evidence };
  const [best, other] = le.gainDb >= be.gainDb ? [le, be] : [be, le];
  if (best.gainDb >= GAIN_DB_MIN && best.gainDb > other.gainDb + 2 * GAIN_DB_MARGIN) {
    return { order: best.order, confidence: 'sure', gainDb: best.gainDb, evidence };
  }
  const parity = orderByParity(bytes);
  if (parity) {
    const { order } = parity;
    return { order, confidence: 'likely', gainDb: best.gainDb, evidence: `${evidence}; ${parity.evidence}` };
  }
  const noisy = [le, be].find(
    (candidate, i) => candidate.db < [be, le][i]!.db - 10 && [be, le][i]!.db > FULL_SCALE_NOISE_DB,
  );
  return { order: noisy?.order, confidence: 'likely', gainDb: best.gainDb, evidence };
}

interface OrderCandidate {
  order: 'le' | 'be';
  gainDb: number;
  db: number;
}

/** Share of the payloads whose own length fields add up. */
function fitting(payloads: readonly Uint8Array[], encoding: Encoding, form: Identity['form']): number {
  const format = { encoding, sampleRate: 16000, amrWbFraming: form ?? 'bandwidth-efficient' };
  return payloads.filter(payload => 'ms' in payloadDuration(payload, format)).length / payloads.length;
}

/**
 * Almost any bytes can be read as an Opus packet. The packets of a real stream also begin alike and differ in length.
 */
function fitsOpus(payloads: readonly Uint8Array[]): boolean {
  if (fitting(payloads, 'OPUS', undefined) < 0.98) return false;
  const configurations = new Map<number, number>();
  for (const payload of payloads) {
    const configuration = payload[0]! >> 2;
    configurations.set(configuration, (configurations.get(configuration) ?? 0) + 1);
  }
  const common = [...configurations.values()].sort((a, b) => b - a);
  return common.slice(0, 4).reduce((sum, count) => sum + count, 0) >= 0.9 * payloads.length;
}

const FORMS = ['bandwidth-efficient', 'octet-aligned'] as const;

/** A payload's table of contents gives its exact length. Other bytes do not do so by accident. */
function asAmrWb(payloads: readonly Uint8Array[]): Identity | undefined {
  for (const form of FORMS) {
    const share = fitting(payloads, 'AMR-WB', form);
    if (share < 0.95) continue;
    const evidence = `${(share * 100).toFixed(0)} % of the payloads are ${form} AMR-WB to the bit`;
    return { encoding: 'AMR-WB', form, confidence: 'sure', evidence };
  }
  return undefined;
}

/**
 * What payloads are that are declared as `declared`; undefined where nothing can be said. Looks for the declared
 * encoding first, and for others only where it does not fit.
 */
export function identify(
  payloads: readonly Uint8Array[],
  declared: Encoding,
  sampleRate: number,
  byteOrder: 'le' | 'be',
): Identity | undefined {
  if (payloads.length < 10) return undefined;
  const framed = asAmrWb(payloads);
  if (framed) return framed;
  if (fitsOpus(payloads) && (declared === 'OPUS' || new Set(payloads.map(({ length }) => length)).size > 1)) {
    const confidence = declared === 'OPUS' ? 'sure' : 'likely';
    return { encoding: 'OPUS', confidence, evidence: 'the payloads are Opus packets that begin alike' };
  }
  const bytes = Buffer.concat(payloads.map(payload => payload.subarray(0, payload.length & ~1)));
  if (bytes.length < BYTES_MIN) return undefined;
  const laws = judgeLaws(bytes);
  const order = judgeByteOrder(bytes, declared === 'L16' ? sampleRate : 8000);
  const asLaw: Identity | undefined =
    laws.law === 'PCMU' || laws.law === 'PCMA'
      ? { encoding: laws.law, confidence: laws.confidence, evidence: laws.evidence }
      : undefined;
  const asL16: Identity | undefined = order.order && {
    encoding: 'L16',
    byteOrder: order.order,
    confidence: order.confidence,
    evidence: order.evidence,
  };
  const parity = orderByParity(bytes);
  const byParity: Identity | undefined = parity && {
    encoding: 'L16',
    byteOrder: parity.order,
    confidence: 'likely',
    evidence: parity.evidence,
  };
  const unknown: Identity = { encoding: undefined, confidence: 'likely', evidence: laws.evidence };
  switch (declared) {
    case 'PCMU':
    case 'PCMA':
      if (asLaw?.confidence !== 'sure' && byParity) return byParity;
      if (asLaw || laws.law !== 'neither') return asLaw;
      if (asL16?.confidence === 'sure' && order.gainDb > 2 * GAIN_DB_MIN) return asL16;
      return asG722(bytes) ?? unknown;
    case 'G722':
      if (asLaw?.confidence === 'sure' && laws.gainDb > 2 * GAIN_DB_MIN) return asLaw;
      if (asL16?.confidence === 'sure' && order.gainDb > 4 * GAIN_DB_MIN) return asL16;
      if (byParity) return byParity;
      return asG722(bytes);
    case 'L16':
      if (asLaw?.confidence === 'sure' && laws.gainDb > order.gainDb) return asLaw;
      if (asL16) return asL16.byteOrder === byteOrder ? { ...asL16, confidence: 'sure' } : asL16;
      return laws.law === 'neither' ? asG722(bytes) : undefined;
    default:
      if (asLaw?.confidence === 'sure') return asLaw;
      if (asL16?.confidence === 'sure') return asL16;
      if (byParity) return byParity;
      return (laws.law === 'neither' && asG722(bytes)) || { ...unknown, confidence: 'sure' };
  }
}

/** G.722 decodes any bytes to sound. Only its own bytes give sound that can be predicted throughout. */
function asG722(bytes: Uint8Array): Identity | undefined {
  const decoder = createDecoder('G722');
  const { gainDb } = predictability(decoder.decode(bytes), 320);
  decoder.close();
  if (gainDb < 4 * GAIN_DB_MIN) return undefined;
  return { encoding: 'G722', confidence: 'likely', evidence: `as G722 ${gainDb.toFixed(1)} dB predictable` };
}

/** How payloads that are said to be `declared` are read: as they are found, and as said where nothing is found. */
export function readingOf(
  payloads: readonly Uint8Array[],
  declared: Format,
  byteOrder: 'le' | 'be',
): { reading: Reading; identity: Identity | undefined } {
  const identity = identify(payloads, declared.encoding, declared.sampleRate, byteOrder);
  const reading: Reading = {
    ...declared,
    byteOrder: identity?.byteOrder ?? byteOrder,
    form: identity?.form ?? 'bandwidth-efficient',
  };
  return { reading, identity };
}
