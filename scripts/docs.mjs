// Writes the pages that are made of tables in the code. `--check`: writes nothing, exits 1 where a page differs.
import { readFileSync, writeFileSync } from 'node:fs';
import { ERRORS } from '../dist/src/errors.js';

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

const pages = { 'docs/errors.md': errorsPage() };
let differs = false;
for (const [path, text] of Object.entries(pages)) {
  const url = new URL(`../${path}`, import.meta.url);
  if (!process.argv.includes('--check')) writeFileSync(url, text);
  else if (readFileSync(url, 'utf8') !== text) {
    console.error(`${path} is not what its table says: run npm run docs`);
    differs = true;
  }
}
process.exit(differs ? 1 : 0);
