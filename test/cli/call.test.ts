import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Command } from 'commander';
import { type WebSocket, WebSocketServer } from 'ws';
import { readWav, wavBytes } from '../../src/audio/wav.js';
import { type CallCommandOptions, register, runCall } from '../../src/cli/call.js';
import { VirtualClock } from '../../src/clock.js';
import type { ApplicationEnd } from '../../src/simulator/memory.js';
import type { CallOptions } from '../../src/simulator/options.js';
import { type Call, Simulator } from '../../src/simulator/simulator.js';

type Behaviour = (socket: WebSocket, text: string) => void;

let server: WebSocketServer;
let url: string;
let dir: string;
let behave: Behaviour;

const echo = (application: ApplicationEnd, text: string): void => {
  const frame = JSON.parse(text);
  if (frame.event !== 'media' || frame.media.track !== 'inbound') return;
  application.send(JSON.stringify({ event: 'media', media: { payload: frame.media.payload } }));
};

before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'sidetone-call-'));
  server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  server.on('connection', socket => socket.on('message', data => behave(socket, String(data))));
  await once(server, 'listening');
  url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
after(() => {
  server.close();
  rmSync(dir, { recursive: true });
});

interface Outcome {
  code: number;
  out: string;
  error: string;
}

async function place(options: CallCommandOptions, to: string, simulator?: Simulator): Promise<Outcome> {
  let out = '';
  let error = '';
  const code = await runCall(to, options, {
    write: text => {
      out += text;
    },
    writeError: text => {
      error += text;
    },
    ...(simulator && { simulator }),
  });
  return { code, out, error };
}

/** A call over a real WebSocket. The server ends it, so the result does not depend on its length. */
function overSocket(options: CallCommandOptions, behaviour: Behaviour, to = url): Promise<Outcome> {
  behave = behaviour;
  return place(options, to);
}

/** Calls an application in the same process in virtual time. */
class PairedSimulator extends Simulator {
  constructor(
    clock: VirtualClock,
    readonly behaviour: (application: ApplicationEnd, text: string) => void,
  ) {
    super({ clock });
  }
  override call(_url: string, options: CallOptions): Call {
    const { call, application, open } = this.pair({ ...options, latencyMs: 15 });
    application.onText = text => this.behaviour(application, text);
    open();
    return call;
  }
}

/** A call in virtual time to an application that is 15 ms away. */
async function run(
  options: CallCommandOptions,
  behaviour: (application: ApplicationEnd, text: string) => void = echo,
): Promise<Outcome> {
  const clock = new VirtualClock();
  let over = false;
  const running = place(options, 'ws://application/', new PairedSimulator(clock, behaviour)).finally(() => {
    over = true;
  });
  while (!over) await clock.advanceAsync(5);
  return running;
}

test('an echo call: exit 0, JSON with frames, bytes, marks, errors and latencies, and the sound in a file', async () => {
  const samples = Int16Array.from({ length: 1600 }, (_, i) => Math.round(8000 * Math.sin(i / 5)));
  const input = join(dir, 'in.wav');
  writeFileSync(input, wavBytes({ sampleRate: 16000, channels: [samples] }));
  const output = join(dir, 'heard.wav');
  const { code, out } = await run({
    codec: 'L16',
    in: input,
    out: output,
    seed: '7',
    linger: '0.3',
    json: true,
  });
  const result = JSON.parse(out);
  assert.equal(code, 0, out);
  assert.equal(result.ok, true);
  assert.equal(result.seed, 7);
  assert.equal(result.frames.mediaSent, 20);
  assert.deepEqual(result.echo, { sent: 5, matched: 5 });
  assert.deepEqual(result.marks, { received: 0, returned: 0 });
  assert.deepEqual(result.errors, []);
  // The idle frames behind the speech come back too, but for those that are under way when the caller hangs up.
  assert.equal(result.bytes.received, 19 * 640);
  assert.equal(result.latencies.firstHeardMs, 30);
  assert.deepEqual(result.latencies.echoArrivalMs, { count: 5, p50: 30, p95: 30, p99: 30, max: 30 });
  const heard = await readWav(output);
  assert.equal(heard.sampleRate, 16000);
  // Nothing is heard for 30 ms, then what was said.
  assert.deepEqual(heard.channels[0]!.subarray(0, 480), new Int16Array(480));
  assert.deepEqual(heard.channels[0]!.subarray(480, 480 + 1600), samples);
});

test('over a real WebSocket: what is said arrives, and what comes back is heard byte for byte', async () => {
  const events: string[] = [];
  const { code, out } = await overSocket({ seconds: '0.1', linger: '60', json: true }, (socket, text) => {
    const { event, media } = JSON.parse(text);
    events.push(event);
    if (event !== 'media') return;
    socket.send(JSON.stringify({ event: 'media', media: { payload: media.payload } }));
    if (media.chunk === '5') socket.close(1000);
  });
  assert.equal(code, 0, out);
  const { echo, ended, errors } = JSON.parse(out);
  assert.deepEqual(events.slice(0, 7), ['connected', 'start', 'media', 'media', 'media', 'media', 'media']);
  assert.equal(echo.matched, 5);
  assert.equal(ended, 'by the application');
  assert.deepEqual(errors, []);
});

