/** What a handler in a thread of its own plays, played in its reactor: the other side of thread-player.ts. */
import type { MessagePort } from 'node:worker_threads';
import type { Encoding } from '../formats.js';
import { NOT_LIVE } from '../native/addon.js';
import type { PlaybackEntry } from '../playback/ledger.js';
import type { Playback } from '../plugin/stream.js';
import type { CallStream } from '../stream/stream.js';
import { LiveTail } from './live-tail.js';
import { attached, type Outlet, type RecordHead } from './outlet.js';
import { fromPlain, toPlain } from './plain-error.js';
import { ASK, COMMAND, EVENT, type PlainError } from './records.js';
import { RemotePlaybacks } from './remote-playbacks.js';
import { RemoteSource } from './remote-source.js';
import { HEAD, type Ring } from './ring.js';

/** What is needed of the thread that has the handler. */
export interface PlayerThread {
  readonly out: Outlet;
  readonly attachments: MessagePort;
  /** When what it wrote was taken last. */
  readonly nowMs: number;
  /** Answers the question that it waits with. */
  answer(number: number, a: number, b?: number): void;
}

export class RemotePlayer {
  /** Of what was played, how much has been taken, in ms. */
  takenMs = 0;
  #tail: LiveTail | undefined;
  readonly #sources = new Map<number, RemoteSource>();
  readonly #playbacks: RemotePlaybacks;

