/** The conversation so far as text: what a new session is told after the service was lost. */

export interface Turn {
  role: 'user' | 'assistant';
  text: string;
}

interface Entry extends Turn {
  itemId: string;
  /** Its text has come whole. */
  whole: boolean;
}

/** Of the longest call: some two hours of talk. What is older is forgotten. */
const ENTRIES_MAX = 400;
/** A turn's text is cut at this length: about ten minutes of speech. */
const TEXT_MAX = 10_000;

export class History {
  #entries: Entry[] = [];
  #notes = 0;

  /** An item has begun: turns are kept in the order of their beginnings, because transcripts come late. */
  begin(role: Turn['role'], itemId: string): void {
    if (this.#find(itemId)) return;
    this.#entries.push({ role, itemId, text: '', whole: false });
    if (this.#entries.length > ENTRIES_MAX) this.#entries.shift();
  }

  /** More of the model's words. */
  add(itemId: string, text: string): void {
    this.begin('assistant', itemId);
    const entry = this.#find(itemId)!;
    if (!entry.whole) entry.text = (entry.text + text).slice(0, TEXT_MAX);
  }

  /** All of an item's words, unless it has been cut. */
  set(role: Turn['role'], itemId: string, text: string): void {
    this.begin(role, itemId);
    const entry = this.#find(itemId)!;
    if (entry.whole) return;
    entry.text = text.slice(0, TEXT_MAX);
    entry.whole = true;
  }

  /** Text that has no item of its own. */
  note(text: string): void {
    this.set('user', `note ${this.#notes++}`, text);
  }

  /** The caller heard only this share of the item, from 0 to 1: as much is kept of its words. */
  cut(itemId: string, share: number): void {
    const entry = this.#find(itemId);
    if (!entry) return;
    entry.text = entry.text.slice(0, Math.floor(entry.text.length * Math.min(1, share)));
    entry.whole = true;
  }

  get turns(): Turn[] {
    return this.#entries.filter(({ text }) => text !== '').map(({ role, text }) => ({ role, text }));
  }

  #find(itemId: string): Entry | undefined {
    return this.#entries.findLast(entry => entry.itemId === itemId);
  }
}
