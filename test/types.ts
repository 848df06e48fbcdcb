/**
 * What the types of the public names must accept and refuse. The build compiles this file, and nothing runs it. A
 * line under `@ts-expect-error` that compiles is an error of the build.
 */
import { definePlugin, type Stream } from '../src/index.js';

/** The everyday plugin that only plays: its onStart returns nothing. */
export const plays = definePlugin({
  name: 'plays',
  onStart(stream): void {
    stream.play(new Int16Array(160));
  },
});

export const playsShortly = definePlugin({
  name: 'plays-shortly',
  onStart: stream => {
    stream.play(new Int16Array(160));
  },
});

/** One that hears some streams only. */
export const hearsSome = definePlugin({
  name: 'hears-some',
  onStart(stream: Stream) {
    if (stream.sampleRate === 8000) return undefined;
    return { onAudio: frame => stream.play(frame) };
  },
});

export const numbers = definePlugin({
  name: 'numbers',
  // @ts-expect-error: a handler is an object
  onStart: () => 7,
});

export const promises = definePlugin({
  name: 'promises',
  // @ts-expect-error: the handler is wanted at once
  onStart: async () => ({ onStop() {} }),
});

export const fives = definePlugin({
  name: 'fives',
  // @ts-expect-error: a method is a function
  onStart: () => ({ onPlayed: 5 }),
});

export const misspelt = definePlugin({
  name: 'misspelt',
  // @ts-expect-error: there is no such event
  onStart: () => ({ onAudoi() {} }),
});
