/** Servers for tests over real sockets, and a call beside the fault that must not notice it. */
import assert from 'node:assert/strict';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { createServer, type Plugin, type Server, type ServerOptions, Simulator } from '../../src/index.js';
import { type RawOptions, RawSocket } from './raw-socket.js';
import { payloads, WireCall, type WireCallOptions } from './telnyx-messages.js';

export const url = (server: Server, path = '/echo'): string => `ws://127.0.0.1:${server.port}${path}`;

/** A server on a free loopback port; without plugins it echoes. */
export async function startServer(
  plugins: readonly (Plugin | string)[] = [],
  options: ServerOptions = {},
): Promise<Server> {
  const server = await createServer({
    port: 0,
    admin: false,
    logLevel: 'silent',
    // What an echo sounds like must not depend on how fast the machine is.
    liveLatencyMaxMs: 0,
    plugins: ['echo', ...plugins],
    ...options,
  });
  await server.listen();
  return server;
}

/** A port that was free a moment ago, for what must know its address before it listens. */
export async function freePort(): Promise<number> {
  const probe = createTcpServer();
  await new Promise<void>(resolve => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise(resolve => probe.close(resolve));
  return port;
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

/** How late the other calls' echoes may be: wide enough for a machine that is shared, far below a fault's harm. */
const P99_MAX_MS = Number(process.env.SIDETONE_P99_MAX_MS ?? 150);

/**
 * Runs `fault` beside a call that is echoed all the while, and holds that call to its audio: byte for byte what it
 * said, in order, without an error, and in time. Returns the counters that grew by the fault.
 */
export async function beside(
  server: Server,
  fault: () => Promise<void>,
  p99MaxMs = P99_MAX_MS,
): Promise<Record<string, number>> {
  const simulator = new Simulator();
  const call = simulator.call(url(server), {
    inbound: payloads(3000),
    durationMs: Number.POSITIVE_INFINITY,
  });
  await eventually(() => call.soFar().echo.matched > 0, 'the first echo beside the fault');
  let grown: Record<string, number>;
  try {
    grown = await growth(server, fault);
    const said = call.soFar().echo.sent;
    await eventually(() => call.soFar().echo.matched >= said, 'the last echo beside the fault');
  } finally {
    call.hangup();
  }
  const result = await call.result;
  assert.equal(result.ended, 'by the caller');
  assert.deepEqual(result.errors, []);
  // What is on its way when the caller hangs up does not come back.
  assert.ok(result.echo.sent - result.echo.matched <= 5, JSON.stringify(result.echo));
  const p99 = result.latencies.echoArrivalMs!.p99;
  assert.ok(p99 <= p99MaxMs, `the p99 latency of the call beside the fault was ${p99} ms`);
  return grown;
}

/** Resolves when `holds` does; looks every few milliseconds and rejects after `withinMs`. */
export function eventually(
  holds: () => boolean | Promise<boolean>,
  what: string,
  withinMs = 5000,
): Promise<void> {
  const until = performance.now() + withinMs;
  return new Promise((resolve, reject) => {
    const look = async (): Promise<void> => {
      if (await holds()) resolve();
      else if (performance.now() > until) reject(new Error(`${what} did not happen within ${withinMs} ms`));
      else setTimeout(look, 5);
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
