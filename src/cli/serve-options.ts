/**
 * The options of `sidetone serve`: flags, environment and config file, all made of the table in src/options/table.ts.
 * The first that is set wins: flag, environment, config file, default. A group's options (`tls.cert`) are set one by
 * one.
 */
import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import * as v from 'valibot';
import { SidetoneError, shown } from '../errors.js';
import { nearest } from '../nearest.js';
import { isObject } from '../objects.js';
import {
  environmentNames,
  flagName,
  LEAVES,
  type Leaf,
  limitsText,
  OFF_WORDS,
  ON_WORDS,
  remedyOf,
  valueFacts,
} from '../options/facts.js';
import { problemsOf, type ServerOptions, underNewNames } from '../options/options.js';
import { environmentKey, type OptionsByName } from '../plugin/options.js';
import { parseNumber } from './values.js';

export type Environment = Readonly<Record<string, string | undefined>>;

const CONFIG_FLAG = '--config <file>';
const CONFIG_VARIABLE = 'SIDETONE_CONFIG';
const TOKEN_FILE_FLAG = '--auth-token-file <file>';
const TOKEN_FILE_VARIABLE = 'SIDETONE_AUTH_TOKEN_FILE';
const ADMIN_TOKEN_FILE_FLAG = '--admin-token-file <file>';
const ADMIN_TOKEN_FILE_VARIABLE = 'SIDETONE_ADMIN_TOKEN_FILE';

/** Other readers of variables with our prefix: plugins, the addon's loader, tests and benchmarks. */
const OTHER_VARIABLES = [
  CONFIG_VARIABLE,
  TOKEN_FILE_VARIABLE,
  ADMIN_TOKEN_FILE_VARIABLE,
  'SIDETONE_WATCHDOG',
  'SIDETONE_WATCHDOG_INTERVAL',
  'SIDETONE_HAND_OVER_CALLS',
  'SIDETONE_HAND_OVER_RATE',
  'SIDETONE_ADDON',
  'SIDETONE_RECORD_DIR',
  'SIDETONE_SPEAK_FILE',
  'SIDETONE_VECTORS',
  'SIDETONE_P99_MAX_MS',
  'SIDETONE_TIMING',
  'SIDETONE_TEST_PACKAGE',
  'SIDETONE_ROOTS',
  'SIDETONE_PROPERTY_RUNS',
  'SIDETONE_SEED',
  'SIDETONE_SHORT_CALLS',
  'SIDETONE_SOAK_SECONDS',
  'SIDETONE_REALTIME_URL',
  'SIDETONE_REALTIME_KEY',
  'SIDETONE_REALTIME_KEY_FILE',
  'SIDETONE_REALTIME_MODEL',
  'SIDETONE_REALTIME_VOICE',
  'SIDETONE_REALTIME_INSTRUCTIONS',
];
/** The plugin's name follows, as environmentKey has it. */
const PLUGIN_OPTIONS_PREFIX = 'SIDETONE_PLUGIN_OPTIONS_';
const OTHER_PREFIXES = ['SIDETONE_REALTIME_', PLUGIN_OPTIONS_PREFIX];

/** Adds a flag for every option that has one. */
export function addServeOptions(serve: Command): void {
  serve.option(
    CONFIG_FLAG,
    `JSON file with the options of createServer; flags and environment come before it (env: ${CONFIG_VARIABLE})`,
  );
  serve.option(
    TOKEN_FILE_FLAG,
    `a file with one auth token a line, read again on SIGHUP (env: ${TOKEN_FILE_VARIABLE})`,
  );
  serve.option(
    ADMIN_TOKEN_FILE_FLAG,
    `a file with the admin port's token and nothing else (env: ${ADMIN_TOKEN_FILE_VARIABLE})`,
  );
  for (const leaf of LEAVES) {
    const { flag, flagAlias, separator } = leaf.entry;
    if (flag === undefined) continue;
    if (valueFacts(leaf.entry.type).kind === 'boolean') {
      addSwitch(serve, leaf, flag);
      continue;
    }
    const option = new Option(flagAlias === undefined ? flag : `${flagAlias}, ${flag}`, helpText(leaf));
    option.argParser((text: string, before: unknown) => {
      const value = fromText(leaf, text, flagName(leaf)!, 'flag');
      return separator !== undefined && Array.isArray(before) ? [...before, ...(value as unknown[])] : value;
    });
    serve.addOption(option);
  }
}

/**
 * Both `--x` and `--no-x` exist, because a flag must be able to override the file. The help shows the one that
 * changes the default.
 */
