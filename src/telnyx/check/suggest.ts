/** Guesses what was meant by a name or value that is not in a list. */
import { nearest, squeezed } from '../../nearest.js';

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
  const known = Object.hasOwn(OTHER_NAMES, wanted) ? OTHER_NAMES[wanted] : undefined;
  return known !== undefined && list.includes(known) ? known : nearest(value, list);
}
