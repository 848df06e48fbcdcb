/** uws-sample with its output in chunks of 100 ms: what fewer, larger sends alone give. */
import { readOptions } from './options.js';
import { serveSample } from './uws-calls.js';

const { port, mode } = readOptions();
serveSample(port, mode, 100);
