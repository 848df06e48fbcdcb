/** Captures read back, record by record: a file of any length takes the memory of its longest line. */
import { createReadStream } from 'node:fs';
import { SidetoneError } from '../errors.js';
import { isObject } from '../objects.js';
import { CAPTURE_VERSION, type CaptureHeader, type CaptureRecord } from './format.js';

/** Four times the longest message that a server takes (`messageBytesMax`). */
const LINE_BYTES_MAX = 64 * 1024 * 1024;

export interface Capture {
  header: CaptureHeader;
  /** In the order of the file; can be gone through once. */
  records: AsyncGenerator<CaptureRecord>;
}

/** Throws SIDETONE_BAD_ARGUMENT, naming file, line and remedy, where the file cannot be read or is no capture. */
export async function openCapture(path: string): Promise<Capture> {
  const lines = readLines(path);
  const first = await lines.next();
  const header = first.done ? undefined : parse(first.value.text);
  if (!isHeader(header)) {
    await lines.return(undefined);
    throw bad(path, 1, 'is no capture: give a file that sidetone serve --capture has written');
  }
  if (header.version !== CAPTURE_VERSION) {
    await lines.return(undefined);
    const remedy = `this program reads version ${CAPTURE_VERSION}: use the one that wrote it`;
    throw bad(path, 1, `version is ${String(header.version)}: ${remedy}`);
  }
  return { header, records: readRecords(path, lines) };
}

function bad(path: string, line: number, what: string): SidetoneError {
  return new SidetoneError('SIDETONE_BAD_ARGUMENT', `${path}, line ${line}: ${what}`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isHeader(value: unknown): value is CaptureHeader {
  return isObject(value) && value.capture === 'sidetone' && typeof value.version === 'number';
}

function isRecord(value: unknown): value is CaptureRecord {
  if (!isObject(value) || typeof value.atMs !== 'number') return false;
  if (value.from === 'capture') return typeof value.note === 'string';
  return (
    (value.from === 'telnyx' || value.from === 'server') &&
    (typeof value.text === 'string' || typeof value.base64 === 'string')
  );
}

async function* readRecords(path: string, lines: AsyncGenerator<Line>): AsyncGenerator<CaptureRecord> {
  let number = 1;
  let lastMs = 0;
  for await (const { text, complete } of lines) {
    number++;
    if (text.trim() === '') continue;
    const record = parse(text);
    if (isRecord(record)) {
      lastMs = record.atMs;
      yield record;
    } else if (!complete) {
      // The process that wrote the file was ended in the middle of a line.
      yield { atMs: lastMs, from: 'capture', note: 'truncated' };
    } else {
      throw bad(path, number, 'is no record: wanted { atMs, from: "telnyx" or "server", text }');
    }
  }
}

interface Line {
  text: string;
  /** Whether a line feed ended it. */
  complete: boolean;
}

async function* readLines(path: string): AsyncGenerator<Line> {
  let pieces: Buffer[] = [];
  let bytes = 0;
  const take = (complete: boolean): Line => {
    const text = Buffer.concat(pieces).toString('utf8');
    pieces = [];
    bytes = 0;
    return { text, complete };
  };
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      let from = 0;
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
        pieces.push(chunk.subarray(from, end));
        yield take(true);
        from = end + 1;
      }
      pieces.push(chunk.subarray(from));
      bytes += chunk.length - from;
      if (bytes > LINE_BYTES_MAX) {
        throw new SidetoneError(
          'SIDETONE_BAD_ARGUMENT',
          `${path}: a line of more than ${LINE_BYTES_MAX} bytes`,
        );
      }
    }
  } catch (cause) {
    if (cause instanceof SidetoneError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `${path} cannot be read: ${why}`, { cause });
  }
  if (bytes > 0) yield take(false);
}
