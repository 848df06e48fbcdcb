/**
 * The bodies that start a stream through Call Control, as they stand on the wire (hence snake_case). `StreamingStartBody`
 * is the whole of the "Streaming start" page plus what Telnyx's own SDK adds to it; `AnswerBody` and `DialBody` hold the
 * fields that concern streams, and let their commands' other fields through.
 */
import { ENCODINGS, type Encoding } from '../formats.js';

export const STREAM_TRACKS = ['inbound_track', 'outbound_track', 'both_tracks'] as const;
export const BIDIRECTIONAL_MODES = ['mp3', 'rtp'] as const;
export const TARGET_LEGS = ['both', 'self', 'opposite'] as const;
/** In Hz; as the SDK's types list them. */
export const BIDIRECTIONAL_RATES = [8000, 16000, 22050, 24000, 48000] as const;
export const STREAM_CODECS = [...ENCODINGS, 'default'] as const;

/** Telnyx's limits, in characters. */
export const AUTH_TOKEN_MAX = 4000;
export const URL_MAX = 2000;

export type StreamTrack = (typeof STREAM_TRACKS)[number];
export type BidirectionalMode = (typeof BIDIRECTIONAL_MODES)[number];
export type TargetLegs = (typeof TARGET_LEGS)[number];
export type BidirectionalRate = (typeof BIDIRECTIONAL_RATES)[number];

/** One of `custom_parameters`. */
export interface CustomParameter {
  /** Not empty. */
  name: string;
  /** Any text. */
  value: string;
}

/** The fields that `streaming_start`, `answer` and `dial` share. */
export interface StreamFields {
  /** Address of the WebSocket server: `wss://…`. Required, except for a Dialogflow stream. */
  stream_url?: string;
  /** What is streamed; the caller's voice is `inbound_track`, the default. */
  stream_track?: StreamTrack;
  /** Codec of the streamed audio; where Telnyx cannot transcode, and by default, the call's own. */
  stream_codec?: (typeof STREAM_CODECS)[number];
  /** How audio is played into the call: MP3 files (the default) or RTP payloads. Without `rtp` raw audio is ignored. */
  stream_bidirectional_mode?: BidirectionalMode;
  /** Codec of the audio that is played into the call; counts in `rtp` mode only. Case-sensitive. Default PCMU. */
  stream_bidirectional_codec?: Encoding;
  /** Who hears it. The default, `opposite`, leaves the caller of an ordinary inbound call in silence. */
  stream_bidirectional_target_legs?: TargetLegs;
  /** Standard base64 with padding; comes back in every webhook and in `start`. */
  client_state?: string;
  /** Telnyx ignores a second command with the same id for the same call. */
  command_id?: string;
}

/** Body of `POST /v2/calls/{call_control_id}/actions/streaming_start`. */
export interface StreamingStartBody extends StreamFields {
  /** In Hz, of the audio that is played into the call; default 8000. L16 is normally 16000. */
  stream_bidirectional_sampling_rate?: BidirectionalRate;
  /** Sent on the upgrade as `x-telnyx-streaming-auth-token`, and again in `connected`; up to 4,000 characters. */
  stream_auth_token?: string;
  /** Arrive in `start.custom_parameters` as an object. */
  custom_parameters?: CustomParameter[];
  /** Streams to the connection's Dialogflow agent. Default false. */
  enable_dialogflow?: boolean;
  /** What Dialogflow is to do. */
  dialogflow_config?: {
    /** Sentiment analysis by Dialogflow. */
    analyze_sentiment?: boolean;
    /** Partial automated agent replies by Dialogflow. */
    partial_automated_agent_reply?: boolean;
  };
}

/** Body of `POST /v2/calls/{call_control_id}/actions/answer`: no token, no sampling rate, no custom parameters. */
export interface AnswerBody extends StreamFields {
  [field: string]: unknown;
}

/** Body of `POST /v2/calls`: as `streaming_start`, without custom parameters. */
export interface DialBody extends StreamFields {
  /** Id of the Call Control application that dials. */
  connection_id: string;
  /** Number that is shown to whoever is called. */
  from: string;
  /** Number or SIP address, or several. */
  to: string | string[];
  /** In Hz, of the audio that is played into the call. */
  stream_bidirectional_sampling_rate?: BidirectionalRate;
  /** Sent on the upgrade as `x-telnyx-streaming-auth-token`; up to 4,000 characters. */
  stream_auth_token?: string;
  /** Opens the WebSocket before the destination is dialled. */
  stream_establish_before_call_originate?: boolean;
  /** Streams to the connection's Dialogflow agent. Default false. */
  enable_dialogflow?: boolean;
  /** What Dialogflow is to do. */
  dialogflow_config?: StreamingStartBody['dialogflow_config'];
  [field: string]: unknown;
}

export type Command = 'streaming_start' | 'answer' | 'dial';
