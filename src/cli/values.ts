/** Texts of the command line as values. */
import { InvalidArgumentError } from 'commander';

export interface NumberLimits {
  min?: number;
  max?: number;
  whole?: boolean;
}

/** The number that a text is, in decimal; NaN for anything else, the empty text and Infinity too. */
export function parseNumber(text: string): number {
  const value = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(value) ? value : Number.NaN;
}

/** What a number has to be, in words. */
export function numberRemedy({ min, max, whole }: NumberLimits): string {
  const range = min === undefined || max === undefined ? '' : ` from ${min} to ${max}`;
  return `give a ${whole ? 'whole ' : ''}number${range}`;
}

/** The number of a text; undefined where it is none, or none within the limits. */
export function numberWithin(text: string, limits: NumberLimits = {}): number | undefined {
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY, whole = false } = limits;
  const value = parseNumber(text);
  return value >= min && value <= max && (!whole || Number.isInteger(value)) ? value : undefined;
}

/**
 * A parser of numbers for commander's options.
 * @throws InvalidArgumentError for a text that is no number within the limits
 */
export function numberArgument(limits: NumberLimits = {}): (text: string) => number {
  return text => {
    const value = numberWithin(text, limits);
    if (value !== undefined) return value;
    const problem = Number.isNaN(parseNumber(text)) ? `${text} is not a number` : `${text} is out of range`;
    throw new InvalidArgumentError(`${problem}: ${numberRemedy(limits)}.`);
  };
}

/** `1 error`, `2 errors`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
