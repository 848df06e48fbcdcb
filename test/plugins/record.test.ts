import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { readWav } from '../../src/audio/wav.js';
import { createEncoder, resample } from '../../src/codecs/create.js';
import { definePlugin } from '../../src/plugin/define.js';
import type { Plugin } from '../../src/plugin/plugin.js';
import echo from '../../src/plugins/echo.js';
import { record } from '../../src/plugins/record.js';
import { speak } from '../../src/plugins/speak.js';
import type { CallOptions } from '../../src/simulator/options.js';
import type { CallResult } from '../../src/simulator/result.js';
import { speechLike } from '../helpers/speech.js';
import { VirtualServer } from '../helpers/virtual-call.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sidetone-record-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** A call to the recorded plugin, and its recording once the file is finished. */
async function recorded(
  inner: Plugin | undefined,
  options: CallOptions,
  server = new VirtualServer(record(inner, { directory })),
) {
  const { call } = server.call({ streamId: 'stream', lingerMs: 500, ...options });
  await server.clock.advanceAsync(20);
  assert.deepEqual(readdirSync(directory), ['stream.wav.part']);
  await server.clock.advanceAsync(6000);
  const result = await call.result;
  while (!existsSync(join(directory, 'stream.wav'))) await new Promise(resolve => setImmediate(resolve));
  assert.deepEqual(server.failures, []);
  await server.close();
  const { channels, sampleRate } = await readWav(join(directory, 'stream.wav'));
  return { server, result, left: channels[0]!, right: channels[1]!, sampleRate };
}

function clicks(sampleRate: number, atMs: readonly number[], lengthMs: number): Int16Array {
  const pcm = new Int16Array((sampleRate * lengthMs) / 1000);
  for (const ms of atMs) pcm.fill(20_000, (ms * sampleRate) / 1000, (ms * sampleRate) / 1000 + 8);
  return pcm;
}

function clicksIn(pcm: Int16Array, sampleRate: number): number[] {
  const found: number[] = [];
  for (let i = 0; i < pcm.length; i++) {
    if (pcm[i]! < 12_000) continue;
    found.push((i * 1000) / sampleRate);
    i += sampleRate / 100;
  }
  return found;
}

function assertNear(found: readonly number[], wanted: readonly number[]): void {
  assert.equal(found.length, wanted.length, `${found} instead of ${wanted}`);
  for (const [i, ms] of found.entries()) assert.ok(Math.abs(ms - wanted[i]!) <= 1, `${found} and ${wanted}`);
}

for (const [encoding, sampleRate] of [
  ['L16', 16000],
  ['PCMU', 8000],
] as const) {
  test(`${encoding}: a click and its echo after a known delay stand at the right samples`, async () => {
    const at = [105, 640, 1337, 2222];
    const frames = (server: VirtualServer) =>
      server.simulator.speech(
        { samples: clicks(sampleRate, at, 3000), sampleRate },
        { encoding, sampleRate },
      );
    const late = definePlugin({
      name: 'late',
      onStart(stream) {
        stream.play(new Int16Array(stream.sampleRate / 4)); // 250 ms of silence come before every echo
        return { onAudio: frame => stream.play(frame.copy()) };
      },
    });
    const server = new VirtualServer(record(late, { directory }));
    const call = await recorded(late, frames(server), server);
    assert.equal(call.sampleRate, sampleRate);
    // A frame ends where it came, and what answers it begins there: 20 ms behind.
    assertNear(clicksIn(call.left, sampleRate), at);
    assertNear(
      clicksIn(call.right, sampleRate),
      at.map(ms => ms + 20 + 250),
    );
  });
}

test('the left channel is what the caller sent, the right one what the caller heard, sample for sample', async () => {
  const spoken = speechLike(16000, 3);
  const server = new VirtualServer(record(echo, { directory }));
  const speech = server.simulator.speech({ samples: spoken, sampleRate: 16000 }, { encoding: 'L16' });
  const { left, right, result } = await recorded(echo, { ...speech, shuffle: 3 }, server);
  assert.deepEqual(left.subarray(0, spoken.length), spoken);
  const heard = server.simulator.render(result).samples;
  const shift = offset(right, heard);
  assert.ok(heard.length > 3.2 * 16000);
  assert.deepEqual(right.subarray(shift, shift + heard.length), heard.subarray(0, right.length - shift));
});

/** Where in `pcm` the rendered sound of a call begins. */
function offset(pcm: Int16Array, heard: Int16Array): number {
  const first = heard.findIndex(sample => sample !== 0);
  for (let at = 0; at < pcm.length; at++) {
    let same = 0;
    while (same < 400 && pcm[at + same] === heard[first + same]) same++;
    if (same === 400) return at - first;
  }
  return assert.fail('what was heard is not in the recording');
}

