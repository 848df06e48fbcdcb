import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SaxesParser } from 'saxes';
import {
  type AnswerRequest,
  buildAnswer,
  buildDial,
  buildStreamingStart,
  type DialRequest,
  type StreamingStartRequest,
} from '../../src/telnyx/build.js';
import { checkRequest, type RequestKind } from '../../src/telnyx/check.js';
import { outboundOf, requestedBy, requestedIn } from '../../src/telnyx/expectations.js';
import { buildTexml, escapeXml, type TexmlDocument, type TexmlStream } from '../../src/telnyx/texml.js';
import { propertyRuns } from '../helpers/runs.js';

const numRuns = propertyRuns(1000);
const URL = 'wss://voice.example.com/media?a=1&b=2';
const badOption = { code: 'SIDETONE_BAD_OPTION' };

const legs = fc.constantFrom('self', 'both', undefined);
const fixed = fc.constantFrom('PCMU', 'PCMA', 'G722', 'AMR-WB');
const rtpOrMp3 = (...more: fc.Arbitrary<object>[]): fc.Arbitrary<object> =>
  fc.oneof(
    fc.record({ mode: fc.constant('mp3'), legs }),
    fc.record({ mode: fc.constant('rtp'), encoding: fixed, legs }),
    ...more,
  );
const opus = fc.record({
  mode: fc.constant('rtp'),
  encoding: fc.constant('OPUS'),
  sampleRate: fc.constantFrom(8000, 16000, 24000, 48000, undefined),
  legs,
});
const l16 = fc.record({
  mode: fc.constant('rtp'),
  encoding: fc.constant('L16'),
  sampleRate: fc.constantFrom(16000, 22050, 24000, 48000, undefined),
  legs,
});
const common = {
  url: fc.constantFrom(URL, 'wss://[2001:db8::1]:8443/x'),
  track: fc.constantFrom('inbound', 'both', undefined),
  inboundEncoding: fc.constantFrom('PCMU', 'L16', 'default', undefined),
  clientState: fc.oneof(fc.string({ unit: 'binary' }), fc.uint8Array(), fc.constant(undefined)),
  commandId: fc.option(fc.uuid(), { nil: undefined }),
};
const outbound = fc.option(rtpOrMp3(opus, l16), { nil: undefined });
const authToken = fc.option(fc.stringMatching(/^[!-~]{1,200}$/), { nil: undefined });
const parameters = fc.dictionary(fc.string({ minLength: 1, unit: 'binary' }), fc.string({ unit: 'binary' }));

/** What the checker says of what a builder made, but for rates that Telnyx's guide does not promise. */
const faults = (request: string, kind: RequestKind = 'streaming_start') =>
  checkRequest(request, { for: kind }).filter(({ code }) => code !== 'rate_outside_guide');

