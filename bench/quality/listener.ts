/**
 * The plugin of the server under test: echoes what it hears and, at the end, writes it down. The caller names the
 * file in the custom parameter `heard`: PCM without a header, and beside it (.json) what came when.
 */
import { writeFileSync } from 'node:fs';
import { definePlugin } from '../../src/plugin/define.js';

/** What lies in the .json file. */
export interface Heard {
  sampleRate: number;
  /** One entry a frame: place on the time axis, moment of the callback (performance.now), concealed or not. */
  frames: { timestampMs: number; cameMs: number; samples: number; concealed: boolean }[];
}

export default definePlugin({
  name: 'listener',
  path: '/',
  onStart: stream => {
    const parts: Int16Array[] = [];
    const heard: Heard = { sampleRate: stream.sampleRate, frames: [] };
    return {
      onAudio: frame => {
        const cameMs = performance.now();
        const { timestampMs, concealed } = frame;
        heard.frames.push({ timestampMs, cameMs, samples: frame.samples.length, concealed });
        parts.push(frame.copy());
        stream.play(frame);
      },
      onStop: () => {
        const file = stream.call.customParameters.heard;
        if (file === undefined) return;
        const last = heard.frames.at(-1);
        const perMs = heard.sampleRate / 1000;
        const length = last ? Math.round(last.timestampMs * perMs) + last.samples : 0;
        const pcm = new Int16Array(length);
        parts.forEach((part, i) => {
          const at = Math.round(heard.frames[i]!.timestampMs * perMs);
          pcm.set(part.subarray(0, length - at), at);
        });
        writeFileSync(file, new Uint8Array(pcm.buffer));
        writeFileSync(`${file}.json`, JSON.stringify(heard));
      },
    };
  },
});
