/** What the dashboard works out of the server's figures, without a browser; and the page as one document. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { dashboardPage } from '../../src/admin/page.js';
import { root } from '../helpers/paths.js';

const part = (name: string) => import(pathToFileURL(join(root, 'assets/dashboard', name)).href);
const view = await part('view.js');
const { bytes, duration } = await part('format.js');
const { spanMs } = await part('chart.js');

const point = (atMs: number) => ({ atMs, seconds: 1 });
const status = (more: object = {}) => ({
  state: 'ready',
  streams: 2,
  queueMaxMs: 60_000,
  concerns: [] as { name: string; text: string }[],
  ...more,
});

test('the header is green only while the server is ready and nothing is over its bound', () => {
  const streams = [{ queuedMs: 48_000 }, { queuedMs: 0 }];
  assert.deepEqual(view.headline(status(), streams), { title: 'Ready', kind: 'ready', notices: [] });
  const late = { name: 'sendLateness', text: 'Messages left late.' };
  assert.deepEqual(view.headline(status({ concerns: [late] }), streams), {
    title: 'Ready, 1 warning',
    kind: 'concerned',
    notices: [late.text],
  });
  const queued = view.headline(status({ concerns: [late] }), [{ queuedMs: 48_001 }]);
  assert.deepEqual([queued.title, queued.kind], ['Ready, 2 warnings', 'concerned']);
  assert.match(
    queued.notices[1],
    /^1 stream has more than 48 s of audio queued; play\(\) is refused from 1 min on\.$/,
  );
  const draining = view.headline(status({ state: 'draining', concerns: [late] }), []);
  assert.equal(draining.kind, 'draining');
  assert.deepEqual(draining.notices, ['No new streams are taken; 2 running calls may still end.', late.text]);
  assert.equal(view.headline(status({ state: 'full' }), []).kind, 'full');
});

test('history: what is new goes behind what is there; another process or interval begins anew', () => {
  const first = view.mergeHistory(
    { pid: 0, intervalMs: 0, points: [] },
    { pid: 7, intervalMs: 1000, points: [point(1), point(2)] },
  );
  const second = view.mergeHistory(first, { pid: 7, intervalMs: 1000, points: [point(2), point(3)] });
  assert.deepEqual(
    second.points.map(({ atMs }: { atMs: number }) => atMs),
    [1, 2, 3],
  );
  assert.equal(view.mergeHistory(second, { pid: 8, intervalMs: 1000, points: [point(9)] }).points.length, 1);
  assert.equal(
    view.mergeHistory(second, { pid: 7, intervalMs: 10_000, points: [point(9)] }).points.length,
    1,
  );
  const many = Array.from({ length: 700 }, (_, i) => point(10 + i));
  const full = view.mergeHistory(second, { pid: 7, intervalMs: 1000, points: many });
  assert.deepEqual([full.points.length, full.points.at(-1).atMs], [600, 709]);
});

test('a stream is marked by its queue and by what its caller hears', () => {
  const column = (title: string) => view.COLUMNS.find((one: { title: string }) => one.title === title);
  assert.equal(column('Queued').attention({ queuedMs: 48_001 }, 48_000), true);
  assert.equal(column('Queued').attention({ queuedMs: 48_000 }, 48_000), false);
  assert.equal(column('Underruns').attention({ counters: { underruns: 1 } }), true);
  assert.equal(column('Lost').attention({ counters: { framesLost: 1, framesHeard: 1000 } }), false);
});

test('cards have no figure before there is one', () => {
  const empty = {
    connections: 0,
    streamsMax: 1,
    streams: 0,
    reactors: [],
    queueBytes: 0,
    queueBytesMax: 1,
    rssBytes: 1,
    cpuSeconds: 0,
    counters: {},
    lastMinute: { counters: {} },
  };
  const zeros = new Proxy({}, { get: () => 0 });
  for (const card of view.CARDS) {
    const texts = [
      ...card.value({}, { ...empty, counters: zeros, lastMinute: { counters: zeros } }),
      ...card.details({}, { ...empty, counters: zeros, lastMinute: { counters: zeros } }),
    ];
    assert.doesNotMatch(texts.join(' '), /NaN|undefined/, card.title);
  }
});

test('numbers as text, and how far a chart goes back', () => {
  assert.deepEqual([bytes(0), bytes(24_000), bytes(1_500_000_000)], ['0 B', '24 kB', '1.5 GB']);
  assert.deepEqual(
    [duration(0), duration(48), duration(3600), duration(90_061)],
    ['0 s', '48 s', '1 h', '1 d 1 h'],
  );
  assert.equal(spanMs([point(0)], 10_000, 300_000), 60_000);
  assert.equal(spanMs([point(0)], 100_000, 300_000), 100_000);
  assert.equal(spanMs([point(0)], 900_000, 300_000), 300_000);
});

test('the page is one document that fetches nothing but figures, and its policy allows just that', () => {
  const { html, contentSecurityPolicy } = dashboardPage();
  const text = html.toString();
  assert.doesNotMatch(text, /^import /m);
  assert.doesNotMatch(text, /(?:src|href)="(?!\/|#|data:)/);
  assert.doesNotMatch(text, /@import|url\(/);
  assert.match(contentSecurityPolicy, /default-src 'none'.*script-src 'sha256-/);
  assert.match(text, /prefers-color-scheme: dark/);
});
