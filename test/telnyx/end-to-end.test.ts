/** From a webhook to audio heard: Telnyx's side is a double of its REST API, signed webhooks and simulated calls. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, describe, it, type TestContext } from 'node:test';
import { readWav } from '../../src/audio/wav.js';
import { resample } from '../../src/codecs/create.js';
import {
  buildStreamingStart,
  type Call,
  type CallResult,
  createServer,
  definePlugin,
  type Server,
  type ServerOptions,
  Simulator,
  startStreaming,
  type WebhookEvent,
} from '../../src/index.js';
import { root } from '../helpers/paths.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { type ServeChild, serveChild } from '../helpers/serve-child.js';
import { counts, eventually, freePort, stopServer } from '../helpers/servers.js';
import { likeness, speechLike } from '../helpers/speech.js';
import { API_KEY, TelnyxDouble } from '../helpers/telnyx.js';
import { createWebhookSigner, webhookBody } from '../helpers/webhooks.js';

const TOKEN = 'stream-token-secret';
const phrase = await readWav(join(root, 'assets/speech.wav'));
const spoken = speechLike(8000, 1);
/** A caller who speaks for a second, and stays until it is hung up. */
const caller = {
  ...new Simulator().speech({ samples: spoken, sampleRate: 8000 }),
  durationMs: Number.POSITIVE_INFINITY,
};
/** What a caller must have heard before it is judged: a second, and what codecs put before it. */
const ENOUGH_MS = 1200;

after(() => RawSocket.destroyAll());

/** Tests wait for audio most of their time, so several run at once. */
const together = { concurrency: 4 };

interface Scene {
  telnyx: TelnyxDouble;
  server: Server;
}

/** A server that answers calls, at `path`, and the Telnyx that tells it of them. */
async function scene(test: TestContext, options: ServerOptions = {}, path = '/'): Promise<Scene> {
  const port = await freePort();
  const telnyx = await TelnyxDouble.start({
    webhookUrl: `http://127.0.0.1:${port}/telnyx/webhooks`,
    caller,
  });
  const server = await createServer({
    // Late live audio is not shortened, because what is heard must not depend on the machine.
    liveLatencyMaxMs: 0,
    overload: { refuse: false },
    port,
    admin: false,
    logLevel: 'silent',
    webhooks: { publicKey: telnyx.publicKey },
    answer: { streamUrl: `ws://127.0.0.1:${port}${path}`, apiKey: API_KEY, apiBase: telnyx.rest.base },
    ...options,
  });
  await server.listen();
  test.after(async () => {
    // A test that failed leaves webhooks that do not arrive.
    await telnyx.hangUp().catch(() => undefined);
    await stopServer(server);
    await telnyx.close();
  });
  return { telnyx, server };
}

/** The phrase of the plugin `speak`, as far as `seconds`, at a rate. */
function spokenPhrase(sampleRate: number, seconds: number): Int16Array {
  const pcm = phrase.channels[0]!.subarray(0, phrase.sampleRate * seconds);
  return resample(pcm, phrase.sampleRate, sampleRate);
}

/** Hangs up when the caller has heard enough. */
async function listen(call: Call): Promise<CallResult> {
  await eventually(() => {
    const { ended, heardMs } = call.soFar();
    return ended !== 'running' || heardMs >= ENOUGH_MS;
  }, `${ENOUGH_MS} ms are heard`);
  call.hangup();
  return call.result;
}

function assertClean(result: CallResult): void {
  assert.equal(result.ended, 'by the caller', result.failure);
  assert.deepEqual(result.errors, []);
  assert.deepEqual(result.warnings, []);
}

/** That the caller heard `said`, beginning in the first half second of all that it heard. Gaps are the business of tests with a virtual clock. */
function assertHeard(telnyx: TelnyxDouble, result: CallResult, said: Int16Array, least: number): void {
  assertClean(result);
  let atMs = 0;
  const heard = result.heard.map(segment => {
    const placed = { ...segment, atMs };
    atMs += segment.durationMs;
    return placed;
  });
  const { samples, sampleRate } = telnyx.simulator.render({ ...result, heard });
  const alike = likeness(samples, said, sampleRate / 2);
  assert.ok(alike >= least, `${result.outboundEncoding}: likeness ${alike}, at least ${least} is wanted`);
}

