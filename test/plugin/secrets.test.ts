/** What a handler is given may be logged as it is: it leads to no secret of the server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { definePlugin } from '../../src/index.js';
import { testCall } from '../../src/testing/index.js';

test('no object that a handler is given shows a secret, in a log or on the console', async () => {
  const given = new Map<string, unknown>();
  const plugin = definePlugin({
    name: 'gossip',
    audio: { vad: true },
    onStart(stream, context) {
      given.set('stream', stream);
      given.set('context', context);
      given.set('callControl', stream.callControl);
      given.set('playback', stream.play(new Int16Array(800)));
      given.set('speech', stream.speak());
      given.set('encoded', stream.playEncoded('PCMU', new Uint8Array(160)));
      given.set('mark', stream.mark('here'));
      given.set('clear', stream.clear());
      return { onAudio: frame => void given.set('frame', frame) };
    },
  });
  const server = { authToken: 'hush-1', adminToken: 'hush-2', api: { key: 'hush-3' } };
  const call = await testCall(plugin, { server });
  await call.advance(200);
  assert.equal(given.size, 9);
  for (const [name, value] of given) {
    const seen = new Set<unknown>();
    const shown = JSON.stringify(value, (_, inner: unknown) => {
      if (typeof inner !== 'object' || inner === null) return inner;
      if (seen.has(inner)) return undefined;
      seen.add(inner);
      return inner;
    });
    for (const text of [shown, inspect(value)]) assert.ok(!text.includes('hush-'), `${name}: ${text}`);
  }
  assert.deepEqual(JSON.parse(JSON.stringify(given.get('playback'))), { playedMs: 0, finished: true });
  await call.hangup();
});
