/** Live audio: what a stream plays as it comes, such as an echo or a bridge, and how late it may be. */

/** With a shorter bound nothing could be shortened: one message is 20 ms, and Telnyx needs a few of them ahead. */
const BOUND_MIN_MS = 100;
export const LIVE_BOUND_MAX_MS = 60_000;

/** Whether a `liveLatencyMaxMs` makes sense; 0 means never to shorten. */
export function isLiveBound(value: unknown): value is number {
  return typeof value === 'number' && (value === 0 || (value >= BOUND_MIN_MS && value <= LIVE_BOUND_MAX_MS));
}

/** What to give where isLiveBound() says no. */
export const LIVE_BOUND_REMEDY = `give ${BOUND_MIN_MS} to ${LIVE_BOUND_MAX_MS} ms, or 0 to leave late audio as it is`;
