/** What `sidetone doctor --machine` says of machines that are described here, and of the one that runs the test. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Machine, thisMachine } from '../../src/doctor/machine.js';
import { checkMachine, type MachineCheck } from '../../src/doctor/machine-checks.js';
import { runCli } from '../helpers/serve-child.js';

type Files = Record<string, string>;

/** Node.js 22 on Debian 12 that lacks nothing. */
const GOOD: Files = {
  '/proc/self/limits':
    'Limit   Soft Limit   Hard Limit   Units\nMax open files            1024                 524288               files\n',
  '/proc/self/status': 'Name:\tnode\nCapEff:\t0000000000000000\nCpus_allowed_list:\t0-3\n',
  '/proc/self/cgroup': '0::/system.slice/sidetone.service\n',
  '/sys/fs/cgroup/system.slice/sidetone.service/cpu.max': 'max 100000\n',
  '/proc/sys/fs/file-max': '9223372036854775807\n',
  '/proc/sys/net/ipv4/ip_unprivileged_port_start': '1024\n',
  '/proc/sys/net/core/somaxconn': '4096\n',
  '/proc/sys/net/ipv4/tcp_max_syn_backlog': '4096\n',
  '/proc/sys/net/ipv4/tcp_rmem': '4096\t131072\t6291456\n',
  '/proc/sys/net/ipv4/tcp_wmem': '4096\t16384\t4194304\n',
  '/proc/sys/net/ipv4/ip_local_port_range': '32768\t60999\n',
  '/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor': 'performance\n',
  '/sys/devices/system/clocksource/clocksource0/current_clocksource': 'tsc\n',
};

function machine(files: Files = {}, parts: Partial<Machine> = {}): Machine {
  const all: Files = { ...GOOD, ...files };
  return {
    read: path => all[path],
    list: path => (path === '/sys/devices/system/cpu' ? ['cpu0', 'cpufreq'] : []),
    run: command => (command === 'timedatectl' ? 'yes\n' : undefined),
    platform: 'linux',
    node: '22.12.0',
    glibc: '2.36',
    parallelism: 4,
    addonProblem: undefined,
    uwsProblem: undefined,
    amrwbProblem: undefined,
    ...parts,
  };
}

const judge = (each: Machine, streams = 1000, port = 8080): MachineCheck[] =>
  checkMachine(each, { streams, port });
const wrong = (checks: readonly MachineCheck[]): string[] =>
  checks.filter(({ severity }) => severity !== 'ok').map(({ name, severity }) => `${severity} ${name}`);

test('a machine that lacks nothing', () => {
  const checks = judge(machine());
  assert.deepEqual(wrong(checks), []);
  for (const { remedy, why, value } of checks) {
    assert.equal(remedy, null);
    assert.ok(why.length > 10 && value !== 'unknown');
  }
});

test('a machine that shows nothing of itself is not called unfit for that', () => {
  const hidden = machine({}, { read: () => undefined, list: () => [], run: () => undefined });
  const checks = judge(hidden);
  assert.deepEqual(wrong(checks), []);
  assert.ok(checks.filter(({ value }) => value === 'unknown').length >= 8);
});

const status = (capabilities: string): Files => ({
  '/proc/self/status': `CapEff:\t${capabilities}\nCpus_allowed_list:\t0-3\n`,
});
const LIMITS = '/proc/self/limits';

