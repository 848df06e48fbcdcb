/** The known name that somebody who wrote an unknown one most likely meant. */
import leven from 'leven';

/** `name`'s nearest of `known`, whatever the case; undefined where none is near enough to be meant. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const distanceMax = Math.max(2, Math.ceil(name.length * 0.4));
  let best: { distance: number; each: string } | undefined;
  for (const each of known) {
    const distance = distanceOf(name.toLowerCase(), each.toLowerCase());
    if (distance <= distanceMax && (best === undefined || distance < best.distance))
      best = { distance, each };
  }
  return best?.each;
}

/** Two letters in the wrong order are one slip of the fingers, which leven counts as two. */
function distanceOf(a: string, b: string): number {
  const distance = leven(a, b);
  return distance === 2 && sorted(a) === sorted(b) ? 1 : distance;
}

const sorted = (text: string): string => [...text].sort().join('');
