/** The model's audio on its way to the caller: which item is heard, how much of it, and the cut at an interruption. */
import { SidetoneError } from '../../errors.js';
import type { Playback, Stream } from '../../plugin/stream.js';
import type { BytesPlayer } from './audio.js';

/** What an interruption left of an item, in ms of its audio. */
export interface CutItem {
  itemId: string;
  /** It belongs to the conversation: the service can be told of the cut. */
  inConversation: boolean;
  playedMs: number;
  receivedMs: number;
}

interface Item {
  readonly id: string;
  readonly inConversation: boolean;
  /** What has come of it, in bytes of the wire format. */
  bytes: number;
  /** Audio of it that was heard whole and whose playbacks are forgotten, in ms. */
  heardMs: number;
  /** The others, oldest first. */
  playing: Playback[];
}

/** Audio that has no room in the stream's queue waits here: ten minutes of it, 4.8 MB of G.711 or 29 MB of PCM. */
const WAITING_MS_MAX = 600_000;

export class Speaker {
  readonly #stream: Stream;
  readonly #play: BytesPlayer;
  readonly #bytesPerMs: number;
  /** Items of which something has not been heard, and the newest, in the order of their audio. */
  #items: Item[] = [];
  #waiting: { item: Item; bytes: Uint8Array }[] = [];
  #waitingBytes = 0;
  /** PCM: the first half of a sample whose second half has not come. */
  #half: Uint8Array | undefined;
  droppedMs = 0;

  constructor(stream: Stream, play: BytesPlayer, bytesPerMs: number) {
    this.#stream = stream;
    this.#play = play;
    this.#bytesPerMs = bytesPerMs;
  }

  /** Something of the model's audio has not been heard yet. */
  get speaking(): boolean {
    return this.#waiting.length > 0 || this.#stream.queuedMs > 0;
  }

  /** How much audio is still to be heard, in ms. */
  get aheadMs(): number {
    return this.#stream.queuedMs + this.#waitingBytes / this.#bytesPerMs;
  }

  /** More of an item's audio. */
  say(itemId: string, inConversation: boolean, bytes: Uint8Array): void {
    let item = this.#items.at(-1);
    if (item?.id !== itemId) {
      item = { id: itemId, inConversation, bytes: 0, heardMs: 0, playing: [] };
      this.#items = [...this.#items.filter(each => !isHeard(each)), item];
      this.#half = undefined;
    }
    const whole = this.#wholeSamples(bytes);
    item.bytes += whole.length;
    if (this.#waiting.length > 0 || !this.#queue(item, whole)) this.#wait(item, whole);
  }

  /** Moves what waits into the stream's queue, as far as there is room. */
  pump(): void {
    while (this.#waiting.length > 0) {
      const { item, bytes } = this.#waiting[0]!;
      if (!this.#queue(item, bytes)) return;
      this.#waiting.shift();
      this.#waitingBytes -= bytes.length;
    }
  }

  /** Silence at once. Returns every item of which something was not heard. */
  cut(): CutItem[] {
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#half = undefined;
    void this.#stream.clear();
    const cuts = this.#items.map(item => ({
      itemId: item.id,
      inConversation: item.inConversation,
      receivedMs: item.bytes / this.#bytesPerMs,
      playedMs: playedMs(item),
    }));
    this.#items = [];
    return cuts.filter(({ playedMs, receivedMs }) => playedMs < receivedMs);
  }

  #queue(item: Item, bytes: Uint8Array): boolean {
    if (bytes.length === 0) return true;
    try {
      const playback = this.#play(bytes);
      while (item.playing[0]?.finished) item.heardMs += item.playing.shift()!.playedMs;
      item.playing.push(playback);
      return true;
    } catch (error) {
      if (error instanceof SidetoneError && error.code === 'SIDETONE_QUEUE_FULL') return false;
      throw error;
    }
  }

  #wait(item: Item, bytes: Uint8Array): void {
    if ((this.#waitingBytes + bytes.length) / this.#bytesPerMs > WAITING_MS_MAX) {
      this.droppedMs += bytes.length / this.#bytesPerMs;
      return;
    }
    this.#waiting.push({ item, bytes: new Uint8Array(bytes) });
    this.#waitingBytes += bytes.length;
  }

  /** A delta may end in the middle of a sample. */
  #wholeSamples(bytes: Uint8Array): Uint8Array {
    if (this.#bytesPerMs === 8) return bytes;
    const all = this.#half ? Buffer.concat([this.#half, bytes]) : bytes;
    const odd = all.length % 2;
    this.#half = odd ? all.slice(-1) : undefined;
    return odd ? all.subarray(0, -1) : all;
  }
}

function playedMs(item: Item): number {
  return item.playing.reduce((sum, playback) => sum + playback.playedMs, item.heardMs);
}

function isHeard(item: Item): boolean {
  return item.playing.every(playback => playback.finished);
}
