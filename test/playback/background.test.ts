/** Backgrounds, comfort noise and gain: what the simulated caller hears, in virtual time. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { type Background, definePlugin, type Encoding, SidetoneError, wavBytes } from '../../src/index.js';
import { soundOf } from '../../src/playback/sounds.js';
import { type TestCall, testCall } from '../../src/testing/index.js';
import { Calling, RATES } from '../helpers/calling.js';
import { propertyRuns } from '../helpers/runs.js';

const db = (factor: number): number => 20 * Math.log10(factor);

/** Samples that tell their place by what stands around them, up to `peak`. */
function murmur(length: number, peak: number): Int16Array {
  let value = 1;
  return Int16Array.from({ length }, () => {
    value = (value * 75 + 74) % 65537;
    return Math.round(((value / 65537) * 2 - 1) * peak);
  });
}

function rms(samples: Int16Array): number {
  return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
}

const silent = definePlugin({ name: 'silent', audio: { sampleRate: 16000 }, onStart: () => ({}) });

const milliseconds = fc.integer({ min: 1, max: 700 });
const step = fc.oneof(
  fc.record({ do: fc.constant('play' as const), ms: milliseconds, isEncoded: fc.boolean() }),
  fc.record({ do: fc.constant('advance' as const), ms: milliseconds }),
  fc.record({ do: fc.constant('pause' as const), ms: milliseconds }),
  fc.record({ do: fc.constant('resume' as const), ms: milliseconds }),
  fc.record({ do: fc.constant('clear' as const), ms: milliseconds }),
);

async function take(
  { do: what, ms, ...one }: typeof step extends fc.Arbitrary<infer S> ? S : never,
  calling: Calling,
) {
  const { stream, call } = calling;
  if (what === 'play') calling.play({ ms, isAwaited: false, isEncoded: 'isEncoded' in one && one.isEncoded });
  else if (what === 'pause') stream.pause();
  else if (what === 'resume') stream.resume();
  else if (what === 'clear') await stream.clear();
  if (what !== 'play') await call.advance(ms);
}

/** How far a value of so many may be off after it was encoded twice, with what is added in between. */
const coarseness = (encoding: Encoding, value: number): number =>
  encoding === 'L16' ? 1 : 20 + Math.abs(value) / 12;

for (const encoding of Object.keys(RATES) as Encoding[]) {
  test(`${encoding}: what is heard is what was played, times its gain, and the background without a gap`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 14 }), async steps => {
        const calling = await Calling.open(encoding);
        const { call, stream, rate } = calling;
        // Not as long as a message, nor a multiple of it.
        const loop = murmur(4001, 300);
        const gain = 0.8;
        stream.gainDb = db(gain);
        stream.background(loop, { sampleRate: rate, duckDb: 0, fadeMs: 0 });
        for (const one of steps) await take(one, calling);
        stream.resume();
        await call.until(() => stream.queuedMs === 0);
        await call.advance(300);
        const { samples: heard } = call.heard();
        const begin = heard.findIndex(sample => Math.abs(sample) > 8);
        const first = loop.findIndex(sample => Math.abs(sample) > 8);
        const spoken: number[] = [];
        for (let i = begin; i < heard.length; i++) {
          const rest = heard[i]! - loop[(i - begin + first) % loop.length]!;
          // What is played has 1,000 at least.
          if (Math.abs(rest) > 400) spoken.push(rest);
          else assert.ok(Math.abs(rest) <= coarseness(encoding, 300), `sample ${i}: ${rest} too much`);
        }
        const told = calling.told();
        assert.equal(spoken.length, told.length);
        for (const [i, sample] of told.entries()) {
          const off = Math.abs(spoken[i]! - sample * gain);
          assert.ok(off <= coarseness(encoding, sample), `${i}: ${spoken[i]}, not ${sample * gain}`);
        }
        await call.hangup();
      }),
      { numRuns: propertyRuns(10) },
    );
  });
}

test('a background makes way and comes back without a jump, in any pattern of play, clear and pause', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 12 }), async steps => {
      const call = await testCall(silent, { encoding: 'L16', sampleRate: 16000 });
      const { stream } = call;
      const background = stream.background(new Int16Array(50).fill(10_000), { duckDb: -20, fadeMs: 100 });
      let isTouched = false;
      for (const { do: what, ms } of steps) {
        if (what === 'play') stream.play(new Int16Array(ms * 16));
        else if (what === 'pause') stream.pause();
        else if (what === 'resume') stream.resume();
        else if (what === 'clear') await stream.clear(ms % 2 ? { fadeMs: 20 } : {});
        isTouched ||= what === 'clear' && ms % 3 === 0;
        if (what === 'clear' && ms % 3 === 0) background.gain(ms % 2 ? -6 : 0, { rampMs: 100 });
        await call.advance(ms);
      }
      await stream.clear();
      await call.advance(2000);
      const before = call.heard().samples;
      if (!isTouched) assert.equal(before.at(-1), 10_000);
      background.stop({ fadeMs: 100 });
      await call.advance(500);
      const heard = call.heard().samples;
      // 9,000 within 80 ms and 10,000 within 100 ms: 8 and 7 a sample, and both at once.
      for (let i = 1; i < heard.length; i++) {
        assert.ok(Math.abs(heard[i]! - heard[i - 1]!) <= 16, `${heard[i - 1]} ${heard[i]} at ${i}`);
      }
      assert.equal(heard.at(-1), 0);
      await call.hangup();
    }),
    { numRuns: propertyRuns(20) },
  );
});

