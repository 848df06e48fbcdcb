/** Which calls the demo places, what each caller says, and with what trouble on the line. */

import { joinPcm } from '../audio/pcm.js';
import { createDecoder, createEncoder, resample } from '../codecs/create.js';
import { SidetoneError } from '../errors.js';
import { CODECS, ENCODINGS, type Encoding } from '../formats.js';
import type { CallOptions } from '../simulator/options.js';
import { Random } from '../simulator/random.js';
import type { Simulator } from '../simulator/simulator.js';
import type { Pcm } from '../simulator/speech.js';

export type Kind = 'echo' | 'speak' | 'tone' | 'record' | 'recorded echo' | 'agent' | 'bridge';

export interface PlannedCall {
  /** Also the name of its WAV file. */
  name: string;
  kind: Kind;
  encoding: Encoding;
  /** What is particular about it, for people. */
  trouble: string;
  /** Path of the stream_url with the query. */
  path: string;
  /** When it begins, as a share of the time in which all calls begin. */
  begins: number;
  options: CallOptions;
  /** What the caller says, at the codec's own rate, from `start` on. */
  said: Pcm;
  /** Of the tone that is asked for. */
  hz?: number;
  /** When the caller cuts the server off: by a key, or by speaking again. */
  interruptAtMs?: number;
  /** Who talks to it: the name of another call. */
  partner?: string;
  /** When one of the two is on hold, in ms since `start`. */
  hold?: { by: 'it' | 'partner'; fromMs: number; toMs: number };
  /** When the caller's speech ends, pauses for the agent's answers. */
  pausesAtMs?: number[];
}

export interface PhraseSet {
  speech: Pcm;
  answer: Pcm;
}

/** What can happen to a call, ten kinds; each comes once with every encoding that works here. */
const VARIANTS: readonly { kind: Exclude<Kind, 'bridge'>; trouble: string }[] = [
  { kind: 'echo', trouble: 'none' },
  { kind: 'echo', trouble: 'shuffled' },
  { kind: 'echo', trouble: 'lost' },
  { kind: 'echo', trouble: 'both tracks' },
  { kind: 'speak', trouble: 'none' },
  { kind: 'speak', trouble: 'key' },
  { kind: 'tone', trouble: 'none' },
  { kind: 'record', trouble: 'none' },
  { kind: 'agent', trouble: 'none' },
  { kind: 'agent', trouble: 'spoken into' },
];
/** There are sixty calls of these, however many encodings work here. */
const SLOTS = 6;
/** And three pairs of callers who talk to each other: places in the list of encodings, and the trouble. */
const PAIRS = [
  { encodings: [0, 2], trouble: 'none' },
  { encodings: [1, 3], trouble: 'lost' },
  { encodings: [5, 4], trouble: 'on hold' },
] as const;
/** Key 2 of examples/two-party-bridge.ts. */
const HOLD = { key: '2', fromMs: 3000, toMs: 5500 };

const ECHO_SECONDS = 8;
const LOSS = 0.03;
const SHUFFLE = 3;
const DUPLICATE = 0.05;

/** Encodings that work here, and why the others do not. */
export function probeEncodings(): { works: Encoding[]; missing: { encoding: Encoding; why: string }[] } {
  const works: Encoding[] = [];
  const missing: { encoding: Encoding; why: string }[] = [];
  for (const encoding of ENCODINGS) {
    try {
      createDecoder(encoding).close();
      createEncoder(encoding).close();
      works.push(encoding);
    } catch (error) {
      if (!(error instanceof SidetoneError) || error.code !== 'SIDETONE_CODEC_UNAVAILABLE') throw error;
      missing.push({ encoding, why: error.message });
    }
  }
  return { works, missing };
}

/** What tells one call from another before its speech is encoded. Encoding is most of the work. */
export type CallLabel = Pick<PlannedCall, 'name' | 'kind' | 'encoding' | 'trouble'>;

