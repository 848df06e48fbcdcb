import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { readWav } from '../../src/audio/wav.js';
import type { CaptureRecord } from '../../src/capture/format.js';
import { createEncoder, resample } from '../../src/codecs/create.js';
import { diagnose } from '../../src/doctor/doctor.js';
import type { FindingId, Severity } from '../../src/doctor/findings.js';
import { ENCODINGS, type Encoding } from '../../src/formats.js';
import type { CallOptions } from '../../src/simulator/options.js';
import { Simulator } from '../../src/simulator/simulator.js';
import { haveAmrWb } from '../helpers/amr-wb.js';
import {
  captureDirectory,
  type MadeCall,
  media,
  mute,
  record,
  shaped,
  writeCapture,
} from '../helpers/captures.js';
import { root } from '../helpers/paths.js';
import { propertyRuns } from '../helpers/runs.js';

const directory = captureDirectory();
after(() => directory.remove());

const speech = (await readWav(join(root, 'assets/speech.wav'))).channels[0]!;
const simulator = new Simulator({ seed: 1 });
const encodings = ENCODINGS.filter(encoding => haveAmrWb || encoding !== 'AMR-WB');
const announced = (encoding: Encoding): number =>
  ['OPUS', 'AMR-WB', 'L16'].includes(encoding) ? 16000 : 8000;

function say(
  encoding: Encoding,
  pcm: Int16Array = shaped(speech, { levelDb: -6, noiseDbfs: -65 }),
  more = {},
) {
  return simulator.speech({ samples: pcm, sampleRate: 16000 }, { encoding, ...more });
}
async function findings(records: readonly CaptureRecord[]) {
  const path = writeCapture(directory.path(), records);
  return diagnose(path);
}
/** The one finding of that kind, which must be there. */
async function found(id: FindingId, made: MadeCall, change = (records: CaptureRecord[]) => records) {
  const diagnosis = await findings(change(record(made)));
  const finding = diagnosis.findings.find(each => each.id === id);
  assert.ok(finding, `${id} is not among: ${diagnosis.findings.map(each => each.id).join() || 'none'}`);
  for (const text of [finding.what, finding.evidence, finding.remedy]) assert.ok(text.length > 5, text);
  return { diagnosis, finding };
}
const ids = (diagnosis: { findings: { id: FindingId; severity: Severity }[] }): string =>
  diagnosis.findings.map(({ id, severity }) => `${id} (${severity})`).join();

// ── Healthy calls ──

for (const encoding of encodings) {
  test(`${encoding}: a healthy call has no finding, whatever its level, offset, noise and unit`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          levelDb: fc.integer({ min: -30, max: 0 }),
          noiseDbfs: fc.integer({ min: -90, max: -55 }),
          from: fc.nat(speech.length - 1),
          seed: fc.integer({ min: 1, max: 1e6 }),
        }),
        fc.constantFrom(0, 1),
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        fc.integer({ min: 0, max: 200 }),
        async (shape, chunkOrigin, timestampOrigin, startDelayMs) => {
          const call = {
            ...say(encoding, shaped(speech, shape)),
            chunkOrigin,
            timestampOrigin,
            startDelayMs,
          };
          const diagnosis = await findings(record({ call }));
          assert.equal(ids(diagnosis), '');
          assert.equal(diagnosis.healthy, true);
          assert.equal(diagnosis.inbound?.declared, diagnosis.inbound?.actual);
          assert.equal(diagnosis.server?.declared, diagnosis.server?.actual);
          assert.equal(diagnosis.inbound?.chunkOrigin, chunkOrigin);
          assert.equal(diagnosis.inbound?.timestampUnit, 'rtp');
        },
      ),
      { numRuns: propertyRuns(encoding === 'AMR-WB' ? 6 : 12) },
    );
  });
}

const tone = (...hz: number[]): Int16Array =>
  Int16Array.from({ length: 32000 }, (_, i) =>
    Math.round(
      hz.reduce((sum, each) => sum + (9000 / hz.length) * Math.sin((2 * Math.PI * each * i) / 16000), 0),
    ),
  );
