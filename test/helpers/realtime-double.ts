/**
 * A double of a speech-to-speech service, after the public documentation of the OpenAI Realtime protocol. It judges every
 * event that it is sent, hears the caller's turns in the audio itself, and answers as a test, or the benchmark, tells it.
 */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { createDecoder } from '../../src/index.js';

/** What the service answers to a turn. */
export interface DoubleAnswer {
  /** Audio in the session's output format. */
  audio?: Buffer;
  transcript?: string;
  /** Functions that it calls. */
  calls?: { name: string; arguments: string }[];
  /** It fails with this code instead. */
  fails?: string;
  /** It says nothing at all to this turn. */
  silent?: boolean;
  /** The deltas that come before the test calls `release()`; the others wait for it. Default: all. */
  holdAfter?: number;
}

export interface DoubleOptions {
  /** HTTP status of the upgrade, for each connection in turn; after the last one, and default: 101. */
  statuses?: number[];
  /** Form of the protocol. Default ga. */
  protocol?: 'ga' | 'beta';
  /** `Authorization` that it wants. Default: any. */
  authorization?: string;
  /** What it answers: to a caller's turn, a key or a tool's result (`turn` counts from 0), or to explicit instructions. */
  answer?: (turn: number, session: DoubleSession, instructions: string | undefined) => DoubleAnswer;
  /** Audio of a delta, in ms. Default 200. */
  deltaMs?: number;
  /** Connections, from the first on, that get no `session.updated`. Default 0. */
  mute?: number;
  /** The settings are refused. */
  refusesSettings?: boolean;
  /** Whether it listens to the audio for turns. Default true. */
  hears?: boolean;
}

type Json = Record<string, unknown>;
interface Item {
  id: string;
  audioMs: number;
  truncatedMs: number | undefined;
}

const FORMATS: Record<string, 'PCMU' | 'PCMA' | 'L16'> = {
  'audio/pcmu': 'PCMU',
  'audio/pcma': 'PCMA',
  'audio/pcm': 'L16',
  g711_ulaw: 'PCMU',
  g711_alaw: 'PCMA',
  pcm16: 'L16',
};
const OLDER: Record<string, string> = {
  'response.output_audio.delta': 'response.audio.delta',
  'response.output_audio.done': 'response.audio.done',
  'response.output_audio_transcript.delta': 'response.audio_transcript.delta',
  'response.output_audio_transcript.done': 'response.audio_transcript.done',
  'conversation.item.added': 'conversation.item.created',
};
const SILENCE_MS = 200;
const LOUD = 1000;

export class RealtimeDouble {
  readonly sessions: DoubleSession[] = [];
  /** Headers of each upgrade. */
  readonly upgrades: IncomingMessage[] = [];
  readonly #server: WebSocketServer;

