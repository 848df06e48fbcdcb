import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { inspect } from 'node:util';
import { VirtualClock } from '../../src/clock.js';
import { createAnswerer } from '../../src/telnyx/answer.js';
import { buildStreamingStart } from '../../src/telnyx/build.js';
import { requestedIn, StreamExpectations } from '../../src/telnyx/expectations.js';
import type { StreamingStartBody } from '../../src/telnyx/requests.js';
import {
  ApiKeyRefusedError,
  answerCall,
  CallEndedError,
  ChannelLimitError,
  ClientStateRefusedError,
  RateLimitedError,
  readApiBase,
  readApiKey,
  StreamingInUseError,
  StreamingNotInUseError,
  StreamUrlRefusedError,
  startStreaming,
  TelnyxError,
  type TelnyxOptions,
  TelnyxUnavailableError,
  TelnyxUnreachableError,
  UnknownCallError,
} from '../../src/telnyx/rest.js';
import type { CallAnsweredEvent, CallInitiatedEvent } from '../../src/telnyx/webhooks.js';
import { type RestDouble, startRestDouble } from '../helpers/rest-double.js';

const KEY = 'KEY0123456789abcdef_secret';
const CALL = 'v3:9X2vxPDFY2RHSJ1EdMS0RHRksMTg7ldNxdjWbVr9zBjbGjGsSe-aiQ';
const BODY: StreamingStartBody = {
  stream_url: 'wss://voice.example.com/media',
  stream_track: 'both_tracks',
  stream_codec: 'PCMU',
  stream_bidirectional_mode: 'rtp',
  stream_bidirectional_codec: 'L16',
  stream_bidirectional_sampling_rate: 16000,
  stream_bidirectional_target_legs: 'self',
  stream_auth_token: 'stream-token-secret',
  custom_parameters: [{ name: 'customer', value: '12' }],
  enable_dialogflow: true,
  dialogflow_config: { analyze_sentiment: true, partial_automated_agent_reply: false },
  client_state: 'aGF2ZSBhIG5pY2UgZGF5ID1d',
  command_id: '891510ac-f3e4-11e8-af5b-de00688a4901',
};

let double: RestDouble;
let clock: VirtualClock;
let options: TelnyxOptions;
/** Pauses between attempts, as they were asked of the clock. */
let pauses: number[];

before(async () => {
  double = await startRestDouble(KEY);
});
after(() => double.close());
beforeEach(() => {
  double.requests.length = 0;
  double.ended.clear();
  double.refusing.clear();
  double.answerHeaders = {};
  clock = new VirtualClock();
  pauses = [];
  // Pauses pass at once, and are written down.
  const passing = {
    now: () => clock.now(),
    every: clock.every.bind(clock),
    after(delayMs: number, callback: () => void) {
      pauses.push(delayMs);
      const cancel = clock.after(delayMs, callback);
      clock.advance(delayMs);
      return cancel;
    },
  };
  options = { apiKey: KEY, apiBase: double.base, clock: passing, random: () => 1, announce: false };
});

