/** The demo's page: every judged figure beside its bound, and text that takes the room it has. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DemoOutcome, JudgedCall } from '../../src/demo/demo.js';
import { reportPage } from '../../src/demo/report.js';
import type { Verdict } from '../../src/demo/verdict.js';

const HOW = 'correlation 0.843 (at least 0.83), worst 200 ms 0.50 (at least 0.35)';

/** A call of which the page has a row and nothing else. */
function call(verdict: Partial<Verdict>): JudgedCall {
  return {
    planned: { name: '01-tone-PCMU', kind: 'tone', encoding: 'PCMU', trouble: 'a'.repeat(40) },
    result: { heardMs: 8000, durationMs: 8000, heard: [] },
    verdict: {
      problems: [],
      how: HOW,
      gaps: { count: 3, totalMs: 255.4, allowedMs: 280 },
      delaysMs: [],
      ...verdict,
    },
    file: 'heard/01.wav',
    heard: { samples: new Int16Array(), sampleRate: 8000 },
  } as unknown as JudgedCall;
}

const outcome = (calls: JudgedCall[], more: Partial<DemoOutcome> = {}): DemoOutcome => ({
  seed: 7,
  calls,
  problems: [],
  missing: [],
  encodings: ['PCMU'],
  cpuMs: undefined,
  callSeconds: 8,
  stallMs: 20,
  ...more,
});

test('gaps and likeness stand beside what would do', async () => {
  const page = await reportPage(outcome([call({})]));
  assert.match(page, /class="verdict good">1 of 1 calls right/);
  assert.ok(page.includes(`class="good long">${HOW}<`));
  assert.ok(page.includes('<td>3, 255 ms (up to 280 ms)</td>'));
  assert.doesNotMatch(page, /short of processor time/);
});

test('gaps over their bound are marked, and so is the page', async () => {
  const page = await reportPage(
    outcome([call({ problems: ['3 gaps'], gaps: { count: 3, totalMs: 281, allowedMs: 280 } }), call({})]),
  );
  assert.match(page, /class="verdict bad">1 of 2 calls right/);
  assert.ok(page.includes('<td class="bad">3, 281 ms (up to 280 ms)</td>'));
  assert.ok(page.includes('<td class="bad long">3 gaps</td>'));
});

test('a machine that stood still makes the bounds wide, which the page says', async () => {
  const page = await reportPage(outcome([call({})], { stallMs: 940 }));
  assert.match(page, /stood still for 940 ms\. That widens the bounds/);
});

test('long text wraps, and the page follows dark mode', async () => {
  const page = await reportPage(outcome([call({})]));
  assert.match(page, /\.figures \.long \{ white-space: normal;/);
  assert.match(page, /<th class="long">verdict<\/th>/);
  assert.match(page, /@media \(prefers-color-scheme: dark\)/);
});
