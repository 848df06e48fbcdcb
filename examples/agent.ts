/**
 * A voice agent with everything but the wit: it listens until the caller pauses, answers with speech, and falls silent
 * at once when the caller speaks into its answer. Put your own recogniser, model and voice where `readWav` is.
 *
 *     npx sidetone serve --plugin ./examples/agent.ts
 */
import { fileURLToPath } from 'node:url';
import { type AudioFrame, definePlugin, readWav, resample, type Stream } from 'sidetone';

const answer = await readWav(fileURLToPath(new URL('../assets/answer.wav', import.meta.url)));

/** This much sound is speech, and not a click; this much silence is a pause, and not a breath. */
const SPEECH_MS = 60;
const PAUSE_MS = 600;
/** Speech is this much louder than the noise of the line, and never quieter than this. */
const ABOVE_NOISE = 3;
const RMS_MIN = 150;

/** Tells from the loudness of frames when the caller begins and when the caller has finished. */
class VoiceDetector {
  #noise = RMS_MIN;
  #loudMs = 0;
  #quietMs = 0;
  #speaking = false;

  hear({ samples, sampleRate }: AudioFrame): 'began' | 'paused' | undefined {
    const durationMs = (samples.length * 1000) / sampleRate;
    let energy = 0;
    for (const sample of samples) energy += sample * sample;
    const rms = Math.sqrt(energy / samples.length);
    // The noise floor follows downwards at once and upwards slowly: some lines bring noise of their own.
    this.#noise = rms < this.#noise ? rms : this.#noise * 1.002 + 0.01;

    if (rms > Math.max(RMS_MIN, this.#noise * ABOVE_NOISE)) {
      this.#quietMs = 0;
      this.#loudMs += durationMs;
      if (this.#speaking || this.#loudMs < SPEECH_MS) return undefined;
      this.#speaking = true;
      return 'began';
    }
    this.#loudMs = 0;
    this.#quietMs += durationMs;
    if (!this.#speaking || this.#quietMs < PAUSE_MS) return undefined;
    this.#speaking = false;
    return 'paused';
  }
}

export default definePlugin({
  name: 'agent',
  onStart(stream) {
    const detector = new VoiceDetector();
    const voice = resample(answer.channels[0]!, answer.sampleRate, stream.sampleRate);
    let answering = false;

    return {
      onAudio(frame) {
        const change = detector.hear(frame);
        if (change === 'paused') return speak();
        if (change === 'began' && answering) return stream.clear();
      },
    };

    async function speak(): Promise<void> {
      answering = true;
      const { playedMs, interrupted } = await stream.play(voice);
      answering = false;
      // What the caller heard of an answer is what a model must be told that it has said.
      tell(stream, { msg: interrupted ? 'interrupted' : 'answered', playedMs });
    }
  },
});

function tell(stream: Stream, what: object): void {
  console.log(JSON.stringify({ ...what, stream: stream.id }));
}