function addSwitch(serve: Command, leaf: Leaf, flag: string): void {
  const isOn = valueFacts(leaf.entry.type).default === true;
  serve.addOption(new Option(flag, helpText(leaf)).hideHelp(isOn));
  const no = isOn ? `no ${helpText(leaf)}` : '';
  serve.addOption(new Option(flag.replace('--', '--no-'), no).hideHelp(!isOn));
}

function helpText(leaf: Leaf): string {
  const { text, defaultText, separator } = leaf.entry;
  const { default: fallback } = valueFacts(leaf.entry.type);
  const { factor } = leaf.entry.flagUnit ?? { factor: 1 };
  const byDefault = defaultText ?? (typeof fallback === 'number' ? fallback / factor : fallback);
  const notes = [
    limitsText(leaf, true),
    separator === undefined ? undefined : 'repeatable',
    byDefault === undefined ? undefined : `default: ${String(byDefault)}`,
    `env: ${environmentNames(leaf)[0]}`,
  ];
  const words = `${text} (${notes.filter(note => note !== undefined).join('; ')})`;
  return words.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll('`', '');
}

/**
 * A text of the command line or the environment as the option's value.
 * @throws SidetoneError SIDETONE_BAD_OPTION naming the flag or variable, the text and what would do
 */
function fromText(leaf: Leaf, text: string, name: string, source: 'flag' | 'environment'): unknown {
  const { entry } = leaf;
  const value = text.trim() === '' ? undefined : parse(leaf, text);
  if (value !== undefined && v.is(entry.type, value)) return value;
  const isNumber = valueFacts(entry.type).kind === 'number';
  const given = !isNumber ? shown(text) : Number.isNaN(parseNumber(text)) ? `${text} is not a number` : text;
  const problem = text.trim() === '' ? 'it is empty' : given;
  const leaveOut = source === 'environment' ? ', or unset the variable' : '';
  const wrong = entry.secret && text.trim() !== '' ? '' : `${problem}: `;
  throw new SidetoneError('SIDETONE_BAD_OPTION', `${name}: ${wrong}${remedyOf(leaf, source)}${leaveOut}`);
}

function parse(leaf: Leaf, text: string): unknown {
  const { parse: own, separator, flagUnit } = leaf.entry;
  if (own !== undefined) return own(text);
  if (separator !== undefined) {
    const parts = text.split(separator).map(part => part.trim());
    return parts.filter(part => part !== '');
  }
  const { kind } = valueFacts(leaf.entry.type);
  if (kind === 'number') {
    // A product such as 1.1 * 1000 has a digit too many.
    return Number((parseNumber(text) * (flagUnit?.factor ?? 1)).toPrecision(15));
  }
  if (kind !== 'boolean') return text;
  const word = text.trim().toLowerCase();
  if (ON_WORDS.includes(word)) return true;
  return OFF_WORDS.includes(word) ? false : text;
}

/**
 * The options that flags, environment and config file give together.
 * @param flags what commander has made of the flags of `addServeOptions`
 * @throws SidetoneError SIDETONE_BAD_OPTION
 */
export function readServeOptions(
  flags: Readonly<Record<string, unknown>>,
  environment: Environment,
): ServerOptions {
  const path = (flags.config as string | undefined) ?? environment[CONFIG_VARIABLE];
  const options: Record<string, unknown> = path === undefined ? {} : readConfigFile(path);
  for (const leaf of LEAVES) {
    const value = flagValue(leaf, flags) ?? environmentValue(leaf, environment);
    if (value === undefined) continue;
    const [name = '', field] = leaf.path;
    options[name] = field === undefined ? value : { ...(options[name] as object), [field]: value };
  }
  const byPlugin = pluginOptions(options.pluginOptions as OptionsByName | undefined, environment);
  if (byPlugin !== undefined) options.pluginOptions = byPlugin;
  const tokens = (flags.authTokenFile as string | undefined) ?? environment[TOKEN_FILE_VARIABLE];
  if (tokens !== undefined) {
    if (options.authToken !== undefined) {
      const problem = `--auth-token-file: ${tokens}: tokens are given otherwise too: write all of them into the file`;
      throw new SidetoneError('SIDETONE_BAD_OPTION', problem);
    }
    options.authToken = tokenFile('--auth-token-file', tokens, 'one token a line');
  }
  const adminToken = (flags.adminTokenFile as string | undefined) ?? environment[ADMIN_TOKEN_FILE_VARIABLE];
  if (adminToken !== undefined) {
    const fail = (why: string): never => {
      throw new SidetoneError('SIDETONE_BAD_OPTION', `--admin-token-file: ${adminToken}: ${why}`);
    };
    if (options.adminToken !== undefined) fail('a token is given otherwise too: leave one out');
    const [token, ...more] = tokenFile('--admin-token-file', adminToken, 'one token');
    if (more.length > 0) fail('there are several tokens in it: give a file with one');
    options.adminToken = token;
  }
  return options as ServerOptions;
}

