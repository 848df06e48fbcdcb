/** The demo's outcome as one page that needs nothing else; the sounds lie beside it. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CODECS } from '../formats.js';
import { type Distribution, quantileChart } from '../report/charts.js';
import { type Cell, figure, heading, page, paragraph, provenance, table, verdict } from '../report/page.js';
import { latencies } from '../simulator/echo.js';
import type { CallResult } from '../simulator/result.js';
import { timelineChart } from './charts.js';
import { type DemoOutcome, isRight, type JudgedCall } from './demo.js';
import { LIVE_GAPS_MS, POOL_GAPS_MS, TROUBLE_GAPS_MS } from './judge.js';
import type { Kind } from './plan.js';
import type { Verdict } from './verdict.js';

/** Where the callers stood still for longer than this, in ms, the bounds are too wide to tell much. */
const STALL_MS_MAX = 100;

/** Writes index.html; its path. */
export async function writeReport(directory: string, outcome: DemoOutcome): Promise<string> {
  const path = join(directory, 'index.html');
  await writeFile(path, await reportPage(outcome));
  return path;
}

/** The page; the sounds that it points to are not in it. */
export async function reportPage(outcome: DemoOutcome): Promise<string> {
  const { calls, cpuMs, callSeconds, missing, problems, stallMs, seed, encodings } = outcome;
  const right = calls.filter(isCallRight).length;
  const server =
    cpuMs === undefined
      ? ''
      : ` The server took ${(cpuMs / 1000).toFixed(1)} s of processor time for ${callSeconds.toFixed(0)} s of ` +
        `calls, ${(cpuMs / callSeconds).toFixed(1)} ms a second of call.`;
  const isFine = isRight(outcome);
  const body = [
    verdict(
      `${right} of ${calls.length} calls right: ${isFine ? 'every caller heard what it should' : 'not every call was right'}.`,
      isFine ? 'good' : 'bad',
    ),
    provenance(new Date()),
    ...(stallMs > STALL_MS_MAX
      ? [
          paragraph(
            `This machine was short of processor time: the callers or the server stood still for ${stallMs.toFixed(0)} ms. ` +
              'That widens the bounds, so the outcome says little. Run the demo again when the machine has less to do.',
          ),
        ]
      : []),
    paragraph(
      `Each call carried real speech over a WebSocket, as Telnyx does, in ${encodings.join(', ')}. Whether it was ` +
        'right is judged by the sound that the caller heard: byte for byte where the codec allows it, by correlation ' +
        `with the original in every 200 ms of speech where it does not.${server}`,
    ),
    ...problems.map(paragraph),
    ...missing.map(({ encoding, why }) => paragraph(`Without ${encoding}: ${why}`)),
    ...(await interruptions(calls)),
    ...(await echoes(calls)),
    heading('All calls'),
    paragraph(
      'Each judged figure has its bound beside it. OPUS and AMR-WB do not keep the wave of a sound, so what they ' +
        'carried is not byte for byte what was said: their bounds on correlation are a little below what the codec ' +
        'alone does to the same speech. Gaps are silence that the speaker did not make. An echo has nothing queued ' +
        `ahead, so ${LIVE_GAPS_MS} ms of them in a whole call would do; frames that were lost or overtaken on the ` +
        `line allow ${TROUBLE_GAPS_MS} ms more, worker pools ${POOL_GAPS_MS} ms. This machine held the callers or the ` +
        `server for up to ${stallMs.toFixed(0)} ms, which is allowed for once for each process on the way.`,
    ),
    callTable(calls),
    paragraph(`Seed: ${seed}.`),
  ];
  return page(
    'sidetone: sixty-six calls',
    'What sixty-six callers heard at the same time, judged by its sound.',
    body,
  );
}

function isCallRight({ verdict }: JudgedCall): boolean {
  return verdict.problems.length === 0;
}

function find(calls: readonly JudgedCall[], kind: Kind, trouble: RegExp, pooled?: boolean): JudgedCall[] {
  const found = calls.find(
    ({ planned }) =>
      planned.kind === kind &&
      trouble.test(planned.trouble) &&
      (pooled === undefined || (CODECS[planned.encoding].runsIn === 'pool') === pooled),
  );
  return found ? [found] : [];
}

function player({ file }: JudgedCall): string {
  return `<audio controls preload="none" src="${file}"></audio>`;
}

/** Calls in which the caller cut the server off, moment by moment. */
async function interruptions(calls: readonly JudgedCall[]): Promise<string[]> {
  const parts: string[] = [];
  for (const judged of [...find(calls, 'agent', /spoken/), ...find(calls, 'speak', /key/)]) {
    const { planned, result, heard } = judged;
    const cut = result.heard.find(segment => segment.clearedAfterMs !== undefined);
    const moments = [
      { atSeconds: planned.interruptAtMs! / 1000, name: planned.kind === 'agent' ? 'speaks' : 'key' },
    ];
    if (cut) moments.push({ atSeconds: (cut.atMs + cut.clearedAfterMs!) / 1000, name: 'silent' });
    const svg = await timelineChart({
      title:
        planned.kind === 'agent' ? 'The caller speaks into an answer' : 'A key cuts off what is being played',
      subtitle: `${describe(judged)}: what the caller says, what it hears, how much of that had come before`,
      seconds: result.durationMs / 1000,
      waves: [
        { name: 'says', sound: planned.said },
        { name: 'hears', sound: heard },
      ],
      steps: { name: 'ready, ms', points: ahead(result) },
      moments,
    });
    parts.push(figure(svg), player(judged));
  }
  return parts.length > 0 ? [heading('Interrupted'), ...parts] : [];
}

