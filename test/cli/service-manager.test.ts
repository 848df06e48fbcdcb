/** `sidetone serve` under a service manager: a datagram socket, as systemd gives one in NOTIFY_SOCKET. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ServiceManager } from '../../src/cli/service-manager.js';
import { serveChild } from '../helpers/serve-child.js';
import { eventually } from '../helpers/servers.js';

const directory = mkdtempSync(join(tmpdir(), 'sidetone-notify-'));
after(() => rmSync(directory, { recursive: true }));

/** Node.js has no datagram sockets of this kind. Each message becomes a line, its line breaks spaces. */
const RECEIVER = `
  use Socket;
  socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die $!;
  bind($s, sockaddr_un($ARGV[0])) or die $!;
  $| = 1;
  print "bound\\n";
  while (defined recv($s, my $text, 4096, 0)) { $text =~ tr/\\n/ /; print "$text\\n"; }`;
const hasPerl = spawnSync('perl', ['-e', '1']).status === 0;

test('systemd is told when the server is ready, that it lives, and that it drains', {
  skip: !hasPerl && 'perl is missing',
  timeout: 120_000,
}, async () => {
  const address = join(directory, 'notify');
  const receiver = spawn('perl', ['-e', RECEIVER, address], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise(resolve => receiver.once('exit', resolve));
  let received = '';
  receiver.stdout.on('data', data => (received += data));
  const messages = (): string[] => received.split('\n').slice(1, -1);
  try {
    await eventually(() => received.startsWith('bound'), 'the receiver');
    const server = await serveChild(['--drain-timeout', '2'], {
      environment: { NOTIFY_SOCKET: address, WATCHDOG_USEC: '300000' },
    });
    try {
      await eventually(() => messages().filter(each => each === 'WATCHDOG=1').length >= 3, 'signs of life');
      assert.match(messages()[0]!, /^READY=1 STATUS=listening on 127\.0\.0\.1:\d+$/);
    } finally {
      await server.stop();
    }
    await eventually(() => messages().some(each => each.startsWith('STOPPING=1')), 'word of the end');
    const stopping = messages().find(each => each.startsWith('STOPPING=1'));
    assert.equal(stopping, 'STOPPING=1 EXTEND_TIMEOUT_USEC=12000000 STATUS=draining');
  } finally {
    receiver.kill();
    await ended;
  }
});

test('without a manager, with one that is gone, or with the watchdog of another process, nothing happens', () => {
  const environments = [
    {},
    { NOTIFY_SOCKET: '' },
    { NOTIFY_SOCKET: join(directory, 'nobody'), WATCHDOG_USEC: 'soon' },
    { NOTIFY_SOCKET: join(directory, 'nobody'), WATCHDOG_USEC: '1000', WATCHDOG_PID: '1' },
    { NOTIFY_SOCKET: 'no path', WATCHDOG_USEC: '-1' },
  ];
  for (const environment of environments) {
    const manager = new ServiceManager(environment, process.pid);
    manager.ready('listening');
    manager.stopping('draining', 1000);
  }
});
