/** Files from one encoding to another, through the same codecs as the server's; memory does not grow with the file. */
import { realpathSync, rmSync, statSync } from 'node:fs';
import { StreamResampler } from '../audio/resampler.js';
import { SidetoneError } from '../errors.js';
import { resolveFormats, type TranscodeOptions } from './options.js';
import { openSink, type Sink } from './sinks.js';
import { openSource, type Source } from './sources.js';

export interface TranscodeResult {
  /** Of the sound that was written, in ms. */
  durationMs: number;
  fromRate: number;
  toRate: number;
  /** Payloads that were read, and those of them that the decoder refused: they are concealed. 0 for a WAV. */
  payloads: number;
  refused: number;
  bytesWritten: number;
}

/**
 * Reads `input` as `options.from` says, or as its name does, and writes `output`. What has been written of `output` is
 * removed where it fails.
 * @throws SidetoneError SIDETONE_BAD_OPTION, SIDETONE_BAD_ARGUMENT (files), SIDETONE_BAD_PAYLOAD (a file that is damaged
 * in its structure), SIDETONE_CODEC_UNAVAILABLE
 */
export async function transcode(
  input: string,
  output: string,
  options: TranscodeOptions = {},
): Promise<TranscodeResult> {
  const { from, to } = resolveFormats(input, output, options);
  mustDiffer(input, output);
  const source = await openSource(input, from, options);
  try {
    const sink = await openSink(output, to, options, source.sampleRate);
    try {
      return await pump(source, sink);
    } catch (error) {
      if (statSync(output).isFile()) rmSync(output);
      throw error;
    } finally {
      await sink.close();
    }
  } finally {
    await source.close();
  }
}

async function pump(source: Source, sink: Sink): Promise<TranscodeResult> {
  const toRate = sink.sampleRate ?? source.sampleRate;
  const resampler = toRate === source.sampleRate ? undefined : new StreamResampler(source.sampleRate, toRate);
  let samples = 0;
  const write = (pcm: Int16Array): Promise<void> => {
    samples += pcm.length;
    return sink.write(pcm);
  };
  for await (const pcm of source.pcm()) await write(resampler ? resampler.process(pcm) : pcm);
  if (resampler) await write(resampler.flush());
  await sink.finish();
  return {
    durationMs: (samples / toRate) * 1000,
    fromRate: source.sampleRate,
    toRate,
    payloads: source.counts.payloads,
    refused: source.counts.refused,
    bytesWritten: sink.bytes,
  };
}

/** The output is emptied first, so the input must be another file. */
function mustDiffer(input: string, output: string): void {
  let same = false;
  try {
    same = realpathSync(input) === realpathSync(output) && statSync(input).isFile();
  } catch {
    return; // one of them is not there: opening says so
  }
  if (same) throw new SidetoneError('SIDETONE_BAD_OPTION', `OUT: ${output}: is IN: give it another name`);
}
