/** Flag, environment and config file: three ways to every option, and what each refuses (row 71). */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Command } from 'commander';
import fc from 'fast-check';
import * as v from 'valibot';
import { addServeOptions, readServeOptions, unknownVariables } from '../../src/cli/serve-options.js';
import { SidetoneError } from '../../src/errors.js';
import { CODECS, ENCODINGS } from '../../src/formats.js';
import { environmentNames, flagName, LEAVES, type Leaf, valueFacts } from '../../src/options/facts.js';
import { resolveOptions, type ServerOptions } from '../../src/options/options.js';
import { root } from '../helpers/paths.js';

const directory = mkdtempSync(join(tmpdir(), 'sidetone-options-'));
after(() => rmSync(directory, { recursive: true }));

let files = 0;
function file(content: string): string {
  const path = join(directory, `${files++}.json`);
  writeFileSync(path, content);
  return path;
}

function read(args: readonly string[], environment: Record<string, string> = {}): ServerOptions {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  addServeOptions(command);
  command.parse(args, { from: 'user' });
  return readServeOptions(command.opts(), environment);
}

function refused(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof SidetoneError, String(error));
    assert.equal(error.code, 'SIDETONE_BAD_OPTION');
    return error.message;
  }
  assert.fail('it was taken');
}

const leafOf = (name: string): Leaf => LEAVES.find(leaf => leaf.name === name)!;
const nested = (leaf: Leaf, value: unknown): ServerOptions =>
  leaf.path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as ServerOptions;

/** Right values of an option, each as the library takes it and as a text. */
function values(leaf: Leaf): fc.Arbitrary<{ value: unknown; texts: string[] }> {
  const { kind, min, max, isWhole, choices } = valueFacts(leaf.entry.type);
  const single = (value: unknown, text = String(value)) => ({ value, texts: [text] });
  if (kind === 'boolean') return fc.boolean().map(value => single(value));
  if (kind === 'enum') return fc.constantFrom(...choices!).map(value => single(value));
  if (kind === 'number') {
    const factor = leaf.entry.flagUnit?.factor ?? 1;
    const numbers = isWhole
      ? fc.integer({ min: min!, max: max! })
      : fc.integer({ min: min! * 4, max: max! * 4 }).map(n => n / 4);
    // Some have a hole between their limits.
    const right = numbers.filter(value => v.is(leaf.entry.type, value));
    return right.map(value => single(value, String(value / factor)));
  }
  if (leaf.name === 'outboundCodec') {
    return fc
      .constantFrom(
        ...ENCODINGS.flatMap(encoding =>
          CODECS[encoding].announcedRates.map(sampleRate => ({ encoding, sampleRate })),
        ),
      )
      .map(value => single(value, `${value.encoding}@${value.sampleRate}`));
  }
  const word = fc.stringMatching(/^[A-Za-z0-9_/.+=]{1,20}$/).filter(text => !text.startsWith('-'));
  if (leaf.entry.separator !== undefined) {
    const right = ['allow', 'trustedProxies'].includes(leaf.name) ? fc.ipV4() : word;
    return fc.array(right, { minLength: 1, maxLength: 4 }).map(texts => ({ value: texts, texts }));
  }
  return word.map(text => (leaf.name === 'webhooks.path' ? single('/hooks') : single(text)));
}

for (const leaf of LEAVES.filter(({ entry }) => entry.flag !== undefined)) {
  test(`${leaf.name}: flag, environment and file agree`, () => {
    const isSwitch = valueFacts(leaf.entry.type).kind === 'boolean';
    const names = [flagName(leaf)!, leaf.entry.flagAlias].filter(name => name !== undefined);
    fc.assert(
      fc.property(values(leaf), ({ value, texts }) => {
        const wanted = nested(leaf, value);
        for (const name of names) {
          const args = isSwitch
            ? [value ? name : name.replace('--', '--no-')]
            : texts.flatMap(text => [name, text]);
          assert.deepEqual(read(args), wanted);
        }
        for (const name of environmentNames(leaf)) {
          assert.deepEqual(read([], { [name]: texts.join(leaf.entry.separator ?? '') }), wanted);
        }
        assert.deepEqual(read(['--config', file(JSON.stringify(wanted))]), wanted);
      }),
      { numRuns: 10 },
    );
  });
}

