import type { RawData, WebSocket } from 'ws';
import { SidetoneError } from '../errors.js';
import { ws } from '../packages.js';
import { AUTH_TOKEN_HEADER } from '../telnyx/frames.js';
import { SimulatedCall, type SimulatedCallInit } from './call.js';

/** How a call is connected over a real WebSocket. */
export interface SocketOptions {
  /** More headers for the upgrade. */
  headers?: Readonly<Record<string, string>>;
  /** How long the upgrade may take, in ms. Default 10 000. */
  handshakeTimeoutMs?: number;
  /** wss: whether the certificate must be good. Default true. */
  verifyCertificate?: boolean;
}

/** The longest media message, 30 s of L16 at 48 kHz, is 3.84 MB in base64; MP3 files may be longer. */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;
/** What may wait to be sent to an application that does not read: 25 minutes of G.711 media frames. */
const SEND_QUEUE_BYTES_MAX = 16 * 1024 * 1024;
/** How long the application may take to answer the closing handshake. */
const CLOSE_WAIT_MS = 2000;

/**
 * Places a simulated call over a real WebSocket. `closed` resolves when the connection is gone and never rejects.
 * Failures are in `call.result()`.
 */
export function placeCall(
  url: string,
  init: Omit<SimulatedCallInit, 'transport'>,
  socketOptions: SocketOptions = {},
): { call: SimulatedCall; closed: Promise<void> } {
  const { clock } = init;
  const call = new SimulatedCall({ ...init, transport: { send, close } });
  const socket = openSocket(url, socketOptions, call.options.authToken);
  let cancelCloseWait: (() => void) | undefined;

  function send(text: string): void {
    socket.send(text);
    if (socket.bufferedAmount <= SEND_QUEUE_BYTES_MAX) return;
    call.failed(`The application does not read: ${socket.bufferedAmount} bytes wait to be sent`);
    socket.terminate();
  }

  function close(code?: number, reason?: string): void {
    if (code === undefined) {
      socket.terminate();
      return;
    }
    socket.close(code, reason);
    cancelCloseWait = clock.after(CLOSE_WAIT_MS, () => socket.terminate());
  }

  socket.on('open', () => call.opened());
  socket.on('message', (data: RawData, isBinary: boolean) => {
    // The default binaryType of ws gives every message as one Buffer.
    if (isBinary) call.receiveBinary(data as Buffer);
    else call.receive((data as Buffer).toString());
  });
  socket.on('unexpected-response', (_request, response) => {
    call.failed(`The upgrade was refused with HTTP status ${response.statusCode}`, response.statusCode);
    socket.terminate();
  });
  socket.on('error', (error: NodeJS.ErrnoException) =>
    call.failed(error.message || error.code || 'unknown error'),
  );
  const closed = new Promise<void>(resolve => {
    socket.on('close', (code, reason) => {
      cancelCloseWait?.();
      call.closed(code, reason.toString());
      resolve();
    });
  });
  return { call, closed };
}

function openSocket(url: string, options: SocketOptions, authToken: string | undefined): WebSocket {
  try {
    return new (ws().WebSocket)(url, {
      perMessageDeflate: false,
      maxPayload: MESSAGE_BYTES_MAX,
      handshakeTimeout: options.handshakeTimeoutMs ?? 10_000,
      rejectUnauthorized: options.verifyCertificate ?? true,
      headers: { ...options.headers, ...(authToken !== undefined && { [AUTH_TOKEN_HEADER]: authToken }) },
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SidetoneError(
      'SIDETONE_BAD_OPTION',
      `url ${url}, headers or authToken cannot be used: ${why}`,
      { cause },
    );
  }
}
