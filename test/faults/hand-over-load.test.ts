/**
 * A deploy under load: real processes, running calls on the old one, and new calls all the while. The short form runs with all
 * tests; `npm run test:hand-over` runs it with 300 running and 50 new calls a second and prints figures.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { runLoad } from '../../src/load/run.js';
import { type ServeChild, serveChild } from '../helpers/serve-child.js';
import { echoedCall, eventually, freePort } from '../helpers/servers.js';

const RUNNING = Number(process.env.SIDETONE_HAND_OVER_CALLS ?? 20);
const NEW_PER_SECOND = Number(process.env.SIDETONE_HAND_OVER_RATE ?? 10);
const IS_LONG = process.env.SIDETONE_HAND_OVER_CALLS !== undefined;
/** New calls before and after the old process was told to end. */
const NEW_BEFORE = (IS_LONG ? 4 : 1) * NEW_PER_SECOND;
const NEW_AFTER = (IS_LONG ? 10 : 2) * NEW_PER_SECOND;
const FRAMES = 10;
const WAIT_MS = 300_000;
/** What the kernel does to a connection that nobody had accepted when its listening socket closed. */
const RESET = /ECONNRESET|socket hang up/;

/** With 1 the kernel gives such connections to the other process. */
const migrates = (): boolean => {
  try {
    return readFileSync('/proc/sys/net/ipv4/tcp_migrate_req', 'utf8').trim() === '1';
  } catch {
    return false;
  }
};

/** Places calls at a steady rate, whatever becomes of those before. Each hears all that it said, byte for byte. */
class NewCalls {
  placed = 0;
  heard = 0;
  resets = 0;
  readonly failures: string[] = [];
  readonly #calls: Promise<void>[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(address: string) {
    const place = async (): Promise<void> => {
      this.placed++;
      try {
        await echoedCall(address, FRAMES);
        this.heard++;
      } catch (error) {
        if (RESET.test(String(error))) this.resets++;
        else this.failures.push(String(error));
      }
    };
    this.#timer = setInterval(() => this.#calls.push(place()), 1000 / NEW_PER_SECOND);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#calls);
  }
}

for (const reactors of [1, 2]) {
  test(`a deploy with ${reactors} reactor(s): ${RUNNING} running calls and ${NEW_PER_SECOND} new ones a second lose nothing`, async context => {
    const port = await freePort();
    const address = `ws://127.0.0.1:${port}/echo`;
    const args = ['--share-port', '--port', String(port), '--reactors', String(reactors)];
    const children: ServeChild[] = [];
    const start = async (): Promise<ServeChild> => {
      const child = await serveChild([...args, '--no-overload-refuse', '--drain-timeout', '600']);
      children.push(child);
      return child;
    };
    const loadEnds = new AbortController();
    let newCalls: NewCalls | undefined;
    try {
      const old = await start();
      let isMeasuring = false;
      const load = runLoad(address, {
        streams: RUNNING,
        seconds: 1200,
        verify: true,
        // How long a busy machine takes is not judged.
        drainSeconds: 60,
        connectTimeoutMs: 60_000,
        signal: loadEnds.signal,
        onProgress: ({ phase }) => {
          isMeasuring ||= phase === 'measuring';
        },
      });
      const placing = async (): Promise<void> => {
        await eventually(() => isMeasuring, 'the running calls', WAIT_MS);
        await start();
        newCalls = new NewCalls(address);
        const heard = (count: number): Promise<void> =>
          eventually(() => newCalls!.heard >= count, `${count} new calls`, WAIT_MS);
        await heard(NEW_BEFORE);
        old.process.kill('SIGTERM');
        await eventually(() => old.output().includes('"msg":"draining"'), 'the drain', WAIT_MS);
        await heard(newCalls.heard + NEW_AFTER);
        assert.equal(old.process.exitCode, null, 'the old process waits for its calls');
      };
      await Promise.race([placing(), load.then(({ problems }) => assert.fail(problems.join('; ')))]);
      loadEnds.abort();
      const running = await load;
      assert.deepEqual(await old.exit, { code: 0, signal: null });
      await newCalls!.stop();
      const { placed, heard, resets, failures } = newCalls!;
      const draining = /"streams":(\d+)[^\n]*"msg":"draining"/.exec(old.output());
      const figures = {
        reactors,
        tcpMigrateReq: migrates() ? 1 : 0,
        running: RUNNING,
        streamsAtDrain: Number(draining?.[1]),
        bytesRight: running.verify!.bytesRight,
        bytesWrong: running.verify!.bytesWrong,
        framesMissing: running.verify!.framesMissing,
        placed,
        heard,
        resets,
        refused: failures.length,
      };
      context.diagnostic(JSON.stringify(figures));
      assert.ok(figures.streamsAtDrain >= RUNNING, JSON.stringify(figures));
      assert.deepEqual(running.problems, []);
      assert.ok(running.verify!.bytesRight >= RUNNING * 160, JSON.stringify(figures));
      assert.deepEqual(failures, []);
      assert.equal(heard + resets, placed);
      assert.ok(resets <= (migrates() ? 0 : Math.max(1, placed / 100)), JSON.stringify(figures));
    } finally {
      loadEnds.abort();
      await newCalls?.stop();
      await Promise.all(children.map(child => child.kill()));
    }
  });
}
