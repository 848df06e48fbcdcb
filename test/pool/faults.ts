/** First byte of a payload, or first sample of a frame, that makes the faulty worker fail. */
export const FAULT = { exit: 0xe1, outOfMemory: 0xe2, hang: 0xe3, bad: 0xe4, crash: 0xe5 } as const;
