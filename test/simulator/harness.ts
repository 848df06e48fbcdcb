import { VirtualClock } from '../../src/clock.js';
import { SimulatedCall } from '../../src/simulator/call.js';
import type { CallOptions } from '../../src/simulator/options.js';

// biome-ignore lint/suspicious/noExplicitAny: frames are inspected as they stand on the wire
export type Wire = any;

/** A call over a transport that only writes down, on a virtual clock. */
export function makeCall(options: CallOptions = {}) {
  const clock = new VirtualClock();
  const sent: { atMs: number; frame: Wire; text: string }[] = [];
  const closes: (number | undefined)[] = [];
  const call = new SimulatedCall({
    clock,
    epochMs: 0,
    options: { durationMs: Number.POSITIVE_INFINITY, ...options },
    transport: {
      send: text => sent.push({ atMs: clock.now(), frame: JSON.parse(text), text }),
      close: code => closes.push(code),
    },
  });
  const events = (event: string): { atMs: number; frame: Wire }[] =>
    sent.filter(({ frame }) => frame.event === event);
  const play = (payload: Uint8Array): void =>
    call.receive(
      JSON.stringify({ event: 'media', media: { payload: Buffer.from(payload).toString('base64') } }),
    );
  const mark = (name: string): void => call.receive(JSON.stringify({ event: 'mark', mark: { name } }));
  const clear = (): void => call.receive('{"event":"clear"}');
  return { clock, call, sent, closes, events, play, mark, clear };
}

/** `ms` of PCMU that differs from frame to frame and from `label` to `label`. */
export function pcmu(ms: number, label = 0): Uint8Array {
  return Uint8Array.from({ length: ms * 8 }, (_, i) => (i * 7 + label * 31 + (i >> 5)) & 0x7f);
}

/** `count` frames of 20 ms, all different. */
export function frames(count: number, label = 0): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => {
    const frame = pcmu(20, label + i);
    frame[0] = i & 0xff;
    frame[1] = (i >> 8) & 0xff;
    return frame;
  });
}
