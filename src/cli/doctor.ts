/** `sidetone doctor`: what the audio of a capture really is, and what a machine lacks for a server. */
import { type Command, InvalidArgumentError } from 'commander';
import { diagnose } from '../doctor/doctor.js';
import type { AudioFacts, Diagnosis, TrackFacts } from '../doctor/findings.js';
import { thisMachine } from '../doctor/machine.js';
import { checkMachine, type MachineCheck } from '../doctor/machine-checks.js';
import { SidetoneError } from '../errors.js';
import { CODECS, ENCODINGS, type Format, isEncoding } from '../formats.js';
import { EXIT_FAILED, EXIT_OK } from './exit.js';
import { counted, numberArgument } from './values.js';

interface DoctorFlags {
  outboundCodec?: Format;
  json?: boolean;
  machine?: boolean;
  streams: number;
  port: number;
}

export function register(program: Command): void {
  program
    .command('doctor')
    .description(
      'say what the audio of a capture really is, or what this machine lacks for a server, and what to change',
    )
    .argument('[capture]', 'a file of sidetone serve --capture')
    .option(
      '--outbound-codec <encoding[@rate]>',
      'what stream_bidirectional_codec was (default: what the server took it for)',
      format,
    )
    .option('--machine', 'look at this machine in place of a capture')
    .option(
      '--streams <n>',
      'with --machine: streams at a time',
      numberArgument({ min: 1, max: 1e6, whole: true }),
      1000,
    )
    .option(
      '--port <n>',
      'with --machine: port that the server is to listen on',
      numberArgument({ min: 0, max: 65_535, whole: true }),
      8080,
    )
    .option('--json', 'print one JSON object')
    .action(async (capture: string | undefined, flags: DoctorFlags) => {
      if ((capture === undefined) !== (flags.machine === true)) {
        const problem = `doctor: ${capture ?? '(no capture)'}: give either the file of a capture, or --machine`;
        throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
      }
      if (capture === undefined) return machine(flags);
      const { outboundCodec } = flags;
      const diagnosis = await diagnose(capture, outboundCodec ? { outbound: outboundCodec } : {});
      process.stdout.write(flags.json ? `${JSON.stringify(diagnosis)}\n` : report(diagnosis));
      process.exitCode = diagnosis.healthy ? EXIT_OK : EXIT_FAILED;
    });
}

/** Exit code 1 where the server would not start, or would fail with so many streams. */
function machine({ streams, port, json }: DoctorFlags): void {
  const checks = checkMachine(thisMachine(), { streams, port });
  const fit = checks.every(({ severity }) => severity !== 'error');
  process.stdout.write(json ? `${JSON.stringify({ fit, checks })}\n` : machineReport(checks, fit));
  process.exitCode = fit ? EXIT_OK : EXIT_FAILED;
}

function machineReport(checks: readonly MachineCheck[], fit: boolean): string {
  const width = Math.max(...checks.map(({ name }) => name.length)) + 2;
  const indent = ' '.repeat(9 + width);
  const lines = checks.flatMap(({ severity, name, value, wanted, why, remedy }) => [
    `${severity.padEnd(9)}${name.padEnd(width)}${value} (wanted: ${wanted})`,
    ...(remedy === null ? [] : [`${indent}why:    ${why}`, `${indent}remedy: ${remedy}`]),
  ]);
  const warnings = checks.filter(({ severity }) => severity === 'warning').length;
  const verdict = fit
    ? `fit for a server${warnings > 0 ? `, with ${counted(warnings, 'warning')}` : ''}`
    : 'not fit for a server';
  return [...lines, '', verdict, ''].join('\n');
}

function format(value: string): Format {
  const [encoding, rateText] = value.split('@');
  if (!isEncoding(encoding)) {
    throw new InvalidArgumentError(`${value} is not one of ${ENCODINGS.join(', ')}, with or without @rate.`);
  }
  const sampleRate = rateText === undefined ? CODECS[encoding].announcedRates[0]! : Number(rateText);
  if (!CODECS[encoding].announcedRates.includes(sampleRate)) {
    throw new InvalidArgumentError(`${encoding} comes at ${CODECS[encoding].announcedRates.join(', ')} Hz.`);
  }
  return { encoding, sampleRate };
}

function report({ streamId, durationMs, inbound, outbound, server, findings, healthy }: Diagnosis): string {
  const lines = [`stream     ${streamId ?? '(no start)'}, ${(durationMs / 1000).toFixed(1)} s`];
  if (inbound) lines.push(...track('inbound', inbound));
  if (outbound) lines.push(...track('outbound', outbound));
  if (server) lines.push(...audio('server', server));
  for (const finding of findings) {
    const { severity, confidence, what, evidence, field, remedy } = finding;
    lines.push(
      '',
      `${severity.padEnd(10)} ${what}${confidence === 'likely' ? ' (likely)' : ''}`,
      `           evidence: ${evidence}`,
      ...(field === null ? [] : [`           field:    ${field}`]),
      `           remedy:   ${remedy}`,
    );
  }
  lines.push('', healthy ? `healthy${findings.length > 0 ? ', with notes' : ''}` : 'not healthy', '');
  return lines.join('\n');
}

/** One step of 16 bits is -90 dBFS. */
const level = (dbfs: number | undefined): string =>
  dbfs === undefined || dbfs < -100 ? 'digital silence' : `${dbfs} dBFS`;

function audio(label: string, facts: AudioFacts): string[] {
  const { declared, actual, messages, audioMs, ptimeMs, speechDbfs, noiseFloorDbfs } = facts;
  const levels =
    speechDbfs === undefined
      ? []
      : [`           speech ${level(speechDbfs)}, noise floor ${level(noiseFloorDbfs)}`];
  return [
    `${label.padEnd(10)} ${declared}${actual === declared ? '' : `, really ${actual}`}`,
    `           ${messages} messages, ${(audioMs / 1000).toFixed(1)} s of audio${ptimeMs ? `, ${ptimeMs} ms each` : ''}`,
    ...levels,
  ];
}

function track(label: string, facts: TrackFacts): string[] {
  const { lost, reordered, duplicates, timestampUnit, timestampClockHz, chunkOrigin, chunkCounting } = facts;
  const clock =
    timestampUnit === 'ms' ? 'ms' : timestampClockHz ? `RTP at ${timestampClockHz} Hz` : 'unknown';
  const counting = chunkCounting ? ` a ${chunkCounting}` : '';
  return [
    ...audio(label, facts),
    `           ${lost} lost, ${reordered} late, ${duplicates} twice; longest pause ${facts.longestPauseMs} ms`,
    `           timestamps: ${clock}; chunks from ${chunkOrigin}${counting}`,
  ];
}
