import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createServer, definePlugin, type ServerOptions } from '../../src/index.js';
import { resolveOptions } from '../../src/options/options.js';
import { answerStream } from '../../src/server/webhooks.js';
import { createWebhookSigner } from '../helpers/webhooks.js';

const { publicKey } = createWebhookSigner();
const webhooks = { publicKey };
const url = 'wss://voice.example.com/';

let environment: string | undefined;
before(() => {
  environment = process.env.TELNYX_API_KEY;
  delete process.env.TELNYX_API_KEY;
});
after(() => {
  if (environment !== undefined) process.env.TELNYX_API_KEY = environment;
});

const onStart = (): undefined => undefined;

describe('the stream that calls are answered with', () => {
  const stream = (options: ServerOptions, ...plugins: Parameters<typeof definePlugin>[0][]) =>
    answerStream(resolveOptions({ answer: { streamUrl: url }, ...options }), plugins.map(definePlugin));

  it('is audible without another word', () => {
    assert.deepEqual(stream({}), {
      stream_url: url,
      stream_track: 'inbound_track',
      stream_bidirectional_mode: 'rtp',
      stream_bidirectional_codec: 'PCMU',
      stream_bidirectional_target_legs: 'self',
    });
  });

  it('has what the server would send: by the address, by its plugin, by outboundCodec', () => {
    const codec = (streamUrl: string) => {
      const { stream_bidirectional_codec: encoding, stream_bidirectional_sampling_rate: rate } = stream(
        { answer: { streamUrl }, outboundCodec: { encoding: 'L16', sampleRate: 24000 } },
        { name: 'plain', onStart },
        { name: 'wideband', outbound: { encoding: 'AMR-WB' }, onStart },
        { name: 'rate', outbound: { sampleRate: 48000 }, onStart },
      );
      return [encoding, rate];
    };
    assert.deepEqual(codec(`${url}plain`), ['L16', 24000]);
    assert.deepEqual(codec(`${url}wideband`), ['AMR-WB', 16000]);
    assert.deepEqual(codec(`${url}rate`), ['L16', 48000]);
    assert.deepEqual(codec(`${url}wideband?outbound=opus&outbound_rate=48000`), ['OPUS', 48000]);
    assert.deepEqual(codec(`${url}plain?outbound=PCMA`), ['PCMA', undefined]);
    // An L16 of 8 kHz, which Telnyx makes of L16 without a rate, is not asked for.
    const { stream_bidirectional_sampling_rate: rate } = stream({ outboundCodec: { encoding: 'L16' } });
    assert.equal(rate, 16000);
  });

  it('is in MP3 mode where the server plays MP3 files', () => {
    const mode = (options: ServerOptions): unknown[] => {
      const body = stream(options, { name: 'files', outbound: { mode: 'mp3' }, onStart });
      return [body.stream_bidirectional_mode, body.stream_bidirectional_codec];
    };
    assert.deepEqual(mode({}), ['mp3', undefined]);
    assert.deepEqual(mode({ answer: { streamUrl: `${url}?mode=rtp` } }), ['rtp', 'PCMU']);
    assert.equal(stream({ outboundMode: 'mp3' }).stream_bidirectional_mode, 'mp3');
  });

  it('carries track, codec, parameters and the token of the server', () => {
    const body = stream({
      authToken: [{ token: 'bound', callControlId: 'v3:x' }, 'free'],
      answer: {
        streamUrl: url,
        track: 'both',
        inboundEncoding: 'G722',
        customParameters: { customer: '12' },
      },
    });
    assert.equal(body.stream_track, 'both_tracks');
    assert.equal(body.stream_codec, 'G722');
    assert.equal(body.stream_auth_token, 'free');
    assert.deepEqual(body.custom_parameters, [{ name: 'customer', value: '12' }]);
  });
});

describe('options of webhooks and answers', () => {
  const answer = { streamUrl: url, apiKey: 'KEY-secret' };
  const base = { port: 0, admin: false, logLevel: 'silent' } as const;

  it('are refused when the server is made, with field and remedy', async () => {
    const wrong: [ServerOptions, RegExp][] = [
      [{ webhooks: { publicKey: 'AAAA' } }, /public key decodes to 3 bytes: give the base64 text/],
      [{ webhooks: { publicKey, path: 'hooks' } }, /webhooks\.path: "hooks": write it as \/telnyx\/webhooks/],
      [{ answer }, /answer: .*give webhooks\.publicKey too/],
      [{ webhooks, answer: { streamUrl: url } }, /TELNYX_API_KEY/],
      [{ webhooks, answer: { ...answer, streamUrl: 'https://voice.example.com' } }, /stream_url = "https:/],
      [{ api: { keyFile: '/none' } }, /\/none: ENOENT/],
      [{ api: { key: 'KEY secret' } }, /holds characters that a header cannot carry/],
      [{ api: { key: 'KEY-secret', base: 'http://api.telnyx.com' } }, /API base/],
      [{ webhooks, answer: { ...answer, apiBase: 'http://api.telnyx.com' } }, /API base/],
      [{ webhooks, answer: { ...answer, apiKey: undefined, apiKeyFile: '/none' } }, /\/none: ENOENT/],
      [{ webhooks, answer, outboundCodec: { encoding: 'L16', sampleRate: 8000 } }, /sampling_rate = 8000/],
      [
        { webhooks, answer, authToken: [{ token: 'token-secret', callControlId: 'x' }] },
        /authToken: all tokens are bound/,
      ],
    ];
    for (const [options, message] of wrong) {
      await assert.rejects(createServer({ ...base, ...options }), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'SIDETONE_BAD_OPTION');
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      });
    }
  });

  it('do not show a secret that stands beside a mistake', () => {
    for (const options of [
      { authToken: 'token-secret', nosuch: 1 },
      { answer: { ...answer, nosuch: 1 } },
      { answer: { ...answer, apiKey: ['KEY-secret'] } },
      { authToken: [{ token: 'token-secret', call: 'x' }] },
    ]) {
      assert.throws(
        () => resolveOptions(options as ServerOptions),
        (error: Error) => {
          assert.match(error.message, /nosuch|apiKey|authToken/);
          assert.doesNotMatch(error.message, /secret/);
          return true;
        },
      );
    }
  });

  it('are a plugin that listens only if it has a function for it', () => {
    assert.throws(() => definePlugin({ name: 'x', onStart, onWebhook: 'yes' as never }), {
      code: 'SIDETONE_PLUGIN_INVALID',
      message: /onWebhook: "yes": give a function/,
    });
  });
});
