/** The frames of one simulated call as Telnyx writes them. */
import {
  AUTH_TOKEN_HEADER,
  type ConnectedFrame,
  type DtmfFrame,
  type ErrorFrame,
  type MarkFrame,
  type MediaFrame,
  type StartFrame,
  type StopFrame,
  TELNYX_ERRORS,
  type TelnyxErrorCode,
  type Track,
} from '../telnyx/frames.js';
import type { ResolvedCallOptions } from './options.js';

type Options = ResolvedCallOptions;

export function connectedFrame({ authToken }: Options): ConnectedFrame {
  return {
    event: 'connected',
    version: '1.0.0',
    ...(authToken !== undefined && { connected: { [AUTH_TOKEN_HEADER]: authToken } }),
  };
}

export function startFrame(options: Options, sequence: string): StartFrame {
  return {
    event: 'start',
    sequence_number: sequence,
    stream_id: options.streamId,
    start: {
      user_id: options.userId,
      call_control_id: options.callControlId,
      call_session_id: options.callSessionId,
      from: options.from,
      to: options.to,
      ...(options.tags && { tags: [...options.tags] }),
      ...(options.clientState !== undefined && { client_state: options.clientState }),
      ...(options.customParameters && { custom_parameters: { ...options.customParameters } }),
      media_format: { encoding: options.encoding, sample_rate: options.sampleRate, channels: 1 },
    },
  };
}

interface Media {
  track: Track;
  chunk: number;
  timestamp: number;
  payload: Uint8Array;
}

export function mediaFrame({ streamId }: Options, sequence: string, media: Media): MediaFrame {
  const { track, chunk, timestamp, payload } = media;
  return {
    event: 'media',
    sequence_number: sequence,
    stream_id: streamId,
    media: {
      track,
      chunk: String(chunk),
      timestamp: String(timestamp),
      payload: Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('base64'),
    },
  };
}

export function dtmfFrame({ streamId }: Options, sequence: string, digit: string, occurred: Date): DtmfFrame {
  return {
    event: 'dtmf',
    stream_id: streamId,
    occurred_at: occurred.toISOString(),
    sequence_number: sequence,
    dtmf: { digit },
  };
}

export function markFrame({ streamId }: Options, sequence: string, name: string): MarkFrame {
  return { event: 'mark', sequence_number: sequence, stream_id: streamId, mark: { name } };
}

export function stopFrame({ streamId, userId, callControlId }: Options, sequence: string): StopFrame {
  return {
    event: 'stop',
    sequence_number: sequence,
    stream_id: streamId,
    stop: { user_id: userId, call_control_id: callControlId },
  };
}

export function errorFrame({ streamId }: Options, code: TelnyxErrorCode, detail: string): ErrorFrame {
  return { event: 'error', stream_id: streamId, payload: { code, title: TELNYX_ERRORS[code], detail } };
}
