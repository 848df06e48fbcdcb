/** Files that end up in payloads as they are. */
import { mp3Duration } from '../simulator/mp3.js';

export function containerOf(
  payloads: readonly Uint8Array[],
): { name: string; evidence: string; remedy: string } | undefined {
  const payload = payloads[0]!;
  const begins = Buffer.from(payload.buffer, payload.byteOffset, Math.min(4, payload.length)).toString(
    'latin1',
  );
  const evidence = `the first payload begins with ${JSON.stringify(begins)}`;
  if (begins.startsWith('ID3') || holdsMp3(payloads)) {
    return {
      name: 'MP3',
      evidence,
      remedy:
        'MP3 wants stream_bidirectional_mode mp3 (the default); with rtp, send payloads in stream_bidirectional_codec',
    };
  }
  if (begins === 'RIFF' || begins === 'OggS' || begins === '#!AM') {
    const name = { RIFF: 'a WAV file', OggS: 'an Ogg file', '#!AM': 'an AMR file' }[begins];
    return {
      name,
      evidence,
      remedy:
        'send the samples or packets in it, encoded as stream_bidirectional_codec says, without the file around them',
    };
  }
  return undefined;
}

const MP3_SEARCHED_BYTES = 65_536;
/** Three frames at least: G.711 may begin like one frame, but not like three in a row. */
const MP3_MS_MIN = 72;

/** The file is recognised however it was cut into messages. */
function holdsMp3(payloads: readonly Uint8Array[]): boolean {
  const duration = mp3Duration(Buffer.concat(payloads.slice(0, 500)).subarray(0, MP3_SEARCHED_BYTES));
  return 'ms' in duration && duration.ms >= MP3_MS_MIN;
}
