/**
 * The events of the Realtime protocol, as its public documentation has them: those that the server sends, read, and those
 * that the client sends, written. Older names of an event are read as the newer one.
 */

/** A function that the model calls, or a message, in a conversation. */
export interface ConversationItem {
  id?: string;
  type?: string;
  role?: string;
  name?: string;
  call_id?: string;
  arguments?: string;
}

export interface TokenCounts {
  text_tokens?: number;
  audio_tokens?: number;
  cached_tokens?: number;
}

export interface Usage {
  total_tokens?: number;
  input_tokens?: number;
  output_tokens?: number;
  input_token_details?: TokenCounts;
  output_token_details?: TokenCounts;
}

/** What went wrong, as the service says it. */
export interface ServiceFault {
  type?: string;
  code?: string | null;
  message?: string;
  param?: string | null;
}

export interface ServiceResponse {
  id?: string;
  status?: string;
  status_details?: { type?: string; reason?: string; error?: ServiceFault } | null;
  output?: ConversationItem[];
  usage?: Usage | null;
  metadata?: Record<string, string> | null;
}

/** Any event but audio: of each type only some of the fields are there. */
export interface ServiceEvent {
  type: string;
  item_id?: string;
  response_id?: string;
  call_id?: string;
  name?: string;
  arguments?: string;
  delta?: string;
  transcript?: string;
  audio_start_ms?: number;
  audio_end_ms?: number;
  item?: ConversationItem;
  response?: ServiceResponse;
  error?: ServiceFault;
  rate_limits?: { name?: string; limit?: number; remaining?: number; reset_seconds?: number }[];
}

/** The names of before the protocol was generally available. */
const NEWER_NAMES: Readonly<Record<string, string>> = {
  'response.audio.delta': 'response.output_audio.delta',
  'response.audio.done': 'response.output_audio.done',
  'response.audio_transcript.delta': 'response.output_audio_transcript.delta',
  'response.audio_transcript.done': 'response.output_audio_transcript.done',
  'response.text.delta': 'response.output_text.delta',
  'response.text.done': 'response.output_text.done',
  'conversation.item.created': 'conversation.item.added',
};

/** Any message as an event, under its newer name; undefined for what is none. */
export function parseEvent(message: Buffer): ServiceEvent | undefined {
  let value: unknown;
  try {
    value = JSON.parse(message.toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const event = value as ServiceEvent;
  if (typeof event.type !== 'string') return undefined;
  event.type = NEWER_NAMES[event.type] ?? event.type;
  return event;
}

// --- what the client sends ---

/** An encoding as the protocol has it. */
export type WireFormat = { type: 'audio/pcmu' } | { type: 'audio/pcma' } | { type: 'audio/pcm'; rate: 24000 };

const OLDER_FORMATS = { 'audio/pcmu': 'g711_ulaw', 'audio/pcma': 'g711_alaw', 'audio/pcm': 'pcm16' } as const;

export interface ToolDescription {
  type: 'function';
  name: string;
  description: string;
  parameters: object;
}

export interface SessionSettings {
  model: string | undefined;
  voice: string | undefined;
  instructions: string | undefined;
  input: WireFormat;
  output: WireFormat;
  transcriptionModel: string | undefined;
  turnDetection: object | null;
  tools: readonly ToolDescription[];
}

/** `session.update` in the protocol's newer form, or in the one of before. */
export function sessionUpdate(settings: SessionSettings, protocol: 'ga' | 'beta'): string {
  const { model, voice, instructions, input, output, transcriptionModel, turnDetection, tools } = settings;
  const transcription = transcriptionModel === undefined ? null : { model: transcriptionModel };
  const session =
    protocol === 'ga'
      ? {
          type: 'realtime',
          model,
          output_modalities: ['audio'],
          instructions,
          audio: {
            input: { format: input, transcription, turn_detection: turnDetection },
            output: { format: output, voice },
          },
          tools,
        }
      : {
          modalities: ['audio', 'text'],
          instructions,
          voice,
          input_audio_format: OLDER_FORMATS[input.type],
          output_audio_format: OLDER_FORMATS[output.type],
          input_audio_transcription: transcription,
          turn_detection: turnDetection,
          tools,
        };
  return JSON.stringify({ type: 'session.update', session });
}

/** A message of the conversation, of the caller or of the model. */
export function messageItem(
  role: 'user' | 'assistant' | 'system',
  text: string,
  protocol: 'ga' | 'beta',
): string {
  const output = protocol === 'ga' ? 'output_text' : 'text';
  const content = [{ type: role === 'assistant' ? output : 'input_text', text }];
  return JSON.stringify({ type: 'conversation.item.create', item: { type: 'message', role, content } });
}

/** What a tool gave. */
export function toolOutput(callId: string, output: string): string {
  const item = { type: 'function_call_output', call_id: callId, output };
  return JSON.stringify({ type: 'conversation.item.create', item });
}

/** Asks for an answer to the conversation, with instructions for this one where they are given. */
export function responseCreate(instructions?: string): string {
  return JSON.stringify({ type: 'response.create', ...(instructions && { response: { instructions } }) });
}

/** What marks an answer that belongs to no conversation. */
export const ASIDE = { sidetone: 'aside' } as const;

/** Asks for a few words that are said and then forgotten. */
export function asideCreate(instructions: string): string {
  const response = { conversation: 'none', metadata: ASIDE, input: [], tool_choice: 'none', instructions };
  return JSON.stringify({ type: 'response.create', response });
}

export function responseCancel(): string {
  return '{"type":"response.cancel"}';
}

/** The caller has heard `audioEndMs` of an item's audio and no more. */
export function itemTruncate(itemId: string, audioEndMs: number): string {
  const event = {
    type: 'conversation.item.truncate',
    item_id: itemId,
    content_index: 0,
    audio_end_ms: audioEndMs,
  };
  return JSON.stringify(event);
}
