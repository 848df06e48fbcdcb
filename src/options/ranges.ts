/** Ranges of addresses, as options have them: `10.0.0.0/8`, `2001:db8::/32`, or one address. */
import { BlockList, isIP } from 'node:net';

interface Range {
  address: string;
  family: 'ipv4' | 'ipv6';
  bits: number;
}

function parseRange(text: string): Range | undefined {
  const [, address = '', given] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const version = isIP(address);
  if (version === 0 || address.includes('%')) return undefined;
  const bitsMax = version === 4 ? 32 : 128;
  const bits = given === undefined ? bitsMax : Number(given);
  return bits <= bitsMax ? { address, family: version === 4 ? 'ipv4' : 'ipv6', bits } : undefined;
}

export function isRange(text: string): boolean {
  return parseRange(text) !== undefined;
}

/** Whether an address is in one of `ranges`. An IPv4 address may come in IPv6's way of writing, as dual-stack sockets have it. */
export function rangesOf(ranges: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const { address, family, bits } of ranges.flatMap(text => parseRange(text) ?? [])) {
    list.addSubnet(address, bits, family);
  }
  return address => isIP(address) !== 0 && list.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6');
}