async function failure(work: Promise<unknown>): Promise<TelnyxError> {
  const error = await work.then(
    () => assert.fail('it went through'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof TelnyxError, inspect(error));
  assert.equal(error.code, 'SIDETONE_TELNYX_ERROR');
  for (const secret of [KEY, BODY.stream_auth_token!]) {
    const everything = inspect(error, { depth: 20, showHidden: true }) + JSON.stringify(error.facts);
    assert.ok(!everything.includes(secret), everything);
  }
  return error;
}

describe('startStreaming', () => {
  it('sends every field unchanged', async () => {
    const result = await startStreaming(CALL, BODY, options);
    assert.deepEqual(result, {
      callControlId: CALL,
      commandId: BODY.command_id,
      attempts: 1,
      warnings: [],
    });
    const [request] = double.requests;
    assert.equal(double.requests.length, 1);
    assert.equal(request?.command, 'streaming_start');
    assert.equal(request?.callControlId, CALL);
    assert.deepEqual(request?.body, BODY);
    assert.equal(request?.headers.authorization, `Bearer ${KEY}`);
  });

  it('makes a command_id where there is none, and Telnyx carries it out once', async () => {
    const { command_id: _, ...body } = BODY;
    const { commandId } = await startStreaming(CALL, body, options);
    assert.match(commandId, /^[0-9a-f-]{36}$/);
    assert.equal(double.requests[0]?.body.command_id, commandId);
    await startStreaming(CALL, { ...body, command_id: commandId }, options);
    assert.deepEqual(
      double.requests.map(request => request.ignored),
      [false, true],
    );
    const other = await startStreaming(CALL, body, options);
    assert.notEqual(other.commandId, commandId);
  });

  it('tries 429 and 5xx again with growing pauses, with the same command_id', async () => {
    double.failNext({ status: 429, times: 1 });
    double.failNext({ status: 503, times: 1, body: '<html>secret page</html>' });
    double.failNext({ status: 500, times: 1, body: '' });
    const { command_id: _, ...body } = BODY;
    const result = await startStreaming(CALL, body, options);
    assert.equal(result.attempts, 4);
    assert.deepEqual(pauses, [500, 1000, 2000]);
    assert.deepEqual(
      double.requests.map(request => request.status),
      [429, 503, 500, 200],
    );
  });

  it('waits as long as Retry-After says, within reason', async () => {
    double.failNext({ status: 429, times: 1, headers: { 'retry-after': '3' } });
    double.failNext({ status: 429, times: 1, headers: { 'retry-after': '86400' } });
    double.failNext({ status: 429, times: 1, headers: { 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' } });
    await startStreaming(CALL, { ...BODY, command_id: 'r' }, options);
    assert.deepEqual(pauses, [3000, 30_000, 2000]);
  });

  it('gives up after the retries', async () => {
    double.failNext({ status: 429, times: 3 });
    const limited = await failure(startStreaming(CALL, BODY, { ...options, retriesMax: 2 }));
    assert.ok(limited instanceof RateLimitedError);
    assert.equal(limited.facts.attempts, 3);
    double.failNext({ status: 502, times: 1, body: `<html>${KEY}</html>` });
    const down = await failure(startStreaming(CALL, BODY, { ...options, retriesMax: 0 }));
    assert.ok(down instanceof TelnyxUnavailableError);
    assert.equal(down.facts.status, 502);
    assert.match(down.message, /command_id 891510ac/);
  });

  it('does not try anything else again', async () => {
    for (const status of [400, 401, 403, 404, 408, 409, 422]) {
      double.requests.length = 0;
      double.failNext({ status, times: 1, headers: { 'x-should-retry': 'true' } });
      const error = await failure(startStreaming(CALL, BODY, options));
      assert.equal(error.facts.status, status);
      assert.equal(double.requests.length, 1, String(status));
    }
    assert.deepEqual(pauses, []);
  });

  it('has typed errors for the codes', async () => {
    double.ended.add(CALL);
    const ended = await failure(startStreaming(CALL, BODY, options));
    assert.ok(ended instanceof CallEndedError);
    assert.equal(ended.facts.telnyxCode, '90018');
    assert.match(ended.message, /422 90018 Call has already ended/);
    double.ended.clear();
    const key = await failure(startStreaming(CALL, BODY, { ...options, apiKey: 'wrong' }));
    assert.ok(key instanceof ApiKeyRefusedError);
    double.failNext({ status: 422, times: 1, body: '{"errors":[{"code":12345,"title":7}]}' });
    const other = await failure(startStreaming(CALL, BODY, options));
    assert.equal(other.constructor, TelnyxError);
    assert.equal(other.facts.telnyxCode, '12345');
  });

  it('tells each of the codes of calls and streams apart, with its own remedy', async () => {
    const codes: [string, new (...args: never[]) => TelnyxError, RegExp, string?][] = [
      ['90015', UnknownCallError, /copy the call_control_id from the webhook/, '/call_control_id'],
      ['90017', ClientStateRefusedError, /client_state as base64 with padding/, '/client_state'],
      ['90018', CallEndedError, /the call is over/],
      ['90041', ChannelLimitError, /the account has as many calls/],
      ['90042', ChannelLimitError, /the outbound voice profile has as many calls/],
      ['90043', ChannelLimitError, /the connection has as many calls/],
      ['90045', StreamingInUseError, /streamed already: send streaming_stop first/],
      [
        '90046',
        StreamUrlRefusedError,
        /stream_url must be a wss:\/\/ address that the internet reaches/,
        '/stream_url',
      ],
      ['90048', StreamingNotInUseError, /not streamed: send streaming_start first/],
    ];
    const remedies = new Set<string>();
    for (const [code, type, remedy, pointer] of codes) {
      double.requests.length = 0;
      double.refusing.set(CALL, code);
      const error = await failure(startStreaming(CALL, BODY, options));
      assert.equal(error.constructor, type, code);
      assert.equal(error.facts.telnyxCode, code);
      assert.equal(error.facts.status, 422);
      assert.equal(error.facts.pointer, pointer);
      assert.match(error.message, remedy);
      // Only one of them is about the address.
      assert.equal(/stream_url/.test(error.message), code === '90046', error.message);
      assert.equal(double.requests.length, 1, 'a refusal is final');
      remedies.add(error.message.split('; ').at(-1)!);
    }
    assert.equal(remedies.size, codes.length);
    const limits: string[] = [];
    for (const code of ['90041', '90042', '90043']) {
      double.refusing.set(CALL, code);
      const error = await failure(startStreaming(CALL, BODY, options));
      assert.ok(error instanceof ChannelLimitError);
      limits.push(error.limitOf);
    }
    assert.deepEqual(limits, ['account', 'outbound_profile', 'connection']);
  });

  it('tells of the rate limit, in the result and in the error', async () => {
    double.answerHeaders = {
      'x-ratelimit-limit': '50, 50;w=1',
      'x-ratelimit-remaining': '49',
      'x-ratelimit-reset': '1',
    };
    const { rateLimit } = await startStreaming(CALL, { ...BODY, command_id: 'l1' }, options);
    assert.deepEqual(rateLimit, { limit: 50, remaining: 49, resetMs: 1000 });
    double.refusing.set(CALL, '90045');
    const inUse = await failure(startStreaming(CALL, BODY, options));
    assert.deepEqual(inUse.facts.rateLimit, { limit: 50, remaining: 49, resetMs: 1000 });
    assert.equal(inUse.facts.retryAfterMs, undefined);
    double.refusing.clear();
    double.answerHeaders = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '7' };
    double.failNext({ status: 429, times: 2 });
    const limited = await failure(startStreaming(CALL, BODY, { ...options, retriesMax: 1 }));
    assert.ok(limited instanceof RateLimitedError);
    assert.deepEqual(limited.facts.rateLimit, { remaining: 0, resetMs: 7000 });
    assert.equal(limited.facts.retryAfterMs, 7000);
    assert.match(limited.message, /wait 7 s, then send it again with command_id/);
    assert.deepEqual(pauses, [7000]);
    // Retry-After comes first; and the window's end is no reason to wait where the limit is not.
    double.failNext({ status: 429, times: 1, headers: { 'retry-after': '2' } });
    double.failNext({ status: 500, times: 1 });
    await startStreaming(CALL, { ...BODY, command_id: 'l2' }, options);
    assert.deepEqual(pauses, [7000, 2000, 1000]);
    double.answerHeaders = {
      'x-ratelimit-limit': 'many',
      'x-ratelimit-remaining': '-1',
      'x-ratelimit-reset': '',
    };
    const { rateLimit: none } = await startStreaming(CALL, { ...BODY, command_id: 'l3' }, options);
    assert.equal(none, undefined);
  });

  it('survives any answer', async () => {
    for (const body of [
      '',
      'null',
      '[]',
      '{"errors":{}}',
      '{"errors":[null]}',
      '{"errors":[{"source":7}]}',
      '\u0000',
    ]) {
      double.failNext({ status: 422, times: 1, body });
      await failure(startStreaming(CALL, BODY, options));
      double.failNext({ status: 200, times: 1, body });
      assert.equal((await startStreaming(CALL, BODY, options)).attempts, 1);
    }
  });

  it('never lets the key or the token out of an error, even when Telnyx echoes them', async () => {
    const detail = `Bearer ${KEY} with ${BODY.stream_auth_token}`;
    double.failNext({
      status: 422,
      times: 1,
      body: JSON.stringify({ errors: [{ code: KEY, title: detail, detail }] }),
    });
    const error = await failure(startStreaming(CALL, BODY, options));
    assert.match(error.message, /\(hidden\)/);
    double.failNext({ status: 422, times: 1, body: detail });
    await failure(startStreaming(CALL, BODY, options));
  });

  it('reports that nobody answers, and does not send again', async () => {
    const gone = await startRestDouble(KEY);
    await gone.close();
    const error = await failure(startStreaming(CALL, BODY, { ...options, apiBase: gone.base }));
    assert.ok(error instanceof TelnyxUnreachableError);
    assert.equal(error.facts.attempts, 1);
    assert.match(error.message, /connection failed.*command_id 891510ac/);
  });

  it('follows no redirect', async () => {
    double.failNext({ status: 307, times: 1, headers: { location: `${double.base}/calls` } });
    await failure(startStreaming(CALL, BODY, options));
    assert.equal(double.requests.length, 1);
  });

  it('checks before it sends', async () => {
    await assert.rejects(
      startStreaming(CALL, { ...BODY, stream_bidirectional_codec: 'pcmu' } as never, options),
      {
        code: 'SIDETONE_BAD_ARGUMENT',
        message: /stream_bidirectional_codec = "pcmu"/,
      },
    );
    await assert.rejects(
      startStreaming(CALL, { ...BODY, client_state: 'private words' }, options),
      (error: Error) => {
        assert.match(error.message, /client_state/);
        assert.ok(!error.message.includes('private words'));
        return true;
      },
    );
    for (const id of ['', 'a b', 'a\r\nb', undefined]) {
      await assert.rejects(startStreaming(id as string, BODY, options), { code: 'SIDETONE_BAD_ARGUMENT' });
    }
    assert.equal(double.requests.length, 0);
    const { warnings } = await startStreaming(CALL, { stream_url: 'wss://voice.example.com' }, options);
    assert.deepEqual(
      warnings.map(warning => warning.code),
      ['mp3_by_default'],
    );
  });

  it('puts the call_control_id into one segment of the path', async () => {
    await startStreaming('v3:a/../b?c=d#e%2F', BODY, options);
    assert.equal(double.requests[0]?.callControlId, 'v3:a/../b?c=d#e%2F');
  });

  it('announces what is asked for, unless the server in this process knows it', async () => {
    await startStreaming(CALL, { ...BODY, command_id: 'a' }, { ...options, announce: undefined });
    const sent = double.requests[0]?.body.custom_parameters as { name: string; value: string }[];
    assert.deepEqual(sent[0], { name: 'customer', value: '12' });
    assert.deepEqual(requestedIn(Object.fromEntries(sent.map(({ name, value }) => [name, value]))), {
      mode: 'rtp',
      outboundEncoding: 'L16',
      outboundSampleRate: 16000,
      track: 'both',
    });
    const expectations = new StreamExpectations({ clock });
    await startStreaming(
      CALL,
      { ...BODY, command_id: 'b' },
      { ...options, announce: undefined, expectations },
    );
    assert.deepEqual(double.requests[1]?.body.custom_parameters, BODY.custom_parameters);
    assert.equal(expectations.get(CALL)?.outboundEncoding, 'L16');
  });

  it('expects the stream before the command is answered, and no longer when it fails', async () => {
    const expectations = new StreamExpectations({ clock });
    let during: string | undefined;
    double.onCommand = () => {
      during = expectations.get(CALL)?.outboundEncoding;
    };
    await startStreaming(CALL, { ...BODY, command_id: 'e' }, { ...options, expectations });
    double.onCommand = undefined;
    assert.equal(during, 'L16');
    double.ended.add(CALL);
    await failure(startStreaming(CALL, BODY, { ...options, expectations }));
    assert.equal(expectations.get(CALL), undefined);
  });
});

describe('API key and base', () => {
  it('reads the key from options, a file or the environment', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sidetone-'));
    const before = process.env.TELNYX_API_KEY;
    try {
      const file = join(folder, 'key');
      writeFileSync(file, `${KEY}\n`);
      process.env.TELNYX_API_KEY = 'from-environment';
      assert.equal(readApiKey({ apiKey: 'given', apiKeyFile: file }), 'given');
      assert.equal(readApiKey({ apiKeyFile: file }), KEY);
      assert.equal(readApiKey({}), 'from-environment');
      delete process.env.TELNYX_API_KEY;
      const badOption = { code: 'SIDETONE_BAD_OPTION' };
      assert.throws(() => readApiKey({}), { ...badOption, message: /TELNYX_API_KEY/ });
      assert.throws(() => readApiKey({ apiKeyFile: join(folder, 'none') }), {
        ...badOption,
        message: /ENOENT/,
      });
      writeFileSync(file, `${KEY}\nsecond line`);
      assert.throws(
        () => readApiKey({ apiKeyFile: file }),
        (error: Error) => !error.message.includes(KEY),
      );
    } finally {
      if (before === undefined) delete process.env.TELNYX_API_KEY;
      else process.env.TELNYX_API_KEY = before;
      rmSync(folder, { recursive: true });
    }
  });

  it('takes https anywhere and http on this machine', () => {
    assert.equal(readApiBase('https://api.telnyx.com/v2/'), 'https://api.telnyx.com/v2');
    assert.equal(readApiBase('http://127.0.0.1:8080'), 'http://127.0.0.1:8080/v2');
    assert.equal(readApiBase('http://[::1]:8080/x'), 'http://[::1]:8080/x');
    for (const base of [
      'http://api.telnyx.com/v2',
      'http://127.example.com',
      'ftp://x',
      '',
      'api.telnyx.com',
      'https://u:p@x/',
      'https://x/?a',
      'https://x/#a',
    ]) {
      assert.throws(() => readApiBase(base), { code: 'SIDETONE_BAD_OPTION' }, base);
    }
  });
});

describe('StreamExpectations', () => {
  it('keeps the latest request of a call, bounded in time and number', () => {
    const expectations = new StreamExpectations({ clock, ttlMs: 1000, entriesMax: 2 });
    expectations.expect('a', BODY);
    clock.advance(400);
    expectations.expect('b', { stream_url: 'wss://x' });
    assert.deepEqual(expectations.get('b'), {
      mode: 'mp3',
      outboundEncoding: 'PCMU',
      outboundSampleRate: 8000,
      track: 'inbound',
      requestedAtMs: 400,
    });
    expectations.expect('a', { ...BODY, stream_bidirectional_codec: 'G722' });
    assert.equal(expectations.evicted, 0);
    expectations.expect('c', BODY);
    assert.equal(expectations.evicted, 1);
    assert.equal(expectations.get('b'), undefined);
    assert.equal(expectations.get('a')?.outboundEncoding, 'G722');
    clock.advance(999);
    assert.equal(expectations.size, 2);
    clock.advance(1);
    assert.equal(expectations.size, 0);
    assert.equal(expectations.get('a'), undefined);
  });
});

describe('createAnswerer', () => {
  const initiated: CallInitiatedEvent = {
    id: 'event-1',
    type: 'call.initiated',
    callControlId: CALL,
    direction: 'incoming',
    payload: {},
  };
  const answered: CallAnsweredEvent = {
    id: 'event-2',
    type: 'call.answered',
    callControlId: CALL,
    payload: {},
  };
  const plain = buildStreamingStart({
    url: 'wss://voice.example.com/media',
    outbound: { mode: 'rtp', encoding: 'G722' },
  });

  it('answers with the stream in one command where that says it all', async () => {
    const expectations = new StreamExpectations({ clock });
    const answer = createAnswerer({ stream: plain, telnyx: { ...options, expectations } });
    await answer(initiated);
    await answer(answered);
    assert.deepEqual(
      double.requests.map(({ command, body }) => [command, body]),
      [['answer', { ...plain, command_id: 'event-1' }]],
    );
    assert.equal(expectations.get(CALL)?.outboundEncoding, 'G722');
    await answer({ id: 'event-3', type: 'call.hangup', callControlId: CALL, payload: {} });
    assert.equal(expectations.get(CALL), undefined);
  });

  it('answers first and streams once the call is up where it does not', async () => {
    const stream = { ...plain, stream_auth_token: 'stream-token' };
    const answer = createAnswerer({
      stream: call => (call.callControlId === CALL ? stream : undefined),
      telnyx: options,
    });
    await answer(initiated);
    assert.deepEqual(double.requests.at(-1)?.body, { command_id: 'event-1' });
    await answer(answered);
    await answer(answered);
    await answer({ ...initiated, callControlId: 'another' });
    await answer({ ...initiated, direction: 'outgoing' });
    assert.deepEqual(
      double.requests.map(({ command }) => command),
      ['answer', 'streaming_start'],
    );
    assert.deepEqual(double.requests.at(-1)?.body, { ...stream, command_id: 'event-2' });
  });

  it('rejects, and does not stream, when the answer is refused', async () => {
    double.ended.add(CALL);
    const answer = createAnswerer({ stream: plain, telnyx: options });
    await assert.rejects(answer(initiated), CallEndedError);
    double.ended.clear();
    await answer(answered);
    assert.equal(double.requests.length, 1);
  });

  it('answerCall checks its own fields', async () => {
    await assert.rejects(answerCall(CALL, { custom_parameters: [] }, options), {
      code: 'SIDETONE_BAD_ARGUMENT',
    });
    const { warnings } = await answerCall(CALL, { ...plain, stream_auth_token: 'stream-token' }, options);
    assert.deepEqual(
      warnings.map(warning => warning.code),
      ['token_not_taken'],
    );
  });
});
