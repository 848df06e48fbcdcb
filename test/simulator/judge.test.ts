import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeCall, pcmu } from './harness.js';

type Answer = [code: number, title: string, detail: string] | undefined;

/** What a call answers to one message, sent one second after its start. */
function answer(options: object, text: string | Uint8Array): Answer {
  const { clock, call, events } = makeCall(options);
  call.opened();
  clock.advance(1000);
  if (typeof text === 'string') call.receive(text);
  else call.receiveBinary(text);
  const error = events('error')[0]?.frame;
  if (!error) return undefined;
  assert.deepEqual(Object.keys(error), ['event', 'stream_id', 'payload']);
  return [error.payload.code, error.payload.title, error.payload.detail];
}

const media = (payload: unknown): string => JSON.stringify({ event: 'media', media: { payload } });
const bytes = (payload: Uint8Array): string => media(Buffer.from(payload).toString('base64'));

function refused(
  options: object,
  text: string | Uint8Array,
  code: number,
  title: string,
  detail: RegExp,
): void {
  const given = answer(options, text);
  assert.deepEqual(given?.slice(0, 2), [code, title], `answer to ${String(text).slice(0, 80)}`);
  assert.match(given[2], detail);
}

test('malformed frames draw 100003', () => {
  for (const [text, detail] of [
    ['{"event":"media"', /not JSON/],
    ['null', /JSON object/],
    ['[]', /JSON object/],
    ['{}', /event must be/],
    ['{"event":"stop"}', /not "stop"/],
    ['{"event":1}', /not 1/],
    ['{"event":"media"}', /media must be an object/],
    ['{"event":"media","media":[]}', /media must be an object/],
    [media(1), /media.payload must be a string, not 1/],
    [media(undefined), /media.payload must be a string/],
    ['{"event":"mark"}', /mark must be an object/],
    ['{"event":"mark","mark":{"name":7}}', /mark.name must be a string/],
    [Uint8Array.of(1, 2, 3), /binary, 3 bytes/],
  ] as const) {
    refused({}, text, 100003, 'malformed_frame', detail);
  }
});

test('base64 is taken to the letter of RFC 4648, section 4', () => {
  const good = Buffer.from(pcmu(20)).toString('base64');
  assert.equal(answer({}, media(good)), undefined);
  for (const bad of [
    good.slice(0, -2),
    `${good} `,
    ` ${good}`,
    `${good.slice(0, 76)}\n${good.slice(76)}`,
    good.replace(/..$/, '-_'),
    `${good.slice(0, 100)}====${good.slice(104)}`,
    good.replace(/A==$|.=$|.$/, '!'),
    // The unused bits of the last character must be zero.
    Buffer.alloc(160, 0xff).toString('base64').replace('/w==', '/x=='),
  ]) {
    refused({}, media(bad), 100004, 'invalid_media', /not base64/);
  }
});

test('a media frame holds 20 ms to 30 s', () => {
  refused({}, bytes(new Uint8Array()), 100004, 'invalid_media', /empty/);
  refused(
    {},
    bytes(pcmu(20).subarray(1)),
    100004,
    'invalid_media',
    /20 ms to 30 s.*19.875 ms of PCMU in 159 bytes/,
  );
  assert.equal(answer({}, bytes(pcmu(20))), undefined);
  assert.equal(answer({}, bytes(pcmu(30_000))), undefined);
  refused({}, bytes(new Uint8Array(240_001)), 100004, 'invalid_media', /20 ms to 30 s/);
  const l16 = { outboundEncoding: 'L16', outboundSampleRate: 24000 };
  assert.equal(answer(l16, bytes(new Uint8Array(960))), undefined);
  refused(l16, bytes(new Uint8Array(958)), 100004, 'invalid_media', /20 ms to 30 s/);
  refused(l16, bytes(new Uint8Array(961)), 100004, 'invalid_media', /odd length/);
});