/** Sixty-six calls over the given encodings, or those of them that are `wanted`. The same seed gives the same calls. */
export function planCalls(
  simulator: Simulator,
  phrases: PhraseSet,
  encodings: readonly Encoding[],
  seed: number,
  wanted: (call: CallLabel) => boolean = () => true,
): PlannedCall[] {
  const random = new Random(seed);
  const calls: PlannedCall[] = [];
  const resampled = new Map<number, Int16Array>();
  const phraseAt = (sampleRate: number): Int16Array => {
    const { speech } = phrases;
    const phrase = resampled.get(sampleRate) ?? resample(speech.samples, speech.sampleRate, sampleRate);
    resampled.set(sampleRate, phrase);
    return phrase;
  };
  let number = 0;
  for (const variant of VARIANTS) {
    for (let slot = 0; slot < SLOTS; slot++) {
      const encoding = encodings[slot % encodings.length]!;
      const kind = variant.kind === 'record' && slot % 2 === 1 ? 'recorded echo' : variant.kind;
      const made = make({ kind, encoding, trouble: variant.trouble }, phraseAt, phrases.answer, random);
      const { callee, announced, ...call } = made;
      const name = fileName(++number, made);
      const begins = random.float();
      if (!wanted({ ...call, name })) continue;
      const format = { encoding, sampleRate: announced, ...(callee && { callee }) };
      const options = { ...simulator.speech(call.said, format), ...call.options };
      calls.push({ ...call, options, name, begins });
    }
  }
  for (const [pair, { encodings: places, trouble }] of PAIRS.entries()) {
    const made = places.map((place, side) =>
      party(encodings[place % encodings.length]!, { pair, side, trouble }, phrases, random),
    );
    const names = made.map(each => fileName(++number, each));
    const begins = random.float();
    // Nobody talks to nobody: where one of them is wanted, both are placed.
    if (!made.some((call, side) => wanted({ ...call, name: names[side]! }))) continue;
    for (const [side, { announced, ...call }] of made.entries()) {
      const format = { encoding: call.encoding, sampleRate: announced };
      const options = { ...simulator.speech(call.said, format), ...call.options };
      calls.push({ ...call, options, name: names[side]!, begins, partner: names[1 - side]! });
    }
  }
  return calls;
}

/** One of two callers who talk to each other. The first of a pair is the one that puts the other on hold. */
function party(
  encoding: Encoding,
  { pair, side, trouble }: { pair: number; side: number; trouble: (typeof PAIRS)[number]['trouble'] },
  phrases: PhraseSet,
  random: Random,
): Made {
  const announced = announcedRate(encoding);
  const sampleRate = CODECS[encoding].sampleRate(announced);
  // Who hears itself must not pass for who hears the other.
  const { samples: spoken, sampleRate: spokenHz } = side === 0 ? phrases.speech : phrases.answer;
  const phrase = resample(spoken, spokenHz, sampleRate);
  const samples = talk(phrase, random.below(phrase.length), ECHO_SECONDS * sampleRate);
  const { key, fromMs, toMs } = HOLD;
  const isHeld = trouble === 'on hold';
  const dtmf = [fromMs, toMs].map(atMs => ({ atMs, digit: key }));
  return {
    kind: 'bridge',
    encoding,
    announced,
    path: `/bridge?room=demo${pair}`,
    said: { samples, sampleRate },
    trouble: trouble === 'lost' ? `${LOSS * 100} % lost` : isHeld ? (side === 0 ? 'holds' : 'on hold') : '',
    ...(isHeld && { hold: { by: side === 0 ? 'it' : 'partner', fromMs, toMs } as const }),
    options: {
      seed: random.uint32(),
      ...(trouble === 'lost' && { loss: LOSS }),
      ...(isHeld && side === 0 && { dtmf }),
    },
  };
}

function announcedRate(encoding: Encoding): number {
  return encoding === 'OPUS' || encoding === 'AMR-WB' || encoding === 'L16' ? 16000 : 8000;
}

function fileName(number: number, { kind, encoding, trouble }: Variant): string {
  const words = [String(number).padStart(2, '0'), kind, encoding, ...(trouble ? [trouble] : [])];
  return words.join(' ').replace(/[^\w.-]+/g, '-');
}

interface Variant<K extends Kind = Kind> {
  kind: K;
  encoding: Encoding;
  trouble: string;
}

/** A call whose speech is still to be encoded into its options. */
interface Made extends Omit<PlannedCall, 'name' | 'begins'> {
  /** `media_format.sample_rate`, in Hz. */
  announced: number;
  callee?: Pcm;
}

