// Builds the image of the Dockerfile and proves what docs/operations.md says of it: `npm run test:container`. With
// docker by docker; without, the Dockerfile's own lines are run in Debian roots, and what that cannot prove is said.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { inRoot, makeRoot, whyNoRoots } from './debian-root.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const MEGABYTES_MAX = 250;
const PORT = 18_080;

const proved = text => console.log(`container: proved: ${text}`);
function must(isSo, problem) {
  if (isSo) return;
  console.error(`container: FAILED: ${problem}`);
  process.exit(1);
}

/** The Dockerfile's instructions; the forms that it uses, and an error for any other. */
function instructions(text) {
  const lines = text
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter(line => line.trim() !== '');
  return lines.map(line => {
    const [, name, rest] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    if (name === undefined) throw new Error(`Dockerfile: ${line}: no instruction`);
    return { name, rest };
  });
}

const json = text => (text.startsWith('[') ? JSON.parse(text) : ['/bin/sh', '-c', text]);

/** Runs the instructions in roots under `home`; returns the last stage. */
function buildInRoots(home) {
  const stages = new Map();
  let stage;
  for (const { name, rest } of instructions(readFileSync(join(root, 'Dockerfile'), 'utf8'))) {
    console.log(`container: ${name} ${rest.slice(0, 100)}`);
    switch (name) {
      case 'FROM': {
        const [, suite, , as = 'last'] = /^debian:(\w+)-slim( AS (\w+))?$/.exec(rest) ?? [];
        if (suite === undefined)
          throw new Error(`Dockerfile: FROM ${rest}: only debian:SUITE-slim can be run here`);
        stage = { root: join(home, as), environment: {}, cwd: '/', user: undefined };
        stages.set(as, stage);
        makeRoot(stage.root, suite);
        break;
      }
      case 'ENV':
        for (const [, key, value] of rest.matchAll(/(\w+)=(\S+)/g)) stage.environment[key] = value;
        break;
      case 'WORKDIR':
        stage.cwd = rest;
        mkdirSync(join(stage.root, rest), { recursive: true });
        break;
      case 'COPY':
        copy(rest, stage, stages);
        break;
      case 'RUN': {
        const { status, stdout, stderr } = inRoot(stage.root, ['/bin/sh', '-c', rest], {
          ...stage,
          build: true,
        });
        must(status === 0, `RUN ${rest}: exit code ${status}\n${(stdout + stderr).slice(-4000)}`);
        break;
      }
      case 'USER':
        stage.user = rest;
        break;
      case 'ENTRYPOINT':
      case 'CMD':
        stage[name] = json(rest);
        break;
      case 'HEALTHCHECK':
        stage.HEALTHCHECK = json(rest.replace(/^(--\S+ )*CMD /, ''));
        break;
      case 'EXPOSE':
        break;
      default:
        throw new Error(`Dockerfile: ${name}: scripts/container.mjs cannot run it`);
    }
  }
  return stage;
}

function copy(rest, stage, stages) {
  const [, , from, paths] = /^(--from=(\w+) )?(.*)$/.exec(rest);
  const parts = paths.split(' ');
  const target = parts.pop();
  const source = from === undefined ? root : stages.get(from).root;
  const folder = target.startsWith('/') ? target : join(stage.cwd, target);
  for (const part of parts) {
    const path = join(source, part);
    const isInto = target.endsWith('/') && !statSync(path).isDirectory();
    const to = join(stage.root, folder, isInto ? part.split('/').at(-1) : '');
    mkdirSync(dirname(to), { recursive: true });
    cpSync(path, to, {
      recursive: true,
      verbatimSymlinks: true,
      filter: file => !file.endsWith('/native/test'),
    });
  }
}

const isOpen = port =>
  new Promise(resolve => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(socket.destroy() && true));
    socket.once('error', () => resolve(false));
  });

async function until(condition, what) {
  for (let waited = 0; waited < 300; waited++) {
    if (await condition()) return;
    await sleep(200);
  }
  must(false, `${what}: not within a minute`);
}

/** One simulated call to the running image, by this checkout's own command. */
function placeCall() {
  const main = join(root, 'dist/src/cli/main.js');
  if (!existsSync(main)) return console.log('container: no call: this checkout is not built (npm run setup)');
  const args = [main, 'call', `ws://127.0.0.1:${PORT}/`, '--seconds', '2', '--json'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 64e6 });
  must(status === 0, `a call to the image: ${stdout}${stderr}`);
  proved('it carries a simulated call without an error');
}

