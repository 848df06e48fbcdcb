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
export type Answer = (socket: WebSocket, message: Message, index: number) => void;

export const echo: Answer = (socket, { media }) => {
  socket.send(JSON.stringify({ event: 'media', media: { payload: media!.payload } }));
};

export interface TestServer {
  url: string;
  /** Every message but media, of all streams, with the time it came. */
  control: { message: Message; atMs: number }[];
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
  const control: TestServer['control'] = [];
  const tokens: TestServer['tokens'] = [];
  let open = 0;
  const server = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    verifyClient: ({ req }: { req: { headers: Record<string, unknown> } }) =>
      token === undefined || req.headers['x-telnyx-streaming-auth-token'] === token,
  });
  server.on('connection', (socket, request) => {
    tokens.push(request.headers['x-telnyx-streaming-auth-token'] as string | undefined);
    open++;
    socket.on('close', () => open--);
    if (open > streamsMax) return socket.close(1013);
    let media = 0;
    socket.on('message', data => {
      const message = JSON.parse(data.toString()) as Message;
      if (message.event === 'media') answer(socket, message, media++);
      else control.push({ message, atMs: performance.now() });
    });
  });
  await once(server, 'listening');
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/media`,
    control,
    tokens,
    async close() {
      for (const socket of server.clients) socket.terminate();
      server.close();
      await once(server, 'close');
    },
  };
}
