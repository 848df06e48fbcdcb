/** Options of plugins: found by the plugin's name, and validated by its own schema (https://standardschema.dev). */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { SidetoneError, shown } from '../errors.js';
import { likely } from '../telnyx/check/suggest.js';

/** Anything with the Standard Schema interface, such as a schema of zod, valibot or arktype. */
// biome-ignore lint/suspicious/noExplicitAny: what a schema takes is its own affair; what it gives is what is typed
export type OptionsSchema<Options = unknown> = StandardSchemaV1<any, Options>;

/** Options by the names of plugins, as the option `pluginOptions` has them. */
export type OptionsByName = Readonly<Record<string, object>>;

export function isSchema(value: unknown): value is OptionsSchema {
  // A schema of arktype is a function.
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return false;
  const standard = (value as Partial<OptionsSchema>)['~standard'];
  return typeof standard === 'object' && standard !== null && typeof standard.validate === 'function';
}

/** A plugin's name as `SIDETONE_PLUGIN_OPTIONS_…` in the environment has it: `my-agent` is `MY_AGENT`. */
export function environmentKey(name: string): string {
  return name.toUpperCase().replace(/[^A-Z0-9]/g, '_');
}

/**
 * What `pluginOptions` has for each of `names`, in their order. A name is found by its environmentKey.
 * @throws SidetoneError SIDETONE_BAD_OPTION for options of a plugin that is not there, or of two
 */
export function optionsFor(names: readonly string[], byName: OptionsByName): (object | undefined)[] {
  const found: (object | undefined)[] = names.map(() => undefined);
  for (const [key, options] of Object.entries(byName)) {
    const of = names.flatMap((name, at) => (environmentKey(name) === environmentKey(key) ? [at] : []));
    const fail = (remedy: string): never => {
      throw new SidetoneError('SIDETONE_BAD_OPTION', `pluginOptions: ${shown(key)}: ${remedy}`);
    };
    if (of.length > 1) {
      fail(`${of.map(at => names[at]).join(' and ')} are both meant: give one of them another name`);
    }
    const [at = fail(unknownName(key, names))] = of;
    found[at] = options;
  }
  return found;
}

function unknownName(key: string, names: readonly string[]): string {
  const keys = names.map(environmentKey);
  const meant = names[keys.indexOf(likely(environmentKey(key), keys) ?? '')];
  return meant === undefined
    ? `no plugin has this name: the plugins are ${names.join(', ')}`
    : `no plugin has this name: did you mean ${meant}?`;
}

/**
 * The options as the plugin's schema gives them; undefined where it has no schema and is given none.
 * @throws SidetoneError SIDETONE_BAD_OPTION naming the plugin, each field, its value unless it may be secret, and what the
 *   schema says
 */
export async function validated(
  plugin: string,
  schema: OptionsSchema | undefined,
  given: object | undefined,
): Promise<unknown> {
  const fail = (problem: string, cause?: unknown): never => {
    throw new SidetoneError('SIDETONE_BAD_OPTION', `plugin ${plugin}: ${problem}`, { cause });
  };
  if (!schema) {
    if (given === undefined || Object.keys(given).length === 0) return undefined;
    const remedy = 'leave them out, or give the plugin a schema in its field `options`';
    return fail(`options: ${Object.keys(given).join(', ')}: it takes none: ${remedy}`);
  }
  const options = given ?? {};
  let result: StandardSchemaV1.Result<unknown>;
  try {
    result = await schema['~standard'].validate(options);
  } catch (error) {
    return fail(`options: its schema failed: ${String(error)}`, error);
  }
  if (!result.issues) return result.value;
  return fail(result.issues.map(issue => describe(issue, options)).join('; '));
}

function describe({ message, path = [] }: StandardSchemaV1.Issue, options: object): string {
  const keys = path.map(segment => (typeof segment === 'object' ? segment.key : segment));
  let value: unknown = options;
  for (const key of keys) value = (value as Record<PropertyKey, unknown> | null | undefined)?.[key];
  const field = ['options', ...keys.map(String)].join('.');
  const isSecret = keys.some(key => SECRET_NAME.test(String(key))) || looksSecret(value);
  // An unknown key is told of at the object that has it, whose other values nobody asked about.
  const isObject = typeof value === 'object' && value !== null;
  const what = isSecret || isObject ? '' : value === undefined ? 'missing: ' : `${shown(value)}: `;
  return `${field}: ${what}${message}`;
}

const SECRET_NAME = /key|token|secret|pass|credential|auth|private|signature/i;

/** A long text without a space that has letters and digits, or an address with a password. */
function looksSecret(value: unknown): boolean {
  if (typeof value !== 'string') return false;
  if (/^\w+:\/\/[^/]*@/.test(value)) return true;
  return /^\S{16,}$/.test(value) && /\d/.test(value) && /[A-Za-z]/.test(value) && !value.includes('/');
}
