/**
 * A voice agent with everything but the wit: it listens until the caller pauses, answers with speech, and falls silent
 * at once when the caller speaks into its answer; after a cough it goes on. Put your own recogniser, model and voice where `readWav` is.
 *
 *     npx sidetone serve --plugin ./examples/agent.ts
 */
import { fileURLToPath } from 'node:url';
import { definePlugin, readWav, resample, type Stream, TurnTaking } from 'sidetone';

const answer = await readWav(fileURLToPath(new URL('../assets/answer.wav', import.meta.url)));

/** This much silence is a pause, and not a breath. */
const PAUSE_MS = 600;

export default definePlugin({
  name: 'agent',
  audio: { vad: true },
  onStart(stream) {
    const voice = resample(answer.channels[0]!, answer.sampleRate, stream.sampleRate);
    // Speech pauses the answer at once. A cough lets it go on; what is longer clears it.
    const turns = new TurnTaking(stream, { pauseMs: PAUSE_MS, onTurn: speak });
    return turns.handler();

    async function speak(): Promise<void> {
      const { playedMs, interrupted } = await turns.answer(stream.play(voice));
      // What the caller heard of an answer is what a model must be told that it has said.
      tell(stream, { msg: interrupted ? 'interrupted' : 'answered', playedMs });
    }
  },
});

function tell(stream: Stream, what: object): void {
  console.log(JSON.stringify({ ...what, stream: stream.id }));
}
