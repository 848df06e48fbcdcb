/**
 * A call's frames may be written in any way and come in any order. The audio must be that of the orderly call, byte
 * for byte. The calls go over real sockets to the echo plugin.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import fc from 'fast-check';
import type { Encoding, Server } from '../src/index.js';
import { RawSocket } from './helpers/raw-socket.js';
import { propertyRuns } from './helpers/runs.js';
import { counts, startedCall, startServer, stopServer } from './helpers/servers.js';
import { payloads } from './helpers/telnyx-messages.js';
import { ORDERLY, type WireStyle, written } from './helpers/wire-styles.js';

let server: Server;
before(async () => {
  // All of a call's echo may be sent at once, and no pause between two pieces of it is long enough for a loss.
  server = await startServer([], { leadMs: 5000, reorderWaitMs: 1000 });
});
afterEach(() => RawSocket.destroyAll());
after(() => stopServer(server));

const ENCODINGS: Encoding[] = ['PCMU', 'PCMA', 'L16'];
/** Calls of one try, at most; half of it on average. */
const SIDE_BY_SIDE = 40;

/** What comes back when `spoken` is said in a style. */
async function echoOf(encoding: Encoding, spoken: readonly Uint8Array[], style: WireStyle, seed: number) {
  const { socket, call } = await startedCall(server, { encoding });
  const bytes = Buffer.concat(spoken).length;
  // The pieces may end anywhere, so that TCP cuts frames too.
  const wire = Buffer.concat(written(call, spoken, style, seed));
  for (let at = 0; at < wire.length; at += 7001) socket.write(wire.subarray(at, at + 7001));
  await socket.until(
    () => socket.audio().length >= bytes,
    `${encoding}: the echo of ${JSON.stringify(style)}, ${seed}`,
    60_000,
  );
  socket.destroy();
  return socket.audio();
}

const spokenIn = (encoding: Encoding, frames: number, seed: number): Uint8Array[] =>
  payloads(frames, encoding === 'L16' ? 640 : 160, seed);

for (const encoding of ENCODINGS) {
  test(`${encoding}: an orderly call's echo is what was said`, async () => {
    const spoken = spokenIn(encoding, 60, 1);
    assert.deepEqual(await echoOf(encoding, spoken, ORDERLY, 1), Buffer.concat(spoken));
  });

  for (const name of Object.keys(ORDERLY) as (keyof WireStyle)[]) {
    test(`${encoding}: ${name} frames are heard as the orderly call`, async () => {
      const spoken = spokenIn(encoding, 60, 2);
      const orderly = await echoOf(encoding, spoken, ORDERLY, 2);
      const style = {
        ...ORDERLY,
        [name]: true,
        interleaved: name === 'countedTogether' || name === 'interleaved',
      };
      assert.deepEqual(await echoOf(encoding, spoken, style, 2), orderly);
    });
  }

  test(`${encoding}: any mixture of styles is heard as the orderly call`, async () => {
    const flags = Object.fromEntries(Object.keys(ORDERLY).map(name => [name, fc.boolean()]));
    const mixture = fc.record({
      style: fc.record(flags) as fc.Arbitrary<unknown> as fc.Arbitrary<WireStyle>,
      seed: fc.nat(),
      frames: fc.integer({ min: 1, max: 60 }),
    });
    // The calls run side by side, because two tracks under one counter wait for reorderWaitMs once.
    await fc.assert(
      fc.asyncProperty(
        fc.array(mixture, { minLength: 1, maxLength: SIDE_BY_SIDE, size: 'max' }),
        async mixtures => {
          const heard = mixtures.map(async ({ style, seed, frames }) => {
            const spoken = spokenIn(encoding, frames, seed);
            assert.deepEqual(await echoOf(encoding, spoken, style, seed), Buffer.concat(spoken));
          });
          await Promise.all(heard);
        },
      ),
      { numRuns: Math.ceil(propertyRuns(100) / (SIDE_BY_SIDE / 2)) },
    );
  });
}

test('none of it was refused, lost or concealed, and the odd styles were odd indeed', async () => {
  const all = await counts(server);
  for (const name of ['framesReordered', 'framesDuplicate', 'mediaParsedFully', 'unwantedTrack']) {
    assert.ok(all[name]! > 500, `${name}: ${all[name]}`);
  }
  const { refusedMessages, framesLost, framesConcealed, framesLate, protocolErrors } = all;
  assert.deepEqual(
    { refusedMessages, framesLost, framesConcealed, framesLate, protocolErrors },
    { refusedMessages: 0, framesLost: 0, framesConcealed: 0, framesLate: 0, protocolErrors: 0 },
  );
});
