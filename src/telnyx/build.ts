/**
 * Typed builders of stream requests. The mistakes that docs/mistakes.md lists do not typecheck here, or are put right.
 * The mode is always given, and target legs are `self` unless `both` is asked for. L16 has 16 kHz or more, and a rate
 * goes only with a codec that has it. client_state is encoded, and only commands that take a token have one. What types
 * cannot see (the address, the token's characters) is checked when the body is built.
 */
import { SidetoneError } from '../errors.js';
import { checkRequest, type Finding, type RequestKind } from './check.js';
import type { AnswerBody, Command, DialBody, StreamFields, StreamingStartBody } from './requests.js';

/** Who hears what the server plays: the leg that the command names, or both legs of a bridged call. */
export type Legs = 'self' | 'both';

interface To {
  /** Default `self`. */
  legs?: Legs;
}
/** Encodings whose rate is not a choice. */
type FixedRate = 'PCMU' | 'PCMA' | 'G722' | 'AMR-WB';
/** MP3 files are played; raw audio is not. Also right for a stream that only listens. */
export type Mp3 = { mode: 'mp3' } & To;
/** How audio is played into the call, where the command has a sampling rate. Rates in Hz. */
export type Outbound =
  | Mp3
  | ({ mode: 'rtp'; encoding: FixedRate; sampleRate?: never } & To)
  /** Telnyx's default rate is 8000. 24000 and 48000 are in its SDK and not in its guide. */
  | ({ mode: 'rtp'; encoding: 'OPUS'; sampleRate?: 8000 | 16000 | 24000 | 48000 } & To)
  /** Default 16000, the only rate in Telnyx's guide; its SDK has the others. */
  | ({ mode: 'rtp'; encoding: 'L16'; sampleRate?: 16000 | 22050 | 24000 | 48000 } & To);
/** How audio is played into the call where the command has no sampling rate: without L16, which would be 8000 Hz. */
export type OutboundOnAnswer = Mp3 | ({ mode: 'rtp'; encoding: FixedRate | 'OPUS'; sampleRate?: never } & To);

/** Where Telnyx opens the WebSocket. */
export type Address =
  | { url: `wss://${string}`; local?: false }
  /** `local` lets through an unencrypted or private address, which Telnyx itself cannot or should not use: for tests. */
  | { url: `wss://${string}` | `ws://${string}`; local: true };

type Common = Address & {
  /** What the server hears: the caller (default), or both parties. */
  track?: 'inbound' | 'both';
  /** Wanted codec of what the server hears; the call's own where Telnyx cannot transcode. */
  inboundEncoding?: StreamFields['stream_codec'];
  /** Any text or bytes; comes back in webhooks and in `start`, as base64. */
  clientState?: string | Uint8Array;
  /** Telnyx ignores a second command with the same id for the same call. */
  commandId?: string;
};
interface Token {
  /** Up to 4,000 printable ASCII characters. */
  authToken?: string;
}

/** What `buildStreamingStart()` takes: a stream to a WebSocket, or to Dialogflow. */
export type StreamingStartRequest =
  | (Common &
      Token & {
        /** Default RTP with PCMU to the leg itself. */
        outbound?: Outbound;
        /** Arrive in `start.custom_parameters`. */
        customParameters?: Readonly<Record<string, string>>;
        dialogflow?: never;
      })
  | {
      /** Streams to the connection's Dialogflow agent instead of a WebSocket. */
      dialogflow: { analyzeSentiment?: boolean; partialAutomatedAgentReply?: boolean };
      /** Any text or bytes; comes back in webhooks, as base64. */
      clientState?: string | Uint8Array;
      /** Telnyx ignores a second command with the same id for the same call. */
      commandId?: string;
      url?: never;
    };
/** What `buildAnswer()` takes. `outbound`: default RTP with PCMU to the leg itself. */
export type AnswerRequest = Common & { outbound?: OutboundOnAnswer };
/** What `buildDial()` takes. */
export type DialRequest = Common &
  Token & {
    /** Default RTP with PCMU to the leg itself. */
    outbound?: Outbound;
    /** Id of the Call Control application that dials. */
    connectionId: string;
    /** Number that is shown to whoever is called, in E.164 form (`+13122010094`). */
    from: string;
    /** Number or SIP address, or several that ring at the same time. */
    to: string | string[];
    /** The command's other fields, as on the wire. */
    more?: Readonly<Record<string, unknown>>;
  };

