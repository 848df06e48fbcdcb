/** The dashboard: one page, put together once, that fetches nothing but this server's own figures. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { COUNTER_HELP } from './counters.js';

const part = (name: string): string =>
  readFileSync(new URL(`../../../assets/dashboard/${name}`, import.meta.url), 'utf8');

const sha256 = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** Modules that become one, each behind those that it imports. */
const SCRIPTS = ['format.js', 'chart.js', 'view.js', 'dashboard.js'];
const IMPORT = /^import [^;]+;$/gm;

export interface Page {
  html: Buffer;
  /** Lets this page's own style and script run, and nothing else. */
  contentSecurityPolicy: string;
}

export function dashboardPage(): Page {
  const style = part('dashboard.css');
  const help = `const COUNTER_HELP = ${JSON.stringify(COUNTER_HELP)};`;
  const script = [help, ...SCRIPTS.map(name => part(name).replace(IMPORT, ''))].join('\n');
  const html = part('dashboard.html')
    .replace('/* style */', () => style)
    .replace('/* script */', () => script);
  return {
    html: Buffer.from(html),
    contentSecurityPolicy: [
      "default-src 'none'",
      `style-src ${sha256(style)}`,
      `script-src ${sha256(script)}`,
      "connect-src 'self'",
      'img-src data:',
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
  };
}
