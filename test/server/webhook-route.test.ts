import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { VirtualClock } from '../../src/clock.js';
import type { ReactorCounter } from '../../src/counters.js';
import type { UWebSockets } from '../../src/native/uws.js';
import { type WebhookJudge, WebhookRoute } from '../../src/server/webhook-route.js';

/** One request: the test plays its peer. As uWebSockets.js, it throws for a response that is over. */
class Request {
  status = '';
  body = '';
  closes: boolean | undefined;
  /** A response that has ended or was aborted must not be touched. */
  #over = false;
  #aborted = (): void => {};
  #data: (part: ArrayBuffer, isLast: boolean) => void = () => {};

  constructor(route: WebhookRoute, headers: Record<string, string> = {}) {
    const touch = (): void => assert.ok(!this.#over, 'a response that is over was touched');
    const response = {
      onAborted: (handler: () => void) => {
        this.#aborted = handler;
      },
      onData: (handler: (part: ArrayBuffer, isLast: boolean) => void) => {
        this.#data = handler;
      },
      cork: (work: () => void) => {
        touch();
        work();
      },
      writeStatus: (status: string) => {
        touch();
        this.status = status;
        return response;
      },
      writeHeader: () => response,
      end: (body: string, closes: boolean) => {
        touch();
        this.#over = true;
        this.body = body;
        this.closes = closes;
      },
    };
    const request = { getHeader: (name: string) => headers[name] ?? '' };
    route.take(
      response as unknown as UWebSockets.HttpResponse,
      request as unknown as UWebSockets.HttpRequest,
    );
  }

  /** As on the wire, the bytes are gone when this returns. */
  send(bytes: string | number, isLast = false): this {
    const part = typeof bytes === 'number' ? Buffer.alloc(bytes, 32) : Buffer.from(bytes);
    const lent = new Uint8Array(part).buffer;
    this.#data(lent, isLast);
    new Uint8Array(lent).fill(0);
    return this;
  }

  abort(): void {
    this.#over = true;
    this.#aborted();
  }
}

let clock: VirtualClock;
let counted: ReactorCounter[];
let judged: { headers: unknown; body: string }[];
beforeEach(() => {
  clock = new VirtualClock();
  counted = [];
  judged = [];
});

const judge: WebhookJudge = (headers, body) => {
  judged.push({ headers, body: Buffer.from(body).toString() });
  return { status: 200, body: '{"ok":true}' };
};
function makeRoute(judgement: WebhookJudge = judge): WebhookRoute {
  return new WebhookRoute({ clock, count: counter => void counted.push(counter) }, judgement);
}

describe('WebhookRoute', () => {
  it('gives the two headers and the bytes as they came, in any cut', () => {
    const headers = { 'telnyx-timestamp': '17', 'telnyx-signature-ed25519': 'AA==', cookie: 'x' };
    const request = new Request(makeRoute(), headers).send('{"a"').send('').send(': "ö"}', true);
    const { cookie: _, ...wanted } = headers;
    assert.deepEqual(judged, [{ headers: wanted, body: '{"a": "ö"}' }]);
    assert.deepEqual([request.status, request.body, request.closes], ['200 OK', '{"ok":true}', true]);
    new Request(makeRoute()).send('', true);
    assert.deepEqual(judged[1], {
      headers: { 'telnyx-timestamp': undefined, 'telnyx-signature-ed25519': undefined },
      body: '',
    });
    assert.deepEqual(counted, []);
  });

  it('stops above 256 KiB', () => {
    const route = makeRoute();
    assert.equal(new Request(route).send(262_144, true).status, '200 OK');
    const large = new Request(route).send(262_144).send(1);
    assert.deepEqual([large.status, large.body], ['413 Payload Too Large', '{"error":"too_large"}']);
    large.send(1000).send(1000, true);
    assert.equal(judged.length, 1);
    assert.deepEqual(counted, ['webhooksTooLarge']);
  });

  it('waits ten seconds for the last byte, however they trickle', () => {
    const request = new Request(makeRoute());
    for (let second = 0; second < 9; second++) {
      request.send('x');
      clock.advance(1000);
    }
    assert.equal(request.status, '');
    clock.advance(1000);
    assert.deepEqual([request.status, request.body], ['408 Request Timeout', '{"error":"too_slow"}']);
    request.send('x', true);
    assert.deepEqual(judged, []);
    assert.deepEqual(counted, ['webhooksUnfinished']);
    // What is whole has no deadline any more.
    new Request(makeRoute()).send('x', true);
    clock.advance(60_000);
    assert.deepEqual(counted, ['webhooksUnfinished']);
  });

  it('answers 503 when the judge is too slow or fails', async () => {
    const patient = new Request(makeRoute(() => new Promise(() => {}))).send('x', true);
    clock.advance(4999);
    assert.equal(patient.status, '');
    clock.advance(1);
    assert.deepEqual([patient.status, patient.body], ['503 Service Unavailable', '{"error":"not_now"}']);
    const rejected = new Request(makeRoute(() => Promise.reject(new Error('gone')))).send('x', true);
    await new Promise(resolve => setImmediate(resolve));
    assert.equal(rejected.status, '503 Service Unavailable');
    const thrown = new Request(
      makeRoute(() => {
        throw new Error('gone');
      }),
    ).send('x', true);
    assert.equal(thrown.status, '503 Service Unavailable');
    assert.deepEqual(counted, ['webhooksUnjudged', 'webhooksUnjudged', 'webhooksUnjudged']);
  });

  it('leaves an aborted response alone, also when it is judged later', async () => {
    let decide!: (reply: { status: number; body: string }) => void;
    const route = makeRoute(() => new Promise(resolve => (decide = resolve)));
    new Request(route).abort();
    const half = new Request(route).send('x');
    half.abort();
    clock.advance(60_000);
    const whole = new Request(route).send('x', true);
    whole.abort();
    decide({ status: 200, body: '' });
    await Promise.resolve();
    assert.equal(whole.status, '');
    assert.deepEqual(counted, ['webhooksAborted', 'webhooksAborted', 'webhooksAborted']);
    const patient = new Request(route).send('x', true);
    decide({ status: 409, body: '{}' });
    await Promise.resolve();
    assert.equal(patient.status, '409 Conflict');
  });

  it('holds no more than 16 MiB of bodies at a time, and gives back what it held', () => {
    const route = makeRoute();
    const held = Array.from({ length: 64 }, () => new Request(route).send(262_144));
    const late = new Request(route).send('x', true);
    assert.deepEqual([late.status, late.body], ['503 Service Unavailable', '{"error":"too_many"}']);
    held[0]!.abort();
    held[1]!.send('x');
    assert.equal(held[1]!.status, '413 Payload Too Large');
    assert.equal(new Request(route).send(262_144, true).status, '200 OK');
    clock.advance(10_000);
    assert.ok(held.slice(2).every(({ status }) => status.startsWith('408')));
    const again = Array.from({ length: 64 }, () => new Request(route).send(262_144));
    for (const request of again) assert.equal(request.send('', true).status, '200 OK');
    assert.equal(counted.filter(counter => counter === 'webhooksOverflow').length, 1);
  });
});
