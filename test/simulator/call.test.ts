import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { frames, makeCall, pcmu } from './harness.js';

test('connected, start, media and stop stand on the wire as the specification shows them', () => {
  const { clock, call, sent, closes } = makeCall({
    inbound: frames(2),
    durationMs: 50,
    streamId: '32DE0DEA-53CB-4B21-89A4-9E1819C043BC',
    userId: '3E6F995F-85F7-4705-9741-53B116D28237',
    callControlId: 'v2:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ',
    callSessionId: 'ff55a038-6f5d-11ef-9692-02420aeffb1f',
    from: '+13122010094',
    to: '+13122123456',
    tags: ['TAG1', 'TAG2'],
    clientState: 'aGF2ZSBhIG5pY2UgZGF5ID1d',
    customParameters: { customer_id: 'customer_123' },
    authToken: 'secret',
  });
  call.opened();
  clock.advance(60);
  const stream_id = '32DE0DEA-53CB-4B21-89A4-9E1819C043BC';
  const media = (i: number) => ({
    event: 'media',
    sequence_number: String(i + 2),
    stream_id,
    media: {
      track: 'inbound',
      chunk: String(i + 1),
      timestamp: String(i * 160),
      payload: Buffer.from(frames(2)[i]!).toString('base64'),
    },
  });
  assert.deepEqual(
    sent.map(({ frame }) => frame),
    [
      { event: 'connected', version: '1.0.0', connected: { 'x-telnyx-streaming-auth-token': 'secret' } },
      {
        event: 'start',
        sequence_number: '1',
        stream_id,
        start: {
          user_id: '3E6F995F-85F7-4705-9741-53B116D28237',
          call_control_id: 'v2:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ',
          call_session_id: 'ff55a038-6f5d-11ef-9692-02420aeffb1f',
          from: '+13122010094',
          to: '+13122123456',
          tags: ['TAG1', 'TAG2'],
          client_state: 'aGF2ZSBhIG5pY2UgZGF5ID1d',
          custom_parameters: { customer_id: 'customer_123' },
          media_format: { encoding: 'PCMU', sample_rate: 8000, channels: 1 },
        },
      },
      media(0),
      media(1),
      {
        event: 'stop',
        sequence_number: '4',
        stream_id,
        stop: {
          user_id: '3E6F995F-85F7-4705-9741-53B116D28237',
          call_control_id: 'v2:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ',
        },
      },
    ],
  );
  assert.deepEqual(
    sent.map(({ atMs }) => atMs),
    [0, 0, 0, 20, 50],
  );
  assert.deepEqual(closes, [1000]);
  assert.equal(call.result().ended, 'by the caller');
  assert.equal(call.result().durationMs, 50);
});

test('without a token, tags, client state and parameters, connected and start leave those keys out', () => {
  const { call, sent } = makeCall();
  call.opened();
  assert.deepEqual(sent[0]!.frame, { event: 'connected', version: '1.0.0' });
  assert.deepEqual(Object.keys(sent[1]!.frame.start), [
    'user_id',
    'call_control_id',
    'call_session_id',
    'from',
    'to',
    'media_format',
  ]);
  assert.match(
    sent[1]!.frame.stream_id,
    /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  );
});

test('the default length of a call is its audio and a second; idle frames fill what is left', () => {
  const idle = new Uint8Array(160).fill(0xff);
  const { clock, call, events } = makeCall({ inbound: frames(5), idle, durationMs: undefined });
  call.opened();
  clock.advance(5000);
  assert.equal(call.result().durationMs, 1100);
  assert.equal(events('media').length, 55);
  assert.equal(events('media')[5]!.frame.media.payload, Buffer.from(idle).toString('base64'));
  assert.equal(call.result().echo.sent, 5);
});

test('start waits for the answer; hanging up before it closes without stop', () => {
  const { clock, call, sent, closes } = makeCall({ startDelayMs: 3000, inbound: frames(1) });
  call.opened();
  clock.advance(2999);
  assert.deepEqual(
    sent.map(({ frame }) => frame.event),
    ['connected'],
  );
  clock.advance(1);
  assert.deepEqual(
    sent.map(({ frame }) => frame.event),
    ['connected', 'start', 'media'],
  );

  const unanswered = makeCall({ startDelayMs: 3000 });
  unanswered.call.opened();
  unanswered.clock.advance(100);
  unanswered.call.hangup();
  unanswered.clock.advance(10_000);
  assert.equal(unanswered.sent.length, 1);
  assert.deepEqual(unanswered.closes, [1000]);
  assert.equal(unanswered.call.result().ended, 'unanswered');
  assert.deepEqual(closes, []);
});

