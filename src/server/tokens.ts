/** The auth tokens that a server knows. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { ResolvedOptions } from '../options/options.js';

/** A token that the server knows. */
export interface KnownToken {
  /** The only call it is good for. */
  readonly callControlId: string | undefined;
}

/** Tokens are kept as digests: comparing digests takes the same time whatever the guess. */
interface TokenDigest extends KnownToken {
  digest: Buffer;
}

export class Tokens {
  readonly #digests: readonly TokenDigest[];

  constructor(configured: ResolvedOptions['authToken']) {
    const all = configured === undefined ? [] : Array.isArray(configured) ? configured : [configured];
    this.#digests = all.map(entry =>
      typeof entry === 'string'
        ? { digest: sha256(entry), callControlId: undefined }
        : { digest: sha256(entry.token), callControlId: entry.callControlId },
    );
  }

  /** Whether a stream needs one. */
  get wanted(): boolean {
    return this.#digests.length > 0;
  }

  /** The token that `guess` is, if it is one. */
  known(guess: string): KnownToken | undefined {
    if (!this.wanted) return undefined;
    const digest = sha256(guess);
    let found: KnownToken | undefined;
    for (const token of this.#digests) {
      if (timingSafeEqual(digest, token.digest)) found = token;
    }
    return found;
  }
}

/** The calls that the tokens of one connection are good for. Those of the upgrade and of `connected` must both allow a call. */
export class CallTokens {
  /** @param boundTo the calls that its tokens are bound to */
  constructor(private readonly boundTo: string[]) {}

  add(callControlId: string): void {
    if (!this.boundTo.includes(callControlId)) this.boundTo.push(callControlId);
  }

  allow(callControlId: string): boolean {
    return this.boundTo.every(call => call === callControlId);
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
