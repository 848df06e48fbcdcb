/** Other calls notice nothing of a peer's faults. In virtual time this holds to the microsecond. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { definePlugin, Simulator } from '../../src/index.js';
import echo from '../../src/plugins/echo.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';

const LATENCY_MS = 5;

type Peer = ReturnType<VirtualReactor['connect']> & { call: WireCall };

/** What a peer may do, each in the midst of a stream of its own. */
const FAULTS: Record<string, (peer: Peer) => void> = {
  'is gone': ({ drop }) => drop(),
  'breaks the WebSocket protocol': ({ connection, socket }) => {
    socket.ended = 1006;
    connection.closed('websocket_frame');
  },
  'floods with pings': ({ connection }) => {
    for (let i = 0; i < 1000; i++) connection.control();
  },
  'sends what is no JSON': ({ receive, socket }) => {
    for (let i = 0; i < 200 && socket.ended === undefined; i++) receive('{');
  },
  'sends no messages of Telnyx': ({ receive, call }) => {
    for (let i = 0; i < 200; i++) receive({ event: 'weather', sequence_number: call.next() });
  },
  'sends wrong types': ({ receive, call, socket }) => {
    const media = call.media(payloads(1)[0]!);
    for (let i = 0; i < 200 && socket.ended === undefined; i++) receive({ ...media, media: [] });
  },
  'starts twice': ({ receive, call }) => receive(call.start()),
  'goes on after stop': ({ receive, call }) => {
    receive(call.stop());
    for (const payload of payloads(200)) receive(call.media(payload));
  },
  'loses 500 frames': ({ receive, call }) => {
    const messages = payloads(600).map(payload => call.media(payload));
    for (const message of [...messages.slice(0, 20), ...messages.slice(520)]) receive(message);
  },
  'sends all at once': ({ receive, call }) => {
    for (const payload of payloads(1000)) receive(call.media(payload));
  },
  'reads nothing': ({ receive, call, socket }) => {
    socket.status = 2;
    for (const payload of payloads(200)) receive(call.media(payload));
  },
  'has a handler that throws': ({ receive, call }) => receive(call.dtmf('1')),
};

for (const [what, fault] of Object.entries(FAULTS)) {
  test(`beside a peer that ${what}, an echo comes back after the network's time and no later`, async () => {
    const virtual = new VirtualReactor();
    const simulator = new Simulator({ clock: virtual.clock, seed: 7 });
    const inbound = payloads(150);
    const { call } = virtual.call(simulator, echo, { inbound, latencyMs: LATENCY_MS, lingerMs: 500 });
    const plugin = definePlugin({
      name: 'thrower',
      onStart: stream => ({
        onAudio: frame => stream.play(frame),
        onDtmf: () => {
          throw new Error('as planned');
        },
      }),
    });
    virtual.clock.advance(1000);
    for (let i = 0; i < 5; i++) {
      const peer = { ...virtual.connect(plugin), call: new WireCall() };
      peer.receive(peer.call.start());
      peer.receive(peer.call.media(payloads(1)[0]!));
      fault(peer);
      virtual.clock.advance(33);
    }
    virtual.clock.advance(5000);
    await new Promise(resolve => setImmediate(resolve));
    const { echo: echoed, latencies, errors, gaps } = await call.result;
    assert.deepEqual(echoed, { sent: 150, matched: 150 });
    assert.deepEqual([errors, gaps], [[], []]);
    const { count, max } = latencies.echoArrivalMs!;
    assert.equal(count, 150);
    assert.ok(Math.abs(max - 2 * LATENCY_MS) < 1e-3, `${max} ms`);
    await virtual.close();
  });
}