test('an abrupt ending sends no stop and closes without a code', () => {
  const { clock, call, events, closes } = makeCall({ inbound: frames(3), durationMs: 60, ending: 'abrupt' });
  call.opened();
  clock.advance(100);
  assert.equal(events('media').length, 3);
  assert.equal(events('stop').length, 0);
  assert.deepEqual(closes, [undefined]);
});

test('both tracks: chunks count a track or a stream, sequence numbers count all frames', () => {
  for (const [chunkCounting, chunkOrigin, expected] of [
    ['track', 1, ['inbound 1', 'outbound 1', 'inbound 2', 'outbound 2']],
    ['stream', 0, ['inbound 0', 'outbound 1', 'inbound 2', 'outbound 3']],
  ] as const) {
    const { clock, call, events } = makeCall({
      inbound: frames(2),
      outbound: frames(2, 9),
      chunkCounting,
      chunkOrigin,
    });
    call.opened();
    clock.advance(100);
    const media = events('media').map(({ frame }) => frame);
    assert.deepEqual(
      media.map(frame => `${frame.media.track} ${frame.media.chunk}`),
      expected,
    );
    assert.deepEqual(
      media.map(frame => frame.sequence_number),
      ['2', '3', '4', '5'],
    );
    assert.deepEqual(
      media.map(frame => frame.media.timestamp),
      ['0', '0', '160', '160'],
    );
    assert.equal(media[1].media.payload, Buffer.from(frames(1, 9)[0]!).toString('base64'));
  }
});

test('timestamps count RTP clock units or milliseconds, modulo 2^32', () => {
  const timestamps = (options: object): string[] => {
    const { clock, call, events } = makeCall({ inbound: frames(3), ...options });
    call.opened();
    clock.advance(100);
    return events('media').map(({ frame }) => frame.media.timestamp);
  };
  assert.deepEqual(timestamps({ timestampUnit: 'ms' }), ['0', '20', '40']);
  assert.deepEqual(timestamps({ encoding: 'G722' }), ['0', '160', '320']);
  assert.deepEqual(timestamps({ encoding: 'L16' }), ['0', '320', '640']);
  assert.deepEqual(timestamps({ timestampOrigin: 2 ** 32 - 160 }), ['4294967136', '0', '160']);
});

test('a late timer does not shift the frames after it', () => {
  const { clock, call, events } = makeCall({ inbound: frames(10) });
  call.opened();
  clock.advance(30);
  clock.block(75);
  clock.advance(75);
  assert.deepEqual(
    events('media').map(({ atMs }) => atMs),
    [0, 20, 105, 105, 105, 105, 120, 140, 160, 180],
  );
});

test('digits are dialled by script and by hand, with the time of the telephony engine', () => {
  const { clock, call, events } = makeCall({ dtmf: [{ atMs: 40, digit: '5' }] });
  call.opened();
  clock.advance(100);
  call.dtmf('#');
  assert.deepEqual(
    events('dtmf').map(({ frame }) => [frame.sequence_number, frame.occurred_at, frame.dtmf]),
    [
      ['2', '1970-01-01T00:00:00.040Z', { digit: '5' }],
      ['3', '1970-01-01T00:00:00.100Z', { digit: '#' }],
    ],
  );
  assert.throws(() => call.dtmf('12'), /SIDETONE_BAD_OPTION|dtmf digit is 12: give one of 0 to 9/);
});

test('marks return when their audio has been played, at once where nothing is queued', () => {
  const { clock, call, events, play, mark } = makeCall();
  call.opened();
  mark('nothing queued');
  clock.advance(1000);
  play(pcmu(100));
  mark('first');
  play(pcmu(60));
  mark('second');
  mark('third');
  clock.advance(30);
  play(pcmu(40));
  mark('fourth');
  clock.advance(5000);
  assert.deepEqual(
    events('mark').map(({ atMs, frame }) => [atMs, frame.sequence_number, frame.mark.name]),
    [
      [0, '2', 'nothing queued'],
      [1100, '3', 'first'],
      [1160, '4', 'second'],
      [1160, '5', 'third'],
      [1200, '6', 'fourth'],
    ],
  );
  assert.deepEqual(call.result().marks, { received: 5, returned: 5 });
  assert.equal(call.result().heardMs, 200);
});