const FAULTS: [what: string, expected: string[], remedy: RegExp, checks: MachineCheck[]][] = [
  ['an old Node.js', ['error Node.js'], /install Node\.js 22/, judge(machine({}, { node: '20.9.0' }))],
  ['a Node.js between', ['error Node.js'], /install Node\.js 22/, judge(machine({}, { node: '23.1.0' }))],
  [
    'Node.js 24 on Debian 12',
    ['error glibc'],
    /use Node\.js 22 here/,
    judge(machine({}, { node: '24.1.0' })),
  ],
  ['musl', ['error glibc'], /use a system with glibc/, judge(machine({}, { glibc: undefined }))],
  ['no addon', ['error addon'], /^build it here$/, judge(machine({}, { addonProblem: 'build it here' }))],
  ['no AMR-WB', ['warning AMR-WB libraries'], /^apt$/, judge(machine({}, { amrwbProblem: 'apt' }))],
  [
    'few descriptors',
    ['error file descriptors'],
    /LimitNOFILE=2128;/,
    judge(machine({ [LIMITS]: 'Max open files            256                 1024               files\n' })),
  ],
  [
    'enough descriptors for fewer streams than are wanted',
    ['error file descriptors'],
    /LimitNOFILE=1200128;/,
    judge(machine({ '/proc/sys/net/ipv4/ip_local_port_range': '1024 65535000' }), 600_000),
  ],
  ['a low port without the right', ['error port 443'], /CAP_NET_BIND_SERVICE/, judge(machine(), 1000, 443)],
  [
    'a short queue of connections',
    ['warning net.core.somaxconn'],
    /^sysctl -w net\.core\.somaxconn="4096", .*60-sidetone\.conf$/,
    judge(machine({ '/proc/sys/net/core/somaxconn': '128\n' })),
  ],
  [
    'small buffers',
    ['warning net.ipv4.tcp_wmem'],
    /tcp_wmem="4096 16384 4194304"/,
    judge(machine({ '/proc/sys/net/ipv4/tcp_wmem': '4096\t16384\t65536\n' })),
  ],
  [
    'fewer ports than streams',
    ['warning net.ipv4.ip_local_port_range'],
    /"10000 65535"/,
    judge(machine(), 40_000),
  ],
  ['one core', ['warning cores'], /more cores/, judge(machine({}, { parallelism: 1 }))],
  [
    'half a core, in a container',
    ['warning CPU quota'],
    /--cpus/,
    judge(
      machine({
        '/proc/self/cgroup': '0::/\n',
        '/sys/fs/cgroup/cpu.max': '50000 100000\n',
      }),
    ),
  ],
  [
    'a saving governor',
    ['warning CPU governor'],
    /cpupower/,
    judge(machine({ '/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor': 'powersave\n' })),
  ],
  [
    'a slow clock',
    ['warning clock source'],
    /echo tsc/,
    judge(machine({ '/sys/devices/system/clocksource/clocksource0/current_clocksource': 'hpet\n' })),
  ],
  [
    'a clock that nobody sets',
    ['warning time synchronisation'],
    /timedatectl set-ntp true/,
    judge(machine({}, { run: () => 'no\n' })),
  ],
];

for (const [what, expected, remedy, checks] of FAULTS) {
  test(`${what}: the fault is named, with what mends it`, () => {
    assert.deepEqual(wrong(checks), expected);
    assert.match(checks.find(({ severity }) => severity !== 'ok')!.remedy!, remedy);
  });
}

test('a low port with the capability, and one that the machine gives to everybody', () => {
  assert.deepEqual(wrong(judge(machine(status('0000000000000400')), 1000, 443)), []);
  const lowered = machine({ '/proc/sys/net/ipv4/ip_unprivileged_port_start': '80\n' });
  assert.deepEqual(wrong(judge(lowered, 1000, 443)), []);
  assert.deepEqual(wrong(judge(machine(), 1000, 0)), []);
});

test('Node.js 24 is fit where glibc is new enough', () => {
  assert.deepEqual(wrong(judge(machine({}, { node: '24.1.0', glibc: '2.41' }))), []);
});

test('this machine can be read, and its addon loads', () => {
  const checks = judge(thisMachine(), 1, 0);
  for (const name of ['Node.js', 'addon', 'uWebSockets.js']) {
    assert.equal(checks.find(check => check.name === name)?.severity, 'ok', name);
  }
});

/** Output and exit code of `sidetone doctor`. */
async function doctor(...args: string[]): Promise<{ output: string; code: number | null }> {
  const child = runCli(['doctor', ...args]);
  const { code } = await child.exit;
  return { output: child.output(), code };
}

test('the command: exit code 1 where something must be mended, 2 where it is called wrongly', async () => {
  const unfit = await doctor('--machine', '--json', '--streams', '1000000', '--port', '0');
  const { fit, checks } = JSON.parse(unfit.output) as { fit: boolean; checks: MachineCheck[] };
  const errors = wrong(checks).filter(each => each.startsWith('error'));
  assert.equal(fit, errors.length === 0);
  assert.equal(unfit.code, fit ? 0 : 1);
  const text = await doctor('--machine', '--streams', '1', '--port', '0');
  assert.match(text.output, /^ok +Node\.js .*\n[\s\S]*fit for a server/);
  for (const args of [[], ['capture.jsonl', '--machine'], ['--machine', '--streams', 'many']]) {
    assert.equal((await doctor(...args)).code, 2, args.join(' '));
  }
});
