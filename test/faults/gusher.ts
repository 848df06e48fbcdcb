/** A plugin that sends more than its peer reads. */
import {
  definePlugin,
  type Server,
  type ServerOptions,
  type StopReason,
  type Stream,
} from '../../src/index.js';
import { counts, eventually, startedCall } from '../helpers/servers.js';
import { speechLike } from '../helpers/speech.js';

const speech = speechLike(48_000, 5);

/** Sends without end to a peer: each digit lets go about a megabyte at once; `#` sends a mark and no more. */
export function gusher() {
  const errors: Error[] = [];
  const stops: StopReason[] = [];
  const plugin = definePlugin({
    name: 'gusher',
    outbound: { encoding: 'L16', sampleRate: 48_000 },
    onStart: (stream: Stream) => ({
      onDtmf: async digit => {
        if (digit === '#') {
          void stream.mark('still-here');
          return;
        }
        for (let i = 0; i < 2 && !stream.closed; i++) {
          stream.play(speech, { sampleRate: 48_000 });
          if (!stream.closed) await stream.clear();
        }
        if (!stream.closed) stream.play(speech.subarray(0, 4800), { sampleRate: 48_000 });
      },
      onError: error => {
        errors.push(error);
      },
      onStop: reason => {
        stops.push(reason);
      },
    }),
  });
  return { plugin, errors, stops };
}

export const gushing: ServerOptions = { leadMs: 5000, chunkMs: 1000, maxBackpressureBytes: 65_536 };

/** A peer that does not read, and has been sent more than fits anywhere. */
export async function congestedCall(server: Server) {
  const { socket, call } = await startedCall(server, { path: '/gusher' });
  await eventually(() => server.streams >= 1, 'the start');
  socket.tcp.pause();
  const dropped = async (): Promise<number> => (await counts(server)).messagesDropped!;
  const before = await dropped();
  await eventually(async () => {
    if (!socket.closed) socket.send(call.dtmf('1'));
    return (await dropped()) > before;
  }, 'the first drop');
  return { socket, call };
}
