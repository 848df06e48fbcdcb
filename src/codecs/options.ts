import { SidetoneError, shown } from '../errors.js';

function refuse(field: string, value: unknown, allowed: string): never {
  throw new SidetoneError('SIDETONE_BAD_OPTION', `${field}: ${shown(value)} is not allowed; use ${allowed}`);
}

/** `value`, or `fallback` where it is undefined; throws unless it is one of `allowed`. */
export function oneOf<T extends string | number>(
  field: string,
  value: T | undefined,
  fallback: T,
  allowed: readonly T[],
): T {
  if (value === undefined) return fallback;
  return allowed.includes(value) ? value : refuse(field, value, allowed.join(', '));
}

/** `value`, or `fallback` where it is undefined; throws unless it is a whole number from `min` to `max`. */
export function wholeNumber(
  field: string,
  value: number | undefined,
  fallback: number,
  min: number,
  max: number,
): number {
  if (value === undefined) return fallback;
  return Number.isInteger(value) && value >= min && value <= max
    ? value
    : refuse(field, value, `a whole number from ${min} to ${max}`);
}

/** `value`, or `fallback` where it is undefined; throws unless it is a boolean. */
export function flag(field: string, value: boolean | undefined, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  return typeof value === 'boolean' ? value : refuse(field, value, 'true or false');
}
