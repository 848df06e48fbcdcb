/** What the engine is told of a stream that starts. */
import { type Engine, nativeOutbound } from '../media/engine.js';
import { ENCODING_NUMBERS } from '../native/addon.js';
import type { ReactorOptions } from '../options/options.js';
import type { StreamSetup } from '../stream/setup.js';

/** Returns the engine's number of the stream. */
export function openSlot(
  engine: Engine,
  options: ReactorOptions,
  open: Omit<StreamSetup, 'host' | 'slot'>,
): number {
  const { start, inbound, outbound, handlerRate, tracks } = open;
  return engine.native.open({
    streamId: start.stream_id,
    startSequence: Number(start.sequence_number),
    wantsInbound: tracks.includes('inbound'),
    wantsOutbound: tracks.includes('outbound'),
    inbound: {
      encoding: ENCODING_NUMBERS[inbound.encoding],
      sampleRate: inbound.sampleRate,
      handlerRate,
      l16BigEndian: options.l16ByteOrder === 'be',
      reorderWaitMs: options.reorderWaitMs,
      gapFillMaxMs: options.gapFillMaxMs,
      l16OrderAuto: options.l16ByteOrder === 'auto',
      conceals: options.concealment === 'on',
      voice: open.voice,
      neural: open.voice?.detector === 'neural',
      keys: open.inbandKeys,
    },
    outbound: nativeOutbound(outbound, { ...options, liveLatencyMaxMs: open.liveLatencyMaxMs }),
  });
}
