/** Errors on their way from one thread to another: a clone would lose its code. */
import { ERRORS, type ErrorCode, SidetoneError } from '../errors.js';
import type { PlainError } from './records.js';

/** Causes of causes beyond this are left out. */
const CAUSES_MAX = 4;

export function toPlain(error: unknown, depth = 0): PlainError {
  if (!(error instanceof Error)) {
    return { name: 'Error', message: String(error), stack: undefined, code: undefined, cause: undefined };
  }
  const { name, message, stack, cause } = error;
  const code = (error as { code?: unknown }).code;
  return {
    name,
    message,
    stack,
    code: typeof code === 'string' ? code : undefined,
    cause: cause === undefined || depth === CAUSES_MAX ? undefined : toPlain(cause, depth + 1),
  };
}

export function fromPlain({ name, message, stack, code, cause }: PlainError): Error {
  const options = cause === undefined ? undefined : { cause: fromPlain(cause) };
  const isOurs = code !== undefined && Object.hasOwn(ERRORS, code);
  const error: Error & { code?: string } = isOurs
    ? new SidetoneError(code as ErrorCode, message, options)
    : new Error(message, options);
  if (!isOurs) error.name = name;
  if (!isOurs && code !== undefined) error.code = code;
  if (stack !== undefined) error.stack = stack;
  return error;
}
