/** Calls joined to calls, in virtual time: what each caller hears is known to the sample. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bridge, createDecoder, createEncoder, type Encoding } from '../../src/index.js';
import { indexOf, VirtualHouse } from '../helpers/conference.js';
import { likeness, rms, speechLike } from '../helpers/speech.js';

/** Something to say for each of several callers: noise, which is like nothing but itself. */
function phrase(caller: number, length = 16000): Int16Array {
  let state = caller + 1;
  return Int16Array.from({ length }, () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 16) % 6000;
  });
}

/** As PCMU brings it to the other end. */
function coded(pcm: Int16Array, encoding: Encoding = 'PCMU'): Int16Array {
  const encoder = createEncoder(encoding);
  const decoder = createDecoder(encoding);
  return decoder.decode(encoder.encode(pcm)).slice();
}

/** The sum of all, limited to 16 bits. */
function sum(...voices: Int16Array[]): Int16Array {
  return voices[0]!.map((_, i) =>
    Math.max(
      -32768,
      Math.min(
        32767,
        voices.reduce((total, voice) => total + voice[i]!, 0),
      ),
    ),
  );
}

const streamsOf = (participants: readonly { stream: unknown }[]): unknown[] =>
  participants.map(({ stream }) => stream);
/** A call that says `samples` at 8 kHz. */
const says = (house: VirtualHouse, samples: Int16Array) =>
  house.simulator.speech({ samples, sampleRate: 8000 });
// The first frame comes before there is anything to join.
const MISSED = 160;

test('two bridged callers hear each other sample for sample, and not themselves', async () => {
  const house = new VirtualHouse();
  const [a, b] = [0, 1].map(caller => house.call(says(house, phrase(caller))));
  const pair = bridge(a!.stream, b!.stream);
  assert.deepEqual(streamsOf(pair.participants), [a!.stream, b!.stream]);
  assert.equal(pair.size, 2);
  house.advance(3000);
  for (const [listener, speaker] of [
    [a, 1],
    [b, 0],
  ] as const) {
    const at = indexOf(house.heard(listener!.call), coded(phrase(speaker)).subarray(MISSED));
    assert.ok(at >= 0, 'the other');
    // The line, and up to a tick.
    assert.ok(at - MISSED >= 8 * 40 && at - MISSED <= 8 * 60, `after ${(at - MISSED) / 8} ms`);
    const own = coded(phrase(1 - speaker)).subarray(3200, 3360);
    assert.ok(indexOf(house.heard(listener!.call), own) < 0, 'itself');
    assert.deepEqual(listener!.call.soFar().gaps, []);
    assert.equal(listener!.stream.stats.underruns, 0);
    assert.equal(listener!.stream.stats.framesHeard, 150);
  }
  b!.call.hangup();
  assert.deepEqual(streamsOf(pair.participants), [a!.stream]);
  const { heardMs } = a!.call.soFar();
  house.advance(1000);
  assert.ok(a!.call.soFar().heardMs < heardMs + 200, 'then it is silent');
  a!.call.hangup();
  assert.equal(pair.participants.length, 0);
  await house.close();
});

for (const reactors of [1, 2, 3]) {
  test(`each of five hears the sum of the other four, with ${reactors} reactors`, async () => {
    const house = new VirtualHouse(reactors);
    // Frames come between the ticks, so that nobody's first one is a tick later than the others'.
    house.advance(7);
    const callers = [0, 1, 2, 3, 4];
    const calls = callers.map(caller =>
      house.call(
        { ...says(house, phrase(caller, 8000)), outboundEncoding: 'L16', outboundSampleRate: 8000 },
        caller % reactors,
      ),
    );
    for (const [caller, { stream }] of calls.entries())
      house.conference('five', caller % reactors).join(stream);
    assert.equal(house.conference('five').size, 5);
    assert.equal(house.registry.size, 1);
    house.advance(2000);
    for (const listener of callers) {
      const others = callers
        .filter(caller => caller !== listener)
        .map(caller => coded(phrase(caller, 8000)).subarray(MISSED));
      const { call, stream } = calls[listener]!;
      assert.ok(indexOf(house.heard(call), sum(...others)) >= 0, `what ${listener} hears`);
      assert.deepEqual(call.soFar().gaps, []);
      assert.equal(stream.stats.underruns, 0);
    }
    for (const { call } of calls) call.hangup();
    assert.equal(house.registry.size, 0);
    await house.close();
  });
}

