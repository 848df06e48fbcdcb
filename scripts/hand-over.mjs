// Measures hand-overs between processes that share a port: what becomes of upgrades that come all the while.
// Run it after `npm run compile`: node scripts/hand-over.mjs [upgrades for each hand-over] [hand-overs]
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const [upgrades = 1000, handOvers = 3] = process.argv.slice(2).map(Number);
/** Connections begun in each millisecond, about. */
const PER_MS = 4;
const main = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url));

async function startServer(port) {
  const flags = [
    '--share-port',
    '--port',
    port,
    '--no-admin',
    '--no-overload-refuse',
    '--drain-timeout',
    '5',
  ];
  const child = spawn(process.execPath, [main, 'serve', ...flags], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  await new Promise((resolve, reject) => {
    child.once('exit', code => reject(new Error(`the server ended with ${code}: ${output}`)));
    child.stdout.on('data', data => {
      output += data;
      if (output.includes('"msg":"listening"')) resolve();
    });
  });
  child.removeAllListeners('exit');
  return child;
}

/** The status of one upgrade, or the error of its socket. */
function upgrade(port) {
  const request = [
    'GET /echo HTTP/1.1',
    'Host: localhost',
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version: 13',
  ];
  return new Promise(resolve => {
    let outcome = 'closed without an answer';
    const socket = connect(port, '127.0.0.1', () => socket.write(`${request.join('\r\n')}\r\n\r\n`));
    socket.once('data', data => {
      outcome = String(data).slice(9, 12);
      socket.destroy();
    });
    socket.on('error', ({ code }) => {
      outcome = code;
    });
    socket.on('close', () => resolve(outcome));
  });
}

// Below the ports that the kernel gives to whoever asks for any.
const port = randomInt(10_000, 32_000);
let old = await startServer(port);
const outcomes = {};
for (let handOver = 0; handOver < handOvers; handOver++) {
  const next = await startServer(port);
  const all = [];
  for (let i = 0; i < upgrades; i++) {
    all.push(upgrade(port));
    if (i === upgrades >> 1) old.kill('SIGTERM');
    if (i % PER_MS === 0) await wait(1);
  }
  for (const outcome of await Promise.all(all)) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  old = next;
}
console.log(JSON.stringify({ handOvers, upgrades: handOvers * upgrades, outcomes }));
old.kill('SIGKILL');
