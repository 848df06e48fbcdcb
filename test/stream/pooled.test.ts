/** OPUS through the pool: a frame's payload, and a pause. Time is virtual, the workers are real. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createEncoder,
  definePlugin,
  type Playback,
  type Stream,
  type StreamHandler,
} from '../../src/index.js';
import { eventually } from '../helpers/servers.js';
import { WireCall } from '../helpers/telnyx-messages.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';

const FRAME = 320;
const isMedia = (text: string): boolean => text.includes('"media"');

function tone(samples: number): Int16Array {
  return Int16Array.from({ length: samples }, (_, i) => 8000 * Math.sin(i / 10));
}

async function withOpus(
  handler: (stream: Stream) => StreamHandler,
  body: (call: {
    virtual: VirtualReactor;
    wire: WireCall;
    receive(m: object): void;
    sent: string[];
  }) => Promise<void>,
): Promise<void> {
  const virtual = new VirtualReactor({ pool: 1 });
  try {
    const plugin = definePlugin({ name: 'opus', audio: { sampleRate: 16000 }, onStart: handler });
    const { receive, socket } = virtual.connect(plugin);
    const wire = new WireCall({ encoding: 'OPUS' });
    receive(wire.connected());
    receive(wire.start());
    await body({ virtual, wire, receive, sent: socket.sent });
  } finally {
    await virtual.close();
  }
}

test("a frame's payload is the packet that it was decoded from", async () => {
  const heard: Uint8Array[] = [];
  const encoder = createEncoder('OPUS', { sampleRate: 16000 });
  const pcm = tone(FRAME * 60);
  const packets = Array.from({ length: 60 }, (_, i) =>
    encoder.encode(pcm.subarray(i * FRAME, (i + 1) * FRAME)).slice(),
  );
  encoder.close();
  await withOpus(
    () => ({
      onAudio: frame => {
        heard.push(frame.payload.slice());
      },
    }),
    async ({ virtual, wire, receive }) => {
      for (const [i, packet] of packets.entries()) {
        receive(wire.media(packet));
        virtual.clock.advance(20);
        // A few are under way at once.
        if (i % 7 === 0) await eventually(() => heard.length > i, 'decoding');
      }
      await eventually(() => heard.length === packets.length, 'decoding');
      assert.deepEqual(heard, packets);
    },
  );
});

test('what was sent as packets, or was being encoded, is encoded again after a pause', async () => {
  let stream: Stream | undefined;
  let playback: Playback | undefined;
  const lengthMs = 1000;
  await withOpus(
    started => {
      stream = started;
      return {};
    },
    async ({ virtual, sent }) => {
      playback = stream!.play(tone(FRAME * 50));
      const media = (): number => sent.filter(isMedia).length;
      await eventually(() => {
        virtual.clock.advance(10);
        return playback!.playedMs >= 300;
      }, 'playing');
      stream!.pause();
      assert.ok(sent.at(-1)!.includes('"clear"'));
      const { playedMs } = playback;
      const before = media();
      assert.ok(Math.abs(stream!.queuedMs - (lengthMs - playedMs)) < 0.1);
      // Packets that come back now are none of the stream's any more.
      virtual.clock.advance(500);
      await new Promise(resolve => setTimeout(resolve, 50));
      virtual.clock.advance(500);
      assert.equal(media(), before);
      assert.equal(playback.playedMs, playedMs);
      stream!.resume();
      await eventually(() => {
        virtual.clock.advance(10);
        return stream!.queuedMs === 0;
      }, 'playing');
      assert.equal(playback.playedMs, lengthMs);
      assert.equal(media() - before, Math.ceil((lengthMs - playedMs) / 20));
    },
  );
});
