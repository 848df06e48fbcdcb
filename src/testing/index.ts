/** `sidetone/testing`: what the tests of a plugin import. */

export type { LoggedFailure } from './logged-failure.js';
export {
  type CallMark,
  type HeardAudio,
  type HeardPart,
  type TestCall,
  type TestCallOptions,
  type TestSound,
  testCall,
} from './test-call.js';
