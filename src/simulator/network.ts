import type { Random } from './random.js';

export interface ImpairmentOptions {
  /** Media frames may overtake each other by up to `shuffle - 1` places. 0 and 1: they stay in order. */
  shuffle: number;
  /** Probability, 0 to 1, that a media frame is lost. */
  loss: number;
  /** Probability, 0 to 1, that a media frame comes twice. */
  duplicate: number;
}

interface Held<T> {
  frame: T;
  dueSlot: number;
  tieBreak: number;
}

/**
 * What a network does to frames that are already numbered: loses, repeats and reorders them. Frame i leaves after i,
 * i+1, … or i+shuffle-1 frames have entered, so no frame moves by more than `shuffle - 1` places. At most `shuffle`
 * frames are held, twice that with duplicates. What happens depends on the generator alone.
 */
export class Impairments<T> {
  lost = 0;
  duplicated = 0;
  #slot = 0;
  #held: Held<T>[] = [];

  constructor(
    private readonly options: ImpairmentOptions,
    private readonly random: Random,
  ) {}

  /** Takes one frame; gives what leaves now, in the order in which it leaves. */
  push(frame: T): T[] {
    const slot = this.#slot++;
    // Every frame takes the same number of draws. So a change of one probability does not change the other decisions.
    const isLost = this.random.float() < this.options.loss;
    const isDuplicated = this.random.float() < this.options.duplicate;
    const original = this.#hold(frame, slot);
    const copy = this.#hold(frame, slot);
    if (isLost) {
      this.lost++;
    } else {
      this.#held.push(original);
      if (isDuplicated) {
        this.duplicated++;
        this.#held.push(copy);
      }
    }
    return this.#release(slot);
  }

  /** Gives everything that is still held. */
  flush(): T[] {
    return this.#release(Number.POSITIVE_INFINITY);
  }

  #hold(frame: T, slot: number): Held<T> {
    const displacement = this.random.below(Math.max(1, this.options.shuffle));
    return { frame, dueSlot: slot + displacement, tieBreak: this.random.uint32() };
  }

  #release(slot: number): T[] {
    const due = this.#held.filter(held => held.dueSlot <= slot);
    if (due.length === 0) return [];
    this.#held = this.#held.filter(held => held.dueSlot > slot);
    due.sort((a, b) => a.dueSlot - b.dueSlot || a.tieBreak - b.tieBreak);
    return due.map(held => held.frame);
  }
}
