/**
 * The fastest echo there is in JavaScript: uWebSockets.js sends every message back as the bytes it came as. Nothing is parsed
 * or decoded. (A media message from Telnyx holds all that one to Telnyx needs.)
 */
import { readOptions } from './options.js';
import { serve } from './uws-server.js';

serve<object>(readOptions().port, {
  call: () => ({}),
  message: (ws, message) => {
    ws.send(message, false);
  },
  close: () => {},
});
