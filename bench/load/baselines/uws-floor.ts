/**
 * The cost of receiving and sending alone. Every message is received and not read, and every call is sent the same
 * ready bytes ten times a second: 100 ms of PCMU silence. No server on uWebSockets.js and Node.js can take less.
 */
import type { UWebSockets } from '../../../src/native/uws.js';
import { readOptions } from './options.js';
import { serve } from './uws-server.js';

const CHUNK_MS = 100;
const PCMU_PER_MS = 8;
/** Calls are dealt out to this many moments of every 100 ms. */
const MOMENTS = 20;

interface Call {
  moment: number;
}

const payload = Buffer.alloc(CHUNK_MS * PCMU_PER_MS, 0xff).toString('base64');
const chunk = Buffer.from(JSON.stringify({ event: 'media', media: { payload } }));
const moments = Array.from({ length: MOMENTS }, () => new Set<UWebSockets.WebSocket<Call>>());

let opened = 0;
serve<Call>(readOptions().port, {
  call: () => ({ moment: -1 }),
  message: ws => {
    const call = ws.getUserData();
    if (call.moment >= 0) return;
    call.moment = opened++ % MOMENTS;
    moments[call.moment]!.add(ws);
  },
  close: (call, ws) => {
    if (call.moment >= 0) moments[call.moment]!.delete(ws);
  },
});

const beganMs = performance.now();
let turn = 0;
setInterval(() => {
  // Follows the clock and not the timer, so late turns are made up for.
  while (beganMs + (turn * CHUNK_MS) / MOMENTS <= performance.now()) {
    for (const ws of moments[turn % MOMENTS]!) ws.send(chunk, false);
    turn++;
  }
}, CHUNK_MS / MOMENTS);