test('an RTP header that was left on is recognised', () => {
  const header = Uint8Array.of(0x80, 0x00, 0x12, 0x34, 0, 0, 0, 160, 1, 2, 3, 4);
  for (const [options, frame] of [
    [{}, 160],
    [{}, 320],
    [{ outboundEncoding: 'G722' }, 160],
    [{ outboundEncoding: 'L16', outboundSampleRate: 16000 }, 640],
  ] as const) {
    const message = bytes(Buffer.concat([header, new Uint8Array(frame)]));
    refused(options, message, 100004, 'invalid_media', /12-byte RTP header/);
  }
  const opus = Buffer.concat([header, Uint8Array.of(0x48), new Uint8Array(60)]);
  refused({ outboundEncoding: 'OPUS' }, bytes(opus), 100004, 'invalid_media', /RTP header/);
  // Audio may begin with the same byte.
  const loud = new Uint8Array(160).fill(0x80);
  assert.equal(answer({}, bytes(loud)), undefined);
  assert.equal(answer({}, bytes(new Uint8Array(172).fill(0x7f))), undefined);
});

test('audio that begins as an RTP header is audio, once audio has come without one', () => {
  const alike = bytes(new Uint8Array(172).fill(0x80));
  const { clock, call, events } = makeCall({});
  call.opened();
  clock.advance(1000);
  for (const message of [bytes(pcmu(20)), alike, alike]) call.receive(message);
  assert.deepEqual(events('error'), []);
  refused({}, alike, 100004, 'invalid_media', /12-byte RTP header/);
});

test('OPUS: one packet a message, whose length its first bytes tell (RFC 6716, section 3)', () => {
  const options = { outboundEncoding: 'OPUS' };
  const packet = (...start: number[]): string =>
    bytes(Buffer.concat([Uint8Array.from(start), new Uint8Array(40)]));
  assert.equal(answer(options, packet(9 << 3)), undefined, 'SILK wideband, 20 ms');
  assert.equal(answer(options, packet((19 << 3) | 1)), undefined, 'CELT, two of 20 ms');
  assert.equal(answer(options, packet((18 << 3) | 2, 10)), undefined, 'CELT, two of 10 ms');
  assert.equal(answer(options, packet((16 << 3) | 3, 8)), undefined, 'CELT, eight of 2.5 ms');
  assert.equal(
    answer(options, packet((16 << 3) | 3, 0x80 | 8, 1, 2, 3, 4, 5, 6, 7)),
    undefined,
    'the same, VBR',
  );
  assert.equal(answer(options, packet((16 << 3) | 3, 0x40 | 8, 32)), undefined, 'the same, padded');
  refused(options, packet(8 << 3), 100004, 'invalid_media', /10 ms of OPUS/);
  refused(options, packet((9 << 3) | 1, 1), 100004, 'invalid_media', /equal size/);
  refused(options, packet((9 << 3) | 2, 200), 100004, 'invalid_media', /beyond the packet/);
  refused(options, packet((9 << 3) | 3, 0), 100004, 'invalid_media', /no frame/);
  refused(options, packet((11 << 3) | 3, 4), 100004, 'invalid_media', /more than 120 ms/);
  refused(options, packet((9 << 3) | 3, 0x40 | 1, 255, 255), 100004, 'invalid_media', /padding/);
  refused(options, bytes(new Uint8Array(1300).fill(9 << 3)), 100004, 'invalid_media', /frame of 1299 bytes/);
});