test('the first that is set wins: flag, environment, file, default', () => {
  const config = file(JSON.stringify({ leadMs: 300, chunkMs: 300, opus: { dtx: true, fec: true } }));
  const environment = { SIDETONE_LEAD: '200', SIDETONE_OPUS_DTX: 'off', SIDETONE_CONFIG: config };
  assert.deepEqual(read(['--lead', '100'], environment), {
    leadMs: 100,
    chunkMs: 300,
    opus: { dtx: false, fec: true },
  });
  assert.equal(read([], environment).leadMs, 200);
  assert.deepEqual(read(['--no-opus-fec'], environment).opus, { dtx: false, fec: false });
  assert.deepEqual(read([]), {});
});

test('on/off options in the environment mean what they say, and anything else is refused', () => {
  for (const leaf of LEAVES.filter(({ entry }) => valueFacts(entry.type).kind === 'boolean')) {
    const [name = ''] = environmentNames(leaf);
    for (const [words, value] of [
      [['true', '1', 'yes', 'on', 'TRUE', 'On', 'yEs'], true],
      [['false', '0', 'no', 'off', 'FALSE', 'Off', 'nO'], false],
    ] as const) {
      for (const word of words) assert.deepEqual(read([], { [name]: word }), nested(leaf, value), word);
    }
    for (const word of ['', ' ', '2', 'y', 'ja', 'enabled', 'true false', 'null']) {
      const message = refused(() => read([], { [name]: word }));
      assert.ok(
        message.startsWith(`${name}: ${word.trim() === '' ? 'it is empty' : JSON.stringify(word)}: `),
        message,
      );
      assert.match(message, /true, 1, yes, on, false, 0, no, off/);
    }
    for (const word of ['true', 1, 0, null, 'off']) {
      const path = file(JSON.stringify(nested(leaf, word)));
      const message = refused(() => read(['--config', path]));
      assert.ok(message.includes(`${leaf.name}: ${JSON.stringify(word)}: give true or false`), message);
    }
  }
  assert.equal(resolveOptions(read([], { SIDETONE_CAPTURE_PERSONAL: 'false' })).capturePersonal, false);
  assert.equal(resolveOptions(read([], { SIDETONE_ADMIN: 'true' })).admin, true);
  assert.equal(resolveOptions(read([], { SIDETONE_ADMIN: 'false' })).admin, false);
});

test('wrong numbers and words are refused in all three ways, with name, value and remedy', () => {
  for (const leaf of LEAVES) {
    const { kind, min = 0, max = 0, isWhole } = valueFacts(leaf.entry.type);
    if (leaf.entry.flag === undefined || (kind !== 'number' && kind !== 'enum')) continue;
    const factor = leaf.entry.flagUnit?.factor ?? 1;
    const texts = ['', 'x', 'NaN', 'Infinity', '0x10', '1_000', '12abc'];
    if (kind === 'number') texts.push(String((min - 1) / factor), String((max + 1) / factor));
    if (isWhole) texts.push(`${min + 0.5}`);
    const [variable = ''] = environmentNames(leaf);
    for (const text of texts) {
      const shown = text === '' ? 'it is empty' : text;
      const byFlag = refused(() => read([`${flagName(leaf)}=${text}`]));
      assert.ok(
        byFlag.startsWith(`${flagName(leaf)}: `) && byFlag.includes(shown) && /: give /.test(byFlag),
        byFlag,
      );
      const byVariable = refused(() => read([], { [variable]: text }));
      assert.ok(byVariable.startsWith(`${variable}: `) && byVariable.includes(shown), byVariable);
    }
    for (const value of [null, true, [], {}, 'x', '5', min - 1, max + 1]) {
      const inFile = refused(() => read(['--config', file(JSON.stringify(nested(leaf, value)))]));
      assert.ok(inFile.includes(`${leaf.name}: ${JSON.stringify(value)}: give `), inFile);
    }
  }
});

