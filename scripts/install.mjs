// Runs when npm installs the package: sees that an addon loads, and builds one where no prebuilt one does. It never
// fails the installation, because types, checks and the simulator work without the addon. `node scripts/install.mjs`
// may be run again. A source tree is left alone: `npm run setup` builds there.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
if (existsSync(`${root}tsconfig.json`)) process.exit(0);

const { loadAddon } = await import('../dist/src/native/locate.js');
let outcome = loadAddon();
if (!outcome.addon) {
  console.log('sidetone: no prebuilt addon fits: building one');
  // A newer compiler may have new warnings. They must not stop a user's build, and only developers need to see them.
  const args = [`${root}scripts/build-native.mjs`, '--CDSIDETONE_WERROR=OFF'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  outcome = loadAddon();
  if (!outcome.addon) {
    if (status !== 0) console.error(`${stdout}${stderr}`.trim().split('\n').slice(-40).join('\n'));
    console.error(`sidetone: ${outcome.problem}`);
    console.error('sidetone: until then servers and codecs do not work; types, checks and the simulator do');
  }
}
