/** `sidetone/testing`: what the tests of a plugin import. */

export type { TestCall, TestDtmfOptions } from './call.js';
export type { CommandJudge, CommandRefusal, SentCommand } from './commands.js';
export type { HeardAudio, HeardPart } from './heard.js';
export type { CallMark } from './marks.js';
export { type TestSound, voice } from './sound.js';
export { type TestCallOptions, testCall } from './test-call.js';
export type { LoggedFailure, LogLine, PluginOptions } from './told.js';
