/** `sidetone start`: starts streaming on a live call, after the same check as `sidetone check`. */
import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { SidetoneError } from '../errors.js';
import { ENCODINGS } from '../formats.js';
import { checkRequest, describeFinding, hasErrors } from '../telnyx/check.js';
import {
  BIDIRECTIONAL_MODES,
  BIDIRECTIONAL_RATES,
  type CustomParameter,
  STREAM_CODECS,
  STREAM_TRACKS,
  type StreamingStartBody,
  TARGET_LEGS,
} from '../telnyx/requests.js';
import { startStreaming, TelnyxError } from '../telnyx/rest.js';
import { EXIT_FAILED, EXIT_USAGE } from './exit.js';
import { numberArgument } from './values.js';

/** What commander makes of the options below: the wire's names in camelCase. */
interface StartArguments {
  streamUrl?: string;
  streamTrack?: string;
  streamCodec?: string;
  streamBidirectionalMode: string;
  streamBidirectionalCodec?: string;
  streamBidirectionalSamplingRate?: number;
  streamBidirectionalTargetLegs: string;
  streamAuthToken?: string;
  authTokenFile?: string;
  customParameters?: CustomParameter[];
  enableDialogflow?: boolean;
  analyzeSentiment?: boolean;
  partialAutomatedAgentReply?: boolean;
  clientState?: string;
  commandId?: string;
  announce: boolean;
  apiBase?: string;
  apiKeyFile?: string;
  retries: number;
  timeout: number;
  dryRun?: boolean;
  json?: boolean;
}

function collectParameter(text: string, list: CustomParameter[] = []): CustomParameter[] {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('write it as NAME=VALUE.');
  return [...list, { name: text.slice(0, at), value: text.slice(at + 1) }];
}

const wholeNumber = numberArgument({ min: 0, max: 999_999_999, whole: true });

function readToken(options: StartArguments): string | undefined {
  if (options.authTokenFile === undefined) return options.streamAuthToken;
  try {
    return readFileSync(options.authTokenFile, 'utf8').trim();
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? 'unreadable';
    const message = `--auth-token-file = ${JSON.stringify(options.authTokenFile)}: ${reason}; give a readable file`;
    throw new SidetoneError('SIDETONE_BAD_OPTION', message);
  }
}

/** The body. It holds only what was asked for, and the mode and legs without which a stream is not heard. */
function bodyOf(options: StartArguments): StreamingStartBody {
  const dialogflow = {
    ...(options.analyzeSentiment && { analyze_sentiment: true }),
    ...(options.partialAutomatedAgentReply && { partial_automated_agent_reply: true }),
  };
  const fields = {
    stream_url: options.streamUrl,
    stream_track: options.streamTrack,
    stream_codec: options.streamCodec,
    ...(options.streamUrl !== undefined && {
      stream_bidirectional_mode: options.streamBidirectionalMode,
      stream_bidirectional_target_legs: options.streamBidirectionalTargetLegs,
    }),
    stream_bidirectional_codec: options.streamBidirectionalCodec,
    stream_bidirectional_sampling_rate: options.streamBidirectionalSamplingRate,
    stream_auth_token: readToken(options),
    custom_parameters: options.customParameters,
    enable_dialogflow: options.enableDialogflow,
    dialogflow_config: Object.keys(dialogflow).length > 0 ? dialogflow : undefined,
    client_state: options.clientState,
    command_id: options.commandId,
  };
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  // The checker judges the values, and says more about a wrong one than a type could.
  return Object.fromEntries(given) as StreamingStartBody;
}

const print = (value: unknown): boolean => process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);

async function run(callControlId: string, options: StartArguments): Promise<void> {
  let body: StreamingStartBody;
  try {
    body = bodyOf(options);
  } catch (error) {
    fail(error, options);
    return;
  }
  const findings = checkRequest(body);
  if (!options.json) for (const finding of findings) process.stderr.write(`${describeFinding(finding)}\n`);
  if (hasErrors(findings)) {
    if (options.json) print({ ok: false, findings });
    process.exitCode = EXIT_USAGE;
    return;
  }
  if (options.dryRun) {
    const shown = body.stream_auth_token === undefined ? body : { ...body, stream_auth_token: '(hidden)' };
    print(options.json ? { ok: true, sent: false, body: shown, findings } : shown);
    return;
  }
  try {
    const { commandId, attempts, rateLimit } = await startStreaming(callControlId, body, {
      apiBase: options.apiBase,
      apiKeyFile: options.apiKeyFile,
      retriesMax: options.retries,
      timeoutMs: options.timeout * 1000,
      announce: options.announce,
    });
    if (options.json) {
      print({
        ok: true,
        call_control_id: callControlId,
        command_id: commandId,
        attempts,
        rateLimit,
        findings,
      });
    } else process.stdout.write(`streaming started on ${callControlId}, command_id ${commandId}\n`);
  } catch (error) {
    fail(error, options);
  }
}

