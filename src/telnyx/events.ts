/** Telnyx's webhook events: their types, and how the bytes of a genuine delivery become one. Unknown fields stay in `payload`. */
import { createHash } from 'node:crypto';
import { isObject } from '../objects.js';

interface EventBase {
  /**
   * Telnyx's id of the event: the same in every delivery of it. Form-encoded callbacks have none; theirs is made of the
   * body, and begins with `body:`.
   */
  id: string;
  /** ISO 8601. */
  occurredAt?: string;
  /** As it came, in Telnyx's names; everything that is not spelt out below. */
  payload: Readonly<Record<string, unknown>>;
}
interface CallEventBase extends EventBase {
  /** The call, as `stream.call.callControlId` names it. */
  callControlId: string;
  /** Telnyx's id of this leg; the same in all events of it. */
  callLegId?: string;
  /** Telnyx's id of the session; legs that are bridged share one. */
  callSessionId?: string;
  /** Id of the connection or Call Control application. */
  connectionId?: string;
  /** Base64. */
  clientState?: string;
}
/** A call begins: somebody calls, or this account dials. */
export interface CallInitiatedEvent extends CallEventBase {
  /** Discriminates the union {@link WebhookEvent}. */
  type: 'call.initiated';
  /** `incoming` is somebody calling a Telnyx number: it rings until it is answered. */
  direction?: 'incoming' | 'outgoing';
  /** Number or SIP address of the caller. */
  from?: string;
  /** Number or SIP address that was called. */
  to?: string;
}
/** A call was answered. */
export interface CallAnsweredEvent extends CallEventBase {
  /** Discriminates the union {@link WebhookEvent}. */
  type: 'call.answered';
  /** Number or SIP address of the caller. */
  from?: string;
  /** Number or SIP address that was called. */
  to?: string;
  /** ISO 8601. */
  startTime?: string;
}
/** Two calls were joined. */
export interface CallBridgedEvent extends CallEventBase {
  /** Discriminates the union {@link WebhookEvent}. */
  type: 'call.bridged';
  /** Number or SIP address of the caller. */
  from?: string;
  /** Number or SIP address that was called. */
  to?: string;
}
/** What one direction of a call was like on the network; Telnyx sends the figures as text. */
export interface CallQuality {
  /** Mean opinion score, 1 to 5. */
  mos?: number;
  /** RTP packets. */
  packetCount?: number;
  /** Packets that never came. */
  skipPacketCount?: number;
  /** Largest variance of the jitter, as Telnyx measures it. */
  jitterMaxVariance?: number;
  /** Packets that had jitter. */
  jitterPacketCount?: number;
}
/** A call has ended. */
export interface CallHangupEvent extends CallEventBase {
  /** Discriminates the union {@link WebhookEvent}. */
  type: 'call.hangup';
  /** Such as `normal_clearing`, `user_busy`, `time_limit`. */
  hangupCause?: string;
  /** Who ended it: `caller`, `callee` or `unknown`. */
  hangupSource?: string;
  /** SIP response code, such as `404`. */
  sipHangupCause?: string;
  /** Number or SIP address of the caller. */
  from?: string;
  /** Number or SIP address that was called. */
  to?: string;
  /** ISO 8601. */
  startTime?: string;
  /** `inbound` is what Telnyx received, `outbound` what it sent. */
  callQualityStats?: { inbound?: CallQuality; outbound?: CallQuality };
}
/** The caller pressed a key. */
export interface CallDtmfReceivedEvent extends CallEventBase {
  /** Discriminates the union {@link WebhookEvent}. */
  type: 'call.dtmf.received';
  /** One of 0 to 9, A to D, * and #. */
  digit?: string;
  /** Number or SIP address of the caller. */
  from?: string;
  /** Number or SIP address that was called. */
  to?: string;
}
/** Answering machine detection. */
export interface CallMachineEvent extends CallEventBase {
  /** Discriminates the union {@link WebhookEvent}. */
  type:
    | 'call.machine.detection.ended'
    | 'call.machine.greeting.ended'
    | 'call.machine.premium.detection.ended'
    | 'call.machine.premium.greeting.ended';
  /**
   * A detection gives `human`, `machine`, `not_sure`. A premium detection gives `human_residence`, `human_business`,
   * `machine`, `silence`, `fax_detected`, `not_sure`. A greeting gives `beep_detected`, `ended`, `not_sure`; a premium
   * one `beep_detected`, `no_beep_detected`. A value that is not listed comes as it is.
   */
  result?: string;
  /** Number or SIP address of the caller. */
  from?: string;
  /** Number or SIP address that was called. */
  to?: string;
}
/** A recording of the call can be fetched. */
export interface CallRecordingSavedEvent extends CallEventBase {
  /** The event's type. */
  type: 'call.recording.saved';
  /** The recording, as the API names it. */
  recordingId?: string;
  /** One channel for both sides, or one for each. */
  channels?: 'single' | 'dual';
  /** Where it is, for some minutes. */
  recordingUrls?: { wav?: string; mp3?: string };
  /** ISO 8601. */
  recordingStartedAt?: string;
  /** ISO 8601. */
  recordingEndedAt?: string;
}
/** What streams of TeXML tell beside: their callbacks come form-encoded. */
interface StreamEventBase extends CallEventBase {
  /** The stream, as `stream.id` names it. */
  streamId?: string;
  /** Address that the stream was opened to. */
  streamUrl?: string;
  /** TeXML's `name` of the stream. */
  streamName?: string;
  /** TeXML only. */
  accountSid?: string;
}
/** A stream of a call has started. */
export interface StreamingStartedEvent extends StreamEventBase {
  /** Discriminates the union {@link WebhookEvent}. */
  type: 'streaming.started';
}
/** A stream of a call has stopped. */
export interface StreamingStoppedEvent extends StreamEventBase {
  /** Discriminates the union {@link WebhookEvent}. */
  type: 'streaming.stopped';
}
/** A stream of a call could not be started, or broke. */
export interface StreamingFailedEvent extends StreamEventBase {
  /** Discriminates the union {@link WebhookEvent}. */
  type: 'streaming.failed';
  /** Such as `connection_failed`; TeXML's `StreamError`. */
  failureReason?: string;
  /** What the stream was opened to. */
  streamType?: 'websocket' | 'dialogflow';
  /** The track that was asked for, such as `inbound_track`. */
  streamTrack?: string;
}
/** Any other event; `eventType` is Telnyx's name for it, or `unknown`. */
export interface OtherEvent extends EventBase {
  /** Discriminates the union {@link WebhookEvent}. */
  type: 'other';
  /** Such as `call.playback.ended`. */
  eventType: string;
  /** The call, where the event has one. */
  callControlId?: string;
}
/** An event of Telnyx; `type` tells which. */
export type WebhookEvent =
  | CallInitiatedEvent
  | CallAnsweredEvent
  | CallBridgedEvent
  | CallHangupEvent
  | CallDtmfReceivedEvent
  | CallMachineEvent
  | CallRecordingSavedEvent
  | StreamingStartedEvent
  | StreamingStoppedEvent
  | StreamingFailedEvent
  | OtherEvent;

