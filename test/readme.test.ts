/** README must say the same as the code. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { root } from './helpers/paths.js';

const readme = readFileSync(join(root, 'README.md'), 'utf8');

test('every file that README links to exists', () => {
  const links = [...readme.matchAll(/\]\(([^)#]+)\)/g)].map(match => match[1]!);
  assert.ok(links.length > 5);
  for (const link of links) assert.ok(existsSync(join(root, link)), `${link} is missing`);
});

/** Names of the layout in the chapter on the architecture, under `src/` or `native/`. */
function layout(folder: string): string[] {
  const architecture = readme.slice(readme.indexOf('## Architecture'), readme.indexOf('## Performance'));
  const lines = architecture.split('\n');
  const from = lines.findIndex(line => line.startsWith(`${folder}/`));
  const to = lines.findIndex((line, at) => at > from && !line.startsWith(' '));
  assert.ok(from > 0 && to > from, folder);
  const text = lines.slice(from + 1, to).join('\n');
  return [...text.matchAll(/[\w.-]+(?:\/|\.(?:c?ts|cpp)\b)/g)].map(([name]) => name);
}

for (const folder of ['src', 'native']) {
  test(`README's layout has every folder and file directly in ${folder}/, and no file that is not there`, () => {
    const named = layout(folder);
    const entries = readdirSync(join(root, folder), { withFileTypes: true });
    for (const entry of entries) {
      const name = entry.isDirectory() ? `${entry.name}/` : entry.name;
      assert.ok(named.includes(name), `${folder}/${name} is not in the layout`);
    }
    const files = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
    for (const name of named) {
      const path = name.replace(/\/$/, '');
      assert.ok(
        files.some(file => file === path || file.endsWith(`/${path}`)),
        `${folder}/…/${name} is missing`,
      );
    }
  });
}

test('CONTRIBUTING.md has the folders of src/ in the order of .dependency-cruiser.cjs', () => {
  const page = readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8');
  const [, table = ''] = /^\| folder or file \|.*\n\|.*\n((?:\|.*\n)+)/m.exec(page) ?? [];
  const listed = table
    .split('\n')
    .flatMap(line => [...(line.split('|')[1] ?? '').matchAll(/`([\w-]+)`/g)].map(([, name]) => name));
  const rules: { forbidden: { name: string }[] } = createRequire(import.meta.url)(
    join(root, '.dependency-cruiser.cjs'),
  );
  const prefix = 'not-upward-from-';
  const rooms = rules.forbidden.filter(({ name }) => name.startsWith(prefix));
  assert.ok(rooms.length > 20, `${rooms.length} folders`);
  assert.deepEqual(
    listed,
    rooms.map(({ name }) => name.slice(prefix.length)),
  );
});

test('every page that docs and CONTRIBUTING.md link to exists, and so does its chapter', () => {
  const pages = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md', 'bench/README.md'];
  const docs = readdirSync(join(root, 'docs')).filter(name => name.endsWith('.md'));
  /** As GitHub makes the address of a chapter. */
  const slug = (title: string): string =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-');
  const chapters = (path: string): string[] =>
    [...readFileSync(path, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, title]) => slug(title!));
  for (const page of [...pages, ...docs.map(name => `docs/${name}`)]) {
    const text = readFileSync(join(root, page), 'utf8');
    for (const [, link] of text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
      const [path, chapter] = link!.split('#');
      const target = path ? join(root, dirname(page), path) : join(root, page);
      assert.ok(existsSync(target), `${page}: ${link} is missing`);
      if (chapter) assert.ok(chapters(target).includes(chapter), `${page}: ${link}: no such chapter`);
    }
  }
});
