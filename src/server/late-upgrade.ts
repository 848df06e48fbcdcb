import { native } from '../native/addon.js';
import type { UWebSockets } from '../native/uws.js';

/** A function of uWebSockets.js by which its binary is known among the loaded libraries. */
const EXPORTED = 'us_socket_context_adopt_socket';
let moves: boolean | undefined;

/**
 * An upgrade after its event, such as one that an asynchronous accept() has judged. Corked, its response is one packet
 * and not 24.
 *
 * The end of cork() takes a WebSocket in the memory of its HTTP response for that response. It then reads flags that
 * anything may have overwritten, and may close the socket (uNetworking/uWebSockets#1928, mended by #1929). So the
 * WebSocket is moved to memory of its own. Where that cannot be done, nothing is corked.
 */
export function upgradeLate(response: UWebSockets.HttpResponse, upgrade: () => void): void {
  moves ??= native.moveReallocated(EXPORTED);
  if (moves) response.cork(upgrade);
  else upgrade();
}
