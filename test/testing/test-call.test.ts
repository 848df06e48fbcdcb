/** `sidetone/testing`: plugins through a call whose time is the test's own. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { definePlugin, type Plugin, readWav, SidetoneError, type StreamHandler } from '../../src/index.js';
import { loadPlugins } from '../../src/plugin/loader.js';
import echo from '../../src/plugins/echo.js';
import { record } from '../../src/plugins/record.js';
import { speak } from '../../src/plugins/speak.js';
import { tone } from '../../src/plugins/tone.js';
import { testCall } from '../../src/testing/index.js';
import { root } from '../helpers/paths.js';
import { speechLike } from '../helpers/speech.js';

const SPEECH = join(root, 'assets/speech.wav');
const SAID = { samples: speechLike(16000, 2), sampleRate: 16000 };

const rms = (samples: Int16Array): number =>
  Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);

/** Where in `within` the samples of `sought` stand, as they are; -1 where they do not. */
const place = (within: Int16Array, sought: Int16Array): number => {
  const bytes = (samples: Int16Array): Buffer =>
    Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
  return bytes(within).indexOf(bytes(sought)) / 2;
};

const fails = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof SidetoneError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};

test('echo: what is said is heard, sample for sample, when time goes on and not before', async () => {
  const call = await testCall(echo, { encoding: 'L16' });
  const saidMs = call.say(SAID);
  assert.equal(saidMs, 2000);
  assert.ok(call.nowMs < 10, `${call.nowMs} ms`);
  const before = call.heard();
  assert.ok(before.samples.length <= 20 * 16);
  await call.advance(saidMs + 100);
  const { samples, sampleRate, parts } = call.heard();
  assert.equal(sampleRate, 16000);
  assert.equal(parts.length, 1);
  // The frame at 0 ms was silence: it left before anything was to be said.
  assert.equal(place(samples, SAID.samples), Math.round((20 + parts[0]!.atMs) * 16));
  assert.equal(call.heard(8000).samples.length, Math.round(samples.length / 2));
  assert.deepEqual((await call.hangup()).errors, []);
  assert.equal(call.stopReason, 'stop');
});

test("speak: a key clears and begins anew; tone: the query is the plugin's", async () => {
  const call = await testCall(speak());
  await call.advance(1000);
  assert.ok(rms(call.heard().samples) > 200);
  call.dtmf('5');
  await call.advance(500);
  assert.equal(call.clears.length, 1);
  assert.ok(call.clears[0]! >= 1000 && call.clears[0]! < 1100, `${call.clears[0]} ms`);
  assert.deepEqual(
    call.heard().parts.map(({ interrupted }) => interrupted),
    [true, false],
  );
  await call.hangup();

  const singing = await testCall(tone(), { encoding: 'L16', query: 'hz=1000&dbfs=-6' });
  await singing.advance(1000);
  const [part] = singing.heard().parts;
  const peak = 32767 * 10 ** (-6 / 20);
  for (let i = 0; i < 1000; i++) {
    const wanted = peak * Math.sin((2 * Math.PI * 1000 * i) / 16000);
    assert.ok(Math.abs(part!.samples[i]! - wanted) < 1, `sample ${i}`);
  }
  await singing.hangup();
  await assert.rejects(
    testCall(tone(), { query: 'hz=1' }),
    fails('SIDETONE_CALL_FAILED', /tone: accept refused/),
  );
});

