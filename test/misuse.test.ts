/**
 * Every public call in every wrong state and with every wrong kind of argument. It gives the documented result or an
 * error of this library, with a code and a message that names field, value and remedy. Nothing crashes, nothing
 * hangs.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createTcpServer } from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import {
  type AudioFrame,
  createDecoder,
  createEncoder,
  createServer,
  definePlugin,
  ENCODINGS,
  type ErrorCode,
  type Playback,
  resample,
  type Server,
  SidetoneError,
  Simulator,
  type Stream,
} from '../src/index.js';
import { checkHandler } from '../src/plugin/define.js';
import { checkListens } from '../src/plugin/hearing.js';
import { RawSocket } from './helpers/raw-socket.js';
import { eventually, startedCall, startServer, stopServer, url } from './helpers/servers.js';
import { payloads, type WireCall } from './helpers/telnyx-messages.js';

afterEach(() => RawSocket.destroyAll());

function detached<T extends ArrayBufferView<ArrayBuffer>>(view: T): T {
  structuredClone(view, { transfer: [view.buffer] });
  return view;
}
const circle: Record<string, unknown> = {};
circle.self = circle;

/** One of every kind of value. */
const KINDS = {
  undefined,
  null: null,
  zero: 0,
  number: 7.5,
  nan: Number.NaN,
  infinity: Number.POSITIVE_INFINITY,
  empty: '',
  string: 'some text',
  boolean: true,
  object: { length: 160 },
  circle,
  bare: Object.create(null) as unknown,
  array: [1, 2],
  function: () => 7,
  symbol: Symbol('s'),
  bigint: 10n,
  date: new Date(0),
  promise: Promise.resolve(7),
  arrayBuffer: new ArrayBuffer(320),
  dataView: new DataView(new ArrayBuffer(320)),
  float32: new Float32Array(160),
  uint8: new Uint8Array(160),
  buffer: Buffer.alloc(160),
  int16: new Int16Array(160),
  detachedUint8: detached(new Uint8Array(160)),
  detachedInt16: detached(new Int16Array(160)),
} satisfies Record<string, unknown>;
type Kind = keyof typeof KINDS;

const BYTES: Kind[] = ['uint8', 'buffer', 'detachedUint8'];
const PCM: Kind[] = ['int16', 'detachedInt16'];
/** Objects without a field that is read, where all fields are optional. */
const OPTIONS: Kind[] = [
  'undefined',
  'object',
  'circle',
  'bare',
  'function',
  'date',
  'promise',
  'arrayBuffer',
];

/** Tries a call with every kind that is not `allowed`: each throws (or rejects) with the code and names the field. */
async function refusesAllBut(
  allowed: readonly Kind[],
  code: ErrorCode,
  field: RegExp,
  call: (value: never) => unknown,
): Promise<void> {
  for (const [kind, value] of Object.entries(KINDS) as [Kind, never][]) {
    if (allowed.includes(kind)) continue;
    await assert.rejects(
      async () => call(value),
      (error: unknown) => {
        assert.ok(error instanceof SidetoneError, `${kind}: ${String(error)}`);
        assert.equal(error.code, code, `${kind}: ${error.message}`);
        assert.match(error.message, field, kind);
        // Field, value, remedy: three parts at least, and short enough to be read.
        assert.ok(error.message.length > 20 && error.message.length < 600, error.message);
        return true;
      },
      `${kind} was taken`,
    );
  }
}

