/** Checks of the WebSocket address, the same for `stream_url` and TeXML's `url`. */
import { isIPv4, isIPv6 } from 'node:net';
import { URL_MAX } from '../requests.js';
import type { Findings } from './findings.js';

const SCHEME = /^([a-z][a-z0-9+.-]*):/i;

/** Whether a host (as `URL.hostname` gives it) is one that Telnyx cannot reach from the internet. */
function isPrivate(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  if (isIPv4(name)) {
    const [a, b] = name.split('.').map(Number) as [number, number];
    return (
      a === 0 ||
      a === 10 ||
      a === 127 ||
      (a === 169 && b === 254) ||
      (a === 172 && b >= 16 && b < 32) ||
      (a === 192 && b === 168)
    );
  }
  // Loopback, unspecified, unique local (RFC 4193) and link-local (RFC 4291 §2.5.6).
  if (isIPv6(name)) return name === '::1' || name === '::' || /^f[cd]|^fe[89ab]/i.test(name);
  return !name.includes('.') || /\.(local|localhost|internal|lan|home\.arpa)$/i.test(name);
}

/** Adds what is wrong with a WebSocket address. */
export function checkStreamUrl(findings: Findings, field: string, value: string): void {
  const correct = 'give an absolute address such as wss://voice.example.com/media';
  if (/\s/.test(value)) {
    findings.add('url_invalid', field, value, 'the address holds white space', 'remove it, or write %20');
    return;
  }
  if (value.length > URL_MAX) {
    const problem = `${value.length} characters; Telnyx takes ${URL_MAX}`;
    findings.add('url_too_long', field, value, problem, 'move what is in the query to custom parameters');
    return;
  }
  const scheme = SCHEME.exec(value)?.[1]?.toLowerCase();
  const hasScheme = scheme !== undefined && value.slice(scheme.length + 1).startsWith('//');
  if (!hasScheme || (scheme !== 'wss' && scheme !== 'ws')) {
    const problem = hasScheme
      ? `the scheme is ${scheme}: a stream goes to a WebSocket`
      : 'the scheme is missing';
    const rest = hasScheme ? value.slice(scheme.length + 3) : value.replace(/^\/\//, '');
    findings.add('url_scheme', field, value, problem, rest === '' ? correct : `wss://${rest}`);
    return;
  }
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (!url || url.hostname === '') {
    findings.add('url_invalid', field, value, 'this is no address with a host', correct);
    return;
  }
  if (value.includes('#')) {
    const problem = 'a WebSocket address has no fragment (RFC 6455 section 3)';
    findings.add('url_invalid', field, value, problem, 'remove the # and what follows, or write %23');
    return;
  }
  if (scheme === 'ws') {
    const problem = 'unencrypted: the audio of the call and the token travel in the clear';
    findings.add('url_plaintext', field, value, problem, `wss://${value.slice('ws://'.length)}`);
  }
  if (isPrivate(url.hostname)) {
    const problem = `Telnyx connects from the internet and cannot reach ${url.hostname}`;
    findings.add('url_unreachable', field, value, problem, 'a public name, or a tunnel to this machine');
  }
}
