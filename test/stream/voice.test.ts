/** Voice activity, from the caller's speech to the handler's events, in virtual time. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { createEncoder } from '../../src/codecs/create.js';
import type { Encoding } from '../../src/formats.js';
import { type AudioOptions, definePlugin, readWav, resample, type StreamHandler } from '../../src/index.js';
import { testCall } from '../../src/testing/index.js';
import { root } from '../helpers/paths.js';
import { eventually } from '../helpers/servers.js';
import { WireCall } from '../helpers/telnyx-messages.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';

const speech = await readWav(join(root, 'assets/speech.wav'));
const WORDS = speech.channels[0]!;
const WORDS_MS = (WORDS.length * 1000) / speech.sampleRate;
/** Everything of it that is louder than this stands between the first and the last word. */
const LOUD = 700;
const FIRST_MS = (WORDS.findIndex(sample => Math.abs(sample) > LOUD) * 1000) / speech.sampleRate;
const LAST_MS = (WORDS.findLastIndex(sample => Math.abs(sample) > LOUD) * 1000) / speech.sampleRate;

type Event = { name: 'onSpeech'; startMs: number } | { name: 'onSilence'; endMs: number; durationMs: number };

/** A plugin that notes what its handler is told, and between which frames. */
function listener(audio: AudioOptions, more: StreamHandler = {}) {
  const events: (Event & { frame: number })[] = [];
  const frames: { timestampMs: number; speech: number }[] = [];
  const plugin = definePlugin({
    name: 'listener',
    audio,
    onStart: () => ({
      onAudio: ({ timestampMs, speech: likely }) => {
        frames.push({ timestampMs, speech: likely });
      },
      onSpeech: ({ startMs }) => {
        events.push({ name: 'onSpeech', startMs, frame: frames.length });
      },
      onSilence: ({ endMs, durationMs }) => {
        events.push({ name: 'onSilence', endMs, durationMs, frame: frames.length });
      },
      ...more,
    }),
  });
  return { plugin, events, frames };
}

/** The words were found where they are: between `atMs` and WORDS_MS later. */
function assertFound(events: readonly (Event & { frame: number })[], atMs: number): void {
  assert.deepEqual(
    events.map(({ name }) => name),
    events.map((_, i) => (i % 2 === 0 ? 'onSpeech' : 'onSilence')),
  );
  assert.ok(events.length >= 2 && events.length % 2 === 0, `${events.length} events`);
  const first = events[0]!;
  const last = events.at(-1)!;
  assert.ok(first.name === 'onSpeech' && last.name === 'onSilence');
  const startOff = first.startMs - (atMs + FIRST_MS);
  const endOff = last.endMs - (atMs + LAST_MS);
  assert.ok(Math.abs(startOff) <= 80, `it began ${startOff} ms off`);
  assert.ok(Math.abs(endOff) <= 250, `it ended ${endOff} ms off`);
}

const CODECS: [Encoding, number][] = [
  ['PCMU', 8000],
  ['PCMA', 8000],
  ['G722', 8000],
  ['L16', 8000],
  ['L16', 16000],
];
for (const [encoding, sampleRate] of CODECS) {
  test(`${encoding} at ${sampleRate} Hz: speech begins and ends where the caller speaks`, async () => {
    const { plugin, events, frames } = listener({ vad: true });
    const call = await testCall(plugin, { encoding, sampleRate });
    call.say(1000);
    const from = frames.length;
    call.say(speech);
    await call.advance(1000 + WORDS_MS + 1000);
    await call.hangup();
    // The call's first frames came before there was anything to say.
    assertFound(events, from * 20 + 1000);
    for (const event of events) {
      const shownMs = frames[event.frame]!.timestampMs + 20;
      if (event.name === 'onSpeech') {
        assert.ok(shownMs - event.startMs <= 300, `told ${shownMs - event.startMs} ms after the first sound`);
      } else {
        const quietMs = shownMs - event.endMs;
        assert.ok(quietMs >= 300 && quietMs <= 360, `told after ${quietMs} ms of silence`);
      }
    }
    const speaking = frames.filter(({ timestampMs }) => timestampMs > 1200 && timestampMs < 1800);
    assert.ok(Math.max(...speaking.map(frame => frame.speech)) > 0.9);
    assert.ok(frames.slice(0, 40).every(frame => frame.speech < 0.1));
    assert.ok(frames.every(frame => frame.speech >= 0 && frame.speech <= 1));
  });
}

