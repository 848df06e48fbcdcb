/** What a load run found, for people: lines for a terminal, one HTML file with plots. */
import { type Distribution, lineChart, quantileChart } from '../report/charts.js';
import { figure, heading, page, paragraph, provenance, table, verdict } from '../report/page.js';
import type { CpuPerStreamSecond, LoadResult, TimelinePoint } from './result.js';
import { p99Of, type RampResult } from './run.js';

const us = (cpu: CpuPerStreamSecond): string =>
  `${cpu.totalUs.toFixed(0)} µs a stream-second (user ${cpu.userUs.toFixed(0)}, kernel ${cpu.kernelUs.toFixed(0)})`;
const ms = (value: number): string => (value < 10 ? value.toFixed(2) : value.toFixed(1));
const quantiles = (d: Distribution): string =>
  `p50 ${ms(d.p50Ms)}, p99 ${ms(d.p99Ms)}, p99.9 ${ms(d.p999Ms)}, max ${ms(d.maxMs)} ms`;
const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** Name and text of every figure, in reading order. */
function facts(result: LoadResult): [name: string, text: string][] {
  const { streams, sent, received, audioRate, underruns, latency, control, verify, server, generator } =
    result;
  const rows: [string, string][] = [
    ['streams', `${streams.opened} of ${streams.asked} open, ${result.encoding}, ${result.mode}`],
    ['measured', `${result.seconds.toFixed(1)} s`],
    ['sent', `${sent.frames} frames of ${result.ptimeMs} ms, ${mb(sent.wireBytes)}`],
    [
      'received',
      `${received.messages} messages, ${(received.audioMs / 1000).toFixed(1)} s of audio, ${mb(received.wireBytes)}`,
    ],
    [
      'audio rate',
      `${audioRate.mean.toFixed(4)} (worst stream ${audioRate.worst.toFixed(4)}); 1 is real time`,
    ],
    [
      'underruns',
      `${underruns.count} in ${underruns.streams} streams, ${ms(underruns.totalMs)} ms of silence in all`,
    ],
  ];
  if (latency) rows.push(['latency', quantiles(latency)]);
  rows.push(['deadline error', quantiles(result.deadlineError)]);
  if (verify) {
    rows.push([
      'verified',
      `${verify.bytesRight} bytes right, ${verify.bytesWrong} wrong; ${verify.framesMissing} frames missing, ${verify.framesRepeated} repeated`,
    ]);
  }
  if (control.marks + control.clears > 0) {
    rows.push([
      'control',
      `${control.marks} marks, ${control.marksReturned} returned, ${control.clears} clears`,
    ]);
  }
  if (server) {
    rows.push(['server CPU', us(server.cpu)]);
    rows.push(['server memory', `${mb(server.rssBytesBefore)} before, ${mb(server.rssBytesAfter)} after`]);
  }
  rows.push(['generator CPU', us(generator.cpu)]);
  rows.push(['generator late', quantiles(generator.sendLateness)]);
  return rows;
}

export function textReport(result: LoadResult): string {
  return [
    ...facts(result).map(([name, text]) => `${name.padEnd(15)} ${text}`),
    ...result.warnings.map(text => `${'warning'.padEnd(15)} ${text}`),
    ...result.problems.map(text => `${'problem'.padEnd(15)} ${text}`),
  ]
    .map(line => `${line}\n`)
    .join('');
}

async function resultSections(result: LoadResult): Promise<string[]> {
  const { latency, deadlineError } = result;
  const subtitle = `${result.streams.opened} ${result.encoding} streams, ${result.seconds.toFixed(0)} s`;
  const sections = [table(['figure', 'value'], facts(result), true)];
  if (result.timeline.length > 1) sections.push(figure(await timelineChart(result, subtitle)));
  if (latency && latency.count > 0) {
    sections.push(
      figure(
        await quantileChart('Echo latency', subtitle, 'ms', [{ name: 'latency', distribution: latency }]),
      ),
    );
  }
  if (deadlineError.count > 0) {
    sections.push(
      figure(
        await quantileChart('Lateness of each message against its schedule', subtitle, 'ms', [
          { name: 'deadline error', distribution: deadlineError },
        ]),
      ),
    );
  }
  return sections;
}

