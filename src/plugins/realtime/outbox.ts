/**
 * The caller's audio on its way to the services of all calls of a thread. Frames are written into one memory, where nothing is
 * allocated for them, and leave together: a peer or a network card that is awake costs less than one that is woken for each.
 */
import { randomFillSync } from 'node:crypto';
import { native } from '../../native/addon.js';

/** Where frames go. */
export interface Destination {
  /** The socket that may be written to at once: -1 where something waits before it, or where it is not plain TCP. */
  readonly writableDescriptor: number;
  /** Takes bytes that are its own, behind all that it has been given. */
  write(bytes: Buffer): void;
}

/** How long a frame waits for others at most. */
const PASS_MS = 10;
/** What is sent in one pass at most; a pass with more sends twice. A frame of 100 ms of PCM has 6.5 KB. */
const MEMORY_BYTES = 256 * 1024;
const FRAMES_MAX = 256;
const HEAD_BYTES_MAX = 14;

const memory = Buffer.allocUnsafeSlow(MEMORY_BYTES);
const rows = new Int32Array(4 * FRAMES_MAX);
const destinations: Destination[] = [];
let used = 0;
let isScheduled = false;

/** Masks are taken from random bytes in store. */
const masks = new Uint32Array(1024);
let masksUsed = masks.length;

function nextMask(): number {
  if (masksUsed === masks.length) {
    randomFillSync(masks);
    masksUsed = 0;
  }
  return masks[masksUsed++]!;
}

/** A message as a frame in memory of its own. */
export function clientFrame(opcode: number, message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES_MAX + message.length);
  return frame.subarray(0, native.clientFrame(opcode, message, nextMask(), frame, 0));
}

/** Sends audio to a service with the others of this pass. The audio is the caller's again when this returns. */
export function postAudio(destination: Destination, audio: Uint8Array): void {
  if (destinations.length === FRAMES_MAX) sendPosted();
  let end = native.appendFrame(audio, nextMask(), memory, used);
  if (end === 0) {
    sendPosted();
    end = native.appendFrame(audio, nextMask(), memory, used);
  }
  const row = 4 * destinations.length;
  rows[row + 1] = used;
  rows[row + 2] = end;
  used = end;
  destinations.push(destination);
  if (isScheduled) return;
  isScheduled = true;
  setTimeout(endOfPass, PASS_MS);
}

function endOfPass(): void {
  isScheduled = false;
  sendPosted();
}

/** Sends what has been posted: before anything else is written to one of the destinations. */
export function sendPosted(): void {
  const count = destinations.length;
  if (count === 0) return;
  // A descriptor is asked for now: its socket may have been closed meanwhile, and the number be another's.
  for (let i = 0; i < count; i++) rows[4 * i] = destinations[i]!.writableDescriptor;
  native.sendFrames(memory, rows, count);
  for (let i = 0; i < count; i++) {
    const from = rows[4 * i + 1]! + rows[4 * i + 3]!;
    const to = rows[4 * i + 2]!;
    if (from < to) destinations[i]!.write(Buffer.from(memory.subarray(from, to)));
  }
  destinations.length = 0;
  used = 0;
}
