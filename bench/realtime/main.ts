/**
 * `npm run bench:realtime` measures the plugin `realtime` beside the usual bridge: the same calls and the same service, in
 * turn, each bridge on a core of its own. It prints the processor time of a conversation-second of both, and the ratio.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { EXIT_FAILED } from '../../src/cli/exit.js';
import { runLoad } from '../../src/load/run.js';
import { median } from '../median.js';
import { benchCommand, whole } from '../options.js';
import { pinnedNode, pinSelf } from '../pinned.js';

const BRIDGE_CORE = 0;
const OTHERS_CORE = 1;
const SETTLE_MS = 500;
/** By how much the audio that the service has heard of the two may differ. */
const UNLIKE_MAX = 0.03;
const compiled = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

const { rounds, seconds, conversations, appendMs, tls } = benchCommand(
  'npm run bench:realtime --',
  'The plugin realtime and the usual bridge under the same conversations, in turn; processor time, and the ratio.',
)
  .option('--rounds <n>', 'rounds of both', whole(1, 50), 3)
  .option('--seconds <s>', 'each measurement', whole(1, 60), 20)
  .option('--conversations <n>', 'at a time', whole(1, 2000), 200)
  .option('--append-ms <ms>', "the plugin's appendMs (default: its own)", whole(20, 100))
  .option('--tls', 'the service speaks TLS, as real ones do (needs openssl)')
  .parse()
  .opts<{ rounds: number; seconds: number; conversations: number; appendMs?: number; tls?: true }>();

type Bridge = 'sidetone' | 'usual';
interface Figures {
  appends: number;
  audioMs: number;
  truncates: number;
  tooLong: number;
}

/** Environments of the service and of its clients where they speak TLS; the folder holds the certificate. */
function certificate(): { directory: string; service: NodeJS.ProcessEnv; client: NodeJS.ProcessEnv } {
  const directory = mkdtempSync(join(tmpdir(), 'bench-realtime-'));
  const [cert, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const name = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const { status, stderr } = spawnSync('openssl', ['req', ...kind, ...name, '-keyout', key, '-out', cert]);
  if (status !== 0) throw new Error(`openssl makes no certificate: ${stderr}`);
  return {
    directory,
    service: { SERVICE_CERT: cert, SERVICE_KEY: key },
    client: { NODE_EXTRA_CA_CERTS: cert },
  };
}

const secure = tls ? certificate() : undefined;

/** A child that prints the port on which it listens. */
async function start(core: number, args: string[], environment: NodeJS.ProcessEnv): Promise<Child> {
  const [program, all] = pinnedNode(core, args);
  const child = spawn(program, all, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...environment },
  });
  let output = '';
  const port = await new Promise<number>((resolve, reject) => {
    child.once('exit', code => reject(new Error(`${args.join(' ')} ended with ${code}: ${output}`)));
    child.stdout.on('data', data => {
      output += data;
      const line = output.split('\n').find(each => each.includes('"listening"') && each.endsWith('}'));
      if (line) resolve((JSON.parse(line) as { port: number }).port);
    });
  });
  return { child, port, output: () => output };
}

interface Child {
  child: ChildProcess;
  port: number;
  output(): string;
}

async function stop({ child }: Child): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const limit = setTimeout(() => child.kill('SIGKILL'), 5000);
  await ended;
  clearTimeout(limit);
}

function commandOf(bridge: Bridge): string[] {
  if (bridge === 'usual') return [compiled('bench/realtime/sample.js')];
  const main = compiled('src/cli/main.js');
  // As the first line of that file has it.
  const flags = ['--max-semi-space-size=2'];
  // A burst of TLS handshakes would have calls refused, and the usual bridge refuses none.
  const server = [
    'serve',
    '--plugin',
    'realtime',
    '--port',
    '0',
    '--admin-port',
    '0',
    '--no-overload-refuse',
  ];
  return [...flags, main, ...server];
}

async function measure(bridge: Bridge): Promise<{ us: number; kernelUs: number; figures: Figures }> {
  const service = await start(OTHERS_CORE, [compiled('bench/realtime/service.js')], secure?.service ?? {});
  const server = await start(BRIDGE_CORE, commandOf(bridge), {
    SIDETONE_REALTIME_URL: `${secure ? 'wss' : 'ws'}://127.0.0.1:${service.port}/`,
    ...secure?.client,
    ...(appendMs !== undefined && { SIDETONE_PLUGIN_OPTIONS_REALTIME: JSON.stringify({ appendMs }) }),
  });
  try {
    await wait(SETTLE_MS);
    const { server: used } = await runLoad(`ws://127.0.0.1:${server.port}/`, {
      streams: conversations,
      seconds,
      mode: 'listen',
      connectsPerSecond: 100,
      // The first answers are under way by then.
      warmupSeconds: 4,
      serverPid: server.child.pid!,
    });
    await stop(server);
    await stop(service);
    const line = service
      .output()
      .split('\n')
      .find(each => each.includes('"figures"'))!;
    return { us: used!.cpu.totalUs, kernelUs: used!.cpu.kernelUs, figures: JSON.parse(line) as Figures };
  } finally {
    server.child.kill('SIGKILL');
    service.child.kill('SIGKILL');
  }
}

pinSelf(OTHERS_CORE);
const ratios: number[] = [];
const each: Record<Bridge, number[]> = { sidetone: [], usual: [] };
for (let round = 0; round < rounds; round++) {
  const order: Bridge[] = round % 2 === 0 ? ['sidetone', 'usual'] : ['usual', 'sidetone'];
  const now = {} as Record<Bridge, number>;
  const upMs = {} as Record<Bridge, number>;
  for (const bridge of order) {
    const { us, kernelUs, figures } = await measure(bridge);
    now[bridge] = us;
    upMs[bridge] = figures.audioMs;
    const { appends, audioMs, truncates, tooLong } = figures;
    console.log(
      `${bridge.padEnd(8)} ${us.toFixed(0)} µs a conversation-second (kernel ${kernelUs.toFixed(0)}); ` +
        `${appends} appends, ${(audioMs / 1000).toFixed(0)} s up, ${truncates} cuts, ${tooLong} too long`,
    );
  }
  if (Math.abs(upMs.sidetone / upMs.usual - 1) > UNLIKE_MAX) {
    console.log(
      '  the service has not heard the same of both: the machine is too busy, and this round does not count',
    );
    continue;
  }
  for (const bridge of order) each[bridge].push(now[bridge]);
  ratios.push(now.sidetone / now.usual);
}
if (secure) rmSync(secure.directory, { recursive: true });
if (ratios.length === 0) {
  console.error('no round counts: run it on a machine at rest');
  process.exit(EXIT_FAILED);
}
console.log(
  `\n${conversations} conversations: sidetone ${median(each.sidetone).toFixed(0)} µs, usual ${median(each.usual).toFixed(0)} µs a ` +
    `conversation-second; ratio ${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`,
);
