/** Whose address an upgrade has, where proxies stand between the caller and this server. */
import { isIP } from 'node:net';

/**
 * The address nearest to us that is no trusted proxy's. Each proxy appends the peer it saw to X-Forwarded-For, so the
 * list is read from its end; what an untrusted peer wrote in front of that is not believed.
 * @param forwardedFor the values of all lines of the header, in their order, joined by commas
 */
export function clientAddress(
  peer: string,
  forwardedFor: string,
  trusts: (address: string) => boolean,
): string {
  let address = peer;
  const hops = forwardedFor.split(',');
  while (hops.length > 0 && trusts(address)) {
    const hop = withoutPort(hops.pop()!.trim());
    // "unknown", or nonsense: whoever came before it cannot be known.
    if (isIP(hop) === 0) break;
    address = hop;
  }
  return address;
}

/** Some proxies append the port: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
function withoutPort(hop: string): string {
  const [, inBrackets, ipv4] = /^(?:\[([^\]]+)\](?::\d+)?|([\d.]+):\d+)$/.exec(hop) ?? [];
  return inBrackets ?? ipv4 ?? hop;
}
