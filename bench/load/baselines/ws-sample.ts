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
  let timer: NodeJS.Timeout | undefined;
  let at = 0;
  let energy = 0;

  const play = (pcm: Int16Array): void => {
    const payload = encodeUlaw(pcm).toString('base64');
    socket.send(JSON.stringify({ event: 'media', media: { payload } }));
  };

  socket.on('message', data => {
    const message = JSON.parse(data.toString());
    switch (message.event) {
      case 'start':
        if (mode === 'speech') {
          timer = setInterval(() => {
            play(speech.subarray(at, at + FRAME));
            at = (at + FRAME) % speech.length;
          }, 20);
        }
        break;
      case 'media': {
        const pcm = decodeUlaw(Buffer.from(message.media.payload, 'base64'));
        if (mode === 'echo') play(pcm);
        else energy += Math.abs(pcm[0]!);
        break;
      }
      case 'stop':
        clearInterval(timer);
        socket.close();
        break;
    }
  });
  socket.on('close', () => clearInterval(timer));
  socket.on('error', () => clearInterval(timer));
});
