/** The known name that somebody who wrote an unknown one most likely meant. */
import { closestMatch } from 'leven';

/** `name`'s nearest of `known`, whatever the case; undefined where none is near enough to be meant. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const lower = known.map(each => each.toLowerCase());
  const maxDistance = Math.max(2, Math.ceil(name.length * 0.4));
  const found = closestMatch(name.toLowerCase(), lower, { maxDistance });
  return found === undefined ? undefined : known[lower.indexOf(found)];
}
