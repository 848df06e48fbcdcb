/** `sidetone check`: says what is wrong with a stream request before Telnyx does. */
import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import {
  checkRequest,
  describeFinding,
  hasErrors,
  REQUEST_KINDS,
  type RequestKind,
} from '../telnyx/check.js';
import { EXIT_FAILED, EXIT_OK, EXIT_USAGE } from './exit.js';
import { counted } from './values.js';

interface CheckArguments {
  for?: RequestKind;
  json?: boolean;
}

/** The file's text; `-` is standard input. Undefined after saying why it cannot be read. */
function readRequest(file: string): string | undefined {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8').replace(/^\uFEFF/, '');
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? 'unreadable';
    process.stderr.write(
      `sidetone check: FILE = ${JSON.stringify(file)}: ${reason}; give a readable file, or - \n`,
    );
    return undefined;
  }
}

function run(file: string, options: CheckArguments): void {
  const text = readRequest(file);
  if (text === undefined) {
    process.exitCode = EXIT_USAGE;
    return;
  }
  const kind = options.for ?? (text.trimStart().startsWith('<') ? 'texml' : 'streaming_start');
  const findings = checkRequest(text, { for: kind });
  if (options.json)
    process.stdout.write(`${JSON.stringify({ for: kind, ok: !hasErrors(findings), findings }, null, 2)}\n`);
  else {
    for (const finding of findings) process.stdout.write(`${describeFinding(finding)}\n`);
    const errors = findings.filter(finding => finding.severity === 'error').length;
    process.stdout.write(
      `${kind}: ${counted(errors, 'error')}, ${counted(findings.length - errors, 'warning')}\n`,
    );
  }
  process.exitCode = hasErrors(findings) ? EXIT_FAILED : EXIT_OK;
}

export function register(program: Command): void {
  program
    .command('check')
    .description('say what is wrong or unwise in a request that starts a stream, before Telnyx does')
    .argument('<file>', 'the JSON body or TeXML document; - reads standard input')
    .addOption(
      new Option('--for <kind>', 'what it is for (default: texml for XML, else streaming_start)').choices(
        REQUEST_KINDS,
      ),
    )
    .option('--json', 'findings as JSON')
    .addHelpText(
      'after',
      '\nExits 1 when there are errors; warnings alone exit 0. Every code: docs/mistakes.md',
    )
    .action(run);
}
