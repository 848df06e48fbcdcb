// Folders with a Debian system in them, made by debootstrap, and commands that run in one: for machines without docker.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CACHE = process.env.SIDETONE_ROOTS ?? fileURLToPath(new URL('../.roots', import.meta.url));

/** What Debian's slim images leave out. */
const SLIM = ['doc', 'groff', 'info', 'linda', 'lintian', 'locale', 'man'].map(name => `/usr/share/${name}`);

/** Why there can be no roots here, or undefined. */
export function whyNoRoots() {
  if (process.platform !== 'linux') return 'this is not Linux';
  if (process.getuid() !== 0) return 'debootstrap and chroot need root';
  for (const [command, name] of [
    ['debootstrap', 'debootstrap'],
    ['unshare', 'util-linux'],
  ]) {
    if (spawnSync(command, ['--version']).error) return `${command} is missing: apt-get install ${name}`;
  }
  const { status, stderr } = spawnSync('unshare', ['--mount', '--pid', '--fork', 'true'], {
    encoding: 'utf8',
  });
  return status === 0 ? undefined : `unshare: ${stderr.trim()}`;
}

function must(command, args) {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64e6 });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr.slice(-2000)}`);
}

/** A fresh copy at `root` of the smallest Debian of that name, slimmed as Debian's slim images are. */
export function makeRoot(root, suite) {
  const base = join(CACHE, suite);
  if (!existsSync(base)) {
    const made = `${base}.new`;
    rmSync(made, { recursive: true, force: true });
    mkdirSync(CACHE, { recursive: true });
    // From the mirror that debootstrap knows, which is Debian's own.
    must('debootstrap', ['--variant=minbase', suite, made]);
    const excludes = SLIM.map(path => `path-exclude ${path}/*\n`).join('');
    writeFileSync(join(made, 'etc/dpkg/dpkg.cfg.d/slim'), excludes);
    for (const path of [...SLIM, '/var/cache/apt', '/var/lib/apt/lists', '/var/log']) {
      rmSync(join(made, path), { recursive: true, force: true });
      mkdirSync(join(made, path), { recursive: true });
    }
    renameSync(made, base);
  }
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root, { recursive: true });
  must('cp', ['-a', `${base}/.`, root]);
}

/** Where a root finds the certificates that this machine trusts. */
const TRUSTED = '/var/host-certificates.pem';

/** How the network is reached from here, and what is trusted: what a build may need to know of its host. */
function hostEnvironment() {
  const passed = /^(https?_proxy|no_proxy)$/i;
  const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => passed.test(name)));
  const { stdout } = spawnSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' });
  if (process.env.NODE_EXTRA_CA_CERTS) environment.NODE_EXTRA_CA_CERTS = TRUSTED;
  return { ...environment, npm_config_registry: stdout.trim() };
}

/**
 * A command in `root`, in a mount namespace of its own, so that nothing is left mounted. `readOnly`: the root cannot be
 * written to. `build`: with what reaches the network from here.
 */
export function inRoot(root, command, { environment = {}, cwd = '/', user, readOnly, build, pipe } = {}) {
  const quote = text => `'${String(text).replaceAll("'", "'\\''")}'`;
  const mounts = [
    `mount --bind ${quote(root)} ${quote(root)}`,
    `mount -t proc proc ${quote(join(root, 'proc'))}`,
    `mount --rbind /dev ${quote(join(root, 'dev'))}`,
  ];
  const trusted = process.env.NODE_EXTRA_CA_CERTS;
  const bind = (file, at) => {
    const target = join(root, at);
    if (!existsSync(target)) writeFileSync(target, '');
    mounts.push(`mount --bind ${quote(file)} ${quote(target)}`);
  };
  bind('/etc/resolv.conf', '/etc/resolv.conf');
  // Not over the system's own file, which Debian's package replaces.
  if (build && trusted) bind(trusted, TRUSTED);
  if (readOnly) mounts.push(`mount -o remount,bind,ro ${quote(root)}`);
  const identity = user ? `--userspec=${quote(user)}` : '';
  const variables = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root' };
  const all = Object.entries({ ...variables, ...(build ? hostEnvironment() : {}), ...environment });
  const assigned = all.map(([name, value]) => quote(`${name}=${value}`)).join(' ');
  const inner = command.map(quote).join(' ');
  const script = [
    ...mounts,
    `exec chroot ${identity} ${quote(root)} /usr/bin/env -i -C ${quote(cwd)} ${assigned} ${inner}`,
  ].join(' && ');
  const args = ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', script];
  if (pipe) return spawn('unshare', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  return spawnSync('unshare', args, { encoding: 'utf8', maxBuffer: 64e6 });
}
