import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ENCODINGS } from '../../src/codec.js';
import type { LoadOptions } from '../../src/load/options.js';
import type { LoadResult } from '../../src/load/result.js';
import { rampLoad, runLoad } from '../../src/load/run.js';
import { type Answer, echo, startServer, type TestServerOptions } from './echo-server.js';

const SHORT = { streams: 10, seconds: 0.6, warmupSeconds: 0.1 } as const;

async function run(
  options: Partial<LoadOptions>,
  server: TestServerOptions = {},
): Promise<{ result: LoadResult; server: Awaited<ReturnType<typeof startServer>> }> {
  const started = await startServer(server);
  try {
    return { result: await runLoad(started.url, { ...SHORT, ...options }), server: started };
  } finally {
    await started.close();
  }
}

const speak = (socket: Parameters<Answer>[0], ms: number): void =>
  socket.send(
    JSON.stringify({ event: 'media', media: { payload: Buffer.alloc(ms * 8, 0xff).toString('base64') } }),
  );

// Side by side: a run waits for its clock most of the time, and the limits leave room for the company.
describe('a load run', { concurrency: 4, skip: process.platform !== 'linux' }, () => {
  it('sends in real time and gets every byte back', async () => {
    const { result, server } = await run({ verify: true });
    assert.deepEqual(result.problems, []);
    assert.equal(result.streams.opened, 10);
    assert.ok(Math.abs(result.sent.frames - 300) <= 10, `${result.sent.frames} frames in 0.6 s`);
    assert.ok(Math.abs(result.audioRate.mean - 1) < 0.1, `rate ${result.audioRate.mean}`);
    assert.ok(result.latency!.count > 250);
    assert.ok(result.latency!.p50Ms > 0 && result.latency!.p50Ms < 200);
    assert.equal(result.framesUnreturned, 0);
    // From start to stop, so the whole run: more than the measurement, nothing damaged.
    assert.ok(result.verify!.bytesRight > result.received.payloadBytes);
    const events = server.control.map(({ message }) => message.event);
    for (const event of ['connected', 'start', 'stop']) {
      assert.equal(events.filter(one => one === event).length, 10, event);
    }
  });

  const held: Parameters<Answer>[1][] = [];
  const faults: { name: string; answer: Answer; found: (result: LoadResult) => number }[] = [
    {
      name: 'a dropped frame',
      answer: (socket, message, index) => index !== 5 && echo(socket, message, index),
      found: result => result.verify!.framesMissing,
    },
    {
      name: 'a repeated frame',
      answer: (socket, message, index) => {
        echo(socket, message, index);
        if (index === 5) echo(socket, message, index);
      },
      found: result => result.verify!.framesRepeated,
    },
    {
      name: 'two frames in the wrong order',
      answer: (socket, message, index) => {
        if (index === 5) return void held.push(message);
        echo(socket, message, index);
        if (index === 6) echo(socket, held.shift()!, index);
      },
      found: result => result.verify!.framesRepeated,
    },
    {
      name: 'one changed byte',
      answer: (socket, message, index) => {
        const payload = Buffer.from(message.media!.payload, 'base64');
        if (index === 5) payload[100]! ^= 0x10;
        echo(socket, { event: 'media', media: { payload: payload.toString('base64') } }, index);
      },
      found: result => result.verify!.bytesWrong,
    },
  ];
  for (const { name, answer, found } of faults) {
    it(`finds ${name} on every stream`, async () => {
      const { result } = await run({ verify: true, streams: 4 }, { answer });
      assert.equal(found(result), 4);
      assert.ok(result.problems.length > 0);
    });
  }

  it('measures the audio rate and the underruns of a server that is too slow', async () => {
    const { result } = await run(
      { mode: 'listen', seconds: 1, playoutMs: 40 },
      { answer: (socket, message, index) => index % 2 === 0 && echo(socket, message, index) },
    );
    assert.deepEqual(result.problems, []);
    assert.ok(Math.abs(result.audioRate.mean - 0.5) < 0.05, `rate ${result.audioRate.mean}`);
    // Each stream hears half of a second in frames of 20 ms behind 40 ms of playout each: a gap a hole.
    assert.ok(result.underruns.streams === 10 && result.underruns.count > 50, `${result.underruns.count}`);
  });

  it('returns a mark when its audio has been played, and at once at a clear', async () => {
    const sentAt: number[] = [];
    const { result, server } = await run(
      { mode: 'listen', streams: 1, seconds: 1, playoutMs: 0 },
      {
        answer: (socket, _message, index) => {
          if (index !== 0 && index !== 25) return;
          sentAt.push(performance.now());
          speak(socket, 300);
          socket.send(JSON.stringify({ event: 'mark', mark: { name: `m "${index}"` } }));
          if (index === 25) socket.send('{"event":"clear"}');
        },
      },
    );
    const marks = server.control.filter(({ message }) => message.event === 'mark');
    assert.deepEqual(
      marks.map(({ message }) => message.mark!.name),
      ['m "0"', 'm "25"'],
    );
    const waited = marks.map(({ atMs }, i) => atMs - sentAt[i]!);
    assert.ok(waited[0]! >= 295 && waited[0]! < 500, `played after ${waited[0]} ms`);
    assert.ok(waited[1]! < 200, `cleared after ${waited[1]} ms`);
    assert.equal(result.control.marksReturned, 2);
    assert.equal(result.control.clears, 1);
  });

  it('counts audio of every encoding, by its bytes or its packets', async () => {
    for (const encoding of ENCODINGS) {
      const { result } = (await run({ encoding, streams: 2, seconds: 0.4 }).catch((error: unknown) => {
        // The system's AMR-WB libraries may be missing; every other encoding must be there.
        if (encoding === 'AMR-WB' && (error as { code?: string }).code === 'SIDETONE_CODEC_UNAVAILABLE')
          return {};
        throw error;
      })) as { result?: LoadResult };
      if (!result) continue;
      assert.deepEqual(result.problems, [], encoding);
      assert.ok(Math.abs(result.audioRate.mean - 1) < 0.1, `${encoding}: rate ${result.audioRate.mean}`);
    }
  });

  it('presents the token, and reports a refused upgrade with its status', async () => {
    const accepted = await run({ token: 'secret"1' }, { token: 'secret"1' });
    assert.deepEqual(accepted.result.problems, []);
    assert.equal(accepted.server.tokens[0], 'secret"1');
    const refused = await run({}, { token: 'secret' });
    assert.equal(refused.result.streams.upgradeRefused, 10);
    assert.match(refused.result.problems[0]!, /10 of 10 .*401/);
  });

  it('takes messages in fragments, in whitespace and with escaped slashes', async () => {
    const { result } = await run(
      { verify: true },
      {
        answer: (socket, { media }) => {
          const text = JSON.stringify(
            { other: [{}], media: { x: 1, payload: media!.payload }, event: 'media' },
            null,
            2,
          );
          const escaped = text.replaceAll('/', '\\/');
          socket.send(escaped.slice(0, 50), { fin: false });
          socket.send(escaped.slice(50));
        },
      },
    );
    assert.deepEqual(result.problems, []);
    assert.ok(result.verify!.bytesRight > 0);
  });

  it('finds the largest load that a server bears', async () => {
    const server = await startServer({ streamsMax: 30 });
    const found = await rampLoad(server.url, { seconds: 0.2, warmupSeconds: 0.1, streams: 50, p99Ms: 500 });
    assert.equal(found.streams, 0, '50 is the smallest load it tries');
    await server.close();
    const roomier = await startServer({ streamsMax: 70 });
    const ramp = await rampLoad(roomier.url, { seconds: 0.2, warmupSeconds: 0.1, p99Ms: 500 });
    assert.ok(ramp.streams > 60 && ramp.streams <= 70, `found ${ramp.streams}`);
    await roomier.close();
  });

  it('refuses what it cannot do, naming it', async () => {
    const refused: [string, Partial<LoadOptions>, RegExp][] = [
      ['wss://127.0.0.1:1/', {}, /wss:.*plain ws:/],
      ['http://127.0.0.1:1/', {}, /http:.*give ws:/],
      ['ws://127.0.0.1:1/', { streams: 5001 }, /streams = 5001.*5000/],
      ['ws://127.0.0.1:1/', { seconds: Number.NaN }, /seconds = NaN/],
      ['ws://127.0.0.1:1/', { encoding: 'OPUS', verify: true }, /verify/],
      ['ws://127.0.0.1:1/', { encoding: 'PCMU', sampleRate: 16000 }, /sampleRate = 16000.*8000/],
      ['ws://127.0.0.1:1/', { encoding: 'AMR-WB', ptimeMs: 30 }, /ptime 30 ms.*20/],
      ['ws://127.0.0.1:1/', { token: 'a\r\nb' }, /token/],
    ];
    for (const [url, options, message] of refused) {
      await assert.rejects(runLoad(url, { ...SHORT, ...options }), { code: 'SIDETONE_BAD_OPTION', message });
    }
  });
});