const OTHER_SOUNDS: Record<string, Int16Array> = {
  'a 1 kHz tone': tone(1000),
  'a 1004 Hz tone': tone(1004),
  'a 2 kHz tone': tone(2000),
  'a dial tone': tone(350, 440),
  'a DTMF digit': tone(770, 1336),
  'white noise': shaped(new Int16Array(32000), { noiseDbfs: -45 }),
  'quiet noise': shaped(new Int16Array(32000), { noiseDbfs: -60 }),
};
for (const [name, pcm] of Object.entries(OTHER_SOUNDS)) {
  test(`${name} is taken for what it is declared as, in every encoding`, async () => {
    for (const encoding of encodings) {
      const diagnosis = await findings(record({ call: say(encoding, pcm) }));
      assert.equal(diagnosis.healthy, true, `${encoding}: ${ids(diagnosis)}`);
    }
  });
}

test('both tracks, counted a track or a stream, in messages of 40 ms, are healthy too', async () => {
  const call = simulator.speech(
    { samples: shaped(speech, { noiseDbfs: -65 }), sampleRate: 16000 },
    {
      encoding: 'PCMU',
      ptimeMs: 40,
      callee: { samples: shaped(speech, { from: 9000, noiseDbfs: -65 }), sampleRate: 16000 },
    },
  );
  for (const chunkCounting of ['track', 'stream'] as const) {
    const diagnosis = await findings(record({ call: { ...call, chunkCounting } }));
    assert.equal(diagnosis.healthy, true, ids(diagnosis));
    assert.deepEqual(
      [diagnosis.inbound?.chunkCounting, diagnosis.outbound?.chunkCounting],
      [chunkCounting, chunkCounting],
    );
    assert.deepEqual([diagnosis.inbound?.lost, diagnosis.outbound?.lost], [0, 0]);
    assert.equal(diagnosis.inbound?.ptimeMs, 40);
  }
});

// ── What Telnyx's audio is ──

for (const truth of encodings) {
  for (const declared of encodings.filter(encoding => encoding !== truth)) {
    test(`${truth} declared as ${declared}`, async () => {
      const call: CallOptions = { ...say(truth), encoding: declared, sampleRate: announced(declared) };
      const { diagnosis, finding } = await found('inbound-encoding', { call, answer: mute });
      assert.match(finding.what, new RegExp(`declares ${declared}.* payloads are ${truth}$`));
      assert.equal(finding.severity, 'error');
      assert.equal(finding.field, 'stream_codec');
      assert.ok(diagnosis.inbound!.actual.startsWith(truth));
      assert.equal(diagnosis.healthy, false);
      assert.equal(diagnosis.findings.length, 1, ids(diagnosis));
    });
  }
}

const swapped = (payload: Uint8Array): Uint8Array => new Uint8Array(Buffer.from(payload).swap16());

test('L16 in the other byte order, loud and quiet', async () => {
  for (const levelDb of [0, -20, -50]) {
    const call = say('L16', shaped(speech, { levelDb, noiseDbfs: -75 }));
    const big = { ...call, inbound: call.inbound.map(swapped), idle: new Uint8Array(640) };
    const { diagnosis, finding } = await found('inbound-byte-order', { call: big, answer: mute });
    assert.match(finding.remedy, /--l16-byte-order be/);
    assert.equal(diagnosis.inbound?.actual, 'L16 at 16000 Hz, big-endian');
  }
});

test('L16 at another rate than declared', async () => {
  for (const [truth, declared] of [
    [8000, 16000],
    [16000, 8000],
  ] as const) {
    const call = { ...say('L16', undefined, { sampleRate: truth }), sampleRate: declared };
    const { finding } = await found('inbound-rate', { call, answer: mute });
    assert.match(finding.what, new RegExp(`says ${declared} Hz, .* has ${truth} Hz`));
  }
});

test('AMR-WB packed octet-aligned', { skip: !haveAmrWb }, async () => {
  const encoder = createEncoder('AMR-WB', { form: 'octet-aligned' });
  const inbound = Array.from({ length: 100 }, (_, i) =>
    encoder.encode(speech.subarray(i * 320, (i + 1) * 320)),
  );
  encoder.close();
  const { finding } = await found('inbound-packing', { call: { encoding: 'AMR-WB', inbound }, answer: mute });
  assert.match(finding.evidence, /octet-aligned AMR-WB to the bit/);
});

function withRtpHeader(payload: Uint8Array, i: number, payloadType = 0): Uint8Array {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(0x8000 | payloadType, 0);
  header.writeUInt16BE((65530 + i) & 0xffff, 2);
  header.writeUInt32BE(i * 160, 4);
  header.writeUInt32BE(0xcafe, 8);
  return Buffer.concat([header, payload]);
}