describe('from webhook to audio heard', together, () => {
  const cases = [
    { outboundCodec: { encoding: 'PCMU' }, rate: 8000, commands: ['answer'], least: 0.99 },
    { outboundCodec: { encoding: 'G722' }, rate: 16000, commands: ['answer'], least: 0.99 },
    { outboundCodec: { encoding: 'OPUS' }, rate: 8000, commands: ['answer'], least: 0.9 },
    {
      outboundCodec: { encoding: 'L16', sampleRate: 16000 },
      rate: 16000,
      commands: ['answer', 'streaming_start'],
      least: 0.9999,
    },
  ] as const;
  for (const reactors of [1, 2]) {
    for (const { outboundCodec, rate, commands, least } of cases) {
      it(`in ${outboundCodec.encoding} at ${rate} Hz, with ${reactors} reactors`, async test => {
        const { telnyx, server } = await scene(test, { reactors, outboundCodec, plugins: ['speak'] });
        const results = await Promise.all(
          [1, 2].map(async () => {
            const call = await telnyx.ring();
            return listen(call);
          }),
        );
        for (const result of results) assertHeard(telnyx, result, spokenPhrase(rate, 1), least);
        await telnyx.settled();
        assert.deepEqual(telnyx.commands.sort(), [...commands, ...commands].sort());
        assert.ok(telnyx.deliveries.every(({ status }) => status === 200));
        const { webhooksAccepted, callsAnswered, answersFailed } = await counts(server);
        // Initiated, answered, started, stopped, hung up.
        assert.deepEqual([webhooksAccepted, callsAnswered, answersFailed], [10, 2, 0]);
        // A call that is over is forgotten after its webhook has been answered.
        await eventually(() => server.expectations.size === 0, 'the end of what was expected');
      });
    }
  }

  for (const [path, wanted] of [
    ['/wanting', 'PCMA'],
    ['/wanting?outbound=G722', 'G722'],
    ['/echo', 'OPUS'],
  ] as const) {
    it(`asks for what the plugin of ${path} sends, and before that for what its query says`, async test => {
      const plugin = definePlugin({
        name: 'wanting',
        outbound: { encoding: 'PCMA' },
        onStart: stream => ({ onAudio: frame => stream.play(frame) }),
      });
      const options: ServerOptions = { plugins: ['echo', plugin], outboundCodec: { encoding: 'OPUS' } };
      const { telnyx } = await scene(test, options, path);
      const result = await listen(await telnyx.ring());
      assert.equal(result.outboundEncoding, wanted);
      const rate = telnyx.simulator.render(result).sampleRate;
      assertHeard(telnyx, result, resample(spoken, 8000, rate), 0.9);
    });
  }

  it('with a token in two steps, and lets in nobody without it', async test => {
    const { telnyx, server } = await scene(test, { authToken: ['another', TOKEN].reverse() });
    const result = await listen(await telnyx.ring());
    assertHeard(telnyx, result, spoken, 0.99);
    assert.ok(result.echo.matched >= 50, JSON.stringify(result.echo));
    const [answer, start] = telnyx.rest.requests;
    assert.deepEqual(Object.keys(answer!.body), ['command_id']);
    assert.equal(start!.command, 'streaming_start');
    assert.equal(start!.body.stream_auth_token, TOKEN);
    const stranger = await new Simulator().call(`ws://127.0.0.1:${server.port}/`, { durationMs: 100 }).result;
    assert.equal(stranger.httpStatus, 401);
  });
});

