import { type DestinationStream, pino } from 'pino';

/** Structured log, one JSON line an event, on stdout. */
export type Logger = pino.Logger;

/**
 * Nothing that identifies a caller and no secret is ever logged. These paths are removed from every object that is
 * logged.
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

/** `destination`: where the lines go instead of stdout. */
export function createLog(level: string, destination?: DestinationStream): Logger {
  const options = {
    level,
    redact: { paths: SECRETS.flatMap(key => [key, `*.${key}`, `*.*.${key}`]), censor: '[redacted]' },
  };
  return destination ? pino(options, destination) : pino(options);
}
