/** The built-in plugins with options, as the config file and the environment give them. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { wavBytes } from '../../src/index.js';
import record from '../../src/plugins/record.js';
import speak from '../../src/plugins/speak.js';
import { testCall } from '../../src/testing/index.js';

const home = mkdtempSync(join(tmpdir(), 'sidetone-built-in-'));
after(() => rmSync(home, { recursive: true }));

test('speak takes a file and a pause', async () => {
  const files = [1000, 2000].map(level => {
    const file = join(home, `${level}.wav`);
    writeFileSync(file, wavBytes({ sampleRate: 16000, channels: [new Int16Array(1600).fill(level)] }));
    return { level, file };
  });
  for (const { level, file } of files) {
    const call = await testCall(speak, { encoding: 'L16', options: { file, pauseMs: 300 } });
    await call.advance(1000);
    const { samples } = call.heard();
    const loud = samples.filter(sample => Math.abs(sample - level) <= 1).length;
    // A tenth of a second in each four tenths, but for what lies at the ends.
    assert.ok(loud >= 2 * 1600 && loud <= 3 * 1600, `${loud} samples`);
    await call.hangup();
  }
  await assert.rejects(testCall(speak, { options: { file: join(home, 'none.wav') } }), {
    code: 'SIDETONE_SETUP_FAILED',
    message: /plugin speak: setup failed: speak file: .*none\.wav: cannot be read/,
  });
  await assert.rejects(testCall(speak, { options: { pauseMs: -1 } }), {
    message: /speak: options\.pauseMs: -1/,
  });
});

test('record takes a directory', async () => {
  const directory = join(home, 'calls');
  const call = await testCall(record, { encoding: 'L16', options: { directory } });
  await call.advance(200);
  await call.hangup();
  assert.deepEqual(readdirSync(directory), [`${call.stream.id}.wav`]);
});
