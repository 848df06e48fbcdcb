/** What a plugin may ask to be heard for it: voice activity, and keys that come as tones. */
import { SidetoneError, shown } from '../errors.js';
import { wantSilero } from '../pool/silero.js';
import type { AudioOptions, StreamHandler } from './plugin.js';
import type { VadOptions } from './speech.js';

export type VoiceSettings = Required<VadOptions>;

type Numbers = Omit<Required<VadOptions>, 'detector'>;

const FIELDS: Record<keyof Numbers, { usual: number; min: number; max: number; unit: string }> = {
  onsetMs: { usual: 60, min: 20, max: 1000, unit: 'ms' },
  hangoverMs: { usual: 300, min: 120, max: 10_000, unit: 'ms' },
  threshold: { usual: 0.5, min: 0.3, max: 0.95, unit: '' },
  levelMinDb: { usual: -55, min: -90, max: -10, unit: 'dBFS' },
};
const NUMBERS = Object.keys(FIELDS) as (keyof Numbers)[];
const NAMES = ['detector', ...NUMBERS].join(', ');

/** What `audio.vad` comes to; undefined where it is not asked for. */
export function voiceSettings(vad: AudioOptions['vad']): VoiceSettings | undefined {
  if (vad === undefined || vad === false) return undefined;
  const given: VadOptions = vad === true ? {} : vad;
  const numbers = NUMBERS.map(name => [name, given[name] ?? FIELDS[name].usual]);
  return { detector: given.detector ?? 'spectral', ...(Object.fromEntries(numbers) as Numbers) };
}

/**
 * Checks `audio.vad` and `audio.dtmf`. `where` stands before the field in messages.
 * @throws SidetoneError SIDETONE_PLUGIN_INVALID
 */
export function checkHearing({ vad, dtmf }: AudioOptions, where: string): void {
  const fail = (field: string, value: unknown, remedy: string): never => {
    throw new SidetoneError('SIDETONE_PLUGIN_INVALID', `${where}${field}: ${shown(value)}: ${remedy}`);
  };
  if (dtmf !== undefined && dtmf !== 'events' && dtmf !== 'inband') {
    fail('audio.dtmf', dtmf, 'use events (what Telnyx sends) or inband (tones in the audio too)');
  }
  if (vad === undefined || typeof vad === 'boolean') return;
  if (typeof vad !== 'object' || vad === null || Array.isArray(vad) || ArrayBuffer.isView(vad)) {
    fail('audio.vad', vad, `use true, or an object with ${NAMES}`);
  }
  for (const [name, value] of Object.entries(vad as object)) {
    if (value === undefined && (name === 'detector' || Object.hasOwn(FIELDS, name))) continue;
    if (name === 'detector') {
      if (value === 'spectral' || value === 'neural') continue;
      fail('audio.vad.detector', value, 'use spectral (in the engine) or neural (with onnxruntime-node)');
    }
    if (!Object.hasOwn(FIELDS, name)) {
      fail(`audio.vad.${name}`, value, `there is no such option: use ${NAMES}`);
    }
    const { min, max, unit } = FIELDS[name as keyof Numbers];
    if (typeof value === 'number' && value >= min && value <= max) continue;
    fail(`audio.vad.${name}`, value, `give ${min} to ${max} ${unit}`.trimEnd());
  }
}

/** Whether speech is looked for by the neural detector. */
export function isNeural(audio: AudioOptions | undefined): boolean {
  return voiceSettings(audio?.vad)?.detector === 'neural';
}

/**
 * What the plugin's `audio` needs is installed.
 * @throws SidetoneError SIDETONE_PACKAGE_MISSING
 */
export function checkInstalled(audio: AudioOptions | undefined): void {
  if (isNeural(audio)) wantSilero();
}

/**
 * A handler that waits for speech must have asked for it.
 * @throws SidetoneError SIDETONE_PLUGIN_INVALID
 */
export function checkListens(
  plugin: { readonly name: string },
  handler: StreamHandler | undefined,
  audio: AudioOptions,
): void {
  if (handler === undefined || audio.vad !== undefined) return;
  const name = handler.onSpeech ? 'onSpeech' : handler.onSilence ? 'onSilence' : undefined;
  if (name === undefined) return;
  const remedy = 'give the plugin audio: { vad: true }';
  throw new SidetoneError(
    'SIDETONE_PLUGIN_INVALID',
    `plugin ${plugin.name}: handler's ${name}: nobody listens for speech: ${remedy}`,
  );
}
