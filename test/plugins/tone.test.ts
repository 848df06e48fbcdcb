import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PluginContext, StreamRequest } from '../../src/index.js';
import { tone } from '../../src/plugins/tone.js';
import { VirtualServer } from '../helpers/virtual-call.js';

for (const [hz, query] of [
  [440, ''],
  [1237, 'hz=1237'],
] as const) {
  test(`${hz} Hz: one phase from the first sample to the last, whatever the messages`, async () => {
    const server = new VirtualServer(tone());
    const { call } = server.call({ encoding: 'L16', durationMs: 12_000 }, query);
    server.clock.advance(13_000);
    const result = await call.result;
    assert.equal(result.underruns.count, 0);
    const { samples, sampleRate } = server.simulator.render(result);
    const heard = samples.subarray(Math.round((result.heard[0]!.atMs * sampleRate) / 1000));
    assert.ok(heard.length > 11.9 * sampleRate);
    const peak = 32767 * 10 ** (-12 / 20);
    let worst = 0;
    for (let i = 0; i < heard.length; i++) {
      worst = Math.max(worst, Math.abs(heard[i]! - peak * Math.sin((2 * Math.PI * hz * i) / sampleRate)));
    }
    assert.ok(worst <= 0.51, `off by ${worst}`);
    await server.close();
  });
}

test('the level is as asked for', async () => {
  const server = new VirtualServer(tone());
  const { call } = server.call({ encoding: 'L16', durationMs: 500 }, 'dbfs=-40');
  server.clock.advance(1000);
  const { samples } = server.simulator.render(await call.result);
  assert.equal(Math.max(...samples), Math.round(327.67));
  await server.close();
});

test('what no telephone carries is refused at the upgrade', () => {
  const { accept } = tone();
  const judge = (query: string) =>
    accept!(
      { query: new URLSearchParams(query) } as StreamRequest,
      {} as PluginContext<undefined, undefined>,
    );
  for (const query of ['', 'hz=50', 'hz=3400', 'dbfs=0', 'hz=1000&dbfs=-60'])
    assert.equal(judge(query), true, query);
  for (const query of ['hz=49', 'hz=3401', 'hz=440.5', 'hz=x', 'dbfs=1', 'dbfs=-61', 'dbfs=loud'])
    assert.equal(judge(query), false, query);
});
