/** The module that the voice pool's thread loads. */
import { workerData } from 'node:worker_threads';
import { openSilero } from './silero.js';
import { VoiceHearing } from './voice-hearing.js';
import { type VoiceBuffers, VoiceMemory } from './voice-memory.js';

let opening: Promise<VoiceHearing> | undefined;

async function open(): Promise<VoiceHearing> {
  return new VoiceHearing(await openSilero(), new VoiceMemory(workerData as VoiceBuffers));
}

/** Hears the first `windows` windows of the memory. With none it gets ready. */
export default async (windows: number): Promise<void> => {
  opening ??= open();
  await (await opening).hear(windows);
};