/** An event that belongs to a call. */
export type CallEvent = Exclude<WebhookEvent, OtherEvent> | (OtherEvent & { callControlId: string });

type Fields = Readonly<Record<string, unknown>>;
const text = (fields: Fields, key: string): string | undefined =>
  typeof fields[key] === 'string' ? fields[key] : undefined;

/** Copies what is there: wire name to property. */
function pick<T extends string>(fields: Fields, names: Readonly<Record<string, T>>): { [K in T]?: string } {
  const picked: { [K in T]?: string } = {};
  for (const [wire, name] of Object.entries(names) as [string, T][]) {
    const value = text(fields, wire);
    if (value !== undefined) picked[name] = value;
  }
  return picked;
}

const CALL = {
  call_leg_id: 'callLegId',
  call_session_id: 'callSessionId',
  connection_id: 'connectionId',
  client_state: 'clientState',
} as const;
const PARTIES = { from: 'from', to: 'to' } as const;
const STREAM = { stream_id: 'streamId', stream_url: 'streamUrl' } as const;
const QUALITY = {
  mos: 'mos',
  packet_count: 'packetCount',
  skip_packet_count: 'skipPacketCount',
  jitter_max_variance: 'jitterMaxVariance',
  jitter_packet_count: 'jitterPacketCount',
} as const;

/** Numbers, written as such or as text; what is neither is left out. */
function quality(fields: unknown): CallQuality | undefined {
  if (!isObject(fields)) return undefined;
  const figures: CallQuality = {};
  for (const [wire, name] of Object.entries(QUALITY)) {
    const value = fields[wire];
    const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
    if (typeof number === 'number' && Number.isFinite(number)) figures[name] = number;
  }
  return figures;
}

function qualityStats(stats: unknown): CallHangupEvent['callQualityStats'] {
  if (!isObject(stats)) return undefined;
  const inbound = quality(stats.inbound);
  const outbound = quality(stats.outbound);
  return { ...(inbound && { inbound }), ...(outbound && { outbound }) };
}

/** The same for the same bytes, and for no others. */
function idOf(body: Uint8Array): string {
  return `body:${createHash('sha256').update(body).digest('base64url')}`;
}

/**
 * Reads a body that is known to be Telnyx's, whatever it is: JSON, or the form of TeXML's callbacks, told apart by what
 * they look like. An event that is not known is `other`; undefined where the bytes are neither JSON nor a form.
 */
export function readEvent(body: Uint8Array): WebhookEvent | undefined {
  const written = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
  let parsed: unknown;
  try {
    parsed = JSON.parse(written);
  } catch {
    return readForm(written, body);
  }
  return isObject(parsed) ? readJson(parsed, body) : undefined;
}