describe('codecs', () => {
  test('createDecoder and createEncoder', async () => {
    for (const create of [createDecoder, createEncoder]) {
      await refusesAllBut([], 'SIDETONE_BAD_OPTION', /^encoding: .*: use one of PCMU/, value =>
        create(value),
      );
      for (const encoding of ENCODINGS) {
        const notObjects: Kind[] = Object.entries(KINDS).flatMap(([kind, value]) =>
          value === undefined || (typeof value === 'object' && value !== null) ? [kind as Kind] : [],
        );
        const options = (value: never): unknown => create(encoding, value);
        await refusesAllBut(notObjects, 'SIDETONE_BAD_OPTION', /^options: /, options);
        if (encoding === 'AMR-WB') continue; // has one rate
        const rate = (sampleRate: never): unknown => create(encoding, { sampleRate });
        await refusesAllBut(['undefined'], 'SIDETONE_BAD_OPTION', /sampleRate: .* use 8000/, rate);
      }
    }
    assert.throws(() => createDecoder('L16', { l16ByteOrder: 'middle' as never }), {
      code: 'SIDETONE_BAD_OPTION',
      message: /l16ByteOrder: "middle" is not allowed; use le, be/,
    });
  });

  for (const encoding of ENCODINGS) {
    test(`${encoding}: decode and encode`, async () => {
      const decoder = createDecoder(encoding);
      const encoder = createEncoder(encoding);
      await refusesAllBut(BYTES, 'SIDETONE_BAD_ARGUMENT', /^payload: .*: pass a Uint8Array/, value =>
        decoder.decode(value),
      );
      await refusesAllBut(PCM, 'SIDETONE_BAD_ARGUMENT', /^pcm: .*: pass an Int16Array/, value =>
        encoder.encode(value),
      );
      if (encoding === 'OPUS' || encoding === 'AMR-WB') {
        for (const samples of [0, 1, 159, 100_000]) {
          assert.throws(() => encoder.encode(new Int16Array(samples)), { code: 'SIDETONE_BAD_ARGUMENT' });
        }
        assert.throws(() => decoder.decode(new Uint8Array()), { code: 'SIDETONE_BAD_PAYLOAD' });
      } else {
        assert.equal(encoder.encode(new Int16Array()).length, 0);
        assert.equal(decoder.decode(new Uint8Array()).length, 0);
      }
      // None of it has harmed them.
      const payload = encoder.encode(new Int16Array(encoder.frameSamples));
      assert.equal(decoder.decode(payload).length, encoder.frameSamples);
      assert.equal(decoder.conceal().length, encoder.frameSamples);
      for (const codec of [decoder, encoder]) {
        codec.close();
        codec.close();
      }
      const closed = { code: 'SIDETONE_CODEC_CLOSED', message: /close/ };
      assert.throws(() => decoder.decode(payload), closed);
      assert.throws(() => decoder.conceal(), closed);
      assert.throws(() => encoder.encode(new Int16Array(encoder.frameSamples)), closed);
    });
  }

  test('resample', async () => {
    const code = 'SIDETONE_BAD_ARGUMENT';
    await refusesAllBut(PCM, code, /^pcm: .*: pass an Int16Array/, pcm => resample(pcm, 8000, 16_000));
    await refusesAllBut(PCM, code, /^pcm: .*: pass an Int16Array/, pcm => resample(pcm, 8000, 8000));
    const pcm = new Int16Array(160);
    await refusesAllBut([], code, /^fromHz: .*: pass one of 8000/, rate => resample(pcm, rate, 8000));
    await refusesAllBut([], code, /^toHz: .*: pass one of 8000/, rate => resample(pcm, 8000, rate));
    assert.equal(resample(new Int16Array(), 8000, 48_000).length, 0);
  });
});

