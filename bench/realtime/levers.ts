/**
 * `node dist/bench/realtime/levers.js`: what each lever of the plugin's upstream gives. The ways of sending an append take turns in
 * one process, to the same connections; so do the ways of reading a delta. It prints processor time in µs, medians of the rounds.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { scanDelta } from '../../src/plugins/realtime/deltas.js';
import { parseEvent } from '../../src/plugins/realtime/events.js';
import { postAudio, sendPosted } from '../../src/plugins/realtime/outbox.js';
import { ServiceSocket } from '../../src/plugins/realtime/socket.js';
import { median } from '../median.js';
import { benchCommand, whole } from '../options.js';
import { pinnedNode, pinSelf } from '../pinned.js';

const APPEND_BYTES = 800;
/** Appends of a millisecond: 200 conversations with one each in 100 ms. */
const APPENDS_A_MS = 2;
const DELTAS_A_ROUND = 2000;

const { rounds, milliseconds, conversations } = benchCommand(
  'node dist/bench/realtime/levers.js',
  'Ways of sending appends and of reading deltas, in turn.',
)
  .option('--rounds <n>', 'rounds of all', whole(1, 100), 9)
  .option('--milliseconds <ms>', 'each way, each round', whole(100, 10_000), 500)
  .option('--conversations <n>', 'connections', whole(1, 1000), 200)
  .parse()
  .opts<{ rounds: number; milliseconds: number; conversations: number }>();

/** As a client does it without the addon: base64 as text, the mask byte by byte, one write of a stream. */
function sendInJavaScript(socket: ServiceSocket, audio: Buffer): void {
  const text = Buffer.from(`{"type":"input_audio_buffer.append","audio":"${audio.toString('base64')}"}`);
  const frame = Buffer.allocUnsafe(8 + text.length);
  frame[0] = 0x81;
  frame[1] = 0xfe;
  frame.writeUInt16BE(text.length, 2);
  randomFillSync(frame, 4, 4);
  for (let i = 0; i < text.length; i++) frame[8 + i] = text[i]! ^ frame[4 + (i & 3)]!;
  socket.write(frame);
}

const audio = randomFillSync(Buffer.alloc(APPEND_BYTES));
const WAYS: Record<string, (socket: ServiceSocket, ms: number) => void> = {
  nothing: () => {},
  'JavaScript, a stream write each': socket => sendInJavaScript(socket, audio),
  'native, sent one by one': socket => {
    postAudio(socket, audio);
    sendPosted();
  },
  'native, all sent once in 10 ms': socket => postAudio(socket, audio),
};

const head =
  '{"type":"response.output_audio.delta","event_id":"event_1","response_id":"resp_1","item_id":"item_1","delta":"';
const delta = Buffer.from(`${head}${randomFillSync(Buffer.alloc(1600)).toString('base64')}"}`);
const words = Buffer.from(
  '{"type":"response.output_audio_transcript.delta","event_id":"event_1","response_id":"resp_1","item_id":"item_1","delta":" word"}',
);
let kept = 0;
const READS: Record<string, () => void> = {
  'audio, JSON.parse and Buffer': () => {
    kept += Buffer.from(parseEvent(delta)!.delta!, 'base64').length;
  },
  'audio, native': () => {
    kept += scanDelta(delta)!.audio!.length;
  },
  'words, JSON.parse': () => {
    kept += parseEvent(words)!.delta!.length;
  },
  'words, native': () => {
    kept += scanDelta(words)!.words.length;
  },
};

function processorUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

async function startService(): Promise<{ child: ChildProcess; port: number }> {
  const [program, args] = pinnedNode(1, [fileURLToPath(new URL('service.js', import.meta.url))]);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const data of child.stdout) {
    const line = String(data);
    if (line.includes('"listening"')) return { child, port: (JSON.parse(line) as { port: number }).port };
  }
  throw new Error('the service does not listen');
}

const { child, port } = await startService();
pinSelf(0);
let opened = 0;
const sockets = Array.from(
  { length: conversations },
  () =>
    new ServiceSocket(
      `ws://127.0.0.1:${port}/`,
      {},
      {
        opened: () => opened++,
        message: () => {},
        closed: why => {
          throw new Error(why);
        },
      },
    ),
);
while (opened < conversations) await wait(10);

const sendUs = Object.fromEntries(Object.keys(WAYS).map(name => [name, [] as number[]]));
const readUs = Object.fromEntries(Object.keys(READS).map(name => [name, [] as number[]]));
for (let round = 0; round < rounds; round++) {
  for (const [name, send] of Object.entries(WAYS)) {
    const count = milliseconds * APPENDS_A_MS;
    const from = processorUs();
    const startMs = performance.now();
    for (let sent = 0; sent < count; ) {
      const due = Math.min(count, Math.floor((performance.now() - startMs) * APPENDS_A_MS));
      for (; sent < due; sent++) send(sockets[sent % conversations]!, sent);
      await wait(1);
    }
    sendUs[name]!.push((processorUs() - from) / count);
  }
  for (const [name, read] of Object.entries(READS)) {
    const from = processorUs();
    for (let i = 0; i < DELTAS_A_ROUND; i++) read();
    readUs[name]!.push((processorUs() - from) / DELTAS_A_ROUND);
  }
}
const idleUs = median(sendUs.nothing!);
console.log('an append of 100 ms of G.711, without the loop that sends it:');
for (const [name, us] of Object.entries(sendUs)) {
  if (name !== 'nothing') console.log(`  ${(median(us) - idleUs).toFixed(1).padStart(6)} µs  ${name}`);
}
console.log(`a delta (${kept > 0 ? 'read' : 'not read'}):`);
for (const [name, us] of Object.entries(readUs))
  console.log(`  ${median(us).toFixed(1).padStart(6)} µs  ${name}`);
child.kill();
process.exit(0);
