// One small chart: up to two lines over the last minutes, drawn as SVG.
/** A server that has just started begins with less than is wanted. */
const SPAN_MS_MIN = 60_000;
/** A point that stands for more than this has missing ones before it. */
const GAP_INTERVALS = 2.5;
const PAD = { top: 14, bottom: 1, right: 1 };

/** A round number at or above `value`: 1, 2, 2.5 or 5 times a power of ten. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 2.5, 5, 10].find(step => value <= step * power * (1 + 1e-9));
  return step * power;
}

/** The time that a chart of these points goes back. */
export function spanMs(points, nowMs, wantedMs) {
  const first = points[0]?.atMs ?? nowMs;
  return Math.min(wantedMs, Math.max(SPAN_MS_MIN, nowMs - first));
}

export class Chart {
  #svg;
  #parts = {};
  #options;
  #history = { points: [], nowMs: 0, spanMs: SPAN_MS_MIN, intervalMs: 0 };
  #width = 0;
  #height = 0;

  /**
   * `series`: one or two functions from a point to a number or null. `floor`: the least upper end of the scale.
   * `format`: from a number to text. `onHover`: called with a time, or null when the pointer leaves.
   */
  constructor(svg, options) {
    this.#svg = svg;
    this.#options = options;
    const part = (name, kind, className) => {
      const made = document.createElementNS('http://www.w3.org/2000/svg', kind);
      made.setAttribute('class', className);
      svg.append(made);
      this.#parts[name] = made;
    };
    part('top line', 'line', 'grid');
    part('base line', 'line', 'grid');
    part('top', 'text', 'top');
    part('area', 'path', 'area');
    options.series.forEach((_, i) => {
      part(`line ${i}`, 'path', i === 0 ? 'line' : 'line second');
    });
    part('cursor', 'line', 'cursor');
    options.series.forEach((_, i) => {
      part(`dot ${i}`, 'circle', i === 0 ? 'dot' : 'dot second');
    });
    svg.addEventListener('pointermove', event => options.onHover(this.#timeAt(event)));
    svg.addEventListener('pointerleave', () => options.onHover(null));
    new ResizeObserver(() => this.draw(this.#history, null)).observe(svg);
  }

  /** `history`: points, `nowMs` at the right end, `spanMs` to the left, and `intervalMs`, a point's usual length. */
  draw(history, hover) {
    this.#history = history;
    const { points } = history;
    this.#width = this.#svg.clientWidth;
    this.#height = this.#svg.clientHeight;
    if (this.#width === 0) return;
    const { series, floor, format } = this.#options;
    const values = points.flatMap(point => series.map(read => read(point) ?? 0));
    const max = roundUp(Math.max(floor, ...values));
    const base = this.#height - PAD.bottom;
    const y = value => base - (value / max) * (base - PAD.top);

    this.#set('top line', { x1: 0, x2: this.#width, y1: PAD.top, y2: PAD.top });
    this.#set('base line', { x1: 0, x2: this.#width, y1: base, y2: base });
    this.#set('top', { x: 0, y: PAD.top - 4 });
    this.#parts.top.textContent = format(max);
    series.forEach((read, i) => {
      this.#set(`line ${i}`, { d: this.#path(points, read, y) });
    });
    this.#set('area', { d: this.#path(points, series[0], y, base) });
    this.#drawCursor(hover, y, base);
  }

  #drawCursor(hover, y, base) {
    const { series } = this.#options;
    this.#parts.cursor.toggleAttribute('hidden', !hover);
    const x = hover ? this.#x(hover.atMs) : 0;
    this.#set('cursor', { x1: x, x2: x, y1: PAD.top, y2: base });
    series.forEach((read, i) => {
      const value = hover ? read(hover) : null;
      this.#parts[`dot ${i}`].toggleAttribute('hidden', value === null);
      if (value !== null) this.#set(`dot ${i}`, { cx: x, cy: y(value), r: 3 });
    });
  }

  #x(atMs) {
    return (this.#width - PAD.right) * (1 - (this.#history.nowMs - atMs) / this.#history.spanMs);
  }

  #timeAt(event) {
    const { left, width } = this.#svg.getBoundingClientRect();
    return this.#history.nowMs - this.#history.spanMs * (1 - (event.clientX - left) / width);
  }

  /** Null values part the line, and so does a point that follows missing ones. With `base`, the area below it. */
  #path(points, read, y, base) {
    let path = '';
    let last;
    const end = () => {
      if (last !== undefined && base !== undefined) path += `L${last} ${base}Z`;
      last = undefined;
    };
    for (const point of points) {
      const value = read(point);
      if (value === null || point.seconds * 1000 > GAP_INTERVALS * this.#history.intervalMs) end();
      if (value === null) continue;
      const x = this.#x(point.atMs).toFixed(1);
      if (last === undefined) path += base === undefined ? `M${x} ` : `M${x} ${base}L${x} `;
      else path += `L${x} `;
      path += y(value).toFixed(1);
      last = x;
    }
    end();
    return path;
  }

  #set(name, attributes) {
    for (const [key, value] of Object.entries(attributes)) this.#parts[name].setAttribute(key, value);
  }
}
