/** What an entry of the table of options is made of: the facts that it has, and the helpers that write it. */
import * as v from 'valibot';

/** What an option has besides the values that it takes. */
export interface OptionFacts {
  /** What it does, for docs/options.md and --help. Limits, choices and the default are added from the type. */
  text: string;
  /** `--name <value>`; `--name` for an on/off option. None: library and config file only. */
  flag?: string;
  /** Another flag for the same. */
  flagAlias?: string;
  /** The unit of a number. */
  unit?: string;
  /** Where flag and environment count in another unit: its name, and how many of the option's unit it has. */
  flagUnit?: { name: string; factor: number };
  /** What stands in the help in place of a default that the type does not have. */
  defaultText?: string;
  /** The flag may be repeated, and the environment holds several with this between them. */
  separator?: ',' | '\n';
  /**
   * Turns the text of a flag or variable into the value. Any other text comes back as it is, and the type refuses it.
   */
  parse?: (text: string) => unknown;
  /** What to write, where the type does not tell. */
  remedy?: string;
  /** An older name in the library and in config files. */
  formerly?: string;
  /** Never shown in a message. */
  secret?: boolean;
  /** Another option has taken its place: README does not list it. */
  isFormer?: boolean;
}

export interface OptionEntry<T extends v.GenericSchema = v.GenericSchema> extends OptionFacts {
  type: T;
  /** The options of a group, such as `tls`. */
  fields?: Readonly<Record<string, OptionEntry>>;
}

export function option<T extends v.GenericSchema>(type: T, facts: OptionFacts): OptionEntry<T> {
  return { ...facts, type };
}

export type Fields = Readonly<Record<string, OptionEntry>>;
type Shape<F extends Fields> = { [Name in keyof F]: F[Name]['type'] };

export function shape<F extends Fields>(fields: F): Shape<F> {
  return Object.fromEntries(Object.entries(fields).map(([name, { type }]) => [name, type])) as Shape<F>;
}

/** Options that are one object, absent unless one of them is given. */
export function group<F extends Fields>(text: string, fields: F) {
  const type = v.optional(v.object(shape(fields)));
  return { text, fields, type } satisfies OptionEntry as OptionEntry<typeof type>;
}

/** The same, and `{}` where none is given: no field may have to be there. */
export function groupOrEmpty<F extends Fields>(text: string, fields: F) {
  const type = v.optional(v.object(shape(fields)), {} as never);
  return { text, fields, type } satisfies OptionEntry as OptionEntry<typeof type>;
}

export const number = (min: number, max: number) => v.pipe(v.number(), v.minValue(min), v.maxValue(max));
export const whole = (min: number, max: number) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(min), v.maxValue(max));
export const onOff = v.boolean();
