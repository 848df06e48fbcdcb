/** How a connection ends: what is counted, and the code with which its WebSocket closes. */
import type { ReactorCounter } from '../counters.js';
import type { StopReason } from '../plugin/plugin.js';

/** The counters of ends that nobody intended. */
export const END_COUNTERS: Partial<Record<StopReason, ReactorCounter>> = {
  disconnected: 'disconnected',
  idle_timeout: 'idleTimeouts',
  protocol_error: 'protocolErrors',
  server_closed: 'closedByServer',
  handed_over: 'closedByServer',
  overloaded: 'poolFull',
};

/** Why the WebSocket layer closed a connection by itself. */
export type WireFault = 'idle' | 'websocket_frame' | 'websocket_utf8' | 'websocket_too_big';

export const CLOSE_CODES: Record<StopReason, number> = {
  stop: 1000,
  disconnected: 1000,
  idle_timeout: 1000,
  replaced: 1000,
  closed: 1000,
  handler_failed: 1011,
  protocol_error: 1008,
  server_closed: 1001,
  // Service restart (RFC 6455's registry): the peer may connect again.
  handed_over: 1012,
  // Try again later (RFC 6455's registry).
  overloaded: 1013,
};