test('the RTP header left on, by Telnyx and by the server; what follows is judged without it', async () => {
  const call = say('PCMA');
  const inbound = call.inbound.map((payload, i) => withRtpHeader(payload, i, 8));
  const { idle: _, ...silent } = call;
  const { diagnosis, finding } = await found('inbound-rtp-header', { call: { ...silent, inbound } });
  assert.match(finding.evidence, /payload type 8 \(PCMA\)/);
  assert.equal(diagnosis.inbound?.actual, 'PCMA at 8000 Hz');
  assert.ok(diagnosis.findings.some(({ id }) => id === 'outbound-rtp-header'));
  assert.ok(!diagnosis.findings.some(({ id }) => id.includes('encoding')), ids(diagnosis));
});

test('silence, clipping, a DC offset, noise, and narrow-band sound in a wide-band encoding', async () => {
  const of = (pcm: Int16Array, encoding: Encoding = 'PCMU') => ({ call: say(encoding, pcm), answer: mute });
  await found('silence', of(new Int16Array(48000)));
  await found('clipping', of(shaped(speech, { levelDb: 20 })));
  await found(
    'dc-offset',
    of(
      shaped(speech, { levelDb: -20 }).map(sample => sample + 1500),
      'L16',
    ),
  );
  const { finding } = await found('noise', of(shaped(speech, { levelDb: -3, noiseDbfs: -35 })));
  assert.equal(finding.severity, 'note');
  const narrow = simulator.speech(
    { samples: resample(speech, 16000, 8000), sampleRate: 8000 },
    { encoding: 'L16' },
  );
  await found('narrow-band', { call: narrow, answer: mute });
});

// ── How it comes ──

test('timestamps in milliseconds, and from another clock', async () => {
  const { diagnosis, finding } = await found('timestamp-unit', {
    call: { ...say('PCMU'), timestampUnit: 'ms' },
  });
  assert.equal(finding.severity, 'note');
  assert.equal(diagnosis.healthy, true);
  assert.equal(diagnosis.inbound?.timestampUnit, 'ms');
  const scaled = (records: CaptureRecord[], factor: number) =>
    records.map(each =>
      each.from === 'telnyx'
        ? {
            ...each,
            text: each.text!.replace(
              /"timestamp":"(\d+)"/,
              (_, n) => `"timestamp":"${Math.round(n * factor)}"`,
            ),
          }
        : each,
    );
  const g722 = await found('timestamp-clock', { call: say('G722') }, records => scaled(records, 2));
  assert.equal(g722.diagnosis.inbound?.timestampClockHz, 16000);
  const odd = await found('timestamp-clock', { call: say('PCMU') }, records => scaled(records, 1.7));
  assert.equal(odd.finding.severity, 'warning');
});

test('losses, duplicates and reordering are counted as they were made', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 2 ** 31 }),
      fc.constantFrom(
        { loss: 0.03 },
        { duplicate: 0.05 },
        { shuffle: 3 },
        { loss: 0.1, duplicate: 0.1, shuffle: 12 },
      ),
      async (seed, impairment: { loss?: number; duplicate?: number; shuffle?: number }) => {
        const call = { ...say('PCMU'), ...impairment, seed };
        const records = record({ call, answer: mute });
        const chunks = records.flatMap(each => {
          const frame = each.from === 'telnyx' ? JSON.parse(each.text!) : {};
          return frame.event === 'media' ? [Number(frame.media.chunk)] : [];
        });
        const once = [...new Set(chunks)];
        const { inbound, findings: all } = await findings(records);
        // What is missing at either end cannot be seen in the numbers.
        assert.equal(inbound!.lost, Math.max(...once) - Math.min(...once) + 1 - once.length);
        assert.equal(inbound!.duplicates, chunks.length - once.length);
        assert.equal(
          inbound!.reordered,
          once.filter((chunk, i) => once.slice(0, i).some(before => before > chunk)).length,
        );
        const has = (id: FindingId): boolean => all.some(finding => finding.id === id);
        assert.equal(has('loss'), inbound!.lost > 0);
        assert.equal(has('duplicates'), inbound!.duplicates > 0);
        assert.equal(has('reordering'), inbound!.reordered > 0);
        assert.ok(!all.some(({ id }) => id.includes('encoding')), 'and the sound is still what it is');
      },
    ),
    { numRuns: propertyRuns(12) },
  );
});