test('a handler of events alone hears them; without vad nothing is looked for', async () => {
  const told: string[] = [];
  const plugin = definePlugin({
    name: 'waiting',
    audio: { vad: { hangoverMs: 500 } },
    onStart: () => ({
      onSpeech: ({ track }) => told.push(`speech ${track}`),
      onSilence: ({ durationMs }) => told.push(durationMs > 200 ? 'silence' : 'short'),
    }),
  });
  const call = await testCall(plugin);
  call.say(speech);
  await call.advance(WORDS_MS + 1000);
  await call.hangup();
  assert.equal(told[0], 'speech inbound');
  assert.equal(told.at(-1), 'silence');

  const { plugin: deaf, events, frames } = listener({ vad: false });
  const quiet = await testCall(deaf);
  quiet.say(speech);
  await quiet.advance(WORDS_MS);
  await quiet.hangup();
  assert.deepEqual(events, []);
  assert.ok(frames.length > 100 && frames.every(frame => frame.speech === 0));
});

test('speech goes on over lost frames, and a pause of the wire ends it', async () => {
  const { plugin, events } = listener({ vad: true });
  const lossy = await testCall(plugin, { loss: 0.05, seed: 3 });
  lossy.say(speech);
  await lossy.advance(WORDS_MS + 1000);
  await lossy.hangup();
  assertFound(events, 0);

  const stopped = listener({ vad: true });
  const virtual = new VirtualReactor();
  const { receive } = virtual.connect(stopped.plugin);
  const wire = new WireCall({ encoding: 'L16' });
  receive(wire.start());
  const bytes = new Uint8Array(WORDS.buffer, WORDS.byteOffset, WORDS.byteLength);
  const atFrame = (i: number) => wire.media(bytes.subarray(i * 640, (i + 1) * 640));
  const began = Math.floor(FIRST_MS / 20);
  for (let i = 0; i < began + 20; i++) receive(atFrame(i));
  assert.deepEqual(
    stopped.events.map(({ name }) => name),
    ['onSpeech'],
  );
  // Nothing for two seconds, as the next frame's timestamp says.
  const late = wire.media(new Uint8Array(640));
  late.media.timestamp = String(Number(late.media.timestamp) + 2 * 16_000);
  receive(late);
  assert.equal(stopped.events.length, 2);
  const [start, end] = stopped.events;
  assert.ok(start?.name === 'onSpeech' && end?.name === 'onSilence');
  assert.ok(Math.abs(end.endMs - (began + 20) * 20) <= 60, `${end.endMs} ms`);
  assert.ok(Math.abs(end.endMs - start.startMs - end.durationMs) < 1e-6);
  await virtual.close();
});

for (const hangoverMs of [300, 1000]) {
  test(`a leg that sends nothing more while somebody speaks: silence after ${hangoverMs} ms and what a network holds up`, async () => {
    const { plugin, events } = listener({ vad: { hangoverMs } });
    const virtual = new VirtualReactor();
    const { clock } = virtual;
    const { receive, drop } = virtual.connect(plugin);
    const wire = new WireCall({ encoding: 'L16' });
    receive(wire.start());
    const bytes = new Uint8Array(WORDS.buffer, WORDS.byteOffset, WORDS.byteLength);
    let sent = 0;
    const say = async (frames: number) => {
      for (let i = 0; i < frames; i++, sent++) {
        receive(wire.media(bytes.subarray(sent * 640, (sent + 1) * 640)));
        await clock.advanceAsync(20);
      }
    };
    const began = Math.floor(FIRST_MS / 20);
    await say(began + 20);
    // The last frame came 20 ms ago.
    await clock.advanceAsync(hangoverMs + 200 - 20 - 1);
    assert.equal(events.length, 1);
    await clock.advanceAsync(2);
    const [start, end] = events;
    assert.ok(start?.name === 'onSpeech' && end?.name === 'onSilence');
    assert.ok(Math.abs(end.endMs - (began + 20) * 20) <= 60, `${end.endMs} ms`);
    assert.ok(Math.abs(end.endMs - start.startMs - end.durationMs) < 1e-6);
    await clock.advanceAsync(5000);
    assert.equal(events.length, 2);
    // The network had held them up: speech goes on, and is not told of before the last end.
    await say(20);
    assert.deepEqual(
      events.slice(2).map(({ name }) => name),
      ['onSpeech'],
    );
    const [again] = events.slice(2);
    assert.ok(again?.name === 'onSpeech' && again.startMs >= end.endMs);
    drop();
    await clock.advanceAsync(5000);
    assert.equal(events.length, 3);
    await virtual.close();
  });
}

