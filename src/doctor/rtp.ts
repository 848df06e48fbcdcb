/** RTP headers (RFC 3550 section 5.1) that were left in front of payloads. */

const HEADER_BYTES = 12;
/** Static payload types (RFC 3551 section 6) and what they carry. */
const STATIC_TYPES: Record<number, string> = { 0: 'PCMU', 8: 'PCMA', 9: 'G722', 10: 'L16', 11: 'L16' };

function headerBytes(packet: Uint8Array): number {
  let bytes = HEADER_BYTES + 4 * (packet[0]! & 15);
  if (packet[0]! & 0x10) bytes += 4 + 4 * ((packet[bytes + 2]! << 8) | packet[bytes + 3]!);
  return bytes;
}

/**
 * The payloads without their headers, where they have some: version 2 throughout, one source, and sequence numbers that
 * go up by one. Audio does not look like that.
 */
export function stripRtp(
  payloads: readonly Uint8Array[],
): { payloads: Uint8Array[]; type: string } | undefined {
  const packets = payloads.filter(payload => payload.length > HEADER_BYTES && payload[0]! >> 6 === 2);
  if (payloads.length < 5 || packets.length < 0.9 * payloads.length) return undefined;
  const views = packets.map(packet => new DataView(packet.buffer, packet.byteOffset));
  const follow = views.filter((view, i) => {
    const before = views[i - 1];
    if (!before) return false;
    const step = (view.getUint16(2) - before.getUint16(2)) & 0xffff;
    return step >= 1 && step <= 5 && view.getUint32(8) === before.getUint32(8);
  });
  if (follow.length < 0.8 * (packets.length - 1)) return undefined;
  const type = packets[0]![1]! & 0x7f;
  const known = STATIC_TYPES[type];
  return {
    payloads: packets
      .map(packet => packet.subarray(headerBytes(packet)))
      .filter(payload => payload.length > 0),
    type: `payload type ${type}${known ? ` (${known})` : ''}`,
  };
}