/** Messages there and back over the run. */
function timelineChart({ timeline }: LoadResult, subtitle: string): Promise<string> {
  const by = (y: (point: TimelinePoint) => number): [number, number][] => [
    [0, 0],
    ...timeline.map((point): [number, number] => [
      Number(point.seconds.toFixed(1)),
      Number(y(point).toFixed(1)),
    ]),
  ];
  return lineChart({
    title: 'Over time',
    subtitle: `${subtitle}; connecting and warming up come first`,
    x: 'seconds since the start',
    y: 'messages a second',
    series: [
      { name: 'sent', points: by(point => point.sentPerSecond) },
      { name: 'came back', points: by(point => point.receivedPerSecond) },
    ],
  });
}

/** The first thing on the page: whether the server carried the load, and whether the figures can be trusted. */
export function verdictOf({ streams, problems, warnings }: LoadResult): {
  text: string;
  tone: 'good' | 'bad';
} {
  if (problems.length > 0) {
    const rest = problems.length > 1 ? `, and ${problems.length - 1} more` : '';
    return { text: `Failed: ${problems[0]}${rest}.`, tone: 'bad' };
  }
  const text = `All ${streams.asked} streams were carried to their end`;
  if (warnings.length === 0) return { text: `${text}.`, tone: 'good' };
  return { text: `${text}, but the figures are doubtful: ${warnings[0]}.`, tone: 'bad' };
}

/** One run as a page. */
export async function htmlReport(result: LoadResult): Promise<string> {
  const { text, tone } = verdictOf(result);
  return page('Load on a Telnyx media server', result.url, [
    verdict(text, tone),
    provenance(new Date(result.startedAt)),
    // The verdict shows the first problem already.
    ...[...result.problems, ...result.warnings].slice(1).map(paragraph),
    ...(await resultSections(result)),
  ]);
}

export function rampText({ streams, p99Ms, steps }: RampResult): string {
  const what = steps[0]?.result.mode === 'listen' ? 'deadline error' : 'latency';
  return `${streams} streams hold p99 of the ${what} under ${p99Ms} ms\n`;
}

/** A search as a page: p99 and processor time by streams, then the largest load that held. */
export async function rampHtml(ramp: RampResult): Promise<string> {
  const { steps, p99Ms } = ramp;
  const sorted = [...steps].sort((a, b) => a.result.streams.asked - b.result.streams.asked);
  const best = steps
    .filter(step => step.held)
    .sort((a, b) => b.result.streams.asked - a.result.streams.asked)[0];
  const by = (y: (result: LoadResult) => number): [number, number][] =>
    sorted.map(({ result }) => [result.streams.asked, y(result)]);
  const most = sorted.at(-1)?.result.streams.asked ?? 0;
  const least = sorted[0]?.result.streams.asked ?? 0;
  const limit: [number, number][] = [
    [least, p99Ms],
    [most, p99Ms],
  ];
  const sections = [
    table(
      ['streams', 'p99 ms', 'audio rate', 'underruns', 'server CPU µs', 'held'],
      sorted.map(({ result, held }) => [
        String(result.streams.asked),
        ms(p99Of(result)),
        result.audioRate.mean.toFixed(4),
        String(result.underruns.count),
        result.server?.cpu.totalUs.toFixed(0) ?? '–',
        { text: held ? 'yes' : 'no', tone: held ? 'good' : 'bad' },
      ]),
    ),
    figure(
      await lineChart({
        title: 'p99 by streams',
        x: 'streams',
        y: 'ms',
        series: [
          { name: 'p99', points: by(p99Of) },
          { name: 'limit', points: limit, dashed: true },
        ],
      }),
    ),
  ];
  if (best)
    sections.push(heading(`At ${best.result.streams.asked} streams`), ...(await resultSections(best.result)));
  const [first] = steps;
  return page('Load that a Telnyx media server can bear', first?.result.url ?? '', [
    verdict(`${rampText(ramp).trim()}.`, ramp.streams > 0 ? 'good' : 'bad'),
    ...(first ? [provenance(new Date(first.result.startedAt))] : []),
    ...sections,
  ]);
}
