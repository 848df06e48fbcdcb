import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { wavBytes } from '../../src/audio/wav.js';
import { resample } from '../../src/codecs/create.js';
import { SidetoneError } from '../../src/errors.js';
import { speak } from '../../src/plugins/speak.js';
import { speechLike } from '../helpers/speech.js';
import { VirtualServer, watched } from '../helpers/virtual-call.js';

let dir: string;
let file: string;
const SPOKEN = speechLike(16000, 3);

before(() => {
  dir = mkdtempSync(join(tmpdir(), 'sidetone-speak-'));
  file = join(dir, 'phrase.wav');
  writeFileSync(file, wavBytes({ sampleRate: 16000, channels: [SPOKEN] }));
});
after(() => rmSync(dir, { recursive: true }));

function looped(pcm: Int16Array, pause: number, length: number): Int16Array {
  const whole = new Int16Array(length);
  for (let at = 0; at < length; at += pcm.length + pause) whole.set(pcm.subarray(0, length - at), at);
  return whole;
}

test('the file is heard again and again without a gap, the queue runs ahead and stays bounded', async () => {
  const { plugin, streams } = watched(speak({ file, pauseMs: 250 }));
  const server = new VirtualServer(plugin);
  const { call } = server.call({ encoding: 'L16', durationMs: 30_000 });
  let aheadMin = Number.POSITIVE_INFINITY;
  let aheadMax = 0;
  for (let ms = 0; ms < 29_000; ms += 100) {
    server.clock.advance(100);
    if (ms < 500) continue;
    aheadMin = Math.min(aheadMin, streams[0]!.queuedMs);
    aheadMax = Math.max(aheadMax, streams[0]!.queuedMs);
  }
  server.clock.advance(5000);
  const result = await call.result;
  // 2 s read ahead, the lead and a message with Telnyx, and the rest of the file that is being read.
  assert.ok(aheadMin > 2000 && aheadMax < 2000 + 300 + 3000, `${aheadMin} to ${aheadMax} ms ahead`);
  assert.equal(result.underruns.count, 0);
  assert.deepEqual(result.errors, []);
  const { samples, sampleRate } = server.simulator.render(result);
  assert.equal(sampleRate, 16000);
  const from = Math.round(result.heard[0]!.atMs * 16);
  const heard = samples.subarray(from);
  assert.ok(heard.length > 29.9 * 16000);
  assert.deepEqual(heard, looped(SPOKEN, 4000, heard.length));
  await server.close();
});

test('a key cuts it off at once and begins anew', async () => {
  const server = new VirtualServer(speak({ file }));
  const { call } = server.call({ encoding: 'PCMA', durationMs: 4000, dtmf: [{ atMs: 1200, digit: '5' }] });
  await server.clock.advanceAsync(6000);
  const result = await call.result;
  assert.equal(result.frames.clearsReceived, 1);
  const { samples } = server.simulator.render(result);
  const phrase = resample(SPOKEN, 16000, 8000);
  // Sent at 5 ms on the caller's clock, back 5 ms later: the phrase begins at 10 ms, and again at 1210 ms.
  const close = (at: number, length: number, from: number): boolean => {
    for (let i = 0; i < length; i++) {
      const [wanted, got] = [phrase[from + i]!, samples[at + i]!];
      if (Math.abs(wanted - got) > 16 + Math.abs(wanted) * 0.04) return false;
    }
    return true;
  };
  const [first, second] = [result.heard[0]!, result.heard.find(segment => segment.atMs > 1200)!];
  assert.equal(first.atMs, 10);
  assert.ok(Math.abs(second.atMs - 1210) < 1, `again at ${second.atMs} ms`);
  assert.ok(close(80, 1200 * 8, 0), 'the phrase up to the key');
  assert.ok(close(Math.round(second.atMs * 8), 2700 * 8, 0), 'the phrase from its beginning after the key');
  await server.close();
});

test('all calls of a rate play the same memory, resampled once', async () => {
  const server = new VirtualServer(speak({ file }));
  const calls = Array.from({ length: 20 }, () => server.call({ durationMs: 1000 }).call);
  server.clock.advance(2000);
  const heard = await Promise.all(
    calls.map(async call => server.simulator.render(await call.result).samples),
  );
  for (const samples of heard) assert.deepEqual(samples, heard[0]);
  await server.close();
});

test('a file that cannot be used is refused when the plugin is made', () => {
  const refusal = (name: string): string => {
    try {
      speak({ file: join(dir, name) });
    } catch (error) {
      assert.ok(error instanceof SidetoneError);
      assert.equal(error.code, 'SIDETONE_BAD_ARGUMENT');
      return error.message;
    }
    return assert.fail(`${name} was taken`);
  };
  assert.match(refusal('none.wav'), /none\.wav: cannot be read/);
  writeFileSync(join(dir, 'empty.wav'), wavBytes({ sampleRate: 8000, channels: [new Int16Array(0)] }));
  assert.match(refusal('empty.wav'), /holds no sound/);
  writeFileSync(join(dir, 'odd.wav'), wavBytes({ sampleRate: 12000, channels: [new Int16Array(10)] }));
  assert.match(refusal('odd.wav'), /12000 Hz: resample it/);
});
