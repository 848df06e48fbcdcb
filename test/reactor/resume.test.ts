/** A handler that is kept while its stream may come back, and events of its call: in virtual time. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { VirtualClock } from '../../src/clock.js';
import { definePlugin, type ServerOptions, type Stream, type StreamHandler } from '../../src/index.js';
import { Departed } from '../../src/reactor/departed.js';
import type { CallStream } from '../../src/stream/stream.js';
import type { WebhookEvent } from '../../src/telnyx/webhooks.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';

const CALL = 'v3:call';
const started = (id: string, call = CALL) => {
  const media_format = { encoding: 'PCMU', sample_rate: 8000, channels: 1 };
  const start = { user_id: 'u', call_control_id: call, media_format };
  return { event: 'start', sequence_number: '1', stream_id: id, start };
};
const stopped = (id: string) => ({
  event: 'stop',
  sequence_number: '2',
  stream_id: id,
  stop: { user_id: 'u', call_control_id: CALL },
});
const event = (type: string, payload: Record<string, unknown> = {}): WebhookEvent =>
  ({ id: 'e', type, callControlId: CALL, payload }) as unknown as WebhookEvent;

/** A second of PCM. */
const SECOND = new Int16Array(8000).fill(1000);

describe('a stream that comes back', () => {
  let virtual: VirtualReactor;
  let said: string[];
  let streams: Stream[];

  /** Says what it is told, with a number of its own that stays with the handler. */
  const plugin = (extra: StreamHandler = {}, name = 'kept') => {
    let handlers = 0;
    return definePlugin({
      name,
      onStart(stream) {
        streams.push(stream);
        const number = ++handlers;
        said.push(`start ${number}`);
        return {
          onAudio: () => void said.push(`audio ${number}`),
          onResume(next) {
            streams.push(next);
            said.push(`resume ${number} ${next.id}`);
          },
          onCall: ({ type }) => void said.push(`call ${number} ${type}`),
          onStop: reason => void said.push(`stop ${number} ${reason}`),
          ...extra,
        };
      },
    });
  };
  const make = (options: ServerOptions = {}): void => {
    virtual = new VirtualReactor(options);
  };
  const connect = (kept: ReturnType<typeof plugin>, id: string) => {
    const link = virtual.connect(kept);
    link.receive(started(id));
    return link;
  };

  beforeEach(() => {
    said = [];
    streams = [];
    make();
  });
  afterEach(() => virtual.close());

  test('has the handler of before, which learns of the gap and of what was not heard', () => {
    const kept = plugin();
    const first = connect(kept, 'a');
    const playback = streams[0]!.play(SECOND);
    virtual.clock.advance(400);
    first.drop();
    assert.equal(streams[0]!.closed, true);
    const { playedMs } = playback;
    assert.ok(playback.finished && playedMs > 0 && playedMs < 1000);
    virtual.clock.advance(2500);
    connect(kept, 'b');
    assert.deepEqual(said, ['start 1', 'resume 1 b']);
    const { streamId, reason, gapMs, unheardMs } = streams[1]!.resumed!;
    assert.deepEqual([streamId, reason, gapMs], ['a', 'disconnected', 2500]);
    assert.ok(Math.abs(playedMs + unheardMs - 1000) < 1e-6, `${playedMs} and ${unheardMs} ms`);
    // The old stream is over, and the new one plays what was not heard.
    assert.equal(streams[0]!.play(SECOND).finished, true);
    const again = streams[1]!.play(SECOND.subarray(playedMs * 8));
    virtual.clock.advance(3000);
    assert.equal(Math.round(again.playedMs), Math.round(unheardMs));
    assert.equal(streams[1]!.resumed!.unheardMs, unheardMs);
  });

  test('stops its handler once, when the window has passed', () => {
    const kept = plugin();
    connect(kept, 'a').drop();
    virtual.clock.advance(29_999);
    assert.deepEqual(said, ['start 1']);
    virtual.clock.advance(1);
    assert.deepEqual(said, ['start 1', 'stop 1 disconnected']);
    connect(kept, 'b').drop();
    virtual.clock.advance(300_000);
    assert.deepEqual(said.slice(2), ['start 2', 'stop 2 disconnected']);
  });

  test('comes back as often as it is dropped, each time within its own window', () => {
    const kept = plugin();
    for (const id of ['a', 'b', 'c', 'd']) {
      connect(kept, id).drop();
      virtual.clock.advance(20_000);
    }
    assert.deepEqual(said, ['start 1', 'resume 1 b', 'resume 1 c', 'resume 1 d']);
    virtual.clock.advance(10_000);
    assert.equal(said.at(-1), 'stop 1 disconnected');
    assert.equal(said.filter(line => line.startsWith('stop')).length, 1);
  });

  test('is not waited for after ends that were wanted, nor without onResume, nor with a window of 0', async () => {
    const kept = plugin();
    const first = connect(kept, 'a');
    first.receive(stopped('a'));
    first.drop();
    assert.deepEqual(said, ['start 1', 'stop 1 stop']);
    connect(kept, 'b');
    streams.at(-1)!.close();
    assert.equal(said.at(-1), 'stop 2 closed');
    connect(plugin({ onResume: undefined }), 'c').drop();
    assert.equal(said.at(-1), 'stop 1 disconnected');
    await virtual.close();
    make({ resumeWindowMs: 0 });
    connect(kept, 'd').drop();
    assert.equal(said.at(-1), 'stop 3 disconnected');
  });

  test('is stopped by the hangup of its call, by another plugin, and by a stream on another reactor', () => {
    const kept = plugin();
    connect(kept, 'a').drop();
    virtual.reactor.tellCall(event('call.hangup'));
    assert.deepEqual(said, ['start 1', 'call 1 call.hangup', 'stop 1 disconnected']);
    connect(kept, 'b').drop();
    connect(plugin({}, 'another'), 'c');
    assert.deepEqual(said.slice(3), ['start 2', 'stop 2 replaced', 'start 1']);
    connect(kept, 'd').drop();
    virtual.reactor.replace(CALL);
    assert.deepEqual(said.slice(6), ['stop 1 replaced', 'start 3', 'stop 3 replaced']);
  });

  test('before its loss was noticed is a return too, whatever its stream_id', () => {
    const kept = plugin();
    const first = connect(kept, 'a');
    const second = connect(kept, 'a');
    connect(kept, 'b');
    assert.deepEqual([first.socket.ended, second.socket.ended], [1000, 1000]);
    assert.deepEqual(said, ['start 1', 'resume 1 a', 'resume 1 b']);
    const { resumptions, takeOvers } = virtual.reactor.counters();
    assert.deepEqual([resumptions, takeOvers], [2, 0]);
  });

  test('takes over from a stream that runs, for another plugin and where nobody is waited for', async () => {
    const kept = plugin();
    connect(kept, 'a');
    connect(plugin({}, 'another'), 'b');
    assert.deepEqual(said, ['start 1', 'stop 1 replaced', 'start 1']);
    connect(plugin({ onResume: undefined }, 'another'), 'c').drop();
    connect(kept, 'd');
    virtual.reactor.departed.drain();
    connect(kept, 'e');
    assert.deepEqual(said.slice(-2), ['stop 2 replaced', 'start 3']);
    await virtual.close();
    make({ resumeWindowMs: 0 });
    connect(kept, 'f');
    connect(kept, 'g');
    assert.deepEqual(said.slice(-2), ['stop 4 replaced', 'start 5']);
    const { resumptions, takeOvers } = virtual.reactor.counters();
    assert.deepEqual([resumptions, takeOvers], [0, 1]);
  });

  test('hears audio again, and fails as any other', () => {
    const kept = plugin({
      onResume() {
        throw new Error('a failure of the plugin');
      },
    });
    connect(kept, 'a').drop();
    const second = connect(kept, 'b');
    assert.deepEqual(said, ['start 1', 'stop 1 handler_failed']);
    assert.equal(second.socket.ended, 1011);
    const well = plugin();
    connect(well, 'c').drop();
    const back = connect(well, 'd');
    const payload = Buffer.alloc(160, 0xff).toString('base64');
    const media = { track: 'inbound', chunk: '1', timestamp: '0', payload };
    back.receive({ event: 'media', sequence_number: '2', stream_id: 'd', media });
    assert.equal(said.at(-1), 'audio 1');
  });

  test('is not waited for in a drain, and those that wait are stopped', () => {
    const kept = plugin();
    const running = connect(kept, 'a');
    const other = virtual.connect(kept);
    other.receive(started('b', 'v3:other'));
    other.drop();
    virtual.reactor.departed.drain();
    assert.equal(said.at(-1), 'stop 2 disconnected');
    running.drop();
    assert.equal(said.at(-1), 'stop 1 disconnected');
  });

  test('of which there are more than are kept, stops the oldest', () => {
    const clock = new VirtualClock();
    const ends: string[] = [];
    const departed = new Departed(clock, 30_000);
    const calls = 10_001;
    for (let i = 0; i < calls; i++) {
      const callControlId = `v3:${i}`;
      const tellStop = (reason: string) => ends.push(`${callControlId} ${reason}`);
      const stream = { callControlId, handles: () => false, tellStop };
      departed.left(stream as unknown as CallStream, 'idle_timeout', true);
    }
    assert.deepEqual(ends, ['v3:0 idle_timeout']);
    departed.close();
    assert.equal(ends.length, calls);
    assert.equal(clock.timers, 0);
  });

  describe('events of its call', () => {
    test('reach the handler of the running stream, and for a minute that of one that has ended', () => {
      const kept = plugin({ onResume: undefined });
      const first = connect(kept, 'a');
      virtual.reactor.tellCall(event('call.machine.detection.ended'));
      virtual.reactor.tellCall({ ...event('call.hangup'), callControlId: 'v3:other' } as WebhookEvent);
      first.receive(stopped('a'));
      first.drop();
      virtual.clock.advance(59_999);
      virtual.reactor.tellCall(event('call.hangup'));
      virtual.reactor.tellCall(event('call.recording.saved'));
      virtual.clock.advance(1);
      virtual.reactor.tellCall(event('other'));
      assert.deepEqual(said, [
        'start 1',
        'call 1 call.machine.detection.ended',
        'stop 1 stop',
        'call 1 call.hangup',
        'call 1 call.recording.saved',
      ]);
      assert.equal(virtual.clock.timers, 0);
    });

    test('after onStop nothing else reaches it, and a failure is counted', () => {
      const kept = plugin({
        onResume: undefined,
        onCall() {
          throw new Error('a failure of the plugin');
        },
        onError: () => void said.push('error'),
      });
      connect(kept, 'a').drop();
      virtual.reactor.tellCall(event('call.hangup'));
      assert.deepEqual(said, ['start 1', 'stop 1 disconnected']);
      assert.equal(virtual.reactor.counters().handlerFailures, 1);
    });

    test('tell that a TeXML document runs on the call', () => {
      connect(plugin(), 'a');
      const { callControl } = streams[0]!;
      assert.equal(callControl.runsTexml, false);
      virtual.reactor.tellCall(event('streaming.started', { CallSid: CALL }));
      assert.equal(callControl.runsTexml, true);
      assert.equal(callControl, streams[0]!.callControl);
    });
  });
});
