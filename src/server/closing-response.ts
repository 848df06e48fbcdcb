import type { UWebSockets } from '../native/uws.js';

/**
 * Answers the last request of a connection, in a turn of its own. Until then uWebSockets.js takes no other
 * request of that connection. A request that was sent right behind it closes the connection. It cannot become a
 * WebSocket that is still counted as an unfinished request.
 */
export function answerLast(response: UWebSockets.HttpResponse, answer: () => void): void {
  let isGone = false;
  response.onAborted(() => {
    isGone = true;
  });
  setImmediate(() => {
    if (!isGone) response.cork(answer);
  });
}
