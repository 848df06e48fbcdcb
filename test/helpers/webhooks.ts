/** Signs webhooks as Telnyx does: Ed25519 over `timestamp|body`. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

export interface WebhookSigner {
  /** For `createWebhookHandler`: base64 of the 32 raw bytes. */
  publicKey: string;
  /** Headers of one delivery; `atMs` is its time, milliseconds since 1970. */
  headers(body: Uint8Array, atMs: number): Record<string, string>;
}

export function createWebhookSigner(): WebhookSigner {
  const keys: { publicKey: KeyObject; privateKey: KeyObject } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(keys.publicKey.export({ format: 'jwk' }).x as string, 'base64url');
  return {
    publicKey: raw.toString('base64'),
    headers(body, atMs) {
      const timestamp = String(Math.floor(atMs / 1000));
      const signature = sign(null, Buffer.concat([Buffer.from(`${timestamp}|`), body]), keys.privateKey);
      return { 'telnyx-timestamp': timestamp, 'telnyx-signature-ed25519': signature.toString('base64') };
    },
  };
}

/** Bytes of a webhook as Telnyx writes it. */
export function webhookBody(eventType: string, id: string, payload: Record<string, unknown>): Uint8Array {
  const data = {
    record_type: 'event',
    event_type: eventType,
    id,
    occurred_at: '2026-02-02T22:25:27.521992Z',
    payload,
  };
  return Buffer.from(JSON.stringify({ data, meta: { attempt: 1 } }));
}
