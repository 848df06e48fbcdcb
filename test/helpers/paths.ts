import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's root: compiled tests live under dist/test. */
export const root = fileURLToPath(new URL('../../../', import.meta.url));

/** A file of this project's own small test data. */
export const fixture = (name: string): string => join(root, 'test/fixtures', name);

const vectorsDir = process.env.SIDETONE_VECTORS ?? join(root, '../shared/vectors');

/** Whether the conformance data (which the project does not ship) is on this machine. */
export const haveVectors = existsSync(join(vectorsDir, 'README.md'));

/** A file of the conformance data. Guard its tests with `{ skip: !haveVectors }`. */
export const vector = (name: string): string => join(vectorsDir, name);
