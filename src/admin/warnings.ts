/**
 * The figures that are over their bounds. While there is one, the dashboard is not green. docs/prometheus/alerts.yml
 * has the same bounds.
 */
import type { LastMinute } from './history.js';

export const BOUNDS = {
  /** Share of a reactor's memory for queued audio. */
  queueShare: 0.8,
  /** 99th percentile over a minute, in ms; where `leadMs` is less, that. */
  sendLatenessMs: 50,
  /** Share of the frames heard. */
  concealedShare: 0.01,
  /** For each stream and minute. A single one in the whole server is never too many. */
  underrunsPerStream: 0.01,
} as const;

export type ConcernName =
  | 'queueMemory'
  | 'sendLateness'
  | 'loopDelay'
  | 'concealedAudio'
  | 'underruns'
  | 'handlerStalls'
  | 'turnedAway'
  | 'overloaded'
  | 'notOpened';

export interface Concern {
  name: ConcernName;
  /** One sentence with the figure and its bound. */
  text: string;
}

/** What the concerns are judged by. */
export interface ConcernFigures {
  streams: number;
  draining: boolean;
  lastMinute: LastMinute;
  /** Of each reactor: memory for queued audio now, and the worst delay of its event loop within the last minute. */
  reactors: readonly { reactor: number; queueBytes: number; loopMaxMs: number }[];
  options: { queueBytesMax: number; leadMs: number };
}

/** The weightiest first. */
export function concerns(figures: ConcernFigures): Concern[] {
  const { streams, draining, lastMinute, reactors, options } = figures;
  const { counters, lateP99Ms } = lastMinute;
  const found: Concern[] = [];
  const add = (isOver: boolean, name: ConcernName, text: () => string): void => {
    if (isOver) found.push({ name, text: text() });
  };
  const grown = (name: string): number => counters[name] ?? 0;
  const perMinute = 'in the last minute';

  const underruns = grown('underruns');
  add(
    underruns > 1 && underruns > BOUNDS.underrunsPerStream * streams,
    'underruns',
    () => `Callers heard ${underruns} gaps ${perMinute}; the bound is one for every 100 streams.`,
  );
  const latenessMax = Math.min(BOUNDS.sendLatenessMs, options.leadMs);
  add(
    lateP99Ms !== null && lateP99Ms > latenessMax,
    'sendLateness',
    () =>
      `Messages left ${lateP99Ms} ms late at the 99th percentile ${perMinute}; the bound is ${latenessMax} ms.`,
  );
  for (const { reactor, loopMaxMs } of reactors) {
    add(
      loopMaxMs > options.leadMs,
      'loopDelay',
      () =>
        `Reactor ${reactor} stood still for ${loopMaxMs.toFixed(0)} ms ${perMinute}; the bound is leadMs, ${options.leadMs} ms.`,
    );
  }
  add(
    grown('handlerStalls') > 0,
    'handlerStalls',
    () => `A plugin held its thread ${times(grown('handlerStalls'))} ${perMinute}; the log names it.`,
  );
  const heard = grown('framesHeard');
  const share = heard > 0 ? grown('framesConcealed') / heard : 0;
  add(
    share > BOUNDS.concealedShare,
    'concealedAudio',
    () =>
      `${percent(share)} of the audio heard ${perMinute} was made up; the bound is ${percent(BOUNDS.concealedShare)}.`,
  );
  for (const { reactor, queueBytes } of reactors) {
    const used = queueBytes / options.queueBytesMax;
    add(
      used > BOUNDS.queueShare,
      'queueMemory',
      () =>
        `Queued audio takes ${percent(used)} of its memory on reactor ${reactor}; the bound is ${percent(BOUNDS.queueShare)}.`,
    );
  }
  const refused = grown('upgradesFull');
  add(
    refused > 0 && !draining,
    'turnedAway',
    () => `The server was full and refused ${refused} upgrades ${perMinute}.`,
  );
  const overloaded = grown('upgradesOverloaded');
  add(
    overloaded > 0,
    'overloaded',
    () => `The server was overloaded and refused ${overloaded} upgrades ${perMinute}.`,
  );
  const notOpened = grown('streamsNotOpened');
  add(
    notOpened > 0,
    'notOpened',
    () => `${notOpened} streams could not be carried ${perMinute}; the log says why.`,
  );
  return found;
}

const percent = (share: number): string => `${Number((100 * share).toFixed(1))} %`;
const times = (count: number): string => (count === 1 ? 'once' : `${count} times`);
