import type { UWebSockets } from '../native/uws.js';

/**
 * Answers a request, the last one of its connection, in a turn of its own. Until then uWebSockets.js takes no other request
 * of that connection: one that was sent right behind it closes the connection, and cannot become a WebSocket that
 * is still counted as an unfinished request.
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