/**
 * The options of plugins that the config file has, and those of the environment field by field before them. What a variable
 * holds stands in no message: it may be a secret.
 */
function pluginOptions(
  inFile: OptionsByName | undefined,
  environment: Environment,
): OptionsByName | undefined {
  const byName: Record<string, object> = { ...inFile };
  for (const name of Object.keys(environment)) {
    if (!name.startsWith(PLUGIN_OPTIONS_PREFIX) || name === PLUGIN_OPTIONS_PREFIX) continue;
    const plugin = name.slice(PLUGIN_OPTIONS_PREFIX.length);
    const key = Object.keys(byName).find(each => environmentKey(each) === environmentKey(plugin)) ?? plugin;
    byName[key] = { ...byName[key], ...jsonObject(name, environment[name]!) };
  }
  return Object.keys(byName).length === 0 ? inFile : byName;
}

function jsonObject(name: string, text: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Not an object, either.
  }
  if (isObject(value)) return value;
  const problem = text.trim() === '' ? 'it is empty' : 'it holds no JSON object';
  throw new SidetoneError(
    'SIDETONE_BAD_OPTION',
    `${name}: ${problem}: write one such as {"greeting":"Hello"}, or unset the variable`,
  );
}

/** The lines of the file, without empty ones. No message shows any of them. */
function tokenFile(flag: string, path: string, what: string): string[] {
  const fail = (why: string): never => {
    const problem = `${flag}: ${path}: ${why}: give a readable file with ${what}`;
    throw new SidetoneError('SIDETONE_BAD_OPTION', problem);
  };
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    fail((error as Error).message);
  }
  const tokens = text.split('\n').flatMap(line => line.trim() || []);
  return tokens.length > 0 ? tokens : fail('no token in it');
}

function flagValue(leaf: Leaf, flags: Readonly<Record<string, unknown>>): unknown {
  const flag = leaf.entry.flag;
  return flag === undefined ? undefined : flags[new Option(flag).attributeName()];
}

function environmentValue(leaf: Leaf, environment: Environment): unknown {
  const [name, ...others] = environmentNames(leaf).filter(each => environment[each] !== undefined);
  if (name === undefined) return undefined;
  const value = fromText(leaf, environment[name]!, name, 'environment');
  for (const other of others) fromText(leaf, environment[other]!, other, 'environment');
  return value;
}

/**
 * The options of a JSON file. A byte order mark before the object is skipped.
 * @throws SidetoneError SIDETONE_BAD_OPTION naming the file and all that is wrong in it
 */
export function readConfigFile(path: string): Record<string, unknown> {
  const wrong = (problem: string, cause?: unknown): SidetoneError =>
    new SidetoneError('SIDETONE_BAD_OPTION', `config file ${shown(path)}: ${problem}`, { cause });
  let text: string;
  try {
    text = readFileSync(path, 'utf8').replace(/^\uFEFF/, '');
  } catch (error) {
    throw wrong(
      `cannot be read (${(error as NodeJS.ErrnoException).code}): give a readable JSON file with --config`,
    );
  }
  let options: unknown;
  try {
    options = JSON.parse(text);
  } catch (error) {
    // The parser's own message may quote the file, and with it a token.
    throw wrong(`is no JSON${whereOf(error as Error, text)}: correct it, or give another file with --config`);
  }
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    const kind = Array.isArray(options) ? 'an array' : options === null ? 'null' : `a ${typeof options}`;
    throw wrong(`holds ${kind}: write one object with options, such as { "port": 8080 }`);
  }
  const problems = problemsOf(options);
  if (problems !== undefined) throw wrong(problems);
  return underNewNames(options) as Record<string, unknown>;
}

function whereOf(error: Error, text: string): string {
  const [, position] = /at position (\d+)/.exec(error.message) ?? [];
  if (position === undefined) return '';
  const before = text.slice(0, Number(position)).split('\n');
  return ` (line ${before.length}, column ${before.at(-1)!.length + 1})`;
}

/** Variables that have our prefix and that nobody reads, each with the name that was probably meant. */
export function unknownVariables(environment: Environment): { name: string; meant: string | undefined }[] {
  const known = [...LEAVES.flatMap(environmentNames), ...OTHER_VARIABLES];
  return Object.keys(environment)
    .filter(name => name.startsWith('SIDETONE_') && !known.includes(name))
    .filter(name => !OTHER_PREFIXES.some(prefix => name.startsWith(prefix)))
    .map(name => {
      const found = nearest(
        name.slice('SIDETONE_'.length),
        known.map(each => each.slice('SIDETONE_'.length)),
      );
      return { name, meant: found === undefined ? undefined : `SIDETONE_${found}` };
    });
}
