/** A steady clock of 20 ms for what a handler hears, as a plugin asks for it. */
import { SidetoneError, shown } from '../errors.js';
import { isObject } from '../objects.js';

/** Bounds of the delay behind which a steady clock hides the network's jitter. */
export interface PlayoutOptions {
  /** The least delay behind the fastest frames, in ms: 20 to 1000. Default 20. */
  delayMinMs?: number;
  /** The largest, in ms: `delayMinMs` to 1000. What is later is dropped, and made up. Default 400. */
  delayMaxMs?: number;
}

export type PlayoutSettings = Required<PlayoutOptions>;

const USUAL: PlayoutSettings = { delayMinMs: 20, delayMaxMs: 400 };
const NAMES = Object.keys(USUAL);
const LEAST_MS = 20;
const MOST_MS = 1000;

/** What `audio.playout` comes to; undefined where it is not asked for. */
export function playoutSettings(playout: boolean | PlayoutOptions | undefined): PlayoutSettings | undefined {
  if (playout === undefined || playout === false) return undefined;
  const {
    delayMinMs = USUAL.delayMinMs,
    delayMaxMs = Math.max(USUAL.delayMaxMs, delayMinMs),
  }: PlayoutOptions = playout === true ? {} : playout;
  return { delayMinMs, delayMaxMs };
}

/**
 * Checks `audio.playout`. `where` stands before the field in messages.
 * @throws SidetoneError SIDETONE_PLUGIN_INVALID
 */
export function checkPlayout(playout: unknown, where: string): void {
  const fail = (field: string, value: unknown, remedy: string): never => {
    throw new SidetoneError('SIDETONE_PLUGIN_INVALID', `${where}${field}: ${shown(value)}: ${remedy}`);
  };
  if (playout === undefined || typeof playout === 'boolean') return;
  if (!isObject(playout) || ArrayBuffer.isView(playout)) {
    fail('audio.playout', playout, `use true, or an object with ${NAMES.join(', ')}`);
  }
  for (const [name, value] of Object.entries(playout as object)) {
    const field = `audio.playout.${name}`;
    if (!Object.hasOwn(USUAL, name)) fail(field, value, `there is no such option: use ${NAMES.join(', ')}`);
    if (value === undefined || (typeof value === 'number' && value >= LEAST_MS && value <= MOST_MS)) continue;
    fail(field, value, `give ${LEAST_MS} to ${MOST_MS} ms`);
  }
  const { delayMinMs, delayMaxMs } = playoutSettings(playout as PlayoutOptions)!;
  if (delayMaxMs < delayMinMs) {
    fail('audio.playout.delayMaxMs', delayMaxMs, `give delayMinMs (${delayMinMs}) or more`);
  }
}
