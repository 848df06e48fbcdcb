/** The server's own history and what is over its bound, on a clock that the test owns. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createAdmin } from '../../src/admin/admin.js';
import { History } from '../../src/admin/history.js';
import { Figures } from '../../src/admin/source.js';
import { statusReport } from '../../src/admin/status.js';
import { BOUNDS, type ConcernFigures, concerns } from '../../src/admin/warnings.js';
import { VirtualClock } from '../../src/clock.js';
import { root } from '../helpers/paths.js';
import { COUNTER_NAMES, FakeSource, fakeSnapshot, fetchAdmin } from './fake.js';

const WALL_MS = 1_700_000_000_000;
const ZERO = Object.fromEntries(COUNTER_NAMES.map(name => [name, 0]));

/** A server whose counters the test sets, watched in virtual time. */
function watched() {
  const clock = new VirtualClock();
  const source = new FakeSource();
  const counters: Record<string, number> = { ...ZERO };
  const lateness = new Array<number>(256).fill(0);
  const now = { streams: 0, queueBytes: 0, loopMax: 0 };
  source.answer = async () => [
    fakeSnapshot(0, 1, {
      counters: { ...counters },
      lateness: [...lateness],
      queueBytes: now.queueBytes,
      groups: [{ plugin: 'echo', inbound: 'PCMU', outbound: 'PCMU', streams: now.streams }],
      eventLoopDelayMs: { p50: 1, p99: 2, max: now.loopMax },
    }),
  ];
  const figures = new Figures(source, clock);
  const history = new History(figures, () => WALL_MS + clock.now());
  history.start();
  return { clock, source, counters, lateness, now, figures, history };
}

test('points a second long: rates, shares, quantiles, and what is so at the end of each', async () => {
  const { clock, counters, lateness, now, history } = watched();
  await clock.advanceAsync(1000);
  assert.deepEqual(history.report(1000, 0).points, [], 'one sample is no stretch of time');
  Object.assign(now, { streams: 3, queueBytes: 4096, loopMax: 7 });
  Object.assign(counters, {
    mediaReceived: 150,
    bytesReceived: 24_000,
    framesHeard: 200,
    framesConcealed: 5,
    underruns: 2,
  });
  lateness[0] = 98;
  lateness[8] = 2; // 2 to 2.25 ms
  await clock.advanceAsync(1000);
  await clock.advanceAsync(1000);
  const { points, intervalMs, pid } = history.report(1000, 0);
  assert.deepEqual([intervalMs, pid], [1000, process.pid]);
  assert.equal(points.length, 2);
  const { cpuPercent, rssBytes, ...first } = points[0]!;
  assert.deepEqual(first, {
    atMs: WALL_MS + 2000,
    seconds: 1,
    streams: 3,
    messagesIn: 150,
    bytesIn: 24_000,
    messagesOut: 0,
    bytesOut: 0,
    concealedPercent: 2.5,
    underruns: 2,
    lateP50Ms: 0.25,
    lateP99Ms: 2.25,
    loopP50Ms: 1,
    loopMaxMs: 7,
    queueBytes: 4096,
  });
  assert.ok(cpuPercent >= 0 && rssBytes > 1e6);
  const { messagesIn, concealedPercent, lateP99Ms, streams } = points[1]!;
  assert.deepEqual(
    { messagesIn, concealedPercent, lateP99Ms, streams },
    { messagesIn: 0, concealedPercent: null, lateP99Ms: null, streams: 3 },
  );
  assert.deepEqual(history.report(1000, points[0]!.atMs).points, [points[1]]);
});

test('ten minutes by the second, an hour in steps of ten, and no more than that', async () => {
  const { clock, counters, history } = watched();
  for (let second = 0; second < 3700; second++) {
    counters.mediaReceived! += 50;
    await clock.advanceAsync(1000);
  }
  const fine = history.report(1000, 0).points;
  assert.equal(fine.length, 600);
  assert.deepEqual([fine[0]!.atMs, fine.at(-1)!.atMs], [WALL_MS + 3_101_000, WALL_MS + 3_700_000]);
  const coarse = history.report(10_000, 0).points;
  assert.equal(coarse.length, 360);
  assert.equal(coarse.at(-1)!.atMs - coarse[0]!.atMs, 3_590_000);
  for (const { seconds, messagesIn } of coarse) assert.deepEqual([seconds, messagesIn], [10, 50]);
});

test('the last minute is the last minute, whoever looks and whenever it began to', async () => {
  const { clock, counters, figures, history } = watched();
  const underruns = async () => (await statusReport(figures, history)).lastMinute.counters.underruns;
  counters.underruns = 4;
  await clock.advanceAsync(500);
  assert.equal(await underruns(), 4, 'before there has been a minute: all since the start');
  await clock.advanceAsync(29_500);
  assert.equal(await underruns(), 4);
  counters.underruns = 5;
  await clock.advanceAsync(29_000);
  assert.equal(await underruns(), 5);
  await clock.advanceAsync(3000);
  assert.equal(await underruns(), 1);
  await clock.advanceAsync(30_000);
  assert.equal(await underruns(), 0);
});

