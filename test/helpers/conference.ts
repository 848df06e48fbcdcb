/** Calls that are joined, in virtual time, and what each of them must hear. */
import { VirtualClock } from '../../src/clock.js';
import { localConference } from '../../src/conference/conferences.js';
import { RoomRegistry } from '../../src/conference/registry.js';
import type { Call, Conference, ConferenceOptions, Plugin, Stream } from '../../src/index.js';
import { Simulator } from '../../src/index.js';
import { VirtualReactor } from './virtual-reactor.js';

type CallOptions = NonNullable<Parameters<Simulator['pair']>[0]>;

export interface JoinedCall {
  call: Call;
  stream: Stream;
  conference: Conference;
}

/** `reactors` of one server, whose streams meet in conferences. */
export class VirtualHouse {
  readonly clock = new VirtualClock(1000);
  readonly simulator = new Simulator({ clock: this.clock, seed: 14 });
  readonly registry = new RoomRegistry();
  readonly #reactors: VirtualReactor[];
  readonly #conferences: ReturnType<typeof localConference>[];

  constructor(reactors = 1) {
    this.#conferences = Array.from({ length: reactors }, (_, i) => localConference(this.registry, i));
    this.#reactors = this.#conferences.map(
      conference => new VirtualReactor({ liveLatencyMaxMs: 0 }, this.clock, undefined, conference),
    );
  }

  conference(name: string, reactor = 0, options: ConferenceOptions = {}): Conference {
    return this.#conferences[reactor]!(name, options);
  }

  /** A call whose stream has started. `plugin` has more than the stream. */
  call(options: CallOptions, reactor = 0, plugin: Partial<Plugin> = {}): { call: Call; stream: Stream } {
    let stream!: Stream;
    const whole: Plugin = {
      name: 'joined',
      outbound: {
        ...(options.outboundEncoding && { encoding: options.outboundEncoding }),
        ...(options.outboundSampleRate && { sampleRate: options.outboundSampleRate }),
      },
      ...plugin,
      onStart(started, context) {
        stream = started;
        return plugin.onStart?.(started, context) ?? {};
      },
    };
    const { call } = this.#reactors[reactor]!.call(this.simulator, whole, {
      durationMs: Number.POSITIVE_INFINITY,
      ...options,
    });
    return { call, stream };
  }

  advance(ms: number): void {
    this.clock.advance(ms);
  }

  /** What a caller has heard, whole, from `start` on. */
  heard(call: Call): Int16Array {
    return this.simulator.render(call.soFar()).samples;
  }

  async close(): Promise<void> {
    for (const reactor of this.#reactors) await reactor.close();
  }
}

/** Where `part` stands in `whole`, sample for sample; -1 where it does not. */
export function indexOf(whole: Int16Array, part: Int16Array): number {
  const bytes = (pcm: Int16Array): Buffer => Buffer.from(pcm.buffer, pcm.byteOffset, pcm.byteLength);
  const haystack = bytes(whole);
  for (let at = haystack.indexOf(bytes(part)); at >= 0; at = haystack.indexOf(bytes(part), at + 1)) {
    if (at % 2 === 0) return at / 2;
  }
  return -1;
}
