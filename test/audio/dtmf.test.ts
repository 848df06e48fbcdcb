/** Keys as tones: made here, found by the engine, told to the handler once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createDecoder,
  createEncoder,
  definePlugin,
  dtmfTones,
  ENCODINGS,
  SAMPLE_RATES,
} from '../../src/index.js';
import { native } from '../../src/native/addon.js';
import { KeyReports } from '../../src/stream/keys.js';
import { testCall } from '../../src/testing/index.js';

const ALL = '0123456789*#ABCD';

function keysIn(pcm: Int16Array, sampleRate: number): string {
  const { events } = new native.Listener(sampleRate, { keys: true }).hear(pcm, sampleRate / 50);
  return events.map(event => (event.kind === 'key' ? event.key : '?')).join('');
}

test('what is made is found: every rate, every codec, the shortest keys too', () => {
  for (const sampleRate of SAMPLE_RATES) {
    assert.equal(keysIn(dtmfTones(ALL, { sampleRate }), sampleRate), ALL, `${sampleRate} Hz`);
    const shortest = dtmfTones(ALL, { sampleRate, toneMs: 50, pauseMs: 50, levelDb: -20 });
    assert.equal(keysIn(shortest, sampleRate), ALL, `${sampleRate} Hz, 50 ms`);
  }
  for (const encoding of ENCODINGS) {
    const encoder = createEncoder(encoding);
    const decoder = createDecoder(encoding);
    const { sampleRate, frameSamples } = encoder;
    const pcm = dtmfTones(ALL, { sampleRate });
    const listener = new native.Listener(decoder.sampleRate, { keys: true });
    let keys = '';
    for (let at = 0; at + frameSamples <= pcm.length; at += frameSamples) {
      const decoded = decoder.decode(encoder.encode(pcm.slice(at, at + frameSamples)));
      for (const event of listener.hear(decoded, decoded.length).events)
        keys += event.kind === 'key' ? event.key : '';
    }
    assert.equal(keys, ALL, encoding);
  }
});

test('lengths, waits and the level are as asked for', () => {
  const pcm = dtmfTones('1w2W3', { sampleRate: 16000, toneMs: 80, pauseMs: 60, levelDb: -12 });
  assert.equal(pcm.length, (3 * 140 + 1500) * 16);
  const peak = pcm.reduce((max, sample) => Math.max(max, Math.abs(sample)), 0);
  assert.ok(peak <= 32767 * 10 ** (-12 / 20) + 1 && peak > 32767 * 10 ** (-13 / 20), `peak ${peak}`);
  assert.ok(pcm.subarray(80 * 16, 140 * 16).every(sample => sample === 0));
  assert.deepEqual(dtmfTones('abcd'), dtmfTones('ABCD'));
});

test('wrong arguments are named', () => {
  const refused = (message: RegExp, call: () => unknown): void =>
    assert.throws(call, { code: 'SIDETONE_BAD_ARGUMENT', message });
  refused(/^dtmfTones digits: "12x": give 1 to 500/, () => dtmfTones('12x'));
  refused(/^dtmfTones digits: /, () => dtmfTones(''));
  refused(/^dtmfTones digits: 5: /, () => dtmfTones(5 as never));
  refused(/^dtmfTones sampleRate: 44000: use one of/, () => dtmfTones('1', { sampleRate: 44000 }));
  refused(/^dtmfTones toneMs: 20: give 40 to 10000 ms/, () => dtmfTones('1', { toneMs: 20 }));
  refused(/^dtmfTones levelDb: 3: give -40 to 0 dBFS/, () => dtmfTones('1', { levelDb: 3 }));
});

for (const hasAudio of [true, false]) {
  test(`in-band keys reach onDtmf${hasAudio ? '' : ' of a handler without onAudio'}; by default they do not`, async () => {
    const run = async (dtmf: 'events' | 'inband'): Promise<string> => {
      let told = '';
      const plugin = definePlugin({
        name: 'keys',
        audio: { dtmf },
        onStart: () => ({
          ...(hasAudio && { onAudio() {} }),
          onDtmf: (digit: string, at: Date) => {
            assert.ok(at instanceof Date);
            told += digit;
          },
        }),
      });
      const call = await testCall(plugin);
      await call.advance(call.say({ samples: dtmfTones('4711#'), sampleRate: 8000 }) + 100);
      call.dtmf('9');
      await call.advance(100);
      await call.hangup();
      return told;
    };
    assert.equal(await run('inband'), '4711#9');
    assert.equal(await run('events'), '9');
  });
}

test('a key that comes both ways is told once, whichever comes first', async () => {
  let told = '';
  const plugin = definePlugin({
    name: 'both',
    audio: { dtmf: 'inband' },
    onStart: () => ({
      onDtmf: digit => {
        told += digit;
      },
    }),
  });
  const call = await testCall(plugin);
  // "5" twice, told by Telnyx behind the tones; then "6", told before its tone.
  await call.advance(call.say({ samples: dtmfTones('55'), sampleRate: 8000 }) + 100);
  call.dtmf('55');
  await call.advance(100);
  call.dtmf('6');
  await call.advance(call.say({ samples: dtmfTones('6'), sampleRate: 8000 }) + 100);
  assert.equal(told, '556');
  // Later it is another press.
  await call.advance(3000);
  call.dtmf('6');
  await call.advance(100);
  assert.equal(told, '5566');
  await call.hangup();
});

test('reports that find no twin are forgotten', () => {
  const reports = new KeyReports();
  assert.equal(reports.isNew('1', 'tone', 0), true);
  assert.equal(reports.isNew('1', 'event', 2001), true);
  assert.equal(reports.isNew('1', 'tone', 2002), false);
  for (let i = 0; i < 40; i++) assert.equal(reports.isNew('2', 'tone', 3000), true);
  let twins = 0;
  for (let i = 0; i < 40; i++) if (!reports.isNew('2', 'event', 3001)) twins++;
  assert.equal(twins, 32);
});