const POOLED: ['OPUS' | 'AMR-WB', number][] = [
  ['OPUS', 16000],
  ['OPUS', 24000],
  ['OPUS', 48000],
  ['AMR-WB', 16000],
];
for (const [encoding, sampleRate] of POOLED) {
  test(`${encoding} at ${sampleRate} Hz, whose decoder runs in the pool: the same events`, async () => {
    const { plugin, events, frames } = listener({ vad: true });
    const encoder = createEncoder(encoding, { sampleRate });
    const virtual = new VirtualReactor();
    const { receive } = virtual.connect({ ...plugin, outbound: { encoding: 'PCMU' } });
    const wire = new WireCall({ encoding, sampleRate });
    receive(wire.start());
    const spoken = resample(WORDS, speech.sampleRate, sampleRate);
    const pcm = new Int16Array(spoken.length + 2 * sampleRate);
    pcm.set(spoken, sampleRate);
    const samples = sampleRate / 50;
    let sent = 0;
    for (let at = 0; at + samples <= pcm.length; at += samples) {
      receive(wire.media(encoder.encode(pcm.slice(at, at + samples))));
      sent++;
      // The pool takes what its workers can do in time.
      if (sent % 20 === 0) await eventually(() => frames.length >= sent, `${sent} frames`, 30_000);
    }
    await eventually(() => frames.length >= sent, 'all frames are heard', 30_000);
    assertFound(events, 1000);
    await virtual.close();
  });
}

test('resampled for the handler, the events are the same', async () => {
  const heard = await Promise.all(
    [8000, 24000].map(async sampleRate => {
      const { plugin, events } = listener({ vad: true, sampleRate: sampleRate as 8000 });
      const call = await testCall(plugin);
      call.say({ samples: resample(WORDS, speech.sampleRate, 8000), sampleRate: 8000 });
      await call.advance(WORDS_MS + 1000);
      await call.hangup();
      return events;
    }),
  );
  assert.ok(heard[0]!.length >= 2);
  assert.deepEqual(heard[0], heard[1]);
});

test('both tracks are listened to, each by itself', async () => {
  const told: string[] = [];
  const virtual = new VirtualReactor();
  const { receive } = virtual.connect({
    name: 'both',
    audio: { tracks: 'both', vad: true },
    onStart: () => ({
      onSpeech: ({ track }) => told.push(`speech ${track}`),
      onSilence: ({ track }) => told.push(`silence ${track}`),
    }),
  });
  const wire = new WireCall({ encoding: 'L16' });
  receive(wire.start());
  const pcm = new Int16Array(WORDS.length + 16_000);
  pcm.set(WORDS);
  const bytes = new Uint8Array(pcm.buffer);
  for (let at = 0; at + 640 <= bytes.length; at += 640) {
    receive(wire.media(new Uint8Array(640), 'inbound'));
    receive(wire.media(bytes.subarray(at, at + 640), 'outbound'));
  }
  assert.ok(told.length >= 2);
  assert.deepEqual(new Set(told), new Set(['speech outbound', 'silence outbound']));
  await virtual.close();
});