  constructor(
    private readonly stream: CallStream,
    private readonly handle: number,
    private readonly thread: PlayerThread,
  ) {
    this.#playbacks = new RemotePlaybacks({
      settled: (id, playedMs, interrupted) =>
        thread.out.send(EVENT.settled, handle, { id, flags: interrupted ? 1 : 0, a: playedMs }),
      failed: (id, error) => thread.out.attach(EVENT.failed, handle, toPlain(error), { id }),
    });
  }

  /** Tells the thread of playbacks that are over. */
  look(): void {
    this.#playbacks.look();
  }

  /** The thread is blocked: live audio that broke off is made to fade out. Returns how many ms were made up. */
  conceal(sinceMs: number): number {
    if (!this.#tail?.isSince(sinceMs) || this.stream.closed) return 0;
    const madeUp = this.#tail.goOn();
    if (!madeUp) return 0;
    this.stream.playLivePiece(madeUp.samples, madeUp.rate, madeUp.bound);
    return (madeUp.samples.length * 1000) / madeUp.rate;
  }

  // --- from the thread ---

  /** Carries out a command that brings audio, and says whether it was one. */
  takeAudio(ring: Ring, cell: number): boolean {
    const { words } = ring;
    const at = ring.head(cell);
    const type = words[at + HEAD.type]!;
    // What comes with every frame allocates nothing: hence whole numbers, and no closure here.
    const id = words[at + HEAD.id]!;
    const bound = words[at + HEAD.flags]!;
    const samples = words[at + HEAD.samples]!;
    const rate = words[at + HEAD.bytes]!;
    if (type === COMMAND.playLive) this.#playLive(id, ring.samples(cell, samples), rate, bound);
    else if (type === COMMAND.play) {
      this.#play(id, samples > 0 ? ring.samples(cell, samples) : undefined, rate, bound);
    } else if (type === COMMAND.chunk) {
      const isPcm = samples > 0;
      const chunk = isPcm
        ? ring.samples(cell, samples).slice()
        : ring.copyBytes(cell, words[at + HEAD.bytes]!);
      this.#sources.get(id)?.push(chunk);
    } else return false;
    return true;
  }

  /** Carries out any other command that has to do with playing, and says whether it was one. */
  take({ type, id, flags, a, b, c }: RecordHead): boolean {
    const { stream } = this;
    switch (type) {
      case COMMAND.source:
        this.#source(id, flags === 1, a, b, c);
        break;
      case COMMAND.sourceEnd:
        this.#sources.get(id)?.end();
        this.#sources.delete(id);
        break;
      case COMMAND.sourceFailed: {
        const error = fromPlain(this.#attached<PlainError>());
        this.#sources.get(id)?.fail(error);
        this.#sources.delete(id);
        break;
      }
      case COMMAND.playFile: {
        const bytes = this.#attached<Uint8Array>();
        this.#add(id, () => stream.playFile(bytes));
        break;
      }
      case COMMAND.playEncoded: {
        const { encoding, bytes } = this.#attached<{ encoding: Encoding; bytes: Uint8Array }>();
        this.#add(id, () => stream.playEncoded(encoding, bytes));
        break;
      }
      case COMMAND.watch:
        this.#playbacks.watch(id);
        break;
      case COMMAND.progress:
        this.#playbacks.get(id)?.onProgress(playedMs => this.#send(EVENT.progress, id, playedMs), a);
        break;
      case COMMAND.mark:
        this.#mark(id, this.#attached<string>());
        break;
      case COMMAND.clear:
        void stream.clear({ fadeMs: a }).then(({ playedMs, discardedMs }) => {
          this.thread.out.send(EVENT.cleared, this.handle, { id, a: playedMs, b: discardedMs });
        });
        break;
      case COMMAND.ask:
        return this.#answer(flags, id, a);
      default:
        return false;
    }
    return true;
  }

  #attached<T>(): T {
    return attached<T>(this.thread.attachments);
  }

  #playLive(id: number, samples: Int16Array, rate: number, bound: number): void {
    const { stream } = this;
    if (stream.closed) {
      this.#playPcm(id, samples, rate, bound);
      return;
    }
    this.#tail ??= new LiveTail();
    this.#tail.played(samples, rate, bound, this.thread);
    const playback = stream.playLivePiece(samples, rate, bound);
    this.#playbacks.set(id, playback);
  }

  #play(id: number, samples: Int16Array | undefined, rate: number, bound: number): void {
    const pcm = samples ?? this.#attached<Int16Array>();
    this.takenMs += (pcm.length * 1000) / rate;
    if (bound !== NOT_LIVE) {
      this.#tail ??= new LiveTail();
      this.#tail.played(pcm, rate, bound, this.thread);
    }
    this.#playPcm(id, pcm, rate, bound);
  }

  #playPcm(id: number, samples: Int16Array, rate: number, bound: number): void {
    this.#add(id, () => this.stream.playPcm(samples, rate, bound));
  }

  /** Plays what the thread has checked: where there is no room for it any more, the handler is told. */
  #add(id: number, play: () => Playback): void {
    try {
      this.#playbacks.set(id, play());
    } catch (error) {
      this.#playbacks.settle(id, 0, true);
      this.stream.report(error);
    }
  }

  #source(id: number, isEncoded: boolean, rate: number, bound: number, idleMaxMs: number): void {
    const source = new RemoteSource(
      {
        pull: () => this.#send(EVENT.pull, id, 0),
        stop: () => {
          this.#sources.delete(id);
          this.#send(EVENT.stopSource, id, 0);
        },
      },
      rate,
    );
    this.#sources.set(id, source);
    const options = { sampleRate: rate, liveLatencyMaxMs: bound, isEncoded, idleMaxMs };
    this.#add(id, () => this.stream.playSource(source, options));
  }

  #mark(id: number, name: string): void {
    const told = (played: boolean): void =>
      this.thread.out.send(EVENT.marked, this.handle, { id, flags: played ? 1 : 0 });
    try {
      this.stream.mark(name).then(({ played }) => told(played));
    } catch (error) {
      told(false);
      this.stream.report(error);
    }
  }

  /** Whether the question has to do with playing. */
  #answer(what: number, id: number, number: number): boolean {
    const { stream, thread } = this;
    if (what === ASK.queued) thread.answer(number, stream.queuedMs);
    else if (what === ASK.playback) {
      const { playedMs, finished } = this.#playbacks.heard(id);
      thread.answer(number, playedMs, finished ? 1 : 0);
    } else if (what === ASK.cancel) {
      const playback = this.#playbacks.get(id) as PlaybackEntry | undefined;
      const { playedMs, discardedMs } = playback
        ? stream.cancel(playback)
        : { ...this.#playbacks.heard(id), discardedMs: 0 };
      thread.answer(number, playedMs, discardedMs);
    } else return false;
    return true;
  }

  #send(type: number, id: number, a: number): void {
    this.thread.out.send(type, this.handle, { id, a });
  }
}