test('callers of every encoding and rate hear each other', async () => {
  const house = new VirtualHouse(2);
  const formats = [
    { encoding: 'PCMU' },
    { encoding: 'PCMA', outboundEncoding: 'G722' },
    { encoding: 'G722' },
    { encoding: 'L16', sampleRate: 16000 },
    { encoding: 'PCMU', outboundEncoding: 'L16', outboundSampleRate: 24000 },
  ] as const;
  // One speaks at a time.
  const calls = formats.map((format, caller) => {
    const said = speechLike(16000, 1);
    const samples = new Int16Array((caller + 2) * 16000);
    samples.set(said, samples.length - 16000);
    const speaks = house.simulator.speech({ samples, sampleRate: 16000 }, format);
    return house.call({ ...speaks, ...format }, caller % 2);
  });
  for (const [caller, { stream }] of calls.entries()) house.conference('all', caller % 2).join(stream);
  house.advance(8000);
  for (const [listener, { call }] of calls.entries()) {
    const { samples, sampleRate } = house.simulator.render(call.soFar());
    for (const speaker of formats.keys()) {
      const begin = (speaker + 1) * sampleRate;
      const heard = samples.subarray(begin, begin + 1.2 * sampleRate);
      const alike = likeness(heard, speechLike(sampleRate, 1), 0.15 * sampleRate);
      const own = rms(heard.subarray(0.15 * sampleRate, sampleRate));
      if (speaker === listener) assert.ok(own < 40, `${listener} does not hear itself: ${own}`);
      else assert.ok(alike > 0.98, `${listener} hears ${speaker}: ${alike}`);
    }
  }
  await house.close();
});

test('who is muted is not heard, who is on hold hears nobody either, and both come back', async () => {
  const house = new VirtualHouse();
  const level = (of: number): Int16Array => new Int16Array(16000).fill(1000 * 2 ** of);
  const calls = [0, 1, 2].map(caller => {
    const speaks = house.simulator.speech(
      { samples: level(caller), sampleRate: 8000 },
      { encoding: 'L16', sampleRate: 8000 },
    );
    return house.call({ ...speaks, idle: speaks.inbound[0]! });
  });
  const room = house.conference('room');
  const [a, b, c] = calls.map(({ stream }, i) => room.join(stream, i === 2 ? { muted: true } : {}));
  /** What each hears now: who speaks is as loud as 1000 × 2^number. */
  const hears = (): (number | undefined)[] => {
    house.advance(200);
    const before = calls.map(({ call }) => call.soFar().heard.length);
    house.advance(200);
    return calls.map(({ call }, i) => {
      const { heard } = call.soFar();
      if (heard.length === before[i]) return undefined;
      return new Int16Array(new Uint8Array(heard.at(-1)!.payload).buffer)[0]! / 1000;
    });
  };
  assert.deepEqual(hears(), [2, 1, 3]);
  assert.equal(c!.muted, true);
  c!.unmute();
  assert.deepEqual(hears(), [6, 5, 3]);
  b!.hold();
  assert.deepEqual([b!.onHold, b!.muted], [true, false]);
  assert.deepEqual(hears(), [4, undefined, 1]);
  c!.mute();
  assert.deepEqual(hears(), [undefined, undefined, 1]);
  a!.mute();
  assert.deepEqual(hears(), [undefined, undefined, undefined]);
  // Who is not heard is not decoded.
  const { framesHeard } = calls[0]!.stream.stats;
  house.advance(400);
  assert.equal(calls[0]!.stream.stats.framesHeard, framesHeard);
  b!.unhold();
  a!.unmute();
  assert.deepEqual(hears(), [2, 1, 3]);
  // Hold music is heard by the one on hold alone, again and again, and stops at once.
  b!.hold({ music: new Int16Array(800).fill(77), sampleRate: 8000 });
  assert.deepEqual(hears(), [undefined, 0.077, 1]);
  b!.unhold();
  house.advance(60);
  assert.deepEqual(hears(), [2, 1, 3]);
  c!.leave();
  c!.unmute();
  assert.equal(c!.left, true);
  assert.deepEqual(hears(), [2, 1, undefined]);
  room.close();
  assert.deepEqual(hears(), [undefined, undefined, undefined]);
  assert.equal(house.registry.size, 0);
  await house.close();
});

