/** A parrot: it waits for the caller's pause, repeats what was said, and falls silent when the caller speaks again. */
import { type AudioFrame, definePlugin } from 'sidetone';

/** So much silence ends what the caller says. */
const PAUSE_MS = 500;
/** A frame whose loudness (RMS, of 32,767) is above this is speech. */
const LOUD = 500;
/** What is kept of one utterance at most: 30 s of frames of 20 ms. */
const FRAMES_MAX = 1500;

export default definePlugin({
  name: '{{name}}',
  audio: { sampleRate: 16000 },
  onStart(stream) {
    let said: Int16Array[] = [];
    let isSpeaking = false;
    let quietMs = 0;

    return {
      onAudio(frame) {
        if (loudness(frame) > LOUD) {
          // The caller speaks into our voice: stop at once.
          if (!isSpeaking && stream.queuedMs > 0) void stream.clear();
          isSpeaking = true;
          quietMs = 0;
        } else {
          quietMs += (frame.samples.length * 1000) / frame.sampleRate;
        }
        if (!isSpeaking) return;
        // The frame's memory is used again after this callback, so what is kept is a copy.
        if (said.length < FRAMES_MAX) said.push(frame.copy());
        if (quietMs < PAUSE_MS) return;
        stream.play(said);
        said = [];
        isSpeaking = false;
      },
      onDtmf(digit) {
        if (digit === '#') stream.close();
      },
    };
  },
});

function loudness({ samples }: AudioFrame): number {
  let energy = 0;
  for (const sample of samples) energy += sample * sample;
  return Math.sqrt(energy / samples.length);
}
