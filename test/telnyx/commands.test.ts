/**
 * A call from its first word through keys, commands, lost connections and a transfer: on one reactor and on two, with
 * handlers in the reactor and in a thread of the plugin's own.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, describe, it, type TestContext } from 'node:test';
import { threadId } from 'node:worker_threads';
import { type Call, createServer, type Server, type ServerOptions, Simulator } from '../../src/index.js';
import { root } from '../helpers/paths.js';
import { counts, eventually, freePort, startServer, stopServer } from '../helpers/servers.js';
import { speechLike } from '../helpers/speech.js';
import { API_KEY, TelnyxDouble } from '../helpers/telnyx.js';

const agent = join(root, 'test/fixtures/agent-plugin.ts');
/** A caller who speaks for a second, and stays until it is hung up. */
const caller = {
  ...new Simulator().speech({ samples: speechLike(8000, 1), sampleRate: 8000 }),
  durationMs: Number.POSITIVE_INFINITY,
};

/** Tests wait for audio most of their time, so several run at once. */
const together = { concurrency: 4 };

interface Told {
  what: string;
  call: string;
  threadId: number;
  handler: number;
}
const channel = new BroadcastChannel('sidetone-test-agent');
const told: Told[] = [];
channel.onmessage = (message: unknown) => void told.push((message as { data: Told }).data);
after(() => channel.close());

const of = (call: string): Told[] => told.filter(each => each.call === call);
const said = (call: string): string[] => of(call).map(({ what }) => what);
const saying = (call: string, what: string): Promise<void> =>
  eventually(() => said(call).includes(what), `"${what}" after ${said(call).join(', ')}`);
const echoed = (call: Call): Promise<void> =>
  eventually(() => call.soFar().echo.matched >= 10, `an echo: ${JSON.stringify(call.soFar().ended)}`);

/** What is told of a call in order, as far as the words are `wanted`: webhooks come by ways of their own. */
const inOrder = (call: string, wanted: RegExp): string[] => said(call).filter(what => wanted.test(what));

const PLACES: readonly Required<Pick<ServerOptions, 'reactors' | 'isolation'>>[] = [
  { reactors: 1, isolation: 'reactor' },
  { reactors: 2, isolation: 'reactor' },
  { reactors: 1, isolation: 'thread' },
  { reactors: 2, isolation: 'thread' },
];
for (const place of PLACES) {
  describe(`with reactors: ${place.reactors}, handlers in: ${String(place.isolation)}`, together, () => {
    async function scene(test: TestContext, more: ServerOptions = {}): Promise<[TelnyxDouble, Server]> {
      const port = await freePort();
      const webhookUrl = `http://127.0.0.1:${port}/telnyx/webhooks`;
      const telnyx = await TelnyxDouble.start({ webhookUrl, caller, resends: true });
      const server = await createServer({
        port,
        admin: false,
        logLevel: 'silent',
        liveLatencyMaxMs: 0,
        overload: { refuse: false },
        ...place,
        plugins: [agent],
        webhooks: { publicKey: telnyx.publicKey },
        answer: { streamUrl: `ws://127.0.0.1:${port}/agent` },
        api: { key: API_KEY, base: telnyx.rest.base },
        ...more,
      });
      await server.listen();
      test.after(async () => {
        await telnyx.hangUp().catch(() => undefined);
        await stopServer(server);
        await telnyx.close();
      });
      return [telnyx, server];
    }

    it('one handler has a call from its first word through a key, lost connections and a transfer to its hangup', async test => {
      const [telnyx, server] = await scene(test);
      let call = await telnyx.ring();
      const { callControlId } = call;
      await saying(callControlId, 'first word');
      await echoed(call);
      call.dtmf('1');
      // It is carried out, and its answer is lost.
      telnyx.rest.failNext({ status: 0, times: 1 });
      await saying(callControlId, 'done after 2');
      await telnyx.tell('call.machine.detection.ended', callControlId, { result: 'human' });
      await saying(callControlId, 'call.machine.detection.ended');
      // With two reactors, connections are dealt to both of them.
      for (let times = 1; times <= 6; times++) {
        call = await telnyx.reconnect(callControlId);
        await eventually(() => inOrder(callControlId, /^resume/).length === times, `return ${times}`);
        await echoed(call);
        assert.deepEqual(call.soFar().errors, []);
      }
      call.dtmf('2');
      await saying(callControlId, 'stop stop');
      await saying(callControlId, 'done after 1');
      await telnyx.hungUp(callControlId);
      await saying(callControlId, 'call.hangup mos 4.5');
      assert.deepEqual(inOrder(callControlId, /^(start|first|key|resume|stop)/), [
        'start',
        'first word',
        'key 1',
        'resume of the first',
        ...Array(5).fill('resume'),
        'key 2',
        'stop stop',
      ]);
      const first = of(callControlId)[0]!;
      if (place.reactors === 1) assert.equal(first.threadId === threadId, place.isolation === 'reactor');
      for (const { threadId, handler } of of(callControlId)) {
        assert.deepEqual([threadId, handler], [first.threadId, first.handler]);
      }
      const commands = telnyx.rest.requests.filter(({ callControlId: id }) => id === callControlId);
      assert.deepEqual(
        commands.map(({ command, ignored }) => [command, ignored]),
        [
          ['answer', false],
          ['record_start', false],
          ['record_start', true],
          ['transfer', false],
        ],
      );
      assert.equal(commands[1]!.body.command_id, commands[2]!.body.command_id);
      const { resumptions, handlerFailures, takeOvers } = await counts(server);
      assert.deepEqual([resumptions, handlerFailures], [6, 0]);
      assert.equal(takeOvers, 0);
    });

    it('commands of a call that has ended are told apart, and the call hears of it', async test => {
      const [telnyx, server] = await scene(test);
      const call = await telnyx.ring();
      await echoed(call);
      telnyx.rest.ended.add(call.callControlId);
      call.dtmf('1');
      // The rejection of onDtmf ends the stream, as any failure of a handler.
      await saying(call.callControlId, 'stop handler_failed');
      assert.equal((await counts(server)).handlerFailures, 1);
      assert.equal(telnyx.commands.filter(command => command === 'record_start').length, 1);
    });
  });
}

