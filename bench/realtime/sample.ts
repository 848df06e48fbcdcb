/**
 * The usual bridge, as vendors' samples write it: `ws` on both sides, JSON both ways, G.711 passed through, one append for
 * each frame, each delta sent on as it comes. It neither paces, nor clears, nor truncates.
 */
import type { AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';

const service = process.env.SIDETONE_REALTIME_URL!;
const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
server.on('listening', () => {
  console.log(JSON.stringify({ msg: 'listening', port: (server.address() as AddressInfo).port }));
});
server.on('connection', telnyx => {
  const model = new WebSocket(service);
  model.on('open', () => {
    const format = { type: 'audio/pcmu' };
    const audio = { input: { format, turn_detection: { type: 'server_vad' } }, output: { format } };
    model.send(JSON.stringify({ type: 'session.update', session: { type: 'realtime', audio } }));
  });
  model.on('message', data => {
    const event = JSON.parse(data.toString());
    if (event.type !== 'response.output_audio.delta' || telnyx.readyState !== WebSocket.OPEN) return;
    telnyx.send(JSON.stringify({ event: 'media', media: { payload: event.delta } }));
  });
  telnyx.on('message', data => {
    const message = JSON.parse(data.toString());
    if (message.event === 'stop') telnyx.close();
    if (message.event !== 'media' || model.readyState !== WebSocket.OPEN) return;
    model.send(JSON.stringify({ type: 'input_audio_buffer.append', audio: message.media.payload }));
  });
  telnyx.on('close', () => model.close());
  for (const socket of [telnyx, model]) socket.on('error', () => {});
});
