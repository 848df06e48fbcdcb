/**
 * A call on uWebSockets.js with the same JSON.parse, Buffer and tables as the usual sample. uws-sample and uws-chunks
 * share it, and differ in how much audio they send at a time.
 */
import type { UWebSockets } from '../../../src/native/uws.js';
import { decodeUlaw, encodeUlaw, phrase } from './g711.js';
import type { BaselineMode } from './options.js';
import { serve } from './uws-server.js';

const SAMPLES_PER_MS = 8;

interface Call {
  timer?: NodeJS.Timeout;
  at: number;
  pending: Int16Array[];
  pendingSamples: number;
  heardSamples: number;
}

/** `chunkMs` of audio go out at a time: 20 is a frame for a frame. */
export function serveSample(port: number, mode: BaselineMode, chunkMs: number): void {
  const speech = phrase();
  const chunkSamples = chunkMs * SAMPLES_PER_MS;

  const play = (ws: UWebSockets.WebSocket<Call>, pcm: Int16Array): void => {
    const payload = encodeUlaw(pcm).toString('base64');
    ws.send(JSON.stringify({ event: 'media', media: { payload } }), false);
  };

  const collect = (ws: UWebSockets.WebSocket<Call>, call: Call, pcm: Int16Array): void => {
    call.pending.push(pcm);
    call.pendingSamples += pcm.length;
    if (call.pendingSamples < chunkSamples) return;
    const chunk = new Int16Array(call.pendingSamples);
    let at = 0;
    for (const part of call.pending) {
      chunk.set(part, at);
      at += part.length;
    }
    call.pending = [];
    call.pendingSamples = 0;
    play(ws, chunk);
  };

  serve<Call>(port, {
    call: () => ({ at: 0, pending: [], pendingSamples: 0, heardSamples: 0 }),
    message: (ws, data) => {
      const call = ws.getUserData();
      const message = JSON.parse(Buffer.from(data).toString());
      switch (message.event) {
        case 'start':
          if (mode === 'speech') {
            call.timer = setInterval(() => {
              play(ws, speech.subarray(call.at, call.at + chunkSamples));
              call.at = (call.at + chunkSamples) % speech.length;
            }, chunkMs);
          }
          break;
        case 'media': {
          const pcm = decodeUlaw(Buffer.from(message.media.payload, 'base64'));
          if (mode === 'echo' && pcm.length >= chunkSamples) play(ws, pcm);
          else if (mode === 'echo') collect(ws, call, pcm);
          else call.heardSamples += pcm.length;
          break;
        }
        case 'stop':
          clearInterval(call.timer);
          ws.end(1000);
          break;
      }
    },
    close: call => clearInterval(call.timer),
  });
}
