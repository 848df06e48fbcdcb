/** MP3 mode: files and PCM on their way to a simulated Telnyx that takes one file a second. The encoder is real. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { closeMp3, encodeMp3, mp3DurationMs } from '../../src/codecs/mp3.js';
import { definePlugin, type MarkResult, type ServerOptions } from '../../src/index.js';
import type { Stream } from '../../src/plugin/stream.js';
import type { Connection } from '../../src/server/connection.js';
import { OPCODE } from '../helpers/raw-socket.js';
import { eventually, startedCall, withServer } from '../helpers/servers.js';
import { speechLike } from '../helpers/speech.js';
import { payloads } from '../helpers/telnyx-messages.js';
import { LATENCY_MS, VirtualServer, watched } from '../helpers/virtual-call.js';

after(() => closeMp3());

const HZ = 8000;
const LEAD_IN_MS = (1105 * 1000) / HZ;
const quiet = definePlugin({ name: 'quiet', outbound: { mode: 'mp3' }, onStart: () => ({}) });
const speech = (seconds: number): Int16Array => speechLike(HZ, seconds);
const payloadOf = (text: string): Buffer =>
  Buffer.from((JSON.parse(text) as { media: { payload: string } }).media.payload, 'base64');
const isMedia = ({ text }: { text: string }): boolean => text.startsWith('{"event":"media"');

/** A call in virtual time. The encoder's thread has its own: `encoded` waits for what was given to it. */
function start(options: ServerOptions = {}, plugin = quiet) {
  const seen = watched(plugin);
  const server = new VirtualServer(seen.plugin, options);
  const encodes: Promise<unknown>[] = [];
  const { reactor } = server;
  const encode = reactor.encodeMp3.bind(reactor);
  reactor.encodeMp3 = (pcm, rate) => {
    const encoding = encode(pcm, rate);
    encodes.push(encoding.catch(() => undefined));
    return encoding;
  };
  const encoded = async (): Promise<void> => {
    await Promise.all(encodes.splice(0));
    await new Promise(resolve => setImmediate(resolve));
  };
  const pass = async (ms: number): Promise<void> => {
    for (let i = 0; i < ms; i += 50) {
      server.clock.advance(Math.min(50, ms - i));
      await encoded();
    }
  };
  const { call, sent } = server.call({
    mode: 'mp3',
    durationMs: Number.POSITIVE_INFINITY,
    inbound: payloads(500),
  });
  server.clock.advance(200);
  const stream = seen.streams[0] as Stream;
  assert.equal(stream.mode, 'mp3');
  const media = () => sent.filter(isMedia);
  const judged = (): void => {
    assert.deepEqual(call.soFar().errors, []);
    assert.deepEqual(server.failures, []);
    const times = media().map(({ atMs }) => atMs);
    for (const [i, atMs] of times.entries()) {
      if (i > 0) assert.ok(atMs - times[i - 1]! >= 1000, `${atMs - times[i - 1]!} ms between two messages`);
    }
  };
  return { server, stream, call, sent, media, encoded, pass, judged };
}

