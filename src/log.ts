import { pino } from 'pino';

/** Structured log, one JSON line an event, on stdout. */
export type Logger = pino.Logger;

/**
 * Nothing that identifies a caller or opens a door is ever logged: the paths below are cut out wherever an object
 * that has them is logged.
 */
const SECRETS = [
  'token',
  'authToken',
  'apiKey',
  'client_state',
  'clientState',
  'from',
  'to',
  'authorization',
];

export function createLog(level: string): Logger {
  return pino({
    level,
    redact: { paths: SECRETS.flatMap(key => [key, `*.${key}`, `*.*.${key}`]), censor: '[redacted]' },
  });
}
