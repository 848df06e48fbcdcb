/** The plots of the demo's report. */
import type { EChartsOption, SeriesOption } from 'echarts';
import { axis, COLOURS, FAINT, render, title } from '../report/charts.js';
import type { Pcm } from '../simulator/speech.js';

/** Columns of a wave: about one a pixel. */
const COLUMNS = 760;
const ROW = 104;
const TOP = 84;
const GAP = 30;

export interface WaveRow {
  name: string;
  sound: Pcm;
}

export interface StepRow {
  name: string;
  /** Seconds and value. */
  points: [number, number][];
}

export interface TimelineChart {
  title: string;
  subtitle: string;
  seconds: number;
  waves: WaveRow[];
  /** Below the waves. */
  steps?: StepRow;
  /** Moments that are marked through all rows. */
  moments?: { atSeconds: number; name: string }[];
}

/** Sounds one above the other on one time axis. */
export function timelineChart(chart: TimelineChart): Promise<string> {
  const { waves, steps, moments = [] } = chart;
  const seconds = Math.ceil(chart.seconds * 2 - 0.1) / 2; // half seconds make round labels
  const rows = waves.length + (steps ? 1 : 0);
  const grids = Array.from({ length: rows }, (_, i) => ({
    left: 84,
    right: 34,
    top: TOP + i * (ROW + GAP),
    height: ROW,
  }));
  const isLast = (row: number): boolean => row === rows - 1;
  const series: SeriesOption[] = waves.map(({ sound }, row) => ({
    type: 'line',
    xAxisIndex: row,
    yAxisIndex: row,
    data: envelope(sound, seconds),
    symbol: 'none',
    lineStyle: { width: 1, color: COLOURS[row % 2]! },
    markLine: marks(moments, row === 0),
  }));
  if (steps) {
    series.push({
      type: 'line',
      xAxisIndex: rows - 1,
      yAxisIndex: rows - 1,
      data: steps.points,
      symbol: 'none',
      lineStyle: { width: 1, color: COLOURS[3]! },
      areaStyle: { color: COLOURS[3]!, opacity: 0.25 },
      markLine: marks(moments, false),
    });
  }
  const option = {
    title: title(chart.title, chart.subtitle),
    grid: grids,
    xAxis: grids.map((_, row) => ({
      type: 'value',
      gridIndex: row,
      min: 0,
      max: seconds,
      ...axis(isLast(row) ? 'seconds since the start of the stream' : '', false),
      axisLabel: { show: isLast(row), color: FAINT, fontSize: 12 },
    })),
    yAxis: grids.map((_, row) => {
      const wave = waves[row];
      const look = axis(wave?.name ?? steps!.name, true);
      if (!wave) return { type: 'value', gridIndex: row, min: 0, splitNumber: 3, ...look };
      return {
        type: 'value',
        gridIndex: row,
        min: -1,
        max: 1,
        ...look,
        nameGap: 24,
        axisLabel: { show: false },
        splitLine: { show: false },
      };
    }),
    series,
  };
  return render(option as EChartsOption, TOP + rows * (ROW + GAP) + 40);
}

function marks(moments: readonly { atSeconds: number; name: string }[], named: boolean): object {
  return {
    silent: true,
    symbol: 'none',
    lineStyle: { color: FAINT, type: 'dashed', width: 1.2 },
    data: moments.map(({ atSeconds, name }, i) => ({
      xAxis: atSeconds,
      label: {
        show: named,
        formatter: name,
        color: FAINT,
        fontSize: 12,
        position: 'end',
        // Two that lie close together would cover each other.
        align: moments.length > 1 && i === 0 ? 'right' : 'left',
        padding: [0, 6],
      },
    })),
  };
}

/** Least and greatest sample of each column, up and down in one line. */
function envelope({ samples, sampleRate }: Pcm, seconds: number): [number, number][] {
  const points: [number, number][] = [];
  const perColumn = (seconds * sampleRate) / COLUMNS;
  for (let column = 0; column < COLUMNS; column++) {
    const from = Math.floor(column * perColumn);
    const to = Math.min(samples.length, Math.floor((column + 1) * perColumn));
    let low = 0;
    let high = 0;
    for (let i = from; i < to; i++) {
      low = Math.min(low, samples[i]!);
      high = Math.max(high, samples[i]!);
    }
    const at = Number(((column * seconds) / COLUMNS).toFixed(3));
    points.push([at, Number((low / 32768).toFixed(3))], [at, Number((high / 32768).toFixed(3))]);
  }
  return points;
}
