/** The plugin of a test's call: with its options and its setup, without a server. */
import { systemClock } from '../clock.js';
import { localConference } from '../conference/conferences.js';
import { RoomRegistry } from '../conference/registry.js';
import { SidetoneError, shown } from '../errors.js';
import { createLog } from '../log/log.js';
import { PluginInstance } from '../plugin/instance.js';
import { PluginRegistry } from '../plugin/metrics.js';
import { validated } from '../plugin/options.js';
import type { Plugin, SetupContext } from '../plugin/plugin.js';
import type { LogLine, PluginOptions } from './told.js';

const SETUP_MS_MAX = 30_000;
const LEVELS: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

export class TestPlugin {
  readonly instance: PluginInstance;
  /** What the plugin has logged, with its `stream` and `call` where it used `stream.log`. */
  readonly lines: LogLine[] = [];
  readonly #metrics = new PluginRegistry();

  private constructor(plugin: Plugin, options: unknown) {
    this.instance = new PluginInstance(plugin, { options });
  }

  /** @throws SidetoneError SIDETONE_BAD_OPTION for options that the schema refuses, SIDETONE_SETUP_FAILED */
  static async start(plugin: Plugin, { options, setup }: PluginOptions): Promise<TestPlugin> {
    for (const [field, given, type] of [
      ['options', options, 'object'],
      ['setup', setup, 'function'],
    ] as const) {
      if (given === undefined || (typeof given === type && given !== null)) continue;
      throw new SidetoneError('SIDETONE_BAD_OPTION', `testCall ${field}: ${shown(given)}: give a ${type}`);
    }
    const settled = await validated(plugin.name, plugin.options, options);
    const test = new TestPlugin(setup ? withSetup(plugin, setup) : plugin, settled);
    const write = (line: string): void => {
      const { level, time: _, pid: __, hostname: ___, plugin: ____, ...fields } = JSON.parse(line);
      test.lines.push({ level: LEVELS[level as number] ?? String(level), ...fields });
    };
    await test.instance.start({
      log: createLog('trace', { write }),
      metrics: test.#metrics,
      // Nothing of the call runs yet, so a setup takes real time.
      clock: systemClock,
      reactor: 0,
      setupTimeoutMs: SETUP_MS_MAX,
      conference: localConference(new RoomRegistry()),
    });
    return test;
  }

  /** The value of one of the plugin's metrics; undefined where it has none of the name and the labels. */
  async metric(name: string, labels: Readonly<Record<string, string | number>>): Promise<number | undefined> {
    const wanted = [`sidetone_plugin_${name}`, `sidetone_plugin_${name}_total`];
    for (const family of await this.#metrics.families()) {
      for (const { value, metricName, labels: has } of family.values) {
        const { plugin: _, ...own } = has;
        const isSame =
          Object.keys(own).length === Object.keys(labels).length &&
          Object.entries(labels).every(([label, each]) => String(own[label]) === String(each));
        if (isSame && wanted.includes(metricName ?? family.name)) return value;
      }
    }
    return undefined;
  }

  /** Aborts the plugin's signal and runs its teardown. */
  end(): Promise<void> {
    return this.instance.end(0);
  }
}

/** The plugin with another setup. Its methods are called on itself: it may be a class with private fields. */
function withSetup(plugin: Plugin, setup: (context: SetupContext) => unknown): Plugin {
  const { name, path, audio, outbound, liveLatencyMaxMs } = plugin;
  return {
    name,
    path,
    audio,
    outbound,
    liveLatencyMaxMs,
    setup,
    ...(plugin.accept && { accept: (request, context) => plugin.accept!(request, context) }),
    onStart: (stream, context) => plugin.onStart(stream, context),
    teardown: context => plugin.teardown?.(context),
  };
}
