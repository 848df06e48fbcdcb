import assert from 'node:assert/strict';
import { test } from 'node:test';
import echo from '../../src/plugins/echo.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';

test('after a blocked event loop the frames that came meanwhile are read before a gap is given up', async () => {
  const virtual = new VirtualReactor();
  const { socket, receive } = virtual.connect(echo);
  const wire = new WireCall();
  receive(wire.connected());
  receive(wire.start());
  const spoken = payloads(500);
  const frames = spoken.map(payload => wire.media(payload));
  // Every two frames are swapped; each comes at its time, whatever the server does meanwhile.
  for (const [i] of frames.entries()) virtual.clock.after(20 * i + 5, () => receive(frames[i ^ 1]!));
  for (let i = 0; i < 60; i++) {
    virtual.clock.advance(61);
    virtual.clock.block(80 + i);
  }
  virtual.clock.advance(5000);
  const heard = socket.sent.flatMap(text => JSON.parse(text).media?.payload ?? []);
  const bytes = heard.map((payload: string) => Buffer.from(payload, 'base64'));
  assert.deepEqual(Buffer.concat(bytes), Buffer.concat(spoken));
  assert.equal(virtual.reactor.counters().framesConcealed, 0);
  await virtual.close();
});
