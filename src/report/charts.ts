/** The plots of a load report, as SVG text: legible on a white page and on a dark one (they bring their own ground). */
import type { EChartsOption, SeriesOption } from 'echarts';
import { importPeer } from '../peer.js';

const WIDTH = 860;
const HEIGHT = 420;
// The name has no quotes, because ECharts writes it into an attribute as it is.
const FONT = 'system-ui, -apple-system, Roboto, Arial, sans-serif';
export const INK = '#1f2933';
export const FAINT = '#616e7c';
export const GRID = '#e4e7eb';

/** Colours that the colour-blind can tell apart (Okabe and Ito). The symbols differ too. */
export const COLOURS = ['#0072b2', '#d55e00', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#7b8794'];
/** With more points than this, symbols would hide the line. */
const SYMBOL_POINTS_MAX = 40;
const SYMBOLS = ['circle', 'rect', 'triangle', 'diamond', 'pin', 'roundRect', 'arrow'];

/** How a measured time is spread, in ms. */
export interface Distribution {
  count: number;
  minMs: number;
  meanMs: number;
  p50Ms: number;
  p90Ms: number;
  p99Ms: number;
  p999Ms: number;
  maxMs: number;
  /** Lowest value (ms), width (ms) and count of each bucket that holds any, ascending: a quantile is right to 1.6 %. */
  buckets: [lowMs: number, widthMs: number, count: number][];
}

export interface Series {
  name: string;
  /** x, y and, where there is a spread, the least and greatest y. */
  points: [x: number, y: number, low?: number, high?: number][];
  /** Which colour and symbol of the palette, so that one thing looks the same in every plot. Default: in order. */
  slot?: number;
  /** A limit or target rather than a measurement: dashed, without symbols. */
  dashed?: boolean;
}

export interface LineChart {
  title: string;
  subtitle?: string;
  x: string;
  y: string;
  series: Series[];
  xLog?: boolean;
}

/**
 * ECharts. Ask for it before work that ends in a report, so that the work is not lost where it is not installed.
 * @throws SIDETONE_PACKAGE_MISSING
 */
export const loadCharts = (): Promise<typeof import('echarts')> =>
  importPeer('echarts', 'reports with plots', () => import('echarts'));

/** One chart as SVG; what `option` leaves out looks as in every report. */
export async function render(option: EChartsOption, height = HEIGHT): Promise<string> {
  const echarts = await loadCharts();
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  try {
    chart.setOption({
      animation: false,
      backgroundColor: '#ffffff',
      color: COLOURS,
      textStyle: { fontFamily: FONT, color: INK, fontSize: 13 },
      ...option,
    });
    // The mouse does nothing in a file, so its effects are left out.
    return chart.renderToSVGString({ useViewBox: true }).replace(/<style.*?<\/style>/gs, '');
  } finally {
    chart.dispose();
  }
}

export function title(text: string, subtext = ''): EChartsOption['title'] {
  return {
    text,
    subtext,
    left: 16,
    top: 10,
    itemGap: 4,
    textStyle: { fontSize: 17, fontWeight: 600, color: INK, fontFamily: FONT },
    subtextStyle: { fontSize: 13, color: FAINT, fontFamily: FONT },
  };
}

const legend = { bottom: 8, left: 'center', itemGap: 22, textStyle: { fontSize: 13, color: INK } } as const;
const grid = { left: 76, right: 34, top: 74, bottom: 92 };

export function axis(name: string, vertical: boolean): object {
  return {
    name,
    nameLocation: 'middle',
    nameGap: vertical ? 54 : 32,
    nameTextStyle: { color: FAINT, fontSize: 13 },
    axisLabel: { color: FAINT, fontSize: 12 },
    axisLine: { show: !vertical, lineStyle: { color: FAINT } },
    axisTick: { show: !vertical, lineStyle: { color: FAINT } },
    splitLine: { show: vertical, lineStyle: { color: GRID } },
    minorTick: { show: false },
  };
}

/** Lines with a point a measurement, and the spread around it where there is one. */
export function lineChart({ title: text, subtitle, x, y, series, xLog }: LineChart): Promise<string> {
  const drawn: SeriesOption[] = series.flatMap((one, i): SeriesOption[] => {
    const slot = (one.slot ?? i) % COLOURS.length;
    const colour = one.dashed ? FAINT : COLOURS[slot]!;
    const line: SeriesOption = {
      type: 'line',
      name: one.name,
      data: one.points.map(([px, py]) => [px, py]),
      symbol: one.dashed || one.points.length > SYMBOL_POINTS_MAX ? 'none' : SYMBOLS[slot]!,
      symbolSize: 8,
      itemStyle: { color: colour },
      lineStyle: { width: one.dashed ? 1.5 : 2.5, type: one.dashed ? 'dashed' : 'solid', color: colour },
    };
    const whiskers: SeriesOption = {
      type: 'line',
      silent: true,
      symbol: 'none',
      data: [],
      markLine: {
        silent: true,
        symbol: 'none',
        label: { show: false },
        lineStyle: { type: 'solid', width: 1.2, color: colour, opacity: 0.7 },
        data: one.points.flatMap(([px, , low, high]) =>
          low === undefined || high === undefined ? [] : [[{ coord: [px, low] }, { coord: [px, high] }]],
        ),
      },
    };
    return [line, whiskers];
  });
  return render({
    title: title(text, subtitle),
    legend: { ...legend, data: series.map(one => one.name) },
    grid,
    xAxis: {
      type: xLog ? 'log' : 'value',
      min: 'dataMin',
      max: 'dataMax',
      ...axis(x, false),
    },
    yAxis: { type: 'value', min: 0, ...axis(y, true) },
    series: drawn,
  } as EChartsOption);
}

/** The labels of the quantile axis: the share of values at or below, and the place on the axis. */
const QUANTILES: [share: number, label: string][] = [
  [0, '0'],
  [0.5, '50 %'],
  [0.9, '90 %'],
  [0.99, '99 %'],
  [0.999, '99.9 %'],
  [0.9999, '99.99 %'],
];
/** Distance along the axis: each further nine takes as much room as the one before. */
const along = (share: number): number => Math.round(-Math.log10(1 - share) * 1e6) / 1e6;

/** Value by quantile, both axes logarithmic: the tail that callers hear is as wide as the middle. */
export function quantileChart(
  text: string,
  subtitle: string,
  y: string,
  distributions: { name: string; distribution: Distribution; slot?: number }[],
): Promise<string> {
  const drawn = distributions.map(({ name, distribution, slot = 0 }): SeriesOption => {
    const color = COLOURS[slot % COLOURS.length]!;
    const data: [number, number][] = [];
    let seen = 0;
    for (const [lowMs, widthMs, count] of distribution.buckets) {
      seen += count;
      const share = Math.min(seen / distribution.count, 1 - 1e-4);
      const at = along(share);
      const value = Math.max(lowMs + widthMs, 0.01);
      // A point for each hundredth of a decade is more than the eye can tell apart.
      if (data.length === 0 || at - data.at(-1)![0] > 0.01) data.push([at, value]);
      if (seen / distribution.count > 1 - 1e-4) break;
    }
    return {
      type: 'line',
      name,
      data,
      symbol: 'none',
      itemStyle: { color },
      lineStyle: { width: 2.5, color, type: slot % 2 === 0 ? 'solid' : [7, 3] },
    };
  });
  const values = distributions.flatMap(({ distribution }) => [distribution.p50Ms, distribution.maxMs]);
  const floor = 10 ** Math.floor(Math.log10(Math.max(0.01, Math.min(...values, 1))));
  return render({
    title: title(text, subtitle),
    legend: {
      ...legend,
      icon: 'rect',
      itemWidth: 22,
      itemHeight: 4,
      data: distributions.map(({ name }) => name),
    },
    grid,
    xAxis: {
      type: 'value',
      min: 0,
      max: 4,
      ...axis('share of frames at or below', false),
      splitLine: { show: true, lineStyle: { color: GRID } },
      axisLabel: {
        color: FAINT,
        fontSize: 12,
        customValues: QUANTILES.map(([share]) => along(share)),
        formatter: (value: number) =>
          QUANTILES.find(([share]) => Math.abs(along(share) - value) < 0.01)?.[1] ?? '',
      },
      axisTick: { customValues: QUANTILES.map(([share]) => along(share)) },
    },
    yAxis: {
      type: 'log',
      min: floor,
      ...axis(y, true),
      axisLabel: {
        color: FAINT,
        fontSize: 12,
        formatter: (value: number) => String(Number(value.toPrecision(3))),
      },
    },
    series: drawn,
  } as EChartsOption);
}

export interface StackedBars {
  title: string;
  subtitle?: string;
  y: string;
  bars: { name: string; parts: Record<string, number> }[];
}

/** Horizontal bars made of parts, their sum written behind them. */
export function barChart({ title: text, subtitle, y, bars }: StackedBars): Promise<string> {
  const parts = [...new Set(bars.flatMap(bar => Object.keys(bar.parts)))];
  const total = (bar: StackedBars['bars'][number]): number =>
    Object.values(bar.parts).reduce((sum, value) => sum + value, 0);
  const shown = [...bars].reverse();
  return render(
    {
      title: title(text, subtitle),
      legend: { ...legend, data: parts },
      grid: { ...grid, left: 170, right: 70, bottom: 88 },
      xAxis: { type: 'value', ...axis(y, false), splitLine: { show: true, lineStyle: { color: GRID } } },
      yAxis: {
        type: 'category',
        data: shown.map(bar => bar.name),
        axisLine: { lineStyle: { color: FAINT } },
        axisTick: { show: false },
        axisLabel: { color: INK, fontSize: 13 },
      },
      series: parts.map((part, i) => ({
        type: 'bar',
        name: part,
        stack: 'all',
        barMaxWidth: 30,
        data: shown.map(bar => bar.parts[part] ?? 0),
        label: {
          show: i === parts.length - 1,
          position: 'right',
          color: INK,
          fontSize: 13,
          formatter: ({ dataIndex }: { dataIndex: number }) => total(shown[dataIndex]!).toFixed(0),
        },
      })),
    } as EChartsOption,
    170 + bars.length * 44,
  );
}
