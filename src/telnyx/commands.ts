/**
 * The texts of the two frames that steer playback (Media Streaming 1.0.0, messages clientMark and clientClear). The third
 * frame an application sends, `media`, is written by the native side.
 */
import { SidetoneError, shown } from '../errors.js';

/** Longest mark name in UTF-16 code units. The specification sets no limit; names come back on the wire, so one is set here. */
export const MARK_NAME_MAX = 512;

/** @throws SidetoneError SIDETONE_BAD_ARGUMENT when the name is not a string of 1 to {@link MARK_NAME_MAX} characters */
export function checkMarkName(name: string): void {
  if (typeof name === 'string' && name.length > 0 && name.length <= MARK_NAME_MAX) return;
  throw new SidetoneError(
    'SIDETONE_BAD_ARGUMENT',
    `mark name: ${shown(name)}: give 1 to ${MARK_NAME_MAX} characters`,
  );
}

/**
 * JSON text of a `mark` frame: Telnyx sends the same name back when the audio queued before it has been played, at once
 * where nothing is queued, or at a clear.
 * @throws SidetoneError as checkMarkName()
 */
export function markText(name: string): string {
  checkMarkName(name);
  return `{"event":"mark","mark":{"name":${JSON.stringify(name)}}}`;
}

/** JSON text of a `clear` frame: Telnyx stops the playback, empties its queue and returns the queued marks. */
export const CLEAR_TEXT = '{"event":"clear"}';
