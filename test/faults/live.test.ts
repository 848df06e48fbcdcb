/** Fault 68: live audio that has become late is in time again within seconds, and gaps that callers heard are counted. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createEncoder } from '../../src/codecs/create.js';
import type { Encoding } from '../../src/formats.js';
import { definePlugin, type Plugin, type Stream } from '../../src/index.js';
import echo from '../../src/plugins/echo.js';
import { firstHeardMs, type LateCall, lateCall, tone } from '../helpers/late-echo.js';
import { counts, eventually, startedCall, withServer } from '../helpers/servers.js';
import { speechLike } from '../helpers/speech.js';
import { payloads } from '../helpers/telnyx-messages.js';

/** Besides its lateness an echo takes a frame, the network's ways, and an encoder's and a decoder's delay. */
const WAY_MS = 80;
const BOUND_MS = 400;

function canEncode(encoding: Encoding): boolean {
  try {
    createEncoder(encoding).close();
    return true;
  } catch {
    return false;
  }
}

/** Sound without a pause, another one from `atMs` on. */
const changing = (atMs: number, endMs: number) => (rate: number) => {
  const sound = tone(300, endMs, rate);
  sound.set(tone(1100, endMs - atMs, rate), Math.round((atMs * rate) / 1000));
  return sound;
};

/** How late the caller hears the change of a `changing` sound. */
function latenessMs(call: LateCall, atMs: number): number {
  return firstHeardMs(call.heard(), 1100, call.sampleRate) - atMs;
}

describe('after a stall of 3 s and its burst, an echo is under its bound within 3 s', () => {
  for (const encoding of ['PCMU', 'PCMA', 'G722', 'L16', 'OPUS', 'AMR-WB'] as const) {
    test(`fault 68: ${encoding}`, { skip: !canEncode(encoding) && 'its library is missing' }, async () => {
      const call = lateCall(echo, changing(8000, 10_000), encoding);
      const { clock, reactor } = call.virtual;
      clock.advance(2000);
      call.stall();
      clock.advance(3000);
      call.burst();
      clock.advance(6000);
      const lateMs = latenessMs(call, 8000);
      assert.ok(lateMs < BOUND_MS + WAY_MS, `${lateMs} ms late`);
      const counters = reactor.counters();
      assert.equal(counters.liveCatchUps, 1);
      assert.ok(counters.liveSpeechCutSeconds! > 2, `${counters.liveSpeechCutSeconds}`);
      assert.equal(counters.liveSkippedSeconds, 0);
      assert.equal(counters.underruns, 1, 'the caller heard one gap');
      await call.virtual.close();
    });
  }
});

test('fault 68: a process that was stopped for 1 s is in time again; what has pauses loses pauses first', async () => {
  for (const [sound, hasPauses] of [
    [changing(6000, 8000), false],
    // 300 ms of tone and 300 ms of nothing.
    [
      (rate: number) => {
        const said = changing(6000, 8000)(rate);
        return said.map((sample, i) => (i < 6 * rate && ((i * 1000) / rate) % 600 >= 300 ? 0 : sample));
      },
      true,
    ],
  ] as const) {
    const call = lateCall(echo, sound);
    const { clock, reactor } = call.virtual;
    clock.advance(2000);
    clock.block(1000);
    clock.advance(6000);
    const lateMs = latenessMs(call, 6000);
    assert.ok(lateMs < BOUND_MS + WAY_MS, `${lateMs} ms late`);
    const { liveSpeechCutSeconds, livePauseCutSeconds, underruns, liveCatchUps } = reactor.counters();
    assert.equal(liveCatchUps, 1);
    assert.equal(underruns, 1);
    const [more, less] = hasPauses
      ? [livePauseCutSeconds!, liveSpeechCutSeconds!]
      : [liveSpeechCutSeconds!, livePauseCutSeconds!];
    assert.ok(
      more > 0.5 && less < 0.1,
      `${livePauseCutSeconds} s of pauses, ${liveSpeechCutSeconds} s of speech`,
    );
    await call.virtual.close();
  }
});

test('fault 68: what is hopelessly late is left out, once', async () => {
  const call = lateCall(echo, changing(14_000, 16_000));
  const { clock, reactor } = call.virtual;
  clock.advance(2000);
  call.stall();
  clock.advance(10_000);
  call.burst();
  clock.advance(2000);
  assert.ok(reactor.counters().liveSkippedSeconds! > 9);
  assert.equal(reactor.counters().liveSpeechCutSeconds, 0);
  clock.advance(3000);
  const lateMs = latenessMs(call, 14_000);
  assert.ok(lateMs < BOUND_MS + WAY_MS, `${lateMs} ms late`);
  await call.virtual.close();
});

test('fault 68: an everyday jitter of 60 ms changes nothing: the echo is byte for byte what was said', async () => {
  const call = lateCall(echo, rate => speechLike(rate, 20));
  const { clock, reactor } = call.virtual;
  let seed = 68;
  for (let i = 0; i < 1000; i++) {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    call.stall();
    clock.advance(Math.floor((seed / 0x7fffffff) * 60));
    call.burst();
    clock.advance(20 - (clock.now() % 20));
  }
  clock.advance(2000);
  const { echo: echoed } = call.soFar();
  assert.ok(echoed.sent > 900);
  assert.equal(echoed.matched, echoed.sent);
  assert.equal(reactor.counters().liveCatchUps, 0);
  await call.virtual.close();
});

