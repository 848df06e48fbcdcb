// Writes the pages and the types that are made of tables in the code. `--check`: writes nothing, exits 1 where a page differs.
import { readFileSync, writeFileSync } from 'node:fs';
import { ERRORS } from '../dist/src/errors.js';
import { flagName, LEAVES, limitsText, valueFacts } from '../dist/src/options/facts.js';
import { OPTION_TABLE } from '../dist/src/options/table.js';

const cell = text => text.replaceAll('|', '\\|');

function errorsPage() {
  const rows = Object.entries(ERRORS).map(
    ([code, { example, cause, remedy }]) =>
      `| \`${code}\` | ${cell(cause)} | ${cell(remedy)} | \`${cell(example.replaceAll('`', "'"))}\` |`,
  );
  return `# Errors

Every error that this library throws is a \`SidetoneError\` with one of these codes in \`code\`. The codes are stable; the
messages may change. A peer's fault is no error: it is counted (see [admin.md](admin.md)) and survived.

| code | cause | remedy | a message of it |
| --- | --- | --- | --- |
${rows.join('\n')}

This page is made from \`src/errors.ts\` by \`npm run docs\`.
`;
}

const read = path => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

function defaultOf({ defaultText, type }) {
  const { default: fallback } = valueFacts(type);
  return defaultText ?? (fallback === undefined ? 'none' : `\`${fallback}\``);
}

function optionRow(leaf) {
  const { text, formerly, flagAlias, flagUnit } = leaf.entry;
  const { default: fallback, kind } = valueFacts(leaf.entry.type);
  const byDefault = defaultOf(leaf.entry);
  const name = flagName(leaf);
  const shown = kind === 'boolean' && fallback === true ? name.replace('--', '--no-') : name;
  const flags = [shown, flagAlias].filter(each => each !== undefined).map(each => `\`${each}\``);
  const inFlag = flagUnit && `in the flag ${limitsText(leaf, true)}`;
  const notes = [limitsText(leaf), inFlag, formerly && `formerly \`${formerly}\``].filter(Boolean);
  const what = notes.length === 0 ? text : `${text} (${notes.join('; ')})`;
  return `| \`${leaf.name}\` | ${byDefault} | ${flags.join(', ')} | ${what.replaceAll('|', '\\|')} |`;
}

function optionsPage() {
  // The texts name pages as seen from the repository's root, for --help.
  const rows = LEAVES.filter(({ entry }) => !entry.isFormer).map(leaf =>
    optionRow(leaf).replaceAll('](docs/', ']('),
  );
  return `# Options

What \`createServer(options)\` and \`sidetone serve\` take. [README](../README.md#options) says how flags, environment, file and
default go together.

| option | default | flag | what |
| --- | --- | --- | --- |
${rows.join('\n')}

This page is made from \`src/options/table.ts\` by \`npm run docs\`.
`;
}

/** Lines of a docstring, at most 110 characters each. */
function docstring(text, indent) {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line !== '' && indent.length + line.length + word.length > 110) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  if (lines.length === 1) return `${indent}/** ${lines[0]} */`;
  return [`${indent}/**`, ...lines.map(line => `${indent} * ${line}`), `${indent} */`].join('\n');
}

const isOptional = ({ type }) => type.type === 'optional';

/** The table's texts begin in lower case and link pages of docs/, which an editor does not show. */
function sentence(text, limits) {
  const plain = text.replace(/ \(\[docs[^)]*\)\)/g, '').replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
  return `${plain[0].toUpperCase()}${plain.slice(1)}${limits ? ` (${limits})` : ''}.`;
}

function optionDocstring(leaf, indent) {
  const what = sentence(leaf.entry.text, limitsText(leaf));
  if (leaf.entry.isFormer) return docstring(`@deprecated ${what}`, indent);
  return docstring(isOptional(leaf.entry) ? `${what} Default: ${defaultOf(leaf.entry)}.` : what, indent);
}

function optionMembers(table, values, path = '', indent = '  ') {
  const mark = entry => (isOptional(entry) ? '?' : '');
  return Object.entries(table)
    .map(([name, entry]) => {
      const type = `${values}['${name}']`;
      if (!entry.fields) {
        const leaf = LEAVES.find(each => each.name === path + name);
        const { formerly } = entry;
        const former = formerly && [
          docstring(`@deprecated Older name of \`${name}\`.`, indent),
          `${indent}${formerly}?: ${type};`,
        ];
        return [
          optionDocstring(leaf, indent),
          `${indent}${name}${mark(entry)}: ${type};`,
          ...(former ?? []),
        ].join('\n');
      }
      const fields = optionMembers(entry.fields, `NonNullable<${type}>`, `${path}${name}.`, `${indent}  `);
      return `${docstring(sentence(entry.text), indent)}\n${indent}${name}${mark(entry)}: {\n${fields}\n${indent}};`;
    })
    .join('\n');
}

function optionsType() {
  return `/** Made from table.ts by \`npm run docs\`: the docstrings that editors and the reference of the API show. */
import type { OptionValues } from './table.js';

/** What \`createServer\` takes; everything has a default. */
export interface ServerOptions {
${optionMembers(OPTION_TABLE, 'OptionValues')}
}
`;
}

const pages = {
  'docs/errors.md': errorsPage(),
  'docs/options.md': optionsPage(),
  'src/options/server-options.ts': optionsType(),
};
let differs = false;
for (const [path, text] of Object.entries(pages)) {
  if (!process.argv.includes('--check')) writeFileSync(new URL(`../${path}`, import.meta.url), text);
  else if (read(path) !== text) {
    console.error(`${path} is not what its table in the code says: run npm run docs`);
    differs = true;
  }
}
process.exit(differs ? 1 : 0);
