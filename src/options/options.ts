/** The options of a server: defaults filled in, wrong ones refused. The options themselves stand in option-table.ts. */
import type { z } from 'zod';
import { SidetoneError, shown } from '../errors.js';
import { flagName, LEAVES, type Leaf, remedyOf } from './facts.js';
import { nearest } from './nearest.js';
import { type Fields, OPTION_TABLE, type ServerOptions, serverOptionsSchema } from './table.js';

export { type ServerOptions, serverOptionsSchema } from './table.js';

const ADMIN_PORT = 9090;

export type ResolvedOptions = z.output<typeof serverOptionsSchema> & { adminPort: number };
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
>;

/**
 * Fills in defaults and refuses what is wrong.
 * @throws SidetoneError SIDETONE_BAD_OPTION naming each field, its value and what would do
 */
export function resolveOptions(options: ServerOptions): ResolvedOptions {
  const renamed = underNewNames(options);
  const result = serverOptionsSchema.safeParse(renamed);
  if (result.success) {
    const { data } = result;
    return { ...data, adminPort: data.adminPort ?? (data.port === 0 ? 0 : ADMIN_PORT) };
  }
  throw new SidetoneError(
    'SIDETONE_BAD_OPTION',
    result.error.issues.flatMap(issue => describeIssue(issue, renamed, options)).join('; '),
  );
}

/** @throws SidetoneError SIDETONE_BAD_OPTION */
export function resolveCredentials({
  authToken,
  tls,
}: Pick<ServerOptions, 'authToken' | 'tls'>): Credentials {
  const resolved = resolveOptions({ authToken, tls });
  return { authToken: resolved.authToken, tls: resolved.tls };
}

const FORMER_NAMES: ReadonlyMap<string, string> = new Map(
  LEAVES.flatMap(({ name, entry }) => (entry.formerly === undefined ? [] : [[entry.formerly, name]])),
);

/** The options with every older name replaced by today's. What is no object comes back as it is. */
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
  const renamed = underNewNames(options);
  const { error } = serverOptionsSchema.safeParse(renamed);
  const isThere = ({ path }: z.core.$ZodIssue): boolean =>
    path.length < 2 || valueAt(renamed, path) !== undefined;
  const issues = error?.issues.filter(isThere) ?? [];
  if (issues.length === 0) return undefined;
  return issues.flatMap(issue => describeIssue(issue, renamed, options)).join('; ');
}

/** What is wrong with one option: its name as `given` has it, its value unless that may be secret, and what would do. */
function describeIssue(issue: z.core.$ZodIssue, input: unknown, given: unknown): string[] {
  const { path } = issue;
  if (path.length === 0 && issue.code === 'invalid_type') {
    return [`(options): ${shown(input)}: give an object`];
  }
  const leaf = LEAVES.find(each => each.path.every((key, at) => key === path[at]));
  if (issue.code === 'unrecognized_keys' && leaf === undefined) {
    const named = issue.keys.slice(0, UNKNOWN_SHOWN_MAX).map(key => unknownKey(path, key));
    const more = issue.keys.length - named.length;
    const where = path.length === 0 ? '(options): ' : '';
    const rest = more > 0 ? [`${more} more unknown options`] : [];
    return [where + [...named, ...rest].join('; '), 'leave out what docs/options.md does not list'];
  }
  const former = leaf?.entry.formerly;
  const isFormer = former !== undefined && Object.hasOwn(given as object, former);
  const field = isFormer ? former : path.map(String).join('.');
  const value = valueAt(input, path);
  if (leaf === undefined) return [`${field}: ${shown(value)}: give an object of options`];
  if (value === undefined && path.length > 1) return [missing(leaf, input)];
  const remedy =
    issue.code === 'custom' ? `${issue.message}; ${remedyOf(leaf, 'value')}` : remedyOf(leaf, 'value');
  return [leaf.entry.secret ? `${field}: ${remedy}` : `${field}: ${shown(value)}: ${remedy}`];
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