test('several tokens all count; none of them is ever shown', () => {
  assert.deepEqual(read(['--auth-token', 'a', '--auth-token', 'b,c d']).authToken, ['a', 'b,c d']);
  assert.deepEqual(read([], { SIDETONE_AUTH_TOKEN: 'a b\n c,d\r\n\n' }).authToken, ['a b', 'c,d']);
  const bound = ['a', { token: 'b', callControlId: 'v3:x' }];
  assert.deepEqual(read(['--config', file(JSON.stringify({ authToken: bound }))]).authToken, bound);
  const long = 'S3CRET'.repeat(1000);
  for (const message of [
    refused(() => read(['--auth-token', long])),
    refused(() => read([], { SIDETONE_AUTH_TOKEN: long })),
    refused(() => read(['--config', file(JSON.stringify({ authToken: [long] }))])),
    refused(() => read(['--config', file(JSON.stringify({ authToken: { S3CRET: 1 } }))])),
    refused(() => read(['--config', file('{ "authToken": S3CRET }')])),
    refused(() => resolveOptions({ answer: { streamUrl: 'wss://a/', apiKey: ['S3CRET'] as never } })),
  ]) {
    assert.doesNotMatch(message, /S3CRET/);
  }
  // An empty variable must not open the server to everybody.
  assert.match(
    refused(() => read([], { SIDETONE_AUTH_TOKEN: '' })),
    /^SIDETONE_AUTH_TOKEN: it is empty/,
  );
  assert.match(
    refused(() => read([], { SIDETONE_AUTH_TOKEN: '\n' })),
    /^SIDETONE_AUTH_TOKEN: it is empty/,
  );
});

test('a config file: no object, no JSON, a byte order mark, no file', () => {
  for (const [content, message] of [
    ['[{"port": 1}]', /holds an array: write one object/],
    ['null', /holds null: write one object/],
    ['"port"', /holds a string: write one object/],
    ['{\n  "port": 8080,\n}', /is no JSON.*: correct it/],
    ['', /is no JSON/],
  ] as const) {
    const path = file(content);
    const problem = refused(() => read(['--config', path]));
    assert.ok(problem.startsWith(`config file ${JSON.stringify(path)}: `), problem);
    assert.match(problem, message);
  }
  assert.deepEqual(read(['--config', file('\uFEFF{ "port": 1 }')]), { port: 1 });
  assert.match(
    refused(() => read(['--config', join(directory, 'none.json')])),
    /cannot be read \(ENOENT\)/,
  );
  assert.match(
    refused(() => read(['--config', directory])),
    /cannot be read \(EISDIR\)/,
  );
});

test('each unknown name in a file is reported, with the name that was probably meant', () => {
  const content = {
    prot: 1,
    maxStream: 5,
    drainTimeout: 30,
    plugin: [],
    tlsCert: 'x',
    opus: { bitrate: 1 },
    zzzzqqqq: 1,
  };
  const problem = refused(() => read(['--config', file(JSON.stringify(content))]));
  for (const part of [
    'prot: no such option: did you mean port?',
    'maxStream: no such option: did you mean streamsMax?',
    'drainTimeout: no such option: did you mean drainTimeoutMs?',
    'plugin: no such option: did you mean plugins?',
    'tlsCert: no such option: did you mean tls.cert?',
    'opus.bitrate: no such option: did you mean opus.bitrateBps?',
    'zzzzqqqq: no such option; leave out what docs/options.md does not list',
  ]) {
    assert.ok(problem.includes(part), `${part} in ${problem}`);
  }
});

test('older names go on working in file and library; both at once are refused', () => {
  const old = { maxStreams: 7, maxMessageBytes: 2048, maxBackpressureBytes: 8192 };
  const resolved = resolveOptions(old);
  assert.deepEqual(
    [resolved.streamsMax, resolved.messageBytesMax, resolved.backpressureBytesMax],
    [7, 2048, 8192],
  );
  assert.deepEqual(read(['--config', file(JSON.stringify(old)), '--max-streams', '9']), {
    streamsMax: 9,
    messageBytesMax: 2048,
    backpressureBytesMax: 8192,
  });
  assert.match(
    refused(() => resolveOptions({ maxStreams: 7, streamsMax: 7 })),
    /^maxStreams: 7: .*older name of streamsMax/,
  );
  assert.match(
    refused(() => resolveOptions({ maxStreams: 0 })),
    /^maxStreams: 0: give a whole number from 1 to 1000000/,
  );
});

