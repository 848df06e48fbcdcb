/** The part that the uWebSockets.js baselines share: an app that takes WebSockets on any path of loopback. */
import { type UWebSockets, uWS } from '../../../src/native/uws.js';
import { listening } from './options.js';

export interface Handlers<Call> {
  call(): Call;
  message(ws: UWebSockets.WebSocket<Call>, message: ArrayBuffer): void;
  close(call: Call, ws: UWebSockets.WebSocket<Call>): void;
}

export function serve<Call>(port: number, handlers: Handlers<Call>): void {
  uWS
    .App()
    .ws<Call>('/*', {
      maxPayloadLength: 2 * 1024 * 1024,
      upgrade: (res, req, context) => {
        res.upgrade(
          handlers.call(),
          req.getHeader('sec-websocket-key'),
          req.getHeader('sec-websocket-protocol'),
          req.getHeader('sec-websocket-extensions'),
          context,
        );
      },
      message: handlers.message,
      close: ws => handlers.close(ws.getUserData(), ws),
    })
    .listen('127.0.0.1', port, socket => {
      if (!socket) {
        console.error(`port ${port} cannot be listened on: choose another`);
        process.exit(1);
      }
      listening(uWS.us_socket_local_port(socket));
    });
}
