import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ENCODINGS } from '../../src/formats.js';
import type { LoadOptions } from '../../src/load/options.js';
import type { LoadResult } from '../../src/load/result.js';
import { rampLoad, runLoad } from '../../src/load/run.js';
import { eventually } from '../helpers/servers.js';
import { type Answer, echo, startServer, type TestServer, type TestServerOptions } from './echo-server.js';

/** Limits that every machine keeps: the result of a run does not depend on how long it takes. */
const PATIENT = {
  streams: 2,
  seconds: 60,
  warmupSeconds: 0,
  connectTimeoutMs: 60_000,
  drainSeconds: 60,
} as const;

interface Run {
  result: LoadResult;
  server: TestServer;
}

/** A run that is stopped as soon as `enough`: the server has seen what the test is about. */
async function run(
  options: Partial<LoadOptions>,
  { enough, ...serverOptions }: TestServerOptions & { enough: (server: TestServer) => boolean },
): Promise<Run> {
  const server = await startServer(serverOptions);
  const stop = new AbortController();
  // What came back before the measurement is no part of it.
  let measuringSince: number | undefined;
  try {
    const result = await runLoad(server.url, {
      ...PATIENT,
      ...options,
      signal: stop.signal,
      onProgress: ({ phase, mediaMessages }) => {
        if (phase !== 'measuring') return;
        measuringSince ??= mediaMessages;
        if (mediaMessages > measuringSince && enough(server)) stop.abort();
      },
    });
    const { opened, closedEarly } = result.streams;
    const ended = (): boolean => server.events('stop') === opened - closedEarly;
    await eventually(ended, 'the stop of every stream', 30_000);
    return { result, server };
  } finally {
    await server.close();
  }
}

/** Every stream has been sent this many media messages. */
const sent =
  (count: number) =>
  (server: TestServer): boolean =>
    server.media.length === PATIENT.streams && server.media.every(each => each >= count);

const speak = (socket: Parameters<Answer>[0], ms: number): void =>
  socket.send(
    JSON.stringify({ event: 'media', media: { payload: Buffer.alloc(ms * 8, 0xff).toString('base64') } }),
  );

