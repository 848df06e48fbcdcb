/** What reaches a handler, and what is not made for one that would not hear it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/clock.js';
import { createDecoder } from '../../src/codecs/create.js';
import { SidetoneError } from '../../src/errors.js';
import { GATHER } from '../../src/native/addon.js';
import type { Plugin, StreamHandler } from '../../src/plugin/plugin.js';
import type { AudioFrame, PlayedFrame, Stream } from '../../src/plugin/stream.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';

const plugin = (handler: StreamHandler): Plugin => ({ name: 'test', onStart: () => handler });

/** A call of these payloads, 20 ms apart, numbers `lost` never sent, and a second more. */
async function call(
  handler: StreamHandler,
  spoken: Uint8Array[],
  lost: number[] = [],
  wire = new WireCall(),
) {
  const virtual = new VirtualReactor();
  const { socket, receive } = virtual.connect(plugin(handler));
  receive(wire.connected());
  receive(wire.start());
  for (const [i, payload] of spoken.entries()) {
    const message = wire.media(payload);
    if (!lost.includes(i)) receive(message);
    virtual.clock.advance(20);
  }
  virtual.clock.advance(1000);
  const counters = virtual.reactor.counters();
  await virtual.close();
  return { socket, counters };
}

test('a handler without onAudio: what comes is counted, lost and late frames too, and nothing is decoded', async () => {
  const spoken = payloads(100);
  const lost = [10, 11, 50];
  const heard: AudioFrame[] = [];
  const deaf = (await call({}, spoken, lost)).counters;
  const hearing = (await call({ onAudio: frame => heard.push(frame) }, spoken, lost)).counters;
  assert.equal(hearing.framesHeard, 100);
  assert.equal(hearing.framesConcealed, 3);
  assert.equal(deaf.framesHeard, 0);
  assert.equal(deaf.framesConcealed, 0);
  for (const counter of [
    'mediaReceived',
    'bytesReceived',
    'framesLost',
    'framesReordered',
    'framesLate',
    'resyncs',
  ]) {
    assert.equal(deaf[counter], hearing[counter], counter);
  }
  assert.equal(deaf.framesLost, 3);
});

test('a handler without onAudio whose payloads are no base64: they are refused all the same', async () => {
  const virtual = new VirtualReactor();
  const { receive } = virtual.connect(plugin({}));
  const wire = new WireCall();
  receive(wire.connected());
  receive(wire.start());
  const message = wire.media(payloads(1)[0]!);
  message.media.payload = `*${message.media.payload.slice(1)}`;
  receive(message);
  assert.deepEqual(virtual.reactor.refusals(), { bad_base64: 1 });
  await virtual.close();
});

test('a handler with onPlayed alone hears what it played, in time with what comes in', async () => {
  const played: PlayedFrame[] = [];
  const virtual = new VirtualReactor();
  const { receive } = virtual.connect({
    name: 'test',
    onStart: stream => {
      stream.play(new Int16Array(1600).fill(1000));
      return { onPlayed: frame => played.push(frame) };
    },
  });
  const wire = new WireCall();
  receive(wire.connected());
  receive(wire.start());
  for (const payload of payloads(100)) {
    receive(wire.media(payload));
    virtual.clock.advance(20);
  }
  const samples = played.reduce((sum, frame) => sum + frame.samples.length, 0);
  assert.ok(samples >= 1600, `${samples} samples`);
  await virtual.close();
});

