/**
 * A speech-to-speech service for the benchmark: cheap, and the same for every bridge. Each session is interrupted every
 * ten seconds, in the middle of an answer that comes four times as fast as it is heard, in deltas of 200 ms with their words.
 * It prints `{"msg":"listening","port":N}`, and at SIGTERM what it has heard and what was wrong.
 */
import { randomBytes } from 'node:crypto';
import { type UWebSockets, uWS } from '../../src/native/uws.js';

const INTERRUPTION_MS = 10_000;
const THINKING_MS = 600;
const ANSWER_MS = 14_000;
const DELTA_MS = 200;
const TICK_MS = 200;
const DELTAS_A_TICK = 4;

interface Session {
  bornMs: number;
  /** Deltas of the answer under way that have been sent. */
  sent: number;
  turn: number;
  /** speech_started has been sent, the answer not begun. */
  thinksSinceMs: number | undefined;
  answering: boolean;
  /** How much of the answer that was interrupted last had been sent. */
  cutMaxMs: number;
}

const audio = Array.from({ length: ANSWER_MS / DELTA_MS }, () =>
  randomBytes(DELTA_MS * 8).toString('base64'),
);
const sockets = new Set<UWebSockets.WebSocket<Session>>();
const figures = {
  appends: 0,
  audioMs: 0,
  truncates: 0,
  tooLong: 0,
  other: 0,
  sessions: 0,
  closed: 0,
  maxSessions: 0,
};
const APPEND_HEAD = Buffer.from('{"type":"input_audio_buffer.append"');

function heard(socket: UWebSockets.WebSocket<Session>, message: Buffer): void {
  if (message.subarray(0, APPEND_HEAD.length).equals(APPEND_HEAD)) {
    const from = message.indexOf('"audio":"') + 9;
    const base64 = message.length - 2 - from;
    figures.appends++;
    figures.audioMs += (base64 * 3) / 4 / 8;
    return;
  }
  const event = JSON.parse(message.toString()) as { type: string; audio_end_ms?: number; session?: object };
  const session = socket.getUserData();
  if (event.type === 'session.update') {
    socket.send(JSON.stringify({ type: 'session.updated', event_id: 'event_0', session: event.session }));
  } else if (event.type === 'conversation.item.truncate') {
    figures.truncates++;
    if (event.audio_end_ms! > session.cutMaxMs) figures.tooLong++;
  } else figures.other++;
}

function step(socket: UWebSockets.WebSocket<Session>, nowMs: number): void {
  const session = socket.getUserData();
  const item = `item_${session.turn}_abcdefghijklmnop`;
  const response = `resp_${session.turn}_abcdefghijklmnop`;
  const event = (type: string, fields: object): void => {
    socket.send(JSON.stringify({ type, event_id: `event_${nowMs}`, ...fields }));
  };
  if (
    session.thinksSinceMs === undefined &&
    nowMs - session.bornMs >= INTERRUPTION_MS * (session.turn + 0.2)
  ) {
    event('input_audio_buffer.speech_started', {
      audio_start_ms: nowMs - session.bornMs,
      item_id: `u${item}`,
    });
    session.thinksSinceMs = nowMs;
    session.cutMaxMs = session.sent * DELTA_MS;
    return;
  }
  if (session.thinksSinceMs !== undefined && nowMs - session.thinksSinceMs >= THINKING_MS) {
    session.thinksSinceMs = undefined;
    session.turn++;
    session.sent = 0;
    session.answering = true;
    event('input_audio_buffer.speech_stopped', { audio_end_ms: nowMs - session.bornMs, item_id: `u${item}` });
    event('input_audio_buffer.committed', { previous_item_id: null, item_id: `u${item}` });
    event('response.created', {
      response: { id: `resp_${session.turn}_abcdefghijklmnop`, status: 'in_progress' },
    });
    return;
  }
  if (!session.answering) return;
  const place = { response_id: response, item_id: item, output_index: 0, content_index: 0 };
  for (let i = 0; i < DELTAS_A_TICK && session.sent < audio.length; i++) {
    event('response.output_audio_transcript.delta', { ...place, delta: ' word' });
    event('response.output_audio.delta', { ...place, delta: audio[session.sent++] });
  }
  if (session.sent < audio.length) return;
  session.answering = false;
  event('response.output_audio.done', place);
  event('response.done', { response: { id: response, status: 'completed', usage: { total_tokens: 500 } } });
}

// With a certificate it speaks TLS, as real services do.
const { SERVICE_CERT: cert, SERVICE_KEY: key } = process.env;
const secure = cert && key ? uWS.SSLApp({ cert_file_name: cert, key_file_name: key }) : uWS.App();
const app = secure.ws<Session>('/*', {
  maxPayloadLength: 1024 * 1024,
  idleTimeout: 120,
  upgrade(res, req, context) {
    const session: Session = {
      bornMs: 0,
      sent: 0,
      turn: 0,
      thinksSinceMs: undefined,
      answering: false,
      cutMaxMs: 0,
    };
    const header = (name: string): string => req.getHeader(name);
    res.upgrade(
      session,
      header('sec-websocket-key'),
      header('sec-websocket-protocol'),
      header('sec-websocket-extensions'),
      context,
    );
  },
  open(socket) {
    // Spread over the ten seconds, or all would be interrupted at the same time.
    socket.getUserData().bornMs = performance.now() - (figures.sessions++ % 50) * (INTERRUPTION_MS * 0.004);
    sockets.add(socket);
    figures.maxSessions = Math.max(figures.maxSessions, sockets.size);
    socket.send(JSON.stringify({ type: 'session.created', event_id: 'event_0', session: {} }));
  },
  message: (socket, message) => heard(socket, Buffer.from(message)),
  close(socket) {
    sockets.delete(socket);
    figures.closed++;
  },
});

app.listen('127.0.0.1', 0, listening => {
  if (!listening) throw new Error('the service cannot listen');
  console.log(JSON.stringify({ msg: 'listening', port: uWS.us_socket_local_port(listening) }));
});
setInterval(() => {
  const now = performance.now();
  for (const socket of sockets) socket.cork(() => step(socket, now));
}, TICK_MS);
process.on('SIGTERM', () => {
  console.log(JSON.stringify({ msg: 'figures', ...figures }));
  process.exit(0);
});
