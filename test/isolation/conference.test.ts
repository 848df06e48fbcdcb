/** Calls are joined to calls in the same way wherever their handlers run. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDecoder, createEncoder, type Server } from '../../src/index.js';
import { eventually } from '../helpers/servers.js';
import { MODES, SteeredCall, withSteered } from '../helpers/steered.js';

/** What each caller says all the time, as a code of µ-law. */
const CODES = [0x9f, 0xaf, 0xbf];

/** The one sample of the music on hold. */
const MUSIC = -12_000;

/** The code of the sum of what these codes stand for. */
function sumOf(...codes: number[]): number {
  const samples = codes.map(code => createDecoder('PCMU').decode(Uint8Array.of(code))[0]!);
  const sum = Int16Array.of(samples.reduce((total, sample) => total + sample));
  return createEncoder('PCMU').encode(sum)[0]!;
}

/** Calls whose callers say one code each, and whose handlers are quiet. */
async function meeting(server: Server, run: (calls: SteeredCall[]) => Promise<void>): Promise<void> {
  const calls: SteeredCall[] = [];
  for (const _ of CODES) calls.push(await SteeredCall.start(server));
  const talk = setInterval(() => {
    for (const [i, { socket, wire }] of calls.entries()) {
      if (!socket.closed) socket.send(wire.media(new Uint8Array(160).fill(CODES[i]!)));
    }
  }, 20);
  try {
    for (const call of calls) await call.do('quiet');
    await run(calls);
  } finally {
    clearInterval(talk);
    for (const call of calls) call.close();
  }
}

const [first, second, third] = CODES as [number, number, number];

for (const isolation of MODES) {
  for (const reactors of [1, 2]) {
    const where = `(${String(isolation)}, ${reactors} reactor${reactors > 1 ? 's' : ''})`;
    const options = { isolation: isolation as 'thread', reactors };

    test(`three callers meet, are muted, held with music, leave and hang up ${where}`, () =>
      withSteered(options, server =>
        meeting(server, async ([a, b, c]) => {
          for (const call of [a!, b!, c!]) assert.equal(await call.do('join', 1), true);
          await a!.hearsOnly(sumOf(second, third));
          await b!.hearsOnly(sumOf(first, third));
          await c!.hearsOnly(sumOf(first, second));
          await eventually(async () => (await a!.do('place')).sizes.at(-1) === 3, 'a size of 3');
          await a!.do('mute');
          await b!.hearsOnly(third);
          await a!.hearsOnly(sumOf(second, third));
          await a!.do('unmute');
          await b!.hearsOnly(sumOf(first, third));
          await b!.do('hold', MUSIC);
          await b!.hearsOnly(createEncoder('PCMU').encode(Int16Array.of(MUSIC))[0]!);
          await a!.hearsOnly(third);
          const { muted, onHold, left } = await b!.do('place');
          assert.deepEqual({ muted, onHold, left }, { muted: false, onHold: true, left: false });
          await b!.do('unhold');
          await b!.hearsOnly(sumOf(first, third));
          await c!.do('leave');
          await a!.hearsOnly(second);
          assert.equal((await c!.do('place')).left, true);
          assert.equal(await c!.do('join', 1), true);
          await a!.hearsOnly(sumOf(second, third));
          c!.hangUp();
          await a!.hearsOnly(second);
          await eventually(async () => (await a!.do('place')).size === 2, 'a size of 2');
        }),
      ));

    test(`a conference is recorded, to its end or until nobody is in it ${where}`, () =>
      withSteered(options, server =>
        meeting(server, async ([a, b]) => {
          await a!.do('join', 1);
          await b!.do('join', 1);
          await a!.hearsOnly(second);
          assert.equal(await a!.do('record'), 'SIDETONE_BAD_ARGUMENT');
          await eventually(async () => (await a!.do('recorded')).loud >= 8000, 'a second of it');
          await a!.do('endRecord');
          const { samples, loud, closed } = await a!.do('recorded');
          assert.equal(closed, true);
          assert.ok(samples >= loud, `${samples} samples, of which ${loud} are loud`);
          assert.equal(await a!.do('record'), 'SIDETONE_BAD_ARGUMENT');
          await a!.do('leave');
          await b!.do('leave');
          await eventually(async () => (await a!.do('recorded')).closed, 'the end of the recording');
        }),
      ));
  }

  test(`what cannot join says why, and a full conference refuses (${String(isolation)})`, () =>
    withSteered({ isolation: isolation as 'thread' }, server =>
      meeting(server, async ([a, b, c]) => {
        for (const call of [a!, b!, c!]) await call.do('join', 2);
        const bad = 'SIDETONE_BAD_ARGUMENT';
        assert.deepEqual(await a!.do('joinWrong'), [bad, bad, bad, bad, bad, bad, bad, 0]);
        const fourth = await SteeredCall.start(server);
        await assert.rejects(fourth.do('join', 2), /SIDETONE_CONFERENCE_FULL/);
        fourth.close();
        // Nothing of it is left.
        await a!.hearsOnly(sumOf(second, third));
        assert.deepEqual((await a!.do('place')).size, 3);
      }),
    ));

  test(`two calls are bridged, and one that hangs up leaves the other alone (${String(isolation)})`, () =>
    withSteered({ isolation: isolation as 'thread' }, server =>
      meeting(server, async ([a, b]) => {
        await b!.do('name', 2);
        await a!.do('bridge', 2);
        await a!.hearsOnly(second);
        await b!.hearsOnly(first);
        b!.hangUp();
        await eventually(async () => {
          const { size, here, leaves, left } = await a!.do('place');
          return size === 1 && here === 1 && leaves === 1 && !left;
        }, 'that it is alone');
      }),
    ));
}

test('who was in a conference with a thread that ends joins again with the new one', () =>
  withSteered({ isolation: 'thread' }, server =>
    meeting(server, async ([a, b]) => {
      for (const call of [a!, b!]) await call.do('join', 3);
      await a!.hearsOnly(second);
      await a!.order('exit');
      for (const call of [a!, b!]) {
        await call.wasTold('onStart', 'thread_lost');
        await call.do('quiet');
        await call.do('join', 3);
      }
      await a!.hearsOnly(second);
      await b!.hearsOnly(first);
      assert.equal((await b!.do('place')).size, 2);
    }),
  ));
