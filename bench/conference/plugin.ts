/** Joins what the load generator sends: pairs of streams, or all of them in one conference. */
import { definePlugin } from 'sidetone';

/** Streams 2k and 2k + 1 of a run of the generator are a pair; its call_control_ids end with the stream's number. */
export default definePlugin({
  name: 'joined',
  onStart(stream, { conference }) {
    const [, run, index] = /^v3:load-(\d+)-(\d+)$/.exec(stream.call.callControlId) ?? [];
    const all = stream.query.get('room');
    const name = all ?? `${run}-${Number(index) >> 1}`;
    const room = conference(name, { participantsMax: all ? 1000 : 2 });
    room.join(stream);
    const recording = all && stream.query.has('record') ? stream.query.get('record') : undefined;
    if (recording && room.participants.length === 1) room.record(recording);
  },
});
