import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { FIELDS } from '../../src/telnyx/check/fields.js';
import {
  checkRequest,
  describeFinding,
  hasErrors,
  MISTAKES,
  type MistakeCode,
  type RequestKind,
} from '../../src/telnyx/check.js';
import { root } from '../helpers/paths.js';
import { type RestDouble, startRestDouble } from '../helpers/rest-double.js';
import { propertyRuns } from '../helpers/runs.js';

const URL = 'wss://voice.example.com/media';
/** Requests about which nothing is to be said. */
const good = {
  streaming_start: {
    stream_url: URL,
    stream_track: 'both_tracks',
    stream_codec: 'G722',
    stream_bidirectional_mode: 'rtp',
    stream_bidirectional_codec: 'L16',
    stream_bidirectional_sampling_rate: 16000,
    stream_bidirectional_target_legs: 'self',
    stream_auth_token: 'correct-horse-battery-staple',
    custom_parameters: [{ name: 'customer', value: '12' }],
    enable_dialogflow: false,
    client_state: 'aGF2ZSBhIG5pY2UgZGF5ID1d',
    command_id: '891510ac-f3e4-11e8-af5b-de00688a4901',
  },
  answer: {
    stream_url: URL,
    stream_bidirectional_mode: 'rtp',
    stream_bidirectional_codec: 'PCMU',
    stream_bidirectional_target_legs: 'both',
    webhook_url: 'https://voice.example.com/telnyx/webhooks',
  },
  dial: {
    connection_id: '7267',
    from: '+13122010094',
    to: ['+13122123456'],
    stream_url: URL,
    stream_bidirectional_mode: 'rtp',
    stream_bidirectional_target_legs: 'self',
    timeout_secs: 30,
  },
} as const;
const stream = (attributes: string, inner = ''): string =>
  `<Response><Connect><Stream ${attributes}>${inner}</Stream></Connect></Response>`;
const goodStream = `url="${URL}?a=1&amp;b=2" track="both_tracks" bidirectionalMode="rtp" bidirectionalCodec="PCMA"`;

type Case = [kind: RequestKind, request: unknown, field: string];
const start = (change: object): unknown => ({ ...good.streaming_start, ...change });
const without = (kind: keyof typeof good, ...fields: string[]): Record<string, unknown> =>
  Object.fromEntries(Object.entries(good[kind]).filter(([field]) => !fields.includes(field)));

