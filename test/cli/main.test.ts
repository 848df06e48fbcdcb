/** The command as a shell starts it: by its first line. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from '../helpers/paths.js';

const MAIN = join(root, 'dist/src/cli/main.js');
const [shebang = ''] = readFileSync(MAIN, 'utf8').split('\n', 1);

/** The kernel passes the text behind the interpreter as one argument, then the script. */
function asScript(script: string, ...args: string[]) {
  const [, interpreter = '', argument = ''] = /^#!(\S+) (.*)$/.exec(shebang)!;
  return spawnSync(interpreter, [argument, script, ...args], { encoding: 'utf8' });
}

test('it runs, and tells its version', () => {
  const { status, stdout, stderr } = asScript(MAIN, '--version');
  assert.equal(status, 0, stderr);
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  assert.equal(stdout.trim(), version);
});

test("it runs with a young generation that thousands of streams' garbage does not spread over", () => {
  const program = `
    let garbage = [];
    for (let i = 0; i < 3e6; i++) { if (i % 50000 === 0) garbage = []; garbage.push({ i }); }
    const space = require('v8').getHeapSpaceStatistics().find(each => each.space_name === 'new_space');
    console.log(space.space_size);
  `;
  const { stdout } = asScript('-e', program);
  assert.ok(Number(stdout) > 0 && Number(stdout) <= 4 << 20, `${stdout.trim()} bytes`);
});
