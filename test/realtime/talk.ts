/** A call to a server with the realtime plugin, whose service is the double. */
import assert from 'node:assert/strict';
import { type Call, createEncoder, type Encoding, type ServerOptions, Simulator } from '../../src/index.js';
import { type RealtimeOptions, realtime } from '../../src/plugins/realtime.js';
import { type DoubleOptions, type DoubleSession, RealtimeDouble } from '../helpers/realtime-double.js';
import { eventually, url, withServer } from '../helpers/servers.js';

export const simulator = new Simulator({ seed: 7 });

/** A sine that every codec carries: loud enough to be speech. */
export function sine(seconds: number, sampleRate: number, hz = 300): Int16Array {
  return Int16Array.from({ length: Math.round(seconds * sampleRate) }, (_, i) =>
    Math.round(9000 * Math.sin((2 * Math.PI * hz * i) / sampleRate)),
  );
}

/** An answer in a service's format, PCMU unless `encoding` says otherwise. */
export function answerAudio(seconds: number, encoding: Encoding = 'PCMU'): Buffer {
  if (encoding === 'PCMU' || encoding === 'PCMA') {
    return Buffer.from(createEncoder(encoding).encode(sine(seconds, 8000, 440)));
  }
  return Buffer.from(sine(seconds, 24_000, 440).buffer);
}

/** Something that the caller says, in the call's encoding. */
export function words(seconds: number, encoding: Encoding = 'PCMU') {
  return simulator.speech({ samples: sine(seconds, 16_000), sampleRate: 16_000 }, { encoding });
}

export interface Talk {
  call: Call;
  double: RealtimeDouble;
  /** The session of the service, once it is there. */
  session: DoubleSession;
  /** The caller says something, 600 ms unless told otherwise. */
  say(seconds?: number): void;
}

export interface TalkOptions {
  plugin?: RealtimeOptions;
  double?: DoubleOptions;
  encoding?: Encoding;
  server?: ServerOptions;
  /** Stands in for the REST API. */
  control?: {
    hangup(): Promise<unknown>;
    transfer(to: string): Promise<unknown>;
    sendDtmf(digits: string): Promise<unknown>;
  };
  /** What the double did not like is looked at by the test itself. */
  mayFault?: boolean;
  /** The call may begin without a session. */
  withoutSession?: boolean;
}

export async function talk(options: TalkOptions, run: (talk: Talk) => Promise<void>): Promise<void> {
  const { plugin, encoding = 'PCMU', mayFault = false, withoutSession = false } = options;
  const double = await RealtimeDouble.start(options.double);
  const turnDetection = { type: 'server_vad', silence_duration_ms: 200 };
  // A slow machine must not look like a slow service.
  const patient = { connectTimeoutMs: 60_000, answerTimeoutMs: 600_000, waitingToneMs: 0, silenceMaxMs: 0 };
  const bridge = realtime({
    url: double.url,
    turnDetection,
    retryPausesMs: [20, 20, 20],
    ...patient,
    ...plugin,
  });
  if (options.control) {
    const { onStart } = bridge;
    bridge.onStart = (stream, context) => {
      Object.defineProperty(stream, 'callControl', { value: options.control });
      return onStart.call(bridge, stream, context);
    };
  }
  try {
    await withServer([bridge], options.server ?? {}, async server => {
      const { idle } = words(0, encoding);
      const call = simulator.call(url(server, '/realtime'), {
        encoding,
        idle,
        inbound: [],
        durationMs: Number.POSITIVE_INFINITY,
        handshakeTimeoutMs: 30_000,
      });
      try {
        if (!withoutSession) await eventually(() => double.sessions[0]?.settings !== undefined, 'a session');
        await run({
          call,
          double,
          get session() {
            return double.sessions.at(-1)!;
          },
          say: (seconds = 0.6) => call.say(words(seconds, encoding).inbound),
        });
      } finally {
        call.hangup();
      }
      const { errors } = await call.result;
      assert.deepEqual(errors, []);
    });
    if (!mayFault) assert.deepEqual(double.faults, []);
  } finally {
    await double.close();
  }
}

export { eventually };

/** All that the caller has heard, one payload behind the other. */
export function heardBytes(call: Call): Buffer {
  return Buffer.concat(call.soFar().heard.map(({ payload }) => payload));
}
