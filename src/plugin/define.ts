/** `definePlugin`, and the checks of what plugins give. */
import { SidetoneError, shown } from '../errors.js';
import { CODECS, ENCODINGS, isEncoding, SAMPLE_RATES } from '../formats.js';
import { nearest } from '../nearest.js';
import { isObject } from '../objects.js';
import { isLiveBound, LIVE_BOUND_REMEDY } from '../options/live-bound.js';
import { NAME_PATTERN, NAME_REMEDY } from './entries.js';
import { checkHearing } from './hearing.js';
import { ISOLATION_REMEDY, isIsolation } from './isolation.js';
import { isSchema } from './options.js';
import type { AcceptResult, AudioOptions, Plugin, StreamHandler } from './plugin.js';

// The compiler keeps these tables whole: what an interface has and its table has not is an error, and the reverse.
const HANDLER_METHODS: Record<keyof StreamHandler, true> = {
  onAudio: true,
  onDtmf: true,
  onPlayed: true,
  onMark: true,
  onError: true,
  onCall: true,
  onResume: true,
  onStop: true,
  onSpeech: true,
  onSilence: true,
};
const PLUGIN_FIELDS: Record<keyof Plugin, true> = {
  name: true,
  path: true,
  options: true,
  audio: true,
  outbound: true,
  liveLatencyMaxMs: true,
  isolation: true,
  setup: true,
  accept: true,
  onStart: true,
  onWebhook: true,
  onDraining: true,
  teardown: true,
};
const AUDIO_FIELDS: Record<keyof AudioOptions, true> = {
  sampleRate: true,
  tracks: true,
  vad: true,
  dtmf: true,
};
const OUTBOUND_FIELDS: Record<keyof NonNullable<Plugin['outbound']>, true> = {
  mode: true,
  encoding: true,
  sampleRate: true,
};
/** The methods that need not be there, with their parameters. */
const PLUGIN_METHODS = {
  setup: '(context) => state',
  accept: '(request, context) => boolean or options',
  onWebhook: '(event, context) => {}',
  onDraining: '(deadline, context) => {}',
  teardown: '(context) => {}',
} as const;

/** Every name that `object` answers to, its classes' methods among them, without looking at a value. */
function* namesOf(object: object): Generator<string> {
  for (let at: object | null = object; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    yield* Object.getOwnPropertyNames(at);
  }
}

const isEventName = (name: string): boolean => /^on[A-Z]/.test(name);

/** What to do about a name that nobody knows. */
function remedyFor(name: string, known: object, elsewhere: object = {}, where = ''): string {
  if (Object.hasOwn(elsewhere, name)) return where;
  const names = Object.keys(known);
  const meant = nearest(name, names);
  return meant === undefined ? `use one of ${names.join(', ')}` : `did you mean ${meant}?`;
}

/**
 * Checks what onStart returned, a handler or nothing, and gives it.
 * @throws SidetoneError SIDETONE_PLUGIN_INVALID
 */
export function checkHandler(plugin: { name: string }, handler: unknown): StreamHandler | undefined {
  const fail = (problem: string): never => {
    throw new SidetoneError('SIDETONE_PLUGIN_INVALID', `plugin ${plugin.name}: ${problem}`);
  };
  if (handler === undefined || handler === null) return undefined;
  if (handler instanceof Promise) {
    fail('onStart returned a promise: return the handler and start what is asynchronous inside it');
  }
  if (typeof handler !== 'object') fail(`onStart returned ${shown(handler)}: return a handler or undefined`);
  for (const name of namesOf(handler)) {
    if (!isEventName(name) || Object.hasOwn(HANDLER_METHODS, name)) continue;
    const remedy = remedyFor(name, HANDLER_METHODS, PLUGIN_FIELDS, 'it belongs to the plugin itself');
    fail(`handler's ${name}: there is no such event: ${remedy}`);
  }
  for (const name of Object.keys(HANDLER_METHODS)) {
    const method = (handler as Record<string, unknown>)[name];
    if (method !== undefined && typeof method !== 'function') {
      fail(`handler's ${name}: ${shown(method)}: give a function, or leave it out`);
    }
  }
  return handler;
}

/**
 * Checks what a plugin, or its accept(), asks of its streams' audio. `where` stands before the field in messages.
 * @throws SidetoneError SIDETONE_PLUGIN_INVALID
 */
