/** What a checker says, and the list of what it can say: docs/mistakes.md tells each code's why and how it sounds. */

/** `error`: Telnyx refuses it. `warning`: accepted, and not heard as meant. */
export type Severity = 'error' | 'warning';

/** Every mistake with its severity: an error is refused by Telnyx, a warning is accepted and not heard as meant. */
export const MISTAKES = {
  bad_json: 'error',
  not_an_object: 'error',
  unknown_field: 'error',
  wrong_command: 'error',
  missing_field: 'error',
  missing_stream_url: 'error',
  url_scheme: 'error',
  url_invalid: 'error',
  url_too_long: 'error',
  wrong_type: 'error',
  not_in_list: 'error',
  wrong_case: 'error',
  client_state_base64: 'error',
  token_too_long: 'error',
  parameters_not_list: 'error',
  parameter_shape: 'error',
  token_not_taken: 'warning',
  token_unsendable: 'warning',
  mp3_by_default: 'warning',
  codec_without_rtp: 'warning',
  legs_opposite: 'warning',
  l16_narrowband: 'warning',
  rate_not_of_codec: 'warning',
  rate_outside_guide: 'warning',
  track_without_caller: 'warning',
  url_plaintext: 'warning',
  url_unreachable: 'warning',
  dialogflow_off: 'warning',
  duplicate_parameter: 'warning',
  no_stream: 'warning',
  bad_xml: 'error',
  texml_root: 'error',
  texml_place: 'error',
  texml_element: 'error',
  callback_url: 'error',
  codec_not_transcoded: 'warning',
  start_ends_call: 'warning',
  second_stream: 'warning',
} as const satisfies Record<string, Severity>;

export type MistakeCode = keyof typeof MISTAKES;

/** What is wrong or unwise in a request. */
export interface Finding {
  /** Stable; docs/mistakes.md tells each. */
  code: MistakeCode;
  /** The field as the request spells it; `Stream.url` for an attribute of TeXML's `<Stream>`. */
  field: string;
  /** The field's value, shortened; null where it is absent; never a token or password. */
  value: string | number | boolean | null;
  /** What is wrong, in words. */
  problem: string;
  /** What to write instead. */
  remedy: string;
  /** Whether Telnyx refuses it. */
  severity: Severity;
  /** TeXML only: the line where the element ends, counted from 1. */
  line?: number;
}

const SHOWN_MAX = 120;

/** Fields whose value is never shown: a finding is printed and logged. */
const SECRET = /token|password|secret|api_?key/i;

/** JSON text of any value, those included that JSON cannot hold. */
function asJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? typeof value;
  } catch {
    return `(${typeof value})`;
  }
}

function shown(field: string, value: unknown): Finding['value'] {
  if (value === undefined || value === null) return null;
  if (SECRET.test(field)) {
    return typeof value === 'string' ? `(hidden, ${value.length} characters)` : '(hidden)';
  }
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  const text = typeof value === 'string' ? value : asJson(value);
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text;
}

/** Gathers findings in the order in which they are made. */
export class Findings {
  readonly list: Finding[] = [];
  /** Set by a reader of text with lines; goes into the findings made while it is set. */
  line: number | undefined;

  add(code: MistakeCode, field: string, value: unknown, problem: string, remedy: string): void {
    const finding: Finding = {
      code,
      field,
      value: shown(field, value),
      problem,
      remedy,
      severity: MISTAKES[code],
    };
    if (this.line !== undefined) finding.line = this.line;
    this.list.push(finding);
  }
}
