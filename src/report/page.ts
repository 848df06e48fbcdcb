/** A report as one HTML file that needs nothing else: text, tables and plots inline. */
import { cpus, hostname, release, type } from 'node:os';
import { version } from '../version.js';
import { COLOURS, FAINT, GRID, INK } from './charts.js';

/** Plots use these colours on a dark page. Their own colours are attributes, so a style can override them. */
const DARK: Readonly<Record<string, string>> = {
  '#ffffff': '#181c22',
  [INK]: '#e8ebef',
  [FAINT]: '#9aa5b3',
  [GRID]: '#2c333d',
  [COLOURS[0]!]: '#56a8e0',
};
const DARK_PLOTS = Object.entries(DARK)
  .flatMap(([light, dark]) =>
    ['fill', 'stroke'].map(name => `figure svg [${name}="${light}"] { ${name}: ${dark}; }`),
  )
  .join('\n');

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, c => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);
}

export interface Cell {
  text: string;
  tone?: 'good' | 'bad';
  /** Relative to the page. */
  href?: string;
  /** Text that may take several lines. Cells with figures take one. */
  isLong?: boolean;
}

/** The first column is text, the others are figures, or with `text` all are text. */
export function table(head: (string | Cell)[], rows: (string | Cell)[][], text = false): string {
  const cell = (kind: 'th' | 'td', content: string | Cell): string => {
    const {
      text: inside,
      tone,
      href,
      isLong,
    }: Cell = typeof content === 'string' ? { text: content } : content;
    const inner = href ? `<a href="${escapeHtml(href)}">${escapeHtml(inside)}</a>` : escapeHtml(inside);
    const classes = [tone, isLong && 'long'].filter(Boolean).join(' ');
    return `<${kind}${classes ? ` class="${classes}"` : ''}>${inner}</${kind}>`;
  };
  return [
    `<div class="wide"><table class="${text ? 'text' : 'figures'}"><thead><tr>`,
    ...head.map(name => cell('th', name)),
    '</tr></thead><tbody>',
    ...rows.map(row => `<tr>${row.map(one => cell('td', one)).join('')}</tr>`),
    '</tbody></table></div>',
  ].join('');
}

export function paragraph(text: string): string {
  return `<p>${escapeHtml(text)}</p>`;
}

/** The result of the whole page, shown first. */
export function verdict(text: string, tone: 'good' | 'bad'): string {
  return `<p class="verdict ${tone}">${escapeHtml(text)}</p>`;
}

/** What measured, when and where. */
export function provenance(at: Date): string {
  const [cpu] = cpus();
  const machine = `${cpu?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores, ${type()} ${release()}`;
  const time = at.toISOString().slice(0, 16).replace('T', ' ');
  return paragraph(
    `sidetone ${version}, ${time} UTC, on ${hostname()}: ${machine}, Node.js ${process.version}.`,
  );
}

export function heading(text: string): string {
  return `<h2>${escapeHtml(text)}</h2>`;
}

export function figure(svg: string): string {
  return `<figure>${svg}</figure>`;
}

export function page(title: string, lead: string, body: string[]): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>
:root { color-scheme: light dark; --page: #f5f7fa; --surface: #fff; --head: #f0f3f7; --line: #e4e7eb; --text: #1f2933; --quiet: #52606d; --good: #0b6e4f; --bad: #b42318; --link: #1f62cf; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; color: var(--text); background: var(--page); margin: 0; }
main { max-width: 1200px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; }
h2 { font-size: 19px; margin: 36px 0 10px; }
.lead { color: var(--quiet); margin: 0 0 20px; }
.verdict { margin: 0 0 16px; padding: 10px 14px; background: var(--surface); border: 1px solid var(--line); border-left: 5px solid currentColor; border-radius: 6px; font-size: 17px; font-weight: 600; }
a { color: var(--link); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; background: var(--surface); border: 1px solid var(--line); border-radius: 6px; width: 100%; font-size: 14px; }
th, td { padding: 7px 12px; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
th:first-child, td:first-child, .text th, .text td { text-align: left; }
.figures td { white-space: nowrap; }
.figures th, .figures td { padding: 6px 8px; font-size: 13px; }
.figures .long { white-space: normal; text-align: left; min-width: 110px; }
th { background: var(--head); font-weight: 600; white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
figure { margin: 16px 0; background: var(--surface); border: 1px solid var(--line); border-radius: 6px; overflow: hidden; }
figure svg { display: block; width: 100%; height: auto; }
@media (prefers-color-scheme: dark) {
:root { --page: #101317; --surface: #181c22; --head: #20262e; --line: #2c333d; --text: #e8ebef; --quiet: #9aa5b3; --good: #5fcf8b; --bad: #ff8a80; --link: #6aa5ff; }
${DARK_PLOTS}
}
</style></head><body><main>
<h1>${escapeHtml(title)}</h1>
<p class="lead">${escapeHtml(lead)}</p>
${body.join('\n')}
</main></body></html>
`;
}
