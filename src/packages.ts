/**
 * Packages that are loaded when they are first needed. Each costs the start of every process and of every thread 20 to
 * 100 ms of processor time, and most of them never use it. What a running call may need first is imported at the start:
 * loading holds the thread up.
 */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export const jiti = () => require('jiti') as typeof import('jiti');
export const promClient = () => require('prom-client') as typeof import('prom-client');
export const saxes = () => require('saxes') as typeof import('saxes');
export const ws = () => require('ws') as typeof import('ws');