async function inRoots() {
  const home = mkdtempSync(join(tmpdir(), 'sidetone-image-'));
  try {
    const image = buildInRoots(home);
    proved(
      'every line of the Dockerfile runs in a Debian root, with no network beyond the two registries of its lines',
    );
    const du = spawnSync('du', ['-sm', '--one-file-system', image.root], { encoding: 'utf8' });
    const megabytes = Number.parseInt(du.stdout, 10);
    must(megabytes < MEGABYTES_MAX, `the image has ${megabytes} MB; the limit is ${MEGABYTES_MAX}`);
    proved(`${megabytes} MB with the base, under ${MEGABYTES_MAX}`);

    const environment = { ...image.environment, SIDETONE_PORT: PORT, HOME: '/' };
    const options = { ...image, environment, readOnly: true };
    const said = inRoot(
      image.root,
      ['/bin/sh', '-c', 'id -u; touch /app/x /tmp/x 2>&1; echo $?'],
      options,
    ).stdout;
    must(said.startsWith(`${image.user.split(':')[0]}\n`), `it runs as ${said}`);
    must(image.user.split(':')[0] !== '0', 'it runs as root');
    must(/Read-only file system/.test(said), `its root can be written to: ${said}`);
    proved(`it runs as user ${image.user}, with a root that cannot be written to, /tmp included`);

    const early = inRoot(image.root, image.HEALTHCHECK, options);
    must(early.status === 1, `the health check of no server: exit code ${early.status}`);
    const server = inRoot(image.root, [...image.ENTRYPOINT, ...image.CMD], { ...options, pipe: true });
    let output = '';
    for (const stream of [server.stdout, server.stderr]) stream.on('data', data => (output += data));
    const ended = new Promise(resolve => server.once('exit', (code, signal) => resolve(code ?? signal)));
    try {
      await until(
        () => (server.exitCode === null ? isOpen(PORT) : must(false, output)),
        'a listening server',
      );
      const health = inRoot(image.root, image.HEALTHCHECK, options);
      must(health.status === 0, `the health check: exit code ${health.status}: ${health.stderr}\n${output}`);
      proved('its health check answers 0, and 1 where no server runs');
      placeCall();
    } finally {
      // The server is the first process of a namespace below unshare's child.
      const child = readFileSync(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8').trim();
      if (child) process.kill(Number(child), 'SIGTERM');
    }
    const code = await ended;
    must(code === 0, `SIGTERM: it ended with ${code}: ${output.slice(-2000)}`);
    proved('SIGTERM to its first process drains it, exit code 0');
    console.log(
      'container: not proved without docker: its layers, and that its healthcheck is run by docker itself',
    );
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

function docker(...args) {
  const { status, stdout, stderr } = spawnSync('docker', args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64e6,
  });
  return { status, stdout: (stdout ?? '').trim(), stderr: stderr ?? '' };
}

async function inDocker() {
  const built = docker('build', '--quiet', '--tag', 'sidetone-test', '.');
  must(built.status === 0, `docker build: ${built.stderr.slice(-4000)}`);
  const megabytes = Math.ceil(
    Number(docker('image', 'inspect', '-f', '{{.Size}}', 'sidetone-test').stdout) / 1e6,
  );
  must(megabytes < MEGABYTES_MAX, `the image has ${megabytes} MB; the limit is ${MEGABYTES_MAX}`);
  proved(`${megabytes} MB, under ${MEGABYTES_MAX}`);
  const run = ['run', '--detach', '--read-only', '--health-interval=1s', '-p', `127.0.0.1:${PORT}:8080`];
  const { stdout: id, stderr } = docker(...run, 'sidetone-test');
  must(id !== '', `docker run: ${stderr}`);
  try {
    await until(
      () => docker('inspect', '-f', '{{.State.Health.Status}}', id).stdout === 'healthy',
      'a healthy container',
    );
    const user = docker('exec', id, 'id', '-u').stdout;
    must(user !== '0', `it runs as ${user}`);
    proved(`healthy by its own health check, as user ${user}, with a read-only root`);
    placeCall();
    docker('stop', '--time', '60', id);
    const code = docker('inspect', '-f', '{{.State.ExitCode}}', id).stdout;
    must(code === '0', `docker stop: exit code ${code}`);
    proved('docker stop drains it, exit code 0');
  } finally {
    docker('rm', '--force', id);
  }
}

if (docker('info').status === 0) {
  await inDocker();
} else {
  const why = whyNoRoots();
  if (why !== undefined) {
    console.log(`container: skipped: docker does not answer here, and ${why}`);
  } else {
    await inRoots();
  }
}
