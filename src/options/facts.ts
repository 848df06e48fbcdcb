/** The facts of each option in the table, in the form that messages, help and README need. */
import type * as v from 'valibot';
import type { Fields, OptionEntry } from './entry.js';
import { OPTION_TABLE } from './table.js';

/** One option that has a value of its own: `path` is `['opus', 'dtx']` for a group's. */
export interface Leaf {
  path: readonly string[];
  name: string;
  entry: OptionEntry;
}

/** All options that have a value of their own, in the table's order. */
export const LEAVES: readonly Leaf[] = Object.entries(OPTION_TABLE as Fields).flatMap(([name, entry]) =>
  entry.fields
    ? Object.entries(entry.fields).map(([field, inner]) => ({
        path: [name, field],
        name: `${name}.${field}`,
        entry: inner,
      }))
    : [{ path: [name], name, entry }],
);

export interface ValueFacts {
  kind: 'number' | 'boolean' | 'enum' | 'other';
  min?: number;
  max?: number;
  isWhole?: boolean;
  choices?: readonly string[];
  default?: unknown;
}

/** What the schemas of valibot hold that is read here; its own type of any schema hides it. */
interface SchemaFacts {
  type: string;
  wrapped?: v.GenericSchema;
  default?: unknown;
  options?: readonly unknown[];
  pipe?: readonly { type: string; requirement?: unknown; pipe?: SchemaFacts['pipe'] }[];
}

/** What an option's type says of its values. */
export function valueFacts(type: v.GenericSchema): ValueFacts {
  const { type: name, wrapped, default: fallback, options, pipe = [] } = type as unknown as SchemaFacts;
  if (wrapped !== undefined) {
    const facts = valueFacts(wrapped);
    return fallback === undefined ? facts : { ...facts, default: fallback };
  }
  if (name === 'boolean') return { kind: 'boolean' };
  if (name === 'picklist') return { kind: 'enum', choices: options!.map(String) };
  if (name !== 'number') return { kind: 'other' };
  const rules = pipe.flatMap(rule => [rule, ...(rule.pipe ?? [])]);
  const limit = (rule: string): number => rules.find(each => each.type === rule)!.requirement as number;
  const isWhole = rules.some(each => each.type === 'safe_integer');
  return { kind: 'number', min: limit('min_value'), max: limit('max_value'), isWhole };
}

/** The flag's long name, such as `--max-streams`. */
export function flagName({ entry }: Leaf): string | undefined {
  return entry.flag?.split(' ')[0];
}

const environmentName = (flag: string): string =>
  `SIDETONE_${flag.slice(2).toUpperCase().replaceAll('-', '_')}`;

/** Its names in the environment, the usual one first. */
export function environmentNames(leaf: Leaf): string[] {
  const flags = [flagName(leaf), leaf.entry.flagAlias];
  return flags.flatMap(flag => (flag === undefined ? [] : [environmentName(flag)]));
}

/** The environment's words for on and off, in any case. */
export const ON_WORDS: readonly string[] = ['true', '1', 'yes', 'on'];
export const OFF_WORDS: readonly string[] = ['false', '0', 'no', 'off'];
const WORDS = [...ON_WORDS, ...OFF_WORDS];

/** Limits as a person reads them: `20 to 5000 ms`; in the flag's unit where `inFlag`. */
export function limitsText({ entry }: Leaf, inFlag = false): string | undefined {
  const { kind, min = 0, max = 0, choices } = valueFacts(entry.type);
  if (kind === 'enum') return choices!.join(', ');
  if (kind !== 'number') return undefined;
  const { name: unit, factor } = (inFlag && entry.flagUnit) || { name: entry.unit, factor: 1 };
  return `${min / factor} to ${max / factor}${unit === undefined ? '' : ` ${unit}`}`;
}

/** The values that are allowed: the end of every message about a wrong value. */
export function remedyOf(leaf: Leaf, source: 'value' | 'flag' | 'environment'): string {
  const { entry } = leaf;
  if (entry.remedy !== undefined) return entry.remedy;
  const { kind, isWhole } = valueFacts(entry.type);
  if (kind === 'boolean')
    return source === 'value' ? 'give true or false' : `give one of ${WORDS.join(', ')}`;
  const limits = limitsText(leaf, source !== 'value');
  if (kind === 'enum') return `give one of ${limits}`;
  if (kind === 'number') return `give a ${isWhole ? 'whole ' : ''}number from ${limits}`;
  return 'give a text that is not empty';
}
