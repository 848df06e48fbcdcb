import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ENCODINGS } from '../../src/formats.js';
import { CLEAR_TEXT, MARK_NAME_MAX, markText } from '../../src/telnyx/commands.js';
import type { TelnyxFrame } from '../../src/telnyx/frames.js';
import { type ParsedFrame, parseFrame, STREAM_RATES } from '../../src/telnyx/validate.js';
import { propertyRuns } from '../helpers/runs.js';

const numRuns = propertyRuns(2000);

type Json = Record<string, unknown>;

const STREAM_ID = '32DE0DEA-53CB-4B21-89A4-9E1819C043BC';
const USER_ID = '3E6F995F-85F7-4705-9741-53B116D28237';
const CALL = 'v2:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ';

/** The specification's own examples. */
const EXAMPLES: TelnyxFrame[] = [
  { event: 'connected', version: '1.0.0' },
  {
    event: 'start',
    sequence_number: '1',
    stream_id: STREAM_ID,
    start: {
      user_id: USER_ID,
      call_control_id: CALL,
      call_session_id: 'ff55a038-6f5d-11ef-9692-02420aeffb1f',
      from: '+13122010094',
      to: '+13122123456',
      tags: ['TAG1', 'TAG2'],
      client_state: 'aGF2ZSBhIG5pY2UgZGF5ID1d',
      custom_parameters: { customer_id: 'customer_123' },
      media_format: { encoding: 'PCMU', sample_rate: 8000, channels: 1 },
    },
  },
  {
    event: 'media',
    sequence_number: '4',
    stream_id: STREAM_ID,
    media: { track: 'inbound', chunk: '2', timestamp: '5', payload: 'no+JhoaJjpzSHxAKBgYJDhtE' },
  },
  {
    event: 'stop',
    sequence_number: '5',
    stream_id: STREAM_ID,
    stop: { user_id: USER_ID, call_control_id: CALL },
  },
  { event: 'mark', sequence_number: '5', stream_id: STREAM_ID, mark: { name: 'some_mark_name' } },
  {
    event: 'dtmf',
    stream_id: STREAM_ID,
    occurred_at: '2025-06-05T08:54:19.698408Z',
    sequence_number: '5',
    dtmf: { digit: '1' },
  },
  {
    event: 'error',
    stream_id: STREAM_ID,
    payload: { code: 100004, title: 'invalid_media', detail: 'Media provided was not base64 encoded' },
  },
];