describe('what is no webhook of Telnyx', together, () => {
  for (const reactors of [1, 2]) {
    it(`is refused, and the calls that run do not notice, with ${reactors} reactors`, async test => {
      const { telnyx, server } = await scene(test, { reactors });
      const call = await telnyx.ring();
      const ring = (id: string): Uint8Array =>
        webhookBody('call.initiated', id, { call_control_id: `v3:${id}`, direction: 'incoming' });
      const { signer } = telnyx;
      const status = async (body: Uint8Array, headers: Record<string, string>): Promise<number> =>
        (await telnyx.post(body, headers)).status;
      const nowMs = Date.now();

      assert.equal(await status(ring('unsigned'), {}), 401);
      assert.equal(await status(ring('forged'), createWebhookSigner().headers(ring('forged'), nowMs)), 401);
      assert.equal(await status(ring('altered'), signer.headers(ring('other'), nowMs)), 401);
      assert.equal(await status(ring('late'), signer.headers(ring('late'), nowMs - 600_000)), 401);
      assert.equal(await status(ring('early'), signer.headers(ring('early'), nowMs + 600_000)), 401);
      const replayed = webhookBody('streaming.started', 'replayed', { call_control_id: 'v3:replayed' });
      const headers = signer.headers(replayed, nowMs);
      // Whichever thread takes them.
      const twice = [await status(replayed, headers), await status(replayed, headers)];
      assert.deepEqual([...twice, await status(replayed, headers)], [200, 409, 409]);
      const again = signer.headers(replayed, nowMs - 1000);
      assert.equal(await status(replayed, again), 200, 'the same event, delivered again');
      // The webhook is signed, so it is genuine, but it cannot be read. It is counted and must not be sent again.
      const noEvent = Buffer.from('[7]');
      assert.equal(await status(noEvent, signer.headers(noEvent, nowMs)), 200);
      const large = Buffer.alloc(262_145, 32);
      assert.equal(await status(large, signer.headers(large, nowMs)), 413);
      const largest = Buffer.alloc(262_144, 32);
      assert.equal(await status(largest, signer.headers(largest, nowMs)), 200);
      const path = `http://127.0.0.1:${server.port}`;
      assert.equal((await fetch(`${path}/telnyx/webhooks`)).status, 426);
      assert.equal((await fetch(`${path}/elsewhere`, { method: 'POST', body: replayed })).status, 426);

      const leaving = new RawSocket(server.port);
      const beginning = 'POST /telnyx/webhooks HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{"data"';
      await new Promise(resolve => leaving.tcp.write(beginning, resolve));
      leaving.destroy();
      await eventually(async () => (await counts(server)).webhooksAborted === 1, 'the abort');

      const all = await counts(server);
      const refused = Object.entries({
        webhooksNoSignature: 1,
        webhooksBadSignature: 2,
        webhooksStale: 2,
        webhooksReplayed: 2,
        webhooksDuplicate: 1,
        webhooksBadBody: 2,
        webhooksTooLarge: 1,
      });
      for (const [name, times] of refused) assert.equal(all[name], times, name);
      assertHeard(telnyx, await listen(call), spoken, 0.99);
      await telnyx.settled();
      assert.deepEqual(telnyx.commands, ['answer']);
    });
  }

  it('is nothing at all where no public key is given', async test => {
    const server = await createServer({ port: 0, admin: false, logLevel: 'silent' });
    await server.listen();
    test.after(() => stopServer(server));
    const url = `http://127.0.0.1:${server.port}/telnyx/webhooks`;
    assert.equal((await fetch(url, { method: 'POST', body: '{}' })).status, 426);
  });
});