export function checkFormats({ audio, outbound }: AcceptResult, where = 'plugin '): void {
  const check = (ok: boolean, field: string, value: unknown, remedy: string): void => {
    if (!ok) {
      throw new SidetoneError('SIDETONE_PLUGIN_INVALID', `${where}${field}: ${shown(value)}: ${remedy}`);
    }
  };
  const checkFields = (field: string, given: object | undefined, known: object): void => {
    const isGroup = given === undefined || (isObject(given) && !ArrayBuffer.isView(given));
    check(isGroup, field, given, `give { ${Object.keys(known).join(', ')} }`);
    for (const [name, value] of Object.entries(given ?? {})) {
      if (Object.hasOwn(known, name)) continue;
      check(false, `${field}.${name}`, value, `there is no such field: ${remedyFor(name, known)}`);
    }
  };
  checkFields('audio', audio, AUDIO_FIELDS);
  checkFields('outbound', outbound, OUTBOUND_FIELDS);
  const { sampleRate, tracks } = audio ?? {};
  const rates: readonly unknown[] = SAMPLE_RATES;
  check(
    sampleRate === undefined || rates.includes(sampleRate),
    'audio.sampleRate',
    sampleRate,
    `use one of ${rates.join(', ')} Hz`,
  );
  check(
    tracks === undefined || ['inbound', 'outbound', 'both'].includes(tracks),
    'audio.tracks',
    tracks,
    'use inbound, outbound or both',
  );
  checkHearing(audio ?? {}, where);
  const { mode, encoding, sampleRate: outboundRate } = outbound ?? {};
  check(
    mode === undefined || mode === 'rtp' || mode === 'mp3',
    'outbound.mode',
    mode,
    'use rtp or mp3, as stream_bidirectional_mode says',
  );
  check(
    encoding === undefined || isEncoding(encoding),
    'outbound.encoding',
    encoding,
    `use one of ${ENCODINGS.join(', ')}`,
  );
  const announced = encoding === undefined ? CODECS.L16.announcedRates : CODECS[encoding].announcedRates;
  check(
    outboundRate === undefined || announced.includes(outboundRate),
    'outbound.sampleRate',
    outboundRate,
    `use one of ${announced.join(', ')} Hz`,
  );
}

/**
 * Checks a plugin and returns it.
 * @throws SidetoneError SIDETONE_PLUGIN_INVALID naming the field, the value and the remedy
 */
export function definePlugin<Options = undefined, State = undefined, Context = undefined>(
  plugin: Plugin<Options, State, Context>,
): Plugin<Options, State, Context> {
  const fail = (field: string, value: unknown, remedy: string): never => {
    throw new SidetoneError('SIDETONE_PLUGIN_INVALID', `plugin ${field}: ${shown(value)}: ${remedy}`);
  };
  if (typeof plugin !== 'object' || plugin === null)
    fail('definition', plugin, 'pass an object to definePlugin');
  if (typeof plugin.name !== 'string' || !NAME_PATTERN.test(plugin.name)) {
    fail('name', plugin.name, NAME_REMEDY);
  }
  if (plugin.path !== undefined && (typeof plugin.path !== 'string' || !plugin.path.startsWith('/'))) {
    fail('path', plugin.path, 'start it with a slash');
  }
  if (typeof plugin.onStart !== 'function')
    fail('onStart', plugin.onStart, 'give a function (stream, context) => handler');
  for (const [name, shape] of Object.entries(PLUGIN_METHODS)) {
    const method: unknown = plugin[name as keyof typeof PLUGIN_METHODS];
    if (method !== undefined && typeof method !== 'function') fail(name, method, `give a function ${shape}`);
  }
  if (plugin.options !== undefined && !isSchema(plugin.options)) {
    const remedy =
      'give a schema with the Standard Schema interface: of zod, valibot, arktype or another library';
    fail('options', plugin.options, remedy);
  }
  if (plugin.liveLatencyMaxMs !== undefined && !isLiveBound(plugin.liveLatencyMaxMs)) {
    fail('liveLatencyMaxMs', plugin.liveLatencyMaxMs, LIVE_BOUND_REMEDY);
  }
  if (plugin.isolation !== undefined && !isIsolation(plugin.isolation)) {
    fail('isolation', plugin.isolation, ISOLATION_REMEDY);
  }
  // What is written out is known whole; a class may keep fields of its own, but none that looks like an event.
  const isLiteral = Object.getPrototypeOf(plugin) === Object.prototype;
  for (const name of namesOf(plugin)) {
    if (Object.hasOwn(PLUGIN_FIELDS, name) || !(isLiteral || isEventName(name))) continue;
    const where = 'it belongs to the handler that onStart returns';
    const remedy = remedyFor(name, PLUGIN_FIELDS, HANDLER_METHODS, where);
    throw new SidetoneError('SIDETONE_PLUGIN_INVALID', `plugin ${name}: there is no such field: ${remedy}`);
  }
  checkFormats(plugin);
  return plugin;
}