const CASES: Record<MistakeCode, Case[]> = {
  bad_json: [
    ['streaming_start', '{ "stream_url": “wss://x.example” }', 'document'],
    ['answer', '{"stream_url":"wss://x.example",}', 'document'],
  ],
  not_an_object: [
    ['streaming_start', [good.streaming_start], 'document'],
    ['dial', '"{}"', 'document'],
    ['answer', null, 'document'],
  ],
  unknown_field: [
    ['streaming_start', start({ streamUrl: URL }), 'streamUrl'],
    [
      'streaming_start',
      start({ stream_bidirectional_sample_rate: 16000 }),
      'stream_bidirectional_sample_rate',
    ],
    ['streaming_start', start({ constructor: 'x' }), 'constructor'],
    [
      'streaming_start',
      start({ enable_dialogflow: true, dialogflow_config: { sentiment: true } }),
      'dialogflow_config.sentiment',
    ],
    ['texml', stream(`${goodStream} streamUrl="x"`), 'Stream.streamUrl'],
    ['texml', stream(`${goodStream} bidirectionalmode="rtp"`), 'Stream.bidirectionalmode'],
    ['texml', stream(goodStream, '<Parameter name="a" value="b" type="c"/>'), 'Parameter.type'],
  ],
  wrong_command: [
    ['answer', { ...good.answer, custom_parameters: [] }, 'custom_parameters'],
    [
      'answer',
      { ...good.answer, stream_bidirectional_sampling_rate: 16000 },
      'stream_bidirectional_sampling_rate',
    ],
    ['dial', { ...good.dial, custom_parameters: [] }, 'custom_parameters'],
    ['streaming_start', start({ to: '+13122123456' }), 'to'],
  ],
  missing_field: [
    ['dial', without('dial', 'to'), 'to'],
    ['dial', without('dial', 'from'), 'from'],
    ['dial', without('dial', 'connection_id'), 'connection_id'],
  ],
  missing_stream_url: [
    ['streaming_start', {}, 'stream_url'],
    ['streaming_start', without('streaming_start', 'stream_url'), 'stream_url'],
    ['streaming_start', start({ stream_url: '' }), 'stream_url'],
    ['answer', without('answer', 'stream_url'), 'stream_url'],
    ['dial', without('dial', 'stream_url'), 'stream_url'],
    ['texml', stream('track="both_tracks" bidirectionalMode="rtp"'), 'Stream.url'],
  ],
  url_scheme: [
    ...[
      'https://voice.example.com/media',
      'http://voice.example.com',
      'voice.example.com/media',
      '//voice.example.com',
      'tcp://voice.example.com',
      'wss:voice.example.com',
    ].map((stream_url): Case => ['streaming_start', start({ stream_url }), 'stream_url']),
    ['texml', stream('url="https://voice.example.com" bidirectionalMode="rtp"'), 'Stream.url'],
  ],
  url_invalid: [
    ...[
      'wss://',
      'wss:// voice.example.com',
      'wss://voice.example.com/a b',
      `${URL}\n`,
      `${URL}#a`,
      'wss://voice.example.com:99999',
      'wss://[::1',
    ].map((stream_url): Case => ['streaming_start', start({ stream_url }), 'stream_url']),
  ],
  url_too_long: [['answer', { ...good.answer, stream_url: `${URL}?${'x'.repeat(2000)}` }, 'stream_url']],
  wrong_type: [
    ['streaming_start', start({ enable_dialogflow: 'true' }), 'enable_dialogflow'],
    [
      'streaming_start',
      start({ stream_bidirectional_sampling_rate: '16000' }),
      'stream_bidirectional_sampling_rate',
    ],
    ['streaming_start', start({ stream_url: null }), 'stream_url'],
    ['streaming_start', start({ command_id: 7 }), 'command_id'],
    ['streaming_start', start({ client_state: { a: 1 } }), 'client_state'],
    ['streaming_start', start({ stream_auth_token: 12 }), 'stream_auth_token'],
    ['streaming_start', start({ stream_track: ['both_tracks'] }), 'stream_track'],
    ['streaming_start', start({ custom_parameters: 'a=b' }), 'custom_parameters'],
    ['streaming_start', start({ enable_dialogflow: true, dialogflow_config: [] }), 'dialogflow_config'],
    [
      'streaming_start',
      start({ enable_dialogflow: true, dialogflow_config: { analyze_sentiment: 1 } }),
      'dialogflow_config.analyze_sentiment',
    ],
    ['dial', { ...good.dial, timeout_secs: '30' }, 'timeout_secs'],
    ['dial', { ...good.dial, to: 13122123456 }, 'to'],
    ['dial', { ...good.dial, sip_headers: {} }, 'sip_headers'],
    ['answer', { ...good.answer, sound_modifications: [] }, 'sound_modifications'],
  ],
  not_in_list: [
    ['streaming_start', start({ stream_track: 'both' }), 'stream_track'],
    ['streaming_start', start({ stream_bidirectional_codec: 'linear16' }), 'stream_bidirectional_codec'],
    ['streaming_start', start({ stream_bidirectional_codec: 'default' }), 'stream_bidirectional_codec'],
    [
      'streaming_start',
      start({ stream_bidirectional_sampling_rate: 44100 }),
      'stream_bidirectional_sampling_rate',
    ],
    ['streaming_start', start({ stream_bidirectional_mode: 'raw' }), 'stream_bidirectional_mode'],
    ['dial', { ...good.dial, sip_region: 'Mars' }, 'sip_region'],
    ['texml', stream(`url="${URL}" bidirectionalMode="wav"`), 'Stream.bidirectionalMode'],
    ['texml', stream(`${goodStream} bidirectionalSamplingRate="48000"`), 'Stream.bidirectionalSamplingRate'],
    ['texml', stream(`${goodStream} statusCallbackMethod="PUT"`), 'Stream.statusCallbackMethod'],
    ['texml', stream(`${goodStream} enableReconnect="no"`), 'Stream.enableReconnect'],
  ],
  wrong_case: [
    ['streaming_start', start({ stream_bidirectional_codec: 'pcmu' }), 'stream_bidirectional_codec'],
    ['streaming_start', start({ stream_bidirectional_codec: 'G.722' }), 'stream_bidirectional_codec'],
    ['streaming_start', start({ stream_bidirectional_codec: 'AMRWB' }), 'stream_bidirectional_codec'],
    ['streaming_start', start({ stream_bidirectional_mode: 'RTP' }), 'stream_bidirectional_mode'],
    [
      'answer',
      { ...good.answer, stream_bidirectional_target_legs: 'Self' },
      'stream_bidirectional_target_legs',
    ],
    ['texml', stream(`url="${URL}" bidirectionalMode="Rtp"`), 'Stream.bidirectionalMode'],
    ['texml', stream(`${goodStream} enableReconnect="False"`), 'Stream.enableReconnect'],
  ],
  client_state_base64: ['have a nice day', 'aGF2ZQ', 'aGF2ZSBh_-==', '=', 'a', 'aGF2ZQ==\n'].map(
    (client_state): Case => ['streaming_start', start({ client_state }), 'client_state'],
  ),
  token_too_long: [['streaming_start', start({ stream_auth_token: 'x'.repeat(4001) }), 'stream_auth_token']],
  parameters_not_list: [
    ['streaming_start', start({ custom_parameters: { customer: '12' } }), 'custom_parameters'],
  ],
  parameter_shape: [
    ...[
      { name: 'a' },
      { value: 'b' },
      { name: 'a', value: 1 },
      { name: '', value: 'b' },
      'a=b',
      { name: 'a', value: 'b', type: 'c' },
    ].map(
      (entry): Case => ['streaming_start', start({ custom_parameters: [entry] }), 'custom_parameters[0]'],
    ),
    ['texml', stream(goodStream, '<Parameter name="a"/>'), 'Parameter'],
    ['texml', stream(goodStream, '<Parameter value="a"/>'), 'Parameter'],
  ],
  token_not_taken: [
    ['answer', { ...good.answer, stream_auth_token: 'correct-horse' }, 'stream_auth_token'],
    ['texml', stream(`${goodStream} authToken="correct-horse"`), 'Stream.authToken'],
  ],
  token_unsendable: ['two\nlines', 'ключ', ' blank', ''].map(
    (token): Case => ['streaming_start', start({ stream_auth_token: token }), 'stream_auth_token'],
  ),
  mp3_by_default: [
    ['streaming_start', { stream_url: URL }, 'stream_bidirectional_mode'],
    ['answer', { stream_url: URL }, 'stream_bidirectional_mode'],
    ['texml', stream(`url="${URL}"`), 'Stream.bidirectionalMode'],
  ],
  codec_without_rtp: [
    [
      'streaming_start',
      { stream_url: URL, stream_bidirectional_codec: 'PCMU' },
      'stream_bidirectional_codec',
    ],
    ['streaming_start', start({ stream_bidirectional_mode: 'mp3' }), 'stream_bidirectional_sampling_rate'],
    ['texml', stream(`url="${URL}" bidirectionalCodec="PCMU"`), 'Stream.bidirectionalCodec'],
  ],
  legs_opposite: [
    [
      'streaming_start',
      { stream_url: URL, stream_bidirectional_mode: 'rtp' },
      'stream_bidirectional_target_legs',
    ],
    [
      'dial',
      { ...good.dial, stream_bidirectional_target_legs: 'opposite' },
      'stream_bidirectional_target_legs',
    ],
  ],
  l16_narrowband: [
    [
      'streaming_start',
      start({ stream_bidirectional_sampling_rate: 8000 }),
      'stream_bidirectional_sampling_rate',
    ],
    [
      'streaming_start',
      without('streaming_start', 'stream_bidirectional_sampling_rate'),
      'stream_bidirectional_sampling_rate',
    ],
    ['answer', { ...good.answer, stream_bidirectional_codec: 'L16' }, 'stream_bidirectional_sampling_rate'],
    [
      'texml',
      stream(`url="${URL}" bidirectionalMode="rtp" bidirectionalCodec="L16"`),
      'Stream.bidirectionalSamplingRate',
    ],
  ],
  rate_not_of_codec: [
    ['streaming_start', start({ stream_bidirectional_codec: 'PCMU' }), 'stream_bidirectional_sampling_rate'],
    [
      'streaming_start',
      start({ stream_bidirectional_codec: 'OPUS', stream_bidirectional_sampling_rate: 22050 }),
      'stream_bidirectional_sampling_rate',
    ],
    [
      'streaming_start',
      start({ stream_bidirectional_codec: 'AMR-WB', stream_bidirectional_sampling_rate: 24000 }),
      'stream_bidirectional_sampling_rate',
    ],
  ],
  rate_outside_guide: [
    ...[22050, 24000, 48000].map(
      (rate): Case => [
        'streaming_start',
        start({ stream_bidirectional_sampling_rate: rate }),
        'stream_bidirectional_sampling_rate',
      ],
    ),
    ...[24000, 48000].map(
      (rate): Case => [
        'dial',
        { ...good.dial, stream_bidirectional_codec: 'OPUS', stream_bidirectional_sampling_rate: rate },
        'stream_bidirectional_sampling_rate',
      ],
    ),
    [
      'texml',
      stream(
        `url="${URL}" bidirectionalMode="rtp" bidirectionalCodec="OPUS" bidirectionalSamplingRate="24000"`,
      ),
      'Stream.bidirectionalSamplingRate',
    ],
  ],
  track_without_caller: [
    ['streaming_start', start({ stream_track: 'outbound_track' }), 'stream_track'],
    ['texml', stream(`url="${URL}" bidirectionalMode="rtp" track="outbound_track"`), 'Stream.track'],
  ],
  url_plaintext: [
    ['streaming_start', start({ stream_url: 'ws://voice.example.com' }), 'stream_url'],
    ['texml', stream('url="ws://voice.example.com" bidirectionalMode="rtp"'), 'Stream.url'],
  ],
  url_unreachable: [
    'localhost:8080',
    '127.0.0.1',
    '10.1.2.3',
    '172.20.0.1',
    '192.168.1.2',
    '169.254.1.1',
    '[::1]:80',
    '[fd00::1]',
    'voice',
    'voice.local',
    '0x7f.1',
  ].map((host): Case => ['streaming_start', start({ stream_url: `wss://${host}/media` }), 'stream_url']),
  dialogflow_off: [
    ['streaming_start', start({ dialogflow_config: { analyze_sentiment: true } }), 'dialogflow_config'],
  ],
  duplicate_parameter: [
    [
      'streaming_start',
      start({
        custom_parameters: [
          { name: 'a', value: '1' },
          { name: 'a', value: '2' },
        ],
      }),
      'custom_parameters[1]',
    ],
    [
      'texml',
      stream(goodStream, '<Parameter name="a" value="1"/><Parameter name="a" value="2"/>'),
      'Parameter.name',
    ],
  ],
  no_stream: [
    ['answer', {}, 'stream_url'],
    ['dial', { connection_id: '1', from: '+1', to: '+2' }, 'stream_url'],
    ['texml', '<Response><Say>hello</Say></Response>', 'Stream'],
  ],
  bad_xml: [
    ['texml', `<Response><Connect><Stream url="${URL}?a=1&b=2"/></Connect></Response>`, 'document'],
    ['texml', '<Response><Connect></Response>', 'document'],
    ['texml', '', 'document'],
    ['texml', 'wss://', 'document'],
    ['texml', { Response: 1 }, 'document'],
    ['texml', '<!DOCTYPE r [<!ENTITY a "b">]><Response>&a;</Response>', 'document'],
    ['texml', '<Response>'.repeat(10_000), 'document'],
    ['texml', 'x'.repeat(1_000_001), 'document'],
  ],
  texml_root: [['texml', `<Connect><Stream ${goodStream}/></Connect>`, 'Connect']],
  texml_place: [
    ['texml', `<Response><Stream ${goodStream}/></Response>`, 'Stream'],
    [
      'texml',
      `<Response><Connect><Parameter name="a" value="b"/><Stream ${goodStream}/></Connect></Response>`,
      'Parameter',
    ],
  ],
  texml_element: [
    ['texml', `<Response><Connect><stream ${goodStream}/></Connect></Response>`, 'stream'],
    ['texml', stream(goodStream, '<Param name="a" value="b"/>'), 'Param'],
  ],
  callback_url: [['texml', stream(`${goodStream} statusCallback="/events"`), 'Stream.statusCallback']],
  codec_not_transcoded: ['G722', 'OPUS', 'AMR-WB', 'L16'].map(
    (codec): Case => ['texml', stream(`${goodStream} codec="${codec}"`), 'Stream.codec'],
  ),
  start_ends_call: [['texml', `<Response><Start><Stream ${goodStream}/></Start></Response>`, 'Start']],
  second_stream: [
    [
      'texml',
      `<Response><Connect><Stream ${goodStream}/><Stream ${goodStream}/></Connect></Response>`,
      'Stream',
    ],
  ],
};