test('it is quieter while something is played, from its first sample on, and as loud as before behind it', async () => {
  const call = await testCall(silent, { encoding: 'L16', sampleRate: 16000 });
  const { stream } = call;
  stream.background(new Int16Array(50).fill(10_000), { duckDb: -20, gainDb: -6, fadeMs: 0 });
  await call.advance(1000);
  const played = stream.play(new Int16Array(16_000));
  await call.advance(900);
  const level = (): number => call.heard().samples.at(-1)!;
  assert.ok(Math.abs(level() - 501) <= 2, `${level()}`);
  await call.until(() => played.finished || stream.queuedMs === 0);
  await call.advance(1000);
  assert.ok(Math.abs(level() - 5012) <= 2, `${level()}`);
  assert.equal(played.playedMs, 1000);
  await call.hangup();
});

test('clear drops what is played and keeps the background; queuedMs and the ledger know nothing of it', async () => {
  const call = await testCall(silent, { encoding: 'PCMU' });
  const { stream } = call;
  stream.background(murmur(8000, 1000), { sampleRate: 8000 });
  await call.advance(2000);
  assert.equal(stream.queuedMs, 0);
  const mark = stream.mark('early');
  await call.advance(200);
  assert.deepEqual(await mark, { name: 'early', played: true });
  const playback = stream.play(new Int16Array(80_000));
  await call.advance(500);
  const { playedMs, discardedMs } = await stream.clear();
  assert.ok(playedMs > 400 && playedMs <= 500, `${playedMs}`);
  assert.equal(playedMs + discardedMs, 5000);
  assert.deepEqual(await playback, { playedMs, interrupted: true });
  await call.advance(1000);
  assert.equal(stream.queuedMs, 0);
  const { samples, parts } = call.heard();
  assert.ok(rms(samples.subarray(-4000)) > 400);
  // A gap within would make two of it; the clear may.
  assert.ok(parts.length <= 2, `${parts.length} parts`);
  assert.equal(
    parts.reduce((sum, part) => sum + part.samples.length, 0),
    samples.length - parts[0]!.atMs * 8,
  );
  await call.hangup();
});

test('comfort noise has its level in every encoding, and can go and come', async () => {
  for (const encoding of ['PCMU', 'PCMA', 'L16', 'G722'] as const) {
    const call = await testCall(silent, { encoding });
    const noise = call.stream.comfortNoise({ levelDbfs: -50, fadeMs: 0 });
    await call.advance(3000);
    const level = db(rms(call.heard().samples.subarray(-16_000)) / 32768);
    assert.ok(Math.abs(level + 50) < 1.5, `${encoding}: ${level} dBFS`);
    noise.gain(-10, { rampMs: 0 });
    await call.advance(3000);
    const quieter = db(rms(call.heard().samples.subarray(-16_000)) / 32768);
    assert.ok(Math.abs(quieter + 60) < 3, `${encoding}: ${quieter} dBFS`);
    assert.equal(noise.stopped, false);
    noise.stop();
    noise.stop();
    assert.equal(noise.stopped, true);
    await call.advance(1000);
    const sent = call.stream.stats.mediaSent;
    await call.advance(1000);
    assert.equal(call.stream.stats.mediaSent, sent);
    await call.hangup();
  }
});

