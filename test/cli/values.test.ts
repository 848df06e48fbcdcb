/** Texts of the command line as values. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidArgumentError } from 'commander';
import { counted, numberArgument, parseNumber } from '../../src/cli/values.js';

test('only a decimal, finite number is a number', () => {
  for (const [text, value] of [
    ['5', 5],
    ['-1.5', -1.5],
    ['+2', 2],
    ['.5', 0.5],
    ['3.', 3],
    ['1e3', 1000],
    [' 7 ', 7],
  ] as const) {
    assert.equal(parseNumber(text), value, text);
  }
  for (const text of ['', ' ', 'x', '5x', '0x10', '1_000', '1,5', 'Infinity', 'NaN', '1e999', '--5', '5 6']) {
    assert.ok(Number.isNaN(parseNumber(text)), text);
  }
});

test('a wrong number is refused with its text and the limits', () => {
  const whole = numberArgument({ min: 0, max: 9, whole: true });
  assert.equal(whole('9'), 9);
  for (const [text, message] of [
    ['x', 'x is not a number: give a whole number from 0 to 9.'],
    ['10', '10 is out of range: give a whole number from 0 to 9.'],
    ['1.5', '1.5 is out of range: give a whole number from 0 to 9.'],
  ] as const) {
    assert.throws(
      () => whole(text),
      (error: Error) => error instanceof InvalidArgumentError && error.message === message,
    );
  }
  assert.equal(numberArgument()('-0.25'), -0.25);
  assert.throws(() => numberArgument()('x'), /x is not a number: give a number\./);
});

test('one thing, several things', () => {
  assert.deepEqual(
    [0, 1, 2].map(count => counted(count, 'error')),
    ['0 errors', '1 error', '2 errors'],
  );
});
