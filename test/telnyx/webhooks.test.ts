import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { createWebhookHandler, type WebhookEvent, type WebhookOptions } from '../../src/telnyx/webhooks.js';
import { propertyRuns } from '../helpers/runs.js';
import { createWebhookSigner, webhookBody } from '../helpers/webhooks.js';

const signer = createWebhookSigner();
const NOW = 1_770_000_000_000;
const CALL = 'v3:call';

function make(options: Partial<WebhookOptions> = {}) {
  const events: WebhookEvent[] = [];
  const handler = createWebhookHandler({
    publicKey: signer.publicKey,
    now: () => NOW,
    onEvent: event => void events.push(event),
    ...options,
  });
  return { handler, events };
}
const initiated = (id = 'e1'): Uint8Array =>
  webhookBody('call.initiated', id, {
    call_control_id: CALL,
    call_leg_id: 'leg',
    call_session_id: 'session',
    connection_id: '7267',
    client_state: null,
    direction: 'incoming',
    from: '+13122010094',
    to: '+13122123456',
    state: 'parked',
  });

describe('webhooks', () => {
  it('accepts what Telnyx signed, and tells the typed event after the reply', async () => {
    const { handler, events } = make();
    const body = initiated();
    const reply = handler(signer.headers(body, NOW), body);
    assert.deepEqual(reply, { status: 200, body: '{"ok":true}', outcome: 'accepted' });
    assert.equal(events.length, 0);
    await setImmediate();
    const [event] = events;
    assert.ok(event?.type === 'call.initiated');
    assert.equal(event.payload.state, 'parked');
    const { payload: _, ...rest } = event;
    assert.deepEqual(rest, {
      id: 'e1',
      type: 'call.initiated',
      occurredAt: '2026-02-02T22:25:27.521992Z',
      callControlId: CALL,
      callLegId: 'leg',
      callSessionId: 'session',
      connectionId: '7267',
      direction: 'incoming',
      from: '+13122010094',
      to: '+13122123456',
    });
  });

  it('types the events of calls and streams', async () => {
    const { handler, events } = make();
    const call = { call_control_id: CALL };
    const deliveries: [string, Record<string, unknown>, Record<string, unknown>][] = [
      ['call.answered', { from: '+1', to: 7 }, { from: '+1' }],
      [
        'call.hangup',
        { hangup_cause: 'normal_clearing', hangup_source: 'caller' },
        { hangupCause: 'normal_clearing', hangupSource: 'caller' },
      ],
      [
        'streaming.started',
        { stream_id: 's', stream_url: 'wss://x' },
        { streamId: 's', streamUrl: 'wss://x' },
      ],
      ['streaming.stopped', { stream_url: 'wss://x' }, { streamUrl: 'wss://x' }],
      [
        'streaming.failed',
        {
          failure_reason: 'connection_failed',
          stream_type: 'websocket',
          stream_params: { stream_url: 'wss://x', stream_track: 'both_tracks' },
        },
        {
          failureReason: 'connection_failed',
          streamType: 'websocket',
          streamUrl: 'wss://x',
          streamTrack: 'both_tracks',
        },
      ],
      [
        'streaming.failed',
        { stream_type: 'x', stream_params: { track: 'inbound_track' } },
        { streamTrack: 'inbound_track' },
      ],
      ['call.speak.ended', {}, { type: 'other', eventType: 'call.speak.ended' }],
    ];
    for (const [index, [type, payload, wanted]] of deliveries.entries()) {
      const body = webhookBody(type, `e${index}`, { ...call, ...payload });
      assert.equal(handler(signer.headers(body, NOW), body).outcome, 'accepted');
      await setImmediate();
      const { payload: _, occurredAt: __, ...event } = events.at(-1)!;
      assert.deepEqual(event, { id: `e${index}`, type, callControlId: CALL, ...wanted });
    }
    const message = webhookBody('message.received', 'm', { text: 'hi' });
    assert.equal(handler(signer.headers(message, NOW), message).outcome, 'accepted');
    await setImmediate();
    assert.equal(events.at(-1)?.type, 'other');
  });

  it('refuses a forged delivery before it reads it', async () => {
    const { handler, events } = make();
    const body = initiated();
    const headers = signer.headers(body, NOW);
    const other = createWebhookSigner();
    const signature = headers['telnyx-signature-ed25519']!;
    const cases: [Record<string, string | undefined>, Uint8Array, string][] = [
      [{}, body, 'no_signature'],
      [{ ...headers, 'telnyx-signature-ed25519': undefined }, body, 'no_signature'],
      [{ ...headers, 'telnyx-timestamp': undefined }, body, 'no_signature'],
      [{ ...headers, 'telnyx-timestamp': 'now' }, body, 'bad_timestamp'],
      [{ ...headers, 'telnyx-timestamp': `${headers['telnyx-timestamp']}.0` }, body, 'bad_timestamp'],
      [{ ...headers, 'telnyx-timestamp': '1e9' }, body, 'bad_timestamp'],
      [{ ...headers, 'telnyx-timestamp': String(NOW / 1000 + 1) }, body, 'bad_signature'],
      [{ ...headers, 'telnyx-signature-ed25519': '' }, body, 'bad_signature'],
      [{ ...headers, 'telnyx-signature-ed25519': `${signature}AAAA` }, body, 'bad_signature'],
      [{ ...headers, 'telnyx-signature-ed25519': 'A'.repeat(100_000) }, body, 'bad_signature'],
      [headers, Buffer.concat([body, Buffer.from(' ')]), 'bad_signature'],
      [headers, Buffer.alloc(0), 'bad_signature'],
      [other.headers(body, NOW), body, 'bad_signature'],
      // Not JSON: that it is refused for its signature shows that it was not read.
      [headers, Buffer.from('{'), 'bad_signature'],
    ];
    for (const [given, bytes, outcome] of cases) {
      const reply = handler(given, bytes);
      assert.equal(reply.outcome, outcome, JSON.stringify(given));
      assert.equal(reply.status, 401);
    }
    await setImmediate();
    assert.deepEqual(events, []);
    assert.equal(handler.counts.bad_signature, 8);
    assert.equal(handler(headers, body).outcome, 'accepted');
  });

  it('refuses any change of one bit', () => {
    const { handler } = make();
    const body = initiated();
    const headers = signer.headers(body, NOW);
    const signature = Buffer.from(headers['telnyx-signature-ed25519']!, 'base64');
    const flip = (bytes: Uint8Array, bit: number): Uint8Array => {
      const copy = Uint8Array.from(bytes);
      copy[bit >> 3]! ^= 1 << (bit & 7);
      return copy;
    };
    fc.assert(
      fc.property(fc.nat(body.length * 8 - 1), fc.nat(511), (inBody, inSignature) => {
        assert.equal(handler(headers, flip(body, inBody)).outcome, 'bad_signature');
        const forged = Buffer.from(flip(signature, inSignature)).toString('base64');
        assert.equal(
          handler({ ...headers, 'telnyx-signature-ed25519': forged }, body).outcome,
          'bad_signature',
        );
      }),
      { numRuns: propertyRuns(200) },
    );
  });

  it('keeps the window of 300 s, both ways, to the millisecond', () => {
    for (const [ageMs, outcome] of [
      [0, 'accepted'],
      [300_000, 'accepted'],
      [300_001, 'stale'],
      [-300_000, 'accepted'],
      [-300_001, 'stale'],
      [86_400_000, 'stale'],
    ] as const) {
      const { handler } = make({ now: () => NOW + ageMs });
      const body = initiated();
      assert.equal(handler(signer.headers(body, NOW), body).outcome, outcome, String(ageMs));
    }
  });

  it('refuses a replay as long as its signature counts, in every spelling', async () => {
    let now = NOW;
    const { handler, events } = make({ now: () => now });
    const body = initiated();
    const headers = signer.headers(body, NOW + 300_000);
    assert.equal(handler(headers, body).outcome, 'accepted');
    // The 86th letter carries two bits; the other four are free.
    const written = headers['telnyx-signature-ed25519']!;
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
    const other = `${written.slice(0, 85)}${letters[letters.indexOf(written[85]!) + 1]}==`;
    assert.ok(Buffer.from(other, 'base64').equals(Buffer.from(written, 'base64')));
    for (const atMs of [0, 1, 300_000, 600_000]) {
      now = NOW + atMs;
      assert.equal(handler(headers, body).status, 409);
      assert.equal(handler({ ...headers, 'telnyx-signature-ed25519': other }, body).outcome, 'replayed');
    }
    now = NOW + 600_001;
    assert.equal(handler(headers, body).outcome, 'stale');
    await setImmediate();
    assert.equal(events.length, 1);
  });

  it('tells an event once when Telnyx delivers it again with a new signature', async () => {
    let now = NOW;
    const { handler, events } = make({ now: () => now });
    const body = initiated();
    assert.equal(handler(signer.headers(body, now), body).outcome, 'accepted');
    now += 5000;
    const again = handler(signer.headers(body, now), body);
    assert.deepEqual([again.status, again.outcome], [200, 'duplicate']);
    await setImmediate();
    assert.equal(events.length, 1);
  });

  it('remembers a bounded number', () => {
    const { handler } = make({ seenMax: 3 });
    const deliveries = ['a', 'b', 'c', 'd'].map(id => {
      const body = initiated(id);
      return { body, headers: signer.headers(body, NOW) };
    });
    for (const { headers, body } of deliveries) assert.equal(handler(headers, body).outcome, 'accepted');
    assert.deepEqual(
      [1, 2, 3].map(index => handler(deliveries[index]!.headers, deliveries[index]!.body).outcome),
      ['replayed', 'replayed', 'replayed'],
    );
  });

  it('refuses a body over the limit before anything else', () => {
    const { handler } = make({ bodyBytesMax: 100 });
    const body = Buffer.alloc(101);
    assert.deepEqual(handler(signer.headers(body, NOW), body).status, 413);
    assert.equal(handler({}, body).outcome, 'too_large');
  });

  it('types the events of machines, keys, bridges and the quality of a call', async () => {
    const { handler, events } = make();
    const parties = { from: '+1', to: '+2' };
    const machine = (type: string, result: string): [string, object, object] => [
      `call.machine.${type}.ended`,
      { ...parties, result },
      { ...parties, result },
    ];
    const deliveries: [string, object, object][] = [
      machine('detection', 'not_sure'),
      machine('greeting', 'beep_detected'),
      machine('premium.detection', 'human_residence'),
      machine('premium.greeting', 'a result of next year'),
      ['call.machine.detection.ended', { result: 7 }, {}],
      ['call.bridged', { ...parties, something: { new: [1] } }, parties],
      ['call.dtmf.received', { ...parties, digit: '#' }, { ...parties, digit: '#' }],
      ['call.answered', { start_time: '2026-02-02T22:25:27Z' }, { startTime: '2026-02-02T22:25:27Z' }],
      [
        'call.hangup',
        {
          ...parties,
          hangup_cause: 'normal_clearing',
          sip_hangup_cause: '200',
          start_time: '2026-02-02T22:25:27Z',
          call_quality_stats: {
            inbound: {
              mos: '4.50',
              jitter_max_variance: '12.5',
              jitter_packet_count: '0',
              packet_count: '1500',
              skip_packet_count: '3',
              of_next_year: '1',
            },
            outbound: { packet_count: 1499, skip_packet_count: '', mos: 'none' },
          },
        },
        {
          ...parties,
          hangupCause: 'normal_clearing',
          sipHangupCause: '200',
          startTime: '2026-02-02T22:25:27Z',
          callQualityStats: {
            inbound: {
              mos: 4.5,
              jitterMaxVariance: 12.5,
              jitterPacketCount: 0,
              packetCount: 1500,
              skipPacketCount: 3,
            },
            outbound: { packetCount: 1499 },
          },
        },
      ],
      ['call.hangup', { call_quality_stats: null }, {}],
      ['call.hangup', { call_quality_stats: { inbound: 7 } }, { callQualityStats: {} }],
    ];
    for (const [index, [type, payload, wanted]] of deliveries.entries()) {
      const body = webhookBody(type, `e${index}`, { call_control_id: CALL, ...payload });
      assert.equal(handler(signer.headers(body, NOW), body).outcome, 'accepted');
      await setImmediate();
      const { payload: told, occurredAt: _, ...event } = events.at(-1)!;
      assert.deepEqual(event, { id: `e${index}`, type, callControlId: CALL, ...wanted });
      assert.deepEqual(told, { call_control_id: CALL, ...payload });
    }
  });

  it('reads the form of TeXML callbacks as the same events, once each', async () => {
    const { handler, events } = make();
    const form = (StreamEvent: string, more: Record<string, string> = {}): Uint8Array =>
      Buffer.from(
        new URLSearchParams({
          AccountSid: 'account',
          CallSid: CALL,
          CallSidLegacy: 'legacy',
          StreamEvent,
          StreamName: 'Müller & Söhne',
          StreamSid: 'stream',
          Timestamp: '2026-02-02T22:25:27.521992Z',
          ...more,
        }).toString(),
      );
    const cases: [string, Record<string, string>, object][] = [
      ['stream-started', {}, { type: 'streaming.started' }],
      ['stream-stopped', {}, { type: 'streaming.stopped' }],
      ['stream-failed', { StreamError: 'no route' }, { type: 'streaming.failed', failureReason: 'no route' }],
      ['stream-error', { StreamError: '31920' }, { type: 'streaming.failed', failureReason: '31920' }],
      ['stream-paused', {}, { type: 'other', eventType: 'stream-paused' }],
    ];
    for (const [name, more, wanted] of cases) {
      const body = form(name, more);
      assert.equal(handler(signer.headers(body, NOW), body).status, 200, name);
      await setImmediate();
      const { id, payload, ...event } = events.at(-1)!;
      assert.match(id, /^body:/);
      assert.equal(payload.StreamName, 'Müller & Söhne');
      const stream = {
        callLegId: 'legacy',
        streamId: 'stream',
        streamName: 'Müller & Söhne',
        accountSid: 'account',
      };
      assert.deepEqual(event, {
        occurredAt: '2026-02-02T22:25:27.521992Z',
        callControlId: CALL,
        ...(name === 'stream-paused' ? {} : stream),
        ...wanted,
      });
    }
    // The same body with a new signature is the same event.
    const again = form('stream-started');
    assert.equal(handler(signer.headers(again, NOW + 1000), again).outcome, 'duplicate');
    assert.equal(events.length, cases.length);
    // Signed like the others.
    const forged = form('stream-started', { StreamSid: 'other' });
    assert.equal(handler(signer.headers(again, NOW + 2000), forged).outcome, 'bad_signature');
    // Callbacks of other things come the same way.
    const status = Buffer.from('CallSid=v3%3Acall&CallStatus=completed&__proto__=x&CallStatus=twice');
    assert.equal(handler(signer.headers(status, NOW), status).outcome, 'accepted');
    await setImmediate();
    const last = events.at(-1)!;
    assert.deepEqual([last.type, last.type === 'other' && last.eventType], ['other', 'completed']);
    assert.equal(last.callControlId, CALL);
  });

  it('passes on every genuine webhook, and never answers it with a 4xx', async () => {
    const { handler, events } = make();
    const passed: [string, string][] = [
      ['{}', 'unknown'],
      ['{"data":1}', 'unknown'],
      ['{"data":{"id":"x"}}', 'unknown'],
      ['{"data":{"id":"y","event_type":"call.new.thing"}}', 'call.new.thing'],
      ['{"data":{"id":1,"event_type":"z","payload":{}}}', 'z'],
      ['{"event_type":"flat","call_control_id":"c"}', 'flat'],
      ['a=b', 'unknown'],
    ];
    for (const [text, eventType] of passed) {
      const body = Buffer.from(text);
      assert.deepEqual(handler(signer.headers(body, NOW), body).outcome, 'accepted', text);
      await setImmediate();
      const event = events.at(-1)!;
      assert.deepEqual([event.type, event.type === 'other' && event.eventType], ['other', eventType], text);
    }
    const told = events.length;
    for (const text of ['', 'x', '[]', 'null', '{"data":', 'a=b c', '\u0000=\u0000', '<x y="z"/>']) {
      const body = Buffer.from(text);
      const reply = handler(signer.headers(body, NOW), body);
      assert.deepEqual([reply.status, reply.outcome], [200, 'bad_body'], text);
    }
    await setImmediate();
    assert.equal(events.length, told);
    // Any bytes at all.
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array(), fc.json().map(Buffer.from), fc.string().map(Buffer.from)),
        body => {
          assert.ok([200, 409].includes(handler(signer.headers(body, NOW), body).status));
        },
      ),
      { numRuns: propertyRuns(300) },
    );
  });

  it('answers 503 to what cannot be taken now, and takes the same delivery later', async () => {
    let takes = false;
    const { handler, events } = make({ takes: event => takes || event.type !== 'call.initiated' });
    const body = initiated();
    const headers = signer.headers(body, NOW);
    for (let i = 0; i < 2; i++) {
      const reply = handler(headers, body);
      assert.deepEqual([reply.status, reply.outcome], [503, 'not_now']);
    }
    const other = webhookBody('call.answered', 'e2', { call_control_id: CALL });
    assert.equal(handler(signer.headers(other, NOW), other).status, 200);
    takes = true;
    assert.equal(handler(headers, body).outcome, 'accepted');
    assert.equal(handler(headers, body).outcome, 'replayed');
    await setImmediate();
    assert.deepEqual(
      events.map(({ type }) => type),
      ['call.answered', 'call.initiated'],
    );
    assert.equal(handler.counts.not_now, 2);
  });

  it('survives listeners that throw or reject, and reports them', async () => {
    const errors: unknown[] = [];
    let told = 0;
    const { handler } = make({
      answer: () => Promise.reject(new Error('answer')),
      onEvent: () => {
        told++;
        throw new Error('onEvent');
      },
      onError: error => void errors.push((error as Error).message),
    });
    const body = initiated();
    assert.equal(handler(signer.headers(body, NOW), body).status, 200);
    await setImmediate();
    await setImmediate();
    assert.equal(told, 1);
    assert.deepEqual(errors, ['answer', 'onEvent']);
    assert.equal(handler.failures, 2);
  });

  it('wants a public key', () => {
    for (const publicKey of [
      '',
      'abc',
      Buffer.alloc(31).toString('base64'),
      Buffer.alloc(33).toString('base64'),
    ]) {
      assert.throws(() => make({ publicKey }), { code: 'SIDETONE_BAD_OPTION', message: /32 bytes/ });
    }
  });
});