// Side by side: a run waits for its clock most of the time. Few streams: a machine that is short of time must keep up.
describe('a load run', { concurrency: 3, skip: process.platform !== 'linux' }, () => {
  it('sends every byte, gets every byte back, and begins and ends its streams', async () => {
    const { result, server } = await run({ verify: true }, { enough: sent(20) });
    assert.deepEqual(result.problems, []);
    assert.equal(result.streams.opened, 2);
    assert.ok(result.sent.frames > 0);
    assert.ok(result.latency!.count > 0 && result.latency!.minMs > 0);
    assert.equal(result.framesUnreturned, 0);
    // From start to stop, so the whole run: at least the measurement, nothing damaged.
    const all = server.media.reduce((sum, count) => sum + count) * 160;
    assert.equal(result.verify!.bytesRight, all);
    assert.ok(all >= result.received.payloadBytes);
    for (const event of ['connected', 'start', 'stop']) assert.equal(server.events(event), 2, event);
  });

  const held: Parameters<Answer>[1][] = [];
  const faults: { name: string; answer: Answer; found: (result: LoadResult) => number }[] = [
    {
      name: 'a dropped frame',
      answer: (socket, message, index) => index !== 5 && echo(socket, message),
      found: result => result.verify!.framesMissing,
    },
    {
      name: 'a repeated frame',
      answer: (socket, message, index) => {
        echo(socket, message);
        if (index === 5) echo(socket, message);
      },
      found: result => result.verify!.framesRepeated,
    },
    {
      name: 'two frames in the wrong order',
      answer: (socket, message, index) => {
        if (index === 5) return void held.push(message);
        echo(socket, message);
        if (index === 6) echo(socket, held.shift()!);
      },
      found: result => result.verify!.framesRepeated,
    },
    {
      name: 'one changed byte',
      answer: (socket, message, index) => {
        const payload = Buffer.from(message.media!.payload, 'base64');
        if (index === 5) payload[100]! ^= 0x10;
        echo(socket, { event: 'media', media: { payload: payload.toString('base64') } });
      },
      found: result => result.verify!.bytesWrong,
    },
  ];
  for (const { name, answer, found } of faults) {
    it(`finds ${name} on every stream`, async () => {
      const { result } = await run({ verify: true }, { answer, enough: sent(10) });
      assert.equal(found(result), 2);
      assert.ok(result.problems.length > 0);
    });
  }

  it('of a bridge hears the other from the first frame on that came, and finds who hears itself', async () => {
    const sockets: Parameters<Answer>[0][] = [];
    const answer: Answer = (socket, message) => {
      if (!sockets.includes(socket)) sockets.push(socket);
      const other = sockets.find(each => each !== socket);
      if (other) echo(other, message);
    };
    const bridged = { mode: 'bridge', verify: true } as const;
    const { result } = await run(bridged, { answer, enough: sent(20) });
    assert.deepEqual(result.problems, []);
    assert.equal(result.framesUnreturned, 0);
    const { bytesRight, bytesWrong, framesMissing } = result.verify!;
    assert.ok(bytesRight >= 2 * 10 * 160, `${bytesRight} bytes`);
    assert.deepEqual([bytesWrong, framesMissing], [0, 0]);
    const { result: itself } = await run(bridged, { enough: sent(20) });
    assert.ok(itself.verify!.bytesWrong > 0);
    assert.match(itself.problems.join(), /bytes came back changed/);
  });

  it('returns a mark when its audio has been played, and at a clear what is waiting', async () => {
    const marks = (server: TestServer): string[] =>
      server.control.flatMap(({ message: { mark } }) => (mark ? [mark.name] : []));
    const spokenAt: number[] = [];
    const { result, server } = await run(
      { mode: 'listen', streams: 1, playoutMs: 0 },
      {
        answer: (socket, _message, _index, server) => {
          // The second utterance begins when the first one's mark is back, and would last longer than the run.
          if (marks(server).length < spokenAt.length || spokenAt.length === 2) return speak(socket, 1);
          const name = `m "${spokenAt.push(performance.now())}"`;
          speak(socket, spokenAt.length === 1 ? 300 : 120_000);
          socket.send(JSON.stringify({ event: 'mark', mark: { name } }));
          if (spokenAt.length === 2) socket.send('{"event":"clear"}');
        },
        enough: server => marks(server).length === 2,
      },
    );
    assert.deepEqual(marks(server), ['m "1"', 'm "2"']);
    const [first] = server.control.filter(({ message }) => message.event === 'mark');
    // The mark must not come before the audio is over. It may come as late as it likes.
    assert.ok(first!.atMs - spokenAt[0]! >= 299, `played after ${first!.atMs - spokenAt[0]!} ms`);
    assert.equal(result.control.marksReturned, 2);
    assert.equal(result.control.clears, 1);
  });

  for (const encoding of ENCODINGS) {
    it(`counts ${encoding} by its bytes or its packets`, async context => {
      const measured = await run({ encoding }, { enough: sent(10) }).catch((error: { code?: string }) => {
        // The system's AMR-WB libraries may be missing; every other encoding must be there.
        if (encoding === 'AMR-WB' && error.code === 'SIDETONE_CODEC_UNAVAILABLE') return undefined;
        throw error;
      });
      if (!measured) return context.skip('the AMR-WB libraries are not installed');
      const { problems, received } = measured.result;
      assert.deepEqual(problems, []);
      assert.ok(received.messages > 0);
      assert.equal(received.audioMs, received.messages * 20);
    });
  }

  it('presents the token, and reports a refused upgrade with its status', async () => {
    const accepted = await run({ token: 'secret"1' }, { token: 'secret"1', enough: sent(1) });
    assert.deepEqual(accepted.result.problems, []);
    assert.equal(accepted.server.tokens[0], 'secret"1');
    const refused = await run({}, { token: 'secret', enough: () => true });
    assert.equal(refused.result.streams.upgradeRefused, 2);
    assert.match(refused.result.problems[0]!, /2 of 2 .*401/);
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
        enough: sent(10),
      },
    );
    assert.deepEqual(result.problems, []);
    assert.ok(result.verify!.bytesRight > 0);
  });

  it('refuses what a server closes, and reports it', async () => {
    const { result } = await run({}, { streamsMax: 1, enough: () => true });
    assert.equal(result.streams.closedEarly, 1);
    assert.match(result.problems.join(), /1 streams were closed early/);
  });

  it('refuses what it cannot do, naming it', async () => {
    const refused: [string, Partial<LoadOptions>, RegExp][] = [
      ['wss://127.0.0.1:1/', {}, /wss:.*plain ws:/],
      ['http://127.0.0.1:1/', {}, /http:.*give ws:/],
      ['ws://127.0.0.1:1/', { streams: 5001 }, /streams = 5001.*5000/],
      ['ws://127.0.0.1:1/', { seconds: Number.NaN }, /seconds = NaN/],
      [
        'ws://127.0.0.1:1/',
        { mode: 'bridge', streams: 3 },
        /streams = 3: a bridge has two: give an even number/,
      ],
      ['ws://127.0.0.1:1/', { mode: 'listen', verify: true }, /only an echo or a bridge/],
      ['ws://127.0.0.1:1/', { encoding: 'OPUS', verify: true }, /verify/],
      ['ws://127.0.0.1:1/', { encoding: 'PCMU', sampleRate: 16000 }, /sampleRate = 16000.*8000/],
      ['ws://127.0.0.1:1/', { encoding: 'AMR-WB', ptimeMs: 30 }, /ptime 30 ms.*20/],
      ['ws://127.0.0.1:1/', { token: 'a\r\nb' }, /token/],
    ];
    for (const [url, options, message] of refused) {
      await assert.rejects(runLoad(url, { ...PATIENT, ...options }), {
        code: 'SIDETONE_BAD_OPTION',
        message,
      });
    }
  });
});