/** Own keys, recursively, without the null prototype of `custom_parameters`. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

function refusal(parsed: ParsedFrame): { reason: string; detail: string } {
  assert.equal(parsed.kind, 'refused', JSON.stringify(parsed));
  return parsed as ParsedFrame & { kind: 'refused' };
}

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const text = fc.string({ unit: 'binary', maxLength: 40 });
const counter = fc.oneof(
  fc.maxSafeNat().map(String),
  fc.nat(999).map(n => String(n).padStart(16, '0')),
  fc.constant('9007199254740991'),
);
const streamId = fc.oneof(fc.uuid(), fc.string({ minLength: 1, maxLength: 128 }));

const validFrame: fc.Arbitrary<Json> = fc.oneof(
  fc.record({
    event: fc.constant('connected'),
    version: text,
    connected: optional(fc.record({ 'x-telnyx-streaming-auth-token': optional(text) })),
  }),
  fc.record({
    event: fc.constant('start'),
    sequence_number: counter,
    stream_id: streamId,
    start: fc.record({
      user_id: text,
      call_control_id: text,
      call_session_id: optional(text),
      from: optional(text),
      to: optional(text),
      tags: optional(fc.array(text)),
      client_state: optional(text),
      custom_parameters: optional(fc.dictionary(text, text)),
      media_format: fc.record({
        encoding: fc.constantFrom(...ENCODINGS),
        sample_rate: fc.constantFrom(...STREAM_RATES),
        channels: fc.constant(1),
      }),
    }),
  }),
  fc.record({
    event: fc.constant('media'),
    sequence_number: counter,
    stream_id: streamId,
    media: fc.record({
      track: fc.constantFrom('inbound', 'outbound'),
      chunk: counter,
      timestamp: counter,
      payload: text,
    }),
  }),
  fc.record({
    event: fc.constant('dtmf'),
    sequence_number: counter,
    stream_id: streamId,
    occurred_at: optional(text),
    dtmf: fc.record({ digit: fc.constantFrom(...'0123456789*#ABCD') }),
  }),
  fc.record({
    event: fc.constant('mark'),
    sequence_number: counter,
    stream_id: streamId,
    mark: fc.record({ name: text }),
  }),
  fc.record({
    event: fc.constant('stop'),
    sequence_number: counter,
    stream_id: streamId,
    stop: fc.record({ user_id: text, call_control_id: text }),
  }),
  fc.record({
    event: fc.constant('error'),
    stream_id: streamId,
    payload: fc.record({ code: fc.maxSafeInteger(), title: text, detail: text }),
  }),
);

/** Every required field and what a wrong value for it is, by event. The specification's schema, read independently. */
const NOT_TEXT: unknown[] = [0, 12, true, null, [], {}, ['x']];
const NOT_OBJECT: unknown[] = [0, 'x', false, null, []];
const BAD_COUNTER: unknown[] = [
  ...NOT_TEXT.filter(value => typeof value !== 'number'),
  -1,
  0.5,
  1e300,
  2 ** 53,
  '',
  '-1',
  '1.0',
  '1e3',
  '0x1',
  ' 1',
  '1 ',
  '٣',
  '9007199254740992',
  '12345678901234567',
  'NaN',
  'Infinity',
];
const BAD_NUMBER: unknown[] = ['8000', null, true, [8000], {}, -8000, 0, 8000.5, 2];
const BAD_STREAM: unknown[] = [...NOT_TEXT, '', 'x'.repeat(129)];
const REQUIRED: Record<string, Record<string, unknown[]>> = {
  connected: { version: NOT_TEXT },
  start: {
    sequence_number: BAD_COUNTER,
    stream_id: BAD_STREAM,
    start: NOT_OBJECT,
    'start.user_id': NOT_TEXT,
    'start.call_control_id': NOT_TEXT,
    'start.media_format': NOT_OBJECT,
    'start.media_format.encoding': [...NOT_TEXT, 'pcmu', 'PCMU ', 'MP3', '', 'constructor'],
    'start.media_format.sample_rate': [...BAD_NUMBER, 11025, 44100],
    'start.media_format.channels': [...BAD_NUMBER, 1.5],
  },
  media: {
    sequence_number: BAD_COUNTER,
    stream_id: BAD_STREAM,
    media: NOT_OBJECT,
    'media.track': [...NOT_TEXT, 'Inbound', 'both', ''],
    'media.chunk': BAD_COUNTER,
    'media.timestamp': BAD_COUNTER,
    'media.payload': NOT_TEXT,
  },
  dtmf: {
    sequence_number: BAD_COUNTER,
    stream_id: BAD_STREAM,
    dtmf: NOT_OBJECT,
    'dtmf.digit': [...NOT_TEXT, '', '11', 'E', 'a', '1\n'],
  },
  mark: { sequence_number: BAD_COUNTER, stream_id: BAD_STREAM, mark: NOT_OBJECT, 'mark.name': NOT_TEXT },
  stop: {
    sequence_number: BAD_COUNTER,
    stream_id: BAD_STREAM,
    stop: NOT_OBJECT,
    'stop.user_id': NOT_TEXT,
    'stop.call_control_id': NOT_TEXT,
  },
  error: {
    stream_id: BAD_STREAM,
    payload: NOT_OBJECT,
    'payload.code': ['100004', null, true, [1], {}, 1.5, 2 ** 53],
    'payload.title': NOT_TEXT,
    'payload.detail': NOT_TEXT,
  },
};
const OPTIONAL: Record<string, Record<string, unknown[]>> = {
  connected: { connected: [0, 'x', [], true], 'connected.x-telnyx-streaming-auth-token': [1, {}, [], false] },
  start: {
    'start.call_session_id': [1, {}, [], false],
    'start.from': [1, {}, [], false],
    'start.to': [13122010094, {}, []],
    'start.tags': ['x', {}, 1, [1], ['a', null], [['a']]],
    'start.client_state': [1, {}, []],
    'start.custom_parameters': ['x', 1, [], [['a', 'b']]],
  },
  dtmf: { occurred_at: [1, {}, []] },
};

