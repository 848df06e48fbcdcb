/** Texts that are no proper messages, and payloads that are no proper audio (rows 14 to 21), over real sockets. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import type { Server } from '../../src/index.js';
import { RawSocket } from '../helpers/raw-socket.js';
import {
  beside,
  counts,
  eventually,
  growth,
  startedCall,
  startServer,
  stopServer,
} from '../helpers/servers.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';

let server: Server;
before(async () => {
  server = await startServer([], { malformedMax: 20 });
});
afterEach(() => RawSocket.destroyAll());
after(() => stopServer(server));

/** Says one good frame and expects its echo as the next audio: the stream has survived what came before. */
async function stillEchoes(socket: RawSocket, call: WireCall, bytes = 160): Promise<void> {
  const before = socket.audio().length;
  const payload = payloads(1, bytes, call.sequence)[0]!;
  socket.send(call.media(payload));
  await socket.until(() => socket.audio().length >= before + bytes, 'the echo');
  assert.deepEqual(socket.audio().subarray(before), Buffer.from(payload));
}

/** What one stream's texts are refused for. `faulty` numbers messages apart from the stream's own. */
async function refusals(texts: (faulty: WireCall) => readonly (string | object)[]) {
  const grown = await beside(server, async () => {
    const { socket, call } = await startedCall(server);
    for (const text of texts(new WireCall({ streamId: call.streamId }))) socket.send(text);
    await stillEchoes(socket, call);
    socket.destroy();
  });
  return Object.fromEntries(Object.entries(grown).filter(([name]) => name.startsWith('refused')));
}

test('fault 14: JSON that does not parse is counted; at the configured number the stream closes', async () => {
  const texts = [
    '{"event":"media"',
    '',
    '{',
    '}',
    'null x',
    '{"event":"med',
    "{'event':'media'}",
    'NaN',
    '{,}',
  ];
  assert.deepEqual(await refusals(() => texts), {
    refusedMessages: texts.length,
    'refused.bad_json': texts.length,
  });
  const grown = await beside(server, async () => {
    const { socket } = await startedCall(server);
    for (let i = 0; i < 19; i++) socket.send('{');
    socket.send({ event: 'weather' });
    await eventually(async () => (await counts(server)).unknownEvents! > 0, 'the last of them is read');
    assert.equal(server.streams, 2, 'one below the number, the stream is open');
    socket.send('{');
    await socket.end();
    assert.equal(socket.closeCode, 1008);
  });
  assert.equal(grown['refused.bad_json'], 20);
  assert.equal(grown.protocolErrors, 1);
});

test('fault 15: nesting as deep as a message can be is read and ignored', async () => {
  const grown = await beside(server, async () => {
    const { socket, call } = await startedCall(server);
    for (const depth of [10_000, 32_000]) {
      const nested = `${'['.repeat(depth)}${']'.repeat(depth)}`;
      socket.send(nested);
      socket.send(`{"event":"media","media":${nested}}`);
      const payload = payloads(1)[0]!;
      const media = JSON.stringify(call.media(payload));
      const before = socket.audio().length;
      socket.send(`{"deep":${nested},${media.slice(1)}`);
      await socket.until(() => socket.audio().length > before, 'the echo');
      assert.deepEqual(socket.audio().subarray(before), Buffer.from(payload));
      const objects = `${'{"media":'.repeat(6000)}1${'}'.repeat(6000)}`;
      socket.send(`{"event":"media","media":${objects}}`);
    }
    await stillEchoes(socket, call);
    socket.destroy();
  });
  assert.equal(grown['refused.not_an_object'], 2);
  assert.equal(grown.refusedMessages, 6);
  assert.equal(grown.unknownKeys, 2);
});

test('fault 16: __proto__ is a key like any other; of duplicate keys the last one counts', async () => {
  const grown = await beside(server, async () => {
    const { socket, call } = await startedCall(server);
    const [wrong, right] = payloads(2) as [Uint8Array, Uint8Array];
    const media = call.media(right);
    const text = JSON.stringify(media);
    const other = Buffer.from(wrong).toString('base64');
    const twice = text.replace('"payload":', `"payload":"${other}","payload":`);
    const poisoned = twice.replace(
      '{',
      '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},',
    );
    assert.notEqual(poisoned, text);
    socket.send(poisoned);
    await socket.until(() => socket.audio().length > 0, 'the echo');
    assert.deepEqual(socket.audio(), Buffer.from(right));
    // The last one counts where it is wrong, too, and where it stands on the outside.
    const faulty = new WireCall({ streamId: call.streamId });
    socket.send(JSON.stringify(faulty.media(wrong)).replace('}}', '},"media":7}'));
    await stillEchoes(socket, call);
    socket.destroy();
  });
  assert.equal(grown['refused.wrong_type'], 1);
  assert.equal(grown.unknownKeys, 2);
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
});

