/** examples/two-party-bridge.ts in virtual time, and over real sockets with one reactor and with two. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import bridge from '../../examples/two-party-bridge.js';
import { type Call, type ConferenceOptions, Simulator } from '../../src/index.js';
import type { CallOptions } from '../../src/simulator/options.js';
import { VirtualHouse } from '../helpers/conference.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { eventually, url, withServer } from '../helpers/servers.js';
import { tonesOf } from '../helpers/tones.js';

after(() => RawSocket.destroyAll());

const RATE = 8000;
/** A tone that goes on until the caller hangs up, which tells it from others in whatever is heard. */
const voice = (hz: number): { samples: Int16Array; sampleRate: number } => ({
  samples: Int16Array.from({ length: 30 * RATE }, (_, i) => 6000 * Math.sin((2 * Math.PI * hz * i) / RATE)),
  sampleRate: RATE,
});
const VOICES = [300, 700];
const RINGING = 425;
const MUSIC = [523, 659, 784];

test('ringing, talk, mute, a pause with music, and the end of one of them', async () => {
  const house = new VirtualHouse();
  const plugin = bridge;
  const context = {
    conference: (name: string, options?: ConferenceOptions) => house.conference(name, 0, options),
  };
  const call = (hz: number) => {
    const spoken = house.simulator.speech(voice(hz));
    const startedMs = house.clock.now();
    const { call, stream } = house.call(spoken, 0, {
      onStart: stream => {
        Object.defineProperty(stream, 'query', { value: new URLSearchParams('room=7') });
        return plugin.onStart(stream, context as never);
      },
    });
    return Object.assign(call, { startedMs, stream });
  };
  const heard = (of: Call & { startedMs: number }, ms = 400): number[] => {
    house.advance(ms + 200);
    const pcm = house.heard(of);
    // Behind the last that was heard there is silence.
    const now = Math.round((house.clock.now() - of.startedMs) * 8);
    return tonesOf(pcm.subarray(now - (ms - 200) * 8, now), RATE, [...VOICES, RINGING, ...MUSIC]);
  };
  const first = call(VOICES[0]!);
  assert.deepEqual(heard(first), [RINGING]);
  const second = call(VOICES[1]!);
  house.advance(200);
  assert.deepEqual(heard(first), [VOICES[1]]);
  assert.deepEqual(heard(second), [VOICES[0]]);
  first.dtmf('1');
  assert.deepEqual(heard(second), []);
  assert.deepEqual(heard(first), [VOICES[1]]);
  first.dtmf('1');
  assert.deepEqual(heard(second), [VOICES[0]]);
  first.dtmf('2');
  assert.deepEqual(heard(second), []);
  assert.ok(MUSIC.includes(heard(first)[0]!));
  first.dtmf('2');
  assert.deepEqual(heard(first), [VOICES[1]]);
  const third = call(900);
  house.advance(200);
  assert.equal(third.stream.closed, true, 'both places are taken');
  second.dtmf('#');
  house.advance(200);
  assert.equal(second.stream.closed, true);
  assert.deepEqual(heard(first), [RINGING]);
  await house.close();
});

const FILE = fileURLToPath(new URL('../../../examples/two-party-bridge.ts', import.meta.url));

for (const reactors of [1, 2]) {
  test(`two callers hear each other over sockets, in other encodings, with ${reactors} reactors`, async () => {
    await withServer([FILE], { reactors }, async server => {
      const simulator = new Simulator({ seed: 14 });
      const call = (hz: number, options: CallOptions): Call =>
        simulator.call(`${url(server, '/bridge')}?room=4711&codec=${options.encoding}`, {
          ...simulator.speech(voice(hz), options.encoding ? { encoding: options.encoding } : {}),
          durationMs: Number.POSITIVE_INFINITY,
          ...options,
        });
      // The losses are concealed, and heard all the same.
      const calls = [
        call(VOICES[0]!, { encoding: 'PCMU', loss: 0.02 }),
        call(VOICES[1]!, { encoding: 'G722' }),
      ];
      /** Tones of what each hears from now on. */
      const heard = async (of: Call, expected: number[]): Promise<void> => {
        await eventually(() => {
          const { samples, sampleRate } = simulator.render(of.soFar());
          const last = samples.subarray(samples.length - sampleRate / 5);
          return (
            last.length > 0 &&
            tonesOf(last, sampleRate, [...VOICES, RINGING, ...MUSIC]).join() === expected.join()
          );
        }, `tones ${expected}`);
      };
      await heard(calls[0]!, [VOICES[1]!]);
      await heard(calls[1]!, [VOICES[0]!]);
      // On hold it hears music, and the other nothing more.
      calls[0]!.dtmf('2');
      await eventually(() => {
        const { samples, sampleRate } = simulator.render(calls[0]!.soFar());
        return MUSIC.includes(
          tonesOf(samples.subarray(samples.length - sampleRate / 5), sampleRate, MUSIC)[0]!,
        );
      }, 'music');
      await eventually(() => calls[1]!.queuedMs === 0, 'silence');
      const { heardMs } = calls[1]!.soFar();
      calls[0]!.dtmf('2');
      await eventually(() => calls[1]!.soFar().heardMs > heardMs + 400, 'the first again');
      await heard(calls[1]!, [VOICES[0]!]);
      await heard(calls[0]!, [VOICES[1]!]);
      for (const each of calls) {
        each.hangup();
        const { errors, ended } = await each.result;
        assert.deepEqual([errors, ended], [[], 'by the caller']);
      }
    });
  });
}