describe('the search for the largest load', () => {
  /** A server that bears `most` streams: over that it fails as `how` says. */
  const search = async (most: number, how: Partial<LoadResult>, streams?: number) => {
    const tried: number[] = [];
    const found = await rampLoad('ws://127.0.0.1/', {
      seconds: 1,
      p99Ms: 50,
      ...(streams !== undefined && { streams }),
      run: async (_url, options) => {
        tried.push(options.streams);
        const fine = { problems: [], latency: { p99Ms: 50 }, audioRate: { mean: 0.995 } };
        return { ...fine, ...(options.streams > most && how) } as unknown as LoadResult;
      },
    });
    assert.deepEqual(
      found.steps.map(({ held }) => held),
      tried.map(count => count <= most),
    );
    return { found: found.streams, tried };
  };
  const failures = [
    { problems: ['no audio came back'] },
    { latency: { p99Ms: 50.1 } as LoadResult['latency'] & object },
    { audioRate: { mean: 0.994 } as LoadResult['audioRate'] },
  ];

  it('doubles from 50 until a step fails, then halves the interval to 5 %', async () => {
    for (const how of failures) {
      assert.deepEqual(await search(30, how), { found: 0, tried: [50] });
      assert.deepEqual(await search(70, how), { found: 69, tried: [50, 100, 75, 63, 69, 72] });
    }
  });

  it('stops at the limit that is given, and at what one thread may hold', async () => {
    assert.deepEqual(await search(9999, failures[0]!, 120), { found: 120, tried: [50, 100, 120] });
    const { found, tried } = await search(9999, failures[0]!);
    assert.equal(found, 5000);
    assert.equal(tried.at(-1), 5000);
    assert.deepEqual(await search(9999, failures[0]!, 20), { found: 20, tried: [20] });
  });

  it('finds to 5 %, wherever the end is', async () => {
    for (let most = 50; most < 5000; most += 37) {
      const { found } = await search(most, failures[0]!);
      assert.ok(found <= most && found >= most * 0.95 - 1, `${found} of ${most}`);
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
    const short = ['--streams', '3', '--seconds', '2', '--warmup', '0.1', '--drain', '60'];
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
