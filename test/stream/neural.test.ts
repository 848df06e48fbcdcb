/** Speech that the neural detector finds, from the caller to the handler, in virtual time: its thread is the test's. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { VirtualClock } from '../../src/clock.js';
import { VOICE } from '../../src/native/addon.js';
import { createLog } from '../../src/log/log.js';
import type { Plugin } from '../../src/index.js';
import { VoiceMemory } from '../../src/pool/voice-memory.js';
import { WireCall } from '../helpers/telnyx-messages.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';

const FRAME = 160;
/** What the test's detector takes for speech: the spectral one takes a constant for nothing. */
const SPEECH = new Int16Array(FRAME).fill(8000);
const SILENCE = new Int16Array(FRAME);

type Told = { name: string; ms: number; frame: number };

/** A reactor whose detector takes whatever is loud for speech, `lagMs` later; Infinity: never. */
function neuralReactor(lagMs: () => number) {
  const clock = new VirtualClock(1000);
  const batches: number[] = [];
  const virtual = new VirtualReactor({}, clock, createLog('silent'), undefined, {
    startVoices: buffers => {
      const memory = new VoiceMemory(buffers);
      return {
        hear: windows =>
          new Promise(resolve => {
            batches.push(windows);
            const lag = lagMs();
            if (lag === Number.POSITIVE_INFINITY) return;
            clock.after(lag, () => {
              for (let i = 0; i < windows; i++) {
                const middle = memory.samples[i * VOICE.samples + VOICE.samples / 2]!;
                memory.probabilities[i] = middle > 4000 ? 0.95 : 0.02;
              }
              resolve();
            });
          }),
        end: async () => {},
      };
    },
  });
  return { clock, virtual, batches };
}

function listener(told: Told[], frames: number[]): Plugin {
  return {
    name: 'listener',
    audio: { vad: { detector: 'neural' } },
    onStart: () => ({
      onAudio: ({ speech }) => {
        frames.push(speech);
      },
      onSpeech: ({ startMs }) => told.push({ name: 'onSpeech', ms: startMs, frame: frames.length }),
      onSilence: ({ endMs }) => told.push({ name: 'onSilence', ms: endMs, frame: frames.length }),
    }),
  };
}

const asBytes = (pcm: Int16Array) => new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength);

/** A stream of frames that the test sends. */
function calling(virtual: VirtualReactor, plugin: Plugin) {
  const { receive, drop } = virtual.connect(plugin);
  const wire = new WireCall({ encoding: 'L16', sampleRate: 8000 });
  receive(wire.start());
  return { say: (pcm: Int16Array) => receive(wire.media(asBytes(pcm))), stop: () => receive(wire.stop()), drop };
}

