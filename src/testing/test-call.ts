/** A call to a plugin whose time is the test's own. */
import { SidetoneError, shown } from '../errors.js';
import type { Encoding } from '../formats.js';
import type { ServerOptions } from '../options/options.js';
import { definePlugin } from '../plugin/define.js';
import type { AcceptResult, Plugin } from '../plugin/plugin.js';
import { judge } from '../server/upgrade.js';
import type { LinkOptions } from '../simulator/memory.js';
import type { CallOptions } from '../simulator/options.js';
import { TestCall } from './call.js';
import type { CommandJudge } from './commands.js';
import { TestPlugin } from './test-plugin.js';
import type { PluginOptions } from './told.js';
import { LATENCY_MS, virtualRequest } from './virtual-server.js';

/** Options of the call itself, as `Simulator` has them. */
type CallerOptions = Pick<
  CallOptions,
  | 'encoding'
  | 'sampleRate'
  | 'outboundEncoding'
  | 'outboundSampleRate'
  | 'customParameters'
  | 'clientState'
  | 'tags'
  | 'from'
  | 'to'
  | 'loss'
  | 'shuffle'
  | 'duplicate'
  | 'seed'
>;

export interface TestCallOptions extends CallerOptions, LinkOptions, PluginOptions {
  /** What stands behind the `?` of the stream_url, such as `hz=440`. Default: nothing. */
  query?: string;
  /** Headers that the plugin's `accept()` and `stream.request` have; names in lower case. Default: none. */
  headers?: Readonly<Record<string, string>>;
  /** Options of the server, such as `liveLatencyMaxMs` or `handlerErrors`. Default: the server's own. */
  server?: ServerOptions;
  /**
   * `throw`: a failure of the handler rejects the `advance`, `until` or `hangup` in which it came. `collect`: it only
   * stands in `failures`. Default throw.
   */
  failures?: 'throw' | 'collect';
  /**
   * Decides on each command of `stream.callControl`: what it returns refuses the command, as Telnyx would. Default: every
   * command is taken until the call is over.
   */
  onCommand?: CommandJudge;
}

/** The encodings that are coded in worker threads. */
const IN_WORKERS: readonly (Encoding | undefined)[] = ['OPUS', 'AMR-WB'];

/**
 * Calls `plugin` in this process: a simulated Telnyx on one side, a server's reactor on the other, no socket between
 * them. The returned call has started and its handler is there. Time stands still but in `advance`, `until` and `hangup`.
 *
 * ```ts
 * import { test } from 'node:test';
 * import assert from 'node:assert/strict';
 * import { testCall } from 'sidetone/testing';
 * import agent from './agent.js';
 *
 * test('the agent answers within a second of the pause', async () => {
 *   const call = await testCall(agent);
 *   const saidMs = call.say('question.wav');
 *   await call.advance(saidMs + 1000);
 *   assert.equal(call.heard().parts.length, 1);
 *   await call.hangup();
 * });
 * ```
 *
 * Only the time of calls is virtual. A plugin's own timers, files and requests run in real time: give the plugin a stand-in
 * for them, or use `mock.timers` of node:test (its `setTimeout` and `setInterval`, not its `setImmediate`).
 *
 * @throws SidetoneError SIDETONE_PLUGIN_INVALID for what is no plugin; SIDETONE_BAD_OPTION for wrong options, and for OPUS,
 *   AMR-WB and MP3 mode, which are coded in threads of their own, in real time; SIDETONE_SETUP_FAILED where `setup` throws;
 *   SIDETONE_CALL_FAILED where the plugin's `accept()` refuses or fails; SIDETONE_HANDLER_FAILED where `onStart` throws
 */
export async function testCall(plugin: Plugin, options: TestCallOptions = {}): Promise<TestCall> {
  definePlugin(plugin);
  const tested = await TestPlugin.start(plugin, options);
  try {
    return await callTo(tested, options);
  } catch (error) {
    await tested.end().catch(() => {});
    throw error;
  }
}

async function callTo(tested: TestPlugin, options: TestCallOptions): Promise<TestCall> {
  const accepted = await ask(tested, options);
  const wanted = { ...tested.instance.outbound, ...accepted.outbound };
  const { query, headers, server, failures: onFailure = 'throw', onCommand, ...rest } = options;
  const { options: _, setup: __, ...caller } = rest;
  if (onFailure !== 'throw' && onFailure !== 'collect') {
    throw badOption('failures', onFailure, 'give throw or collect');
  }
  const outboundEncoding = caller.outboundEncoding ?? wanted.encoding;
  const outboundSampleRate = caller.outboundSampleRate ?? wanted.sampleRate;
  for (const encoding of [caller.encoding, outboundEncoding]) {
    if (!IN_WORKERS.includes(encoding)) continue;
    throw badOption(
      'encoding',
      encoding,
      'its codec runs in worker threads, in real time: test with another',
    );
  }
  if (wanted.mode === 'mp3' || server?.outboundMode === 'mp3') {
    throw badOption(
      'outbound.mode',
      'mp3',
      'files are coded in a worker thread, in real time: test with rtp',
    );
  }
  const call = new TestCall(
    tested,
    accepted,
    {
      latencyMs: LATENCY_MS,
      ...caller,
      ...(outboundEncoding && { outboundEncoding }),
      ...(outboundSampleRate && { outboundSampleRate }),
    },
    {
      query: query ?? '',
      headers: headers ?? {},
      server: server ?? {},
      throws: onFailure === 'throw',
      onCommand,
    },
  );
  try {
    await call.advance(call.connectMs);
  } catch (error) {
    await call.hangup().catch(() => {});
    throw error;
  }
  return call;
}

function badOption(field: string, value: unknown, remedy: string): SidetoneError {
  return new SidetoneError('SIDETONE_BAD_OPTION', `testCall ${field}: ${shown(value)}: ${remedy}`);
}

/** What the plugin says to the upgrade. */
async function ask({ instance }: TestPlugin, { query, headers }: TestCallOptions): Promise<AcceptResult> {
  if (!instance.judges) return {};
  // Nothing of the call runs yet, so accept() has all the real time that it takes.
  const judgement = await judge(instance, virtualRequest(instance, query, headers), {
    now: () => 0,
    every: () => () => {},
    after: () => () => {},
  });
  if (judgement.failed) {
    const why = `plugin ${instance.name}: accept failed: ${String(judgement.error)}`;
    throw new SidetoneError('SIDETONE_CALL_FAILED', why, { cause: judgement.error });
  }
  if (!judgement.accepted) {
    throw new SidetoneError('SIDETONE_CALL_FAILED', `plugin ${instance.name}: accept refused the call`);
  }
  return judgement.accepted;
}
