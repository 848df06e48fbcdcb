/** A report as one HTML file that needs nothing else: text, tables and plots inline. */

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, c => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);
}

export interface Cell {
  text: string;
  tone?: 'good' | 'bad';
  /** Relative to the page. */
  href?: string;
}

/** The first column is text, the others are figures, or with `text` all are text. */
export function table(head: string[], rows: (string | Cell)[][], text = false): string {
  const cell = (content: string | Cell): string => {
    const { text: inside, tone, href }: Cell = typeof content === 'string' ? { text: content } : content;
    const inner = href ? `<a href="${escapeHtml(href)}">${escapeHtml(inside)}</a>` : escapeHtml(inside);
    return `<td${tone ? ` class="${tone}"` : ''}>${inner}</td>`;
  };
  return [
    `<div class="wide"><table class="${text ? 'text' : 'figures'}"><thead><tr>`,
    ...head.map(name => `<th>${escapeHtml(name)}</th>`),
    '</tr></thead><tbody>',
    ...rows.map(row => `<tr>${row.map(cell).join('')}</tr>`),
    '</tbody></table></div>',
  ].join('');
}

export function paragraph(text: string): string {
  return `<p>${escapeHtml(text)}</p>`;
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
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; color: #1f2933; background: #f5f7fa; margin: 0; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; }
h2 { font-size: 19px; margin: 36px 0 10px; }
.lead { color: #52606d; margin: 0 0 20px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; background: #fff; border: 1px solid #e4e7eb; border-radius: 6px; width: 100%; font-size: 14px; }
th, td { padding: 7px 12px; text-align: right; vertical-align: top; border-bottom: 1px solid #e4e7eb; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child, .text th, .text td { text-align: left; }
.figures td { white-space: nowrap; }
.figures th, .figures td { padding: 6px 8px; font-size: 13px; }
th { background: #f0f3f7; font-weight: 600; white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
.good { color: #0b6e4f; font-weight: 600; } .bad { color: #b42318; font-weight: 600; }
figure { margin: 16px 0; background: #fff; border: 1px solid #e4e7eb; border-radius: 6px; overflow: hidden; }
figure svg { display: block; width: 100%; height: auto; }
</style></head><body><main>
<h1>${escapeHtml(title)}</h1>
<p class="lead">${escapeHtml(lead)}</p>
${body.join('\n')}
</main></body></html>
`;
}