let double: RestDouble;
before(async () => {
  double = await startRestDouble('key');
});
after(() => double.close());

async function send(kind: RequestKind, body: string): Promise<{ status: number; received: unknown }> {
  const path = kind === 'dial' ? '/calls' : `/calls/v3:abc/actions/${kind}`;
  const headers = { authorization: 'Bearer key', 'content-type': 'application/json' };
  const response = await fetch(double.base + path, { method: 'POST', headers, body });
  await response.arrayBuffer();
  return { status: response.status, received: double.requests.pop()?.body };
}
const textOf = (request: unknown): string =>
  typeof request === 'string' ? request : JSON.stringify(request);

describe('the list of mistakes', () => {
  it('is the same in docs/mistakes.md, codes and severities', () => {
    const rows = readFileSync(join(root, 'docs/mistakes.md'), 'utf8').matchAll(/^\| `(\w+)` \| (\w+) \|/gm);
    assert.deepEqual(Object.fromEntries([...rows].map(row => [row[1], row[2]])), MISTAKES);
  });

  for (const [code, cases] of Object.entries(CASES) as [MistakeCode, Case[]][]) {
    it(`${code} is named with its field, ${cases.length} ways`, async () => {
      for (const [kind, request, field] of cases) {
        const findings = checkRequest(request, { for: kind });
        const found = findings.find(finding => finding.code === code && finding.field === field);
        assert.ok(found, `${textOf(request).slice(0, 200)}: ${JSON.stringify(findings)}`);
        assert.equal(found.severity, MISTAKES[code]);
        assert.ok(found.problem.length > 0 && found.remedy.length > 0);
        // The mistake that was planted is the only error.
        const errors = findings.filter(finding => finding.severity === 'error');
        assert.ok(
          errors.every(error => error.code === code),
          JSON.stringify(errors),
        );
        if (kind === 'texml') continue;
        const { status } = await send(kind, textOf(request));
        assert.equal(
          status < 300,
          MISTAKES[code] === 'warning',
          `double says ${status} to ${textOf(request)}`,
        );
      }
    });
  }
});