  private constructor(readonly options: DoubleOptions) {
    let tries = 0;
    this.#server = new WebSocketServer({
      host: '127.0.0.1',
      port: 0,
      perMessageDeflate: false,
      verifyClient: ({ req }, verified) => {
        this.upgrades.push(req);
        const status = options.statuses?.[tries++] ?? 101;
        const isKnown = !options.authorization || req.headers.authorization === options.authorization;
        if (status !== 101) verified(false, status);
        else verified(isKnown, 401);
      },
    });
    this.#server.on('connection', socket => this.sessions.push(new DoubleSession(this, socket)));
  }

  static async start(options: DoubleOptions = {}): Promise<RealtimeDouble> {
    const double = new RealtimeDouble(options);
    await once(double.#server, 'listening');
    return double;
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1/realtime`;
  }

  /** What clients did wrong, in all sessions. */
  get faults(): string[] {
    return this.sessions.flatMap(session => session.faults);
  }

  async close(): Promise<void> {
    for (const client of this.#server.clients) client.terminate();
    await new Promise(resolve => this.#server.close(resolve));
  }
}

export class DoubleSession {
  readonly faults: string[] = [];
  /** Events of the client but audio, in order. */
  readonly events: (Json & { type: string })[] = [];
  /** The caller's audio, in the session's input format. */
  readonly audio: Buffer[] = [];
  readonly items = new Map<string, Item>();
  settings: Json | undefined;
  turns = 0;
  #number = 0;
  #active: { id: string; item: Item; rest: (() => void)[] } | undefined;
  #input: 'PCMU' | 'PCMA' | 'L16' = 'L16';
  #decode: (bytes: Buffer) => Int16Array = () => new Int16Array(0);
  #outputBytesPerMs = 48;
  #heardMs = 0;
  #loudMs = 0;
  #silentMs = 0;
  #speech = false;
  #calls = new Set<string>();

  constructor(
    readonly double: RealtimeDouble,
    readonly socket: WebSocket,
  ) {
    this.emit('session.created', { session: { type: 'realtime' } });
    socket.on('message', data => this.#received(data as Buffer));
    socket.on('error', () => {});
  }

  /** Sends an event, under its older name where the protocol is that of before. */
  emit(type: string, fields: Json = {}): void {
    const name = this.double.options.protocol === 'beta' ? (OLDER[type] ?? type) : type;
    this.socket.send(JSON.stringify({ type: name, event_id: this.id('event'), ...fields }));
  }

  id(kind: string): string {
    return `${kind}_${this.double.sessions.indexOf(this)}_${this.#number++}`;
  }

  /** All audio so far, as one. */
  get heard(): Buffer {
    return Buffer.concat(this.audio);
  }

  of(type: string): Json[] {
    return this.events.filter(event => event.type === type);
  }

  /** Sends what was held back of the answer under way. */
  release(): void {
    for (const send of this.#active?.rest.splice(0) ?? []) send();
  }

  /** Breaks the connection. */
  break(): void {
    this.socket.terminate();
  }

  #refuse(message: string, code = 'invalid_value', param: string | null = null): void {
    this.faults.push(message);
    this.emit('error', { error: { type: 'invalid_request_error', code, message, param } });
  }

  #received(data: Buffer): void {
    const event = JSON.parse(data.toString()) as Json & { type: string };
    if (event.type === 'input_audio_buffer.append') {
      this.#append(event.audio);
      return;
    }
    this.events.push(event);
    switch (event.type) {
      case 'session.update':
        this.#update(event.session as Json);
        break;
      case 'conversation.item.create':
        this.#create(event.item as Json);
        break;
      case 'conversation.item.truncate':
        this.#truncate(event);
        break;
      case 'response.create':
        this.#asked((event.response ?? {}) as Json);
        break;
      case 'response.cancel':
        if (this.#active) this.#cancel('client_cancelled');
        else this.#refuse('Cancellation failed: no active response found', 'response_cancel_not_active');
        break;
      default:
        this.#refuse(`Invalid value: '${event.type}'.`, 'invalid_value', 'type');
    }
  }

  #update(session: Json): void {
    const { double } = this;
    if (double.options.refusesSettings) {
      this.#refuse("Unknown parameter: 'session'.", 'unknown_parameter', 'session');
      return;
    }
    const audio = session.audio as { input?: Json; output?: Json } | undefined;
    const isBeta = double.options.protocol === 'beta';
    if (isBeta === (session.type === 'realtime')) {
      this.#refuse("Missing required parameter: 'session.type'.", 'missing_required_parameter');
      return;
    }
    const input = (isBeta ? session.input_audio_format : (audio?.input?.format as Json)?.type) as string;
    const output = (isBeta ? session.output_audio_format : (audio?.output?.format as Json)?.type) as string;
    if (!FORMATS[input] || !FORMATS[output]) {
      this.#refuse(`Invalid value: '${input}', '${output}'.`, 'invalid_value', 'session.audio');
      return;
    }
    this.#input = FORMATS[input];
    this.#outputBytesPerMs = FORMATS[output] === 'L16' ? 48 : 8;
    const decoder = createDecoder(this.#input, this.#input === 'L16' ? { sampleRate: 24000 } : {});
    this.#decode = bytes => decoder.decode(bytes);
    this.settings = session;
    if (double.sessions.indexOf(this) >= (double.options.mute ?? 0))
      this.emit('session.updated', { session });
  }

  #create(item: Json): void {
    const content = (item.content as { type: string; text?: string }[] | undefined) ?? [];
    const output = this.double.options.protocol === 'beta' ? 'text' : 'output_text';
    const wanted = item.role === 'assistant' ? output : 'input_text';
    if (item.type === 'message' && content.some(({ type, text }) => type !== wanted || !text)) {
      this.#refuse(`Invalid value: '${JSON.stringify(content)}'.`, 'invalid_value', 'item.content');
      return;
    }
    if (item.type === 'function_call_output') {
      if (!this.#calls.delete(String(item.call_id)))
        this.#refuse(`Tool call ID '${item.call_id}' not found.`);
      if (typeof item.output !== 'string') this.#refuse('item.output is no string');
    }
    this.emit('conversation.item.added', { item: { id: this.id('item'), ...item } });
  }

  #truncate({ item_id: id, audio_end_ms: endMs, content_index: index }: Json): void {
    const item = this.items.get(String(id));
    if (!item) {
      this.#refuse(`Item with item_id '${id}' not found.`, 'item_truncate_invalid_item_id');
      return;
    }
    if (index !== 0 || !Number.isInteger(endMs) || Number(endMs) < 0) {
      this.#refuse(`Invalid 'audio_end_ms': ${endMs}`, 'integer_below_min_value', 'audio_end_ms');
      return;
    }
    if (Number(endMs) > item.audioMs) {
      this.#refuse(`Audio content of ${item.audioMs}ms is already shorter than ${endMs}ms`);
      return;
    }
    item.truncatedMs = Number(endMs);
    this.emit('conversation.item.truncated', { item_id: id, content_index: 0, audio_end_ms: endMs });
  }

  #asked(response: Json): void {
    if (this.#active && response.conversation !== 'none') {
      const message = `Conversation already has an active response in progress: ${this.#active.id}`;
      this.#refuse(message, 'conversation_already_has_active_response');
      return;
    }
    this.respond(response);
  }

  /** An answer to what has been said; `asked` is what the client's `response.create` holds. */
  respond(asked: Json = {}): void {
    const { answer = (): DoubleAnswer => ({}), deltaMs = 200 } = this.double.options;
    const instructions = asked.instructions as string | undefined;
    const isAside = asked.conversation === 'none';
    const turn = isAside || instructions !== undefined ? this.turns : this.turns++;
    const { audio, transcript = '', calls = [], fails, silent, holdAfter } = answer(turn, this, instructions);
    if (silent) return;
    const id = this.id('resp');
    const item: Item = { id: this.id('item'), audioMs: 0, truncatedMs: undefined };
    const metadata = asked.metadata ?? null;
    this.emit('response.created', { response: { id, status: 'in_progress', metadata, output: [] } });
    const rest: (() => void)[] = [];
    const active = { id, item, rest };
    if (!isAside) this.#active = active;
    const done = (status: string, fields: Json = {}): void => {
      if (this.#active === active) this.#active = undefined;
      const usage = {
        total_tokens: 300,
        input_tokens: 200,
        output_tokens: 100,
        input_token_details: { text_tokens: 50, audio_tokens: 150, cached_tokens: 0 },
        output_token_details: { text_tokens: 20, audio_tokens: 80 },
      };
      this.emit('response.done', { response: { id, status, usage, metadata, ...fields } });
    };
    if (fails !== undefined) {
      done('failed', { status_details: { type: 'failed', error: { type: 'server_error', code: fails } } });
      return;
    }
    if (audio) this.#say(active, audio, transcript, isAside, deltaMs, holdAfter ?? Number.POSITIVE_INFINITY);
    rest.push(() => {
      const output = calls.map(call => this.#call(id, call));
      done('completed', { output });
    });
    if (holdAfter === undefined) for (const send of rest.splice(0)) send();
  }

  #say(
    { id, item, rest }: { id: string; item: Item; rest: (() => void)[] },
    audio: Buffer,
    transcript: string,
    isAside: boolean,
    deltaMs: number,
    holdAfter: number,
  ): void {
    const place = { response_id: id, item_id: item.id, output_index: 0, content_index: 0 };
    if (!isAside) this.items.set(item.id, item);
    const about = { id: item.id, type: 'message', role: 'assistant', status: 'in_progress', content: [] };
    this.emit('response.output_item.added', { response_id: id, output_index: 0, item: about });
    this.emit('conversation.item.added', { item: about });
    const bytes = deltaMs * this.#outputBytesPerMs;
    for (let at = 0, number = 0; at < audio.length; at += bytes, number++) {
      const send = (): void => {
        const piece = audio.subarray(at, at + bytes);
        item.audioMs += piece.length / this.#outputBytesPerMs;
        const words = transcript.slice(
          (transcript.length * at) / audio.length,
          (transcript.length * (at + bytes)) / audio.length,
        );
        this.emit('response.output_audio_transcript.delta', { ...place, delta: words });
        this.emit('response.output_audio.delta', { ...place, delta: piece.toString('base64') });
      };
      if (number < holdAfter) send();
      else rest.push(send);
    }
    rest.push(() => {
      this.emit('response.output_audio.done', place);
      this.emit('response.output_audio_transcript.done', { ...place, transcript });
    });
  }

  #call(responseId: string, { name, arguments: text }: { name: string; arguments: string }): Json {
    const callId = this.id('call');
    this.#calls.add(callId);
    const item = { id: this.id('item'), type: 'function_call', call_id: callId, name, arguments: '' };
    this.emit('response.output_item.added', { response_id: responseId, output_index: 1, item });
    const place = { response_id: responseId, item_id: item.id, output_index: 1, call_id: callId };
    this.emit('response.function_call_arguments.delta', { ...place, delta: text });
    this.emit('response.function_call_arguments.done', { ...place, arguments: text });
    const whole = { ...item, arguments: text };
    this.emit('response.output_item.done', { response_id: responseId, output_index: 1, item: whole });
    return whole;
  }

  #cancel(reason: string): void {
    const { id } = this.#active!;
    this.#active = undefined;
    const details = { type: 'cancelled', reason };
    this.emit('response.done', {
      response: { id, status: 'cancelled', status_details: details, output: [] },
    });
  }

  #append(audio: unknown): void {
    const bytes = Buffer.from(String(audio), 'base64');
    if (!this.settings) this.faults.push('audio came before the settings of the session');
    if (bytes.length === 0 || bytes.toString('base64') !== audio)
      this.#refuse("Invalid 'audio'.", 'invalid_value', 'audio');
    this.audio.push(bytes);
    if (this.double.options.hears === false) return;
    const pcm = this.#decode(bytes);
    const step = this.#input === 'L16' ? 480 : 160;
    for (let at = 0; at < pcm.length; at += step)
      this.#listen(pcm.subarray(at, at + step), (20 * Math.min(step, pcm.length - at)) / step);
  }

  /** Server VAD: the time is that of the audio. */
  #listen(pcm: Int16Array, ms: number): void {
    this.#heardMs += ms;
    const isLoud = Math.sqrt(pcm.reduce((sum, sample) => sum + sample * sample, 0) / pcm.length) > LOUD;
    this.#loudMs = isLoud ? this.#loudMs + ms : 0;
    this.#silentMs = isLoud ? 0 : this.#silentMs + ms;
    if (!this.#speech && this.#loudMs >= 60) this.speechStarted();
    else if (this.#speech && this.#silentMs >= SILENCE_MS) this.speechStopped();
  }

  speechStarted(): void {
    this.#speech = true;
    this.emit('input_audio_buffer.speech_started', {
      audio_start_ms: Math.round(this.#heardMs - this.#loudMs),
      item_id: this.id('item'),
    });
    if (this.#active) this.#cancel('turn_detected');
  }

  speechStopped(): void {
    this.#speech = false;
    const item = { id: this.id('item'), type: 'message', role: 'user' };
    this.emit('input_audio_buffer.speech_stopped', {
      audio_end_ms: Math.round(this.#heardMs),
      item_id: item.id,
    });
    this.emit('input_audio_buffer.committed', { previous_item_id: null, item_id: item.id });
    this.emit('conversation.item.added', { item });
    const transcript = `caller's words ${this.turns}`;
    const done = { item_id: item.id, content_index: 0, transcript };
    this.emit('conversation.item.input_audio_transcription.completed', done);
    this.respond();
  }
}
