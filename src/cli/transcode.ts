/** `sidetone transcode`: files through the server's codecs. */
import { type Command, Option } from 'commander';
import { ENCODINGS } from '../formats.js';
import type { TranscodeOptions } from '../transcode/options.js';
import { type TranscodeResult, transcode } from '../transcode/transcode.js';
import { EXIT_FAILED, EXIT_OK } from './exit.js';
import { numberArgument } from './values.js';

export function register(program: Command): void {
  program
    .command('transcode')
    .description('convert a file through the codecs of the server')
    .argument('<in>', '.wav, .awb, or raw payloads (OPUS and AMR-WB: a packet file)')
    .argument('<out>', 'the same; emptied first')
    .option('--from <encoding[@rate]>', `what IN holds: ${ENCODINGS.join(', ')} (not for .wav and .awb)`)
    .option('--to <encoding[@rate]>', 'what OUT is to hold (not for .wav and .awb)')
    .option(
      '--rate <hz>',
      'rate of L16, OPUS and a WAV that is written, where no @rate says it',
      numberArgument(),
    )
    .addOption(new Option('--channel <side>', 'which channel of a stereo WAV').choices(['left', 'right']))
    .addOption(new Option('--l16-byte-order <order>', 'of L16 payloads (default: le)').choices(['le', 'be']))
    .option('--amr-mode <n>', 'AMR-WB to write: 0 to 8 (default: 2, 12.65 kbit/s)', numberArgument())
    .option('--amr-octet-aligned', 'write AMR-WB payloads octet-aligned instead of bandwidth-efficient')
    .option('--bitrate <bit/s>', 'OPUS to write, 6000 to 128000', numberArgument())
    .option('--dtx', 'OPUS and AMR-WB to write: silence becomes comfort noise')
    .option('--json', 'print one JSON object')
    .action(async (input: string, output: string, options: TranscodeOptions & { json?: boolean }) => {
      const { json, ...rest } = options;
      const result = await transcode(input, output, rest);
      console.log(json ? JSON.stringify(result) : report(output, result));
      if (result.refused > 0) {
        console.error(
          `sidetone: ${result.refused} of ${result.payloads} payloads of ${input} are none of the encoding's; ` +
            'concealed sound stands in their place: is --from right? [SIDETONE_BAD_PAYLOAD]',
        );
      }
      process.exitCode = result.refused > 0 ? EXIT_FAILED : EXIT_OK;
    });
}

function report(output: string, { durationMs, fromRate, toRate, bytesWritten }: TranscodeResult): string {
  const rates = fromRate === toRate ? `${toRate} Hz` : `${fromRate} Hz to ${toRate} Hz`;
  return `${output}: ${(durationMs / 1000).toFixed(2)} s, ${rates}, ${bytesWritten} bytes`;
}