/** A plugin that plays what it hears as an array of its own. */
function halving(options: Partial<Plugin>, play: (stream: Stream, pcm: Int16Array) => unknown): Plugin {
  return definePlugin({
    name: 'halving',
    ...options,
    onStart: stream => ({
      onAudio: frame =>
        void play(
          stream,
          frame.samples.map(sample => sample / 2),
        ),
    }),
  });
}

test('fault 68: arrays are live where the plugin or play() says so, and nowhere else', async () => {
  const plain = (stream: Stream, pcm: Int16Array) => stream.play(pcm);
  for (const [plugin, isLive] of [
    [halving({}, plain), false],
    [halving({ liveLatencyMaxMs: 300 }, plain), true],
    [halving({}, (stream, pcm) => stream.play(pcm, { liveLatencyMaxMs: 300 })), true],
    [halving({ liveLatencyMaxMs: 300 }, (stream, pcm) => stream.play(pcm, { liveLatencyMaxMs: 0 })), false],
  ] as const) {
    const call = lateCall(plugin, changing(8000, 10_000));
    const { clock, reactor } = call.virtual;
    clock.advance(2000);
    call.stall();
    clock.advance(3000);
    call.burst();
    clock.advance(8000);
    const lateMs = latenessMs(call, 8000);
    assert.equal(lateMs < 300 + WAY_MS, isLive, `${lateMs} ms late`);
    assert.equal(reactor.counters().liveCatchUps! > 0, isLive);
    await call.virtual.close();
  }
});

test('fault 68: speech that was queued is heard whole, and live audio behind it catches up when its turn comes', async () => {
  const speech = tone(700, 4000, 8000);
  let frames = 0;
  const plugin = definePlugin({
    name: 'greeting',
    onStart: stream => ({
      onAudio: frame => {
        if (++frames === 50) stream.play(speech);
        stream.play(frame);
      },
    }),
  });
  const call = lateCall(plugin, changing(9000, 11_000));
  const { clock, reactor } = call.virtual;
  clock.advance(4500);
  assert.equal(reactor.counters().liveCatchUps, 0);
  clock.advance(8500);
  const heard = call.heard();
  let spoken = 0;
  for (let at = 0; at + 160 <= heard.length; at += 160) {
    if (firstHeardMs(heard.subarray(at, at + 160), 700, 8000) === 0) spoken += 20;
  }
  assert.ok(Math.abs(spoken - 4000) <= 40, `${spoken} ms of speech`);
  const lateMs = latenessMs(call, 9000);
  assert.ok(lateMs < BOUND_MS + WAY_MS, `${lateMs} ms late`);
  assert.equal(reactor.counters().underruns, 0);
  await call.virtual.close();
});

test('fault 68: gaps in live audio are counted; its natural pauses are not', async () => {
  // Plays one second, rests for one, and so on: what it leaves out is its own affair.
  let frames = 0;
  const gate = definePlugin({
    name: 'gate',
    onStart: stream => ({ onAudio: frame => void (frames++ % 100 < 50 && stream.play(frame)) }),
  });
  const gated = lateCall(gate, rate => speechLike(rate, 10));
  gated.virtual.clock.advance(12_000);
  assert.equal(gated.virtual.reactor.counters().underruns, 0);
  await gated.virtual.close();

  const stalled = lateCall(echo, rate => speechLike(rate, 10));
  const { clock, reactor } = stalled.virtual;
  for (const gapMs of [100, 300, 600]) {
    clock.advance(2000);
    stalled.stall();
    clock.advance(gapMs);
    stalled.burst();
  }
  clock.advance(6000);
  assert.equal(reactor.counters().underruns, 3);
  assert.equal(stalled.soFar().gaps.filter(gap => gap.durationMs >= 20).length, 3);
  await stalled.virtual.close();
});

test('fault 68: over real sockets a burst is shortened, and what comes when it is over is echoed byte for byte', async () => {
  let stream: Stream | undefined;
  const late = definePlugin({
    name: 'late',
    onStart: (started, context) => {
      stream = started;
      return echo.onStart(started, context);
    },
  });
  await withServer([late], { liveLatencyMaxMs: BOUND_MS }, async server => {
    const { socket, call } = await startedCall(server, { path: '/late' });
    for (const payload of payloads(150)) socket.send(call.media(payload));
    await eventually(
      () => socket.audio().length > 0 && stream!.queuedMs === 0,
      'the end of the burst',
      30_000,
    );
    const { liveCatchUps, liveSpeechCutSeconds, livePauseCutSeconds } = await counts(server);
    assert.ok(liveCatchUps! > 0);
    const cut = liveSpeechCutSeconds! + livePauseCutSeconds!;
    assert.ok(cut > 0.5, `${cut} s`);
    const heard = socket.audio().length;
    assert.ok(Math.abs(heard / 8000 + cut - 3) < 0.025, `${heard / 8000} s were heard, ${cut} s were cut`);
    const [known] = payloads(1, 160, 99) as [Uint8Array];
    socket.send(call.media(known));
    await eventually(() => socket.audio().length > heard, 'the echo of what came last', 30_000);
    assert.deepEqual(socket.audio().subarray(heard), Buffer.from(known));
    socket.destroy();
  });
});