test('without --in the built-in phrase is spoken, --seconds cuts it, --both-tracks adds a silent callee', async () => {
  const { code, out } = await run({ seconds: '0.3', linger: '0.1', bothTracks: true });
  assert.equal(code, 0, out);
  assert.match(out, /^sent {7}40 media frames, 6400 bytes; 0 lost/m);
  assert.match(out, /^heard {6}.*, first after 30 ms; 0 gaps, 0 ms/m);
  assert.match(out, /^echo {7}15 of 15 frames came back unchanged: p50 30 ms, p99 30 ms/m);
  assert.match(out, /^ended {6}by the caller, after 400 ms$/m);
});

test('digits, losses and the seed reach the call', async () => {
  const digits: string[] = [];
  const { code, out } = await run(
    { seconds: '0.2', linger: '0', dtmf: '5@20,#@40', loss: '1', seed: '3', allowSilence: true, json: true },
    (_application, text) => {
      const frame = JSON.parse(text);
      if (frame.event === 'dtmf') digits.push(`${frame.dtmf.digit} ${frame.occurred_at.slice(20, 23)}`);
    },
  );
  assert.equal(code, 0, out);
  const [five, hash] = digits.map(digit => digit.split(' '));
  assert.deepEqual([five![0], hash![0]], ['5', '#']);
  assert.equal((Number(hash![1]) - Number(five![1]) + 1000) % 1000, 20);
  const { seed, frames } = JSON.parse(out);
  assert.equal(seed, 3);
  assert.equal(frames.lost, 10);
});

test('a failed call exits 1 and says why', async () => {
  const brief = { seconds: '0.05', linger: '0.05' };
  const silent = await run(brief, () => {});
  assert.equal(silent.code, 1);
  assert.match(silent.out, /problem {4}the caller heard nothing/);

  const wrong = await run(brief, (application, text) => {
    if (JSON.parse(text).event === 'start') application.send('{"event":"media","media":{"payload":"AAAA"}}');
  });
  assert.equal(wrong.code, 1);
  assert.match(wrong.out, /problem {4}1 error frame; the first: 100004 invalid_media/);

  const broken = await overSocket({ linger: '60' }, (socket, text) => {
    if (JSON.parse(text).event === 'start') socket.terminate();
  });
  assert.equal(broken.code, 1);
  assert.match(broken.out, /problem {4}the server broke off \(code 1006\)/);

  const nobody = await overSocket({ json: true }, () => {}, 'ws://127.0.0.1:1/');
  assert.equal(nobody.code, 1);
  assert.match(JSON.parse(nobody.out).problems[0], /ECONNREFUSED/);
});

test('bad usage exits 2 and names option, value and remedy', async () => {
  for (const [options, message] of [
    [{ codec: 'G.711' }, /--codec is G\.711: give one of PCMU/],
    [{ loss: '5%' }, /--loss is 5%: give a number from 0 to 1/],
    [{ shuffle: '1.5' }, /shuffle is 1\.5: give a whole number/],
    [{ seconds: 'x' }, /--seconds is x: give a number/],
    [{ seed: '' }, /--seed is : give a number/],
    [{ in: join(dir, 'none.wav') }, /none\.wav cannot be read/],
    [{ out: join(dir, 'no/dir.wav') }, /--out .*dir\.wav cannot be written/],
    [{ mp3: true, out: 'x.wav' }, /--out is x\.wav: with --mp3 .*\.mp3/],
    [{ dtmf: 'hello' }, /--dtmf is hello: give digits/],
    [{ timestampUnit: 'samples' }, /--timestamp-unit is samples: give one of rtp, ms/],
    [{ parameter: ['x'] }, /--parameter is x: give name=value/],
  ] as const) {
    const { code, out, error } = await place({ seconds: '0.02', ...options } as CallCommandOptions, url);
    assert.equal(code, 2, JSON.stringify(options));
    assert.equal(out, '');
    assert.match(error, message);
  }
  assert.equal((await place({}, 'http://127.0.0.1/')).code, 2);
});

test('the command reads its options as documented', async () => {
  const program = new Command();
  register(program);
  const command = program.commands[0]!;
  command.action(() => {});
  await program.parseAsync(
    [
      'call',
      url,
      '--codec',
      'L16',
      '--both-tracks',
      '--loss',
      '0.1',
      '--parameter',
      'a=1',
      '--parameter',
      'b=2',
      '--json',
    ],
    { from: 'user' },
  );
  assert.deepEqual(command.opts(), {
    codec: 'L16',
    bothTracks: true,
    loss: '0.1',
    parameter: ['a=1', 'b=2'],
    json: true,
  });
  assert.deepEqual(command.args, [url]);
});