describe('plugins and servers', () => {
  test('definePlugin', async () => {
    const code = 'SIDETONE_PLUGIN_INVALID';
    await refusesAllBut([], code, /^plugin (definition|name): /, definePlugin);
    const plugin = (more: object) => definePlugin({ name: 'x', onStart: () => undefined, ...more });
    await refusesAllBut([], code, /^plugin name: /, name =>
      plugin({ name: typeof name === 'string' ? 'not a name' : name }),
    );
    await refusesAllBut(['undefined'], code, /^plugin path: .*slash/, path => plugin({ path }));
    await refusesAllBut(['function'], code, /^plugin onStart: /, onStart => plugin({ onStart }));
    await refusesAllBut(['undefined', 'function'], code, /^plugin accept: /, accept => plugin({ accept }));
    const objects = OPTIONS.filter(kind => kind !== 'function');
    await refusesAllBut(objects, code, /^plugin audio: /, audio => plugin({ audio }));
    await refusesAllBut(objects, code, /^plugin outbound: /, outbound => plugin({ outbound }));
    const none: Kind[] = ['undefined'];
    for (const [field, name] of [
      ['audio.dtfm', 'dtmf'],
      ['outbound.enc', 'encoding'],
    ]) {
      const [group, wrong] = field!.split('.');
      assert.throws(() => plugin({ [group!]: { [wrong!]: 'x' } }), {
        code,
        message: `plugin ${field}: "x": there is no such field: did you mean ${name}?`,
      });
    }
    await refusesAllBut(none, code, /^plugin audio.sampleRate: .*Hz/, rate =>
      plugin({ audio: { sampleRate: rate } }),
    );
    await refusesAllBut(none, code, /^plugin audio.tracks: /, tracks => plugin({ audio: { tracks } }));
    await refusesAllBut(none, code, /^plugin audio.dtmf: .*inband/, dtmf => plugin({ audio: { dtmf } }));
    const onOff: Kind[] = ['undefined', 'boolean', 'bare', 'date', 'promise', 'arrayBuffer'];
    await refusesAllBut(onOff, code, /^plugin audio.vad(\.\w+)?: /, vad => plugin({ audio: { vad } }));
    for (const name of ['onsetMs', 'hangoverMs', 'threshold', 'levelMinDb']) {
      const message = new RegExp(`^plugin audio.vad.${name}: .*give -?[\\d.]+ to -?[\\d.]+`);
      await refusesAllBut(none, code, message, value => plugin({ audio: { vad: { [name]: value } } }));
    }
    await refusesAllBut(['undefined', 'number'], code, /^plugin audio.vad.duringPlaybackDb: .*3 to 15/, db =>
      plugin({ audio: { vad: { duringPlaybackDb: db } } }),
    );
    await refusesAllBut(none, code, /^plugin audio.vad.detector: .*spectral .*neural/, detector =>
      plugin({ audio: { vad: { detector } } }),
    );
    assert.throws(() => plugin({ audio: { vad: { hangover: 300 } } }), {
      code,
      message: /hangover: .*hangoverMs/,
    });
    await refusesAllBut(none, code, /^plugin outbound.encoding: .*PCMU/, encoding =>
      plugin({ outbound: { encoding } }),
    );
    await refusesAllBut(none, code, /^plugin outbound.sampleRate: /, rate =>
      plugin({ outbound: { sampleRate: rate } }),
    );
    assert.throws(() => plugin({ outbound: { encoding: 'PCMU', sampleRate: 16_000 } }), { code });
  });

  test('definePlugin: fields that it does not have', () => {
    const refused = (more: object, message: RegExp): void =>
      assert.throws(() => definePlugin({ name: 'x', onStart: () => undefined, ...more }), {
        code: 'SIDETONE_PLUGIN_INVALID',
        message,
      });
    refused({ onStrat: () => 7 }, /^plugin onStrat: there is no such field: did you mean onStart\?$/);
    refused({ onwebhook: () => 7 }, /onwebhook: .*did you mean onWebhook\?/);
    refused({ acept: () => true }, /acept: .*did you mean accept\?/);
    refused({ onAudio() {} }, /onAudio: .*it belongs to the handler that onStart returns/);
    refused(
      { prepare() {} },
      /prepare: .*use one of name, path, options, audio, outbound, liveLatencyMaxMs, isolation, setup, accept, onStart, onWebhook/,
    );
    // A class keeps what it wants, and still cannot misspell an event.
    class Counting {
      name = 'counting';
      calls = 0;
      onStart(): void {
        this.calls++;
      }
    }
    assert.equal(definePlugin(new Counting()).name, 'counting');
    class Misspelt extends Counting {
      onWebhok(): void {}
    }
    assert.throws(() => definePlugin(new Misspelt()), { message: /onWebhok: .*did you mean onWebhook\?/ });
  });

  test('handlers: unknown events, and methods that are not functions', () => {
    const plugin = definePlugin({ name: 'x', onStart: () => undefined });
    const refused = (handler: unknown, message: RegExp): void =>
      assert.throws(() => checkHandler(plugin, handler), { code: 'SIDETONE_PLUGIN_INVALID', message });
    refused(
      { onAudoi() {} },
      /^plugin x: handler's onAudoi: there is no such event: did you mean onAudio\?$/,
    );
    refused({ onDTMF() {} }, /onDTMF: .*did you mean onDtmf\?/);
    refused(
      { onTick() {} },
      /onTick: .*use one of onAudio, onDtmf, onPlayed, onMark, onError, onCall, onResume, onStop, onSpeech/,
    );
    for (const name of ['onSpeech', 'onSilence']) {
      const handler = checkHandler(plugin, { [name]() {} });
      assert.throws(() => checkListens(plugin, handler, {}), {
        code: 'SIDETONE_PLUGIN_INVALID',
        message: `plugin x: handler's ${name}: nobody listens for speech: give the plugin audio: { vad: true }`,
      });
      for (const vad of [true, false, {}]) checkListens(plugin, handler, { vad });
    }
    checkListens(plugin, checkHandler(plugin, {}), {});
    refused({ onWebhook() {} }, /onWebhook: .*it belongs to the plugin itself/);
    refused({ onPlayed: 5 }, /handler's onPlayed: 5: give a function, or leave it out/);
    class Misspelt {
      onStopp(): void {}
    }
    refused(new Misspelt(), /onStopp: .*did you mean onStop\?/);
    class Handler {
      once = 1;
      online = true;
      heard = 0;
      onAudio(): void {
        this.heard++;
      }
    }
    const fine: unknown[] = [undefined, {}, new Handler(), { on() {}, onPlayed: undefined, helper: 7 }];
    for (const handler of fine) assert.equal(checkHandler(plugin, handler), handler);
  });

  test('createServer: options', async () => {
    const code = 'SIDETONE_BAD_OPTION';
    // Any object that has no key of its own that is not an option.
    const others: Kind[] = ['dataView', 'detachedUint8', 'detachedInt16'];
    const unknowing = OPTIONS.filter(kind => !['object', 'circle', 'function'].includes(kind)).concat(others);
    await refusesAllBut(unknowing, code, /\(options\): |length|self/, options => createServer(options));
    const fields: [string, Kind[]][] = [
      ['port', ['undefined', 'zero']],
      ['host', ['undefined', 'empty', 'string']],
      ['maxStreams', ['undefined']],
      ['drainTimeoutMs', ['undefined', 'zero', 'number']],
      ['idleTimeoutSeconds', ['undefined']],
      ['maxMessageBytes', ['undefined']],
      ['slowReader', ['undefined']],
      ['handlerErrors', ['undefined']],
      ['queueMaxMs', ['undefined']],
      ['l16ByteOrder', ['undefined']],
      ['logLevel', ['undefined']],
      ['authToken', ['undefined', 'string']],
      ['tls', ['undefined']],
      ['outboundCodec', ['undefined']],
      ['admin', ['undefined', 'boolean']],
    ];
    for (const [field, allowed] of fields) {
      await refusesAllBut(allowed, code, new RegExp(`^${field}`), value => createServer({ [field]: value }));
    }
    await assert.rejects(createServer({ nosuch: 1 } as never), { code, message: /nosuch/ });
    // A token is not repeated in the message.
    await assert.rejects(createServer({ authToken: ['', 'SECRET', 7 as never] }), (error: Error) => {
      assert.doesNotMatch(error.message, /SECRET/);
      return true;
    });
  });

  test('createServer: plugins', async () => {
    const invalid = { code: 'SIDETONE_PLUGIN_INVALID' };
    for (const plugin of [7, null, {}, [], () => 7, Symbol('s')]) {
      await assert.rejects(createServer({ plugins: [plugin as never] }), invalid);
    }
    await assert.rejects(createServer({ plugins: ['no-such-plugin'] }), {
      code: 'SIDETONE_PLUGIN_NOT_FOUND',
      message: /^plugin: no-such-plugin: .*echo/,
    });
    await assert.rejects(createServer({ plugins: ['echo', 'echo'] }), {
      code: 'SIDETONE_BAD_OPTION',
      message: /twice/,
    });
  });

  test('listen and close in every order', { timeout: 120_000 }, async () => {
    const make = () => createServer({ port: 0, admin: false, logLevel: 'silent' });
    const unused = await make();
    assert.deepEqual([unused.port, unused.ready, unused.draining, unused.streams], [0, false, false, 0]);
    assert.deepEqual(await unused.snapshot(), []);
    await Promise.all([unused.close(), unused.close()]);
    await unused.close();
    await assert.rejects(unused.listen(), {
      code: 'SIDETONE_SERVER_CLOSED',
      message: /listen: .*make another/,
    });
    assert.deepEqual(await unused.snapshot(), []);

    const used = await make();
    const both = await Promise.allSettled([used.listen(), used.listen()]);
    assert.deepEqual(
      both.map(({ status }) => status),
      ['fulfilled', 'rejected'],
    );
    assert.equal((both[1] as PromiseRejectedResult).reason.code, 'SIDETONE_SERVER_LISTENING');
    await assert.rejects(used.listen(), { code: 'SIDETONE_SERVER_LISTENING' });
    assert.ok(used.ready && used.port > 0);
    const closed = once(used, 'close');
    await used.close();
    await closed;
    assert.equal(used.ready, false);
    await assert.rejects(used.listen(), { code: 'SIDETONE_SERVER_CLOSED' });

    const quick = await make();
    const listening = quick.listen();
    await quick.close();
    await listening;
    assert.equal(quick.ready, false);
    const socket = new RawSocket(quick.port);
    await socket.until(() => socket.closed, 'the refusal of a connection');
  });

  test('listen where somebody else does, and again when the port is free', async () => {
    const taken = createTcpServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    const server = await createServer({ port, admin: false, logLevel: 'silent' });
    await assert.rejects(server.listen(), {
      code: 'SIDETONE_PORT_IN_USE',
      message: new RegExp(`^port: ${port}: .*127.0.0.1.*--port`),
    });
    taken.close();
    await once(taken, 'close');
    await server.listen();
    assert.equal(server.port, port);
    await server.close();
    const nowhere = await createServer({ host: '203.0.113.1', port: 0, admin: false, logLevel: 'silent' });
    await assert.rejects(nowhere.listen(), {
      code: 'SIDETONE_BAD_OPTION',
      message: /^host: 203\.0\.113\.1: .*EADDRNOTAVAIL/,
    });
    await nowhere.close();
  });
});

describe('streams', () => {
  const streams: Stream[] = [];
  let frame: AudioFrame | undefined;
  const holder = definePlugin({
    name: 'holder',
    onStart(stream) {
      streams.push(stream);
      return {
        onAudio: heard => {
          frame = heard;
        },
      };
    },
  });
  let server: Server;
  before(async () => {
    server = await startServer([holder]);
  });
  after(() => stopServer(server));

  async function held(): Promise<{ stream: Stream; socket: RawSocket; call: WireCall }> {
    streams.length = 0;
    const { socket, call } = await startedCall(server, { path: '/holder' });
    await eventually(() => streams.length === 1, 'the start');
    return { stream: streams[0]!, socket, call };
  }

  test('wrong arguments', { timeout: 120_000 }, async () => {
    const { stream } = await held();
    const code = 'SIDETONE_BAD_ARGUMENT';
    // Text and lists are iterables, so the error is about their pieces.
    const iterable: Kind[] = ['array'];
    await refusesAllBut([...PCM, ...iterable], code, /^play audio: .*Int16Array/, audio => {
      stream.play(audio);
    });
    await refusesAllBut(PCM, code, /^play(:| audio:) .*Int16Array/, audio => stream.play([audio]));
    await refusesAllBut(PCM, code, /^play(:| audio:) .*Int16Array/, audio =>
      stream.play(
        (async function* () {
          yield audio as Int16Array;
        })(),
      ),
    );
    const pcm = new Int16Array(160);
    await refusesAllBut(['undefined'], code, /^play sampleRate: .*Hz/, sampleRate => {
      stream.play(pcm, { sampleRate });
    });
    const objects: Kind[] = Object.entries(KINDS).flatMap(([kind, value]) =>
      value === undefined || (typeof value === 'object' && value !== null) ? [kind as Kind] : [],
    );
    await refusesAllBut(objects, code, /^play options: /, options => {
      stream.play(pcm, options);
    });
    await refusesAllBut(objects, code, /^speak options: /, options => {
      stream.speak(options);
    });
    await refusesAllBut(objects, code, /^clear options: /, options => {
      void stream.clear(options);
    });
    stream.clear();
    await refusesAllBut(['undefined', 'string'], code, /^mark name: .*512 characters/, name => {
      void stream.mark(name);
    });
    assert.throws(() => void stream.mark('x'.repeat(513)), { code });
    assert.equal(stream.closed, false);
    stream.close();
  });

  test('the same mark twice, a mark with nothing played, a clear of nothing, twice', {
    timeout: 120_000,
  }, async () => {
    const { stream, socket, call } = await held();
    const marks = [stream.mark('same'), stream.mark('same'), stream.mark()];
    await socket.until(() => socket.messages('mark').length === 3, 'the marks');
    for (const { mark } of socket.messages('mark')) socket.send(call.mark(mark.name));
    const results = await Promise.all(marks);
    assert.deepEqual(
      results.map(({ played }) => played),
      [true, true, true],
    );
    assert.deepEqual(await stream.clear(), { playedMs: 0, discardedMs: 0 });
    assert.deepEqual(await stream.clear(), { playedMs: 0, discardedMs: 0 });
    // Marks that nobody set, or that came back already.
    socket.send(call.mark('same'));
    socket.send(call.mark('never set'));
    socket.send(call.media(payloads(1)[0]!));
    await eventually(() => frame !== undefined, 'the stream goes on');
    stream.close();
  });

  test('a playback awaited twice, late, with wrong callbacks, and read at any time', {
    timeout: 120_000,
  }, async () => {
    const { stream, socket } = await held();
    const empty = stream.play(new Int16Array());
    assert.deepEqual(await empty, { playedMs: 0, interrupted: false });
    const playback = stream.play(new Int16Array(8000));
    const check = (which: Playback): void => {
      assert.ok(which.playedMs >= 0 && which.playedMs <= 1000);
      assert.equal(typeof which.finished, 'boolean');
    };
    check(playback);
    const first = playback.then(undefined, undefined);
    const second = playback.then(7 as never, 'x' as never);
    await socket.until(() => socket.messages('media').length > 2, 'some audio');
    stream.close();
    const result = await playback;
    assert.equal(result.interrupted, true);
    assert.deepEqual(await first, result);
    assert.deepEqual(await second, result);
    assert.deepEqual(await playback, result);
    check(playback);
    assert.equal(playback.finished, true);
  });

  test('every call after the end', { timeout: 120_000 }, async () => {
    const endings: Record<string, (stream: Stream, socket: RawSocket, call: WireCall) => void> = {
      'the stop': (_stream, socket, call) => socket.send(call.stop()),
      'a broken connection': (_stream, socket) => socket.tcp.resetAndDestroy(),
      'its own close': stream => stream.close(),
      'a take-over': (stream, socket) => {
        void startedCall(server, { path: '/holder', callControlId: stream.call.callControlId });
        void socket;
      },
    };
    for (const [name, end] of Object.entries(endings)) {
      const { stream, socket, call } = await held();
      frame = undefined;
      socket.send(call.media(payloads(1)[0]!));
      await eventually(() => frame !== undefined, 'a frame');
      end(stream, socket, call);
      await eventually(() => stream.closed, name);
      const over = { playedMs: 0, interrupted: true };
      assert.deepEqual(await stream.play(new Int16Array(160)), over, name);
      assert.deepEqual(await stream.play([new Int16Array(160)]), over, name);
      assert.deepEqual(await stream.mark('x'), { name: 'x', played: false }, name);
      assert.deepEqual(await stream.clear(), { playedMs: 0, discardedMs: 0 }, name);
      const wrong = { code: 'SIDETONE_BAD_ARGUMENT' };
      assert.throws(() => stream.play('x' as never), wrong, name);
      assert.throws(() => stream.playFile(new Uint8Array(160)), wrong, name);
      assert.throws(() => void stream.mark(7 as never), wrong, name);
      stream.close();
      stream.close();
      assert.equal(stream.queuedMs, 0);
      assert.deepEqual(stream.stats, {});
      assert.equal(stream.id.length > 0 && stream.call.callControlId.length > 0, true);
      assert.equal(frame!.copy().length, 160);
      assert.deepEqual(await stream.play(frame!), over, name);
      RawSocket.destroyAll();
      await eventually(() => server.streams === 0, 'the end of all');
    }
  });

  test("a frame played after its callback, on its own stream and on another's", {
    timeout: 120_000,
  }, async () => {
    const one = await held();
    frame = undefined;
    // PCM has one zero and µ-law has two. Which of them a frame had is known only until the next frame comes.
    const payload = payloads(1)[0]!.map(code => (code === 0x7f ? 0xff : code));
    one.socket.send(one.call.media(payload));
    await eventually(() => frame !== undefined, 'a frame');
    const mine: AudioFrame = frame!;
    one.stream.play(mine);
    const other = await held();
    other.stream.play(mine);
    await one.socket.until(() => one.socket.audio().length >= 160, 'it is played');
    await other.socket.until(() => other.socket.audio().length >= 160, 'it is played there, too');
    assert.deepEqual(one.socket.audio(), other.socket.audio());
    one.stream.close();
    other.stream.close();
  });
});

describe('the simulator', () => {
  let server: Server;
  before(async () => {
    server = await startServer();
  });
  after(() => stopServer(server));

  test('wrong arguments', async () => {
    const code = 'SIDETONE_BAD_OPTION';
    const notPlain: Kind[] = [
      'array',
      'dataView',
      'float32',
      'uint8',
      'buffer',
      'int16',
      'detachedUint8',
      'detachedInt16',
    ];
    const plain = OPTIONS.filter(kind => !notPlain.includes(kind) && kind !== 'function');
    await refusesAllBut(plain, code, /^options is /, options => new Simulator(options));
    await refusesAllBut(['undefined', 'zero'], code, /^seed is /, seed => new Simulator({ seed }));
    const simulator = new Simulator({ seed: 1 });
    await refusesAllBut([], code, /^url is /, address => simulator.call(address));
    for (const address of ['http://x/', 'ws://', 'ws://[', 'wss:///']) {
      assert.throws(() => simulator.call(address), { code });
    }
    await refusesAllBut(plain, code, /^options is /, options => simulator.pair(options));
    await refusesAllBut([], code, /^caller is /, pcm => simulator.speech(pcm));
    await refusesAllBut([], code, /^result is /, result => simulator.render(result));
    const voice = { samples: new Int16Array(160), sampleRate: 8000 };
    await refusesAllBut(['undefined'], code, /^encoding is /, encoding =>
      simulator.speech(voice, { encoding }),
    );
    await refusesAllBut(['undefined', 'number'], code, /^ptimeMs is /, ptimeMs =>
      simulator.speech(voice, { ptimeMs }),
    );
    const fields: [string, Kind[]][] = [
      ['inbound', ['undefined']],
      ['outbound', ['undefined']],
      ['idle', ['undefined', ...BYTES]],
      ['encoding', ['undefined']],
      ['sampleRate', ['undefined']],
      ['ptimeMs', ['undefined', 'number']],
      ['mode', ['undefined']],
      ['durationMs', ['undefined', 'zero', 'number', 'infinity']],
      ['dtmf', ['undefined']],
      ['shuffle', ['undefined', 'zero']],
      ['loss', ['undefined', 'zero']],
      ['seed', ['undefined', 'zero']],
      ['authToken', ['undefined', 'empty', 'string']],
      ['streamId', ['undefined', 'empty', 'string']],
      ['from', ['undefined', 'empty', 'string']],
      ['tags', ['undefined']],
      ['startDelayMs', ['undefined', 'zero', 'number']],
    ];
    for (const [field, allowed] of fields) {
      await refusesAllBut(allowed, code, new RegExp(`^${field} is `), value =>
        simulator.pair({ [field]: value }),
      );
    }
  });

  test('a call before, during and after its life', { timeout: 120_000 }, async () => {
    const simulator = new Simulator({ seed: 2 });
    const call = simulator.call(url(server), { inbound: payloads(50), lingerMs: 5000 });
    call.dtmf('1'); // not answered yet: ignored
    assert.equal(call.queuedMs, 0);
    assert.equal(call.soFar().ended, 'running');
    await refusesAllBut([], 'SIDETONE_BAD_OPTION', /^dtmf digit is /, digit => call.dtmf(digit));
    await eventually(() => call.soFar().echo.matched > 0, 'the first echo');
    call.dtmf('5');
    assert.ok(simulator.render(call.soFar()).samples.length > 0, 'a running call can be heard');
    call.hangup();
    call.hangup();
    const result = await call.result;
    assert.equal(result.ended, 'by the caller');
    call.hangup();
    call.dtmf('5');
    assert.deepEqual((await call.result).ended, 'by the caller');
    assert.equal(call.soFar().frames.sent, result.frames.sent);

    const never = simulator.call(url(server), {});
    never.hangup();
    assert.equal((await never.result).ended, 'unanswered');
    const nobody = await simulator.call('ws://127.0.0.1:1/', {}).result;
    assert.deepEqual([nobody.ended, nobody.heard.length], ['failed', 0]);
    assert.equal(simulator.render(nobody).samples.length, 0);
  });
});
