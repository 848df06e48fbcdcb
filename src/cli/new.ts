/** `sidetone new`: writes a project with a first plugin, its test and its scripts. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, Option } from 'commander';
import { SidetoneError, shown } from '../errors.js';

const TEMPLATES = fileURLToPath(new URL('../../../assets/new/', import.meta.url));

interface Manifest {
  version: string;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
}

export function register(program: Command): void {
  program
    .command('new')
    .description('write a project with a first plugin, its test and its scripts')
    .argument('<dir>', "a folder that is empty or not there yet; its name is the project's")
    .addOption(new Option('--dependency <spec>', 'what stands in package.json for sidetone').hideHelp())
    .action((directory: string, { dependency }: { dependency?: string }) => {
      const folder = resolve(directory);
      writeProject(folder, dependency);
      const place = relative(process.cwd(), folder) || '.';
      const shell = /^[\w./-]+$/.test(place) ? place : `'${place.replaceAll("'", "'\\''")}'`;
      process.stdout.write(
        [
          `cd ${shell} && npm install`,
          'npm start       # serves calls; agent.ts is loaded anew when you save it',
          'npm run call    # in another shell: a call without a telephone; npm test runs the tests',
          '',
        ].join('\n'),
      );
    });
}

/**
 * Writes the project into `folder`.
 * @throws SidetoneError SIDETONE_BAD_OPTION for a name that no package can have, and for a folder that is not empty or cannot
 *   be written
 */
function writeProject(folder: string, dependency?: string): void {
  const name = checkedName(folder);
  try {
    mkdirSync(folder, { recursive: true });
    const [first] = readdirSync(folder);
    if (first !== undefined) throw refusal(folder, `it is not empty (${first} is in it): give a new folder`);
    for (const file of readdirSync(TEMPLATES)) {
      const text = readFileSync(join(TEMPLATES, file), 'utf8').replaceAll('{{name}}', name);
      // npm leaves files of this name out of packages, so the template has it without the dot.
      writeFileSync(join(folder, file === 'gitignore' ? '.gitignore' : file), text);
    }
    const manifest = `${JSON.stringify(manifestOf(name, dependency), null, 2)}\n`;
    writeFileSync(join(folder, 'package.json'), manifest);
  } catch (error) {
    if (error instanceof SidetoneError) throw error;
    throw refusal(folder, `it cannot be written: ${(error as Error).message}`, error);
  }
}

function refusal(folder: string, problem: string, cause?: unknown): SidetoneError {
  return new SidetoneError('SIDETONE_BAD_OPTION', `new: ${shown(folder)}: ${problem}`, { cause });
}

/** The folder's name, which is the package's and the plugin's. */
function checkedName(folder: string): string {
  const name = basename(folder);
  if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(name)) {
    const remedy =
      'name it with 1 to 64 lower-case letters, digits, dots, dashes or underscores, such as my-agent';
    throw refusal(folder, remedy);
  }
  // npm installs no package into a project of the same name.
  if (name === 'sidetone' || name === 'node_modules')
    throw refusal(folder, `${name} is taken: give another name`);
  return name;
}

function manifestOf(name: string, dependency: string | undefined): object {
  const own = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as Manifest;
  const { version, dependencies, devDependencies } = own;
  return {
    name,
    version: '0.0.1',
    private: true,
    type: 'module',
    scripts: {
      start: 'sidetone serve --watch --plugin ./agent.ts',
      call: 'sidetone call ws://127.0.0.1:8080/ --linger 5 --out heard.wav',
      // The server loads TypeScript with jiti. The tests do the same, so they run the same code, on Node.js 20 too.
      test: 'node --import jiti/register --test agent.test.ts',
      check: 'tsc',
    },
    dependencies: { sidetone: dependency ?? `^${version}` },
    devDependencies: {
      '@types/node': `^${devDependencies['@types/node']}`,
      jiti: `^${dependencies.jiti}`,
      typescript: `^${devDependencies.typescript}`,
    },
  };
}
