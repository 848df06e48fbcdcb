import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { root } from '../helpers/paths.js';
import { type RestDouble, startRestDouble } from '../helpers/rest-double.js';

const KEY = 'KEY0123456789abcdef_secret';
const URL = 'wss://voice.example.com/media';

/** Runs the program. */
async function sidetone(
  args: string[],
  { input = '', env = {} as Record<string, string> } = {},
): Promise<{ code: number | null; out: string; err: string }> {
  const { TELNYX_API_KEY: _, SIDETONE_AUTH_TOKEN: __, ...clean } = process.env;
  const child = spawn(process.execPath, ['dist/src/cli/main.js', ...args], {
    cwd: root,
    env: { ...clean, ...env },
  });
  let out = '';
  let err = '';
  child.stdout.on('data', data => {
    out += String(data);
  });
  child.stderr.on('data', data => {
    err += String(data);
  });
  child.stdin.end(input);
  const code = await new Promise<number | null>(resolve => child.on('close', resolve));
  return { code, out, err };
}

let folder: string;
let double: RestDouble;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sidetone-'));
  double = await startRestDouble(KEY);
});
after(async () => {
  rmSync(folder, { recursive: true });
  await double.close();
});
beforeEach(() => {
  double.requests.length = 0;
});
function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe('sidetone check', () => {
  it('exits 0 for a good request, 0 with warnings, 1 with errors, 2 without a file', async () => {
    const good = file(
      'good.json',
      JSON.stringify({
        stream_url: URL,
        stream_bidirectional_mode: 'rtp',
        stream_bidirectional_target_legs: 'self',
      }),
    );
    const warned = file('warned.json', JSON.stringify({ stream_url: URL }));
    const bad = file('bad.json', JSON.stringify({ stream_url: 'https://voice.example.com' }));
    assert.deepEqual(await sidetone(['check', good]), {
      code: 0,
      out: 'streaming_start: 0 errors, 0 warnings\n',
      err: '',
    });
    const warning = await sidetone(['check', warned]);
    assert.equal(warning.code, 0);
    assert.match(warning.out, /warning \[mp3_by_default\] stream_bidirectional_mode: /);
    const error = await sidetone(['check', bad, '--json']);
    assert.equal(error.code, 1);
    const { ok, findings } = JSON.parse(error.out);
    assert.equal(ok, false);
    assert.equal(findings[0].field, 'stream_url');
    assert.deepEqual(Object.keys(findings[0]), ['code', 'field', 'value', 'problem', 'remedy', 'severity']);
    const none = await sidetone(['check', join(folder, 'none.json')]);
    assert.equal(none.code, 2);
    assert.match(none.err, /none\.json": ENOENT/);
  });

  it('takes --for, knows TeXML by its look, and reads standard input', async () => {
    const dial = file('dial.json', JSON.stringify({ stream_url: URL }));
    const missing = JSON.parse((await sidetone(['check', dial, '--for', 'dial', '--json'])).out);
    assert.deepEqual(
      missing.findings
        .filter((finding: { code: string }) => finding.code === 'missing_field')
        .map((finding: { field: string }) => finding.field),
      ['connection_id', 'from', 'to'],
    );
    const texml = await sidetone(['check', '-', '--json'], {
      input: '\n<Response><Connect><Stream url="x"/></Connect></Response>',
    });
    assert.equal(texml.code, 1);
    assert.equal(JSON.parse(texml.out).for, 'texml');
    const broken = await sidetone(['check', '-'], { input: '{' });
    assert.equal(broken.code, 1);
    assert.match(broken.out, /bad_json/);
  });
});

describe('sidetone start', () => {
  const base = (): string[] => ['start', 'v3:call', '--url', URL, '--api-base', double.base];
  const env = { TELNYX_API_KEY: KEY };

  it('sends every field of the page', async () => {
    const token = file('token', 'stream-token-secret\n');
    const args = [
      ...base(),
      '--track',
      'both_tracks',
      '--stream-codec',
      'PCMU',
      '--codec',
      'L16',
      '--sampling-rate',
      '16000',
      '--target-legs',
      'both',
      '--auth-token-file',
      token,
      '--custom-parameter',
      'a=b=c',
      '--custom-parameter',
      'd=',
      '--dialogflow',
      '--analyze-sentiment',
      '--partial-automated-agent-reply',
      '--client-state',
      'aGF2ZQ==',
      '--command-id',
      'c1',
      '--no-announce',
      '--json',
    ];
    const { code, out, err } = await sidetone(args, { env });
    assert.equal(code, 0, err);
    assert.deepEqual(JSON.parse(out), {
      ok: true,
      call_control_id: 'v3:call',
      command_id: 'c1',
      attempts: 1,
      findings: [],
    });
    assert.deepEqual(double.requests[0]?.body, {
      stream_url: URL,
      stream_track: 'both_tracks',
      stream_codec: 'PCMU',
      stream_bidirectional_mode: 'rtp',
      stream_bidirectional_target_legs: 'both',
      stream_bidirectional_codec: 'L16',
      stream_bidirectional_sampling_rate: 16000,
      stream_auth_token: 'stream-token-secret',
      custom_parameters: [
        { name: 'a', value: 'b=c' },
        { name: 'd', value: '' },
      ],
      enable_dialogflow: true,
      dialogflow_config: { analyze_sentiment: true, partial_automated_agent_reply: true },
      client_state: 'aGF2ZQ==',
      command_id: 'c1',
    });
  });

  it('takes the names of the page too, and tells the server what it is to send', async () => {
    const args = [
      'start',
      'v3:call',
      '--stream-url',
      URL,
      '--stream-bidirectional-codec',
      'G722',
      '--api-base',
      double.base,
    ];
    const { code, out } = await sidetone(args, { env });
    assert.equal(code, 0);
    assert.match(out, /^streaming started on v3:call, command_id [0-9a-f-]{36}\n$/);
    assert.deepEqual(double.requests[0]?.body.custom_parameters, [
      { name: 'sidetone_outbound', value: 'rtp/G722/8000/inbound' },
    ]);
    assert.equal(double.requests[0]?.body.stream_bidirectional_target_legs, 'self');
  });

  it('exits 2 for what the checker refuses and sends nothing; 1 for what Telnyx refuses', async () => {
    const refused = await sidetone([...base(), '--codec', 'pcmu'], { env });
    assert.equal(refused.code, 2);
    assert.match(refused.err, /error \[wrong_case\] stream_bidirectional_codec = "pcmu"/);
    assert.equal((await sidetone([...base(), '--codec', 'PCMU'])).code, 2);
    assert.equal(double.requests.length, 0);
    double.ended.add('v3:call');
    const ended = await sidetone([...base(), '--json'], { env });
    double.ended.clear();
    assert.equal(ended.code, 1);
    const { error } = JSON.parse(ended.out);
    assert.deepEqual([error.code, error.status, error.telnyxCode], ['SIDETONE_TELNYX_ERROR', 422, '90018']);
  });

  it('exits 2 for bad usage', async () => {
    for (const args of [
      ['start'],
      [...base(), '--custom-parameter', 'a'],
      [...base(), '--retries', 'x'],
      ['check'],
    ]) {
      assert.equal((await sidetone(args, { env })).code, 2, args.join(' '));
    }
  });

  it('never prints the key or the token', async () => {
    const secrets = {
      ...env,
      SIDETONE_AUTH_TOKEN: 'stream-token-secret',
      TELNYX_LOG: 'debug',
      TELNYX_BASE_URL: 'http://127.0.0.1:1',
    };
    const echo = JSON.stringify({ errors: [{ code: '1', title: KEY, detail: 'stream-token-secret' }] });
    const runs: string[] = [];
    for (const args of [[], ['--json'], ['--dry-run'], ['--dry-run', '--json']]) {
      if (!args.includes('--dry-run')) double.failNext({ status: 422, times: 1, body: echo });
      const { out, err } = await sidetone([...base(), ...args], { env: secrets });
      runs.push(out + err);
    }
    for (const said of runs)
      assert.ok(said.length > 0 && !said.includes(KEY) && !said.includes('stream-token-secret'), said);
    assert.equal(
      double.requests.filter(request => request.headers.authorization === `Bearer ${KEY}`).length,
      2,
    );
  });
});
