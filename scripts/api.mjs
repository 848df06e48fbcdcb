// Writes docs/api, the reference of the public names, from their docstrings. A public name without a docstring, one that
// is not exported, and a dead link are errors. `--check`: writes nothing, exits 1 where a page differs.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Application, ReflectionKind } from 'typedoc';

const root = fileURLToPath(new URL('..', import.meta.url));
const isCheck = process.argv.includes('--check');
process.chdir(root);

const DOCUMENTED =
  ReflectionKind.SomeType |
  ReflectionKind.FunctionOrMethod |
  ReflectionKind.Variable |
  ReflectionKind.Property |
  ReflectionKind.Accessor;

/** Members of a type that is written out in place are described where the type stands. */
const isInLiteral = reflection => {
  for (let at = reflection.parent; at; at = at.parent) if (at.kindOf(ReflectionKind.TypeLiteral)) return true;
  return false;
};

/** A function's docstrings are its signatures'. */
const isDocumented = reflection =>
  reflection.hasComment() ||
  (reflection.signatures ?? [reflection.getSignature].filter(Boolean)).some(signature =>
    signature.hasComment(),
  ) ||
  (reflection.type?.declaration?.signatures ?? []).some(signature => signature.hasComment());

const app = await Application.bootstrapWithPlugins();
const project = await app.convert();
if (!project) process.exit(1);
app.validate(project);

const undocumented = Object.values(project.reflections)
  .filter(each => each.kindOf(DOCUMENTED) && !each.kindOf(ReflectionKind.TypeLiteral))
  .filter(each => !isInLiteral(each) && !isDocumented(each))
  .map(each => each.getFullName());
for (const name of new Set(undocumented)) console.error(`docs/api: ${name} has no docstring`);
let failed = undocumented.length > 0 || app.logger.hasErrors() || app.logger.hasWarnings();

const out = isCheck ? mkdtempSync(join(tmpdir(), 'sidetone-api-')) : join(root, 'docs/api');
app.options.setValue('out', out);
await app.generateOutputs(project);

if (isCheck) {
  const pages = folder =>
    new Map(readdirSync(folder).map(file => [file, readFileSync(join(folder, file), 'utf8')]));
  const [made, kept] = [pages(out), pages(join(root, 'docs/api'))];
  for (const file of new Set([...made.keys(), ...kept.keys()])) {
    if (made.get(file) === kept.get(file)) continue;
    console.error(`docs/api/${file} is not what the docstrings say: run npm run docs`);
    failed = true;
  }
  rmSync(out, { recursive: true });
}
process.exit(failed ? 1 : 0);
