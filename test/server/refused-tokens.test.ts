/** Refused tokens: counted by address in bounded memory, logged at a bounded rate (row 46). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '../../src/clock.js';
import type { Logger } from '../../src/log/log.js';
import { RefusedTokens } from '../../src/server/refused-tokens.js';

function make() {
  const clock = new VirtualClock(1000);
  const lines: Record<string, unknown>[] = [];
  const log = { warn: (line: Record<string, unknown>) => lines.push(line) } as unknown as Logger;
  return { clock, lines, tokens: new RefusedTokens(clock, log) };
}

test('refused tokens are logged once a second at most, and the next line tells what was left out', () => {
  const { clock, lines, tokens } = make();
  for (let i = 0; i < 500; i++) tokens.refused('192.0.2.1');
  tokens.refused('192.0.2.2');
  assert.deepEqual(lines, [{ address: '192.0.2.1', refused: 1 }]);
  clock.advance(999);
  tokens.refused('192.0.2.2');
  assert.equal(lines.length, 1);
  clock.advance(1);
  tokens.refused('192.0.2.3');
  assert.deepEqual(lines[1], {
    address: '192.0.2.3',
    refused: 1,
    notLogged: 501,
    most: [
      { address: '192.0.2.1', refused: 500 },
      { address: '192.0.2.2', refused: 2 },
      { address: '192.0.2.3', refused: 1 },
    ],
  });
});

test('of more than 1,024 addresses the one that was refused longest ago is forgotten', () => {
  const { tokens } = make();
  const address = (n: number): string => `2001:db8::${n.toString(16)}`;
  for (let n = 0; n < 1024; n++) tokens.refused(address(n));
  tokens.refused(address(0));
  for (let n = 1024; n < 2000; n++) tokens.refused(address(n));
  const all = tokens.top(10_000);
  assert.equal(all.length, 1024);
  assert.deepEqual(all[0], { address: address(0), refused: 2 });
  assert.ok(!all.some(each => each.address === address(1)));
});
