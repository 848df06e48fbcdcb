/**
 * The fastest echo that JavaScript can write on uWebSockets.js: each media message goes back as the bytes it came as, nothing
 * decoded, nothing parsed. (A media message from Telnyx has every field that one to Telnyx needs.)
 */
import { readOptions } from './options.js';
import { serve } from './uws-server.js';

// `{"event":"media"` : the character behind `"event":"` tells media from all the others but mark, and its second from that.
const M = 'm'.charCodeAt(0);
const E = 'e'.charCodeAt(0);
const AT = '{"event":"'.length;

serve<object>(readOptions().port, {
  call: () => ({}),
  message: (ws, message) => {
    const head = new Uint8Array(message, 0, AT + 2);
    if (head[AT] === M && head[AT + 1] === E) ws.send(message, false);
  },
  close: () => undefined,
});