describe('checkRequest', () => {
  it('says nothing about good requests', () => {
    for (const [kind, body] of Object.entries(good) as [RequestKind, object][]) {
      assert.deepEqual(checkRequest(body, { for: kind }), []);
      assert.deepEqual(checkRequest(JSON.stringify(body), { for: kind }), []);
    }
    assert.deepEqual(checkRequest(good.streaming_start), []);
    assert.deepEqual(
      checkRequest({ enable_dialogflow: true, dialogflow_config: { analyze_sentiment: true } }),
      [],
    );
    assert.deepEqual(
      checkRequest({
        stream_url: URL,
        stream_bidirectional_mode: 'mp3',
        stream_bidirectional_target_legs: 'self',
      }),
      [],
    );
    const documents = [
      stream(goodStream),
      stream(`${goodStream} enableReconnect="true"`),
      stream(`${goodStream} enableReconnect="false" statusCallbackMethod="POST"`),
      stream(
        `url="${URL}" bidirectionalMode="rtp" bidirectionalCodec="OPUS" bidirectionalSamplingRate="16000"`,
      ),
      stream(
        `url="${URL}" bidirectionalMode="rtp" bidirectionalCodec="AMR-WB" bidirectionalSamplingRate="8000"`,
      ),
      stream(
        `url="${URL}" bidirectionalMode="rtp" bidirectionalCodec="L16" bidirectionalSamplingRate="16000"`,
      ),
      stream(
        `${goodStream} name="n" codec="PCMU" statusCallback="https://x.example/a" statusCallbackMethod="GET"`,
        '<Parameter name="a" value=""/><Parameter name="b" value="1"/>',
      ),
      `<?xml version="1.0" encoding="UTF-8"?>\n<Response><!-- x --><Start><Stream ${goodStream}/></Start><Pause length="60"/></Response>`,
      `<Response><Stop><Stream name="n"/></Stop><Connect><Stream ${goodStream}/></Connect></Response>`,
      `<Response><Start><Siprec connectorName="x"/></Start><Connect><Stream ${goodStream}/></Connect></Response>`,
    ];
    for (const text of documents) assert.deepEqual(checkRequest(text, { for: 'texml' }), [], text);
  });

  it('suggests what was meant', () => {
    const remedy = (change: object): string => checkRequest(start(change))[0]?.remedy ?? '';
    assert.match(remedy({ stream_bidirectional_codec: 'linear16' }), /L16/);
    assert.match(remedy({ stream_bidirectional_codec: 'ulaw' }), /PCMU/);
    assert.match(remedy({ stream_bidirectional_codec: 'pcma' }), /^PCMA$/);
    assert.match(remedy({ stream_track: 'inbound' }), /inbound_track/);
    assert.match(remedy({ streamUrl: URL }), /stream_url/);
    assert.match(remedy({ stream_bidirectional_sample_rate: 1 }), /stream_bidirectional_sampling_rate/);
    assert.equal(remedy({ stream_url: 'https://voice.example.com/x' }), 'wss://voice.example.com/x');
  });

  it('gives the line of a TeXML finding', () => {
    const text = `<Response>\n  <Connect>\n    <Stream url="https://x.example" bidirectionalMode="rtp"/>\n  </Connect>\n</Response>`;
    assert.deepEqual(
      checkRequest(text, { for: 'texml' }).map(finding => finding.line),
      [3],
    );
  });

  it('never shows a token or password', () => {
    const secret = 'correct\nhorse';
    for (const findings of [
      checkRequest(start({ stream_auth_token: secret })),
      checkRequest({ ...good.answer, stream_auth_token: secret }, { for: 'answer' }),
      checkRequest({ ...good.dial, sip_auth_password: [secret] }, { for: 'dial' }),
      checkRequest(stream(`${goodStream} authToken="${secret}"`), { for: 'texml' }),
      checkRequest(`{"stream_auth_token":"${secret}"`),
    ]) {
      assert.ok(findings.length > 0);
      assert.ok(!/horse/.test(JSON.stringify(findings) + findings.map(describeFinding).join()));
    }
  });

  it('never throws, whatever the request', () => {
    const cyclic: Record<string, unknown> = { stream_url: 1n };
    cyclic.custom_parameters = [cyclic];
    cyclic.x = () => 1;
    assert.ok(hasErrors(checkRequest(cyclic)));
    const kinds = fc.constantFrom<RequestKind>('streaming_start', 'answer', 'dial', 'texml');
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({
        unit: fc.constantFrom(
          '<',
          '>',
          '/',
          '"',
          '&',
          'a',
          ' ',
          '=',
          '\n',
          'Stream',
          'Start',
          'Response',
          'url',
        ),
      }),
    );
    fc.assert(
      fc.property(kinds, fc.oneof(fc.anything(), fc.jsonValue(), text), (kind, request) => {
        for (const finding of checkRequest(request, { for: kind })) describeFinding(finding);
      }),
      { numRuns: propertyRuns(3000) },
    );
  });
});

