/**
 * From one WebSocket message with 20 ms of PCMU to the PCM frame in a handler. It measures everything between the
 * socket and the handler's first line, and what the usual sample does instead.
 */
import type { Bench } from 'tinybench';
import { systemClock } from '../../src/clock.js';
import { createLog } from '../../src/log/log.js';
import { resolveOptions } from '../../src/options/options.js';
import { definePlugin } from '../../src/plugin/define.js';
import { bareInstance } from '../../src/plugin/instance.js';
import { Reactor } from '../../src/reactor/reactor.js';
import { Connection, receive } from '../../src/server/connection.js';
import { virtualRequest } from '../../src/testing/virtual-server.js';
import { decodeUlaw } from '../load/baselines/g711.js';

export const name = 'message';

const STREAM_ID = '32de0dea-53cb-4b21-89a4-9e1819c043bc';
/** Messages of one call, each with its own numbers; then a new call begins. */
const MESSAGES = 5000;
const BYTES = 160;

function arrayBuffer(message: object): ArrayBuffer {
  return Uint8Array.from(Buffer.from(JSON.stringify(message))).buffer;
}

function mediaMessage(index: number): ArrayBuffer {
  const payload = Buffer.from(Array.from({ length: BYTES }, (_, i) => (index * 31 + i * 7) & 0x7e));
  return arrayBuffer({
    event: 'media',
    sequence_number: String(index + 2),
    stream_id: STREAM_ID,
    media: {
      track: 'inbound',
      chunk: String(index + 1),
      timestamp: String(index * BYTES),
      payload: payload.toString('base64'),
    },
  });
}

export async function define(bench: Bench): Promise<void> {
  let heardSamples = 0;
  const hear = (samples: Int16Array): void => {
    heardSamples += samples.length + (samples[0]! & 1);
  };
  const messages = Array.from({ length: MESSAGES }, (_, index) => mediaMessage(index));
  const begin = [
    arrayBuffer({ event: 'connected', version: '1.0.0' }),
    arrayBuffer({
      event: 'start',
      sequence_number: '1',
      stream_id: STREAM_ID,
      start: {
        user_id: STREAM_ID,
        call_control_id: 'v3:bench',
        media_format: { encoding: 'PCMU', sample_rate: 8000, channels: 1 },
      },
    }),
  ];

  const plugin = definePlugin({
    name: 'bench',
    audio: { sampleRate: 8000 },
    onStart: () => ({ onAudio: frame => hear(frame.samples) }),
  });
  const instance = bareInstance(plugin, systemClock);
  const reactor = new Reactor({ clock: systemClock, log: createLog('silent'), options: resolveOptions({}) });
  const socket = { send: () => 1, end: () => {}, getBufferedAmount: () => 0 };
  // As listener.ts does.
  const message = (bytes: ArrayBuffer): void => receive(reactor.path, connection.data, bytes, false);
  const openCall = (): Connection => {
    const connection = new Connection(reactor, {
      plugin: instance,
      accepted: {},
      request: virtualRequest(plugin),
      gate: undefined,
      boundCall: undefined,
    });
    connection.open(socket);
    for (const message of begin) connection.message(message, false);
    return connection;
  };
  let connection = openCall();
  let next = 0;

  let turn = 0;
  bench
    .add('message to PCM frame in the handler: sidetone', () => {
      if (next === MESSAGES) {
        connection.closed(undefined);
        connection = openCall();
        next = 0;
      }
      message(messages[next++]!);
    })
    .add('message to PCM frame in the handler: JSON.parse + Buffer + table', () => {
      const text = Buffer.from(messages[turn++ % MESSAGES]!).toString();
      const message = JSON.parse(text) as { media: { payload: string } };
      hear(decodeUlaw(Buffer.from(message.media.payload, 'base64')));
    });

  // A handler that was not called would make this benchmark the fastest of all.
  const before = heardSamples;
  message(messages[next++]!);
  if (heardSamples < before + BYTES) throw new Error('the handler did not hear the message');
  // After the last task the process ends; the reactor's timers must not keep it.
  bench.addEventListener('complete', () => {
    connection.closed(undefined);
  });
}
