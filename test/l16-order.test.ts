import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joinPcm } from '../src/audio/pcm.js';
import { VirtualClock } from '../src/clock.js';
import { createDecoder, createEncoder } from '../src/codecs/create.js';
import { createLog } from '../src/log/log.js';
import { resolveOptions } from '../src/options/options.js';
import { bareInstance } from '../src/plugin/instance.js';
import echo from '../src/plugins/echo.js';
import { Reactor } from '../src/reactor/reactor.js';
import { Connection } from '../src/server/connection.js';
import { virtualRequest } from '../src/testing/virtual-server.js';

import { speechLike } from './helpers/speech.js';

const speech = speechLike(16000, 1);
const FRAME = 320;

function payloads(order: 'le' | 'be'): Uint8Array[] {
  const encoder = createEncoder('L16', { l16ByteOrder: order });
  return Array.from({ length: speech.length / FRAME }, (_, i) =>
    encoder.encode(speech.subarray(i * FRAME, (i + 1) * FRAME)),
  );
}

for (const order of ['le', 'be'] as const) {
  test(`a decoder that listens hears ${order} as it was`, () => {
    const decoder = createDecoder('L16', { l16ByteOrder: 'auto' });
    assert.deepEqual(joinPcm(payloads(order).map(payload => decoder.decode(payload))), speech);
  });

  test(`a stream that listens hears ${order}, and answers in it`, () => {
    const clock = new VirtualClock();
    const options = resolveOptions({ l16ByteOrder: 'auto' });
    const reactor = new Reactor({ clock, log: createLog('silent'), options });
    const connection = new Connection(reactor, {
      plugin: bareInstance(echo, clock),
      accepted: {},
      request: virtualRequest(echo),
      gate: undefined,
      boundCall: undefined,
    });
    const sent: Buffer[] = [];
    connection.open({
      send: message => {
        const frame = JSON.parse(Buffer.from(message as Uint8Array).toString());
        sent.push(Buffer.from(frame.media.payload, 'base64'));
        return 1;
      },
      end: () => {},
      getBufferedAmount: () => 0,
    });
    const tell = (message: object): void =>
      connection.message(Uint8Array.from(Buffer.from(JSON.stringify(message))).buffer, false);
    const media_format = { encoding: 'L16', sample_rate: 16000, channels: 1 };
    const start = { user_id: 'u', call_control_id: 'c', media_format };
    tell({ event: 'start', sequence_number: '1', stream_id: 's', start });
    const wire = payloads(order);
    wire.forEach((bytes, i) => {
      const payload = Buffer.from(bytes).toString('base64');
      const media = { track: 'inbound', chunk: String(i + 1), timestamp: String(i * FRAME), payload };
      tell({ event: 'media', sequence_number: String(i + 2), stream_id: 's', media });
      clock.advance(20);
    });
    clock.advance(500);
    connection.closed();
    assert.ok(Buffer.concat(sent).equals(Buffer.concat(wire)));
  });
}

test('an encoder cannot listen', () => {
  assert.throws(() => createEncoder('L16', { l16ByteOrder: 'auto' }), {
    code: 'SIDETONE_BAD_OPTION',
    message: /l16ByteOrder: "auto" is not allowed; use le, be/,
  });
});
