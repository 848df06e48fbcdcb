/** The known name that somebody who wrote an unknown one most likely meant. */
import leven from 'leven';

/** A name without its case and punctuation. */
export const squeezed = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '');

/** Two names that differ in more letters are not taken for each other. */
const DISTANCE_MAX = 3;
/** A shorter name is the beginning or the end of too many others. */
const PART_LENGTH_MIN = 3;

/**
 * The one of `known` that `name` most likely means. It differs in case, punctuation and a few letters at most, or it
 * is a longer name that ends or begins with `name`. Undefined where none is near enough.
 */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const wanted = squeezed(name);
  const distanceMax = Math.min(DISTANCE_MAX, wanted.length / 3);
  let best: { distance: number; each: string } | undefined;
  for (const each of known) {
    const distance = distanceOf(wanted, squeezed(each));
    if (distance <= distanceMax && (best === undefined || distance < best.distance))
      best = { distance, each };
  }
  if (best !== undefined || wanted.length < PART_LENGTH_MIN) return best?.each;
  return (
    known.find(each => squeezed(each).endsWith(wanted)) ??
    known.find(each => squeezed(each).startsWith(wanted))
  );
}

/** Two letters in the wrong order are one slip of the fingers, which leven counts as two. */
function distanceOf(a: string, b: string): number {
  const distance = leven(a, b);
  return distance === 2 && sorted(a) === sorted(b) ? 1 : distance;
}

const sorted = (text: string): string => [...text].sort().join('');