function readJson(parsed: Fields, body: Uint8Array): WebhookEvent {
  const data = isObject(parsed.data) ? parsed.data : parsed;
  const id = text(data, 'id') ?? idOf(body);
  const payload = isObject(data.payload) ? data.payload : data;
  const type = text(data, 'event_type') ?? 'unknown';
  const occurredAt = text(data, 'occurred_at');
  const base = { id, payload, ...(occurredAt !== undefined && { occurredAt }) };
  const callControlId = text(payload, 'call_control_id');
  if (callControlId === undefined) return { ...base, type: 'other', eventType: type };
  const call = { ...base, callControlId, ...pick(payload, CALL) };
  switch (type) {
    case 'call.initiated': {
      const direction = text(payload, 'direction');
      const known = direction === 'incoming' || direction === 'outgoing';
      return { ...call, type, ...pick(payload, PARTIES), ...(known && { direction }) };
    }
    case 'call.answered':
      return { ...call, type, ...pick(payload, { ...PARTIES, start_time: 'startTime' }) };
    case 'call.bridged':
      return { ...call, type, ...pick(payload, PARTIES) };
    case 'call.dtmf.received':
      return { ...call, type, ...pick(payload, { ...PARTIES, digit: 'digit' }) };
    case 'call.machine.detection.ended':
    case 'call.machine.greeting.ended':
    case 'call.machine.premium.detection.ended':
    case 'call.machine.premium.greeting.ended':
      return { ...call, type, ...pick(payload, { ...PARTIES, result: 'result' }) };
    case 'call.recording.saved': {
      const channels = text(payload, 'channels');
      const known = channels === 'single' || channels === 'dual';
      const urls = payload.recording_urls;
      const names = {
        recording_id: 'recordingId',
        recording_started_at: 'recordingStartedAt',
        recording_ended_at: 'recordingEndedAt',
      } as const;
      return {
        ...call,
        type,
        ...pick(payload, names),
        ...(known && { channels }),
        ...(isObject(urls) && { recordingUrls: pick(urls, { wav: 'wav', mp3: 'mp3' }) }),
      };
    }
    case 'call.hangup': {
      const names = {
        ...PARTIES,
        hangup_cause: 'hangupCause',
        hangup_source: 'hangupSource',
        sip_hangup_cause: 'sipHangupCause',
        start_time: 'startTime',
      } as const;
      const callQualityStats = qualityStats(payload.call_quality_stats);
      return { ...call, type, ...pick(payload, names), ...(callQualityStats && { callQualityStats }) };
    }
    case 'streaming.started':
    case 'streaming.stopped':
      return { ...call, type, ...pick(payload, STREAM) };
    case 'streaming.failed': {
      const params = isObject(payload.stream_params) ? payload.stream_params : {};
      const streamType = text(payload, 'stream_type');
      const known = streamType === 'websocket' || streamType === 'dialogflow';
      return {
        ...call,
        type,
        ...pick(payload, { failure_reason: 'failureReason', stream_id: 'streamId' }),
        // The SDK's types call the second one `track`, the page's example `stream_track`.
        ...pick(params, { stream_url: 'streamUrl', track: 'streamTrack' }),
        ...pick(params, { stream_track: 'streamTrack' }),
        ...(known && { streamType }),
      };
    }
    default:
      return { ...base, type: 'other', eventType: type, callControlId };
  }
}

/** TeXML's names of stream events. One page of Telnyx's calls the failure `stream-error`. */
const STREAM_EVENTS = new Map([
  ['stream-started', 'streaming.started'],
  ['stream-stopped', 'streaming.stopped'],
  ['stream-failed', 'streaming.failed'],
  ['stream-error', 'streaming.failed'],
] as const);
const FORM = {
  CallSidLegacy: 'callLegId',
  CallSessionId: 'callSessionId',
  StreamSid: 'streamId',
  StreamName: 'streamName',
  AccountSid: 'accountSid',
} as const;

function readForm(written: string, body: Uint8Array): WebhookEvent | undefined {
  // A name, and only what urlencoded text holds.
  if (!/^[\w.%+*\-[\]]+=[^\s<>"{}\\^`]*$/.test(written)) return undefined;
  // Names are the sender's: a prototype would take __proto__ for one of its own.
  const payload: Record<string, string> = Object.create(null);
  for (const [name, value] of new URLSearchParams(written)) payload[name] ??= value;
  const occurredAt = payload.Timestamp;
  const base = { id: idOf(body), payload, ...(occurredAt !== undefined && { occurredAt }) };
  const callControlId = payload.CallSid || undefined;
  const named = payload.StreamEvent;
  const type = STREAM_EVENTS.get(named as 'stream-started');
  if (type === undefined || callControlId === undefined) {
    const eventType = named || payload.CallbackSource || payload.CallStatus || 'unknown';
    return { ...base, type: 'other', eventType, ...(callControlId !== undefined && { callControlId }) };
  }
  const stream = { ...base, callControlId, ...pick(payload, FORM) };
  if (type !== 'streaming.failed') return { ...stream, type };
  return { ...stream, type, ...pick(payload, { StreamError: 'failureReason' }) };
}
