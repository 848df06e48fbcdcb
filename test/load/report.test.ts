/** The load report's page: a verdict first, what measured when and where, and a time axis. */
import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { test } from 'node:test';
import { htmlReport, rampHtml, verdictOf } from '../../src/load/report.js';
import type { LoadResult } from '../../src/load/result.js';
import { Timeline } from '../../src/load/run.js';
import { COLOURS, type Distribution, FAINT, GRID, INK } from '../../src/report/charts.js';
import { version } from '../../src/version.js';

const none: Distribution = {
  count: 0,
  minMs: 0,
  meanMs: 0,
  p50Ms: 0,
  p90Ms: 0,
  p99Ms: 0,
  p999Ms: 0,
  maxMs: 0,
  buckets: [],
};
const latency: Distribution = {
  count: 10,
  minMs: 1,
  meanMs: 1,
  p50Ms: 1,
  p90Ms: 1,
  p99Ms: 2,
  p999Ms: 2,
  maxMs: 2,
  buckets: [[1, 1, 10]],
};
const cpu = { userUs: 1, kernelUs: 1, totalUs: 2 };

function result(more: Partial<LoadResult> = {}): LoadResult {
  const timeline = new Timeline(1000);
  for (let i = 1; i <= 20; i++) {
    timeline.add(1000 + 500 * i, {
      phase: 'measuring',
      opened: 10,
      failed: 0,
      framesSent: 250 * i,
      mediaMessages: 250 * i,
    });
  }
  return {
    url: 'ws://127.0.0.1:8080/echo',
    startedAt: '2026-03-04T05:06:07.000Z',
    encoding: 'PCMU',
    replyEncoding: 'PCMU',
    mode: 'echo',
    ptimeMs: 20,
    seconds: 10,
    streams: {
      asked: 10,
      opened: 10,
      connectFailed: 0,
      upgradeRefused: 0,
      timedOut: 0,
      closedEarly: 0,
      protocolErrors: 0,
    },
    sent: { frames: 5000, framesNotSent: 0, wireBytes: 1 },
    received: { messages: 5000, payloadBytes: 1, wireBytes: 1, audioMs: 100_000 },
    audioRate: { mean: 1, min: 1, median: 1, max: 1, worst: 1 },
    underruns: { count: 0, totalMs: 0, streams: 0, length: none },
    latency,
    deadlineError: none,
    control: { marks: 0, marksReturned: 0, marksRefused: 0, clears: 0, other: 0 },
    bad: { messages: 0, payloads: 0 },
    framesUnreturned: 0,
    generator: { cpu, sendLateness: none },
    timeline: timeline.points,
    problems: [],
    warnings: [],
    ...more,
  };
}

test('the verdict: carried, doubtful, or failed with its first reason', () => {
  assert.deepEqual(verdictOf(result()), { text: 'All 10 streams were carried to their end.', tone: 'good' });
  const doubtful = verdictOf(result({ warnings: ['the generator was late'] }));
  assert.deepEqual([doubtful.tone, /doubtful: the generator was late\.$/.test(doubtful.text)], ['bad', true]);
  const failed = verdictOf(result({ problems: ['no audio came back', 'x'], warnings: ['y'] }));
  assert.deepEqual(failed, { text: 'Failed: no audio came back, and 1 more.', tone: 'bad' });
});

test('a page begins with the verdict, then date, version and host; its first plot is over time', async () => {
  const page = await htmlReport(result({ problems: ['one <b> stream failed', 'another'] }));
  const at = (text: string): number => {
    const found = page.indexOf(text);
    assert.ok(found >= 0, `${text} is missing`);
    return found;
  };
  const order = [
    'class="verdict bad">Failed: one &lt;b&gt; stream failed',
    `sidetone ${version}, 2026-03-04 05:06 UTC, on ${hostname()}`,
    '<p>another</p>',
    '<table',
    'seconds since the start',
    'share of frames at or below',
  ].map(at);
  assert.deepEqual(
    order,
    order.toSorted((a, b) => a - b),
  );
  assert.doesNotMatch(page, /(?:src|href)="/);
});

test('a search has its outcome as the verdict', async () => {
  const found = await rampHtml({ streams: 10, p99Ms: 20, steps: [{ result: result(), held: true }] });
  assert.match(found, /class="verdict good">10 streams hold p99 of the latency under 20 ms\./);
  const nothing = await rampHtml({ streams: 0, p99Ms: 20, steps: [{ result: result(), held: false }] });
  assert.match(nothing, /class="verdict bad">0 streams/);
});

test('in the dark the plots have no colour of paper left', async () => {
  const page = await htmlReport(result());
  const dark = page.slice(page.indexOf('@media (prefers-color-scheme: dark)'), page.indexOf('</style>'));
  for (const colour of ['#ffffff', INK, FAINT, GRID, COLOURS[0]]) {
    assert.ok(dark.includes(`figure svg [fill="${colour}"]`), colour);
    assert.ok(dark.includes(`figure svg [stroke="${colour}"]`), colour);
  }
  // Every colour that a plot has is one that is replaced, or one of the palette.
  const svg = page.slice(page.indexOf('<svg'), page.lastIndexOf('</svg>'));
  const used = new Set(
    [...svg.matchAll(/(?:fill|stroke)="(#[0-9a-f]{3,6}|rgb[^"]*)"/g)].map(([, colour]) => colour!),
  );
  const known = ['#ffffff', INK, FAINT, GRID, ...COLOURS];
  // ECharts' own, of elements that are not seen.
  const unseen = ['#000', 'rgb(0,0,0)', '#b7b9be', '#3c3c41'];
  assert.deepEqual(
    [...used].filter(colour => !known.includes(colour) && !unseen.includes(colour)),
    [],
  );
});

test('the course of a run in rates', () => {
  const timeline = new Timeline(0);
  timeline.add(500, { phase: 'connecting', opened: 3, failed: 0, framesSent: 10, mediaMessages: 4 });
  timeline.add(1500, { phase: 'measuring', opened: 5, failed: 1, framesSent: 110, mediaMessages: 54 });
  assert.deepEqual(timeline.points, [
    { seconds: 0.5, phase: 'connecting', opened: 3, failed: 0, sentPerSecond: 20, receivedPerSecond: 8 },
    { seconds: 1.5, phase: 'measuring', opened: 5, failed: 1, sentPerSecond: 100, receivedPerSecond: 50 },
  ]);
});
