/** The neural detector over many scenes at once, as a reactor has it: the windows of all of them in one batch. */
import type { NativeHeard, NativeVoice } from '../../src/native/addon.js';
import { native, SENSES, VOICE } from '../../src/native/addon.js';
import { openSilero } from '../../src/pool/silero.js';
import { VoiceHearing } from '../../src/pool/voice-hearing.js';
import { VoiceMemory } from '../../src/pool/voice-memory.js';
import { RATE } from './speech.js';

const FRAME_SAMPLES = 160;

export interface NeuralRun {
  /** By scene; `atMs` is the end of the frame that completes the window, without the time until its answer. */
  events: NativeHeard[][];
  windows: number;
  /** Processor time of this process a window, in µs: in batches of `rows` windows, the mean. */
  windowUs: number;
  rows: number;
}

/** @throws SidetoneError SIDETONE_PACKAGE_MISSING */
export async function neural(voice: NativeVoice, scenes: readonly Int16Array[]): Promise<NeuralRun> {
  const memory = new VoiceMemory();
  const hearing = new VoiceHearing(await openSilero(), memory);
  const ends = new Float64Array(VOICE.windowsMax);
  const told = new Float64Array(VOICE.windowsMax * VOICE.eventFields);
  const listeners = scenes.map(() => new native.Listener(RATE, { voice, neural: true }));
  const one = {
    fields: new Int32Array(VOICE.fields),
    ends: new Float64Array(1),
    samples: new Int16Array(VOICE.samples),
  };
  const owners = new Int32Array(scenes.length);
  const events: NativeHeard[][] = scenes.map(() => []);
  let [windows, batches, cpuUs] = [0, 0, 0];
  const longest = Math.max(...scenes.map(samples => samples.length));
  for (let at = 0; at < longest; at += FRAME_SAMPLES) {
    const whose: number[] = [];
    for (const [i, samples] of scenes.entries()) {
      if (at >= samples.length) continue;
      listeners[i]!.hear(samples.subarray(at, at + FRAME_SAMPLES), FRAME_SAMPLES);
      if (listeners[i]!.takeVoiceWindows(one.fields, one.ends, one.samples) === 0) continue;
      const row = whose.push(i) - 1;
      owners[i] = one.fields[1]!;
      memory.fields.set([i, owners[i], one.fields[2]!], row * VOICE.fields);
      memory.samples.set(one.samples, row * VOICE.samples);
      ends[row] = one.ends[0]!;
    }
    if (whose.length === 0) continue;
    const before = process.cpuUsage();
    await hearing.hear(whose.length);
    const { user, system } = process.cpuUsage(before);
    // The first ones load and compile.
    if (at > RATE) {
      cpuUs += user + system;
      windows += whose.length;
      batches++;
    }
    whose.forEach((i, row) => {
      one.fields.set([0, owners[i]!, memory.fields[row * VOICE.fields + 2]!]);
      one.ends[0] = ends[row]!;
      const likely = memory.probabilities.subarray(row, row + 1);
      if (listeners[i]!.answerVoices(1, one.fields, one.ends, likely, told) === 0) return;
      const [, , flags, startMs, endMs, durationMs] = told as unknown as number[];
      const atMs = ((at + FRAME_SAMPLES) * 1000) / RATE;
      if (flags! & SENSES.began) events[i]!.push({ kind: 'began', atMs, startMs: startMs! });
      else events[i]!.push({ kind: 'ended', atMs, endMs: endMs!, durationMs: durationMs! });
    });
  }
  return { events, windows, windowUs: cpuUs / windows, rows: windows / batches };
}
