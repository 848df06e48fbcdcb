/** The lines of the log about a call. The test reads them from a reactor in virtual time. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { closeMp3, encodeMp3, mp3DurationMs } from '../../src/codecs/mp3.js';
import type { Plugin, ServerOptions, Stream, StreamHandler } from '../../src/index.js';
import { createLog } from '../../src/log/log.js';
import { tellPlugins } from '../../src/plugin/notify.js';
import { eventually } from '../helpers/servers.js';
import { WireCall } from '../helpers/telnyx-messages.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';

type Line = Record<string, unknown> & { level: number; msg: string };
const INFO = 30;
/** pino's own fields, which say nothing of the call. */
const OWN_FIELDS = new Set(['level', 'time', 'pid', 'hostname', 'msg']);

const IDS = { streamId: 'stream-of-the-call', callControlId: 'v3:the-call' };
const FIELDS = { stream: IDS.streamId, call: IDS.callControlId };

const SECRETS = {
  from: '+13125550123',
  to: '+13125550188',
  client_state: 'aGlkZGVuLXN0YXRl',
  custom_parameters: { account: 'account-of-the-caller' },
};

/** A call over a reactor whose log is kept. */
function logged(
  start: (stream: Stream) => StreamHandler | undefined,
  options: ServerOptions = {},
  level = 'info',
) {
  const lines: Line[] = [];
  const log = createLog(level, { write: text => lines.push(JSON.parse(text)) });
  const reactor = new VirtualReactor(options, undefined, log);
  const plugin = { name: 'test', onStart: start } as Plugin;
  return { reactor, lines, call: new WireCall(IDS), ...reactor.connect(plugin) };
}

const pcmu = new Uint8Array(160).fill(0xd5);
const tone = (ms: number): Int16Array =>
  Int16Array.from({ length: ms * 8 }, (_, i) => Math.round(8000 * Math.sin((i * 2 * Math.PI * 440) / 8000)));

/** Without pino's own fields. */
function content(line: Line | undefined): Record<string, unknown> {
  return Object.fromEntries(Object.entries(line ?? {}).filter(([name]) => !OWN_FIELDS.has(name)));
}

test('a call has one line at its start and one at its end, which holds its figures', async () => {
  let stream: Stream | undefined;
  const { reactor, lines, call, receive } = logged(started => {
    stream = started;
    return { onAudio: () => {} };
  });
  receive(call.connected('the-secret-token'));
  receive(call.start(SECRETS));
  assert.deepEqual(
    lines.map(({ msg, level }) => [msg, level]),
    [['stream started', INFO]],
  );
  assert.deepEqual(content(lines[0]), {
    ...FIELDS,
    plugin: 'test',
    inbound: 'PCMU@8000',
    outbound: 'PCMU@8000',
  });
  for (let i = 0; i < 50; i++) {
    const media = call.media(pcmu);
    // The eleventh to the thirteenth never come; the gap is given up when its wait is over.
    if (i < 10 || i > 12) receive(media);
    await reactor.clock.advanceAsync(20);
  }
  stream!.play(tone(300));
  await reactor.clock.advanceAsync(600);
  stream!.play(tone(1000));
  await reactor.clock.advanceAsync(400);
  await stream!.clear();
  await reactor.clock.advanceAsync(100);
  stream!.play(tone(200));
  await reactor.clock.advanceAsync(50);
  receive({
    event: 'stop',
    sequence_number: call.next(),
    stream_id: call.streamId,
    stop: { user_id: 'u', call_control_id: call.callControlId },
  });
  assert.equal(lines.length, 2);
  assert.equal(lines[1]!.msg, 'stream ended');
  assert.equal(lines[1]!.level, INFO);
  assert.deepEqual(content(lines[1]), {
    ...FIELDS,
    plugin: 'test',
    reason: 'stop',
    lengthMs: 50 * 20 + 600 + 400 + 100 + 50,
    inbound: 'PCMU@8000',
    outbound: 'PCMU@8000',
    mediaReceived: 47,
    framesHeard: 50,
    framesConcealed: 3,
    framesLost: 3,
    framesLate: 0,
    mediaSent: lines[1]!.mediaSent,
    bytesSent: lines[1]!.bytesSent,
    underruns: 0,
    playedMs: 300 + 400 + 50,
    interruptions: 1,
  });
  const { mediaSent, bytesSent } = lines[1] as Line & { mediaSent: number; bytesSent: number };
  assert.ok(mediaSent >= 3);
  assert.ok(bytesSent >= (300 + 400 + 50) * 8, 'all that was heard was sent');
  const text = JSON.stringify(lines);
  for (const secret of [
    'the-secret-token',
    SECRETS.from,
    SECRETS.to,
    SECRETS.client_state,
    'account-of-the-caller',
  ]) {
    assert.ok(!text.includes(secret), `${secret} is in the log`);
  }
  await reactor.close();
});