test('a reactor that does not answer leaves a gap; one that was replaced counts anew', async () => {
  const { clock, source, counters, history } = watched();
  counters.mediaReceived = 1000;
  await clock.advanceAsync(2000);
  const { answer } = source;
  source.answer = () => new Promise(() => {});
  await clock.advanceAsync(5000);
  source.answer = answer;
  counters.mediaReceived = 10;
  await clock.advanceAsync(3000);
  const points = history.report(1000, 0).points;
  assert.deepEqual(
    points.map(({ atMs, seconds, messagesIn }) => [atMs - WALL_MS, seconds, messagesIn]),
    [
      [2000, 1, 0],
      [9000, 7, 0],
      [10_000, 1, 0],
    ],
  );
  history.stop();
  await clock.advanceAsync(5000);
  assert.equal(history.report(1000, 0).points.length, 3);
});

test('GET /api/history: both intervals, points since a time, and other values refused', async () => {
  const clock = new VirtualClock();
  const source = new FakeSource();
  const admin = await createAdmin(source, { host: '127.0.0.1', port: 0, clock });
  try {
    await clock.advanceAsync(25_000);
    const get = async (query: string) =>
      JSON.parse((await fetchAdmin(admin.port, `/api/history${query}`)).body);
    const fine = await get('');
    assert.deepEqual([fine.intervalMs, fine.points.length], [1000, 24]);
    assert.equal((await get(`?since=${fine.points[20].atMs}`)).points.length <= 23, true);
    const coarse = await get('?interval=10000');
    assert.deepEqual([coarse.intervalMs, coarse.points.length], [10_000, 2]);
    for (const query of ['?interval=5000', '?interval=x', '?since=x']) {
      const { status, body } = await fetchAdmin(admin.port, `/api/history${query}`);
      assert.equal(status, 400, query);
      assert.match(body, /interval: give 1000 or 10000|since: give a time/);
    }
  } finally {
    await admin.close();
  }
});

const CALM: ConcernFigures = {
  streams: 100,
  draining: false,
  lastMinute: { seconds: 60, counters: { framesHeard: 300_000 }, lateP99Ms: 3 },
  reactors: [
    { reactor: 0, queueBytes: 55, loopMaxMs: 30 },
    { reactor: 1, queueBytes: 55, loopMaxMs: 30 },
  ],
  options: { queueBytesMax: 100, leadMs: 200 },
};

test('what is over its bound is named with its figure and its bound, and nothing else is', () => {
  const counted = (counters: Record<string, number>): Partial<ConcernFigures> => ({
    lastMinute: { seconds: 60, counters: { framesHeard: 300_000, ...counters }, lateP99Ms: null },
  });
  const late = (lateP99Ms: number): Partial<ConcernFigures> => ({
    lastMinute: { seconds: 60, counters: {}, lateP99Ms },
  });
  const cases: [Partial<ConcernFigures>, RegExp | undefined][] = [
    [{}, undefined],
    [{ lastMinute: { seconds: 1, counters: {}, lateP99Ms: null }, reactors: [], streams: 0 }, undefined],
    [late(50), undefined],
    [late(50.25), /^Messages left 50.25 ms late .*bound is 50 ms/],
    [{ ...late(45), options: { queueBytesMax: 100, leadMs: 40 } }, /bound is 40 ms/],
    [{ reactors: [{ reactor: 1, queueBytes: 80, loopMaxMs: 0 }] }, undefined],
    [
      { reactors: [{ reactor: 1, queueBytes: 81, loopMaxMs: 0 }] },
      /^Queued audio takes 81 % .*reactor 1; the bound is 80 %/,
    ],
    [
      { reactors: [{ reactor: 0, queueBytes: 0, loopMaxMs: 201 }] },
      /^Reactor 0 stood still for 201 ms .*200 ms/,
    ],
    [counted({ underruns: 1 }), undefined],
    [{ ...counted({ underruns: 1 }), streams: 1 }, undefined],
    [counted({ underruns: 2 }), /^Callers heard 2 gaps/],
    [counted({ framesConcealed: 3000 }), undefined],
    [counted({ framesConcealed: 3600 }), /^1.2 % of the audio .*bound is 1 %/],
    [counted({ handlerStalls: 1 }), /held its thread once/],
    [counted({ upgradesFull: 5 }), /refused 5 upgrades/],
    [{ ...counted({ upgradesFull: 5 }), draining: true }, undefined],
    [counted({ upgradesOverloaded: 3 }), /overloaded and refused 3 upgrades/],
    [counted({ streamsNotOpened: 1 }), /could not be carried/],
  ];
  for (const [change, expected] of cases) {
    const found = concerns({ ...CALM, ...change });
    assert.equal(found.length, expected ? 1 : 0, JSON.stringify([change, found]));
    if (expected) assert.match(found[0]!.text, expected);
  }
});

test('the alarm rules have the bounds of the dashboard', () => {
  const rules = readFileSync(join(root, 'docs/prometheus/alerts.yml'), 'utf8');
  const rule = (alarm: string): string => rules.split('- alert: ').find(text => text.startsWith(alarm))!;
  assert.ok(rule('SidetoneQueueMemory').includes(`> ${BOUNDS.queueShare}`));
  assert.ok(rule('SidetoneSendsLate').includes(`> ${BOUNDS.sendLatenessMs / 1000}`));
  assert.ok(rule('SidetoneConcealedAudio').includes(`> ${BOUNDS.concealedShare}`));
  assert.ok(rule('SidetoneUnderruns').includes(`> ${BOUNDS.underrunsPerStream} *`));
});
