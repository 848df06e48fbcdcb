/** How many upgrades a second one address may ask for. */
import { isIPv6 } from 'node:net';
import type { Clock } from '../clock.js';

/** Addresses that are remembered; of more, the one that came longest ago is forgotten and may begin anew. */
const ADDRESSES_MAX = 4096;

interface Bucket {
  left: number;
  atMs: number;
}

/** A bucket for each address: it holds the upgrades of one second, and fills again as time goes on. */
export class UpgradeLimit {
  readonly #clock: Clock;
  readonly #perSecond: number;
  readonly #capacity: number;
  /** Ordered by the last upgrade. */
  readonly #buckets = new Map<string, Bucket>();

  /** `perSecond` more than 0: below 1, as a share of several reactors may be, there is room for one all the same. */
  constructor(clock: Clock, perSecond: number) {
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#capacity = Math.max(1, perSecond);
  }

  /** Addresses that are remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Whether one more may come now; if so, it is counted. */
  admits(address: string): boolean {
    const key = networkOf(address);
    const nowMs = this.#clock.now();
    const bucket = this.#buckets.get(key) ?? { left: this.#capacity, atMs: nowMs };
    const filled = ((nowMs - bucket.atMs) / 1000) * this.#perSecond;
    bucket.left = Math.min(this.#capacity, bucket.left + filled);
    bucket.atMs = nowMs;
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > ADDRESSES_MAX) this.#buckets.delete(this.#buckets.keys().next().value!);
    if (bucket.left < 1) return false;
    bucket.left--;
    return true;
  }
}

/** An IPv6 host can use every address of its /64, so these count as one. */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.split('::');
  const groups = head.split(':').filter(group => group !== '');
  const after = (tail ?? '').split(':').filter(group => group !== '');
  // A dotted end stands for two groups.
  const width = after.length + (after.at(-1)?.includes('.') ? 1 : 0);
  const zeros = tail === undefined ? 0 : 8 - groups.length - width;
  const all = [...groups, ...Array.from({ length: zeros }, () => '0'), ...after];
  const network = all.slice(0, 4).map(group => Number.parseInt(group, 16));
  // IPv4 in IPv6's way of writing, and loopback, are single hosts.
  return network.every(group => group === 0) ? address : network.map(group => group.toString(16)).join(':');
}