test('a stall, chunks that do not count, media of another length, no media, no start', async () => {
  const late = (records: CaptureRecord[]) =>
    records.map(each => (each.atMs < 1500 ? each : { ...each, atMs: each.atMs + 1200 }));
  const { finding } = await found('stall', { call: say('PCMU'), answer: mute }, late);
  assert.match(finding.evidence, /12\d\d ms/);
  const still = (records: CaptureRecord[]) =>
    records.map(each =>
      each.from === 'telnyx' ? { ...each, text: each.text!.replace(/"chunk":"\d+"/, '"chunk":"7"') } : each,
    );
  await found('chunk-numbers', { call: say('PCMU'), answer: mute }, still);
  await found('ptime', { call: say('PCMU', undefined, { ptimeMs: 30 }), answer: mute });
  await found('no-media', { call: { durationMs: 5000 }, answer: mute });
  await found('no-start', { call: say('PCMU'), answer: mute }, records =>
    records.filter(each => !('text' in each && /"start"/.test(each.text ?? ''))),
  );
  const mangled = await found('refused-frames', { call: say('PCMU'), answer: mute }, records =>
    records.map(each =>
      each.from === 'telnyx'
        ? { ...each, text: each.text!.replace('"track":"inbound"', '"track":"in"') }
        : each,
    ),
  );
  assert.match(mangled.finding.evidence, /media\.track is "in"/);
  await found('binary-frames', { call: say('PCMU') }, records => [
    ...records,
    { atMs: 1, from: 'telnyx', base64: 'AA==' },
  ]);
  await found('capture-incomplete', { call: say('PCMU') }, records => [
    ...records,
    { atMs: 1, from: 'capture', note: 'dropped', messages: 3 },
  ]);
});

// ── What the server sends ──

/** A server that says speech of its own, a message for each of Telnyx's. */
function speaks(
  message: (i: number, payload: Uint8Array) => string | string[],
  encoding: Encoding = 'PCMU',
): MadeCall {
  const { inbound, ...call } = say(encoding);
  let i = 0;
  return {
    call: { ...call, inbound },
    answer(text, send) {
      if (JSON.parse(text).event !== 'media') return;
      for (const each of [message(i, inbound[i % inbound.length]!)].flat()) send(each);
      i++;
    },
  };
}

test('the server: wrong messages, base64, empty, short, long and odd payloads, each with how many and when', async () => {
  const cases: [FindingId, MadeCall, RegExp][] = [
    [
      'outbound-messages',
      speaks((i, payload) => (i === 5 ? 'hello' : media(payload))),
      /^1 of \d+ .*at 100 ms: no JSON/,
    ],
    [
      'outbound-messages',
      speaks((i, payload) => (i === 5 ? '{"event":"say"}' : media(payload))),
      /event "say"/,
    ],
    [
      'outbound-base64',
      speaks((i, payload) => media(i > 9 ? media(payload).slice(0, 9) : payload)),
      /of \d+ messages, the first at 200/,
    ],
    ['outbound-empty', speaks((i, payload) => media(i === 3 ? '' : payload)), /^1 of/],
    [
      'outbound-short',
      speaks((_, payload) => [media(payload.subarray(0, 80)), media(payload.subarray(80))]),
      /shortest 10.0 ms/,
    ],
    [
      'outbound-long',
      speaks((i, payload) => media(i === 9 ? new Uint8Array(300_000).fill(0xff) : payload)),
      /^1 of/,
    ],
    [
      'outbound-odd-length',
      speaks((_, payload) => media(payload.subarray(0, 639)), 'L16'),
      /odd length of 639/,
    ],
    [
      'outbound-payloads',
      speaks((i, payload) => media(i % 99 ? payload : Uint8Array.of(0xff, 0xff)), 'OPUS'),
      /not an Opus packet/,
    ],
  ];
  for (const [id, made, evidence] of cases) {
    const { finding, diagnosis } = await found(id, made);
    assert.match(finding.evidence, evidence);
    assert.equal(diagnosis.healthy, false);
  }
});

test("the server: Telnyx's errors are reported with their code", async () => {
  const { finding } = await found(
    'telnyx-error',
    speaks(() => media('####')),
  );
  assert.match(finding.what, /100004, invalid_media/);
});

