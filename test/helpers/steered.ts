/** Calls of test/fixtures/steered-plugin.ts: says what its handlers do, and hears what they were told. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { BroadcastChannel } from 'node:worker_threads';
import type { Isolation, PluginEntry, Server, ServerOptions } from '../../src/index.js';
import { root } from './paths.js';
import { RawSocket } from './raw-socket.js';
import { eventually, startServer, stopServer } from './servers.js';
import { payloads, WireCall } from './telnyx-messages.js';

export interface Deed {
  to: string;
  number: number;
  deed: string;
  value: number;
}

export interface Report {
  kind: 'told' | 'done' | 'failed';
  number?: number;
  value: unknown;
}

export const STEERED = join(root, 'dist/test/fixtures/steered-plugin.js');
/** The isolations under which the same must happen. */
export const MODES: readonly Isolation[] = ['reactor', 'thread'];

const outbox = new BroadcastChannel('steering');
const inbox = new BroadcastChannel('steered');
outbox.unref();
inbox.unref();
let calls = 0;

/** A server with the steered plugin beside the echo. */
export function startSteered(options: ServerOptions, entry: Partial<PluginEntry> = {}): Promise<Server> {
  return startServer([{ module: STEERED, ...entry }], options);
}

/** The same, until `run` is over. */
export async function withSteered(
  options: ServerOptions,
  run: (server: Server) => Promise<void>,
  entry: Partial<PluginEntry> = {},
): Promise<void> {
  const server = await startSteered(options, entry);
  try {
    await run(server);
  } finally {
    await stopServer(server);
    RawSocket.destroyAll();
  }
}

export class SteeredCall {
  readonly name = `call-${++calls}`;
  readonly told: unknown[][] = [];
  wire = new WireCall();
  socket!: RawSocket;
  /** Telnyx's side returns marks as soon as they come. */
  #returned = 0;
  #number = 0;
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  readonly #timer: NodeJS.Timeout;
  readonly #payloads = payloads(3000);
  said = 0;

  private constructor() {
    inbox.addEventListener('message', this.#hear as never);
    this.#timer = setInterval(() => this.#returnMarks(), 5);
    this.#timer.unref();
  }

  /** `query` tells the plugin what to accept the stream with: `&mp3`, `&both`. */
  static async start(server: Server, query = ''): Promise<SteeredCall> {
    const call = new SteeredCall();
    await call.#connect(server, query);
    return call;
  }

  /** The call's stream is lost, which the server notices or does not, and Telnyx opens another. */
  async come(server: Server, isNoticed: boolean): Promise<void> {
    if (isNoticed) {
      this.socket.destroy();
      await eventually(() => server.connections === 0, 'the drop');
    }
    this.wire = new WireCall({ callControlId: this.wire.callControlId });
    this.said = 0;
    await this.#connect(server);
  }

  async #connect(server: Server, query = ''): Promise<void> {
    this.socket = await RawSocket.open(server.port, { path: `/steered?call=${this.name}${query}` });
    assert.equal(this.socket.status, 101, this.socket.headers);
    this.#returned = 0;
    this.socket.send(this.wire.connected());
    this.socket.send(this.wire.start());
  }

  #hear = ({ data }: { data: Report & { name: string } }): void => {
    if (data.name !== this.name) return;
    if (data.kind === 'told') {
      this.told.push(data.value as unknown[]);
      return;
    }
    const waiting = this.#waiting.get(data.number!);
    this.#waiting.delete(data.number!);
    if (data.kind === 'done') waiting?.resolve(data.value);
    else waiting?.reject(new Error(String(data.value)));
  };

  #returnMarks(): void {
    const marks = this.socket?.messages().filter(({ event }) => event === 'mark') ?? [];
    for (const { mark } of marks.slice(this.#returned)) {
      this.#returned++;
      this.socket.send(this.wire.mark((mark as { name: string }).name));
    }
  }

  /** All that it hears now is one µ-law code. */
  hearsOnly(code: number): Promise<void> {
    return this.socket.until(
      () => {
        const heard = this.socket.audio().subarray(-160);
        return heard.length === 160 && heard.every(each => each === code);
      },
      `0x${code.toString(16)}`,
    );
  }

  /** Has the handler do something; resolves with what came of it. */
  // biome-ignore lint/suspicious/noExplicitAny: each deed gives something else
  async do(deed: string, value = 0): Promise<any> {
    await this.startedHandler();
    const number = ++this.#number;
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      outbox.postMessage({ to: this.name, number, deed, value } satisfies Deed);
    });
  }

  /** The same where nothing comes of it. */
  async order(deed: string, value = 0): Promise<void> {
    await this.startedHandler();
    outbox.postMessage({ to: this.name, number: 0, deed, value } satisfies Deed);
  }

  startedHandler(): Promise<void> {
    return this.wasTold('onStart');
  }

  async wasTold(...values: unknown[]): Promise<void> {
    const has = (told: unknown[]): boolean => values.every((value, i) => told[i] === value);
    await eventually(() => this.told.some(has), `${values.join(' ')} told to ${this.name}`);
  }

  /** The caller says so many frames. */
  say(frames: number): void {
    for (let i = 0; i < frames; i++) this.socket.send(this.wire.media(this.#payloads[this.said++]!));
  }

  /** The caller has heard what it has said, sample for sample: PCMU has two codes for silence. */
  heardAllSaid(): void {
    const samples = (bytes: Uint8Array): number[] => Array.from(bytes, byte => (byte === 0x7f ? 0xff : byte));
    const said = Buffer.concat(this.#payloads.slice(0, this.said));
    assert.deepEqual(samples(this.socket.audio()), samples(said));
  }

  press(digit: string): void {
    this.socket.send(this.wire.dtmf(digit));
  }

  hangUp(): void {
    this.socket.send(this.wire.stop());
  }

  close(): void {
    clearInterval(this.#timer);
    inbox.removeEventListener('message', this.#hear as never);
    this.socket.destroy();
  }
}
