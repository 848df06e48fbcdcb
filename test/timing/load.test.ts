/** How punctual the load generator is, and how punctual it finds a server, on a machine at rest. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { rampLoad, runLoad } from '../../src/load/run.js';
import { echo, startServer } from '../load/echo-server.js';

const SHORT = { streams: 10, seconds: 1, warmupSeconds: 0.1 } as const;

describe('a load run in real time', { skip: process.platform !== 'linux' }, () => {
  it('sends a frame each 20 ms on every stream, and an echo comes back at once', async () => {
    const server = await startServer();
    const result = await runLoad(server.url, SHORT);
    await server.close();
    assert.deepEqual(result.problems, []);
    assert.ok(Math.abs(result.sent.frames - 500) <= 10, `${result.sent.frames} frames in a second`);
    assert.ok(Math.abs(result.audioRate.mean - 1) < 0.1, `rate ${result.audioRate.mean}`);
    assert.ok(result.latency!.count > 450 && result.latency!.p50Ms < 50, JSON.stringify(result.latency));
  });

  it('measures the audio rate and the underruns of a server that is too slow', async () => {
    const server = await startServer({
      answer: (socket, message, index) => index % 2 === 0 && echo(socket, message),
    });
    const result = await runLoad(server.url, { ...SHORT, mode: 'listen', playoutMs: 40 });
    await server.close();
    assert.deepEqual(result.problems, []);
    assert.ok(Math.abs(result.audioRate.mean - 0.5) < 0.05, `rate ${result.audioRate.mean}`);
    // Each stream hears half of a second in frames of 20 ms behind 40 ms of playout: a gap in every third.
    assert.ok(result.underruns.streams === 10 && result.underruns.count > 50, `${result.underruns.count}`);
  });

  it('returns a mark when its audio is over, and at once at a clear', async () => {
    const sentAt: number[] = [];
    const server = await startServer({
      answer: (socket, _message, index) => {
        if (index !== 0 && index !== 25) return;
        sentAt.push(performance.now());
        const payload = Buffer.alloc(300 * 8, 0xff).toString('base64');
        socket.send(JSON.stringify({ event: 'media', media: { payload } }));
        socket.send(JSON.stringify({ event: 'mark', mark: { name: `m${index}` } }));
        if (index === 25) socket.send('{"event":"clear"}');
      },
    });
    await runLoad(server.url, { ...SHORT, mode: 'listen', streams: 1, playoutMs: 0 });
    const marks = server.control.filter(({ message }) => message.event === 'mark');
    await server.close();
    const waited = marks.map(({ atMs }, i) => atMs - sentAt[i]!);
    assert.ok(waited[0]! >= 299 && waited[0]! < 330, `played after ${waited[0]} ms`);
    assert.ok(waited[1]! < 30, `cleared after ${waited[1]} ms`);
  });

  it('finds the largest load that a server bears', async () => {
    const server = await startServer({ streamsMax: 70 });
    const ramp = await rampLoad(server.url, { seconds: 0.3, warmupSeconds: 0.1, p99Ms: 500 });
    await server.close();
    assert.ok(ramp.streams > 60 && ramp.streams <= 70, `found ${ramp.streams}`);
  });
});
