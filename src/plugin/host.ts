/** What a thread that carries streams needs of a plugin that runs in threads of its own. */
import type { WebhookEvent } from '../telnyx/webhooks.js';
import type { MetricFamily } from './metrics.js';
import type { AcceptResult, AudioOptions } from './plugin.js';
import type { Stream, StreamRequest } from './stream.js';

export interface PluginHost {
  /** Resolves when each thread has run the plugin's setup. @throws what it throws */
  start(): Promise<void>;
  accept(request: StreamRequest): Promise<boolean | AcceptResult>;
  /** Gives the stream a handler, which passes all on to one of the threads. */
  carry(stream: Stream, audio: AudioOptions): void;
  onWebhook(event: WebhookEvent): Promise<void>;
  onDraining(deadline: Date): Promise<void>;
  /** What its metrics hold in all threads: of a thread that does not answer, what it told last. */
  families(): Promise<MetricFamily[]>;
  /** Runs each thread's teardown and ends it. @throws what a teardown throws, or where it takes too long */
  end(): Promise<void>;
}
