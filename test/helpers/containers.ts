/** Packets out of the containers that the conformance data comes in. */

/** Matroska (RFC 9559): the frames of all blocks of a file with one track, without lacing. */
export function matroskaFrames(file: Buffer): Buffer[] {
  const MASTERS = new Set([0x18538067 /* Segment */, 0x1f43b675 /* Cluster */, 0xa0 /* BlockGroup */]);
  const BLOCKS = new Set([0xa3 /* SimpleBlock */, 0xa1 /* Block */]);
  const frames: Buffer[] = [];
  const read = (bytes: Buffer): void => {
    for (let at = 0; at < bytes.length; ) {
      const idBytes = Math.clz32(bytes[at]!) - 23;
      const id = bytes.readUIntBE(at, idBytes);
      at += idBytes;
      const sizeBytes = Math.clz32(bytes[at]!) - 23;
      const raw = bytes.readUIntBE(at, Math.min(6, sizeBytes));
      const isUnknown = sizeBytes === 1 && raw === 0xff;
      let size = BigInt(bytes[at]! & (0xff >> sizeBytes));
      for (let i = 1; i < sizeBytes; i++) size = (size << 8n) | BigInt(bytes[at + i]!);
      at += sizeBytes;
      const unknown = isUnknown || size === (1n << BigInt(7 * sizeBytes)) - 1n;
      const end = unknown ? bytes.length : Math.min(bytes.length, at + Number(size));
      if (MASTERS.has(id)) read(bytes.subarray(at, end));
      // Track number (one byte here), time code (two), flags (one).
      if (BLOCKS.has(id)) frames.push(bytes.subarray(at + 4, end));
      at = end;
    }
  };
  read(file);
  return frames;
}

/** Ogg (RFC 3533): the packets of a file with one stream; what is cut at either end of the file is left out. */
export function oggPackets(file: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  let open: Buffer[] | undefined;
  for (let at = file.indexOf('OggS'); at >= 0 && at + 27 <= file.length; at = file.indexOf('OggS', at)) {
    const continued = (file[at + 5]! & 1) !== 0;
    const segments = file.subarray(at + 27, at + 27 + file[at + 26]!);
    if (!continued) open = [];
    at += 27 + segments.length;
    for (const bytes of segments) {
      open?.push(file.subarray(at, at + bytes));
      at += bytes;
      if (bytes === 255 || at > file.length) continue;
      if (open) packets.push(Buffer.concat(open));
      open = [];
    }
  }
  return packets;
}

/** 3GPP (ISO 14496-12): the samples of the first track. */
export function mp4Samples(file: Buffer): Buffer[] {
  const boxes = (bytes: Buffer, name: string): Buffer[] => {
    const found: Buffer[] = [];
    for (let at = 0; at + 8 <= bytes.length; ) {
      const size = bytes.readUInt32BE(at) || bytes.length - at;
      if (bytes.toString('latin1', at + 4, at + 8) === name) found.push(bytes.subarray(at + 8, at + size));
      at += size;
    }
    return found;
  };
  const path = (names: string[]): Buffer => names.reduce((box, name) => boxes(box, name)[0]!, file);
  const table = (name: string): Buffer => path(['moov', 'trak', 'mdia', 'minf', 'stbl', name]);
  const sizes = table('stsz');
  const chunks = table('stco');
  const perChunk = table('stsc');
  const samples: Buffer[] = [];
  const count = sizes.readUInt32BE(8);
  const sizeOf = (i: number): number => sizes.readUInt32BE(4) || sizes.readUInt32BE(12 + 4 * i);
  let entry = 0;
  for (let chunk = 0; chunk < chunks.readUInt32BE(4); chunk++) {
    const next = entry + 1;
    if (next < perChunk.readUInt32BE(4) && perChunk.readUInt32BE(8 + 12 * next) === chunk + 1) entry = next;
    let at = chunks.readUInt32BE(8 + 4 * chunk);
    for (let i = perChunk.readUInt32BE(12 + 12 * entry); i > 0 && samples.length < count; i--) {
      const bytes = sizeOf(samples.length);
      samples.push(file.subarray(at, at + bytes));
      at += bytes;
    }
  }
  return samples;
}
