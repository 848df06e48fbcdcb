/** What a reactor and its voice worker share: the windows of one batch, and what the detector says of them. */
import { VOICE } from '../native/addon.js';

export interface VoiceBuffers {
  fields: SharedArrayBuffer;
  samples: SharedArrayBuffer;
  probabilities: SharedArrayBuffer;
}

/** Room for VOICE.windowsMax windows. */
export class VoiceMemory {
  /** VOICE.fields numbers a window: seat, owner, flags. */
  readonly fields: Int32Array;
  /** VOICE.samples samples at 8 kHz a window. */
  readonly samples: Int16Array;
  readonly probabilities: Float32Array;

  constructor(
    readonly buffers: VoiceBuffers = {
      fields: new SharedArrayBuffer(VOICE.windowsMax * VOICE.fields * Int32Array.BYTES_PER_ELEMENT),
      samples: new SharedArrayBuffer(VOICE.windowsMax * VOICE.samples * Int16Array.BYTES_PER_ELEMENT),
      probabilities: new SharedArrayBuffer(VOICE.windowsMax * Float32Array.BYTES_PER_ELEMENT),
    },
  ) {
    this.fields = new Int32Array(buffers.fields);
    this.samples = new Int16Array(buffers.samples);
    this.probabilities = new Float32Array(buffers.probabilities);
  }
}
