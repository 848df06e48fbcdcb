/** Guesses what was meant by a name or value that is not in a list. */
import leven from 'leven';

const squeezed = (text: string): string => text.toLowerCase().replace(/[^a-z0-9]/g, '');

/** Other names for Telnyx's values, from other APIs and from habit; squeezed. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  ulaw: 'PCMU',
  mulaw: 'PCMU',
  g711u: 'PCMU',
  g711ulaw: 'PCMU',
  alaw: 'PCMA',
  g711a: 'PCMA',
  g711alaw: 'PCMA',
  linear16: 'L16',
  slin: 'L16',
  slin16: 'L16',
  pcm: 'L16',
  pcms16le: 'L16',
  inbound: 'inbound_track',
  outbound: 'outbound_track',
  both: 'both_tracks',
  bothtrack: 'both_tracks',
  inboundtracks: 'inbound_track',
};

/** The entry of `list` that is spelt like `value` but for case and punctuation. */
export function sameSpelling(value: string, list: readonly string[]): string | undefined {
  const wanted = squeezed(value);
  return list.find(entry => squeezed(entry) === wanted);
}

/** The entry of `list` that `value` probably means, if any. */
export function likely(value: string, list: readonly string[]): string | undefined {
  const wanted = squeezed(value);
  if (wanted === '') return undefined;
  const known = Object.hasOwn(OTHER_NAMES, wanted) ? OTHER_NAMES[wanted] : undefined;
  if (known !== undefined && list.includes(known)) return known;
  return (
    sameSpelling(value, list) ??
    list.find(entry => leven(squeezed(entry), wanted) <= Math.min(DISTANCE_MAX, wanted.length / 3)) ??
    list.find(entry => wanted.length > 2 && squeezed(entry).endsWith(wanted))
  );
}

/** Farther names are no suggestion. */
const DISTANCE_MAX = 3;
