import { definePlugin } from '../../src/index.js';

/** Loses every tenth frame. */
export default definePlugin({
  name: 'echo',
  onStart(stream) {
    let frames = 0;
    return {
      onAudio(frame) {
        if (++frames % 10 !== 0) stream.play(frame);
      },
    };
  },
});
