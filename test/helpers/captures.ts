/** Captures made up: simulated calls in virtual time, written down as `serve --capture` does. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CaptureRecord } from '../../src/capture/format.js';
import { VirtualClock } from '../../src/clock.js';
import type { Format } from '../../src/formats.js';
import type { CallOptions } from '../../src/simulator/options.js';
import { Simulator } from '../../src/simulator/simulator.js';

export interface MadeCall {
  call: CallOptions;
  /** What the server answers a message of Telnyx with. Default: an echo of the caller's audio. */
  answer?: (text: string, send: (text: string) => void, clock: VirtualClock) => void;
  /** What the server takes its formats for. Default: as the call's options say. */
  inbound?: Format;
  outbound?: Format;
}

export const echo: NonNullable<MadeCall['answer']> = (text, send) => {
  const frame = JSON.parse(text);
  if (frame.event === 'media' && frame.media.track === 'inbound') send(media(frame.media.payload));
};
export const mute: NonNullable<MadeCall['answer']> = () => {};
export const media = (payload: Uint8Array | string): string =>
  JSON.stringify({
    event: 'media',
    media: { payload: typeof payload === 'string' ? payload : Buffer.from(payload).toString('base64') },
  });

/** The records of one call. */
export function record({ call, answer = echo, inbound, outbound }: MadeCall): CaptureRecord[] {
  const clock = new VirtualClock();
  const simulator = new Simulator({ clock, seed: call.seed ?? 1 });
  const records: CaptureRecord[] = [];
  const { application, open, call: handle } = simulator.pair(call);
  const at = (): number => Math.round(clock.now() * 1000) / 1000;
  const encoding = call.encoding ?? 'PCMU';
  const sampleRate = call.sampleRate ?? (['OPUS', 'AMR-WB', 'L16'].includes(encoding) ? 16000 : 8000);
  const send = (text: string): void => {
    records.push({ atMs: at(), from: 'server', text });
    application.send(text);
  };
  let over = false;
  application.onText = text => {
    records.push({ atMs: at(), from: 'telnyx', text });
    if (JSON.parse(text).event === 'start') {
      const same = { encoding, sampleRate };
      records.push({
        atMs: at(),
        from: 'capture',
        note: 'stream',
        plugin: 'test',
        inbound: inbound ?? same,
        outbound: outbound ?? same,
        l16ByteOrder: 'le',
      });
    }
    answer(text, send, clock);
  };
  application.onClose = () => {
    over = true;
  };
  open();
  while (!over) {
    clock.advance(1000);
    if (clock.now() > 3_600_000) handle.hangup();
  }
  return records;
}

/** Writes a capture; gives its path. */
export function writeCapture(path: string, records: readonly CaptureRecord[]): string {
  const header = {
    capture: 'sidetone',
    version: 1,
    startedAt: new Date(0).toISOString(),
    redacted: ['token'],
  };
  writeFileSync(path, [header, ...records].map(line => `${JSON.stringify(line)}\n`).join(''));
  return path;
}

/** A directory for a test file's captures. */
export function captureDirectory(): { path(): string; remove(): void } {
  const dir = mkdtempSync(join(tmpdir(), 'sidetone-doctor-'));
  let count = 0;
  return { path: () => join(dir, `${count++}.jsonl`), remove: () => rmSync(dir, { recursive: true }) };
}

/** Sound at a level, with white noise under it, from some point on. Levels in dB. */
export function shaped(
  pcm: Int16Array,
  { levelDb = 0, noiseDbfs = Number.NEGATIVE_INFINITY, from = 0, seed = 1 } = {},
): Int16Array {
  const gain = 10 ** (levelDb / 20);
  // Uniform noise of amplitude a has an rms of a divided by the root of three.
  const noise = Math.sqrt(3) * 32768 * 10 ** (noiseDbfs / 20);
  let state = seed >>> 0 || 1;
  return Int16Array.from({ length: pcm.length }, (_, i) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const sample = pcm[(i + from) % pcm.length]! * gain + (state / 2 ** 31 - 1) * noise;
    return Math.max(-32768, Math.min(32767, Math.round(sample)));
  });
}
