/** The options of a server: defaults filled in, wrong ones refused. The options themselves are in table.ts. */
import * as v from 'valibot';
import { SidetoneError, shown } from '../errors.js';
import { nearest } from '../nearest.js';
import { isObject } from '../objects.js';
import type { Fields } from './entry.js';
import { flagName, LEAVES, type Leaf, remedyOf } from './facts.js';
import type { ServerOptions } from './server-options.js';
import { OPTION_TABLE, serverOptionsSchema } from './table.js';

export type { ServerOptions } from './server-options.js';
export { serverOptionsSchema } from './table.js';

const ADMIN_PORT = 9090;

/** `ServerOptions` with every default filled in. */
export type ResolvedOptions = v.InferOutput<typeof serverOptionsSchema> & { adminPort: number };
/** What may change while a server runs: `server.reload()`. */
export type Credentials = Pick<ResolvedOptions, 'authToken' | 'tls'>;
/** The options that a reactor reads. */
export type ReactorOptions = Pick<
  ResolvedOptions,
  | 'messageBytesMax'
  | 'backpressureBytesMax'
  | 'slowReader'
  | 'malformedMax'
  | 'handlerErrors'
  | 'reorderWaitMs'
  | 'gapFillMaxMs'
  | 'leadMs'
  | 'chunkMs'
  | 'queueMaxMs'
  | 'liveLatencyMaxMs'
  | 'queueBytesMax'
  | 'l16ByteOrder'
  | 'idleTimeoutSeconds'
  | 'concealment'
  | 'outboundCodec'
  | 'outboundMode'
  | 'pool'
  | 'poolWarm'
  | 'captureDir'
  | 'capturePersonal'
  | 'opus'
  | 'amrwb'
  | 'api'
  | 'answer'
  | 'resumeWindowMs'
>;

/**
 * Fills in defaults and refuses what is wrong.
 * @throws SidetoneError SIDETONE_BAD_OPTION naming each field, its value and what would do
 */
export function resolveOptions(options: ServerOptions): ResolvedOptions {
  const renamed = underNewNames(options);
  const problems = problemsIn(renamed, options);
  if (problems.length > 0) throw new SidetoneError('SIDETONE_BAD_OPTION', problems.join('; '));
  const resolved = v.parse(serverOptionsSchema, renamed);
  return { ...resolved, adminPort: resolved.adminPort ?? (resolved.port === 0 ? 0 : ADMIN_PORT) };
}

/** @throws SidetoneError SIDETONE_BAD_OPTION */
export function resolveCredentials({
  authToken,
  tls,
}: Pick<ServerOptions, 'authToken' | 'tls'>): Credentials {
  const resolved = resolveOptions({ authToken, tls });
  return { authToken: resolved.authToken, tls: resolved.tls };
}

/** How commands reach Telnyx; the older names count where none of the new ones is given. */
export function apiAccess({ api, answer }: Pick<ResolvedOptions, 'api' | 'answer'>): {
  apiKey: string | undefined;
  apiKeyFile: string | undefined;
  apiBase: string | undefined;
} {
  const hasKey = api.key !== undefined || api.keyFile !== undefined;
  return {
    apiKey: hasKey ? api.key : answer?.apiKey,
    apiKeyFile: hasKey ? api.keyFile : answer?.apiKeyFile,
    apiBase: api.base ?? answer?.apiBase,
  };
}

const FORMER_NAMES: ReadonlyMap<string, string> = new Map(
  LEAVES.flatMap(({ name, entry }) => (entry.formerly === undefined ? [] : [[entry.formerly, name]])),
);

/** The options with every older name replaced by today's. A value that is not an object comes back as it is. */
export function underNewNames(options: unknown): unknown {
  if (typeof options !== 'object' || options === null) return options;
  const old = [...FORMER_NAMES.keys()].filter(name => Object.hasOwn(options, name));
  if (old.length === 0) return options;
  const renamed: Record<string, unknown> = { ...options };
  for (const name of old) {
    const today = FORMER_NAMES.get(name)!;
    if (renamed[today] !== undefined && renamed[name] !== undefined) {
      const problem = `${name}: ${shown(renamed[name])}: this is the older name of ${today}, which is given too: leave one out`;
      throw new SidetoneError('SIDETONE_BAD_OPTION', problem);
    }
    renamed[today] ??= renamed[name];
    delete renamed[name];
  }
  return renamed;
}

