import assert from 'node:assert/strict';
import { test } from 'node:test';
import { uWS } from '../../src/native/uws.js';
import { upgradeLate } from '../../src/server/late-upgrade.js';
import { RawSocket } from '../helpers/raw-socket.js';

/** What the memory that an upgrade frees is overwritten with: "connection: close", "the response is complete". */
const FLAGS = 0x10;
/** Bytes that malloc() takes from that memory first, in uWebSockets.js 20.51. */
const FREED_BYTES = 72;
const CALLS = 50;

test('a WebSocket whose upgrade came after its event stays open, whatever overwrites the memory of the request', async () => {
  const overwriting: Buffer[] = [];
  let closed = 0;
  const app = uWS.App().ws('/*', {
    upgrade: (response, request, context) => {
      const key = request.getHeader('sec-websocket-key');
      response.onAborted(() => {});
      setImmediate(() => upgradeLate(response, () => response.upgrade({}, key, '', '', context)));
    },
    open: () => {
      for (let i = 0; i < 16; i++) overwriting.push(Buffer.allocUnsafeSlow(FREED_BYTES).fill(FLAGS));
    },
    message: (ws, message, isBinary) => void ws.send(message, isBinary),
    close: () => {
      closed++;
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    app.listen('127.0.0.1', 0, socket =>
      socket ? resolve(uWS.us_socket_local_port(socket)) : reject(new Error('it does not listen')),
    ),
  );
  const sockets = [];
  for (let i = 0; i < CALLS; i++) sockets.push(await RawSocket.open(port));
  for (const socket of sockets) {
    socket.send('still open');
    await socket.until(() => socket.frames.length > 0, 'the echo');
  }
  assert.equal(closed, 0);
  for (const socket of sockets) socket.destroy();
  app.close();
});