test('AMR-WB: the table of contents tells the length (RFC 4867, sections 4.3 and 4.4)', () => {
  const efficient = { outboundEncoding: 'AMR-WB' };
  const aligned = { outboundEncoding: 'AMR-WB', amrWbFraming: 'octet-aligned' };
  // CMR 15, no more frames, mode 2 (253 bits), good: 4 + 6 + 253 bits are 33 bytes.
  const one = new Uint8Array(33);
  one.set([0xf1, 0x40]);
  assert.equal(answer(efficient, bytes(one)), undefined);
  refused(efficient, bytes(one.subarray(1)), 100004, 'invalid_media', /AMR-WB/);
  refused(aligned, bytes(one), 100004, 'invalid_media', /AMR-WB/);
  // Two frames: CMR 15 | F=1 FT=2 Q=1 | F=0 FT=2 Q=1; 4 + 12 + 506 bits are 66 bytes.
  const two = new Uint8Array(66);
  two.set([0xf9, 0x45]);
  assert.equal(answer(efficient, bytes(two)), undefined);
  const octets = new Uint8Array(2 + 32);
  octets.set([0xf0, 0x14]);
  assert.equal(answer(aligned, bytes(octets)), undefined);
  refused(efficient, bytes(octets), 100004, 'invalid_media', /bandwidth-efficient/);
  const reserved = new Uint8Array(34);
  reserved.set([0xf0, 0x54]);
  refused(aligned, bytes(reserved), 100004, 'invalid_media', /type 10 is reserved/);
});

test('MP3 mode: one file a second is taken, and raw audio is refused', () => {
  // MPEG 1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes and 26.1 ms a frame.
  const file = Buffer.alloc(417 * 4);
  for (let i = 0; i < 4; i++) file.set([0xff, 0xfb, 0x90, 0x00], i * 417);
  const { clock, call, events, mark } = makeCall({ mode: 'mp3' });
  call.opened();
  call.receive(bytes(file));
  mark('played');
  clock.advance(500);
  assert.ok(Math.abs(events('mark')[0]!.atMs - (4 * 1152) / 44.1) < 1e-6);
  call.receive(bytes(file));
  assert.equal(events('error')[0]!.frame.payload.code, 100005);
  assert.equal(events('error')[0]!.frame.payload.title, 'rate_limit_reached');
  clock.advance(500);
  call.receive(bytes(file));
  assert.equal(events('error').length, 1);
  refused({ mode: 'mp3' }, bytes(pcmu(100)), 100004, 'invalid_media', /stream_bidirectional_mode=rtp/);
});

test('very many small messages draw 100005 and are not played; a burst passes', () => {
  const { clock, call, events, play } = makeCall();
  call.opened();
  for (let i = 0; i < 300; i++) play(pcmu(20));
  assert.equal(events('error').length, 0);
  play(pcmu(20));
  assert.equal(events('error')[0]!.frame.payload.code, 100005);
  clock.advance(1000);
  for (let i = 0; i < 101; i++) play(pcmu(20));
  assert.equal(events('error').length, 2);
  clock.advance(60_000);
  assert.equal(call.result().heardMs, 400 * 20);
  assert.equal(call.result().errorsSent, 2);
});

test('a queue longer than queueMsMax draws 100005', () => {
  const { call, events, play } = makeCall({ queueMsMax: 60_000 });
  call.opened();
  play(pcmu(30_000));
  play(pcmu(30_000));
  play(pcmu(20));
  assert.match(events('error')[0]!.frame.payload.detail, /60000 ms/);
});

test('audio before start draws 100002', () => {
  const { clock, call, events, play } = makeCall({ startDelayMs: 100 });
  call.opened();
  play(pcmu(20));
  clock.advance(200);
  assert.deepEqual(events('error')[0]!.frame.payload.code, 100002);
  assert.equal(call.result().heardMs, 0);
});

test('keys that the specification does not know are a warning, or an error if asked for', () => {
  const text = JSON.stringify({
    event: 'media',
    stream_id: 'x',
    media: { payload: Buffer.from(pcmu(20)).toString('base64') },
  });
  const { clock, call, events } = makeCall();
  call.opened();
  call.receive(text);
  call.receive(text);
  clock.advance(100);
  assert.equal(events('error').length, 0);
  assert.deepEqual(call.result().warnings, [
    'the frame has the key "stream_id", which the specification does not know',
  ]);
  refused({ extraKeys: 'refuse' }, text, 100003, 'malformed_frame', /"stream_id"/);
});
