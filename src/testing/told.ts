/** Types of a test's call that need nothing of the server: what the declarations of `sidetone/testing` may name. */
import type { SetupContext } from '../plugin/plugin.js';

/** An error that the server logged, and the handler's method that failed, where it was one. */
export interface LoggedFailure {
  /** Such as `onAudio`; undefined where it was no method of the handler. */
  where: string | undefined;
  /** What was thrown. */
  error: unknown;
}

/** A line that the plugin has logged. */
export interface LogLine {
  /** trace, debug, info, warn, error or fatal. */
  level: string;
  msg?: string;
  [field: string]: unknown;
}

export interface PluginOptions {
  /** Options of the plugin, as its entry in the option `plugins` has them. Default: none. */
  options?: object;
  /**
   * Runs in place of the plugin's own `setup`, so that a test needs no database: what it returns is `context.state`. The
   * plugin's own `teardown` gets it too. Default: the plugin's own.
   */
  setup?: (context: SetupContext) => unknown;
}
