/** A second start of one call: the platform that has come back, or another stream that takes over. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { VirtualClock } from '../../src/clock.js';
import { definePlugin } from '../../src/index.js';
import { createLog } from '../../src/log/log.js';
import { resolveOptions } from '../../src/options/options.js';
import { bareInstance } from '../../src/plugin/instance.js';
import { Reactor } from '../../src/reactor/reactor.js';
import { Connection } from '../../src/server/connection.js';
import { virtualRequest } from '../../src/testing/virtual-server.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';

describe('a second start of one call', () => {
  const plugin = definePlugin({ name: 'quiet', onStart: () => undefined });
  const pcmu = (id: string, call = 'v3:call') => {
    const media_format = { encoding: 'PCMU', sample_rate: 8000, channels: 1 };
    const start = { user_id: 'u', call_control_id: call, media_format };
    return { event: 'start', sequence_number: '1', stream_id: id, start };
  };
  const stop = {
    event: 'stop',
    sequence_number: '2',
    stream_id: 'a',
    stop: { user_id: 'u', call_control_id: 'v3:call' },
  };

  async function counted(body: (virtual: VirtualReactor) => void): Promise<number[]> {
    const virtual = new VirtualReactor();
    body(virtual);
    const { resumptions, takeOvers } = virtual.reactor.counters();
    await virtual.close();
    return [resumptions!, takeOvers!];
  }

  test('after a drop is a resumption, once', async () => {
    const result = await counted(virtual => {
      const first = virtual.connect(plugin);
      first.receive(pcmu('a'));
      first.drop();
      virtual.clock.advance(2000);
      virtual.connect(plugin).receive(pcmu('b'));
      // Another call is nobody's return.
      virtual.connect(plugin).receive(pcmu('c', 'v3:other'));
    });
    assert.deepEqual(result, [1, 0]);
  });

  test('while the first runs is a take-over, and after a stop or a long time a stream like any other', async () => {
    const takeOver = await counted(virtual => {
      const first = virtual.connect(plugin);
      first.receive(pcmu('a'));
      virtual.connect(plugin).receive(pcmu('b'));
      assert.equal(first.socket.ended, 1000);
    });
    assert.deepEqual(takeOver, [0, 1]);
    const stopped = await counted(virtual => {
      const first = virtual.connect(plugin);
      first.receive(pcmu('a'));
      first.receive(stop);
      first.drop();
      virtual.connect(plugin).receive(pcmu('b'));
    });
    assert.deepEqual(stopped, [0, 0]);
    const late = await counted(virtual => {
      const first = virtual.connect(plugin);
      first.receive(pcmu('a'));
      first.drop();
      virtual.clock.advance(300_001);
      virtual.connect(plugin).receive(pcmu('b'));
    });
    assert.deepEqual(late, [0, 0]);
  });

  test('on another reactor than the first is counted once, where the first was', async () => {
    const result = await counted(virtual => {
      const first = virtual.connect(plugin);
      first.receive(pcmu('a'));
      first.drop();
      virtual.reactor.replace('v3:call');
      virtual.reactor.replace('v3:call');
    });
    assert.deepEqual(result, [1, 0]);
  });

  test('is logged with what had ended, how and when', async () => {
    const clock = new VirtualClock(1000);
    const log = createLog('silent');
    const lines: [string, unknown][] = [];
    log.info = (fields: unknown, message?: string) => void lines.push([message ?? '', fields]);
    const reactor = new Reactor({ clock, log, options: resolveOptions({}) });
    const connect = (id: string): Connection => {
      const connection = new Connection(reactor, {
        plugin: bareInstance(plugin, clock),
        accepted: {},
        request: virtualRequest(plugin),
        boundCall: undefined,
        gate: undefined,
      });
      reactor.admit(connection);
      connection.open({ send: () => 1, end: () => {}, getBufferedAmount: () => 0 });
      const bytes = Buffer.from(JSON.stringify(pcmu(id)));
      connection.message(new Uint8Array(bytes).buffer, false);
      return connection;
    };
    connect('a').closed('idle');
    clock.advance(1500);
    connect('b');
    const line = lines.find(([message]) => message === 'a dropped call came back');
    assert.deepEqual(line, [
      'a dropped call came back',
      { call: 'v3:call', stream: 'a', reason: 'idle_timeout', gapMs: 1500 },
    ]);
    await reactor.close();
  });
});