test('clear stops the audio, drops the queue and returns the waiting marks at once', () => {
  const { clock, call, events, play, mark, clear } = makeCall();
  call.opened();
  play(pcmu(100, 1));
  play(pcmu(100, 2));
  mark('two');
  play(pcmu(100, 3));
  mark('three');
  clock.advance(130);
  clear();
  assert.deepEqual(
    events('mark').map(({ atMs, frame }) => [atMs, frame.mark.name]),
    [
      [130, 'two'],
      [130, 'three'],
    ],
  );
  clock.advance(70);
  play(pcmu(20, 4));
  mark('after');
  clock.advance(1000);
  assert.equal(events('mark')[2]!.atMs, 220);
  const result = call.result();
  assert.deepEqual(
    result.heard.map(({ atMs, arrivedMs, durationMs, clearedAfterMs, payload }) => [
      atMs,
      arrivedMs,
      durationMs,
      clearedAfterMs,
      payload.length,
    ]),
    [
      [0, 0, 100, undefined, 800],
      [100, 0, 100, 30, 800],
      [200, 200, 20, undefined, 160],
    ],
  );
  assert.deepEqual(Buffer.from(result.heard[1]!.payload), Buffer.from(pcmu(100, 2)));
  assert.equal(result.heardMs, 150);
  assert.equal(result.discardedMs, 170);
  assert.equal(result.underruns.count, 0, 'silence after a clear is no gap');
});

test('audio that comes too late inside an utterance is a gap, a pause between utterances is not', () => {
  const { clock, call, play } = makeCall({ utteranceGapMs: 500 });
  call.opened();
  play(pcmu(20));
  clock.advance(25);
  play(pcmu(20));
  clock.advance(80);
  play(pcmu(20));
  clock.advance(1000);
  play(pcmu(20));
  clock.advance(100);
  const { gaps, underruns, heard } = call.result();
  assert.deepEqual(gaps, [
    { atMs: 20, durationMs: 5 },
    { atMs: 45, durationMs: 60 },
  ]);
  assert.deepEqual(underruns, { count: 2, totalMs: 65, maxMs: 60 });
  assert.deepEqual(
    heard.map(({ atMs }) => atMs),
    [0, 25, 105, 1105],
  );
});

test('what is still queued when the call ends is not heard, and its marks do not return', () => {
  const { clock, call, events, play, mark } = makeCall({ durationMs: 50 });
  call.opened();
  play(pcmu(200));
  mark('never');
  clock.advance(1000);
  const result = call.result();
  assert.equal(events('mark').length, 0);
  assert.equal(result.heardMs, 50);
  assert.equal(result.discardedMs, 150);
  assert.deepEqual(result.marks, { received: 1, returned: 0 });
});

test('the application may close: before start that is no answer, later it is its own wish', () => {
  const before = makeCall({ startDelayMs: 100 });
  before.call.opened();
  before.call.closed(1000);
  before.clock.advance(1000);
  assert.equal(before.call.result().ended, 'unanswered');
  assert.equal(before.events('start').length, 0);

  const after = makeCall({ inbound: frames(10) });
  after.call.opened();
  after.clock.advance(30);
  after.call.closed(1001, 'going away');
  after.clock.advance(1000);
  assert.equal(after.events('media').length, 2);
  assert.equal(after.events('stop').length, 0);
  const { ended, closeCode, closeReason, durationMs } = after.call.result();
  assert.deepEqual(
    { ended, closeCode, closeReason, durationMs },
    {
      ended: 'by the application',
      closeCode: 1001,
      closeReason: 'going away',
      durationMs: 30,
    },
  );
});