test('a clear cuts the right channel where it cut what the caller heard', async () => {
  const server = new VirtualServer(record(speak({ pauseMs: 0 }), { directory }));
  const silence = server.simulator.speech(
    { samples: new Int16Array(16000 * 3), sampleRate: 16000 },
    { encoding: 'L16' },
  );
  const { right, result } = await recorded(
    undefined,
    { ...silence, dtmf: [{ atMs: 1503, digit: '1' }] },
    server,
  );
  const heard = server.simulator.render(result).samples;
  const shift = offset(right, heard);
  assert.equal(result.frames.clearsReceived, 1);
  const different = heard
    .subarray(0, right.length - shift)
    .findIndex((sample, i) => sample !== right[i + shift]);
  assert.ok(different === -1, `differs ${different / 16} ms after the start frame`);
});

test('played audio at another rate than the recording is resampled onto its place', async () => {
  const at = [100, 900, 1500];
  const plugin = definePlugin({
    name: 'clicks',
    audio: { sampleRate: 24000 },
    onStart(stream) {
      stream.play(resample(clicks(8000, at, 2000), 8000, 24000));
      return {};
    },
  });
  const server = new VirtualServer(record(plugin, { directory }));
  const speech = server.simulator.speech(
    { samples: clicks(8000, at, 2500), sampleRate: 8000 },
    { encoding: 'PCMU' },
  );
  const { left, right, sampleRate } = await recorded(plugin, speech, server);
  assert.equal(sampleRate, 24000);
  const delayMs = (27 * 1000) / 8000; // of one pass through the stream's resampler
  assertNear(
    clicksIn(left, sampleRate),
    at.map(ms => ms + delayMs),
  );
  assertNear(
    clicksIn(right, sampleRate),
    at.map(ms => ms + 20 + delayMs),
  );
});

test('alone it listens: both channels as long as the call, the right one silent', async () => {
  const spoken = speechLike(16000, 2);
  const server = new VirtualServer(record(undefined, { directory }));
  const speech = server.simulator.speech({ samples: spoken, sampleRate: 16000 }, { encoding: 'L16' });
  const { left, right, result } = await recorded(undefined, speech, server);
  assert.equal(result.frames.mediaReceived, 0);
  assert.deepEqual(left.subarray(0, spoken.length), spoken);
  assert.ok(right.every(sample => sample === 0));
});

test('calls with one id, or one that looks like a path, get files of their own inside the directory', async () => {
  const server = new VirtualServer(record(echo, { directory }));
  const payload = createEncoder('PCMU').encode(new Int16Array(160));
  const options: CallOptions = { inbound: [payload, payload], lingerMs: 100 };
  const calls: Promise<CallResult>[] = [];
  for (const streamId of ['../../up', '../../up', '.', 'x'.repeat(128)])
    calls.push(server.call({ ...options, streamId }).call.result);
  await server.clock.advanceAsync(1000);
  await Promise.all(calls);
  const wanted = ['_.wav', '______up-1.wav', '______up.wav', `${'x'.repeat(128)}.wav`];
  while (readdirSync(directory).some(name => name.endsWith('.part')))
    await new Promise(resolve => setImmediate(resolve));
  assert.deepEqual(readdirSync(directory).sort(), wanted);
  await server.close();
});

test('a directory that cannot be written costs the recording and one report, and the call goes on', async () => {
  const file = join(directory, 'file');
  writeFileSync(file, '');
  const server = new VirtualServer(record(echo, { directory: join(file, 'no') }));
  const speech = server.simulator.speech({ samples: speechLike(8000, 2), sampleRate: 8000 });
  const { call } = server.call(speech);
  await server.clock.advanceAsync(5000);
  const result = await call.result;
  assert.equal(result.ended, 'by the caller');
  assert.equal(result.echo.matched, 100);
  assert.equal(server.failures.length, 1);
  assert.match(String(server.failures[0]), /record: file: .*ENOTDIR/);
  assert.equal((server.failures[0] as { code: string }).code, 'SIDETONE_RECORDING_FAILED');
  await server.close();
});

test("the inner plugin's handler is called with its own this, and its failure is its own", async () => {
  const seen: string[] = [];
  class Handler {
    #secret = 'mine';
    onDtmf(digit: string): void {
      seen.push(this.#secret + digit);
    }
    async onStop(reason: string): Promise<void> {
      seen.push(this.#secret + reason);
      throw new Error('at the end');
    }
  }
  const plugin = definePlugin({ name: 'inner', path: '/here', onStart: () => new Handler() });
  const recorded = record(plugin, { directory });
  assert.equal(recorded.name, 'inner');
  assert.equal(recorded.path, '/here');
  const server = new VirtualServer(recorded);
  const { call } = server.call({ streamId: 'inner', durationMs: 300, dtmf: [{ atMs: 100, digit: '7' }] });
  await server.clock.advanceAsync(1000);
  await call.result;
  while (!existsSync(join(directory, 'inner.wav'))) await new Promise(resolve => setImmediate(resolve));
  assert.deepEqual(seen, ['mine7', 'minestop']);
  assert.match(String(server.failures[0]), /at the end/);
  await server.close();
});