test('every line of a call has its stream_id and its call_control_id, whatever it tells of', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sidetone-log-'));
  try {
    const { reactor, lines, call, receive } = logged(
      () => ({
        onAudio: () => {
          reactor.clock.block(300);
          throw new Error('out of order');
        },
      }),
      { captureDir: directory, handlerErrors: 'bypass' },
      'debug',
    );
    receive('{');
    const before = lines.at(-1)!;
    assert.equal(before.msg, 'message refused');
    assert.equal(before.stream, undefined, 'there was no stream yet');
    rmSync(directory, { recursive: true });
    receive(call.start());
    receive(call.media(pcmu));
    receive('{');
    receive({
      event: 'stop',
      sequence_number: call.next(),
      stream_id: call.streamId,
      stop: { user_id: 'u', call_control_id: call.callControlId },
    });
    await eventually(async () => {
      await reactor.clock.advanceAsync(250);
      return lines.some(({ msg }) => msg.includes('capture'));
    }, 'the failing capture');
    const told = lines.slice(1);
    assert.deepEqual([...new Set(told.map(({ msg }) => msg))].sort(), [
      'a capture could not be written',
      "a plugin's handler failed",
      "a plugin's handler held the thread",
      'message refused',
      'stream ended',
      'stream started',
    ]);
    for (const { stream, call, msg } of told) assert.deepEqual({ stream, call }, FIELDS, msg);
    await reactor.close();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('the end says why: broken, idle, replaced, closed by the plugin', async () => {
  const reasons: unknown[] = [];
  const ends: ((call: ReturnType<typeof logged>) => void | Promise<void>)[] = [
    ({ drop }) => drop(),
    ({ reactor }) => reactor.clock.advanceAsync(61_000),
    ({ reactor, call }) => {
      const second = reactor.connect({ name: 'other', onStart: () => undefined });
      second.receive(new WireCall({ callControlId: call.callControlId }).start());
    },
    ({ connection }) => connection.stream!.close(),
  ];
  for (const end of ends) {
    const made = logged(() => undefined, { idleTimeoutSeconds: 60 });
    made.receive(made.call.start());
    await end(made);
    const line = made.lines.find(({ msg, stream }) => msg === 'stream ended' && stream === FIELDS.stream);
    reasons.push(line?.reason);
    await made.reactor.close();
  }
  assert.deepEqual(reasons, ['disconnected', 'idle_timeout', 'replaced', 'closed']);
});

test('in MP3 mode the end says so, with the bytes of the files and what was heard of them', async () => {
  after(() => closeMp3());
  const file = await encodeMp3(tone(1000), 8000);
  const fileMs = mp3DurationMs(file);
  const { reactor, lines, call, receive, drop } = logged(
    stream => {
      stream.playFile(file);
      return {};
    },
    { outboundMode: 'mp3' },
  );
  receive(call.start());
  await reactor.clock.advanceAsync(fileMs + 500);
  drop();
  const { outbound, mediaSent, bytesSent, playedMs } = lines.at(-1)!;
  assert.deepEqual(
    { outbound, mediaSent, bytesSent, playedMs },
    { outbound: 'MP3', mediaSent: 1, bytesSent: file.length, playedMs: Math.round(fileMs) },
  );
  await reactor.close();
});

test('a stream that cannot be opened and a plugin that fails at a webhook are logged with the ids of the call', async () => {
  const lines: Line[] = [];
  const log = createLog('info', { write: text => lines.push(JSON.parse(text)) });
  const reactor = new VirtualReactor({}, undefined, log);
  Object.defineProperty(reactor.reactor, 'pool', {
    get: () => {
      throw new Error('no worker is left');
    },
  });
  const { receive } = reactor.connect({ name: 'test', onStart: () => undefined });
  receive(new WireCall({ ...IDS, encoding: 'OPUS' }).start());
  assert.equal(lines[0]!.msg, 'a stream could not be opened');
  const onWebhook = (): never => {
    throw new Error('out of order');
  };
  const event = {
    id: 'e',
    payload: {},
    type: 'streaming.stopped',
    callControlId: IDS.callControlId,
    streamId: IDS.streamId,
  } as const;
  tellPlugins([{ name: 'test', onWebhook }], event, log, () => {});
  assert.equal(lines[1]!.event, 'streaming.stopped');
  for (const { stream, call, msg } of lines) assert.deepEqual({ stream, call }, FIELDS, msg);
  await reactor.close();
});

test('at a level above info a call has no line', async () => {
  const { reactor, lines, call, receive, drop } = logged(() => undefined, {}, 'warn');
  receive(call.start());
  drop();
  assert.deepEqual(lines, []);
  await reactor.close();
});
