/**
 * Two callers who ask for the same room talk to each other, whatever encodings their calls have.
 *
 *     npx sidetone serve --plugin ./two-party-bridge.ts
 *     # stream_url of both: wss://…/bridge?room=4711
 *
 * Who comes first hears a ringing tone until the other is there. Keys: 1 mutes and unmutes, 2 is a pause with
 * music and back, # hangs up.
 */
import { type Conference, definePlugin, type Participant, SidetoneError, type Stream } from 'sidetone';

const RATE = 8000;

/** `parts` are [Hz, ms], one behind the other; 0 Hz is silence. */
function tones(parts: readonly (readonly [number, number])[], loudness = 3000): Int16Array {
  const samples = parts.flatMap(([hz, ms]) =>
    Array.from({ length: (RATE * ms) / 1000 }, (_, i) => loudness * Math.sin((2 * Math.PI * hz * i) / RATE)),
  );
  return Int16Array.from(samples);
}

const RINGING = tones([
  [425, 1000],
  [0, 4000],
]);
const MUSIC = tones([
  [523, 400],
  [659, 400],
  [784, 400],
  [659, 400],
]);

/** In its place, with the ringing tone, until somebody is there. Undefined: both places are taken. */
function joined(stream: Stream, room: Conference): Participant | undefined {
  try {
    const party = room.join(stream);
    party.hold({ music: RINGING, sampleRate: RATE });
    return party;
  } catch (error) {
    if (isFull(error)) return undefined;
    throw error;
  }
}

const isFull = (error: unknown): boolean =>
  error instanceof SidetoneError && error.code === 'SIDETONE_CONFERENCE_FULL';

export default definePlugin({
  name: 'bridge',
  accept: request => /^\w{1,40}$/.test(request.query.get('room') ?? ''),

  onStart(stream, { conference }) {
    const room = conference(`bridge ${stream.query.get('room')}`, { participantsMax: 2 });
    const party = joined(stream, room);
    if (!party) {
      stream.log.info('two are talking already');
      stream.close();
      return;
    }
    let isHolding = false;
    const endSize = room.onSize(size => {
      if (size < 2) party.hold({ music: RINGING, sampleRate: RATE });
      else if (!isHolding) party.unhold();
    });
    return {
      onDtmf(digit) {
        if (digit === '1') {
          if (party.muted) party.unmute();
          else party.mute();
        } else if (digit === '2') {
          isHolding = !isHolding;
          if (isHolding) party.hold({ music: MUSIC, sampleRate: RATE });
          else party.unhold();
        } else if (digit === '#') stream.close();
      },
      // With several reactors it may turn out a moment later that both places are taken.
      onError(error) {
        if (isFull(error)) stream.close();
      },
      onStop: endSize,
    };
  },
});
