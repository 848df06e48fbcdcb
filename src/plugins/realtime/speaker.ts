/** The model's audio on its way to the caller: which item is heard, how much of it, and the cut at an interruption. */
import { SidetoneError } from '../../errors.js';
import type { Speech, SpeechOptions, Stream } from '../../plugin/stream.js';

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
  /** One, or more where others had to be heard in between. */
  speeches: Speech[];
}

export class Speaker {
  readonly #stream: Stream;
  readonly #options: SpeechOptions;
  readonly #bytesPerMs: number;
  readonly #sampleBytes: number;
  /** Items of which something has not been heard, and the newest, in the order of their audio. */
  #items: Item[] = [];
  /** That of the newest item, while more may come of it. */
  #speech: Speech | undefined;
  droppedMs = 0;

  /** @param bytesPerMs of the wire format, of which `options` says how it is spoken */
  constructor(stream: Stream, options: SpeechOptions, bytesPerMs: number) {
    this.#stream = stream;
    this.#options = options;
    this.#bytesPerMs = bytesPerMs;
    this.#sampleBytes = options.encoding === undefined ? 2 : 1;
  }

  /** Something of the model's audio has not been heard yet. */
  get speaking(): boolean {
    return this.#stream.queuedMs > 0;
  }

  /** How much audio is still to be heard, in ms. */
  get aheadMs(): number {
    return this.#stream.queuedMs;
  }

  /** More of an item's audio. */
  say(itemId: string, inConversation: boolean, bytes: Uint8Array): void {
    let item = this.#items.at(-1);
    if (item?.id !== itemId) {
      this.rest();
      item = { id: itemId, inConversation, bytes: 0, speeches: [] };
      this.#items = [...this.#items.filter(each => !isHeard(each)), item];
    }
    let spoken = bytes;
    if (!this.#speech || this.#speech.finished) {
      this.#speech = this.#stream.speak(this.#options);
      item.speeches.push(this.#speech);
      // The other half of this sample was lost with the speech of before.
      if (item.bytes % this.#sampleBytes !== 0) spoken = bytes.subarray(1);
    }
    item.bytes += bytes.length;
    try {
      this.#speech.write(spoken);
    } catch (error) {
      if (!(error instanceof SidetoneError) || error.code !== 'SIDETONE_QUEUE_FULL') throw error;
      this.droppedMs += bytes.length / this.#bytesPerMs;
    }
  }

  /** Nothing more comes of the newest item, or not soon: what others play from here on is heard behind it. */
  rest(): void {
    this.#speech?.end();
    this.#speech = undefined;
  }

  /** Silence at once. Returns every item of which something was not heard. */
  cut(): CutItem[] {
    const cutting = this.#items.filter(item => !isHeard(item));
    this.rest();
    this.#items = [];
    void this.#stream.clear();
    return cutting
      .map(item => {
        const receivedMs = (item.bytes - (item.bytes % this.#sampleBytes)) / this.#bytesPerMs;
        const playedMs = item.speeches.reduce((sum, speech) => sum + speech.playedMs, 0);
        return {
          itemId: item.id,
          inConversation: item.inConversation,
          receivedMs,
          // Resampling may round up.
          playedMs: Math.min(receivedMs, playedMs),
        };
      })
      .filter(({ playedMs, receivedMs }) => playedMs < receivedMs);
  }
}

function isHeard({ speeches }: Item): boolean {
  return speeches.every(speech => speech.finished);
}