describe('a stream that comes back to another reactor', together, () => {
  /** Without webhooks connections are dealt in turn, so every second one goes to the other reactor. */
  const place = async (server: Server, callControlId: string): Promise<Call> => {
    const call = new Simulator().call(`ws://127.0.0.1:${server.port}/agent`, { ...caller, callControlId });
    await echoed(call);
    return call;
  };
  const perReactor = async (server: Server, counter: string): Promise<number[]> =>
    (await server.snapshot(0)).map(({ counters }) => counters[counter]!);

  async function withTwo(options: ServerOptions, run: (server: Server) => Promise<void>): Promise<void> {
    const server = await startServer([], { plugins: [agent], reactors: 2, ...options });
    try {
      await run(server);
    } finally {
      await stopServer(server);
    }
  }

  it('reaches the handler of before, with all that it says', () =>
    withTwo({}, async server => {
      const id = 'v3:returns';
      for (let times = 0; times < 4; times++) {
        const call = await place(server, id);
        // Every frame comes back, byte for byte.
        await eventually(() => {
          const { echo } = call.soFar();
          return echo.sent >= 50 && echo.matched === echo.sent;
        }, 'the echo of all that was said');
        assert.deepEqual(call.soFar().errors, []);
        if (times === 3) call.hangup();
        else call.drop();
        await call.result;
        await eventually(async () => (await counts(server)).streamsStopped === times + 1, 'its end');
      }
      await saying(id, 'stop stop');
      const threads = new Set(of(id).map(({ threadId }) => threadId));
      assert.equal(threads.size, 1);
      assert.deepEqual(inOrder(id, /^(start|resume|stop)/), [
        'start',
        'resume of the first',
        'resume',
        'resume',
        'stop stop',
      ]);
      // The home opens its own and those that the other one carries to it.
      assert.deepEqual((await perReactor(server, 'streamsStarted')).sort(), [0, 4]);
      assert.deepEqual((await perReactor(server, 'connectionsOpened')).sort(), [2, 4]);
    }));

  it('is told of the window that has passed once, and begins anew then', () =>
    withTwo({ resumeWindowMs: 1 }, async server => {
      const id = 'v3:late';
      for (const times of [1, 2]) {
        const call = await place(server, id);
        call.drop();
        await eventually(() => inOrder(id, /^stop/).length === times, 'the end of the window');
      }
      assert.deepEqual(inOrder(id, /^(start|resume|stop)/), [
        'start',
        'stop disconnected',
        'start',
        'stop disconnected',
      ]);
    }));

  it('whose loss nobody has noticed reaches it too, whatever its stream_id', () =>
    withTwo({}, async server => {
      const id = 'v3:unnoticed';
      const simulator = new Simulator();
      const open = (streamId: string): Call =>
        simulator.call(`ws://127.0.0.1:${server.port}/agent`, { ...caller, callControlId: id, streamId });
      const first = open('same');
      await echoed(first);
      const second = open('same');
      await echoed(second);
      assert.equal((await first.result).ended, 'by the application');
      const third = open('another');
      await echoed(third);
      assert.equal((await second.result).ended, 'by the application');
      third.hangup();
      await saying(id, 'stop stop');
      assert.deepEqual(inOrder(id, /^(start|resume|stop)/), [
        'start',
        // Both streams before it had that stream_id.
        'resume of the first',
        'resume of the first',
        'stop stop',
      ]);
      const { resumptions, takeOvers } = await counts(server);
      assert.deepEqual([resumptions, takeOvers], [2, 0]);
    }));

  it('ends with the drain, on both reactors', async () => {
    const server = await startServer([], { plugins: [agent], reactors: 2, drainTimeoutMs: 500 });
    const id = 'v3:drained';
    const first = await place(server, id);
    first.drop();
    await eventually(async () => (await counts(server)).streamsStopped === 1, 'its end');
    const second = await place(server, id);
    await server.close();
    const { ended, closeCode } = await second.result;
    assert.deepEqual([ended, closeCode], ['by the application', 1001]);
    await eventually(() => inOrder(id, /^stop/).length > 0, 'onStop');
    assert.deepEqual(inOrder(id, /^(start|resume|stop)/).length, 3);
  });
});