test('a handler goes on hearing its caller; what it plays goes before the conference', async () => {
  const house = new VirtualHouse();
  const frames: number[] = [];
  const a = house.call(says(house, phrase(0, 32000)), 0, {
    onStart: () => ({ onAudio: frame => frames.push(frame.samples[0]!) }),
  });
  const b = house.call(says(house, phrase(1, 32000)));
  bridge(a.stream, b.stream);
  house.advance(1000);
  assert.equal(frames.length, 51);
  const prompt = new Int16Array(4000).fill(988);
  const playback = a.stream.play(prompt);
  house.advance(100);
  assert.ok(Math.abs(playback.playedMs - 80) <= 20, `${playback.playedMs} ms`);
  house.advance(900);
  assert.equal(playback.playedMs, 500);
  const heard = house.heard(a.call);
  const code = coded(prompt)[0]!;
  assert.ok(indexOf(heard, coded(prompt)) >= 0, 'in one piece');
  // Behind it the conference goes on where it is now: nothing of it has waited.
  const said = coded(phrase(1, 32000));
  const at = heard.length - 800;
  const place = indexOf(said, heard.subarray(at, at + 400));
  const before = indexOf(said, heard.subarray(6000, 6400));
  assert.ok(before > 0 && place > 0);
  assert.ok(at - place - (6000 - before) <= 8 * 40, `${(at - place - (6000 - before)) / 8} ms later`);
  // The other has not heard the prompt.
  assert.ok(indexOf(house.heard(b.call), new Int16Array(160).fill(code)) < 0);
  await house.close();
});

test('clear() drops what play() has played, and not the conference', async () => {
  const house = new VirtualHouse();
  const a = house.call(says(house, phrase(0, 32000)));
  const b = house.call(says(house, phrase(1, 32000)));
  bridge(a.stream, b.stream);
  house.advance(1000);
  assert.deepEqual(await a.stream.clear(), { playedMs: 0, discardedMs: 0 });
  house.advance(500);
  assert.ok(
    indexOf(house.heard(a.call), coded(phrase(1, 32000)).subarray(MISSED, 8 * 1400)) >= 0,
    'nothing is missing',
  );
  const playback = a.stream.play(new Int16Array(16000).fill(988));
  house.advance(300);
  const cleared = await a.stream.clear();
  assert.ok(Math.abs(cleared.playedMs - 280) <= 20, `played ${cleared.playedMs}`);
  assert.ok(
    Math.abs(cleared.playedMs + cleared.discardedMs - 2000) < 0.001,
    `discarded ${cleared.discardedMs}`,
  );
  assert.equal(playback.finished, true);
  house.advance(500);
  const heard = house.heard(a.call);
  assert.ok(indexOf(coded(phrase(1, 32000)), heard.subarray(heard.length - 3000)) >= 0, 'it goes on at once');
  await house.close();
});

test('a prompt that is cancelled while live audio before it is being heard does not end the conference', async () => {
  const house = new VirtualHouse();
  const a = house.call(says(house, phrase(0, 32000)));
  const b = house.call(says(house, phrase(1, 32000)));
  bridge(a.stream, b.stream);
  house.advance(1000);
  // Live audio is not kept: where it is taken back, it is left out.
  a.stream.play(new Int16Array(480).fill(500), { liveLatencyMaxMs: 400 });
  const speech = a.stream.speak({ sampleRate: 8000 });
  speech.write(new Int16Array(4000).fill(988));
  // The feed reads it in a turn of its own.
  await new Promise(setImmediate);
  house.advance(20);
  speech.cancel();
  const { heardMs } = a.call.soFar();
  house.advance(1500);
  assert.ok(a.call.soFar().heardMs - heardMs > 1400, 'it goes on');
  const heard = house.heard(a.call);
  assert.ok(indexOf(coded(phrase(1, 32000)), heard.subarray(heard.length - 3000)) >= 0, 'as it is now');
  await house.close();
});

