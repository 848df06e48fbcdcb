/** `sidetone doctor --machine`: what of a machine a server for so many streams needs otherwise, and how to mend it. */
import type { Machine } from './machine.js';

export interface MachineCheck {
  /** What was looked at, such as `file descriptors`. */
  name: string;
  /** What was found; `unknown` where the machine does not show it. */
  value: string;
  wanted: string;
  /** `error`: the server does not start, or fails under the load that was named. `warning`: it runs, and worse than it could. */
  severity: 'ok' | 'warning' | 'error';
  /** What depends on it. */
  why: string;
  /** What mends it, exactly; null where nothing has to be mended. */
  remedy: string | null;
}

export interface MachineWishes {
  /** Streams at a time. */
  streams: number;
  /** Port that the server is to listen on. */
  port: number;
}

/** Descriptors besides one a stream; src/server/descriptors.ts keeps back as many. */
const DESCRIPTORS_BESIDES = 64;
/** Of CAP_NET_BIND_SERVICE in the capability masks of the kernel. */
const NET_BIND_SERVICE = 10n;
const FAST_CLOCKS = ['tsc', 'kvm-clock', 'arch_sys_counter', 'hyperv_clocksource_tsc_page'];
const NODES = [20, 22, 24, 26];

type Judged = Omit<MachineCheck, 'remedy' | 'severity'> & {
  good: boolean | undefined;
  bad: 'warning' | 'error';
  remedy: string;
};

/** `good` undefined: the machine does not show it, and nothing can be said. */
function judged({ good, bad, remedy, ...check }: Judged): MachineCheck {
  const isWrong = good === false;
  return { ...check, severity: isWrong ? bad : 'ok', remedy: isWrong ? remedy : null };
}

const olderThan = (version: string, limit: string): boolean =>
  version.localeCompare(limit, 'en', { numeric: true }) < 0;

function numbersIn(text: string | undefined): number[] {
  return (text?.match(/\d+/g) ?? []).map(Number);
}

/** All checks, in the order in which they matter. */
export function checkMachine(machine: Machine, wishes: MachineWishes): MachineCheck[] {
  return [
    ...software(machine),
    ...descriptors(machine, wishes),
    lowPort(machine, wishes),
    ...network(machine, wishes),
    ...processor(machine),
    ...time(machine),
  ];
}

function software(machine: Machine): MachineCheck[] {
  const { node, glibc, addonProblem, uwsProblem, amrwbProblem } = machine;
  const major = Number(node.split('.')[0]);
  const glibcWanted = major >= 24 ? '2.38' : '2.17';
  const part = (name: string, problem: string | undefined, why: string, bad: 'warning' | 'error') =>
    judged({
      name,
      value: problem === undefined ? 'loads' : 'does not load',
      wanted: 'loads',
      good: problem === undefined,
      bad,
      why,
      remedy: problem ?? '',
    });
  return [
    judged({
      name: 'Node.js',
      value: node,
      wanted: `one of ${NODES.join(', ')}, at least 20.17`,
      good: NODES.includes(major) && !olderThan(node, '20.17'),
      bad: 'error',
      why: 'uWebSockets.js has binaries for these versions',
      remedy: 'install Node.js 22, or 24 where glibc is 2.38 or newer',
    }),
    judged({
      name: 'glibc',
      value: glibc ?? 'none',
      wanted: `${glibcWanted} or newer`,
      good: machine.platform !== 'linux' || (glibc !== undefined && !olderThan(glibc, glibcWanted)),
      bad: 'error',
      why: `the binaries for Node.js ${major} are linked with it`,
      remedy:
        major >= 24
          ? 'use Node.js 22 here, or a system such as Debian 13 or Ubuntu 24.04'
          : 'use a system with glibc, such as Debian 12 or 13 (musl and older ones do not do)',
    }),
    part('addon', addonProblem, 'codecs and servers need it', 'error'),
    part('uWebSockets.js', uwsProblem, 'servers need it', 'error'),
    part('AMR-WB libraries', amrwbProblem, 'calls in AMR-WB need them, and no other call', 'warning'),
  ];
}

