/** The usual sample on uWebSockets.js instead of `ws`: the same JSON.parse, Buffer and tables, a frame for a frame. */
import { readOptions } from './options.js';
import { serveSample } from './uws-calls.js';

const { port, mode } = readOptions();
serveSample(port, mode, 20);
