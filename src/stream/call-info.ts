import type { CallInfo } from '../plugin/stream.js';
import type { StartFrame } from '../telnyx/frames.js';

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