test('live audio of the handler is a playback frame by frame, and goes before the conference too', async () => {
  const house = new VirtualHouse();
  const a = house.call(says(house, phrase(0)), 0, {
    onStart: stream => ({ onAudio: frame => stream.play(frame) }),
  });
  const b = house.call(says(house, phrase(1)));
  bridge(a.stream, b.stream);
  house.advance(2500);
  const heard = house.heard(a.call);
  assert.ok(indexOf(heard, coded(phrase(0)).subarray(MISSED)) >= 0, 'its own echo');
  assert.ok(indexOf(heard, coded(phrase(1)).subarray(800, 1120)) < 0);
  assert.ok(indexOf(house.heard(b.call), coded(phrase(0)).subarray(MISSED)) >= 0);
  await house.close();
});

test('losses are concealed before they are mixed', async () => {
  const house = new VirtualHouse();
  const said = speechLike(8000, 3);
  const a = house.call({ ...says(house, said), loss: 0.05 });
  const b = house.call(says(house, new Int16Array(0)));
  bridge(a.stream, b.stream);
  house.advance(4000);
  assert.ok(a.stream.stats.framesConcealed! > 3, 'losses');
  // The first loss makes the delay longer; those after it are hidden.
  const heard = house.heard(b.call);
  const pieces = Array.from({ length: 12 }, (_, i) => (i + 1) * 1600);
  const alike = pieces.map(at => likeness(heard.subarray(at), said.subarray(at, at + 1600), 1600));
  assert.ok(alike.filter(each => each > 0.95).length >= 10, alike.join(' '));
  assert.ok(b.call.soFar().gaps.length <= 1);
  await house.close();
});

test('a stream on the steady clock brings its own delay: losses are hidden from the first on', async () => {
  const house = new VirtualHouse();
  const said = speechLike(8000, 4);
  const playout = { audio: { playout: true } };
  const a = house.call({ ...says(house, said), loss: 0.03, shuffle: 2 }, 0, playout);
  const b = house.call(says(house, new Int16Array(0)), 0, playout);
  bridge(a.stream, b.stream);
  house.advance(6000);
  assert.ok(a.stream.stats.framesConcealed! > 2, 'losses');
  const heard = house.heard(b.call);
  const pieces = Array.from({ length: 16 }, (_, i) => (i + 3) * 1600);
  const alike = pieces.map(at => likeness(heard.subarray(at), said.subarray(at, at + 1600), 2400));
  assert.ok(alike.filter(each => each > 0.8).length >= 13, alike.join(' '));
  assert.deepEqual(b.call.soFar().gaps, []);
  await house.close();
});

test('what cannot join says why', async () => {
  const house = new VirtualHouse();
  const { call, stream } = house.call({});
  const { stream: other } = house.call({});
  const { stream: third } = house.call({});
  const join = (...args: unknown[]) =>
    (house.conference('x').join as (...args: unknown[]) => unknown)(...args);
  for (const [run, message] of [
    [() => house.conference(''), /^conference name: "": give 1 to 200 characters/],
    [() => join({}), /^join stream: .*: pass the stream that onStart got/],
    [() => join(stream, { muted: 1 }), /^join muted: 1: give true or false/],
    [() => join(stream, 3), /^join options: 3: pass/],
    [() => house.conference('x').record(7 as never), /^record target: 7: pass the path/],
    [() => house.conference('x').record('/nowhere/x.wav'), /nowhere.*cannot be written/],
    [
      () => house.conference('x').record(() => {}, { sampleRate: 11025 }),
      /^record sampleRate: 11025: use one of 8000/,
    ],
    [() => bridge(stream, stream), /it is in a conference already: leave\(\) that one first/],
  ] as const) {
    assert.throws(run, { code: 'SIDETONE_BAD_ARGUMENT', message });
  }
  const outbound = house.call({}, 0, { audio: { tracks: 'outbound' } });
  assert.throws(() => join(outbound.stream), { message: /leave out the inbound track/ });
  const pair = bridge(stream, other);
  const left: unknown[] = [];
  pair.onLeave(({ stream }) => left.push(stream));
  assert.throws(() => pair.join(third), {
    code: 'SIDETONE_CONFERENCE_FULL',
    message: /more participantsMax/,
  });
  assert.equal(pair.participants.length, 2);
  house.conference('y').join(third);
  call.hangup();
  assert.deepEqual(left, [stream]);
  assert.equal(pair.join(stream).left, true, 'a stream that has ended');
  await house.close();
});
