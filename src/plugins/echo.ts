import { definePlugin } from '../plugin/define.js';

/** Plays what it hears, frame by frame. PCMU, PCMA and L16 come back byte for byte. */
export default definePlugin({
  name: 'echo',
  onStart: stream => ({
    onAudio: frame => stream.play(frame),
  }),
});