describe('request builders', () => {
  it('make nothing that the checker finds fault with', () => {
    const start = fc.record({ ...common, outbound, authToken, customParameters: parameters });
    const answer = fc.record({ ...common, outbound: fc.option(rtpOrMp3(), { nil: undefined }) });
    const number = fc.constant('+13122010094');
    const dial = fc.record({
      ...common,
      outbound,
      authToken,
      connectionId: fc.uuid(),
      from: number,
      to: number,
    });
    fc.assert(
      fc.property(start, answer, dial, (one, two, three) => {
        const body = buildStreamingStart(one as StreamingStartRequest);
        assert.deepEqual(faults(JSON.stringify(body)), []);
        assert.deepEqual(faults(JSON.stringify(buildAnswer(two as AnswerRequest)), 'answer'), []);
        assert.deepEqual(faults(JSON.stringify(buildDial(three as DialRequest)), 'dial'), []);
        if (one.clientState !== undefined) {
          assert.deepEqual(Buffer.from(body.client_state!, 'base64'), Buffer.from(one.clientState as string));
        }
        const sent = Object.fromEntries(
          (body.custom_parameters ?? []).map(({ name, value }) => [name, value]),
        );
        assert.deepEqual(sent, Object.fromEntries(Object.entries(one.customParameters)));
      }),
      { numRuns },
    );
  });

  it('make the body that is meant', () => {
    assert.deepEqual(
      buildStreamingStart({
        url: URL,
        track: 'both',
        outbound: { mode: 'rtp', encoding: 'L16' },
        authToken: 't',
        customParameters: { customer: '12' },
        clientState: 'have a nice day =]',
        commandId: 'c',
      }),
      {
        stream_url: URL,
        stream_track: 'both_tracks',
        stream_bidirectional_mode: 'rtp',
        stream_bidirectional_codec: 'L16',
        stream_bidirectional_sampling_rate: 16000,
        stream_bidirectional_target_legs: 'self',
        stream_auth_token: 't',
        custom_parameters: [{ name: 'customer', value: '12' }],
        client_state: 'aGF2ZSBhIG5pY2UgZGF5ID1d',
        command_id: 'c',
      },
    );
    assert.deepEqual(buildStreamingStart({ dialogflow: { analyzeSentiment: true }, commandId: 'c' }), {
      enable_dialogflow: true,
      dialogflow_config: { analyze_sentiment: true },
      command_id: 'c',
    });
    assert.equal(
      buildStreamingStart({ url: 'ws://127.0.0.1:1/x', local: true }).stream_url,
      'ws://127.0.0.1:1/x',
    );
  });

  it('refuse what types cannot see, naming the field', () => {
    const url = URL;
    const attempts: [unknown, RegExp][] = [
      [{ url: 'https://voice.example.com' }, /^stream_url = "https/],
      [{ url: 'ws://voice.example.com' }, /^stream_url/],
      [{ url: 'wss://127.0.0.1/x' }, /^stream_url/],
      [{ url: 'wss://a b', local: true }, /^stream_url/],
      [{ url, authToken: 'two\nlines' }, /^stream_auth_token = "\(hidden/],
      [{ url, customParameters: { '': 'x' } }, /^custom_parameters\[0\]/],
      [{ url, outbound: { mode: 'rtp', encoding: 'pcmu' } }, /^stream_bidirectional_codec/],
      [
        { url, outbound: { mode: 'rtp', encoding: 'L16', sampleRate: 8000 } },
        /^stream_bidirectional_sampling_rate/,
      ],
      [
        { url, outbound: { mode: 'rtp', encoding: 'PCMU', legs: 'opposite' } },
        /^stream_bidirectional_target_legs/,
      ],
    ];
    for (const [request, message] of attempts) {
      assert.throws(() => buildStreamingStart(request as StreamingStartRequest), { ...badOption, message });
    }
    assert.throws(() => buildAnswer({ url, outbound: { mode: 'rtp', encoding: 'L16' } } as never), badOption);
    assert.throws(
      () => buildDial({ url, from: '+1', to: '+2', connectionId: '1', more: { streamUrl: 1 } }),
      badOption,
    );
  });

  it('do not typecheck with a mistake in them', () => {
    const local = { url: 'ws://127.0.0.1', local: true } as const;
    const never: (() => unknown)[] = [
      // @ts-expect-error an unencrypted address needs `local`
      () => buildStreamingStart({ url: 'ws://voice.example.com' }),
      // @ts-expect-error G.711 has one rate
      () => buildStreamingStart({ ...local, outbound: { mode: 'rtp', encoding: 'PCMU', sampleRate: 16000 } }),
      // @ts-expect-error L16 at 8000 Hz
      () => buildStreamingStart({ ...local, outbound: { mode: 'rtp', encoding: 'L16', sampleRate: 8000 } }),
      // @ts-expect-error a codec without rtp
      () => buildStreamingStart({ ...local, outbound: { mode: 'mp3', encoding: 'PCMU' } }),
      // @ts-expect-error legs that leave the caller in silence
      () => buildStreamingStart({ ...local, outbound: { mode: 'mp3', legs: 'opposite' } }),
      // @ts-expect-error a token on a command that takes none
      () => buildAnswer({ ...local, authToken: 'x' }),
      // @ts-expect-error L16 on a command without a rate
      () => buildAnswer({ ...local, outbound: { mode: 'rtp', encoding: 'L16' } }),
      // @ts-expect-error TeXML cannot transcode to it
      () => buildTexml({ connect: { ...local, inboundEncoding: 'G722' } }),
      // @ts-expect-error <Start> without a pause ends the call
      () => buildTexml({ start: local }),
    ];
    assert.equal(never.length, 9);
  });
});

interface Seen {
  path: string;
  attributes: Record<string, string>;
}
function parse(text: string): Seen[] {
  const seen: Seen[] = [];
  const open: string[] = [];
  const parser = new SaxesParser();
  parser.on('error', error => {
    throw error;
  });
  parser.on('opentag', tag => {
    open.push(tag.name);
    seen.push({ path: open.join('/'), attributes: { ...(tag.attributes as Record<string, string>) } });
  });
  parser.on('closetag', () => void open.pop());
  parser.write(text).close();
  return seen;
}

describe('TeXML', () => {
  const anyText = fc.string({ unit: 'binary' });
  const xmlText = anyText.filter(text =>
    /^[\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]*$/u.test(text),
  );

  it('escapes any value: parsed back it is the same', () => {
    const nasty = fc.string({
      unit: fc.constantFrom('&', '<', '>', '"', "'", '\t', '\n', '\r', ' ', ']]>', '&amp;', '-->', '😀', 'ü'),
    });
    fc.assert(
      fc.property(fc.oneof(xmlText, nasty), value => {
        assert.equal(parse(`<a b="${escapeXml(value)}"/>`)[0]?.attributes.b, value);
        assert.equal(parse(`<a b='${escapeXml(value)}'/>`)[0]?.attributes.b, value);
      }),
      { numRuns },
    );
  });

  it('refuses what XML 1.0 cannot carry, and nothing else', () => {
    for (const bad of ['\u0000', 'a\u0008', '\u000B', '\u001F', '\uFFFE', '\uFFFF', '\uD800', 'x\uDC00y']) {
      assert.throws(() => escapeXml(bad), { code: 'SIDETONE_BAD_ARGUMENT', message: /U\+[0-9A-F]{4}/ });
    }
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff }), code => {
        const one = String.fromCharCode(code);
        let escaped: string | undefined;
        try {
          escaped = escapeXml(one);
        } catch {}
        if (escaped === undefined) assert.throws(() => parse(`<a b="&#${code};"/>`));
        else assert.equal(parse(`<a b="${escaped}"/>`)[0]?.attributes.b, one);
      }),
      { numRuns },
    );
  });

  it('documents are well-formed, faultless, and say what was asked for', () => {
    const names = xmlText.filter(name => name !== '' && name !== '__proto__' && name !== 'sidetone_outbound');
    const stream = fc.record({
      url: fc.constantFrom(URL, 'wss://voice.example.com/a%20b'),
      track: fc.constantFrom('inbound', 'both', undefined),
      name: fc.option(xmlText, { nil: undefined }),
      inboundEncoding: fc.constantFrom('PCMU', 'PCMA', undefined),
      outbound: fc.option(
        rtpOrMp3(
          fc.record({
            mode: fc.constant('rtp'),
            encoding: fc.constantFrom('L16', 'OPUS'),
            sampleRate: fc.constantFrom(16000, 24000, undefined),
          }),
        ),
        { nil: undefined },
      ),
      parameters: fc.dictionary(names, xmlText),
      statusCallback: fc.constantFrom('https://x.example/?a=1&b=<2>', undefined),
      statusCallbackMethod: fc.constantFrom('GET', 'POST', undefined),
      enableReconnect: fc.constantFrom(true, false, undefined),
    }) as unknown as fc.Arbitrary<TexmlStream>;
    const after = fc.oneof(
      fc.constantFrom('hangup', undefined, { redirect: 'https://x.example/?a=1&b=<2>', method: 'GET' }),
      fc.record({ pauseSeconds: fc.integer({ min: 1, max: 14_400 }) }),
    );
    const document = fc.oneof(
      fc.record({ connect: stream, after }),
      fc.record({ start: stream, pauseSeconds: fc.integer({ min: 1, max: 14_400 }) }),
    ) as fc.Arbitrary<TexmlDocument>;
    fc.assert(
      fc.property(document, made => {
        const text = buildTexml(made);
        assert.deepEqual(faults(text, 'texml'), []);
        const wanted = made.start ?? made.connect;
        const seen = parse(text);
        const at = made.start ? 'Response/Start/Stream' : 'Response/Connect/Stream';
        const found = seen.find(element => element.path === at)!;
        assert.equal(found.attributes.url, wanted.url);
        assert.equal(found.attributes.name, wanted.name);
        assert.equal(found.attributes.statusCallback, wanted.statusCallback);
        // Two verbs, or one where nothing was said of what comes after the stream.
        const verbs = seen.map(({ path }) => path).filter(path => /^Response\/\w+$/.test(path));
        const last =
          made.after === 'hangup' ? 'Hangup' : made.after && 'redirect' in made.after ? 'Redirect' : 'Pause';
        const follows = made.start !== undefined || made.after !== undefined;
        assert.deepEqual(verbs.slice(1), follows ? [`Response/${last}`] : []);
        // An end that is meant is not undone by opening the WebSocket again.
        const reconnects = wanted.enableReconnect ?? (made.after === 'hangup' ? false : undefined);
        assert.equal(found.attributes.enableReconnect, reconnects?.toString());
        const parameters = Object.fromEntries(
          seen
            .filter(({ path }) => path === `${at}/Parameter`)
            .map(({ attributes }) => [attributes.name, attributes.value!]),
        );
        const requested = requestedIn(parameters);
        const encoding = wanted.outbound?.mode === 'mp3' ? undefined : (wanted.outbound?.encoding ?? 'PCMU');
        assert.equal(requested?.outboundEncoding, encoding);
        delete parameters.sidetone_outbound;
        assert.deepEqual(parameters, Object.fromEntries(Object.entries(wanted.parameters ?? {})));
      }),
      { numRuns },
    );
  });

  it('go on after <Connect> as is said', () => {
    const stream = { url: 'wss://x.example/', announce: false } as const;
    const body = (document: TexmlDocument): string =>
      /<Response><Connect><Stream [^>]*?( enableReconnect="\w+")?\/><\/Connect>(.*)<\/Response>/
        .exec(buildTexml(document))!
        .slice(1)
        .join('|');
    assert.equal(body({ connect: stream }), '|');
    assert.equal(body({ connect: stream, after: 'hangup' }), ' enableReconnect="false"|<Hangup/>');
    const kept = { ...stream, enableReconnect: true };
    assert.equal(body({ connect: kept, after: 'hangup' }), ' enableReconnect="true"|<Hangup/>');
    assert.equal(body({ connect: stream, after: { pauseSeconds: 3600 } }), '|<Pause length="3600"/>');
    const redirect = 'https://x.example/next?a=1&b=2';
    assert.equal(
      body({ connect: stream, after: { redirect, method: 'POST' } }),
      '|<Redirect method="POST">https://x.example/next?a=1&amp;b=2</Redirect>',
    );
    for (const [after, message] of [
      [{ pauseSeconds: 0 }, /after\.pauseSeconds = 0: .* needs 1 to 14400 whole seconds/],
      [{ redirect: '/next' }, /after\.redirect = "\/next": give the http or https address/],
    ] as const) {
      assert.throws(() => buildTexml({ connect: stream, after: after as never }), { ...badOption, message });
    }
  });

  it('builders refuse what types cannot see', () => {
    const url = URL;
    assert.throws(() => buildTexml({ start: { url }, pauseSeconds: 0 }), {
      ...badOption,
      message: /pauseSeconds/,
    });
    assert.throws(() => buildTexml({ start: { url }, pauseSeconds: 1.5 }), badOption);
    assert.throws(() => buildTexml({ connect: { url: 'https://x.example' } } as never), {
      ...badOption,
      message: /Stream\.url/,
    });
    assert.throws(() => buildTexml({ connect: { url, parameters: { '': 'x' } } }), badOption);
    assert.throws(() => buildTexml({ connect: { url, parameters: { a: '\u0001' } } }), {
      code: 'SIDETONE_BAD_ARGUMENT',
    });
    assert.match(
      buildTexml({ connect: { url: 'ws://127.0.0.1:1', local: true, announce: false } }),
      /<Stream url="ws:\/\/127\.0\.0\.1:1"[^>]*\/>/,
    );
  });
});

