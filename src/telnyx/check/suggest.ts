/** Guesses what was meant by a name or value that is not in a list. */

const squeezed = (text: string): string => text.toLowerCase().replace(/[^a-z0-9]/g, '');

/** What other APIs and habit call Telnyx's values; squeezed. */
const kOtherNames: Readonly<Record<string, string>> = {
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
  const known = Object.hasOwn(kOtherNames, wanted) ? kOtherNames[wanted] : undefined;
  if (known !== undefined && list.includes(known)) return known;
  return (
    sameSpelling(value, list) ??
    list.find(entry => editDistance(squeezed(entry), wanted) <= Math.min(kDistanceMax, wanted.length / 3)) ??
    list.find(entry => wanted.length > 2 && squeezed(entry).endsWith(wanted))
  );
}

/** Farther names are no suggestion. */
const kDistanceMax = 3;

/** Levenshtein's distance; of words whose lengths alone differ by more than the most that counts, infinity. */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > kDistanceMax) return Number.POSITIVE_INFINITY;
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