test('an echo is recognised byte for byte, also in larger messages, and its time away is measured', () => {
  const { clock, call, play } = makeCall({ inbound: frames(6) });
  call.opened();
  clock.advance(30);
  play(frames(6)[0]!);
  clock.advance(30);
  play(Buffer.concat([frames(6)[1]!, frames(6)[2]!]));
  play(pcmu(20, 99));
  clock.advance(60);
  play(frames(6)[5]!);
  clock.advance(1000);
  const { latencies, echo } = call.result();
  assert.deepEqual(echo, { sent: 6, matched: 4 });
  assert.equal(latencies.firstHeardMs, 30);
  assert.deepEqual(latencies.echoArrivalMs, { count: 4, p50: 20, p95: 40, p99: 40, max: 40 });
  assert.deepEqual(latencies.echoHeardMs, { count: 4, p50: 30, p95: 40, p99: 40, max: 40 });
});

for (const [encoding, matched] of [
  ['PCMU', 2],
  ['PCMA', 1],
] as const) {
  test(`an echo in which 0x7F has become 0xFF is the same audio in PCMU only: ${encoding}`, () => {
    const inbound = [Buffer.alloc(160, 0x7f), Buffer.alloc(160, 0x11)];
    const { clock, call, play } = makeCall({ encoding, inbound });
    call.opened();
    clock.advance(60);
    play(Buffer.alloc(160, 0xff));
    play(inbound[1]!);
    clock.advance(1000);
    assert.deepEqual(call.result().echo, { sent: 2, matched });
  });
}

test('the impairments depend on the seed alone, whatever the application sends meanwhile', () => {
  const run = (seed: number, chatter: boolean): string[] => {
    const { clock, call, events, play, mark } = makeCall({
      inbound: frames(60),
      outbound: frames(60, 5),
      shuffle: 4,
      loss: 0.1,
      duplicate: 0.1,
      seed,
    });
    call.opened();
    for (let i = 0; i < 70; i++) {
      clock.advance(20);
      if (!chatter) continue;
      play(pcmu(20));
      mark(`m${i}`);
    }
    call.hangup();
    return events('media').map(({ frame }) => `${frame.media.track} ${frame.media.chunk}`);
  };
  fc.assert(
    fc.property(fc.nat(), seed => {
      const first = run(seed, false);
      assert.deepEqual(run(seed, true), first);
      assert.deepEqual(run(seed, false), first);
      assert.notDeepEqual(run(seed + 1, false), first);
    }),
    { numRuns: 20 },
  );
});

test('frames are numbered before the network touches them, and all that is held leaves before stop', () => {
  const { clock, call, events, sent } = makeCall({
    inbound: frames(200),
    shuffle: 5,
    duplicate: 0.2,
    seed: 3,
    durationMs: 4000,
  });
  call.opened();
  clock.advance(5000);
  const chunks = events('media').map(({ frame }) => Number(frame.media.chunk));
  for (const { frame } of events('media')) {
    assert.equal(Number(frame.sequence_number), Number(frame.media.chunk) + 1);
  }
  assert.deepEqual(
    [...new Set(chunks)].sort((a, b) => a - b),
    Array.from({ length: 200 }, (_, i) => i + 1),
  );
  assert.notDeepEqual(
    chunks,
    [...chunks].sort((a, b) => a - b),
  );
  assert.equal(sent.at(-1)!.frame.event, 'stop');
  assert.equal(sent.at(-1)!.frame.sequence_number, '202');
  const { frames: counts } = call.result();
  assert.equal(counts.mediaSent, 200 + counts.duplicated);
  assert.ok(counts.duplicated > 10 && counts.overtaken > 10, JSON.stringify(counts));
});

test('bad options name the field, the value and the remedy', () => {
  for (const [options, message] of [
    [{ encoding: 'pcmu' }, /encoding is pcmu: give one of PCMU, /],
    [{ sampleRate: 24000 }, /sampleRate is 24000: give one of 8000, 16000/],
    [{ loss: 2 }, /loss is 2: give a number from 0 to 1/],
    [{ shuffle: 1.5 }, /shuffle is 1.5: give a whole number/],
    [{ dtmf: [{ atMs: 0, digit: 'x' }] }, /dtmf digit is x: give one of/],
    [{ durationMs: Number.NaN }, /durationMs is NaN/],
  ] as const) {
    assert.throws(() => makeCall(options as object), { code: 'SIDETONE_BAD_OPTION', message });
  }
});