describe('what plugins are told', together, () => {
  interface Told {
    type: WebhookEvent['type'];
    call: string;
    isMainThread: boolean;
    threadId: number;
    hadStream: boolean;
    /** As its setup found it. */
    reactor: number | undefined;
  }

  for (const reactors of [1, 2]) {
    it(`is every event once, where the call's stream is, with ${reactors} reactors`, async test => {
      const told: Told[] = [];
      const channel = new BroadcastChannel('sidetone-test-webhooks');
      channel.onmessage = message => told.push((message as MessageEvent).data as Told);
      test.after(() => channel.close());
      const plugins = [join(root, 'test/fixtures/webhook-plugin.ts')];
      const { telnyx, server } = await scene(test, { reactors, plugins });
      const calls = await Promise.all([telnyx.ring(), telnyx.ring(), telnyx.ring()]);
      for (const call of calls) assertHeard(telnyx, await listen(call), spoken, 0.99);
      await telnyx.settled();
      // The channel is every test's.
      const toldOf = (callControlId: string): Told[] => told.filter(({ call }) => call === callControlId);
      await eventually(
        () => calls.every(({ callControlId }) => toldOf(callControlId).length >= 5),
        'what is told',
      );
      for (const { callControlId } of calls) {
        const ofCall = toldOf(callControlId);
        const at = (type: string): Told => ofCall.find(event => event.type === type)!;
        assert.deepEqual(ofCall.map(({ type }) => type).sort(), [
          'call.answered',
          'call.hangup',
          'call.initiated',
          'streaming.started',
          'streaming.stopped',
        ]);
        assert.deepEqual([at('call.initiated').isMainThread, at('call.initiated').hadStream], [true, false]);
        assert.deepEqual(
          [at('streaming.stopped').isMainThread, at('streaming.stopped').hadStream],
          [reactors === 1, true],
        );
        assert.equal(at('call.hangup').hadStream, true);
        assert.equal(at('call.initiated').reactor, reactors === 1 ? 0 : undefined);
        assert.ok([0, 1].includes(at('streaming.stopped').reactor!), 'the setup of its reactor');
      }
      await eventually(async () => (await counts(server)).webhookFailures === 3, 'the failures');
    });
  }

  it('is what TeXML tells in a form, as the same events, and what nobody knows yet', async test => {
    const events: WebhookEvent[] = [];
    const plugin = definePlugin({
      name: 'listener',
      onStart: () => undefined,
      onWebhook: event => void events.push(event),
    });
    const { telnyx, server } = await scene(test, { plugins: [plugin] });
    const post = async (text: string, type: string): Promise<number> => {
      const body = Buffer.from(text);
      const headers = { ...telnyx.signer.headers(body, Date.now()), 'content-type': type };
      return (await telnyx.post(body, headers)).status;
    };
    const form = 'application/x-www-form-urlencoded';
    const failed =
      'AccountSid=a&CallSid=v3%3Atexml&StreamEvent=stream-error&StreamSid=s&StreamError=no+route';
    assert.equal(await post(failed, form), 200);
    assert.equal(
      await post('{"data":{"id":"n","event_type":"call.of.2030","payload":{}}}', 'text/plain'),
      200,
    );
    await eventually(() => events.length === 2, 'the events', 30_000);
    const [first, second] = events;
    assert.ok(first?.type === 'streaming.failed');
    assert.deepEqual(
      [first.callControlId, first.streamId, first.failureReason],
      ['v3:texml', 's', 'no route'],
    );
    assert.ok(second?.type === 'other');
    assert.equal(second.eventType, 'call.of.2030');
    const { webhooksAccepted, webhooksBadBody } = await counts(server);
    assert.deepEqual([webhooksAccepted, webhooksBadBody], [2, 0]);
  });

  it('is that a stream failed, and why', async test => {
    const events: WebhookEvent[] = [];
    const closed = definePlugin({
      name: 'closed',
      accept: () => false,
      onStart: () => undefined,
      onWebhook: event => {
        events.push(event);
        if (event.type === 'call.hangup') throw new Error('a failure of the plugin');
      },
    });
    const { telnyx, server } = await scene(test, { plugins: [closed] });
    assert.equal((await (await telnyx.ring()).result).httpStatus, 403);
    await telnyx.settled();
    await eventually(async () => (await counts(server)).webhookFailures === 1, 'the failure');
    const failed = events.find(event => event.type === 'streaming.failed');
    assert.ok(failed?.type === 'streaming.failed');
    assert.equal(failed.failureReason, 'connection_failed');
    assert.equal(failed.streamUrl, `ws://127.0.0.1:${server.port}/`);
  });
});

describe('calls that cannot be answered', together, () => {
  it('go on ringing while the server is full', async test => {
    const { telnyx, server } = await scene(test, { streamsMax: 1 });
    const first = await telnyx.ring();
    await eventually(() => server.connections === 1, 'the first stream');
    void telnyx.ring('v3:second');
    await eventually(async () => (await counts(server)).callsLeftRinging === 1, 'the second call');
    // Not an end: Telnyx sends it again.
    const turned = (): boolean =>
      telnyx.deliveries.some(({ event, status }) => event === 'call.initiated' && status === 503);
    await eventually(turned, 'the 503', 30_000);
    assert.equal((await counts(server)).webhooksNotNow, 1);
    assertHeard(telnyx, await listen(first), spoken, 0.99);
    assert.deepEqual(telnyx.commands, ['answer']);
  });

  it('are counted when Telnyx refuses the answer', async test => {
    const { telnyx, server } = await scene(test);
    telnyx.rest.ended.add('v3:gone');
    void telnyx.ring('v3:gone');
    await eventually(async () => (await counts(server)).answersFailed === 1, 'the failure');
    assert.equal(server.expectations.size, 0);
    assertHeard(telnyx, await listen(await telnyx.ring()), spoken, 0.99);
  });
});