function descriptors(machine: Machine, { streams }: MachineWishes): MachineCheck[] {
  const wanted = streams + DESCRIPTORS_BESIDES;
  const limits = machine.read('/proc/self/limits');
  // Node.js raises the soft limit to the hard one.
  const [, hard] = /^Max open files\s+\S+\s+(\S+)/m.exec(limits ?? '') ?? [];
  const own = hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard);
  const [all] = numbersIn(machine.read('/proc/sys/fs/file-max'));
  return [
    judged({
      name: 'file descriptors',
      value: hard ?? 'unknown',
      wanted: `${wanted} or more for ${streams} streams`,
      good: hard === undefined ? undefined : own >= wanted,
      bad: 'error',
      why: 'each stream is a socket; the server refuses streams that it has no descriptor for',
      remedy: `in the systemd unit: LimitNOFILE=${wanted * 2}; in a shell: ulimit -Hn ${wanted * 2} (as root)`,
    }),
    judged({
      name: 'fs.file-max',
      value: all === undefined ? 'unknown' : String(all),
      wanted: `${wanted * 2} or more`,
      good: all === undefined ? undefined : all >= wanted * 2,
      bad: 'error',
      why: 'all processes of the machine share it',
      remedy: sysctl('fs.file-max', wanted * 4),
    }),
  ];
}

const sysctl = (name: string, value: number | string): string =>
  `sysctl -w ${name}="${value}", and for the next start: echo '${name} = ${value}' >> /etc/sysctl.d/60-sidetone.conf`;

function lowPort(machine: Machine, { port }: MachineWishes): MachineCheck {
  const [first = 1024] = numbersIn(machine.read('/proc/sys/net/ipv4/ip_unprivileged_port_start'));
  const [, mask] = /^CapEff:\s*([0-9a-f]+)/m.exec(machine.read('/proc/self/status') ?? '') ?? [];
  const isAllowed = mask === undefined ? undefined : ((BigInt(`0x${mask}`) >> NET_BIND_SERVICE) & 1n) === 1n;
  const isLow = port !== 0 && port < first;
  return judged({
    name: `port ${port}`,
    value: !isLow ? 'free for everybody' : isAllowed ? 'allowed' : 'not allowed',
    wanted: 'allowed',
    good: isLow ? isAllowed : true,
    bad: 'error',
    why: `only a process with CAP_NET_BIND_SERVICE may listen on a port below ${first}`,
    remedy: `in the systemd unit: AmbientCapabilities=CAP_NET_BIND_SERVICE; or ${sysctl('net.ipv4.ip_unprivileged_port_start', port)}`,
  });
}

function network(machine: Machine, { streams }: MachineWishes): MachineCheck[] {
  const setting = (
    name: string,
    wanted: number,
    why: string,
    { pick = (values: number[]) => values[0], set = String(wanted), unit = '' } = {},
  ): MachineCheck => {
    const values = numbersIn(machine.read(`/proc/sys/${name.replaceAll('.', '/')}`));
    const value = pick(values);
    return judged({
      name,
      value: values.length === 0 ? 'unknown' : values.join(' '),
      wanted: `${wanted}${unit} or more`,
      good: value === undefined ? undefined : value >= wanted,
      bad: 'warning',
      why,
      remedy: sysctl(name, set),
    });
  };
  const last = (values: number[]): number | undefined => values.at(-1);
  const bufferWhy =
    'the largest buffer of one connection: a peer that stalls for a second must not cost audio';
  return [
    setting('net.core.somaxconn', 512, 'connections that wait to be taken; the server asks for 512', {
      set: '4096',
    }),
    setting(
      'net.ipv4.tcp_max_syn_backlog',
      1024,
      'connections that are being made when many calls begin at once',
      {
        set: '4096',
      },
    ),
    setting('net.ipv4.tcp_rmem', 262_144, bufferWhy, {
      pick: last,
      set: '4096 131072 6291456',
      unit: ' as the last figure',
    }),
    setting('net.ipv4.tcp_wmem', 262_144, bufferWhy, {
      pick: last,
      set: '4096 16384 4194304',
      unit: ' as the last figure',
    }),
    setting(
      'net.ipv4.ip_local_port_range',
      streams,
      'each connection that a plugin makes for a call, such as one to a recogniser, takes a port',
      {
        pick: ([from, to]) => (from === undefined || to === undefined ? undefined : to - from + 1),
        set: '10000 65535',
        unit: ' ports',
      },
    ),
  ];
}

