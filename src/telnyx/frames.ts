/**
 * The frames of Telnyx Media Streaming, version 1.0.0, as they stand on the wire (hence snake_case).
 * Seven go from Telnyx to the application, three from the application to Telnyx.
 */
import type { Encoding } from '../formats.js';

/** Which leg's audio: the caller's voice is `inbound`. */
export type Track = 'inbound' | 'outbound';

/** As `start` announces it. */
export interface MediaFormat {
  /** Of the payloads. */
  encoding: Encoding;
  /** In Hz. The specification says 8000 or 16000; G722 says 8000, its RTP clock, and carries 16 kHz audio. */
  sample_rate: number;
  /** Always 1. */
  channels: 1;
}

export interface ConnectedFrame {
  event: 'connected';
  version: string;
  connected?: { 'x-telnyx-streaming-auth-token'?: string };
}

export interface StartFrame {
  event: 'start';
  /** Decimal digits: the sequence of all frames Telnyx sends on one WebSocket. */
  sequence_number: string;
  stream_id: string;
  start: {
    /** Telnyx's id of the account's user. */
    user_id: string;
    /** The call. */
    call_control_id: string;
    /** Telnyx's id of the session. */
    call_session_id?: string;
    /** Number or SIP address of the caller. */
    from?: string;
    /** Number or SIP address that was called. */
    to?: string;
    /** As they were given to Call Control. */
    tags?: string[];
    /** Base64, as it was passed through Call Control. */
    client_state?: string;
    /** As the request had them. */
    custom_parameters?: Record<string, string>;
    /** What Telnyx sends. */
    media_format: MediaFormat;
  };
}

export interface MediaFrame {
  event: 'media';
  sequence_number: string;
  stream_id: string;
  media: {
    track: Track;
    /** Decimal digits: number of the chunk, for reordering. Its origin (0 or 1) is not specified. */
    chunk: string;
    /** Decimal digits: RTP timestamp, in RTP clock units or in milliseconds (not specified). */
    timestamp: string;
    /** Base64 of the RTP payload, without the RTP header. */
    payload: string;
  };
}

export interface DtmfFrame {
  event: 'dtmf';
  sequence_number: string;
  stream_id: string;
  /** ISO 8601 time, from the telephony engine: orders digits that arrive out of order. */
  occurred_at?: string;
  dtmf: { digit: string };
}

export interface MarkFrame {
  event: 'mark';
  sequence_number: string;
  stream_id: string;
  mark: { name: string };
}

export interface StopFrame {
  event: 'stop';
  sequence_number: string;
  stream_id: string;
  stop: { user_id: string; call_control_id: string };
}

/** The error codes of the specification, with their titles. */
export const TELNYX_ERRORS = {
  100002: 'unknown_error',
  100003: 'malformed_frame',
  100004: 'invalid_media',
  100005: 'rate_limit_reached',
} as const;
export type TelnyxErrorCode = keyof typeof TELNYX_ERRORS;

export interface ErrorFrame {
  event: 'error';
  stream_id: string;
  /** Code and title are those of {@link TELNYX_ERRORS}; others are let through, for Telnyx may add some. */
  payload: { code: number; title: string; detail: string };
}

export type TelnyxFrame =
  | ConnectedFrame
  | StartFrame
  | MediaFrame
  | DtmfFrame
  | MarkFrame
  | StopFrame
  | ErrorFrame;

/** The header (lower case, as HTTP libraries give it) and the `connected` field that carry the auth token. */
export const AUTH_TOKEN_HEADER = 'x-telnyx-streaming-auth-token';
