/** AMR-WB (ITU-T G.722.2) at 16 kHz in RFC 4867 payloads, by the system's codec libraries. */
import { SidetoneError } from '../errors.js';
import { type NativeAmrWbDecoder, type NativeAmrWbEncoder, native } from '../native/addon.js';
import { flag, oneOf, wholeNumber } from './options.js';
import type { PayloadDecoder, PayloadEncoder } from './types.js';

/** How a payload is laid out: RFC 4867 section 4.3 or 4.4. */
export type AmrWbForm = 'bandwidth-efficient' | 'octet-aligned';

export interface AmrWbDecoderOptions {
  /** Default 'auto': bandwidth-efficient until a payload is consistent with octet-aligned only, and so on. */
  form?: AmrWbForm | 'auto';
}

export interface AmrWbEncoderOptions {
  /** Default 'bandwidth-efficient', what Telnyx sends on calls from the telephone network. */
  form?: AmrWbForm;
  /** 0 to 8: 6.60, 8.85, 12.65, 14.25, 15.85, 18.25, 19.85, 23.05, 23.85 kbit/s. Default 2, as in most networks. */
  mode?: number;
  /** Silence becomes comfort-noise (SID) and no-data frames, TS 26.193. Default false. */
  dtx?: boolean;
}

/** The options with their defaults; throws `SIDETONE_BAD_OPTION` where one is wrong. */
export function amrWbDecoderSettings(options: AmrWbDecoderOptions): Required<AmrWbDecoderOptions> {
  return {
    form: oneOf('AMR-WB form', options.form, 'auto', ['auto', 'bandwidth-efficient', 'octet-aligned']),
  };
}

/** The options with their defaults; throws `SIDETONE_BAD_OPTION` where one is wrong. */
export function amrWbEncoderSettings(options: AmrWbEncoderOptions): Required<AmrWbEncoderOptions> {
  const forms = ['bandwidth-efficient', 'octet-aligned'] as const;
  return {
    form: oneOf('AMR-WB form', options.form, 'bandwidth-efficient', forms),
    mode: wholeNumber('AMR-WB mode', options.mode, 2, 0, 8),
    dtx: flag('AMR-WB dtx', options.dtx, false),
  };
}

/** Samples of one frame: 20 ms. */
const FRAME_SAMPLES = 320;
/** Frames that one payload may hold (kAmrWbFramesMax). */
const FRAMES_MAX = 24;
/** CMR and one frame of mode 8, octet-aligned. */
const PAYLOAD_BYTES_MAX = 62;

/** Messages by the number of Rfc4867Error. */
const PROBLEMS = [
  '',
  'too short for a header',
  'a reserved frame type (10 to 13)',
  `more than ${FRAMES_MAX} frames`,
  'ends before its first frame does',
];

function coded<T>(make: () => T): T {
  try {
    return make();
  } catch (cause) {
    const { code, message } = cause as Error & { code?: string };
    if (code === 'SIDETONE_CODEC_UNAVAILABLE') throw new SidetoneError(code, message, { cause });
    throw cause;
  }
}

function closed(): SidetoneError {
  return new SidetoneError('SIDETONE_CODEC_CLOSED', 'AMR-WB codec: used after close(); open another');
}

export class AmrWbPayloadDecoder implements PayloadDecoder {
  readonly sampleRate = 16000;
  #decoder: NativeAmrWbDecoder | undefined;
  readonly #pcm = new Int16Array(FRAMES_MAX * FRAME_SAMPLES);
  #lastSamples = FRAME_SAMPLES;

  /** Throws `SIDETONE_CODEC_UNAVAILABLE` where the libraries are not installed, naming their packages. */
  constructor(options: AmrWbDecoderOptions = {}) {
    const { form } = amrWbDecoderSettings(options);
    this.#decoder = coded(() => new native.AmrWbDecoder(form));
  }

  /** The mode (0 to 8) that the peer last asked this side to send in; undefined while it asked for none. */
  get modeRequest(): number | undefined {
    const request = this.#decoder?.modeRequest ?? 15;
    return request === 15 ? undefined : request;
  }

  decode(payload: Uint8Array): Int16Array {
    if (!this.#decoder) throw closed();
    const samples = this.#decoder.decode(payload, this.#pcm);
    if (samples < 0) {
      throw new SidetoneError(
        'SIDETONE_BAD_PAYLOAD',
        `AMR-WB payload of ${payload.length} bytes: ${PROBLEMS[-samples]}; is it the form that the option \`form\` says?`,
      );
    }
    this.#lastSamples = samples;
    return this.#pcm.subarray(0, samples);
  }

  conceal(): Int16Array {
    if (!this.#decoder) throw closed();
    for (let at = 0; at < this.#lastSamples; at += FRAME_SAMPLES) {
      this.#decoder.conceal(this.#pcm.subarray(at, at + FRAME_SAMPLES));
    }
    return this.#pcm.subarray(0, this.#lastSamples);
  }

  close(): void {
    this.#decoder?.close();
    this.#decoder = undefined;
  }
}

export class AmrWbPayloadEncoder implements PayloadEncoder {
  readonly sampleRate = 16000;
  readonly frameSamples = FRAME_SAMPLES;
  #encoder: NativeAmrWbEncoder | undefined;
  readonly #payload = new Uint8Array(PAYLOAD_BYTES_MAX);

  /** Throws `SIDETONE_CODEC_UNAVAILABLE` where the libraries are not installed, naming their packages. */
  constructor(options: AmrWbEncoderOptions = {}) {
    const { form, mode, dtx } = amrWbEncoderSettings(options);
    this.#encoder = coded(() => new native.AmrWbEncoder(form, mode, dtx));
  }

  encode(pcm: Int16Array): Uint8Array {
    if (!this.#encoder) throw closed();
    if (pcm.length !== FRAME_SAMPLES) {
      throw new SidetoneError(
        'SIDETONE_BAD_ARGUMENT',
        `AMR-WB encode: pcm has ${pcm.length} samples; give one frame of ${FRAME_SAMPLES} (20 ms)`,
      );
    }
    return this.#payload.subarray(0, this.#encoder.encode(pcm, this.#payload));
  }

  close(): void {
    this.#encoder?.close();
    this.#encoder = undefined;
  }
}