test('record: the file is whole when the hang-up has resolved; a file that cannot be written fails the test', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sidetone-testing-'));
  try {
    const call = await testCall(record(echo, { directory }), { encoding: 'L16' });
    await call.advance(call.say(SAID) + 200);
    await call.hangup();
    const [file, ...others] = readdirSync(directory);
    assert.deepEqual(others, []);
    const { channels, sampleRate } = await readWav(join(directory, file!));
    assert.equal(sampleRate, 16000);
    assert.ok(place(channels[0]!, SAID.samples) >= 0, 'the caller on the left');
    assert.ok(place(channels[1]!, SAID.samples) >= 0, 'what the caller heard on the right');

    const failing = await testCall(record(echo, { directory: join(directory, file!) }));
    await failing.advance(100);
    await assert.rejects(
      failing.hangup(),
      fails('SIDETONE_HANDLER_FAILED', /onStop failed: .*EEXIST|ENOTDIR/),
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('examples/agent.ts answers after the pause, and falls silent when the caller barges in', async context => {
  const told: { msg: string; playedMs: number }[] = [];
  context.mock.method(console, 'log', (line: string) => told.push(JSON.parse(line)));
  const [agent] = await loadPlugins([join(root, 'examples/agent.ts')]);
  const call = await testCall(agent!.plugin);
  const saidMs = call.say(SPEECH);
  await call.until(() => call.heard().parts.length === 1, saidMs + 2000);
  const answeredMs = call.heard().parts[0]!.atMs;
  assert.ok(
    answeredMs > saidMs - 1000 && answeredMs < saidMs + 1000,
    `answered at ${answeredMs} of ${saidMs} ms`,
  );
  await call.advance(1500);
  assert.deepEqual(call.clears, []);

  const bargedMs = call.nowMs;
  call.say(SPEECH);
  await call.until(() => call.clears.length === 1, 1000);
  // It is paused at once, and told as interrupted once the speech is longer than a cough.
  await call.until(() => told.length === 1, 2000);
  await call.advance(100);
  const [answer] = call.heard().parts;
  assert.equal(answer!.interrupted, true);
  const silentMs = answer!.atMs + answer!.durationMs;
  assert.ok(silentMs >= bargedMs && silentMs <= call.clears[0]! + 20, `silent at ${silentMs} ms`);
  assert.equal(told.length, 1);
  assert.equal(told[0]!.msg, 'interrupted');
  assert.ok(Math.abs(told[0]!.playedMs - answer!.durationMs) <= 20, `${told[0]!.playedMs} ms`);

  // Once the caller lets it speak, the answer is heard to its end.
  await call.until(() => told.length === 2);
  assert.equal(told[1]!.msg, 'answered');
  assert.deepEqual((await call.hangup()).errors, []);
});

test('marks, parameters and the end are reported; handlers with private fields and frozen ones work', async () => {
  class Handler implements StreamHandler {
    readonly #marks: string[] = [];
    get marks(): string[] {
      return this.#marks;
    }
    onMark(name: string): void {
      this.#marks.push(name);
    }
  }
  const handler = new Handler();
  const plugin = definePlugin({
    name: 'greets',
    onStart(stream) {
      stream.play(SAID.samples.subarray(0, 16000), { sampleRate: 16000 });
      void stream.mark(`greeted-${stream.call.customParameters.who}`);
      return handler;
    },
  });
  const call = await testCall(plugin, {
    encoding: 'PCMA',
    customParameters: { who: 'Ann' },
    from: '+15550100',
  });
  assert.equal(call.stream.call.from, '+15550100');
  await call.advance(500);
  assert.deepEqual(
    call.marks.map(({ returnedMs }) => returnedMs),
    call.marks.map(() => undefined),
  );
  await call.advance(1000);
  const [mark] = call.marks;
  assert.equal(mark!.name, 'greeted-Ann');
  assert.ok(mark!.returnedMs! >= 1000 && mark!.returnedMs! < 1030, `${mark!.returnedMs} ms`);
  assert.deepEqual(handler.marks, ['greeted-Ann']);
  await call.hangup();

  const frozen = await testCall({ name: 'frozen', onStart: () => Object.freeze({ onDtmf() {} }) });
  frozen.dtmf('1');
  await frozen.advance(100);
  await frozen.hangup();
});

test('a failing handler fails the test where it failed, once; collected it does not', async () => {
  const failing = definePlugin({
    name: 'failing',
    onStart: () => ({
      onDtmf: digit => {
        throw new Error(`no ${digit}`);
      },
    }),
  });
  const call = await testCall(failing, { server: { handlerErrors: 'bypass' } });
  call.dtmf('7');
  await assert.rejects(
    call.advance(20),
    fails('SIDETONE_HANDLER_FAILED', /handler's onDtmf failed: Error: no 7/),
  );
  await call.hangup();

  const collected = await testCall(failing, { failures: 'collect' });
  collected.dtmf('8');
  await collected.advance(20);
  assert.deepEqual(
    collected.failures.map(({ where }) => where),
    ['onDtmf'],
  );
  assert.equal(collected.stopReason, 'handler_failed');
  assert.equal((await collected.hangup()).ended, 'by the application');

  const atStart = definePlugin({
    name: 'at-start',
    onStart() {
      throw new Error('no model');
    },
  });
  await assert.rejects(
    testCall(atStart),
    fails('SIDETONE_HANDLER_FAILED', /onStart failed: Error: no model/),
  );
  // @ts-expect-error: the handler is wanted at once
  const late: Plugin = { name: 'late', onStart: async () => ({}) };
  await assert.rejects(testCall(late), fails('SIDETONE_HANDLER_FAILED', /onStart returned a promise/));
});

test('what a call cannot be made with is refused, naming it', async () => {
  await assert.rejects(
    testCall(echo, { encoding: 'OPUS' }),
    fails('SIDETONE_BAD_OPTION', /encoding: "OPUS": .*worker/),
  );
  const files = definePlugin({ name: 'files', outbound: { mode: 'mp3' }, onStart: () => ({}) });
  await assert.rejects(testCall(files), fails('SIDETONE_BAD_OPTION', /outbound\.mode: "mp3"/));
  await assert.rejects(testCall({} as Plugin), fails('SIDETONE_PLUGIN_INVALID', /name/));
  const call = await testCall(echo);
  assert.throws(() => call.say([] as never), fails('SIDETONE_BAD_ARGUMENT', /say: /));
  assert.throws(() => call.say(-1), fails('SIDETONE_BAD_ARGUMENT', /say: -1: give/));
  assert.throws(() => call.dtmf('x'), fails('SIDETONE_BAD_OPTION', /dtmf digit is x/));
  assert.throws(() => call.heard(44000), fails('SIDETONE_BAD_ARGUMENT', /heard sampleRate: 44000/));
  await assert.rejects(call.advance(Number.NaN), fails('SIDETONE_BAD_ARGUMENT', /advance: NaN/));
  await assert.rejects(
    call.until(() => false, 100),
    fails('SIDETONE_CALL_FAILED', /within 100 ms/),
  );
  await call.hangup();
});

test('a plugin hears and is heard in its own formats, and what it asks of both is settled with the call', async () => {
  const rates: number[] = [];
  const plugin = definePlugin({
    name: 'wide',
    audio: { sampleRate: 24000 },
    accept: ({ headers }) => ({
      outbound: { encoding: headers['x-codec'] === 'L16' ? 'L16' : 'PCMU', sampleRate: 16000 },
    }),
    onStart: stream => ({
      onAudio(frame) {
        rates.push(frame.sampleRate);
        stream.play(frame);
      },
    }),
  });
  const call = await testCall(plugin, { encoding: 'G722', headers: { 'x-codec': 'L16' } });
  await call.advance(call.say(SAID) + 100);
  assert.ok(rates.length > 100 && rates.every(rate => rate === 24000));
  assert.equal(call.result.outboundEncoding, 'L16');
  const heard = call.heard();
  assert.equal(heard.sampleRate, 16000);
  assert.ok(rms(heard.samples) > 0.5 * rms(SAID.samples));
  assert.deepEqual((await call.hangup()).errors, []);
});