describe('the requested format', () => {
  it('are read back from the parameter that carries them', () => {
    assert.deepEqual(requestedBy({ stream_url: URL }), {
      mode: 'mp3',
      outboundEncoding: 'PCMU',
      outboundSampleRate: 8000,
      track: 'inbound',
    });
    const both = requestedBy({
      stream_track: 'both_tracks',
      stream_bidirectional_mode: 'rtp',
      stream_bidirectional_codec: 'AMR-WB',
    });
    assert.deepEqual(both, {
      mode: 'rtp',
      outboundEncoding: 'AMR-WB',
      outboundSampleRate: 16000,
      track: 'both',
    });
    assert.deepEqual(requestedIn({ sidetone_outbound: 'rtp/AMR-WB/16000/both' }), both);
    for (const bad of [
      '',
      'rtp',
      'rtp/MP3/8000/both',
      'rtp/L16/44100/both',
      'x/L16/8000/both',
      'rtp/L16/8000/all',
      'rtp/L16/8000/both/x',
      'rtp/L16//both',
    ]) {
      assert.equal(requestedIn({ sidetone_outbound: bad }), undefined, bad);
    }
    assert.deepEqual(outboundOf(both), { mode: 'rtp', encoding: 'AMR-WB', sampleRate: 16000 });
    assert.deepEqual(outboundOf({ ...both, mode: 'mp3' }), { mode: 'mp3' });
    assert.equal(outboundOf(undefined), undefined);
    assert.equal(requestedIn({}), undefined);
    assert.equal(requestedIn(undefined), undefined);
  });
});