test('frames longer than 20 ms: the memory grows once, and a frame that was kept stays what it was', async () => {
  const short = payloads(3);
  const long = payloads(3, 480, 2);
  const kept: { samples: Int16Array; copy: Int16Array }[] = [];
  await call({ onAudio: frame => kept.push({ samples: frame.samples, copy: frame.copy() }) }, [
    ...short,
    ...long,
    ...payloads(2, 160, 3),
  ]);
  assert.deepEqual(
    kept.map(frame => frame.copy.length),
    [160, 160, 160, 480, 480, 480, 160, 160],
  );
  const decoder = createDecoder('PCMU');
  assert.deepEqual(kept[2]!.copy, decoder.decode(short[2]!));
  // The last short frame before the memory was replaced: nothing has been written over it since.
  assert.deepEqual(kept[2]!.samples, kept[2]!.copy);
  assert.deepEqual(kept[5]!.copy, decoder.decode(long[2]!));
  assert.notEqual(kept[5]!.samples.buffer, kept[2]!.samples.buffer);
  assert.equal(kept[5]!.samples.buffer, kept[7]!.samples.buffer);
  decoder.close();
});

test('a codec that cannot be opened ends its stream, and no other', async () => {
  const virtual = new VirtualReactor();
  Object.defineProperty(virtual.reactor, 'pool', {
    get() {
      throw new SidetoneError('SIDETONE_CODEC_UNAVAILABLE', 'no such library');
    },
  });
  const heard: AudioFrame[] = [];
  const good = virtual.connect(plugin({ onAudio: frame => heard.push(frame) }));
  const bad = virtual.connect(plugin({ onAudio: () => assert.fail('nothing can be heard') }));
  const wire = new WireCall();
  const opus = new WireCall({ encoding: 'OPUS' });
  for (const [peer, messages] of [
    [good, wire],
    [bad, opus],
  ] as const) {
    peer.receive(messages.connected());
    peer.receive(messages.start());
  }
  assert.equal(bad.socket.ended, 1001);
  assert.equal(virtual.reactor.counters().streamsNotOpened, 1);
  good.receive(wire.media(payloads(1)[0]!));
  assert.equal(heard.length, 1);
  assert.equal(virtual.reactor.streams, 1);
  await virtual.close();
});

test("the system clock's stamps lie on the axis of its now()", () => {
  const view = new Float64Array(4);
  const stamp = systemClock.stamper!(view, 2);
  for (let i = 0; i < 100; i++) {
    const before = systemClock.now();
    stamp();
    const after = systemClock.now();
    assert.ok(before <= view[2]! && view[2]! <= after, `${before} ${view[2]} ${after}`);
  }
  assert.deepEqual([view[0], view[1], view[3]], [0, 0, 0]);
  assert.throws(() => systemClock.stamper!(view, 4), /outside of the view/);
});

test('the event loop may gather messages unless a frame was answered while it was heard', () => {
  const virtual = new VirtualReactor();
  const { gathering } = virtual.reactor.path;
  const start = (handler: (stream: Stream) => StreamHandler, wire: WireCall) => {
    const { receive } = virtual.connect({ name: 'test', onStart: handler });
    receive(wire.connected());
    receive(wire.start());
    return receive;
  };
  const hear = (receive: (message: object) => void, wire: WireCall): number => {
    gathering[GATHER.answeredMs] = 0;
    for (const payload of payloads(5)) {
      receive(wire.media(payload));
      virtual.clock.advance(20);
    }
    return gathering[GATHER.answeredMs]!;
  };

  const listening = new WireCall();
  const later = start(stream => {
    return { onAudio: frame => void virtual.clock.after(1, () => stream.play(frame.samples.slice())) };
  }, listening);
  assert.equal(hear(later, listening), 0, 'what is played after the callback is no answer');
  assert.equal(gathering[GATHER.messages], 5);

  const echoing = new WireCall();
  let echo: Stream | undefined;
  const echoes = start(stream => {
    echo = stream;
    return { onAudio: frame => stream.play(frame) };
  }, echoing);
  assert.equal(hear(echoes, echoing), virtual.clock.now() - 20);

  const bridged = new WireCall();
  const bridge = start(() => ({ onAudio: frame => void echo!.play(frame.samples) }), bridged);
  assert.equal(hear(bridge, bridged), virtual.clock.now() - 20, "another stream's send is an answer too");
});
