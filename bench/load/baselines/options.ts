/** What every baseline takes: `--port N` (0: a free one) and `--mode echo|speech`. Each prints `{"msg":"listening","port":N}`. */
import { parseArgs } from 'node:util';

export type BaselineMode = 'echo' | 'speech';

export function readOptions(): { port: number; mode: BaselineMode } {
  const { values } = parseArgs({
    options: { port: { type: 'string', default: '0' }, mode: { type: 'string', default: 'echo' } },
  });
  if (values.mode !== 'echo' && values.mode !== 'speech') {
    console.error(`--mode ${values.mode}: must be echo or speech`);
    process.exit(2);
  }
  return { port: Number(values.port), mode: values.mode };
}

export function listening(port: number): void {
  console.log(JSON.stringify({ msg: 'listening', port }));
}
