/**
 * Payload bytes of one stream to PCM. One object serves one stream in the thread that made it.
 *
 * What `decode` and `conceal` return is a view into the codec's own memory, valid until the next call of either;
 * `slice()` keeps it.
 */
export interface PayloadDecoder {
  /** Sample rate of the PCM, in Hz. */
  readonly sampleRate: number;
  /**
   * Decodes one payload to mono PCM. Throws `SidetoneError` with `SIDETONE_BAD_PAYLOAD` when the bytes are none of the
   * codec's, and `SIDETONE_CODEC_CLOSED` after `close()`. After a bad payload it goes on as if that one had not come.
   */
  decode(payload: Uint8Array): Int16Array;
  /** PCM in place of one payload that did not come, as long as the last one was; 20 ms of silence before the first. */
  conceal(): Int16Array;
  /** Gives the codec's memory back, for the next stream. Safe to call again. */
  close(): void;
}

/**
 * PCM of one stream to payload bytes. One object serves one stream in the thread that made it.
 *
 * What `encode` returns is a view into the codec's own memory, valid until its next call; `slice()` keeps it.
 */
export interface PayloadEncoder {
  /** Sample rate of the PCM, in Hz. */
  readonly sampleRate: number;
  /** Samples of one frame: 20 ms. */
  readonly frameSamples: number;
  /**
   * Encodes one frame of mono PCM to one payload. Throws `SidetoneError` with `SIDETONE_BAD_ARGUMENT` when `pcm` is not
   * `frameSamples` long, and `SIDETONE_CODEC_CLOSED` after `close()`.
   */
  encode(pcm: Int16Array): Uint8Array;
  /** Gives the codec's memory back, for the next stream. Safe to call again. */
  close(): void;
}

/** The encodings whose cost would stall a reactor. */
export type PoolEncoding = 'OPUS' | 'AMR-WB';
