/** `sidetone/testing`: what the tests of a plugin import. */

export {
  type CallMark,
  type HeardAudio,
  type HeardPart,
  type TestCall,
  type TestCallOptions,
  type TestSound,
  testCall,
} from './test-call.js';
export type { LoggedFailure, LogLine, PluginOptions } from './told.js';
