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

const RESENDS_MAX = 30;

export interface TelnyxDoubleOptions {
  /** Where webhooks go. */
  webhookUrl: string;
  /** What the caller is like: what it says, for how long. */
  caller: CallOptions;
  /** Sends a webhook again that got 503, as Telnyx does: a starved main thread answers so. Default: no. */
  resends?: boolean;
}

export interface Delivery {
  status: number;
  body: unknown;
}

export class TelnyxDouble {
  readonly simulator = new Simulator({ seed: 5 });
  /** Statuses of the webhooks that it sent by itself, by event. */
  readonly deliveries: { event: string; status: number }[] = [];
  /** The stream that each call has or had last, what was asked for it, and how it ends if it ends now. */
  readonly #streams = new Map<
    string,
    { call: Call; request: StreamingStartBody; ends: 'with the call' | 'alone' | 'dropped' }
  >();
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

  /**
   * The WebSocket of the call is lost, and opened again. Resolves with the new stream, which has the old one's call and
   * another id.
   */
  async reconnect(callControlId: string): Promise<Call> {
    const running = this.#streams.get(callControlId)!;
    running.ends = 'dropped';
    running.call.drop();
    await running.call.result;
    const stream = this.stream(callControlId);
    this.#open(callControlId, running.request);
    return stream;
  }

  /** Sends a webhook as Telnyx does. */
  async tell(event: string, callControlId: string, payload: Record<string, unknown> = {}): Promise<Delivery> {
    const body = webhookBody(event, randomUUID(), { call_control_id: callControlId, ...payload });
    const again = this.options.resends ? RESENDS_MAX : 0;
    let delivery = await this.post(body, this.signer.headers(body, Date.now()));
    for (let times = 0; times < again && delivery.status === 503; times++) {
      await new Promise(resolve => setTimeout(resolve, 1000));
      delivery = await this.post(body, this.signer.headers(body, Date.now()));
    }
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

  /** The call is over: its last webhook. */
  hungUp(callControlId: string): Promise<Delivery> {
    this.rest.ended.add(callControlId);
    return this.tell('call.hangup', callControlId, {
      hangup_cause: 'normal_clearing',
      call_quality_stats: { inbound: { mos: '4.50', packet_count: '150' } },
    });
  }

  /** Waits for the webhooks of everything that has happened. */
  async settled(): Promise<void> {
    for (let pending = this.#pending; pending.length > 0; pending = this.#pending) {
      this.#pending = [];
      await Promise.all(pending);
    }
  }

  /** Every caller who is still there hangs up: after a test that failed, somebody is. Then as `settled()`. */
  hangUp(): Promise<void> {
    for (const { call } of this.#streams.values()) call.hangup();
    return this.settled();
  }

  async close(): Promise<void> {
    await this.settled();
    await this.rest.close();
  }

  #carryOut({ command, callControlId, body }: DoubleRequest): void {
    if (command === 'answer') this.#pending.push(this.tell('call.answered', callControlId!));
    const running = this.#streams.get(callControlId ?? '');
    if (running && (command === 'hangup' || command === 'streaming_stop' || command === 'transfer')) {
      if (command !== 'hangup') running.ends = 'alone';
      if (command === 'transfer') {
        const to = (body as { to: string }).to;
        this.#pending.push(this.tell('call.bridged', callControlId!, { to }));
      }
      running.call.hangup();
    }
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
    const running = { call, request, ends: 'with the call' as 'with the call' | 'alone' | 'dropped' };
    this.#streams.set(callControlId, running);
    const stream = { stream_id: call.streamId, stream_url: request.stream_url };
    const life = async (): Promise<void> => {
      // Two frames stand at a stream's beginning: connected and start.
      const began = (): boolean => call.soFar().frames.sent >= 2;
      await eventually(() => began() || call.soFar().ended !== 'running', 'the stream');
      if (began()) {
        await this.tell('streaming.started', callControlId, stream);
        await call.result;
        if (running.ends === 'dropped') return;
        await this.tell('streaming.stopped', callControlId, stream);
        if (running.ends === 'alone') return;
      } else {
        await this.tell('streaming.failed', callControlId, {
          failure_reason: 'connection_failed',
          stream_type: 'websocket',
          stream_params: { stream_url: request.stream_url },
        });
      }
      await this.hungUp(callControlId);
    };
    this.#pending.push(life());
    this.#opened.get(callControlId)?.(call);
  }
}
