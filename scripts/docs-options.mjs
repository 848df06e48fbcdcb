// Writes README's table of options from the table in src/option-table.ts, between two markers.
// `--check` writes nothing and fails where README says something else.
import { readFileSync, writeFileSync } from 'node:fs';
import { flagName, LEAVES, limitsText, valueFacts } from '../dist/src/option-facts.js';

const BEGIN = '<!-- made by `npm run docs:options` of src/option-table.ts -->';
const END = '<!-- end of the options -->';
const readme = new URL('../README.md', import.meta.url);

function row(leaf) {
  const { text, defaultText, formerly, flagAlias, flagUnit } = leaf.entry;
  const { default: fallback, kind } = valueFacts(leaf.entry.type);
  const byDefault = defaultText ?? (fallback === undefined ? 'none' : `\`${fallback}\``);
  const name = flagName(leaf);
  const shown = kind === 'boolean' && fallback === true ? name.replace('--', '--no-') : name;
  const flags = [shown, flagAlias].filter(each => each !== undefined).map(each => `\`${each}\``);
  const inFlag = flagUnit && `in the flag ${limitsText(leaf, true)}`;
  const notes = [limitsText(leaf), inFlag, formerly && `formerly \`${formerly}\``].filter(Boolean);
  const what = notes.length === 0 ? text : `${text} (${notes.join('; ')})`;
  return `| \`${leaf.name}\` | ${byDefault} | ${flags.join(', ')} | ${what.replaceAll('|', '\\|')} |`;
}

const table = ['| option | default | flag | what |', '| --- | --- | --- | --- |', ...LEAVES.map(row)].join(
  '\n',
);
const before = readFileSync(readme, 'utf8');
const begin = before.indexOf(BEGIN);
const end = before.indexOf(END);
if (begin < 0 || end < begin)
  throw new Error(`README.md: the markers ${BEGIN} and ${END} are missing: put them back`);
const after = `${before.slice(0, begin + BEGIN.length)}\n${table}\n${before.slice(end)}`;

if (!process.argv.includes('--check')) writeFileSync(readme, after);
else if (after !== before) {
  console.error("README's table of options differs from src/option-table.ts: run npm run docs:options");
  process.exitCode = 1;
}
