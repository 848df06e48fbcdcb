/** What a reactor and a plugin's thread send each other as messages: all that is no stream's. */
import type { MessagePort } from 'node:worker_threads';
import type { ReactorOptions } from '../options/options.js';
import type { MetricFamily } from '../plugin/metrics.js';
import type { AcceptResult } from '../plugin/plugin.js';
import type { WebhookEvent } from '../telnyx/webhooks.js';

/** What a plugin's thread is made with. */
export interface PluginThreadData {
  /** The plugin's entry in the option `plugins`. */
  entry: { module: string; options: object | undefined; name: string; path: string | undefined };
  options: ReactorOptions & { logLevel: string; setupTimeoutMs: number };
  /** Number of the reactor; undefined in the main thread of a server with several. */
  reactor: number | undefined;
  /** Number of the thread among those of the plugin, from 0. */
  thread: number;
  events: SharedArrayBuffer;
  commands: SharedArrayBuffer;
  shared: SharedArrayBuffer;
  /** Where what does not fit into a record goes, both ways. */
  attachments: MessagePort;
}

/** An upgrade, as plain data. */
export interface PlainRequest {
  path: string;
  query: string;
  headers: Readonly<Record<string, string>>;
  remoteAddress: string;
}

/** What accept() gave: its context stays in the thread, under a number. */
export type Judgement = false | (Omit<AcceptResult, 'context'> & { context: number | undefined });

/** What a thread is asked; it answers each. */
export interface Questions {
  accept(request: PlainRequest): Judgement;
  webhook(event: WebhookEvent): void;
  draining(deadlineMs: number): void;
  families(): MetricFamily[];
  /** Its teardown; then it ends. */
  end(): void;
}
export type Question = {
  [Name in keyof Questions]: { ask: Name; number: number; value: Parameters<Questions[Name]>[0] };
}[keyof Questions];
/** Or 0: there is something to read. */
export type ToThread = Question | 0;

export type FromThread =
  /** Or 0: there is something to read. */
  | 0
  | { kind: 'ready' }
  | { kind: 'failed'; code: string | undefined; message: string }
  | { kind: 'answer'; number: number; value: unknown }
  | { kind: 'refused'; number: number; code: string | undefined; message: string }
  /** An error in the plugin's own timers, sockets or promises was logged. */
  | { kind: 'stray' };
