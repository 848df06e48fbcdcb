/**
 * Handlers that fail in every way (row 51), in virtual time. The tests compare what the other calls hear byte by
 * byte.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { definePlugin, type SidetoneError, type StopReason } from '../../src/index.js';
import echo from '../../src/plugins/echo.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';

const NEIGHBOURS = 3;
const FRAMES = 250;
/** The frame of the failing call at which its handler begins to fail. */
const FAILS_AT = 100;

interface Fault {
  onAudio(virtual: VirtualReactor): unknown;
  /** Frames of the failing call until it is found out. */
  frames: number;
  stalls: number;
}
const faults: Record<string, Fault> = {
  throws: {
    onAudio: () => {
      throw new Error('as planned');
    },
    frames: 1,
    stalls: 0,
  },
  'throws nothing at all': {
    onAudio: () => {
      throw undefined;
    },
    frames: 1,
    stalls: 0,
  },
  rejects: { onAudio: () => Promise.reject(new Error('as planned')), frames: 1, stalls: 0 },
  'never resolves': { onAudio: () => new Promise(() => undefined), frames: 1000, stalls: 0 },
  'loops for 300 ms': { onAudio: virtual => virtual.clock.block(300), frames: 0, stalls: 1 },
  'loops for a second': { onAudio: virtual => virtual.clock.block(1050), frames: 1, stalls: 1 },
};

for (const [name, fault] of Object.entries(faults)) {
  for (const handlerErrors of ['end', 'bypass'] as const) {
    test(`fault 51 (${handlerErrors}): a handler that ${name} is reported, and the others' audio is whole and in order`, async () => {
      const virtual = new VirtualReactor({ handlerErrors, liveLatencyMaxMs: 0 });
      const told: Error[] = [];
      const stops: StopReason[] = [];
      let isFailing = false;
      const failing = definePlugin({
        name: 'failing',
        onStart: () => ({
          onAudio: () => {
            if (!isFailing) return undefined;
            if (fault.frames === 0) isFailing = false; // slow once, and not a failure
            return fault.onAudio(virtual);
          },
          onError: error => {
            told.push(error);
          },
          onStop: reason => {
            stops.push(reason);
          },
        }),
      });
      const neighbours = Array.from({ length: NEIGHBOURS }, (_, i) => {
        const call = new WireCall();
        const { socket, receive } = virtual.connect(echo);
        receive(call.start());
        return { call, socket, receive, spoken: payloads(FRAMES, 160, i) };
      });
      const struck = virtual.connect(failing);
      const call = new WireCall();
      struck.receive(call.start());

      const startMs = virtual.clock.now();
      const say = (frame: number): void => {
        for (const { call, receive, spoken } of neighbours) receive(call.media(spoken[frame]!));
        if (struck.socket.ended !== undefined) return;
        const isFirst = frame === FAILS_AT;
        if (isFirst) isFailing = true;
        for (let i = isFirst ? Math.max(1, fault.frames) : 1; i > 0; i--) {
          if (struck.socket.ended === undefined) struck.receive(call.media(payloads(1)[0]!));
        }
      };
      // What came while a handler held the thread is read in one go afterwards.
      for (let said = 0; said < FRAMES; ) {
        const due = Math.min(FRAMES, Math.floor((virtual.clock.now() - startMs) / 20) + 1);
        while (said < due) say(said++);
        await virtual.clock.advanceAsync(20);
      }
      await virtual.clock.advanceAsync(3000);

      for (const { socket, spoken } of neighbours) {
        const media = socket.sent.map(text => JSON.parse(text)).filter(({ event }) => event === 'media');
        const heard = Buffer.concat(media.map(({ media }) => Buffer.from(media.payload, 'base64')));
        assert.deepEqual(heard, Buffer.concat(spoken));
        assert.equal(socket.ended, undefined);
      }
      const hasFailed = fault.frames > 0;
      const counters = virtual.reactor.counters();
      assert.equal(counters.handlerFailures, hasFailed ? 1 : 0);
      assert.equal(counters.handlerStalls, fault.stalls);
      assert.deepEqual(
        told.map(error => (error as SidetoneError).code),
        hasFailed ? ['SIDETONE_HANDLER_FAILED'] : [],
      );
      if (hasFailed && handlerErrors === 'end') {
        assert.deepEqual([struck.socket.ended, ...stops], [1011, 'handler_failed']);
        assert.equal(virtual.reactor.streams, NEIGHBOURS);
      } else {
        assert.equal(struck.socket.ended, undefined);
        assert.deepEqual(stops, []);
        struck.receive(call.stop());
        assert.deepEqual(stops, ['stop']);
      }
      await virtual.close();
    });
  }
}
