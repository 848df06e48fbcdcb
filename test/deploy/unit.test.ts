/** The systemd unit: what it starts exists, and it is as closed as docs/operations.md says. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from '../helpers/paths.js';

const unit = join(root, 'deploy/sidetone.service');
const text = readFileSync(unit, 'utf8');
const page = readFileSync(join(root, 'docs/operations.md'), 'utf8');

test('the unit starts the command of this package, and waits for longer than a drain takes', () => {
  const [, main = ''] = /^ExecStart=\S+ .*\/node_modules\/sidetone\/(\S+) serve /m.exec(text) ?? [];
  const { bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    bin: { sidetone: string };
  };
  assert.equal(join(root, main), join(root, bin.sidetone));
  const [, documentation = ''] = /^Documentation=.*\/node_modules\/sidetone\/(\S+)$/m.exec(text) ?? [];
  assert.ok(existsSync(join(root, documentation)), documentation);
  for (const wanted of ['Type=notify', 'NotifyAccess=main', 'AmbientCapabilities=CAP_NET_BIND_SERVICE']) {
    assert.ok(text.includes(`\n${wanted}\n`), wanted);
  }
  assert.ok(Number(/^TimeoutStopSec=(\d+)$/m.exec(text)?.[1]) > 30 + 10);
});

const analyze = spawnSync('systemd-analyze', ['--version'], { encoding: 'utf8' });
const version = Number(/^systemd (\d+)/.exec(analyze.stdout ?? '')?.[1] ?? 0);

test('systemd-analyze security says no more than docs/operations.md', {
  skip: version < 250 && 'systemd-analyze cannot judge a file here',
}, () => {
  const [, stated = ''] = /exposure level of ([\d.]+)/.exec(page) ?? [];
  const args = ['security', '--offline=true', '--no-pager', unit];
  const { stdout } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
  const [, found = ''] = /Overall exposure level for sidetone\.service: ([\d.]+)/.exec(stdout) ?? [];
  assert.ok(Number(found) > 0, stdout);
  // Other versions of systemd count a little differently.
  assert.ok(Number(found) <= Number(stated) + 0.5, `${found}, and the page says ${stated}`);
});