function base64(state: string | Uint8Array): string {
  return Buffer.from(state as Uint8Array).toString('base64');
}

function sampleRateOf(outbound: Outbound): StreamingStartBody['stream_bidirectional_sampling_rate'] {
  if (outbound.mode === 'mp3') return undefined;
  if (outbound.encoding === 'AMR-WB') return 16000;
  if (outbound.encoding === 'L16') return outbound.sampleRate ?? 16000;
  return outbound.sampleRate;
}

function streamFields(request: Common & { outbound?: Outbound }): StreamFields {
  const outbound: Outbound = request.outbound ?? { mode: 'rtp', encoding: 'PCMU' };
  const { inboundEncoding, clientState, commandId } = request;
  return {
    stream_url: request.url,
    stream_track: request.track === 'both' ? 'both_tracks' : 'inbound_track',
    stream_bidirectional_mode: outbound.mode,
    ...(outbound.mode === 'rtp' && { stream_bidirectional_codec: outbound.encoding }),
    stream_bidirectional_target_legs: outbound.legs ?? 'self',
    ...(inboundEncoding !== undefined && { stream_codec: inboundEncoding }),
    ...(clientState !== undefined && { client_state: base64(clientState) }),
    ...(commandId !== undefined && { command_id: commandId }),
  };
}

function rateAndToken(request: Token & { outbound?: Outbound }): StreamingStartBody {
  const rate = request.outbound && sampleRateOf(request.outbound);
  return {
    ...(rate !== undefined && { stream_bidirectional_sampling_rate: rate }),
    ...(request.authToken !== undefined && { stream_auth_token: request.authToken }),
  };
}

const LOCAL: readonly Finding['code'][] = ['url_plaintext', 'url_unreachable'];

/** Findings about what works but is not promised: a caller who names the rate has read so in its type. */
const ALLOWED: readonly Finding['code'][] = ['rate_outside_guide'];

/** Throws for anything the checker finds; callers without types, and what types cannot see, end here. */
export function refuseFindings(request: unknown, kind: RequestKind, local: boolean): void {
  for (const finding of checkRequest(request, { for: kind })) {
    if (ALLOWED.includes(finding.code) || (local && LOCAL.includes(finding.code))) continue;
    throw new SidetoneError(
      'SIDETONE_BAD_OPTION',
      `${finding.field} = ${JSON.stringify(finding.value)}: ${finding.problem}; ${finding.remedy}`,
    );
  }
}

function built<Body>(body: Body, kind: Command, request: { local?: boolean }): Body {
  refuseFindings(body, kind, request.local === true);
  return body;
}

/**
 * Body of `streaming_start`. @throws SIDETONE_BAD_OPTION naming the wire's field, its value and the remedy.
 */
export function buildStreamingStart(request: StreamingStartRequest): StreamingStartBody {
  if (request.dialogflow) {
    const { analyzeSentiment, partialAutomatedAgentReply } = request.dialogflow;
    const body: StreamingStartBody = {
      enable_dialogflow: true,
      dialogflow_config: {
        ...(analyzeSentiment !== undefined && { analyze_sentiment: analyzeSentiment }),
        ...(partialAutomatedAgentReply !== undefined && {
          partial_automated_agent_reply: partialAutomatedAgentReply,
        }),
      },
      ...(request.clientState !== undefined && { client_state: base64(request.clientState) }),
      ...(request.commandId !== undefined && { command_id: request.commandId }),
    };
    return built(body, 'streaming_start', {});
  }
  const parameters = Object.entries(request.customParameters ?? {});
  return built(
    {
      ...streamFields(request),
      ...rateAndToken(request),
      ...(parameters.length > 0 && {
        custom_parameters: parameters.map(([name, value]) => ({ name, value })),
      }),
    },
    'streaming_start',
    request,
  );
}

/** Body of `answer`, which starts the stream with the call. @throws SIDETONE_BAD_OPTION as above. */
export function buildAnswer(request: AnswerRequest): AnswerBody {
  return built({ ...streamFields(request) }, 'answer', request);
}

/** Body of `dial`. @throws SIDETONE_BAD_OPTION as above. */
export function buildDial(request: DialRequest): DialBody {
  const body: DialBody = {
    ...request.more,
    connection_id: request.connectionId,
    from: request.from,
    to: request.to,
    ...streamFields(request),
    ...rateAndToken(request),
  };
  return built(body, 'dial', request);
}