/** Errors of the request and its options exit 2, those of Telnyx 1. Any other error is a fault of this program. */
function fail(error: unknown, options: StartArguments): void {
  if (!(error instanceof SidetoneError)) throw error;
  const isUsage = !(error instanceof TelnyxError) && error.code !== 'SIDETONE_PACKAGE_MISSING';
  process.exitCode = isUsage ? EXIT_USAGE : EXIT_FAILED;
  const facts = error instanceof TelnyxError ? error.facts : undefined;
  if (options.json) print({ ok: false, error: { code: error.code, message: error.message, ...facts } });
  else process.stderr.write(`sidetone start: ${error.message}\n`);
}

const oneOf = (list: readonly (string | number)[]): string => list.join(', ');

export function register(program: Command): void {
  program
    .command('start')
    .description("start streaming on a live call, through Telnyx's REST API")
    .argument('<call_control_id>', 'from the webhook, or from dial')
    .option('--url, --stream-url <url>', 'WebSocket address of the media server: wss://…')
    .option(
      '--track, --stream-track <track>',
      `what is streamed: ${oneOf(STREAM_TRACKS)} (Telnyx: inbound_track)`,
    )
    .option(
      '--inbound-codec, --stream-codec <codec>',
      `wanted codec of what is streamed: ${oneOf(STREAM_CODECS)}`,
    )
    .option(
      '--mode, --stream-bidirectional-mode <mode>',
      `how audio is played into the call: ${oneOf(BIDIRECTIONAL_MODES)}`,
      'rtp',
    )
    .option(
      '--codec, --stream-bidirectional-codec <codec>',
      `codec of that audio: ${oneOf(ENCODINGS)} (Telnyx: PCMU)`,
    )
    .option(
      '--sampling-rate, --stream-bidirectional-sampling-rate <hz>',
      `its rate: ${oneOf(BIDIRECTIONAL_RATES)} (Telnyx: 8000)`,
      wholeNumber,
    )
    .option(
      '--target-legs, --stream-bidirectional-target-legs <legs>',
      `who hears it: ${oneOf(TARGET_LEGS)}`,
      'self',
    )
    .addOption(
      new Option(
        '--auth-token, --stream-auth-token <token>',
        'sent on the upgrade; a file is safer: arguments are visible to others',
      )
        .env('SIDETONE_AUTH_TOKEN')
        // A server may have several tokens in this file, one a line. Any one of them lets a stream in.
        .argParser((text: string) => text.trim().split('\n', 1)[0]!.trim()),
    )
    .option('--auth-token-file <file>', 'a file that holds the token')
    .option(
      '--custom-parameter, --custom-parameters <name=value>',
      'arrives in start; may be repeated',
      collectParameter,
    )
    .option('--dialogflow, --enable-dialogflow', "stream to the connection's Dialogflow agent")
    .option('--analyze-sentiment', 'sentiment analysis by Dialogflow')
    .option('--partial-automated-agent-reply', 'partial automated agent replies by Dialogflow')
    .option('--client-state <base64>', 'comes back in webhooks and in start')
    .option('--command-id <id>', 'Telnyx carries a command with the same id out once (default: a new UUID)')
    .option('--no-announce', 'do not tell the server by a custom parameter what it is to send')
    .option('--api-key-file <file>', 'a file that holds the API key (default: TELNYX_API_KEY)')
    .option('--api-base <url>', 'base of the API, for a test double')
    .option('--retries <n>', 'how often 429 and 5xx are tried again', wholeNumber, 3)
    .option('--timeout <seconds>', 'how long one request may take', wholeNumber, 10)
    .option('--dry-run', 'check, show the body, send nothing')
    .option('--json', 'result as JSON')
    .action(run);
}
