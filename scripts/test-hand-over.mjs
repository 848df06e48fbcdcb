// Deploys under load: test/faults/hand-over-load.test.ts with 300 running calls and 50 new ones a second, with
// net.ipv4.tcp_migrate_req 0 and 1. Each setting has a network namespace of its own, which needs root; without root
// the machine's setting is measured alone.
// Run it after `npm run compile`: npm run test:hand-over [-- running calls [new calls a second]]
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const [calls = '300', rate = '50'] = process.argv.slice(2);
const root = fileURLToPath(new URL('..', import.meta.url));
const node = [process.execPath, '--test', '--test-reporter=spec', 'dist/test/faults/hand-over-load.test.js'];
const inNamespace = (migrate, command) => [
  'unshare',
  '--net',
  'sh',
  '-c',
  `ip link set lo up && echo ${migrate} > /proc/sys/net/ipv4/tcp_migrate_req && exec "$@"`,
  'sh',
  ...command,
];

function run([file, ...args], stdio = 'inherit') {
  const environment = { SIDETONE_HAND_OVER_CALLS: calls, SIDETONE_HAND_OVER_RATE: rate };
  return spawnSync(file, args, { cwd: root, stdio, env: { ...process.env, ...environment } }).status === 0;
}

const canChoose = run(inNamespace(1, ['true']), 'ignore');
if (!canChoose)
  console.log("no network namespace can be made here (root, iproute2): the setting is the machine's");
const commands = canChoose ? [inNamespace(0, node), inNamespace(1, node)] : [node];
process.exitCode = commands.map(command => run(command)).every(Boolean) ? 0 : 1;
