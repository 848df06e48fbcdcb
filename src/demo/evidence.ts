/** What a call is judged by, besides its own result. */
import type { CallResult } from '../simulator/result.js';
import type { PhraseSet, PlannedCall } from './plan.js';
import type { Told } from './server.js';

export interface Evidence {
  phrases: PhraseSet;
  /** What the agent said of this call. */
  told: readonly Told[];
  /** Left and right, where the call was recorded. */
  recording: readonly Int16Array[] | undefined;
  /** Longest time for which the machine held the callers' process or the server's, in ms: no fault of the server. */
  stallMs: number;
  /** The other party of a bridge: what it said, and how its call went. */
  partner?: { planned: PlannedCall; result: CallResult } | undefined;
}