describe('sidetone load', { skip: process.platform !== 'linux' }, () => {
  const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
  const cli = async (...args: string[]): Promise<{ code: number; out: string; err: string }> => {
    const child = spawn(process.execPath, [main, 'load', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.on('data', data => (out += data));
    child.stderr.on('data', data => (err += data));
    const [code] = (await once(child, 'close')) as [number];
    return { code, out, err };
  };

  it('exits 0 with a report, 1 where the work failed, 2 for bad usage', async () => {
    const server = await startServer();
    const folder = await mkdtemp(join(tmpdir(), 'load-'));
    const file = join(folder, 'report.html');
    const short = ['--streams', '3', '--seconds', '0.3', '--warmup', '0.1'];
    const fine = await cli(
      server.url,
      ...short,
      '--verify',
      '--server-pid',
      String(process.pid),
      '--json',
      '--report',
      file,
    );
    assert.equal(fine.code, 0, fine.err);
    const result = JSON.parse(fine.out) as LoadResult & { ok: boolean };
    assert.equal(result.ok, true);
    assert.ok(result.server!.rssBytesAfter > 1e6);
    assert.match(await readFile(file, 'utf8'), /<svg.*Echo latency/s);
    await server.close();
    const failed = await cli(server.url, ...short);
    assert.equal(failed.code, 1);
    assert.match(failed.out, /3 of 3 streams were not opened: Connection refused/);
    assert.equal((await cli('ws://127.0.0.1:1', '--codec', 'MP3')).code, 2);
    assert.equal((await cli('ws://127.0.0.1:1', '--streams', 'many')).code, 2);
    await rm(folder, { recursive: true });
  });
});