/** Bodies made of right and wrong values, so that about half of them are refused. */
function bodies(kind: 'streaming_start' | 'answer' | 'dial'): fc.Arbitrary<Record<string, unknown>> {
  const odd = fc.constantFrom<unknown>(
    null,
    0,
    1.5,
    -1,
    true,
    '',
    'x',
    'PCMU',
    'rtp',
    [],
    ['x'],
    {},
    { x: 1 },
    '16000',
  );
  const right: Record<string, fc.Arbitrary<unknown>> = {
    stream_url: fc.oneof(
      fc.webUrl({ withQueryParameters: true }).map(url => url.replace(/^http/, 'ws')),
      fc.constantFrom(URL, 'ws://127.0.0.1:1/x', 'wss://localhost', 'WSS://Voice.Example'),
    ),
    stream_bidirectional_sampling_rate: fc.constantFrom(8000, 16000, 22050, 24000, 48000),
    client_state: fc.base64String(),
    command_id: fc.uuid(),
    stream_auth_token: fc.string({ maxLength: 60 }),
    custom_parameters: fc.array(fc.record({ name: fc.string({ minLength: 1 }), value: fc.string() }), {
      maxLength: 3,
    }),
    dialogflow_config: fc.record({ analyze_sentiment: fc.boolean() }, { requiredKeys: [] }),
    to: fc.oneof(fc.string(), fc.array(fc.string())),
  };
  for (const [field, rule] of Object.entries(FIELDS[kind])) {
    right[field] ??=
      rule.type === 'choice'
        ? fc.constantFrom(...rule.values)
        : rule.type === 'boolean'
          ? fc.boolean()
          : rule.type === 'integer'
            ? fc.integer()
            : rule.type === 'object'
              ? fc.dictionary(fc.string(), fc.string())
              : rule.type === 'list'
                ? fc.array(fc.string())
                : fc.string();
  }
  const fields = Object.keys(right);
  const entry = fc
    .constantFrom(...fields)
    .chain(field =>
      fc.tuple(
        fc.constant(field),
        fc.oneof({ weight: 14, arbitrary: right[field]! }, { weight: 1, arbitrary: odd }),
      ),
    );
  const required = kind === 'dial' ? { connection_id: '7', from: '+1', to: '+2' } : {};
  return fc
    .tuple(
      fc.array(entry, { maxLength: 9 }),
      fc.boolean(),
      fc.oneof({ weight: 12, arbitrary: fc.constant(undefined) }, fc.tuple(fc.string(), odd)),
    )
    .map(([entries, withUrl, stray]) => ({
      ...(withUrl ? { stream_url: URL } : {}),
      ...required,
      ...Object.fromEntries(entries),
      ...(stray ? { [stray[0]]: stray[1] } : {}),
    }));
}

describe('checker and double', () => {
  for (const kind of ['streaming_start', 'answer', 'dial'] as const) {
    it(`agree about every ${kind}: what passes is accepted unchanged, what has an error is refused`, async () => {
      let passed = 0;
      let refused = 0;
      await fc.assert(
        fc.asyncProperty(bodies(kind), async body => {
          const sent = JSON.stringify(body);
          const findings = checkRequest(body, { for: kind });
          const { status, received } = await send(kind, sent);
          if (hasErrors(findings)) {
            refused++;
            assert.ok(status >= 400, `${status} for ${sent}: ${JSON.stringify(findings)}`);
          } else {
            passed++;
            assert.equal(status, 200, sent);
            assert.deepEqual(received, JSON.parse(sent));
          }
        }),
        { numRuns: propertyRuns(400) },
      );
      assert.ok(passed > 50 && refused > 50, `${passed} passed, ${refused} refused`);
    });
  }
});
