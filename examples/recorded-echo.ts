/**
 * Any plugin can be recorded: caller on the left, what the caller heard on the right.
 *
 *     SIDETONE_RECORD_DIR=recordings npx sidetone serve --plugin ./examples/recorded-echo.ts
 */
import { echo, record } from 'sidetone';

export default { ...record(echo), name: 'recorded-echo' };
