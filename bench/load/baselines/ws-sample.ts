/**
 * The usual sample, as the documentation and most repositories write it: the `ws` package, JSON.parse, Buffer for base64,
 * G.711 by table. `echo` plays back what it hears; `speech` speaks a phrase in a loop with setInterval(20) a call while it
 * decodes what it hears.
 */
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import { decodeUlaw, encodeUlaw, phrase } from './g711.js';
import { listening, readOptions } from './options.js';

const FRAME = 160;
const { port, mode } = readOptions();
const speech = phrase();

const server = new WebSocketServer({ host: '127.0.0.1', port });
server.on('listening', () => listening((server.address() as AddressInfo).port));
server.on('connection', socket => {
  const call: { timer?: NodeJS.Timeout; at: number; heardSamples: number } = { at: 0, heardSamples: 0 };

  const play = (pcm: Int16Array): void => {
    const payload = encodeUlaw(pcm).toString('base64');
    socket.send(JSON.stringify({ event: 'media', media: { payload } }));
  };

  socket.on('message', data => {
    const message = JSON.parse(data.toString());
    switch (message.event) {
      case 'start':
        if (mode === 'speech') {
          call.timer = setInterval(() => {
            play(speech.subarray(call.at, call.at + FRAME));
            call.at = (call.at + FRAME) % speech.length;
          }, 20);
        }
        break;
      case 'media': {
        const pcm = decodeUlaw(Buffer.from(message.media.payload, 'base64'));
        if (mode === 'echo') play(pcm);
        else call.heardSamples += pcm.length;
        break;
      }
      case 'stop':
        clearInterval(call.timer);
        socket.close();
        break;
    }
  });
  socket.on('close', () => clearInterval(call.timer));
  socket.on('error', () => clearInterval(call.timer));
});
