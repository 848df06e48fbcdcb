/** The neural voice detector of a reactor: windows out of the engine, and what is heard in them to the streams. */
import type { Clock } from '../clock.js';
import type { MediaPath } from '../media/path.js';
import { VOICE } from '../native/addon.js';
import { VoicePool, type VoicePoolOptions } from '../pool/voice-pool.js';

export function openVoices(
  path: MediaPath,
  clock: Clock,
  onError: (error: Error) => void,
  start: VoicePoolOptions['start'],
): VoicePool {
  const { native } = path.engine;
  const events = new Float64Array(VOICE.windowsMax * VOICE.eventFields);
  return new VoicePool({
    clock,
    onError,
    ...(start && { start }),
    source: {
      take: ({ fields, ends, samples }) => native.takeVoiceWindows(fields, ends, samples),
      answer({ fields, ends, probabilities }, windows) {
        const count = native.answerVoices(windows, fields, ends, probabilities, events);
        for (let i = 0; i < count; i++) {
          const at = i * VOICE.eventFields;
          path.voiceChanged(
            events[at]!,
            events[at + 1]!,
            events[at + 2]!,
            events[at + 3]!,
            events[at + 4]!,
            events[at + 5]!,
          );
        }
      },
    },
  });
}
