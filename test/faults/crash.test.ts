/**
 * The process dies of a fault in native code (row 56). Its supervisor is the smallest possible one: a loop of the
 * shell.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { root } from '../helpers/paths.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { eventually } from '../helpers/servers.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';

afterEach(() => RawSocket.destroyAll());

const WAIT_MS = 60_000;

/** A free port below those that systems give out by themselves: nobody takes it while the server is down. */
async function lastingPort(): Promise<number> {
  for (;;) {
    const probe = createServer();
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const got = await new Promise<number>(resolve => {
      probe.once('error', () => resolve(0));
      probe.listen(port, '127.0.0.1', () => resolve((probe.address() as AddressInfo).port));
    });
    await new Promise(resolve => probe.close(resolve));
    if (got !== 0) return got;
  }
}

async function echoes(port: number): Promise<RawSocket> {
  const socket = await RawSocket.open(port, { path: '/echo' });
  const call = new WireCall();
  const [payload] = payloads(1) as [Uint8Array];
  socket.send(call.connected());
  socket.send(call.start());
  socket.send(call.media(payload));
  await socket.until(() => socket.audio().length === 160, 'the echo', WAIT_MS);
  assert.deepEqual(socket.audio(), Buffer.from(payload));
  return socket;
}

test('fault 56: a crash in native code ends the process at once, its calls close, and the next one has the port', async () => {
  const port = await lastingPort();
  const serve = [process.execPath, join(root, 'dist/src/cli/main.js'), 'serve'];
  const args = ['--port', String(port), '--no-admin', '--log-level', 'info'];
  // Twice, whatever happens: a supervisor has no end, and a test must.
  const loop = 'ulimit -c 0; for run in 1 2; do "$@"; echo "run $run ended with $?"; done';
  const supervisor = spawn('bash', ['-c', loop, 'bash', ...serve, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  for (const pipe of [supervisor.stdout, supervisor.stderr]) {
    pipe.on('data', data => {
      output += data;
    });
  }
  const ended = new Promise<number | null>(resolve => supervisor.on('close', resolve));
  const listening = (): number[] =>
    output
      .split('\n')
      .filter(line => line.includes('"msg":"listening"'))
      .map(line => (JSON.parse(line) as { pid: number }).pid);
  const runs = async (count: number): Promise<number> => {
    await eventually(() => listening().length === count, `run ${count}: ${output}`, WAIT_MS);
    return listening().at(-1)!;
  };
  try {
    const first = await runs(1);
    const calls = await Promise.all([1, 2, 3].map(() => echoes(port)));
    process.kill(first, 'SIGSEGV');
    await Promise.all(calls.map(call => call.until(() => call.closed, 'the end of the connection', WAIT_MS)));
    for (const call of calls) assert.equal(call.closeCode, 1006);
    await eventually(() => output.includes('run 1 ended with 139'), `128 and SIGSEGV: ${output}`, WAIT_MS);

    const second = await runs(2);
    (await echoes(port)).destroy();
    process.kill(second, 'SIGTERM');
    assert.equal(await ended, 0);
    assert.match(output, /run 2 ended with 0/);
  } finally {
    // The loop and every process that it has started. After a test that passed there is none.
    if (supervisor.exitCode === null) process.kill(-supervisor.pid!, 'SIGKILL');
  }
});
