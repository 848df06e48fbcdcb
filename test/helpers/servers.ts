/** Servers for tests over real sockets, and a call beside the fault that must not notice it. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { createServer as createTcpServer } from 'node:net';
import {
  type Call,
  type CallResult,
  createServer,
  type Plugin,
  type PluginEntry,
  type Server,
  type ServerOptions,
  Simulator,
} from '../../src/index.js';
import type { CallOptions } from '../../src/simulator/options.js';
import { PATIENCE_MS, type RawOptions, RawSocket } from './raw-socket.js';
import { payloads, WireCall, type WireCallOptions } from './telnyx-messages.js';

export const url = (server: Server, path = '/echo'): string => `ws://127.0.0.1:${server.port}${path}`;

/** A server on a free loopback port; without plugins it echoes. */
export async function startServer(
  plugins: readonly (Plugin | PluginEntry | string)[] = [],
  options: ServerOptions = {},
): Promise<Server> {
  const server = await createServer({
    port: 0,
    admin: false,
    logLevel: 'silent',
    // What is heard, and who is let in, must not depend on the speed of the machine.
    liveLatencyMaxMs: 0,
    overload: { refuse: false },
    plugins: ['echo', ...plugins],
    ...options,
  });
  await server.listen();
  return server;
}

/**
 * A port that was free a moment ago, for a server that must know its address before it listens. It is below the ports
 * that the kernel gives out by itself, so that no other socket gets it meanwhile.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 32_000);
    const probe = createTcpServer();
    const free = await new Promise<boolean>(resolve => {
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    await new Promise(resolve => probe.close(resolve));
    return port;
  }
}

/** Closes a server without waiting for calls that a failed test has left. */
export async function stopServer(server: Server): Promise<void> {
  const closed = server.close();
  void server.close();
  await closed;
}

export async function withServer(
  plugins: readonly (Plugin | string)[],
  options: ServerOptions,
  run: (server: Server) => Promise<void>,
): Promise<void> {
  const server = await startServer(plugins, options);
  try {
    await run(server);
  } finally {
    await stopServer(server);
  }
}

/** The reactor's counters and, under `refused.REASON`, its refusals. */
export async function counts(server: Server): Promise<Record<string, number>> {
  const all: Record<string, number> = {};
  for (const { counters, refusals } of await server.snapshot(0)) {
    for (const [name, value] of Object.entries(counters)) all[name] = (all[name] ?? 0) + value;
    for (const [reason, value] of Object.entries(refusals)) {
      all[`refused.${reason}`] = (all[`refused.${reason}`] ?? 0) + value;
    }
  }
  return all;
}

/** Runs `fault` and tells by how much each counter that changed has grown. */
export async function growth(server: Server, fault: () => Promise<void>): Promise<Record<string, number>> {
  const before = await counts(server);
  await fault();
  const grown: Record<string, number> = {};
  for (const [name, value] of Object.entries(await counts(server))) {
    if (value !== (before[name] ?? 0)) grown[name] = value - (before[name] ?? 0);
  }
  return grown;
}

/** A minute of PCMU: longer than any fault takes. */
const SPOKEN = payloads(3000);

/** A call to the echo at `address` that goes on until it is hung up; resolves once it has heard its first echo. */
export async function longCall(address: string, options: CallOptions = {}): Promise<Call> {
  const call = new Simulator().call(address, {
    inbound: SPOKEN,
    durationMs: Number.POSITIVE_INFINITY,
    handshakeTimeoutMs: PATIENCE_MS,
    ...options,
  });
  await eventually(() => {
    const { ended, failure, echo } = call.soFar();
    assert.equal(ended === 'running' || ended === 'unanswered' ? undefined : ended, undefined, failure);
    return echo.matched > 0;
  }, 'the first echo');
  return call;
}

/** Hangs up a long call when it has heard everything that it has said by now. Then compares the audio. */
export async function hangUp(call: Call): Promise<CallResult> {
  const saidMs = call.soFar().echo.sent * 20;
  try {
    await eventually(() => call.soFar().heardMs >= saidMs, 'the echo of all that was said');
  } finally {
    call.hangup();
  }
  const result = await call.result;
  assert.equal(result.ended, 'by the caller');
  assert.deepEqual(result.errors, []);
  // Compares byte for byte and in order: nothing may be missing or come twice. Frames that are under way at the end
  // do not come back.
  const heard = Buffer.concat(result.heard.map(({ payload }) => payload));
  assert.ok(heard.length >= saidMs * 8, `${heard.length} bytes of ${saidMs * 8} were heard`);
  assert.ok(heard.equals(Buffer.concat(SPOKEN).subarray(0, heard.length)), 'what was heard is what was said');
  return result;
}

/** A call to the echo at `address` that says `frames` frames, hears all of them and hangs up then. */
export async function echoedCall(
  address: string,
  frames: number,
  options: CallOptions = {},
): Promise<CallResult> {
  const call = await longCall(address, { inbound: SPOKEN.slice(0, frames), ...options });
  await eventually(() => call.soFar().echo.sent === frames, 'all that is to be said');
  return hangUp(call);
}

/** Only the timing tests set it, because the lateness of the other calls' echoes depends on the machine too. */
const IS_TIMED = process.env.SIDETONE_TIMING === '1';

/**
 * Runs `fault` while another call is echoed. That call must hear what it said, byte for byte and in order, without an
 * error. Returns the counters that grew by the fault. `p99MaxMs` is how late the echoes may be; only `npm run
 * test:timing` judges it.
 */
export async function beside(
  server: Server,
  fault: () => Promise<void>,
  p99MaxMs = 150,
): Promise<Record<string, number>> {
  const call = await longCall(url(server));
  let result: CallResult;
  let grown: Record<string, number>;
  try {
    grown = await growth(server, fault);
    result = await hangUp(call);
  } finally {
    call.hangup();
  }
  if (IS_TIMED) {
    const p99 = result.latencies.echoArrivalMs!.p99;
    assert.ok(p99 <= p99MaxMs, `the p99 latency of the call beside the fault was ${p99} ms`);
  }
  return grown;
}

/** Resolves when `holds` does; looks every few milliseconds and rejects after `withinMs`. */
export function eventually(
  holds: () => boolean | Promise<boolean>,
  what: string,
  withinMs = PATIENCE_MS,
): Promise<void> {
  const until = performance.now() + withinMs;
  return new Promise((resolve, reject) => {
    const look = async (): Promise<void> => {
      if (await holds()) resolve();
      else if (performance.now() > until) reject(new Error(`${what} did not happen within ${withinMs} ms`));
      else setTimeout(() => look().catch(reject), 10);
    };
    look().catch(reject);
  });
}

/** A raw connection whose stream has started. */
export async function startedCall(
  server: Server,
  options: WireCallOptions & RawOptions = {},
): Promise<{ socket: RawSocket; call: WireCall }> {
  const socket = await RawSocket.open(server.port, { path: '/echo', ...options });
  assert.equal(socket.status, 101, socket.headers);
  const call = new WireCall(options);
  socket.send(call.connected());
  socket.send(call.start());
  return { socket, call };
}