describe('the neural detector', () => {
  test('its answers become events at once, and frame.speech behind them', async () => {
    const { clock, virtual, batches } = neuralReactor(() => 5);
    const told: Told[] = [];
    const frames: number[] = [];
    const call = calling(virtual, listener(told, frames));
    const say = async (pcm: Int16Array, count: number) => {
      for (let i = 0; i < count; i++) {
        call.say(pcm);
        await clock.advanceAsync(20);
      }
    };
    await say(SILENCE, 20);
    assert.equal(told.length, 0);
    await say(SPEECH, 30);
    assert.deepEqual(
      told.map(({ name }) => name),
      ['onSpeech'],
    );
    // Two windows of 32 ms, gathered for 16 and heard in 5.
    assert.ok(Math.abs(told[0]!.ms - 400) <= 32, `${told[0]!.ms} ms`);
    assert.ok(told[0]!.frame <= 20 + 6, `told after frame ${told[0]!.frame}`);
    await say(SILENCE, 40);
    assert.equal(told.length, 2);
    assert.ok(Math.abs(told[1]!.ms - 1000) <= 32, `${told[1]!.ms} ms`);
    assert.ok(frames.slice(0, 20).every(speech => speech < 0.1));
    assert.ok(frames.slice(26, 50).every(speech => speech > 0.9));
    assert.ok(batches.every(windows => windows <= 2));
    await virtual.close();
  });

  test('streams share a batch, and the end of one is no matter to the others', async () => {
    const { clock, virtual, batches } = neuralReactor(() => 40);
    const told: Told[][] = [[], [], []];
    const calls = told.map(events => calling(virtual, listener(events, [])));
    for (let i = 0; i < 40; i++) {
      // The second stream ends while a batch with its windows is under way, and another takes its place.
      if (i === 20) calls[1]!.stop();
      if (i === 21) calls[1] = calling(virtual, listener(told[1]!, []));
      for (const [k, call] of calls.entries()) {
        if (k !== 1 || i !== 20) call.say(k === 2 ? SILENCE : SPEECH);
      }
      await clock.advanceAsync(20);
    }
    assert.ok(Math.max(...batches) >= 3);
    assert.deepEqual(
      told.map(events => events.map(({ name }) => name)),
      [['onSpeech'], ['onSpeech', 'onSpeech'], []],
    );
    // The new stream's speech begins with the new stream.
    assert.ok(told[1]![1]!.ms <= 32, `${told[1]![1]!.ms} ms`);
    await virtual.close();
  });

  test('while its answers are too late, the spectral detector stands in, which is counted', async () => {
    let lag = Number.POSITIVE_INFINITY;
    const { clock, virtual } = neuralReactor(() => lag);
    const told: Told[] = [];
    const frames: number[] = [];
    const call = calling(virtual, listener(told, frames));
    let at = 0;
    // A voice for the spectral detector, of which the test's own finds next to nothing: 130 Hz under two formants.
    const voice = () => {
      const pcm = new Int16Array(FRAME);
      for (let i = 0; i < FRAME; i++, at++) {
        let sum = 0;
        for (let k = 1; k <= 20; k++) {
          const hz = 130 * k;
          const weight = Math.exp(-(((hz - 600) / 300) ** 2)) + 0.4 * Math.exp(-(((hz - 1500) / 400) ** 2));
          sum += weight * Math.sin((2 * Math.PI * hz * at) / 8000);
        }
        pcm[i] = Math.round(700 * sum);
      }
      return pcm;
    };
    for (let i = 0; i < 30; i++) {
      call.say(SILENCE);
      await clock.advanceAsync(20);
    }
    assert.equal(virtual.reactor.counters().voiceFallBacks, 1);
    for (let i = 0; i < 20; i++) {
      call.say(voice());
      await clock.advanceAsync(20);
    }
    assert.deepEqual(
      told.map(({ name }) => name),
      ['onSpeech'],
    );
    assert.ok(frames.at(-1)! > 0.5);
    // The thread is given up and replaced by one that answers: what the spectral detector finds goes for a second more.
    lag = 5;
    for (let i = 0; i < 2000; i++) {
      call.say(SILENCE);
      await clock.advanceAsync(20);
    }
    const before = told.length;
    assert.equal(told[before - 1]!.name, 'onSilence');
    for (let i = 0; i < 10; i++) {
      call.say(SPEECH);
      await clock.advanceAsync(20);
    }
    assert.equal(told.length, before + 1);
    await virtual.close();
  });

  test('speech ends where frames stop coming', async () => {
    const { clock, virtual } = neuralReactor(() => 5);
    const told: Told[] = [];
    const call = calling(virtual, listener(told, []));
    for (let i = 0; i < 20; i++) {
      call.say(SPEECH);
      await clock.advanceAsync(20);
    }
    await clock.advanceAsync(470);
    assert.equal(told.length, 1);
    await clock.advanceAsync(40);
    assert.deepEqual(
      told.map(({ name }) => name),
      ['onSpeech', 'onSilence'],
    );
    assert.ok(Math.abs(told[1]!.ms - 400) <= 32);
    call.drop();
    assert.ok(clock.timers <= 2, `${clock.timers} timers after the stream's end`);
    await virtual.close();
  });
});
