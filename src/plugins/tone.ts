import { CODECS } from '../formats.js';
import { definePlugin } from '../plugin/define.js';
import type { Plugin } from '../plugin/plugin.js';
import type { StreamRequest } from '../plugin/stream.js';

const HZ_MIN = 50;
const HZ_MAX = 3400;
const HZ_DEFAULT = 440;
const DBFS_MIN = -60;
const DBFS_DEFAULT = -12;

/**
 * Plays a sine for as long as the call lasts: 440 Hz at -12 dBFS (of the peak). The stream_url may ask for others
 * with `?hz=` (50 to 3400, whole) and `?dbfs=` (-60 to 0). Anything else is refused with 403.
 */
export function tone(): Plugin {
  return definePlugin({
    name: 'tone',
    accept: request => wanted(request.query) !== undefined,
    onStart(stream) {
      const { hz, dbfs } = wanted(stream.query)!;
      const { encoding, sampleRate: announced } = stream.outbound;
      // At the codec's own rate, so that nothing needs resampling.
      const sampleRate = CODECS[encoding].sampleRate(announced);
      stream.play(endless(oneSecond(hz, dbfs, sampleRate)), { sampleRate });
      return {};
    },
  });
}

function wanted(query: StreamRequest['query']): { hz: number; dbfs: number } | undefined {
  const hz = Number(query.get('hz') ?? HZ_DEFAULT);
  const dbfs = Number(query.get('dbfs') ?? DBFS_DEFAULT);
  const known = Number.isInteger(hz) && hz >= HZ_MIN && hz <= HZ_MAX && dbfs >= DBFS_MIN && dbfs <= 0;
  return known ? { hz, dbfs } : undefined;
}

/** A whole number of Hz makes whole periods of a second: what follows the last sample is the first. */
function oneSecond(hz: number, dbfs: number, sampleRate: number): Int16Array {
  const peak = 32767 * 10 ** (dbfs / 20);
  return Int16Array.from({ length: sampleRate }, (_, i) =>
    Math.round(peak * Math.sin((2 * Math.PI * hz * i) / sampleRate)),
  );
}

function* endless(pcm: Int16Array): Generator<Int16Array> {
  for (;;) yield pcm;
}

export default tone();