function processor(machine: Machine): MachineCheck[] {
  const status = machine.read('/proc/self/status') ?? '';
  const [, allowed = 'unknown'] = /^Cpus_allowed_list:\s*(\S+)/m.exec(status) ?? [];
  const quota = quotaOf(machine);
  const folder = '/sys/devices/system/cpu';
  const governors = new Set(
    machine
      .list(folder)
      .filter(name => /^cpu\d+$/.test(name))
      .flatMap(name => machine.read(`${folder}/${name}/cpufreq/scaling_governor`)?.trim() ?? []),
  );
  return [
    judged({
      name: 'cores',
      value: `${machine.parallelism} (cores ${allowed})`,
      wanted: '2 or more',
      good: machine.parallelism >= 2,
      bad: 'warning',
      why: 'a reactor and a worker for OPUS and AMR-WB want a core each; --reactors N wants N',
      remedy: 'give the process more cores (in the systemd unit: AllowedCPUs=, CPUAffinity=)',
    }),
    judged({
      name: 'CPU quota',
      value: quota === undefined ? 'none' : `${quota} cores`,
      wanted: 'none, or 1 core or more',
      good: quota === undefined || quota >= 1,
      bad: 'warning',
      why: 'a process that has used its quota up stands still for the rest of 100 ms, and callers hear it',
      remedy:
        'raise the quota (systemd: CPUQuota=, docker: --cpus, Kubernetes: limits.cpu), or use shares in its place',
    }),
    judged({
      name: 'CPU governor',
      value: governors.size === 0 ? 'not visible here' : [...governors].join(', '),
      wanted: 'performance',
      good: governors.size === 0 ? undefined : [...governors].every(name => name === 'performance'),
      bad: 'warning',
      why: 'a core that has clocked down needs milliseconds to come back, at the start of each burst of calls',
      remedy: 'cpupower frequency-set -g performance (on Debian: apt-get install linux-cpupower)',
    }),
  ];
}

/** Cores that the control group of this process may use; undefined without a limit. */
function quotaOf(machine: Machine): number | undefined {
  const [, path = '/'] = /^0::(.*)$/m.exec(machine.read('/proc/self/cgroup') ?? '') ?? [];
  const own = machine.read(`/sys/fs/cgroup${path === '/' ? '' : path}/cpu.max`);
  // In a container the group's path is the host's, and the files are at the top.
  const [quota, period] = (own ?? machine.read('/sys/fs/cgroup/cpu.max') ?? '').trim().split(' ').map(Number);
  return quota && period ? Math.round((quota / period) * 100) / 100 : undefined;
}

function time(machine: Machine): MachineCheck[] {
  const source = machine.read('/sys/devices/system/clocksource/clocksource0/current_clocksource')?.trim();
  const isSynchronised = machine.run('timedatectl', 'show', '--property=NTPSynchronized', '--value')?.trim();
  return [
    judged({
      name: 'clock source',
      value: source ?? 'unknown',
      wanted: `one of ${FAST_CLOCKS.join(', ')}`,
      good: source === undefined ? undefined : FAST_CLOCKS.includes(source),
      bad: 'warning',
      why: 'the time is read for each message; with another source each reading is a call of the kernel',
      remedy:
        'echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource, where available_clocksource beside it lists tsc',
    }),
    judged({
      name: 'time synchronisation',
      value: isSynchronised || 'unknown',
      wanted: 'yes',
      good: isSynchronised ? isSynchronised === 'yes' : undefined,
      bad: 'warning',
      why: 'a webhook that is five minutes older or newer than this clock says is refused',
      remedy: 'timedatectl set-ntp true (on Debian: apt-get install systemd-timesyncd)',
    }),
  ];
}
