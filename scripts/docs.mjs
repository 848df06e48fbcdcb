// Writes the pages that are made of tables in the code. `--check`: writes nothing, exits 1 where a page differs.
import { readFileSync, writeFileSync } from 'node:fs';
import { ERRORS } from '../dist/src/errors.js';
import { flagName, LEAVES, limitsText, valueFacts } from '../dist/src/options/facts.js';

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

function optionRow(leaf) {
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

const pages = { 'docs/errors.md': errorsPage(), 'docs/options.md': optionsPage() };
let differs = false;
for (const [path, text] of Object.entries(pages)) {
  if (!process.argv.includes('--check')) writeFileSync(new URL(`../${path}`, import.meta.url), text);
  else if (read(path) !== text) {
    console.error(`${path} is not what its table in the code says: run npm run docs`);
    differs = true;
  }
}
process.exit(differs ? 1 : 0);
