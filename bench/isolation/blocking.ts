/** A plugin that does in its handler what should not be done there: it computes for half of every second. */
import { definePlugin } from '../../src/index.js';

const EVERY_MS = 1000;
const HELD_MS = 500;
let untilMs = 0;

export default definePlugin({
  name: 'blocking',
  isolation: process.env.BLOCKING_ISOLATION === 'thread' ? 'thread' : 'reactor',
  onStart: stream => ({
    onAudio(frame) {
      stream.play(frame);
      const beganMs = performance.now();
      if (beganMs < untilMs) return;
      untilMs = beganMs + EVERY_MS;
      while (performance.now() - beganMs < HELD_MS);
    },
  }),
});
