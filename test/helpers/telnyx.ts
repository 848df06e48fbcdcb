/**
 * Telnyx as one: it tells a server of calls by signed webhooks, takes its commands over REST, and opens the streams
 * that they ask for, as simulated calls. A stream has the codec, rate, mode, token and parameters that the command
 * asked for.
 */
import { randomUUID } from 'node:crypto';
import { type Call, Simulator } from '../../src/index.js';
import type { CallOptions } from '../../src/simulator/options.js';
import type { StreamingStartBody } from '../../src/telnyx/requests.js';
import { type DoubleRequest, type RestDouble, startRestDouble } from './rest-double.js';
import { eventually } from './servers.js';
import { createWebhookSigner, type WebhookSigner, webhookBody } from './webhooks.js';

export const API_KEY = 'KEY0123456789abcdef_secret';

export interface TelnyxDoubleOptions {
  /** Where webhooks go. */
  webhookUrl: string;
  /** What the caller is like: what it says, for how long. */
  caller: CallOptions;
}

export interface Delivery {
  status: number;
  body: unknown;
}

export class TelnyxDouble {
  readonly simulator = new Simulator({ seed: 5 });
  /** Statuses of the webhooks that it sent by itself, by event. */
  readonly deliveries: { event: string; status: number }[] = [];
  readonly #opened = new Map<string, (call: Call) => void>();
  #pending: Promise<unknown>[] = [];

  private constructor(
    readonly rest: RestDouble,
    readonly signer: WebhookSigner,
    readonly options: TelnyxDoubleOptions,
  ) {
    rest.onCommand = request => this.#carryOut(request);
  }

  static async start(
    options: TelnyxDoubleOptions,
    signer: WebhookSigner = createWebhookSigner(),
  ): Promise<TelnyxDouble> {
    return new TelnyxDouble(await startRestDouble(API_KEY), signer, options);
  }

  get publicKey(): string {
    return this.signer.publicKey;
  }

  /** Commands that came, by name. */
  get commands(): string[] {
    return this.rest.requests.map(({ command }) => command);
  }

  /** Somebody calls; resolves with the stream of the call, once the server has asked for it. */
  async ring(callControlId = `v3:${randomUUID()}`): Promise<Call> {
    const stream = this.stream(callControlId);
    await this.tell('call.initiated', callControlId, {
      direction: 'incoming',
      from: '+13122010094',
      to: '+13122123456',
    });
    return stream;
  }

  /** The stream of a call, once the server has asked for it. */
  stream(callControlId: string): Promise<Call> {
    return new Promise(resolve => this.#opened.set(callControlId, resolve));
  }

  /** Sends a webhook as Telnyx does. */
  async tell(event: string, callControlId: string, payload: Record<string, unknown> = {}): Promise<Delivery> {
    const body = webhookBody(event, randomUUID(), { call_control_id: callControlId, ...payload });
    const delivery = await this.post(body, this.signer.headers(body, Date.now()));
    this.deliveries.push({ event, status: delivery.status });
    return delivery;
  }

  /** Sends any bytes. */
  async post(body: Uint8Array, headers: Record<string, string>): Promise<Delivery> {
    const response = await fetch(this.options.webhookUrl, {
      method: 'POST',
      body: body,
      headers: { 'content-type': 'application/json', ...headers },
    });
    return { status: response.status, body: await response.json() };
  }

  /** Waits for the webhooks of everything that has happened. */
  async settled(): Promise<void> {
    for (let pending = this.#pending; pending.length > 0; pending = this.#pending) {
      this.#pending = [];
      await Promise.all(pending);
    }
  }

  async close(): Promise<void> {
    await this.settled();
    await this.rest.close();
  }

  #carryOut({ command, callControlId, body }: DoubleRequest): void {
    if (command === 'answer') this.#pending.push(this.tell('call.answered', callControlId!));
    const request = body as StreamingStartBody;
    if (request.stream_url !== undefined) this.#open(callControlId!, request);
  }

  #open(callControlId: string, request: StreamingStartBody): void {
    const call = this.simulator.call(request.stream_url!, {
      ...this.options.caller,
      callControlId,
      mode: request.stream_bidirectional_mode ?? 'mp3',
      outboundEncoding: request.stream_bidirectional_codec ?? 'PCMU',
      outboundSampleRate: request.stream_bidirectional_sampling_rate ?? 8000,
      authToken: request.stream_auth_token,
      clientState: request.client_state,
      customParameters: Object.fromEntries(
        (request.custom_parameters ?? []).map(({ name, value }) => [name, value]),
      ),
    });
    const stream = { stream_id: call.streamId, stream_url: request.stream_url };
    const life = async (): Promise<void> => {
      // Two frames stand at a stream's beginning: connected and start.
      const began = (): boolean => call.soFar().frames.sent >= 2;
      await eventually(() => began() || call.soFar().ended !== 'running', 'the stream');
      if (began()) {
        await this.tell('streaming.started', callControlId, stream);
        await call.result;
        await this.tell('streaming.stopped', callControlId, stream);
      } else {
        await this.tell('streaming.failed', callControlId, {
          failure_reason: 'connection_failed',
          stream_type: 'websocket',
          stream_params: { stream_url: request.stream_url },
        });
      }
      await this.tell('call.hangup', callControlId, { hangup_cause: 'normal_clearing' });
    };
    this.#pending.push(life());
    this.#opened.get(callControlId)?.(call);
  }
}