/** What somebody may have meant by an unknown key: options, their older names and their flags. */
const MEANT: ReadonlyMap<string, string> = new Map(
  LEAVES.flatMap(leaf => {
    const flags = [flagName(leaf), leaf.entry.flagAlias].flatMap(flag => (flag ? [flag.slice(2)] : []));
    const camelCase = flags.map(flag => flag.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()));
    const names = [leaf.path.at(-1)!, leaf.path[0]!, leaf.name, leaf.entry.formerly ?? [], flags, camelCase];
    return names.flat().map((name): [string, string] => [name, name === leaf.path[0] ? name : leaf.name]);
  }).reverse(),
);

function unknownKey(holder: readonly PropertyKey[], key: string): string {
  const group = holder.length === 1 ? (OPTION_TABLE as Fields)[String(holder[0])]?.fields : undefined;
  const near = group && nearest(key, Object.keys(group));
  const meant =
    near === undefined ? MEANT.get(nearest(key, [...MEANT.keys()]) ?? '') : `${String(holder[0])}.${near}`;
  const remedy = meant === undefined ? '' : `: did you mean ${meant}?`;
  // The name of an unknown key is shown whole where it is one, and cut where it is a mistake.
  const field = [...holder, key.slice(0, 60)].join('.');
  return `${field}: no such option${remedy}`;
}

/** Unknown keys beyond this are only counted: an array given by mistake has many. */
const UNKNOWN_SHOWN_MAX = 10;

/** What is wrong in options that others may still complete; undefined where nothing is. */
export function problemsOf(options: object): string | undefined {
  const problems = problemsIn(underNewNames(options), options, true);
  return problems.length === 0 ? undefined : problems.join('; ');
}

/** All that is wrong; `given` are the options under the names that the caller has used. */
function problemsIn(input: unknown, given: unknown, mayBeCompleted = false): string[] {
  if (!isObject(input)) return [`(options): ${shown(input)}: give an object`];
  const { issues = [] } = v.safeParse(serverOptionsSchema, input);
  const problems = issues.flatMap(issue => {
    const path = issue.path?.map(({ key }) => key as PropertyKey) ?? [];
    if (mayBeCompleted && path.length > 1 && valueAt(input, path) === undefined) return [];
    return describe(issue, path, input, given);
  });
  for (const [name, { fields }] of Object.entries(OPTION_TABLE as Fields)) {
    const value = (input as Record<string, unknown>)[name];
    if (fields === undefined || value === undefined) continue;
    if (Array.isArray(value)) problems.push(`${name}: ${shown(value)}: give an object of options`);
    else if (isObject(value)) problems.push(...unknownIn([name], value, fields));
  }
  return [...problems, ...unknownIn([], input, OPTION_TABLE)];
}

/** The keys of `value` that are no options. */
function unknownIn(path: readonly string[], value: object, known: object): string[] {
  const unknown = Object.keys(value).filter(key => !Object.hasOwn(known, key));
  if (unknown.length === 0) return [];
  const named = unknown.slice(0, UNKNOWN_SHOWN_MAX).map(key => unknownKey(path, key));
  const more = unknown.length - named.length;
  const where = path.length === 0 ? '(options): ' : '';
  const rest = more > 0 ? [`${more} more unknown options`] : [];
  return [where + [...named, ...rest].join('; '), 'leave out what docs/options.md does not list'];
}

/** What is wrong with one option: its name as `given` has it, its value unless that may be secret, and what would do. */
function describe(
  issue: v.BaseIssue<unknown>,
  path: readonly PropertyKey[],
  input: unknown,
  given: unknown,
): string {
  const leaf = LEAVES.find(each => each.path.every((key, at) => key === path[at]));
  const former = leaf?.entry.formerly;
  const isFormer = former !== undefined && Object.hasOwn(given as object, former);
  const field = isFormer ? former : path.map(String).join('.');
  const value = valueAt(input, path);
  if (leaf === undefined) return `${field}: ${shown(value)}: give an object of options`;
  if (leaf.path.length > 1 && valueAt(input, leaf.path) === undefined) return missing(leaf, input);
  const remedy =
    issue.type === 'check' ? `${issue.message}; ${remedyOf(leaf, 'value')}` : remedyOf(leaf, 'value');
  return leaf.entry.secret ? `${field}: ${remedy}` : `${field}: ${shown(value)}: ${remedy}`;
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const key of path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key];
  return value;
}

/** A group is given in part: says what goes with what. */
function missing(leaf: Leaf, input: unknown): string {
  const [group = ''] = leaf.path;
  const fields = Object.keys((OPTION_TABLE as Fields)[group]?.fields ?? {});
  const given = fields.filter(name => valueAt(input, [group, name]) !== undefined);
  const goesWith = given.length === 0 ? group : given.map(name => `${group}.${name}`).join(' and ');
  const flag = flagName(leaf);
  const name = flag === undefined ? leaf.name : `${leaf.name}, ${flag}`;
  return `${name}: missing: ${goesWith} goes with it: give both, or neither`;
}