test('fault 17: wrong types, NaN and numbers beyond 2^53 refuse that message alone', async () => {
  const found = await refusals(faulty => {
    const good = faulty.media(payloads(1)[0]!);
    const text = JSON.stringify(good);
    return [
      { ...good, sequence_number: 4.5 },
      { ...good, media: { ...good.media, payload: 7 } },
      { ...good, media: [] },
      { ...good, media: { ...good.media, chunk: null } },
      text.replace('"inbound"', 'NaN'),
      text.replace(/"sequence_number":"\d+"/, '"sequence_number":"9007199254740992"'),
      text.replace(/"timestamp":"\d+"/, '"timestamp":"-1"'),
      text.replace(/"chunk":"\d+"/, '"chunk":"1e3"'),
      { ...good, media: { ...good.media, track: 'sideways' } },
      { ...good, stream_id: '' },
      { event: 7 },
      [good],
      { ...good, stream_id: 'of another stream' },
    ];
  });
  assert.deepEqual(found, {
    refusedMessages: 13,
    'refused.wrong_type': 4,
    'refused.bad_json': 1,
    'refused.bad_value': 6,
    'refused.not_an_object': 1,
    'refused.foreign_stream': 1,
  });
});

test('sequence, chunk and timestamp as JSON numbers are heard like strings, without the JSON parser', async () => {
  const spoken = payloads(50);
  const grown = await growth(server, async () => {
    const { socket, call } = await startedCall(server);
    for (const payload of spoken) {
      const media = JSON.stringify(call.media(payload));
      socket.send(media.replace(/"(sequence_number|chunk|timestamp)":"(\d+)"/g, '"$1":$2'));
    }
    const expected = Buffer.concat(spoken);
    await socket.until(() => socket.audio().length === expected.length, 'the echo', 30_000);
    assert.deepEqual(socket.audio(), expected);
    socket.destroy();
  });
  assert.equal(grown.mediaReceived, 50);
  assert.equal(grown.mediaParsedFully, undefined);
  assert.equal(grown.refusedMessages, undefined);
});

test('fault 18: base64 other than the standard alphabet with its padding is refused', async () => {
  const wrong = ['AAA', 'AA=A', 'A===', 'AA==AAAA', '-_-_', 'AA AA', 'AAAA\n', 'AAAA====', '====', 'AAAé'];
  // The wrong character at places that vectors of every width hold differently.
  for (let at = 0; at < 5; at++) wrong.push(`${'A'.repeat(at * 16)}*${'A'.repeat(79 - at * 16)}`);
  const found = await refusals(faulty =>
    wrong.map(payload => {
      const good = faulty.media(Uint8Array.of(1));
      return { ...good, media: { ...good.media, payload } };
    }),
  );
  assert.deepEqual(found, { refusedMessages: wrong.length, 'refused.bad_base64': wrong.length });
  // The bits that padding leaves over are ignored.
  const { socket, call } = await startedCall(server);
  const media = call.media(payloads(1)[0]!);
  const spare = media.media.payload.replace(
    /(.)==$/,
    (_, last) => `${String.fromCharCode(last.charCodeAt(0) + 1)}==`,
  );
  assert.notEqual(spare, media.media.payload);
  socket.send({ ...media, media: { ...media.media, payload: spare } });
  await socket.until(() => socket.audio().length > 0, 'the echo');
  assert.deepEqual(socket.audio(), Buffer.from(payloads(1)[0]!));
  socket.destroy();
});

test('fault 19: an empty payload is no frame', async () => {
  const grown = await beside(server, async () => {
    const { socket, call } = await startedCall(server);
    for (let i = 0; i < 5; i++) {
      socket.send(call.media(new Uint8Array()));
      await stillEchoes(socket, call);
    }
    assert.equal(socket.audio().length, 5 * 160);
    socket.destroy();
  });
  assert.equal(grown.emptyPayloads, 5);
});

test('fault 20: a payload of a megabyte ends that connection before it is decoded', async () => {
  const grown = await beside(server, async () => {
    const { socket, call } = await startedCall(server);
    await stillEchoes(socket, call);
    socket.send(call.media(new Uint8Array(1 << 20)));
    await socket.end();
  });
  assert.equal(grown['refused.websocket_too_big'], 1);
  // The largest payload that a message can carry is heard, in frames of 60 ms.
  const { socket, call } = await startedCall(server);
  const [longest] = payloads(1, 48_000) as [Uint8Array];
  socket.send(call.media(longest));
  await socket.until(() => socket.audio().length > 0, 'the echo');
  assert.deepEqual(socket.audio(), Buffer.from(longest).subarray(0, socket.audio().length));
  socket.destroy();
});

test('fault 21: the odd last byte of an L16 payload is dropped and counted', async () => {
  const grown = await beside(server, async () => {
    const { socket, call } = await startedCall(server, { encoding: 'L16' });
    const [odd, one] = [payloads(1, 641)[0]!, payloads(1, 1)[0]!];
    socket.send(call.media(odd));
    socket.send({ ...call.media(one) });
    await socket.until(() => socket.audio().length >= 640, 'the echo');
    assert.deepEqual(socket.audio(), Buffer.from(odd.subarray(0, 640)));
    await stillEchoes(socket, call, 640);
    socket.destroy();
  });
  assert.equal(grown.badPayloads, 2);
});