function withField(frame: Json, path: string, value: unknown): Json {
  const copy = structuredClone(frame);
  const keys = path.split('.');
  let at = copy;
  for (const key of keys.slice(0, -1)) {
    at[key] ??= {};
    at = at[key] as Json;
  }
  const last = keys.at(-1) as string;
  if (value === undefined) delete at[last];
  else at[last] = value;
  return copy;
}

const example = (event: string): Json => EXAMPLES.find(frame => frame.event === event) as unknown as Json;

describe('parseFrame: what is accepted', () => {
  for (const frame of EXAMPLES) {
    it(`the specification's ${frame.event} example`, () => {
      const parsed = parseFrame(JSON.stringify(frame, null, 2));
      assert.deepEqual(plain(parsed), { kind: 'frame', frame });
    });
  }

  it('every valid frame, whatever extra keys stand in it', () => {
    fc.assert(
      fc.property(
        validFrame,
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.boolean(),
        (frame, extra, first) => {
          const wanted = plain(frame) as Json;
          const known = new Set(Object.keys(wanted).concat('connected', 'occurred_at'));
          const more: [string, unknown][] = Object.entries(extra).filter(([key]) => !known.has(key));
          const entries = first ? more.concat(Object.entries(wanted)) : Object.entries(wanted).concat(more);
          const parsed = parseFrame(JSON.stringify(Object.fromEntries(entries)));
          const unknownKeys = more.filter(([, value]) => value !== null).length;
          const counted = unknownKeys > 0 ? { unknownKeys } : {};
          assert.deepEqual(plain(parsed), { kind: 'frame', frame: wanted, ...counted });
        },
      ),
      { numRuns },
    );
  });

  it('unknown keys inside the parts of a frame', () => {
    let frame = example('start');
    for (const path of ['start.new', 'start.media_format.ptime']) frame = withField(frame, path, { x: [1] });
    const parsed = plain(parseFrame(JSON.stringify(frame)));
    assert.deepEqual(parsed, { kind: 'frame', frame: example('start'), unknownKeys: 2 });
  });

  it('scalars in custom_parameters, as strings', () => {
    const parameters = { number: 12.5, yes: true, no: false, none: null, text: '7' };
    const parsed = parseFrame(
      JSON.stringify(withField(example('start'), 'start.custom_parameters', parameters)),
    );
    assert.equal(parsed.kind, 'frame');
    const frame = (parsed as { frame: TelnyxFrame }).frame;
    assert.deepEqual(plain(frame.event === 'start' && frame.start.custom_parameters), {
      number: '12.5',
      yes: 'true',
      no: 'false',
      none: 'null',
      text: '7',
    });
  });

  it('null for an optional field, as absence', () => {
    for (const [event, fields] of Object.entries(OPTIONAL)) {
      for (const path of Object.keys(fields)) {
        const parsed = parseFrame(JSON.stringify(withField(example(event), path, null)));
        assert.equal(parsed.kind, 'frame', `${path}: ${JSON.stringify(parsed)}`);
        const keys = path.split('.');
        let at: unknown = (parsed as { frame: TelnyxFrame }).frame;
        for (const key of keys) at = (at as Json)[key];
        assert.equal(at, undefined);
      }
    }
  });

  it('error codes that the specification does not list', () => {
    const parsed = parseFrame(JSON.stringify(withField(example('error'), 'payload.code', 100099)));
    assert.equal(parsed.kind, 'frame');
  });
});

