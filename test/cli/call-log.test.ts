/** The log of `sidetone serve` as whoever collects it gets it: JSON lines on stdout. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { root } from '../helpers/paths.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { type ServeChild, serveChild } from '../helpers/serve-child.js';
import { eventually } from '../helpers/servers.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';
import { createWebhookSigner, webhookBody } from '../helpers/webhooks.js';

const WITHIN_MS = 30_000;
/** None of these may stand in a log at the default level. */
const PERSONAL = {
  from: '+13125550123',
  to: '+13125550188',
  client_state: 'aGlkZGVuLXN0YXRl',
  custom_parameters: { account: 'account-of-the-caller' },
};
const TOKEN = 'token-of-the-stream';
const SECRETS = ['3125550123', '3125550188', 'aGlkZGVuLXN0YXRl', 'account-of-the-caller', TOKEN];
/** What pino writes by itself. */
const FRAME_FIELDS = ['level', 'time', 'pid', 'hostname', 'msg'];

type Line = Record<string, unknown> & { msg: string };

function linesOf(child: ServeChild): Line[] {
  return child
    .output()
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as Line);
}

/** Fields of the table in docs/admin.md under `## Log`, with the lines that they are in. */
function documentedFields(): Map<string, string> {
  const page = readFileSync(join(root, 'docs/admin.md'), 'utf8');
  const section = /^## Log\n([\s\S]*?)^## /m.exec(page)![1]!;
  const fields = new Map<string, string>();
  for (const [, names, where] of section.matchAll(/^\| ((?:`\w+` )+)\| ([^|]+) \|/gm)) {
    for (const [, name] of names!.matchAll(/`(\w+)`/g))
      fields.set(name!, `${fields.get(name!) ?? ''} ${where}`);
  }
  return fields;
}

describe('the log of a call', () => {
  const { publicKey, headers } = createWebhookSigner();
  let child: ServeChild | undefined;
  after(() => child?.kill());

  it('is JSON lines with the fields that are documented, each with the ids, without a secret', async () => {
    const args = ['--reactors', '2', '--plugin', 'echo', '--webhook-public-key', publicKey];
    child = await serveChild(args, { environment: { SIDETONE_AUTH_TOKEN: TOKEN } });
    const serving = child;
    const call = new WireCall({ streamId: 'stream-of-the-call', callControlId: 'v3:the-call' });
    const socket = await RawSocket.open(child.port, {
      headers: { 'x-telnyx-streaming-auth-token': TOKEN },
    });
    assert.equal(socket.status, 101, socket.headers);
    socket.send(call.connected(TOKEN));
    socket.send(call.start(PERSONAL));
    for (const payload of payloads(10)) socket.send(call.media(payload));
    await eventually(() => socket.messages('media').length > 0, 'the echo', WITHIN_MS);
    const ids = { call_control_id: call.callControlId, stream_id: call.streamId };
    const failed = webhookBody('streaming.failed', 'event-1', {
      ...ids,
      ...PERSONAL,
      failure_reason: 'connection_failed',
    });
    const reply = await fetch(`http://127.0.0.1:${child.port}/telnyx/webhooks`, {
      method: 'POST',
      headers: headers(failed, Date.now()) as Record<string, string>,
      body: Buffer.from(failed),
    });
    assert.equal(reply.status, 200);
    const { user_id } = (call.start() as { start: { user_id: string } }).start;
    socket.send({
      event: 'stop',
      sequence_number: call.next(),
      stream_id: call.streamId,
      stop: { user_id, call_control_id: call.callControlId },
    });
    const ended = (): boolean => serving.output().includes('"stream ended"');
    await eventually(ended, 'the line of the end', WITHIN_MS);
    socket.destroy();
    assert.deepEqual(await child.stop(), { code: 0, signal: null });

    for (const secret of SECRETS) assert.ok(!child.output().includes(secret), `${secret} is in the log`);
    const lines = linesOf(child).filter(line => 'stream' in line || 'call' in line);
    const byMessage = new Map(lines.map(line => [line.msg, line]));
    assert.deepEqual([...byMessage.keys()].sort(), [
      'Telnyx could not stream',
      'stream ended',
      'stream started',
    ]);
    assert.equal(lines.length, 3, 'one line at the start, one at the end, one of the webhook');
    for (const { stream, call: id, msg } of lines) {
      assert.deepEqual({ stream, call: id }, { stream: call.streamId, call: call.callControlId }, msg);
    }
    const end = byMessage.get('stream ended')!;
    assert.equal(end.reason, 'stop');
    assert.equal(end.mediaReceived, 10);
    assert.ok((end.bytesSent as number) > 0);
    assert.ok(end.reactor === 0 || end.reactor === 1);

    const documented = documentedFields();
    for (const [message, part] of [
      ['stream started', 'start'],
      ['stream ended', 'end'],
    ] as const) {
      const has = Object.keys(byMessage.get(message)!).filter(name => !FRAME_FIELDS.includes(name));
      const wanted = [...documented].filter(
        ([, where]) => where.includes('every line') || where.split(/[ ,]+/).includes(part),
      );
      assert.deepEqual(has.sort(), wanted.map(([name]) => name).sort(), message);
    }
    for (const name of Object.keys(byMessage.get('Telnyx could not stream')!)) {
      assert.ok(FRAME_FIELDS.includes(name) || documented.has(name), `${name} is not in docs/admin.md`);
    }
  });
});