test('a background of a file, at its own rate; one that does not loop ends by itself', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sidetone-background-'));
  try {
    const file = join(folder, 'hall.wav');
    const tone = Int16Array.from(
      { length: 24_000 },
      (_, i) => 8000 * Math.sin((2 * Math.PI * 440 * i) / 24_000),
    );
    writeFileSync(file, wavBytes({ sampleRate: 24_000, channels: [tone] }));
    const call = await testCall(silent, { encoding: 'L16', sampleRate: 16000 });
    const { stream } = call;
    stream.background(file, { fadeMs: 0 });
    await call.advance(2500);
    const loop = call.heard().samples;
    assert.ok(Math.abs(rms(loop.subarray(-32_000)) - 8000 / Math.SQRT2) < 30);
    // The loop's end goes on into its begin: no step is larger than those of the tone.
    const largest = 8000 * ((2 * Math.PI * 440) / 16_000) + 30;
    const sound = loop.subarray(loop.findIndex(sample => sample !== 0) + 1);
    for (let i = 1; i < sound.length; i++)
      assert.ok(Math.abs(sound[i]! - sound[i - 1]!) < largest, `at ${i}`);
    assert.throws(() => stream.background(join(folder, 'none.wav')), /none\.wav: cannot be read/);
    await call.hangup();
    const once = await testCall(silent, { encoding: 'L16', sampleRate: 16000 });
    once.stream.background(pathToFileURL(file), { loop: false, fadeMs: 0 });
    await once.advance(3000);
    const [part] = once.heard().parts;
    assert.ok(Math.abs(part!.durationMs - 1000) <= 40, `${part!.durationMs} ms`);
    await once.hangup();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('streams share one copy of a background', () => {
  const pcm = murmur(8000, 1000);
  const form = { sampleRate: 8000, toRate: 16_000, loops: true };
  assert.equal(soundOf(pcm, form), soundOf(pcm, { ...form }));
  assert.notEqual(soundOf(pcm, form), soundOf(pcm, { ...form, toRate: 8000 }));
});

test('many backgrounds in turn on one stream: each handle moves its own, and eight sound at once', async () => {
  const call = await testCall(silent, { encoding: 'L16', sampleRate: 16000 });
  const { stream } = call;
  const level = (): number => call.heard().samples.at(-1)!;
  const once = stream.background(new Int16Array(800).fill(100), { loop: false, fadeMs: 0 });
  await call.advance(500);
  const all: Background[] = [];
  for (let i = 0; i < 8; i++) {
    all.push(stream.background(new Int16Array(10).fill(100 * 2 ** i), { fadeMs: 0, sampleRate: 16_000 }));
  }
  assert.throws(() => stream.background(new Int16Array(10)), { code: 'SIDETONE_QUEUE_FULL' });
  // The mixer that it belonged to is another by now, or it has ended there: none of these is its.
  once.gain(-60, { rampMs: 0 });
  once.stop({ fadeMs: 0 });
  await call.advance(200);
  assert.equal(level(), 25_500);
  all[2]!.stop({ fadeMs: 0 });
  all[7]!.gain(-60, { rampMs: 0 });
  await call.advance(500);
  assert.ok(Math.abs(level() - (12_700 - 400 + 13)) <= 1, `${level()}`);
  await call.hangup();
});

test('what is wrong is told; after the end nothing happens', async () => {
  const call = await testCall(silent, { encoding: 'L16', sampleRate: 16000 });
  const { stream } = call;
  const refuses = (run: () => unknown, message: RegExp): void => {
    assert.throws(run, (error: unknown) => {
      assert.ok(error instanceof SidetoneError && error.code === 'SIDETONE_BAD_ARGUMENT', `${error}`);
      assert.match(error.message, message);
      return true;
    });
  };
  const pcm = murmur(800, 1000);
  refuses(() => stream.background(5 as never), /background audio: 5: pass an Int16Array/);
  refuses(() => stream.background(new Int16Array(0)), /holds no sound/);
  refuses(() => stream.background(new URL('https://example.com/a.wav')), /https: URL/);
  refuses(() => stream.background(pcm, { sampleRate: 12_345 }), /its rate is 12345/);
  refuses(() => stream.background(pcm, { gainDb: 30 }), /background gainDb: 30: give dB from -60 to 20/);
  refuses(() => stream.background(pcm, { duckDb: 3 }), /background duckDb: 3/);
  refuses(() => stream.background(pcm, { fadeMs: -1 }), /background fadeMs: -1/);
  refuses(() => stream.background(pcm, { loop: 1 as never }), /background loop: 1/);
  refuses(() => stream.background(pcm, 7 as never), /background options: 7/);
  refuses(
    () => stream.background(new Int16Array(8000 * 601), { sampleRate: 8000 }),
    /601 s long: give 10 minutes/,
  );
  refuses(() => stream.comfortNoise({ levelDbfs: -10 }), /comfortNoise levelDbfs: -10/);
  refuses(() => {
    stream.gainDb = Number.NaN;
  }, /gainDb: NaN/);
  const background = stream.background(pcm);
  refuses(() => background.gain(99), /background gain: 99/);
  refuses(() => background.stop({ fadeMs: 1e9 }), /background stop fadeMs/);
  assert.equal(stream.gainDb, 0);
  stream.gainDb = -6;
  assert.equal(stream.gainDb, -6);
  await call.hangup();
  assert.equal(background.stopped, true);
  background.gain(0);
  background.stop();
  stream.gainDb = 3;
  assert.equal(stream.comfortNoise().stopped, true);
});

async function onsets(call: TestCall): Promise<number[]> {
  const waits: number[] = [];
  for (let i = 0; i < 20; i++) {
    await call.advance(137 + i);
    const from = call.heard().samples.length;
    call.stream.play(new Int16Array(8000).fill(20_000));
    await call.advance(1500);
    const { samples } = call.heard();
    waits.push((samples.subarray(from).findIndex(sample => sample > 15_000) * 1000) / 16_000);
  }
  return waits;
}

test('speech begins at most 80 ms later under a background', async () => {
  const call = await testCall(silent, { encoding: 'L16', sampleRate: 16000 });
  call.stream.background(new Int16Array(100));
  for (const wait of await onsets(call)) assert.ok(wait >= 0 && wait <= 90, `${wait} ms`);
  await call.hangup();
});
