import type { StartFrame } from './telnyx/frames.js';

/** Who is calling; absent fields were not in the start frame. */
export interface CallInfo {
  readonly callControlId: string;
  readonly callSessionId?: string | undefined;
  readonly userId: string;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly tags: readonly string[];
  /** As Call Control passed it: base64. */
  readonly clientState?: string | undefined;
  readonly customParameters: Readonly<Record<string, string>>;
}

const NO_TAGS: readonly string[] = Object.freeze([]);
const NO_PARAMETERS: Readonly<Record<string, string>> = Object.freeze({});

export function callInfo(start: StartFrame['start']): CallInfo {
  return {
    callControlId: start.call_control_id,
    callSessionId: start.call_session_id,
    userId: start.user_id,
    from: start.from,
    to: start.to,
    tags: start.tags ?? NO_TAGS,
    clientState: start.client_state,
    customParameters: start.custom_parameters ?? NO_PARAMETERS,
  };
}