async function echoes(calls: readonly JudgedCall[]): Promise<string[]> {
  const shown = [
    ...find(calls, 'echo', /^$/, false),
    ...find(calls, 'echo', /lost/, false),
    ...find(calls, 'echo', /^$/, true),
  ];
  const parts: string[] = [];
  for (const judged of shown) {
    const { planned, result, heard, verdict } = judged;
    const svg = await timelineChart({
      title: `Echo over ${describe(judged)}`,
      subtitle: verdict.how,
      seconds: result.durationMs / 1000,
      waves: [
        { name: 'said', sound: planned.said },
        { name: 'heard', sound: heard },
      ],
    });
    parts.push(figure(svg), player(judged));
  }
  const distributions = ['reactor', 'pool'].flatMap((where, slot) => {
    const delaysMs = calls
      .filter(({ planned }) => CODECS[planned.encoding].runsIn === where && planned.trouble === '')
      .flatMap(({ verdict }) => verdict.delaysMs);
    const name = where === 'pool' ? 'OPUS, AMR-WB (worker pool)' : 'PCMU, PCMA, G722, L16';
    return delaysMs.length > 0 ? [{ name, slot, distribution: distribution(delaysMs) }] : [];
  });
  if (distributions.length > 0) {
    const svg = await quantileChart(
      'How long an echo was away',
      'from sending a frame to the arrival of its echo, calls without trouble on the line',
      'ms',
      distributions,
    );
    parts.push(figure(svg));
  }
  return parts.length > 0 ? [heading('Echoes'), ...parts] : [];
}

function describe({ planned }: JudgedCall): string {
  return [planned.encoding, planned.trouble].filter(Boolean).join(', ');
}

/** How much of what was heard lay ready at the far end, as it came and was played. What a clear drops is not in it. */
function ahead({ heard, durationMs }: CallResult): [number, number][] {
  const points: [number, number][] = [];
  let endMs = 0;
  for (const [i, segment] of heard.entries()) {
    const { arrivedMs, atMs, durationMs: lengthMs, clearedAfterMs } = segment;
    if (endMs <= arrivedMs) points.push([endMs / 1000, 0]);
    points.push([arrivedMs / 1000, Math.max(0, endMs - arrivedMs)]);
    endMs = atMs + lengthMs;
    points.push([arrivedMs / 1000, endMs - arrivedMs]);
    if (clearedAfterMs === undefined || i === heard.length - 1) continue;
    const cutMs = atMs + clearedAfterMs;
    points.push([cutMs / 1000, Math.max(0, endMs - cutMs)], [cutMs / 1000, 0]);
    endMs = cutMs;
  }
  const last = Math.min(endMs, durationMs);
  points.push([last / 1000, Math.max(0, endMs - last)], [last / 1000, 0]);
  return points;
}

function distribution(values: readonly number[]): Distribution {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
  return {
    count: sorted.length,
    minMs: sorted[0]!,
    meanMs: sorted.reduce((sum, value) => sum + value, 0) / sorted.length,
    p50Ms: at(0.5),
    p90Ms: at(0.9),
    p99Ms: at(0.99),
    p999Ms: at(0.999),
    maxMs: sorted.at(-1)!,
    buckets: sorted.map(value => [value, 0, 1]),
  };
}

/** Number and length of the gaps, and how long they might be. */
function gapsCell(gaps: Verdict['gaps']): string | Cell {
  if (!gaps) return '';
  const { count, totalMs, allowedMs } = gaps;
  const found = totalMs > 0 ? `${count}, ${totalMs.toFixed(0)} ms` : '0';
  const text = `${found} (up to ${allowedMs.toFixed(0)} ms)`;
  return totalMs > allowedMs ? { text, tone: 'bad' } : text;
}

function callTable(calls: readonly JudgedCall[]): string {
  const head = [
    'call',
    'encoding',
    { text: 'on the line', isLong: true },
    { text: 'verdict', isLong: true },
    'heard',
    'gaps',
    'echo p50',
    'echo p99',
  ];
  const rows = calls.map(({ planned, result, verdict, file }): (string | Cell)[] => {
    const right = verdict.problems.length === 0;
    const delays = latencies(verdict.delaysMs);
    const ms = (value: number | undefined): string => (value === undefined ? '' : `${value.toFixed(1)} ms`);
    return [
      { text: `${planned.name.slice(0, 2)} ${planned.kind}`, href: file },
      planned.encoding,
      { text: planned.trouble, isLong: true },
      { text: right ? verdict.how : verdict.problems.join('; '), tone: right ? 'good' : 'bad', isLong: true },
      `${(result.heardMs / 1000).toFixed(1)} s`,
      gapsCell(verdict.gaps),
      ms(delays?.p50),
      ms(delays?.p99),
    ];
  });
  return table(head, rows);
}
