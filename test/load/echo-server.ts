/** A small media server under `ws` for the load generator to be tested against, with faults to order. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

export interface Message {
  event: string;
  media?: { payload: string };
  mark?: { name: string };
}

/** What to do with the media messages of one stream; `index` counts them from 0. */
export type Answer = (socket: WebSocket, message: Message, index: number, server: TestServer) => void;

export const echo = (socket: WebSocket, { media }: Message): void => {
  socket.send(JSON.stringify({ event: 'media', media: { payload: media!.payload } }));
};

export interface TestServer {
  url: string;
  /** Every message but media, of all streams, with the time it came. */
  control: { message: Message; atMs: number }[];
  /** How many media messages each stream has sent. */
  media: number[];
  /** How many of `control` are of this event. */
  events(event: string): number;
  tokens: (string | undefined)[];
  close(): Promise<void>;
}

export interface TestServerOptions {
  answer?: Answer;
  /** Connections over this number are closed at once. */
  streamsMax?: number;
  token?: string;
}

export async function startServer({
  answer = echo,
  streamsMax = Number.POSITIVE_INFINITY,
  token,
}: TestServerOptions = {}): Promise<TestServer> {
  let open = 0;
  const started: TestServer = {
    url: '',
    control: [],
    media: [],
    tokens: [],
    events: event => started.control.filter(({ message }) => message.event === event).length,
    async close() {
      for (const socket of server.clients) socket.terminate();
      server.close();
      await once(server, 'close');
    },
  };
  const server = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    verifyClient: ({ req }: { req: { headers: Record<string, unknown> } }) =>
      token === undefined || req.headers['x-telnyx-streaming-auth-token'] === token,
  });
  server.on('connection', (socket, request) => {
    started.tokens.push(request.headers['x-telnyx-streaming-auth-token'] as string | undefined);
    open++;
    socket.on('close', () => open--);
    if (open > streamsMax) return socket.close(1013);
    const index = started.media.push(0) - 1;
    socket.on('message', data => {
      const message = JSON.parse(data.toString()) as Message;
      if (message.event === 'media') answer(socket, message, started.media[index]!++, started);
      else started.control.push({ message, atMs: performance.now() });
    });
  });
  await once(server, 'listening');
  started.url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/media`;
  return started;
}
