/** A voice worker's side: the windows of many streams through one model, each stream's in order and with its own state. */
import { VOICE } from '../native/addon.js';
import type { VoiceMemory } from './voice-memory.js';

/** A recurrent model that tells how likely speech is. */
export interface VoiceModel {
  /** Windows that it hears at once, at most. */
  readonly rowsMax: number;
  /** Samples before each window that it wants to see again. */
  readonly contextSamples: number;
  /** Numbers of a stream's state. */
  readonly stateSize: number;
  /** Row for row: context and window, full scale 1. */
  readonly input: Float32Array;
  /** Row for row, before and after hear(). */
  readonly state: Float32Array;
  readonly probabilities: Float32Array;
  /** Hears the first `rows` rows. */
  hear(rows: number): Promise<void>;
}

interface Heard {
  readonly state: Float32Array;
  readonly context: Float32Array;
  /** The round in which it was heard last. */
  round: number;
}

export class VoiceHearing {
  readonly #model: VoiceModel;
  readonly #memory: VoiceMemory;
  readonly #seats: Heard[] = [];
  readonly #waiting = new Int32Array(VOICE.windowsMax);
  readonly #rows: Int32Array; // the windows of a round
  #round = 0;

  constructor(model: VoiceModel, memory: VoiceMemory) {
    this.#model = model;
    this.#memory = memory;
    this.#rows = new Int32Array(model.rowsMax);
  }

  /** The first `windows` windows of the memory. A stream's windows are heard one after the other, in as few rounds as that allows. */
  async hear(windows: number): Promise<void> {
    for (let i = 0; i < windows; i++) this.#waiting[i] = i;
    let waiting = windows;
    while (waiting > 0) {
      const rows = this.#gather(waiting);
      waiting -= rows;
      await this.#model.hear(rows);
      for (let row = 0; row < rows; row++) this.#keep(row);
    }
  }

  /** Fills a round: of each stream the oldest window. Returns its rows; the other windows stay in `waiting`, in order. */
  #gather(waiting: number): number {
    const { fields } = this.#memory;
    this.#round++;
    let rows = 0;
    let left = 0;
    for (let i = 0; i < waiting; i++) {
      const window = this.#waiting[i]!;
      const seat = this.#seat(fields[window * VOICE.fields]!);
      if (rows === this.#rows.length || seat.round === this.#round) {
        this.#waiting[left++] = window;
        continue;
      }
      seat.round = this.#round;
      this.#lay(window, seat, rows);
      this.#rows[rows++] = window;
    }
    return rows;
  }

  #seat(number: number): Heard {
    const { stateSize, contextSamples } = this.#model;
    this.#seats[number] ??= {
      state: new Float32Array(stateSize),
      context: new Float32Array(contextSamples),
      round: -1,
    };
    return this.#seats[number];
  }

  #lay(window: number, seat: Heard, row: number): void {
    const { input, state, contextSamples, stateSize } = this.#model;
    const { fields, samples } = this.#memory;
    if ((fields[window * VOICE.fields + 2]! & VOICE.fresh) !== 0) {
      seat.state.fill(0);
      seat.context.fill(0);
    }
    state.set(seat.state, row * stateSize);
    const at = row * (contextSamples + VOICE.samples);
    input.set(seat.context, at);
    const from = window * VOICE.samples;
    for (let i = 0; i < VOICE.samples; i++) input[at + contextSamples + i] = samples[from + i]! / 32768;
  }

  #keep(row: number): void {
    const { input, state, contextSamples, stateSize, probabilities } = this.#model;
    const window = this.#rows[row]!;
    const seat = this.#seats[this.#memory.fields[window * VOICE.fields]!]!;
    seat.state.set(state.subarray(row * stateSize, (row + 1) * stateSize));
    const end = (row + 1) * (contextSamples + VOICE.samples);
    seat.context.set(input.subarray(end - contextSamples, end));
    this.#memory.probabilities[window] = probabilities[row]!;
  }
}
