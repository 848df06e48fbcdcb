/** Says what is wrong or unwise in a request that starts a stream, before Telnyx does. */
import { isObject } from '../objects.js';
import { checkBody } from './check/body.js';
import { type Finding, Findings } from './check/findings.js';
import { checkTexmlText } from './check/texml.js';
import type { Command } from './requests.js';

export { type Finding, MISTAKES, type MistakeCode, type Severity } from './check/findings.js';

export const REQUEST_KINDS = ['streaming_start', 'answer', 'dial', 'texml'] as const;
/** A Call Control command, or a TeXML document. */
export type RequestKind = Command | 'texml';

/** How `checkRequest()` checks. */
export interface CheckOptions {
  /** Default `streaming_start`. */
  for?: RequestKind;
}

/**
 * Checks one request and gives what it found, in the order of the fields; nothing found is an empty list.
 * `request` is the body as an object or as JSON text; for TeXML, the document's text. Never throws for any request.
 * Errors are what Telnyx refuses, warnings what it accepts and nobody will hear: docs/mistakes.md has the whole list.
 */
export function checkRequest(request: unknown, options: CheckOptions = {}): Finding[] {
  const kind = options.for ?? 'streaming_start';
  const findings = new Findings();
  if (kind === 'texml') {
    if (typeof request === 'string') checkTexmlText(findings, request);
    else findings.add('bad_xml', 'document', undefined, 'this is no text', 'pass the document as a string');
    return findings.list;
  }
  let body = request;
  if (typeof request === 'string') {
    try {
      body = JSON.parse(request);
    } catch (error) {
      // The parser's message may quote the text, and the text may hold a token.
      const at = /position (\d+)/.exec(String(error))?.[1];
      const problem = `not JSON${at === undefined ? '' : `, from character ${at} on`}`;
      findings.add('bad_json', 'document', undefined, problem, 'correct it: no comments, no trailing commas');
      return findings.list;
    }
  }
  if (isObject(body)) checkBody(findings, body, kind);
  else
    findings.add(
      'not_an_object',
      'document',
      undefined,
      'the body is no JSON object',
      '{ "stream_url": "wss://…" }',
    );
  return findings.list;
}

/** Whether any of them is an error. */
export function hasErrors(findings: readonly Finding[]): boolean {
  return findings.some(finding => finding.severity === 'error');
}

/** One finding in one line. */
export function describeFinding(finding: Finding): string {
  const { severity, code, field, value, problem, remedy, line } = finding;
  const where = line === undefined ? field : `${field} (line ${line})`;
  const is = value === null ? '' : ` = ${JSON.stringify(value)}`;
  return `${severity} [${code}] ${where}${is}: ${problem}; remedy: ${remedy}`;
}