describe('reactors', together, () => {
  it('share the streams, whatever the rhythm of webhooks between them', async test => {
    const { telnyx, server } = await scene(test, { reactors: 2 });
    const calls: Call[] = [];
    for (let i = 1; i <= 14; i++) {
      calls.push(await telnyx.ring());
      // By then each call had four connections, and the stream's was always the third. Dealt one by one, all streams
      // would go to one thread.
      const started = (): number =>
        telnyx.deliveries.filter(({ event }) => event === 'streaming.started').length;
      await eventually(() => started() === i, 'the beginning of a stream');
    }
    for (const call of calls) call.hangup();
    await telnyx.settled();
    const snapshots = await server.snapshot(0);
    const shares = snapshots.map(({ counters }) => counters.streamsStarted!);
    assert.equal(
      shares.reduce((sum, share) => sum + share),
      14,
    );
    assert.ok(Math.min(...shares) > 0, `streams a reactor: ${shares.join(', ')}`);
  });
});

describe('startStreaming beside the server', together, () => {
  for (const reactors of [1, 2]) {
    it(`makes it send what was asked for, with ${reactors} reactors`, async test => {
      const { telnyx, server } = await scene(test, { reactors, plugins: ['speak'], answer: undefined });
      const url = `ws://127.0.0.1:${server.port}/` as const;
      const body = buildStreamingStart({
        url,
        local: true,
        outbound: { mode: 'rtp', encoding: 'L16', sampleRate: 24000 },
      });
      const calls: Call[] = [];
      for (const id of ['v3:one', 'v3:two']) {
        const stream = telnyx.stream(id);
        const { expectations } = server;
        await startStreaming(id, body, { apiKey: API_KEY, apiBase: telnyx.rest.base, expectations });
        calls.push(await stream);
      }
      for (const call of calls) assertHeard(telnyx, await listen(call), spokenPhrase(24000, 1), 0.9999);
      for (const request of telnyx.rest.requests) assert.equal(request.body.custom_parameters, undefined);
    });
  }
});

describe('sidetone serve --answer', together, () => {
  it('answers, talks, and tells no secret', async test => {
    const port = await freePort();
    const webhookUrl = `http://127.0.0.1:${port}/hooks`;
    const telnyx = await TelnyxDouble.start({ webhookUrl, caller });
    const args = [
      '--port',
      String(port),
      '--log-level',
      'debug',
      '--plugin',
      'speak',
      '--webhook-path',
      '/hooks',
    ];
    const answer = ['--answer', `ws://127.0.0.1:${port}/`, '--api-base', telnyx.rest.base];
    const codec = ['--outbound-codec', 'L16@16000', '--auth-token', TOKEN];
    const child: ServeChild = await serveChild(
      [...args, '--webhook-public-key', telnyx.publicKey, ...answer, ...codec],
      {
        environment: { TELNYX_API_KEY: API_KEY, TELNYX_LOG: 'debug' },
      },
    );
    test.after(async () => {
      await child.kill();
      await telnyx.close();
    });
    const result = await listen(await telnyx.ring());
    assertHeard(telnyx, result, spokenPhrase(16000, 1), 0.9999);
    await telnyx.settled();
    assert.deepEqual(telnyx.commands, ['answer', 'streaming_start']);
    telnyx.rest.ended.add('v3:gone');
    void telnyx.ring('v3:gone');
    const forged = webhookBody('call.initiated', 'x', { call_control_id: 'x', direction: 'incoming' });
    assert.equal((await telnyx.post(forged, createWebhookSigner().headers(forged, Date.now()))).status, 401);
    await eventually(() => child.output().includes('could not be answered'), 'the log of the failure');
    assert.deepEqual(await child.stop(), { code: 0, signal: null });
    assert.match(child.output(), /"event":"streaming.stopped"/);
    assert.match(child.output(), /"outcome":"bad_signature"/);
    for (const secret of [API_KEY, TOKEN, '+13122010094']) {
      assert.ok(!child.output().includes(secret), child.output());
    }
  });
});
