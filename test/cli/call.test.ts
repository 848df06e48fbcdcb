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

type Behaviour = (socket: WebSocket, text: string) => void;

let server: WebSocketServer;
let url: string;
let dir: string;
let behave: Behaviour;

const echo: Behaviour = (socket, text) => {
  const frame = JSON.parse(text);
  if (frame.event !== 'media' || frame.media.track !== 'inbound') return;
  socket.send(JSON.stringify({ event: 'media', media: { payload: frame.media.payload } }));
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

async function run(
  options: CallCommandOptions,
  behaviour: Behaviour = echo,
  to = url,
): Promise<{ code: number; out: string; error: string }> {
  behave = behaviour;
  let out = '';
  let error = '';
  const code = await runCall(to, options, {
    write: text => {
      out += text;
    },
    writeError: text => {
      error += text;
    },
  });
  return { code, out, error };
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
  assert.ok(result.bytes.received >= 5 * 640);
  assert.ok(result.latencies.firstHeardMs > 0);
  const heard = await readWav(output);
  assert.equal(heard.sampleRate, 16000);
  const first = heard.channels[0]!.indexOf(samples[1]!) - 1;
  assert.ok(Math.abs(first - result.latencies.firstHeardMs * 16) < 16);
});

test('without --in the built-in phrase is spoken, --seconds cuts it, --both-tracks adds a silent callee', async () => {
  const { code, out } = await run({ seconds: '0.3', linger: '0.1', bothTracks: true });
  assert.equal(code, 0, out);
  assert.match(out, /^sent {7}40 media frames, 6400 bytes; 0 lost/m);
  assert.match(out, /^echo {7}15 of 15 frames came back byte for byte/m);
  assert.match(out, /^ended {6}by the caller, after \d+(\.\d)? ms/m);
});

test('digits, losses and the seed reach the call', async () => {
  const digits: string[] = [];
  const { code, out } = await run(
    { seconds: '0.2', linger: '0', dtmf: '5@20,#@40', loss: '1', seed: '3', allowSilence: true, json: true },
    (_socket, text) => {
      const frame = JSON.parse(text);
      if (frame.event === 'dtmf') digits.push(frame.dtmf.digit);
    },
  );
  assert.equal(code, 0, out);
  assert.deepEqual(digits, ['5', '#']);
  assert.deepEqual(JSON.parse(out).frames.lost, 10);
});

test('a failed call exits 1 and says why', async () => {
  const brief = { seconds: '0.05', linger: '0.05' };
  const silent = await run(brief, () => {});
  assert.equal(silent.code, 1);
  assert.match(silent.out, /problem {4}the caller heard nothing/);

  const wrong = await run(brief, (socket, text) => {
    if (JSON.parse(text).event === 'start') socket.send('{"event":"media","media":{"payload":"AAAA"}}');
  });
  assert.equal(wrong.code, 1);
  assert.match(wrong.out, /problem {4}1 error frame; the first: 100004 invalid_media/);

  const broken = await run(brief, (socket, text) => {
    if (JSON.parse(text).event === 'start') socket.terminate();
  });
  assert.equal(broken.code, 1);
  assert.match(broken.out, /problem {4}the server broke off \(code 1006\)/);

  const nobody = await run({ json: true }, echo, 'ws://127.0.0.1:1/');
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
    const { code, out, error } = await run({ seconds: '0.02', ...options } as CallCommandOptions);
    assert.equal(code, 2, JSON.stringify(options));
    assert.equal(out, '');
    assert.match(error, message);
  }
  assert.equal((await run({}, echo, 'http://127.0.0.1/')).code, 2);
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