describe('MP3 mode', () => {
  test('files and PCM go out in the order played, one message a second', async () => {
    const { server, stream, media, pass, judged, call } = start();
    const [first, third] = [await encodeMp3(speech(0.3), HZ), await encodeMp3(speech(0.4), HZ)];
    const bytes = Uint8Array.from(first);
    const playbacks = [stream.playFile(bytes), stream.play(speech(1.2)), stream.playFile(third)];
    bytes.fill(0); // it was copied
    playbacks.push(stream.play(speech(0.2)), stream.play(speech(0.3)));
    const results = Promise.all(playbacks.map(playback => playback.then(result => result)));
    await pass(8000);
    judged();
    const payloads = media().map(({ text }) => payloadOf(text));
    assert.equal(payloads.length, 4, 'the two short plays go as one');
    assert.deepEqual(payloads[0], Buffer.from(first));
    assert.deepEqual(payloads[1], Buffer.from(await encodeMp3(speech(1.2), HZ)));
    assert.deepEqual(payloads[2], Buffer.from(third));
    const lengths = (await results).map(({ playedMs, interrupted }) => {
      assert.equal(interrupted, false);
      return Math.round(playedMs);
    });
    assert.deepEqual(lengths, [
      Math.round(mp3DurationMs(first)),
      1200,
      Math.round(mp3DurationMs(third)),
      200,
      300,
    ]);
    assert.equal(call.soFar().heard.length, 4);
    assert.equal(stream.queuedMs, 0);
    assert.equal(stream.stats.mediaSent, 4);
    assert.equal(
      stream.stats.bytesSent,
      payloads.reduce((sum, { length }) => sum + length, 0),
    );
    assert.equal(server.reactor.counters().mediaSent, 4);
    assert.equal(server.reactor.snapshot(0).queueBytes, 0);
    await server.close();
  });

  test('pause and encoded audio are refused, and what plays goes on; a fade is a clear', async () => {
    const { server, stream, pass, sent } = start();
    const playback = stream.playFile(await encodeMp3(speech(1.5), HZ));
    await pass(500);
    const refused = { code: 'SIDETONE_BAD_ARGUMENT', message: /: this stream is in MP3 mode/ };
    assert.throws(() => stream.pause(), refused);
    assert.equal(stream.paused, false);
    assert.throws(() => stream.playEncoded('PCMU', new Uint8Array(160)), refused);
    assert.equal(playback.finished, false);
    const { playedMs } = playback;
    assert.equal((await stream.clear({ fadeMs: 50 })).playedMs, playedMs);
    assert.equal(sent.filter(({ text }) => text === '{"event":"clear"}').length, 1);
    await server.close();
  });

  test('a mark comes back when the file before it has been heard', async () => {
    const { server, stream, sent, pass, judged } = start();
    const file = await encodeMp3(speech(1.5), HZ);
    const results: (MarkResult & { atMs: number })[] = [];
    const note = (result: MarkResult) => results.push({ ...result, atMs: server.clock.now() });
    const beganMs = server.clock.now();
    stream.playFile(file);
    stream.mark('file').then(note);
    stream.play(speech(0.4));
    stream.mark('speech').then(note);
    await pass(1000);
    assert.equal(results.length, 0);
    await pass(5000);
    judged();
    assert.deepEqual(
      results.map(({ name, played }) => [name, played]),
      [
        ['file', true],
        ['speech', true],
      ],
    );
    const heardMs = beganMs + mp3DurationMs(file) + 2 * LATENCY_MS;
    assert.ok(Math.abs(results[0]!.atMs - heardMs) <= 50, `${results[0]!.atMs} for ${heardMs}`);
    assert.deepEqual(
      sent.map(({ text }) => (JSON.parse(text) as { event: string }).event),
      ['media', 'mark', 'media', 'mark'],
    );
    await server.close();
  });

  test('a clear in the middle of a file tells how much of it was heard', async () => {
    const { server, stream, call, pass, judged, media } = start();
    const playback = stream.play(speech(3));
    const behind = stream.play(speech(2));
    await pass(1000);
    const sentMs = media()[0]!.atMs;
    const now = server.clock.now();
    assert.equal(media().length, 1, 'the other one waits until it is wanted');
    const { playedMs, discardedMs } = await stream.clear();
    assert.ok(Math.abs(playedMs - (now - sentMs - LEAD_IN_MS)) < 0.01, `${playedMs} ms`);
    assert.ok(Math.abs(playedMs + discardedMs - 5000) < 0.01);
    assert.deepEqual(await playback, { playedMs, interrupted: true });
    assert.deepEqual(await behind, { playedMs: 0, interrupted: true });
    server.clock.advance(LATENCY_MS);
    assert.equal(call.queuedMs, 0);
    assert.ok(Math.abs(call.soFar().heard[0]!.clearedAfterMs! - (now - sentMs)) < 1);
    assert.equal((await stream.clear()).discardedMs, 0, 'what was dropped is not dropped again');
    const after = stream.play(speech(1));
    const result = after.then(value => value);
    await pass(4000);
    assert.deepEqual(await result, { playedMs: 1000, interrupted: false });
    judged();
    await server.close();
  });

  test('a clear while a file is being encoded loses nothing that is played after it', async () => {
    const { server, stream, media, pass, judged } = start();
    const cut = stream.play(speech(1.5)); // goes to the encoder at once
    assert.equal(server.reactor.snapshot(0).queueBytes, 1.5 * HZ * 2);
    await stream.clear();
    assert.equal(server.reactor.snapshot(0).queueBytes, 0);
    const kept = stream.play(speech(1.1));
    const result = kept.then(value => value);
    assert.deepEqual(await cut, { playedMs: 0, interrupted: true });
    await pass(3000);
    assert.deepEqual(await result, { playedMs: 1100, interrupted: false });
    assert.equal(media().length, 1);
    assert.deepEqual(payloadOf(media()[0]!.text), Buffer.from(await encodeMp3(speech(1.1), HZ)));
    judged();
    await server.close();
  });

  test('a stream that ends while a file is being encoded sends nothing more', async () => {
    const { server, stream, sent, encoded } = start();
    const cut = stream.play(speech(1.5));
    stream.close();
    await encoded();
    server.clock.advance(5000);
    assert.deepEqual(await cut, { playedMs: 0, interrupted: true });
    assert.deepEqual(sent, []);
    assert.equal(server.reactor.snapshot(0).queueBytes, 0);
    await server.close();
  });

  test('a source is read as there is room, and its pieces follow each other without a pause', async () => {
    const { server, stream, call, pass, judged, media } = start();
    let read = 0;
    async function* source(): AsyncGenerator<Int16Array> {
      for (let i = 0; i < 1500; i++) {
        read++;
        yield speech(0.02);
      }
    }
    const playback = stream.play(source());
    const file = await encodeMp3(speech(0.5), HZ);
    const last = stream.playFile(file);
    const results = Promise.all([playback.then(value => value), last.then(value => value)]);
    await pass(1000);
    assert.ok(read <= 25_000 / 20, `${read} chunks of 20 ms were read within a second`);
    await pass(32_000);
    const [whole, behind] = await results;
    assert.deepEqual(whole, { playedMs: 30_000, interrupted: false });
    assert.ok(Math.abs(behind.playedMs - mp3DurationMs(file)) < 0.01);
    assert.deepEqual(payloadOf(media().at(-1)!.text), Buffer.from(file));
    assert.ok(media().length <= 6, `${media().length} files`);
    assert.deepEqual(call.soFar().gaps, []);
    judged();
    await server.close();
  });

  test('the queue is bounded, and one file may be longer than it', async () => {
    const { server, stream, judged, encoded } = start({ queueMaxMs: 2000 });
    const long = await encodeMp3(speech(4), HZ);
    stream.playFile(long); // goes at once
    stream.playFile(await encodeMp3(speech(1), HZ));
    assert.throws(() => stream.play(speech(1)), { code: 'SIDETONE_QUEUE_FULL' });
    assert.throws(() => stream.playFile(long), { code: 'SIDETONE_QUEUE_FULL', message: /queueMaxMs 2000/ });
    assert.equal(stream.stats.playsRefused, 2);
    assert.equal(server.reactor.counters().playsRefused, 2);
    await encoded();
    judged();
    await server.close();
  });

  test('memory is bounded over all streams', async () => {
    const { server, stream } = start({ queueBytesMax: 1 << 20, queueMaxMs: 3_600_000 });
    const samples = (1 << 20) / 2;
    assert.throws(() => stream.play(new Int16Array(samples + 1)), { code: 'SIDETONE_QUEUE_FULL' });
    stream.play(new Int16Array(samples - 5));
    assert.throws(() => stream.play(new Int16Array(6)), { code: 'SIDETONE_QUEUE_FULL' });
    await stream.clear();
    stream.play(new Int16Array(samples - 5));
    stream.close();
    await server.close();
  });

  test('live audio is gathered', async () => {
    const echo = definePlugin({
      name: 'echo',
      onStart: stream => ({ onAudio: frame => void stream.play(frame) }),
    });
    const { media, pass, judged, server } = start({ outboundMode: 'mp3' }, echo);
    await pass(5000);
    judged();
    assert.ok(media().length >= 3 && media().length <= 5, `${media().length} messages in 5 s`);
    await server.close();
  });

  test('files wait for a peer that does not read, and so do marks and clears', async () => {
    const { server, stream, sent, pass, judged } = start();
    let waiting = 0;
    const connection = [...server.reactor.connections][0] as Connection;
    Object.defineProperty(connection, 'backlogged', { get: () => waiting > 0 });
    const file = await encodeMp3(speech(1.5), HZ);
    waiting = 1;
    const playback = stream.playFile(file);
    const mark = stream.mark('m');
    await pass(3000);
    assert.deepEqual(sent, []);
    waiting = 0;
    connection.drained();
    assert.equal(sent.length, 2);
    waiting = 1;
    await stream.clear();
    assert.deepEqual(await mark, { name: 'm', played: false });
    assert.equal((await playback).interrupted, true);
    const next = stream.playFile(file);
    await pass(2000);
    assert.equal(sent.length, 2);
    waiting = 0;
    connection.drained();
    assert.deepEqual(
      sent.slice(2).map(({ text }) => (JSON.parse(text) as { event: string }).event),
      ['clear', 'media'],
    );
    const result = next.then(value => value);
    await pass(2000);
    assert.equal((await result).interrupted, false);
    judged();
    await server.close();
  });

  test('where plays of odd lengths meet nothing is left over', async () => {
    const { server, stream, pass, judged } = start();
    for (let round = 0; round < 20; round++) {
      const sampleRate = [11_025, 22_050, 44_100][round % 3]!;
      const playbacks = Array.from({ length: 9 }, (_, i) => {
        return stream.play(speech(0.003 * (i + round + 1)), { sampleRate });
      });
      let returned: MarkResult | undefined;
      stream.mark(`${round}`).then(result => {
        returned = result;
      });
      await pass(2500);
      assert.deepEqual(returned, { name: `${round}`, played: true });
      stream.play(speech(0.01), { sampleRate }); // settles those that have been heard
      assert.ok(playbacks.every(({ finished }) => finished));
    }
    judged();
    await server.close();
  });

  test('a peer that does not read is closed where the server says so', async () => {
    const { server, stream, sent, call } = start({ slowReader: 'close' });
    const connection = [...server.reactor.connections][0] as Connection;
    const file = await encodeMp3(speech(0.5), HZ);
    stream.playFile(file);
    Object.defineProperty(connection, 'backlogged', { value: true });
    stream.playFile(file);
    assert.equal(stream.closed, false, 'a second may be what it needs');
    server.clock.advance(1500); // the next sweep looks
    assert.equal(stream.closed, true);
    assert.equal(sent.length, 1);
    assert.equal(call.soFar().closeCode, 1008);
    await server.close();
  });

  test('an encoder that is busy is asked again; one that fails costs its piece alone', async () => {
    const errors: Error[] = [];
    const plugin = definePlugin({
      ...quiet,
      onStart: () => ({ onError: error => void errors.push(error) }),
    });
    const { server, stream, media, pass, judged } = start({}, plugin);
    const { reactor } = server;
    const encode = reactor.encodeMp3;
    const { SidetoneError } = await import('../../src/index.js');
    const failures = ['SIDETONE_QUEUE_FULL', 'SIDETONE_QUEUE_FULL', 'SIDETONE_WORKER_DIED'] as const;
    let asked = 0;
    reactor.encodeMp3 = (pcm, rate) => {
      const code = pcm.length === HZ * 2 ? 'SIDETONE_WORKER_DIED' : failures[asked++];
      return code ? Promise.reject(new SidetoneError(code, 'as told')) : encode(pcm, rate);
    };
    stream.play(speech(1.2));
    stream.play(speech(2));
    stream.play(speech(1.3));
    await pass(6000);
    assert.equal(asked, 5);
    assert.deepEqual(
      media().map(({ text }) => payloadOf(text).length),
      [(await encodeMp3(speech(1.2), HZ)).length, (await encodeMp3(speech(1.3), HZ)).length],
    );
    assert.deepEqual(
      errors.map(error => (error as { code?: string }).code),
      ['SIDETONE_WORKER_DIED'],
    );
    assert.equal(server.reactor.snapshot(0).queueBytes, 0);
    judged();
    await server.close();
  });

  test('nothing is mixed: a background, comfort noise and a gain are refused', async () => {
    const { server, stream } = start();
    const refused = (run: () => unknown, method: string) =>
      assert.throws(run, {
        code: 'SIDETONE_BAD_ARGUMENT',
        message: new RegExp(`^${method}: this stream is in MP3 mode.*nothing is mixed: use mode 'rtp'`),
      });
    refused(() => stream.background(new Int16Array(100)), 'background');
    refused(() => stream.comfortNoise(), 'comfortNoise');
    refused(() => {
      stream.gainDb = 3;
    }, 'gainDb');
    assert.equal(stream.gainDb, 0);
    await server.close();
  });

  test('playFile refuses bytes that are not MP3, and streams in RTP mode', async () => {
    const { server, stream } = start();
    const refused = (bytes: unknown, message: RegExp) =>
      assert.throws(() => stream.playFile(bytes as Uint8Array), { code: 'SIDETONE_BAD_ARGUMENT', message });
    refused('file.mp3', /playFile bytes: string: pass the file's content/);
    refused(new Uint8Array(1000), /1000 bytes hold no MP3 audio: .*play\(\)/);
    refused(new Uint8Array(8e6 + 1), /8000001 bytes: give at most 8000000/);
    // 64-byte frames of 72 ms: MPEG-2.5 layer III, 8 kHz, 8 kbit/s.
    const frame = Buffer.alloc(72);
    frame.set([0xff, 0xe3, 0x18, 0xc4]);
    refused(Buffer.concat(Array(9000).fill(frame)), /648 s: .*shorter files/);
    stream.close();
    refused(new Uint8Array(1), /1 bytes hold no MP3 audio/);
    const late = stream.playFile(await encodeMp3(speech(0.5), HZ));
    assert.deepEqual([late.finished, await late], [true, { playedMs: 0, interrupted: true }]);
    assert.equal(server.reactor.counters().playsAfterEnd, 1);
    await server.close();

    const rtp = watched(definePlugin({ name: 'rtp', onStart: () => ({}) }));
    const other = new VirtualServer(rtp.plugin);
    other.call({ durationMs: 10_000 });
    other.clock.advance(100);
    const file = await encodeMp3(speech(0.5), HZ);
    assert.throws(() => rtp.streams[0]!.playFile(file), {
      code: 'SIDETONE_BAD_ARGUMENT',
      message: /RTP mode.*play\(\).*stream_bidirectional_mode=mp3.*mode: 'mp3'/,
    });
    await other.close();
  });
});

test('the mode: query before plugin before what was asked of Telnyx before the server', async () => {
  const modeOf = async (
    outbound: 'rtp' | 'mp3' | undefined,
    requested: string | undefined,
    outboundMode: 'rtp' | 'mp3' | undefined,
    query = '',
  ): Promise<string> => {
    const plugin = definePlugin({
      name: 'p',
      ...(outbound && { outbound: { mode: outbound } }),
      onStart: () => ({}),
    });
    const seen = watched(plugin);
    const server = new VirtualServer(seen.plugin, outboundMode ? { outboundMode } : {});
    server.call({ ...(requested && { customParameters: { sidetone_outbound: requested } }) }, query);
    server.clock.advance(100);
    await server.close();
    return seen.streams[0]!.mode;
  };
  assert.equal(await modeOf(undefined, undefined, undefined), 'rtp');
  assert.equal(await modeOf(undefined, undefined, 'mp3'), 'mp3');
  assert.equal(await modeOf(undefined, 'mp3/PCMU/8000/inbound', 'rtp'), 'mp3');
  assert.equal(await modeOf(undefined, 'rtp/L16/16000/inbound', 'mp3'), 'rtp');
  assert.equal(await modeOf('rtp', 'mp3/PCMU/8000/inbound', 'mp3'), 'rtp');
  assert.equal(await modeOf('mp3', 'rtp/L16/16000/inbound', 'rtp'), 'mp3');
  assert.equal(await modeOf('rtp', undefined, 'rtp', 'mode=mp3'), 'mp3');
  assert.equal(await modeOf('mp3', undefined, 'mp3', 'mode=rtp'), 'rtp');
  assert.equal(await modeOf(undefined, undefined, undefined, 'mode=wav'), 'rtp');
  assert.throws(() => definePlugin({ ...quiet, outbound: { mode: 'wav' as 'mp3' } }), {
    code: 'SIDETONE_PLUGIN_INVALID',
    message: /outbound\.mode: "wav": use rtp or mp3/,
  });
});

test('over real sockets: files and speech, in order, and the server closes while one is encoded', async () => {
  const file = await encodeMp3(speech(0.4), HZ);
  const large = Buffer.from(await encodeMp3(speechLike(48_000, 1), 48_000, { bitrateKbps: 160 }));
  const results: PromiseLike<unknown>[] = [];
  let stopped = 0;
  const plugin = definePlugin({
    name: 'files',
    onStart: stream => {
      results.push(
        ...[stream.playFile(file), stream.play(speech(1.2)), stream.playFile(large)].map(playback =>
          playback.then(value => value),
        ),
      );
      stream.mark('end').then(() => {
        stream.play(speech(60)); // still with the encoder when the stream ends
        stream.close();
      });
      return { onStop: () => void stopped++ };
    },
  });
  await withServer([plugin], { maxBackpressureBytes: 4096 }, async server => {
    // This is not a simulated Telnyx, because that would judge the distance of the files by its own clock.
    const { socket, call } = await startedCall(server, { path: '/files?mode=mp3' });
    const returned = new Set<string>();
    await eventually(() => {
      for (const { mark } of socket.messages('mark')) {
        if (!returned.has(mark.name)) socket.send(call.mark(mark.name));
        returned.add(mark.name);
      }
      return socket.closed || socket.frames.some(({ opcode }) => opcode === OPCODE.close);
    }, 'the end');
    await socket.end();
    assert.equal(socket.closeCode, 1000);
    const files = socket.messages('media').map(({ media }) => Buffer.from(media.payload, 'base64'));
    assert.equal(files.length, 3);
    assert.deepEqual(files[0], Buffer.from(file));
    assert.deepEqual(files[1], Buffer.from(await encodeMp3(speech(1.2), HZ)));
    assert.deepEqual(files[2], large);
    assert.deepEqual(
      (await Promise.all(results)).map(value => (value as { interrupted: boolean }).interrupted),
      [false, false, false],
    );
    assert.equal(stopped, 1);
    assert.equal((await server.snapshot())[0]!.counters.messagesDropped, 0);
  });
});