test('half of a pair is refused with the name of the other half', () => {
  assert.match(
    refused(() => resolveOptions(read(['--tls-cert', 'x']))),
    /^tls\.key, --tls-key: missing: tls\.cert/,
  );
  assert.match(
    refused(() => resolveOptions(read(['--answer-track', 'both']))),
    /^answer\.streamUrl, --answer: missing: answer\.track/,
  );
  assert.deepEqual(read(['--tls-key', 'k', '--config', file('{ "tls": { "cert": "c" } }')]).tls, {
    cert: 'c',
    key: 'k',
  });
});

test('variables that nobody reads are reported with the nearest name; those that the code reads are known', () => {
  assert.deepEqual(
    unknownVariables({ SIDETONE_MAX_STREAM: '1', PATH: 'x', SIDETONE_PORT: '1', SIDETONE_REALTIME_X: '' }),
    [{ name: 'SIDETONE_MAX_STREAM', meant: 'SIDETONE_MAX_STREAMS' }],
  );
  assert.deepEqual(unknownVariables({ SIDETONE_QQQQZZZZXX: '1' }), [
    { name: 'SIDETONE_QQQQZZZZXX', meant: undefined },
  ]);
  const read = new Set<string>();
  for (const folder of ['src', 'test', 'bench', 'examples']) {
    for (const path of readdirSync(join(root, folder), { recursive: true }) as string[]) {
      if (!/\.[cm]?ts$/.test(path)) continue;
      const text = readFileSync(join(root, folder, path), 'utf8');
      for (const [, name] of text.matchAll(/process\.env\.(SIDETONE_\w+)/g)) read.add(name!);
    }
  }
  assert.ok(read.has('SIDETONE_ADDON') && read.has('SIDETONE_RECORD_DIR'));
  assert.deepEqual(unknownVariables(Object.fromEntries([...read].map(name => [name, '1']))), []);
});

test('the help of every flag shows its limits', () => {
  const command = new Command();
  addServeOptions(command);
  for (const leaf of LEAVES) {
    if (leaf.entry.flag === undefined) continue;
    const option = command.options.find(each => each.long === flagName(leaf));
    assert.ok(option, leaf.name);
    assert.ok(option.description.includes(environmentNames(leaf)[0]!), leaf.name);
  }
  const drain = command.options.find(({ long }) => long === '--drain-timeout')!;
  assert.match(drain.description, /\(0 to 86400 s; default: 30; env: SIDETONE_DRAIN_TIMEOUT\)$/);
  assert.ok(leafOf('streamsMax').entry.flagAlias);
});

test("the admin port's token comes from a file, and no message shows it", () => {
  const path = join(directory, 'admin-token');
  writeFileSync(path, 's3cret\n');
  assert.equal(readServeOptions({ adminTokenFile: path }, {}).adminToken, 's3cret');
  assert.equal(readServeOptions({}, { SIDETONE_ADMIN_TOKEN_FILE: path }).adminToken, 's3cret');
  const wrong: [() => unknown, RegExp][] = [
    [
      () => readServeOptions({ adminToken: 's3cret', adminTokenFile: path }, {}),
      /--admin-token-file: .*leave one out/,
    ],
    [() => readServeOptions({ adminTokenFile: join(directory, 'none') }, {}), /--admin-token-file: .*ENOENT/],
  ];
  for (const [read, message] of wrong) {
    assert.throws(read, error => {
      assert.match(String(error), message);
      assert.doesNotMatch(String(error), /s3cret/);
      return true;
    });
  }
  writeFileSync(path, 's3cret\nother\n');
  assert.throws(() => readServeOptions({ adminTokenFile: path }, {}), /several tokens/);
});
