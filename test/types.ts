/**
 * What the types of the public names must accept and refuse. The build compiles this file, and nothing runs it. A
 * line under `@ts-expect-error` that compiles is an error of the build.
 */
import { z } from 'zod';
import { type Accepted, definePlugin, type Plugin, type ServerOptions, type Stream } from '../src/index.js';

/** The everyday plugin that only plays: its onStart returns nothing. */
export const plays = definePlugin({
  name: 'plays',
  onStart(stream): void {
    stream.play(new Int16Array(160));
  },
});

export const playsShortly = definePlugin({
  name: 'plays-shortly',
  onStart: stream => {
    stream.play(new Int16Array(160));
  },
});

/** One that hears some streams only. */
export const hearsSome = definePlugin({
  name: 'hears-some',
  onStart(stream: Stream) {
    if (stream.sampleRate === 8000) return undefined;
    return { onAudio: frame => stream.play(frame) };
  },
});

export const numbers = definePlugin({
  name: 'numbers',
  // @ts-expect-error: a handler is an object
  onStart: () => 7,
});

export const promises = definePlugin({
  name: 'promises',
  // @ts-expect-error: the handler is wanted at once
  onStart: async () => ({ onStop() {} }),
});

export const fives = definePlugin({
  name: 'fives',
  // @ts-expect-error: a method is a function
  onStart: () => ({ onPlayed: 5 }),
});

export const misspelt = definePlugin({
  name: 'misspelt',
  // @ts-expect-error: there is no such event
  onStart: () => ({ onAudoi() {} }),
});

/** Options have the types that the schema gives, in every method; so has what setup and accept return. */
export const typed = definePlugin({
  name: 'typed',
  options: z.object({ greeting: z.string().default('Hello'), volume: z.number().optional() }),
  async setup(context) {
    const greeting: string = context.options.greeting;
    // @ts-expect-error: there is no such option
    context.options.greting;
    // @ts-expect-error: it is what this function returns
    context.state;
    return { greeting, answers: context.metrics.counter('answers', 'Answers.', { labels: ['how'] }) };
  },
  async accept(request, { state, options }) {
    if (request.headers['x-tenant'] === undefined) return false;
    const volume: number | undefined = options.volume;
    return { context: { tenant: request.headers['x-tenant'], greeting: state.greeting, volume } };
  },
  onStart(stream, { options, state, signal, reactor, log }) {
    const tenant: string = stream.context.tenant;
    // @ts-expect-error: accept gave no such thing
    stream.context.tenent;
    // @ts-expect-error: the schema says that it may be missing
    const volume: number = options.volume;
    const aborted: boolean = signal.aborted;
    const index: number | undefined = reactor;
    state.answers.inc(1, { how: tenant });
    // @ts-expect-error: it has the label `how`
    state.answers.inc(1, { why: tenant });
    log.info({ volume, aborted, index }, state.greeting);
    stream.log.info('started');
    return { onDtmf: digit => stream.log.info({ digit, host: stream.request.headers.host }) };
  },
  teardown: ({ state }) => state.greeting.length,
});

/** Without a schema there are no options, without a setup no state, without an accept no context. */
export const bare = definePlugin({
  name: 'bare',
  onStart(stream, context) {
    const nothing: undefined = context.options;
    const neither: undefined = context.state;
    const nor: undefined = stream.context;
    return void [nothing, neither, nor];
  },
});

/** A plugin whose types are written out. */
export const annotated: Plugin<{ greeting: string }> = {
  name: 'annotated',
  onStart(_stream, { options }) {
    const greeting: string = options.greeting;
    void greeting;
  },
};

export const list: ServerOptions['plugins'] = [
  'echo',
  typed,
  annotated,
  { module: './agent.js', options: { greeting: 'Hi' }, name: 'agent-1', path: '/one' },
  { module: typed },
  // @ts-expect-error: there is no such field
  { modul: './agent.js' },
];

export const slow = definePlugin({
  name: 'slow',
  // @ts-expect-error: a schema is wanted, and not the options themselves
  options: { greeting: 'Hello' },
  onStart: () => {},
});

export const forSome = definePlugin({
  name: 'for-some',
  accept: request => ({ context: request.query.get('tenant') ?? undefined }),
  onStart(stream) {
    const tenant: string | undefined = stream.context;
    // @ts-expect-error: it may be missing
    const certain: string = stream.context;
    void [tenant, certain];
  },
});

export const judges = definePlugin({
  name: 'judges',
  accept: request => request.query.has('tenant') && { audio: { sampleRate: 16000 } },
  onStart: () => {},
});

export const lets = definePlugin({ name: 'lets', accept: async () => true, onStart: () => {} });

export const forgets = definePlugin({
  name: 'forgets',
  accept: (request): Accepted<string> => {
    // @ts-expect-error: a stream must have its text
    if (request.query.has('none')) return true;
    return { context: 'text' };
  },
  onStart: stream => void stream.context.length,
});
