/** The conferences of one thread by name, and bridges, which have no name. */
import { SidetoneError, shown } from '../errors.js';
import { isObject } from '../objects.js';
import type { Conference, ConferenceOptions } from '../plugin/conference.js';
import type { Stream } from '../plugin/stream.js';
import { EngineConference, type RoomSource } from './conference.js';
import { newMemory, type RoomMemory, type RoomRegistry, type RoomShape } from './registry.js';

/** Where a thread has the memory of conferences from. */
export interface RoomDirectory {
  /** `ready` is called at once or later; not at all after the returned function was called. */
  open(name: string, shape: RoomShape, ready: (room: RoomMemory) => void): () => void;
}

const NAME_MAX = 200;
const RATES: readonly number[] = [8000, 16000, 24000, 48000];

/** Makes a conference. `onUse` is told when somebody is in it, and when nobody is any more. */
type Maker = (name: string, shape: RoomShape, onUse: (isUsed: boolean) => void) => Conference;

export class Conferences {
  readonly #make: Maker;
  /** Those that a plugin still holds. */
  readonly #known = new Map<string, WeakRef<Conference>>();
  /** Those that somebody is in. */
  readonly #used = new Set<Conference>();
  readonly #forgotten = new FinalizationRegistry<string>(name => {
    if (this.#known.get(name)?.deref() === undefined) this.#known.delete(name);
  });

  constructor(make: Maker) {
    this.#make = make;
  }

  /**
   * The conference of that name; the same object as long as somebody holds it or is in it.
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT
   */
  get(name: string, options: ConferenceOptions = {}): Conference {
    const shape = checkedShape(name, options);
    const known = this.#known.get(name)?.deref();
    if (known) return known;
    const conference: Conference = this.#make(name, shape, isUsed => {
      if (isUsed) this.#used.add(conference);
      else this.#used.delete(conference);
    });
    this.#known.set(name, new WeakRef(conference));
    this.#forgotten.register(conference, name);
    return conference;
  }
}

/** The conferences of a reactor. */
export function engineConferences(reactor: number, directory: RoomDirectory): Conferences {
  return new Conferences((name, shape, onUse) => {
    const source: RoomSource = { reactor, open: ready => directory.open(name, shape, ready) };
    return new EngineConference(name, source, onUse);
  });
}

/** `context.conference` of a thread that has the registry itself. */
export function localConference(
  registry: RoomRegistry,
  reactor = 0,
): (name: string, options?: ConferenceOptions) => Conference {
  const conferences = engineConferences(reactor, {
    open(name, shape, ready) {
      ready(registry.open(name, shape, reactor));
      return () => registry.close(name, reactor);
    },
  });
  return (name, options) => conferences.get(name, options);
}

/**
 * Joins two calls: each hears the other. Both streams must be of this thread, as all are with one reactor: those of
 * different threads meet in `context.conference(name)`. When one ends, the other stays, alone: `onLeave` tells.
 *
 * ```ts
 * const pair = bridge(caller, agent);
 * pair.onLeave(() => pair.close());
 * ```
 * @returns their conference, with both participants in this order
 * @throws SidetoneError as `Conference.join()`
 */
export function bridge(streamA: Stream, streamB: Stream): Conference {
  const pair = isElsewhere(streamA) ? streamA.newBridge() : newBridge();
  try {
    pair.join(streamA);
    pair.join(streamB);
  } catch (error) {
    pair.close();
    throw error;
  }
  return pair;
}

/** A stream whose handler runs in a thread of its plugin. */
export interface ThreadsStream {
  /** A conference without a name, for two. */
  newBridge(): Conference;
}

function isElsewhere(stream: unknown): stream is ThreadsStream {
  return isObject(stream) && 'newBridge' in stream;
}

/** A conference without a name, for two streams of this reactor. */
export function newBridge(): Conference {
  return new EngineConference('', {
    reactor: 0,
    open(ready) {
      ready(newMemory({ participantsMax: 2, sampleRateMax: 48000 }));
      return () => {};
    },
  });
}

/** @throws SidetoneError SIDETONE_BAD_ARGUMENT */
function checkedShape(name: string, options: ConferenceOptions): RoomShape {
  const fail = (field: string, value: unknown, remedy: string): SidetoneError =>
    new SidetoneError('SIDETONE_BAD_ARGUMENT', `conference ${field}: ${shown(value)}: ${remedy}`);
  if (typeof name !== 'string' || name.length === 0 || name.length > NAME_MAX) {
    throw fail('name', name, `give 1 to ${NAME_MAX} characters`);
  }
  if (typeof options !== 'object' || options === null)
    throw fail('options', options, 'pass { participantsMax, sampleRateMax }, or nothing');
  const { participantsMax = 32, sampleRateMax = 16000 } = options;
  if (!Number.isInteger(participantsMax) || participantsMax < 2 || participantsMax > 1000) {
    throw fail('participantsMax', participantsMax, 'give a whole number from 2 to 1000');
  }
  if (!RATES.includes(sampleRateMax)) {
    throw fail('sampleRateMax', sampleRateMax, `use one of ${RATES.join(', ')} Hz`);
  }
  return { participantsMax, sampleRateMax };
}
