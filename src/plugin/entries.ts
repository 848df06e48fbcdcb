/** The entries of the option `plugins`: names, definitions, and modules with settings of their own. */
import { SidetoneError, shown } from '../errors.js';
import { nearest } from '../nearest.js';

export interface Entry {
  /** A name or a file; or a definition. */
  module: string | object;
  options?: object | undefined;
  name?: string | undefined;
  path?: string | undefined;
}

const ENTRY_FIELDS: Record<keyof Entry, true> = { module: true, options: true, name: true, path: true };
export const NAME_PATTERN = /^[\w.-]{1,64}$/;
export const NAME_REMEDY = 'give it 1 to 64 letters, digits, dots, dashes or underscores';

/** @throws SidetoneError SIDETONE_BAD_OPTION naming the entry's place, the field, the value and the remedy */
export function readEntries(plugins: readonly unknown[]): Entry[] {
  return plugins.map((given, i) => {
    if (typeof given === 'string') return { module: given };
    const isObject = typeof given === 'object' && given !== null;
    if (isObject && !('onStart' in given)) {
      if ('module' in given) return checkedEntry(given, i);
      const misspelt = Object.keys(given).find(field => nearest(field, ['module']) !== undefined);
      if (misspelt !== undefined) unknownField(i, misspelt);
    }
    // A definition, or what may be meant as one: definePlugin says what is wrong with it.
    return { module: given as object };
  });
}

function fail(at: number, field: string, value: unknown, remedy: string): never {
  throw new SidetoneError('SIDETONE_BAD_OPTION', `plugins[${at}].${field}: ${shown(value)}: ${remedy}`);
}

/** Its value is not shown: it may be a secret that belongs into the options. */
function unknownField(at: number, field: string): never {
  const fields = Object.keys(ENTRY_FIELDS);
  const meant = nearest(field, fields);
  const remedy = meant === undefined ? `use ${fields.join(', ')}` : `did you mean ${meant}?`;
  throw new SidetoneError(
    'SIDETONE_BAD_OPTION',
    `plugins[${at}].${field}: there is no such field: ${remedy}`,
  );
}

function checkedEntry(given: object, at: number): Entry {
  const { module, options, name, path } = given as Record<string, unknown>;
  for (const field of Object.keys(given)) if (!Object.hasOwn(ENTRY_FIELDS, field)) unknownField(at, field);
  const isModule = typeof module === 'string' ? module !== '' : typeof module === 'object' && module !== null;
  if (!isModule) fail(at, 'module', module, 'give a built-in name, a file or an npm package');
  if (options !== undefined && (typeof options !== 'object' || options === null || Array.isArray(options))) {
    fail(at, 'options', typeof options, 'give an object');
  }
  if (name !== undefined && (typeof name !== 'string' || !NAME_PATTERN.test(name))) {
    fail(at, 'name', name, NAME_REMEDY);
  }
  if (path !== undefined && (typeof path !== 'string' || !path.startsWith('/'))) {
    fail(at, 'path', path, 'start it with a slash');
  }
  return given as Entry;
}

/**
 * What goes to the threads of several reactors must be plain data.
 * @throws SidetoneError SIDETONE_BAD_OPTION naming what is not
 */
export function checkCloneable(plugins: readonly unknown[]): void {
  for (const [i, { module, options = {} }] of readEntries(plugins).entries()) {
    if (typeof module !== 'string') {
      throw new SidetoneError(
        'SIDETONE_BAD_OPTION',
        'plugins: a definition cannot go to the threads of several reactors: give its file or package name instead',
      );
    }
    for (const [field, value] of Object.entries(options)) {
      try {
        structuredClone(value);
      } catch {
        const what = typeof value === 'function' ? 'a function' : 'it holds a function or another thing';
        const problem = `${what} that cannot be cloned for the threads of several reactors: give plain data`;
        throw new SidetoneError('SIDETONE_BAD_OPTION', `plugins[${i}].options.${field}: ${problem}`);
      }
    }
  }
}
