/** Of 20 ms of audio, in the time of timed-worker.ts. */
export const ENCODE_MS = 0.29;
export const DECODE_MS = 0.1;