describe('parseFrame: what is refused', () => {
  for (const [event, fields] of Object.entries(REQUIRED)) {
    it(`a ${event} frame with a required field absent or wrong, naming the field`, () => {
      for (const [path, values] of Object.entries(fields)) {
        const absent = refusal(parseFrame(JSON.stringify(withField(example(event), path, undefined))));
        assert.equal(absent.reason, 'missing_field', path);
        assert.ok(absent.detail.startsWith(`${path} is absent`), absent.detail);
        for (const value of values) {
          const wrong = refusal(parseFrame(JSON.stringify(withField(example(event), path, value))));
          assert.ok(
            wrong.detail.startsWith(`${path} is `),
            `${path} = ${JSON.stringify(value)}: ${wrong.detail}`,
          );
          assert.match(wrong.reason, /^(wrong_type|bad_value)$/);
          assert.match(wrong.detail, /expected/);
        }
      }
    });
  }

  it('an optional field of the wrong type, naming the field', () => {
    for (const [event, fields] of Object.entries(OPTIONAL)) {
      for (const [path, values] of Object.entries(fields)) {
        for (const value of values) {
          const wrong = refusal(parseFrame(JSON.stringify(withField(example(event), path, value))));
          assert.equal(wrong.reason, 'wrong_type', `${path} = ${JSON.stringify(value)}`);
          assert.ok(wrong.detail.startsWith(path), wrong.detail);
        }
      }
    }
  });

  it('objects and arrays in custom_parameters', () => {
    for (const value of [{}, [], ['x']]) {
      const frame = withField(example('start'), 'start.custom_parameters', { key: value });
      assert.match(
        refusal(parseFrame(JSON.stringify(frame))).detail,
        /^start\.custom_parameters\["key"\] is an? /,
      );
    }
  });

  it('numbers that JSON cannot hold', () => {
    const start = JSON.stringify(example('start'));
    for (const number of ['1e400', '-0', '8000.0000001']) {
      assert.equal(parseFrame(start.replace('8000', number)).kind, 'refused', number);
    }
    for (const word of ['NaN', 'Infinity', '0x1f40', '08000', '+8000', '.8e4']) {
      assert.equal(refusal(parseFrame(start.replace('8000', word))).reason, 'bad_json', word);
    }
  });

  it('text that is not JSON, or no object, or has no event', () => {
    for (const text of [
      '',
      ' ',
      '{',
      '{"event":"start"',
      "{'event':'stop'}",
      '\u0000',
      '\uFEFF{}',
      'undefined',
    ]) {
      assert.equal(refusal(parseFrame(text)).reason, 'bad_json', JSON.stringify(text));
    }
    for (const text of ['null', '1', '"x"', '[]', '[{"event":"stop"}]', 'true']) {
      assert.equal(refusal(parseFrame(text)).reason, 'not_an_object', text);
    }
    assert.equal(refusal(parseFrame('{}')).reason, 'missing_field');
    for (const event of ['1', 'null', '["media"]', '{"x":1}']) {
      assert.equal(refusal(parseFrame(`{"event":${event}}`)).reason, 'wrong_type');
    }
  });

  it('a truncated frame, wherever it was cut', () => {
    for (const frame of EXAMPLES) {
      const whole = JSON.stringify(frame);
      for (let length = 0; length < whole.length; length++) {
        assert.equal(refusal(parseFrame(whole.slice(0, length))).reason, 'bad_json');
      }
    }
  });

  it('with a shortened value, never a token, a number or client_state', () => {
    const long = refusal(
      parseFrame(JSON.stringify(withField(example('dtmf'), 'dtmf.digit', '9'.repeat(5000)))),
    );
    assert.ok(long.detail.length < 200, long.detail);
    const secret = 'hunter2';
    for (const [event, path] of [
      ['connected', 'connected.x-telnyx-streaming-auth-token'],
      ['start', 'start.client_state'],
      ['start', 'start.from'],
      ['start', 'start.to'],
    ] as const) {
      for (const value of [[secret], { secret }]) {
        assert.ok(
          !refusal(parseFrame(JSON.stringify(withField(example(event), path, value)))).detail.includes(
            secret,
          ),
        );
      }
      const number = refusal(parseFrame(JSON.stringify(withField(example(event), path, 13122010094))));
      assert.ok(!number.detail.includes('1312'), number.detail);
    }
    assert.ok(!refusal(parseFrame(`{"x-telnyx-streaming-auth-token":"${secret}"`)).detail.includes(secret));
  });
});

