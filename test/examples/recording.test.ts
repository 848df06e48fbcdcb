/** examples/recording.ts with real sockets, files and an S3 server. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import recording from '../../examples/recording.js';
import { parseWav } from '../../src/audio/wav.js';
import { createServer, type Server } from '../../src/index.js';
import { testCall } from '../../src/testing/index.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { KEYS, S3Server } from '../helpers/s3-server.js';
import { counts, eventually, startedCall } from '../helpers/servers.js';
import { speechLike } from '../helpers/speech.js';

const BUCKET = 'calls';
const home = mkdtempSync(join(tmpdir(), 'sidetone-s3-'));
let s3: S3Server;
before(async () => {
  s3 = await S3Server.start(join(home, 's3'), BUCKET);
});
afterEach(() => RawSocket.destroyAll());
after(async () => {
  await s3.close();
  rmSync(home, { recursive: true });
});

const settings = (directory: string, more: object = {}) => ({
  directory: join(home, directory),
  bucket: `${s3.url}/${BUCKET}`,
  prefix: `${directory}/`,
  retryMs: 1,
  ...KEYS,
  ...more,
});
const objects = async (directory: string): Promise<string[]> =>
  (await s3.keys(BUCKET)).filter(key => key.startsWith(`${directory}/`));

async function serving(options: object, run: (server: Server) => Promise<void>): Promise<void> {
  const plugins = [{ module: recording, options }];
  const server = await createServer({ port: 0, admin: false, logLevel: 'silent', plugins });
  await server.listen();
  try {
    await run(server);
  } finally {
    // Once: a second call would not wait for uploads.
    await server.close();
  }
}

const SAID = speechLike(16000, 2);
const payload = (frame: number): Uint8Array =>
  new Uint8Array(SAID.buffer, SAID.byteOffset + frame * 640, 640);

/** A call over a socket that says SAID and hangs up; its stream_id. */
async function recorded(server: Server): Promise<string> {
  const { socket, call } = await startedCall(server, {
    path: '/recording',
    encoding: 'L16',
    sampleRate: 16000,
  });
  for (let frame = 0; frame < SAID.length / 320; frame++) socket.send(call.media(payload(frame)));
  socket.send(call.stop());
  return call.streamId;
}

function holdsWhatWasSaid(bytes: Buffer): void {
  const { channels, sampleRate } = parseWav(bytes);
  assert.equal(sampleRate, 16000);
  const left = Buffer.from(channels[0]!.buffer, channels[0]!.byteOffset, channels[0]!.byteLength);
  assert.ok(left.includes(Buffer.from(SAID.buffer, SAID.byteOffset, SAID.byteLength)), 'sample for sample');
}

test('each call becomes an object with its date in the name, and leaves the disk', async () => {
  await serving(settings('plain'), async server => {
    const id = await recorded(server);
    await eventually(async () => (await objects('plain')).length === 1, 'the object');
    const [key] = await objects('plain');
    assert.match(
      key!,
      new RegExp(`^plain/\\d{4}/\\d\\d/\\d\\d/${id.replace(/[^A-Za-z0-9_-]/g, '_')}\\.wav$`),
    );
    const { bytes, type } = await s3.object(BUCKET, key!);
    assert.equal(type, 'audio/wav');
    holdsWhatWasSaid(bytes);
    assert.equal(Number(s3.uploads.at(-1)!['content-length']), bytes.length);
    assert.equal(s3.uploads.at(-1)!['transfer-encoding'], undefined);
    await eventually(() => readdirSync(join(home, 'plain')).length === 0, 'the end of the file');
  });
});

test('a server that closes waits for the upload; several calls go at a time', async () => {
  await serving(settings('closing', { uploadsMax: 2 }), async server => {
    const ids = new Set(await Promise.all(Array.from({ length: 5 }, () => recorded(server))));
    assert.equal(ids.size, 5);
    await eventually(async () => (await counts(server)).streamsStopped === 5, 'the end of the calls');
  });
  assert.equal((await objects('closing')).length, 5);
  assert.deepEqual(readdirSync(join(home, 'closing')), []);
});

test('what fails is tried again; what cannot be stored stays, and the next start takes it', async () => {
  s3.failures = 2;
  let call = await testCall(recording, { encoding: 'L16', options: settings('again') });
  await call.advance(call.say({ samples: SAID, sampleRate: 16000 }) + 100);
  await call.hangup();
  assert.equal(await call.metric('upload_retries'), 2);
  assert.equal(await call.metric('uploads', { outcome: 'done' }), 1);
  assert.equal(await call.metric('uploads_waiting'), 0);
  assert.equal((await objects('again')).length, 1);

  s3.failures = 3;
  call = await testCall(recording, { encoding: 'L16', options: settings('left', { attempts: 3 }) });
  await call.advance(call.say({ samples: SAID, sampleRate: 16000 }) + 100);
  await call.hangup();
  assert.equal(await call.metric('uploads', { outcome: 'failed' }), 1);
  const line = call.log.find(({ msg }) => msg?.startsWith('a recording stays on disk'))!;
  assert.match((line.err as Error).message, /503: .*SlowDown/);
  assert.doesNotMatch(JSON.stringify(call.log), /"S3RVER"/);
  const [left, ...others] = readdirSync(join(home, 'left'));
  assert.deepEqual(others, []);
  assert.deepEqual(await objects('left'), []);
  await serving(settings('left'), async () => {
    await eventually(() => !existsSync(join(home, 'left', left!)), 'the upload of the old file');
  });
  const [key] = await objects('left');
  assert.ok(key!.endsWith(left!));
  holdsWhatWasSaid((await s3.object(BUCKET, key!)).bytes);
});

test('a bucket that is not there and keys that are wrong end the start', async () => {
  for (const [more, why] of [
    [
      { bucket: `${s3.url}/nowhere` },
      /recording: setup failed: bucket .*nowhere: there is no such bucket \(404\)/,
    ],
    [
      { secretAccessKey: 'wrong' },
      /recording: setup failed: bucket .*calls: the keys do not open it \(403\)/,
    ],
  ] as const) {
    await assert.rejects(testCall(recording, { options: settings('none', more) }), {
      code: 'SIDETONE_SETUP_FAILED',
      message: why,
    });
  }
  await assert.rejects(testCall(recording, { options: settings('none', { secretAccessKey: '' }) }), {
    message: /^plugin recording: options\.secretAccessKey: /,
  });
});