function make(
  { kind, encoding, trouble }: Variant<Exclude<Kind, 'bridge'>>,
  phraseAt: (sampleRate: number) => Int16Array,
  answer: Pcm,
  random: Random,
): Made {
  const announced = announcedRate(encoding);
  const sampleRate = CODECS[encoding].sampleRate(announced);
  const phrase = phraseAt(sampleRate);
  const from = random.below(phrase.length);
  const spoken = (seconds: number, at = from): Int16Array =>
    talk(phrase, at, Math.round(seconds * sampleRate));
  const silent = (seconds: number): Int16Array => new Int16Array(Math.round(seconds * sampleRate));
  const call = (samples: Int16Array, path: string, more: CallOptions, callee?: Int16Array) => ({
    kind,
    encoding,
    announced,
    path,
    said: { samples, sampleRate },
    ...(callee && { callee: { samples: callee, sampleRate } }),
    options: { seed: random.uint32(), ...more } as CallOptions,
  });

  switch (kind) {
    case 'echo': {
      const said = spoken(ECHO_SECONDS);
      if (trouble === 'shuffled') {
        return { ...call(said, '/echo', { shuffle: SHUFFLE }), trouble: `shuffled by up to ${SHUFFLE - 1}` };
      }
      if (trouble === 'lost') {
        return {
          ...call(said, '/echo', { loss: LOSS, shuffle: 2 }),
          trouble: `${LOSS * 100} % lost, shuffled`,
        };
      }
      if (trouble === 'both tracks') {
        const callee = spoken(ECHO_SECONDS, from + phrase.length / 2);
        return {
          ...call(said, '/echo', { duplicate: DUPLICATE }, callee),
          trouble: `both tracks, ${DUPLICATE * 100} % twice`,
        };
      }
      return { ...call(said, '/echo', {}), trouble: '' };
    }
    case 'record':
      return { ...call(spoken(ECHO_SECONDS), '/record', {}), trouble: '' };
    case 'recorded echo':
      return { ...call(spoken(ECHO_SECONDS), '/recorded-echo', {}), trouble: '' };
    case 'tone': {
      const hz = 300 + random.below(2700);
      return { ...call(silent(6), `/tone?hz=${hz}`, { lingerMs: 0 }), hz, trouble: `${hz} Hz` };
    }
    case 'speak': {
      const made = call(silent(12), '/speak', { lingerMs: 0 });
      if (trouble !== 'key') return { ...made, trouble: '' };
      const interruptAtMs = 1500 + random.below(3000);
      made.options.dtmf = [{ atMs: interruptAtMs, digit: '5' }];
      return { ...made, interruptAtMs, trouble: `key 5 at ${(interruptAtMs / 1000).toFixed(1)} s` };
    }
    case 'agent': {
      const answerMs = (answer.samples.length * 1000) / answer.sampleRate;
      // From the end of the speech to the end of the answer, with time to spare.
      const patience = silent((answerMs + 1500) / 1000);
      const first = phrase.subarray(0, Math.round(2.6 * sampleRate));
      if (trouble !== 'spoken into') {
        const said = joinPcm([silent(0.4), phrase, patience]);
        const pausesAtMs = [400 + (phrase.length * 1000) / sampleRate];
        return { ...call(said, '/agent', { lingerMs: 0 }), pausesAtMs, trouble: '' };
      }
      const listens = silent(2 + random.float() * 2);
      const said = joinPcm([silent(0.4), first, listens, phrase, patience]);
      const interruptAtMs = 400 + ((first.length + listens.length) * 1000) / sampleRate;
      const pausesAtMs = [
        400 + (first.length * 1000) / sampleRate,
        interruptAtMs + (phrase.length * 1000) / sampleRate,
      ];
      return {
        ...call(said, '/agent', { lingerMs: 0 }),
        interruptAtMs,
        pausesAtMs,
        trouble: `spoken into at ${(interruptAtMs / 1000).toFixed(1)} s`,
      };
    }
  }
}

/** `length` samples of the phrase said again and again, from its sample `from` on. */
function talk(phrase: Int16Array, from: number, length: number): Int16Array {
  const samples = new Int16Array(length);
  let at = 0;
  for (let start = Math.floor(from) % phrase.length; at < length; start = 0) {
    const piece = phrase.subarray(start, start + length - at);
    samples.set(piece, at);
    at += piece.length;
  }
  return samples;
}