describe('parseFrame: hostile text', () => {
  it('an unknown event has a kind of its own, and its name is cut', () => {
    assert.deepEqual(parseFrame('{"event":"pause"}'), { kind: 'unknown', event: 'pause' });
    assert.deepEqual(parseFrame('{"event":"constructor"}'), { kind: 'unknown', event: 'constructor' });
    assert.deepEqual(parseFrame('{"event":"__proto__"}'), { kind: 'unknown', event: '__proto__' });
    assert.deepEqual(parseFrame('{"event":""}'), { kind: 'unknown', event: '' });
    const long = parseFrame(JSON.stringify({ event: 'x'.repeat(10_000) }));
    assert.deepEqual(long, { kind: 'unknown', event: 'x'.repeat(64) });
  });

  it('nesting 10,000 and 200,000 deep', () => {
    for (const depth of [10_000, 200_000]) {
      for (const [open, close] of [
        ['[', ']'],
        ['{"a":', '}'],
      ] as const) {
        const nest = `${open.repeat(depth)}1${close.repeat(depth)}`;
        const stop = JSON.stringify(example('stop'));
        assert.equal(parseFrame(`${stop.slice(0, -1)},"extra":${nest}}`).kind, 'frame');
        assert.equal(parseFrame(stop.replace('"5"', nest)).kind, 'refused');
        assert.equal(refusal(parseFrame(open.repeat(depth))).reason, 'bad_json');
      }
    }
  });

  it('__proto__ keys pollute nothing and stay keys', () => {
    const start = JSON.stringify(example('start'));
    const text = start
      .replace('"customer_id":"customer_123"', '"__proto__":"p","constructor":"c","toString":"t"')
      .replace('{"event"', '{"__proto__":{"polluted":true,"version":"9"},"event"');
    const parsed = parseFrame(text);
    assert.equal(parsed.kind, 'frame', JSON.stringify(parsed));
    const frame = (parsed as { frame: TelnyxFrame }).frame;
    assert.equal(frame.event, 'start');
    const parameters = frame.event === 'start' ? frame.start.custom_parameters! : {};
    assert.deepEqual(Object.entries(parameters), [
      ['__proto__', 'p'],
      ['constructor', 'c'],
      ['toString', 't'],
    ]);
    assert.equal(({} as Json).polluted, undefined);
    assert.equal((frame as unknown as Json).polluted, undefined);
    // A required field is not found in what a __proto__ key holds.
    assert.equal(
      refusal(parseFrame('{"__proto__":{"version":"1.0.0"},"event":"connected"}')).reason,
      'missing_field',
    );
    assert.equal(
      refusal(parseFrame('{"__proto__":{"event":"connected"},"version":"1"}')).reason,
      'missing_field',
    );
  });

  it('of duplicate keys the last one counts', () => {
    const stop = JSON.stringify(example('stop'));
    const twice = stop.replace('"sequence_number":"5"', '"sequence_number":"5","sequence_number":"6"');
    const parsed = parseFrame(twice);
    assert.equal(
      parsed.kind === 'frame' && 'sequence_number' in parsed.frame && parsed.frame.sequence_number,
      '6',
    );
    const bad = stop.replace('"sequence_number":"5"', '"sequence_number":"5","sequence_number":[]');
    assert.equal(parseFrame(bad).kind, 'refused');
    const good = stop.replace('"sequence_number":"5"', '"sequence_number":[],"sequence_number":"5"');
    assert.equal(parseFrame(good).kind, 'frame');
  });

  it('counters may be JSON numbers: the frame is that of the strings', () => {
    for (const event of ['media', 'start', 'dtmf', 'mark', 'stop']) {
      const text = JSON.stringify(example(event));
      const bare = text.replace(/"(sequence_number|chunk|timestamp)":"(\d+)"/g, '"$1":$2');
      assert.notEqual(bare, text);
      assert.deepEqual(plain(parseFrame(bare)), plain(parseFrame(text)));
    }
    const media = JSON.stringify(example('media'));
    const withChunk = (json: string): string => media.replace(/"chunk":"\d+"/, `"chunk":${json}`);
    for (const [json, chunk] of [
      ['9007199254740991', '9007199254740991'],
      ['-0', '0'],
      ['1e3', '1000'],
      ['2.0', '2'],
    ] as const) {
      const parsed = parseFrame(withChunk(json));
      assert.equal(
        parsed.kind === 'frame' && parsed.frame.event === 'media' && parsed.frame.media.chunk,
        chunk,
      );
    }
    for (const json of ['1.5', '-1', '9007199254740992', '1e16', '1e400']) {
      const { reason, detail } = refusal(parseFrame(withChunk(json)));
      assert.equal(reason, 'bad_value', json);
      assert.match(detail, /^media\.chunk is .*: expected a whole number from 0 to 2\^53 - 1$/, json);
    }
  });

  it('never throws, whatever the text', () => {
    const mutated = fc
      .tuple(
        fc.constantFrom(...EXAMPLES),
        fc.nat(400),
        fc.nat(3),
        fc.string({ unit: 'binary', maxLength: 4 }),
      )
      .map(([frame, at, cut, put]) => {
        const whole = JSON.stringify(frame);
        return whole.slice(0, at) + put + whole.slice(at + cut);
      });
    const anyJson = fc.jsonValue().map(value => JSON.stringify(value));
    const anyBody = fc
      .tuple(
        fc.constantFrom(...Object.keys(REQUIRED)),
        fc.dictionary(
          fc.constantFrom(
            'start',
            'media',
            'dtmf',
            'mark',
            'stop',
            'payload',
            'connected',
            'stream_id',
            'sequence_number',
            'version',
          ),
          fc.jsonValue(),
        ),
      )
      .map(([event, body]) => JSON.stringify({ event, ...body }));
    fc.assert(
      fc.property(fc.oneof(mutated, anyJson, anyBody, fc.string({ unit: 'binary' })), text => {
        const parsed = parseFrame(text);
        if (parsed.kind === 'refused') assert.ok(parsed.detail.length < 400, parsed.detail);
        // What was accepted once is accepted again, unchanged.
        if (parsed.kind === 'frame') {
          const { kind, frame } = parsed;
          assert.deepEqual(plain(parseFrame(JSON.stringify(frame))), plain({ kind, frame }));
        }
      }),
      { numRuns },
    );
  });
});

describe('commands', () => {
  it('mark carries any name through JSON', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: MARK_NAME_MAX / 2 }), name => {
        assert.deepEqual(JSON.parse(markText(name)), { event: 'mark', mark: { name } });
      }),
      { numRuns },
    );
  });

  it('mark refuses a wrong name', () => {
    for (const name of ['', 'x'.repeat(MARK_NAME_MAX + 1), 7, null, undefined, {}]) {
      assert.throws(() => markText(name as string), { code: 'SIDETONE_BAD_ARGUMENT', message: /mark name/ });
    }
  });

  it('clear is the specification example', () => {
    assert.deepEqual(JSON.parse(CLEAR_TEXT), { event: 'clear' });
  });
});
