/** A named pipe that a worker's native call waits for. */
export const FIFO_VARIABLE = 'SIDETONE_TEST_FIFO';

/** First byte of a payload, or first sample of a frame, that makes the faulty worker fail. */
export const FAULT = {
  exit: 0xe1,
  outOfMemory: 0xe2,
  hang: 0xe3,
  bad: 0xe4,
  crash: 0xe5,
  native: 0xe6,
} as const;