test('the server: MP3 and files in place of payloads', async () => {
  const mp3 = Buffer.concat([Buffer.from('ID3\x04'), Buffer.alloc(156)]);
  const { finding } = await found(
    'outbound-container',
    speaks(() => media(mp3)),
  );
  assert.equal(finding.field, 'stream_bidirectional_mode');
  // Frames of 64 kbit/s at 24 kHz, 192 bytes each, cut into messages of 160 bytes.
  const stream = Buffer.alloc(192 * 100, 0x55);
  for (let at = 0; at < stream.length; at += 192) stream.writeUInt32BE(0xfff38400, at);
  const bare = speaks(i => media(stream.subarray((i % 100) * 160, (i % 100) * 160 + 160)));
  assert.match((await found('outbound-container', bare)).finding.what, /MP3/);
  // Two bytes of speech may look like the beginning of a frame.
  const chance = speaks((i, payload) =>
    media(i === 0 ? Buffer.from([0xff, 0xfb, ...payload.subarray(2)]) : payload),
  );
  assert.equal((await findings(record(chance))).healthy, true);
  const wav = (i: number, payload: Uint8Array) =>
    media(i === 0 ? Buffer.concat([Buffer.from('RIFF'), payload]) : payload);
  assert.match((await found('outbound-container', speaks(wav))).finding.what, /a WAV file/);
});

for (const [truth, expected] of [
  ['L16', 'PCMU'],
  ['PCMU', 'PCMA'],
  ['PCMU', 'L16'],
  ['G722', 'PCMU'],
] as const) {
  test(`the server sends ${truth} where Telnyx takes ${expected}`, async () => {
    const own = say(truth).inbound;
    const made = speaks((i, _) => media(own[i % own.length]!), expected);
    const { finding } = await found('outbound-encoding', made);
    assert.equal(finding.field, 'stream_bidirectional_codec');
    assert.match(finding.what, new RegExp(`${expected} .*the server sends ${truth}`));
  });
}

test('the server sends big-endian L16', async () => {
  await found(
    'outbound-byte-order',
    speaks((_, payload) => media(swapped(payload)), 'L16'),
  );
});

test('--outbound-codec: what Telnyx was told, where the server took it for something else', async () => {
  const path = writeCapture(directory.path(), record({ call: say('PCMU') }));
  assert.equal((await diagnose(path)).healthy, true);
  const told = await diagnose(path, { outbound: { encoding: 'PCMA', sampleRate: 8000 } });
  assert.deepEqual(
    told.findings.map(({ id }) => id),
    ['outbound-encoding'],
  );
});

test('the server: all at once, too many messages, gaps, messages that never left, marks that never came back', async () => {
  const burst = await found(
    'outbound-ahead',
    speaks((i, payload) => (i === 0 ? Array(2000).fill(media(payload)) : [])),
  );
  assert.equal(burst.finding.severity, 'warning');
  assert.ok(burst.diagnosis.findings.some(({ id }) => id === 'outbound-message-rate'));
  const slow = speaks((_, payload) => media(payload));
  const stretched = (records: CaptureRecord[]) =>
    records.map(each => (each.from === 'server' ? { ...each, atMs: each.atMs * 1.4 } : each));
  await found('outbound-gaps', slow, stretched);
  await found('outbound-dropped', slow, records =>
    records.map(each => (each.from === 'server' ? { ...each, dropped: true } : each)),
  );
  const made = { ...say('PCMU'), lingerMs: 15_000 };
  const marks: MadeCall = {
    call: made,
    answer: (text, send) =>
      JSON.parse(text).event === 'start' && send('{"event":"mark","mark":{"name":"a"}}'),
  };
  assert.equal((await findings(record(marks))).healthy, true, 'a mark that comes back');
  await found('marks-missing', marks, records =>
    records.filter(each => !(each.from === 'telnyx' && /"mark"/.test(each.text ?? ''))),
  );
});

test('the command: exit 0 and 1, text and JSON', () => {
  const main = join(root, 'dist/src/cli/main.js');
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [main, 'doctor', ...args], { encoding: 'utf8' });
  const good = writeCapture(directory.path(), record({ call: { ...say('PCMU'), timestampUnit: 'ms' } }));
  const healthy = run(good);
  assert.equal(healthy.status, 0, healthy.stderr);
  assert.match(healthy.stdout, /healthy, with notes/);
  const bad = writeCapture(
    directory.path(),
    record({ call: { ...say('PCMA'), encoding: 'PCMU' }, answer: mute }),
  );
  const ill = run(bad, '--json');
  assert.equal(ill.status, 1);
  const { findings: all } = JSON.parse(ill.stdout);
  assert.deepEqual(Object.keys(all[0]).sort(), [
    'confidence',
    'evidence',
    'field',
    'id',
    'remedy',
    'severity',
    'what',
  ]);
  assert.match(
    run(bad).stdout,
    /error +start declares PCMU at 8000 Hz, but the inbound payloads are PCMA\n +evidence: /,
  );
  assert.equal(run(join(root, 'package.json')).status, 2);
});
