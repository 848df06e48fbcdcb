/** The sound itself: decoded as what it is, and measured. */

import { joinPcm } from '../audio/pcm.js';
import { createDecoder, resample } from '../codecs/create.js';
import { SidetoneError } from '../errors.js';
import { CODECS, type Encoding } from '../formats.js';
import type { Track } from '../telnyx/frames.js';
import { dbfs, type Finding, percent } from './findings.js';
import { measureBlocks, quantile } from './signal.js';

/** How payloads are to be read. */
export interface Reading {
  encoding: Encoding;
  /** Announced. */
  sampleRate: number;
  byteOrder: 'le' | 'be';
  form: 'bandwidth-efficient' | 'octet-aligned';
}

export interface Sound {
  pcm: Int16Array;
  sampleRate: number;
  refused: number;
}

/** Undefined where this machine cannot decode it (AMR-WB without its library). */
export function decodeAll(payloads: readonly Uint8Array[], reading: Reading): Sound | undefined {
  const { encoding, byteOrder, form } = reading;
  const sampleRate = CODECS[encoding].announcedRates.includes(reading.sampleRate)
    ? reading.sampleRate
    : undefined;
  let decoder: ReturnType<typeof createDecoder>;
  try {
    decoder = createDecoder(encoding, {
      ...(sampleRate !== undefined && { sampleRate }),
      l16ByteOrder: byteOrder,
      form,
    });
  } catch (error) {
    if (error instanceof SidetoneError && error.code === 'SIDETONE_CODEC_UNAVAILABLE') return undefined;
    throw error;
  }
  const pieces: Int16Array[] = [];
  let refused = 0;
  for (const payload of payloads) {
    try {
      pieces.push(decoder.decode(payload));
    } catch (error) {
      if (!(error instanceof SidetoneError)) throw error;
      refused++;
    }
  }
  const rate = decoder.sampleRate;
  decoder.close();
  return { pcm: joinPcm(pieces), sampleRate: rate, refused };
}

export interface Levels {
  /** Of the loud blocks (the 95th percentile). */
  speechDbfs: number;
  /** Of the quiet ones (the tenth percentile). */
  noiseFloorDbfs: number;
  /** Noise that never stops, apart from digital silence; absent where the quiet blocks are not all about as loud. */
  steadyNoiseDbfs: number | undefined;
  clipped: number;
  /** Offset of the mean, full scale 1. */
  dc: number;
}

/** Samples in a row at the top of the scale that make a clipped peak. */
const CLIPPED_RUN = 3;
/** G.711 ends at 32124 and 32256. */
const CLIPPED_AT = 32_000;

export function measureLevels({ pcm, sampleRate }: Sound): Levels {
  const { rms } = measureBlocks(pcm, sampleRate / 50);
  const sounding = rms.filter(value => value > 1.5 / 32768);
  const floor = (fraction: number): number => dbfs(quantile(sounding, fraction) || 0);
  const steady = sounding.length > 0 && floor(0.15) - floor(0.03) < STEADY_DB;
  let sum = 0;
  let clipped = 0;
  let run = 0;
  for (const sample of pcm) {
    sum += sample;
    run = Math.abs(sample) >= CLIPPED_AT ? run + 1 : 0;
    if (run === CLIPPED_RUN) clipped += CLIPPED_RUN;
    else if (run > CLIPPED_RUN) clipped++;
  }
  return {
    speechDbfs: dbfs(quantile(rms, 0.95) || 0),
    noiseFloorDbfs: dbfs(quantile(rms, 0.1) || 0),
    steadyNoiseDbfs: steady ? floor(0.1) : undefined,
    clipped: clipped / Math.max(1, pcm.length),
    dc: sum / Math.max(1, pcm.length) / 32768,
  };
}

const SILENT_DBFS = -70;
const NOISY_DBFS = -40;
const STEADY_DB = 3;
/** A steady tone is not background noise. */
const SPEECH_ABOVE_DB = 6;
const CLIPPED_SHARE = 0.001;
const DC_SHARE = 0.02;
/** Above 4 kHz wide-band speech has -27 to -16 dB of the whole; narrow-band speech, after any of the codecs, under -36. */
const NARROW_DB = -32;

export function checkSound(sound: Sound, levels: Levels, track: Track): Finding[] {
  const who = `the ${track} track`;
  const findings: Finding[] = [];
  const add = (finding: Omit<Finding, 'confidence'>): number =>
    findings.push({ confidence: 'likely', ...finding });
  const seconds = sound.pcm.length / sound.sampleRate;
  if (seconds < 1) return findings;
  if (levels.speechDbfs < SILENT_DBFS) {
    add({
      id: 'silence',
      // The other leg may be silent, because the caller talks to the server.
      severity: track === 'inbound' ? 'warning' : 'note',
      what: `${who} is silent`,
      evidence: `the loudest parts of ${seconds.toFixed(1)} s have ${levels.speechDbfs} dBFS`,
      field: 'stream_track',
      remedy:
        'is somebody speaking on this track? inbound_track is the leg the stream was started on; both_tracks gives the other one too',
    });
    return findings;
  }
  if (levels.clipped > CLIPPED_SHARE) {
    add({
      id: 'clipping',
      severity: 'warning',
      what: `${who} is clipped`,
      evidence: `${percent(levels.clipped)} of the samples are in peaks cut off at full scale`,
      field: null,
      remedy: 'it was too loud before it was encoded: nothing on this side mends it',
    });
  }
  if (Math.abs(levels.dc) > DC_SHARE) {
    add({
      id: 'dc-offset',
      severity: 'note',
      what: `${who} has a DC offset`,
      evidence: `the mean is ${percent(Math.abs(levels.dc))} of full scale`,
      field: null,
      remedy: 'a device on the way; filter below 100 Hz before measuring levels',
    });
  }
  const noiseDbfs = levels.steadyNoiseDbfs ?? Number.NEGATIVE_INFINITY;
  if (noiseDbfs > NOISY_DBFS && levels.speechDbfs - noiseDbfs > SPEECH_ABOVE_DB) {
    add({
      id: 'noise',
      severity: 'note',
      what: `${who} has loud noise under it`,
      evidence: `steady noise of ${noiseDbfs} dBFS, speech ${levels.speechDbfs} dBFS`,
      field: null,
      remedy:
        'some legs carry comfort noise of about -35 dBFS: voice activity detection must follow the floor, a fixed threshold hears speech all the time',
    });
  }
  const highDb = highBandDb(sound);
  if (highDb < NARROW_DB) {
    add({
      id: 'narrow-band',
      severity: 'note',
      what: `${who} is narrow-band sound in a wide-band encoding`,
      evidence: `nothing above 4 kHz (${highDb.toFixed(0)} dB of the whole)`,
      field: 'stream_codec',
      remedy:
        'a leg from the telephone network has nothing above 4 kHz: PCMU carries as much in a fraction of the bytes',
    });
  }
  return findings;
}

/** The part above 4 kHz, in dB of the whole; 0 for what has no such part by its rate. */
function highBandDb({ pcm, sampleRate }: Sound): number {
  if (sampleRate < 16_000) return 0;
  const low = resample(resample(pcm, sampleRate, 8000), 8000, sampleRate);
  let whole = 0;
  let high = 0;
  for (let i = 0; i < pcm.length; i++) {
    whole += pcm[i]! ** 2;
    high += (pcm[i]! - (low[i] ?? 0)) ** 2;
  }
  return 10 * Math.log10(high / Math.max(1, whole));
}
