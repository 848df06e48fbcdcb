/** Stable error codes. A programmer's fault throws one of these; a peer's fault is counted and survived instead. */
export type ErrorCode =
  | 'SIDETONE_BAD_OPTION'
  | 'SIDETONE_BAD_ARGUMENT'
  | 'SIDETONE_BAD_FRAME'
  | 'SIDETONE_BAD_PAYLOAD'
  | 'SIDETONE_QUEUE_FULL'
  | 'SIDETONE_POOL_FULL'
  | 'SIDETONE_BACKPRESSURE'
  | 'SIDETONE_STREAM_CLOSED'
  | 'SIDETONE_CODEC_CLOSED'
  | 'SIDETONE_CODEC_UNAVAILABLE'
  | 'SIDETONE_WORKER_DIED'
  | 'SIDETONE_PLUGIN_INVALID'
  | 'SIDETONE_PLUGIN_NOT_FOUND'
  | 'SIDETONE_HANDLER_FAILED'
  | 'SIDETONE_PORT_IN_USE'
  | 'SIDETONE_SERVER_CLOSED'
  | 'SIDETONE_SERVER_LISTENING'
  | 'SIDETONE_TELNYX_ERROR'
  | 'SIDETONE_CALL_FAILED'
  | 'SIDETONE_RECORDING_FAILED'
  | 'SIDETONE_UNSUPPORTED';

/**
 * A value as it stands in a message: JSON where it has any (`replace` as JSON.stringify's), cut to a line. Never throws.
 */
export function shown(value: unknown, replace?: (key: string, value: unknown) => unknown): string {
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'number') return String(value);
  if (ArrayBuffer.isView(value)) return `${value.constructor.name} of ${value.byteLength} bytes`;
  let text: string | undefined;
  try {
    // Undefined for what JSON does not know: symbols, undefined itself.
    text = JSON.stringify(value, replace) ?? String(value);
  } catch {
    // A bigint, or a circle.
    text = typeof value === 'bigint' ? `${value}n` : Object.prototype.toString.call(value);
  }
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

/** Every error this library throws. `code` is stable; `message` names the field, the value and the remedy. */
export class SidetoneError extends Error {
  override readonly name = 'SidetoneError';
  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}
