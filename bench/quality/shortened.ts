/** How much of late live audio is understood once it has been shortened (native/stretch). */
import { resample } from '../../src/codecs/create.js';
import { native } from '../../src/native/addon.js';
import { SOURCE_RATE, type Source } from './sources.js';
import { type Intelligibility, intelligibilityShortened } from './stoi.js';

export interface ShortenedScores extends Intelligibility {
  rate: number;
  speed: number;
  /** What is left of the speech, of 1. */
  share: number;
  /** The same length by leaving out 20 ms again and again, without a fade. */
  naive: Intelligibility;
}

const RATES = [8000, 16_000];
const SPEEDS = [1, 1.25, 1.5, 2];

/** The place in the original of a place in what `places` (see native.shorten) says became of it. */
export function placeIn(places: Uint32Array): (sample: number) => number {
  let at = 0;
  return sample => {
    if (at > 0 && places[at - 1]! > sample) at = 0;
    while (at < places.length - 2 && places[at + 1]! < sample) at += 2;
    const [fromIn, fromOut] = at === 0 ? [0, 0] : [places[at - 2]!, places[at - 1]!];
    const [toIn, toOut] = [places[at]!, places[at + 1]!];
    return fromIn + ((sample - fromOut) * (toIn - fromIn)) / Math.max(1, toOut - fromOut);
  };
}

/** `pcm` brought down to `share` of its length by leaving out 20 ms again and again. */
function naively(pcm: Int16Array, rate: number, share: number): { samples: Int16Array; places: Uint32Array } {
  const piece = rate / 50;
  const kept: number[] = [];
  const places: number[] = [];
  let owed = 0;
  for (let at = 0; at < pcm.length; at += piece) {
    owed += share;
    if (owed < 1) continue;
    owed -= 1;
    places.push(at, kept.length);
    kept.push(...pcm.subarray(at, at + piece));
    places.push(Math.min(at + piece, pcm.length), kept.length);
  }
  return { samples: Int16Array.from(kept), places: Uint32Array.from(places) };
}

export function measureShortened(sources: readonly Source[]): ShortenedScores[] {
  return RATES.flatMap(rate => {
    const whole = Int16Array.from(
      sources.flatMap(({ samples }) => [...resample(samples, SOURCE_RATE, rate)]),
    );
    return SPEEDS.map(speed => {
      const { samples, places } = native.shorten(whole, rate, speed);
      const share = samples.length / whole.length;
      const naive = naively(whole, rate, share);
      return {
        rate,
        speed,
        share,
        ...intelligibilityShortened(whole, samples, rate, placeIn(places)),
        naive: intelligibilityShortened(whole, naive.samples, rate, placeIn(naive.places)),
      };
    });
  });
}
