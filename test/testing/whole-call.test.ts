/** A call from its first word to its last, in virtual time: what an agent hears, says and commands, in order. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import {
  CallEndedError,
  ChannelLimitError,
  definePlugin,
  type Playback,
  SidetoneError,
  type Stream,
  type StreamHandler,
  TurnTaking,
} from '../../src/index.js';
import { loadPlugins } from '../../src/plugin/loader.js';
import { testCall, voice } from '../../src/testing/index.js';
import { root } from '../helpers/paths.js';

const RATE = 16000;

/** A sound that is found again sample for sample, and nowhere else. */
function sound(seed: number, seconds: number): Int16Array {
  let state = seed;
  return Int16Array.from({ length: RATE * seconds }, () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 16) % 3000;
  });
}

const GREETING = sound(1, 1);
const ANSWERS = [sound(2, 5), sound(3, 5)];
const MENU = sound(4, 1);
const HOLD = sound(5, 4);
const HUMAN = '+15551234567';

/** A desk that answers, is interrupted, knows two keys, and hands over to a human. */
class Desk {
  readonly said: string[] = [];
  stream!: Stream;
  #turns!: TurnTaking;
  #answers = 0;
  /** What must be heard to its end, also when the stream drops. */
  #held: { audio: Int16Array; playback: Playback } | undefined;

  readonly plugin = definePlugin({
    name: 'desk',
    audio: { sampleRate: RATE, vad: true, dtmf: 'inband' },
    onWebhook: ({ type }) => void this.said.push(`webhook ${type}`),
    onStart: stream => {
      this.#use(stream);
      return this.#handler();
    },
  });

  /** The times of a stream's frames begin anew, so each stream has turns of its own. */
  #use(stream: Stream): void {
    this.stream = stream;
    this.#turns = new TurnTaking(stream, {
      pauseMs: 600,
      onTurn: ({ speechMs }) => {
        this.said.push(`turn of ${Math.round(speechMs / 100) / 10} s`);
        void this.#answer();
      },
      onInterruption: () => void this.said.push('interruption'),
      onFalseInterruption: () => void this.said.push('cough'),
    });
  }

  #handler(): StreamHandler {
    return {
      onAudio: frame => this.#turns.hear(frame),
      onSpeech: start => this.#turns.began(start),
      onSilence: end => this.#turns.ended(end),
      onDtmf: key => {
        this.said.push(`key ${key}`);
        if (key === '5') this.stream.play(MENU);
        else void this.#transfer();
      },
      onCall: event => {
        if (event.type === 'call.machine.detection.ended') {
          this.said.push(`answered by ${event.result}`);
          this.stream.play(GREETING);
        } else if (event.type === 'call.hangup') {
          const { mos, packetCount } = event.callQualityStats!.inbound!;
          this.said.push(`mos ${mos} of ${packetCount}`);
        }
      },
      onResume: next => {
        const { gapMs, unheardMs } = next.resumed!;
        this.said.push(`back after ${gapMs} ms, ${unheardMs} ms unheard`);
        this.#use(next);
        if (this.#held) this.#hold(this.#held.audio.subarray((this.#held.playback.playedMs * RATE) / 1000));
      },
      onStop: reason => void this.said.push(`stop ${reason}`),
    };
  }

  /** As a synthesiser gives it: in pieces of any length. */
  async #answer(): Promise<void> {
    const audio = ANSWERS[this.#answers++]!;
    const speech = this.#turns.answer(this.stream.speak());
    for (let at = 0; at < audio.length; at += 7001) speech.write(audio.subarray(at, at + 7001));
    const { playedMs, interrupted } = await speech.end();
    this.said.push(`${interrupted ? 'interrupted' : 'answered'} after ${playedMs} ms`);
  }

  async #transfer(): Promise<void> {
    await this.stream.clear();
    this.#hold(HOLD);
    try {
      await this.stream.callControl.transfer(HUMAN, { timeoutSeconds: 20 });
      this.said.push('transferring');
    } catch (error) {
      this.said.push(`no transfer: ${(error as Error).constructor.name}`);
    }
  }

  #hold(audio: Int16Array): void {
    this.#held = { audio, playback: this.stream.play(audio) };
  }
}

const bytes = (samples: Int16Array): Buffer =>
  Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);

/** Asserts that what was heard is this piece of `whole`, in ms of it, sample for sample. */
function assertPiece(heard: Int16Array | undefined, whole: Int16Array, fromMs: number, toMs: number): void {
  const piece = whole.subarray((fromMs * RATE) / 1000, (toMs * RATE) / 1000);
  assert.ok(heard && bytes(heard).equals(bytes(piece)), `heard ${heard?.length} samples, not these`);
}

const code = (wanted: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof SidetoneError, String(error));
  assert.equal(error.code, wanted);
  assert.match(error.message, message);
  return true;
};

describe('a whole call', () => {
  test('from the first word through a cough, an interruption, keys, a transfer and a drop', async () => {
    const desk = new Desk();
    const call = await testCall(desk.plugin, { encoding: 'L16' });
    const parts = () => call.heard().parts;
    const first = call.stream;

    call.event('call.machine.detection.ended', { result: 'human' });
    await call.advance(1300);
    // The turn ends 600 ms behind the last word, and the answer begins with the next frame that comes.
    const askedMs = call.nowMs;
    await call.advance(call.say(voice(1500)) + 1500);
    const answerMs = parts()[1]!.atMs;
    assert.ok(answerMs > askedMs + 2000 && answerMs < askedMs + 2200, `${answerMs} of ${askedMs} ms`);

    const coughMs = call.nowMs;
    call.say(voice(200));
    await call.advance(1500);
    const [pausedMs] = call.clears as [number];
    assert.ok(pausedMs > coughMs && pausedMs < coughMs + 150, `${pausedMs} of ${coughMs} ms`);

    const bargedMs = call.nowMs;
    call.say(voice(1500));
    await call.advance(8000);
    // Paused at once, and dropped when it had lasted too long for a cough.
    const [, heldMs, clearedMs] = call.clears as [number, number, number];
    assert.ok(heldMs > bargedMs && heldMs < bargedMs + 150, `${heldMs} of ${bargedMs} ms`);
    assert.ok(clearedMs >= bargedMs + 500 && clearedMs < bargedMs + 650, `${clearedMs} of ${bargedMs} ms`);

    call.dtmf('5', { tones: true });
    await call.advance(1500);
    const keyMs = call.nowMs;
    call.dtmf('0');
    await call.advance(1000);
    call.drop();
    const droppedMs = call.nowMs;
    await call.advance(2000);
    await call.reconnect();
    assert.notEqual(call.stream, first);
    assert.notEqual(call.stream.id, first.id);
    assert.equal(first.closed, true);
    assert.equal(call.stream.call.callControlId, first.call.callControlId);
    const backMs = call.nowMs;
    await call.advance(4000);
    call.event('call.hangup', { call_quality_stats: { inbound: { mos: '4.41', packet_count: '900' } } });
    await call.advance(100);
    assert.deepEqual((await call.hangup()).errors, []);

    assert.deepEqual(desk.said, [
      'webhook call.machine.detection.ended',
      'answered by human',
      'turn of 1.5 s',
      'cough',
      'interruption',
      `interrupted after ${pausedMs - answerMs + heldMs - parts()[2]!.atMs + 10} ms`,
      'turn of 1.5 s',
      'answered after 5000 ms',
      'key 5',
      'key 0',
      'transferring',
      `back after 2005 ms, ${parts()[6]!.durationMs} ms unheard`,
      'webhook call.hangup',
      'mos 4.41 of 900',
      'stop stop',
    ]);
    const { body, ...sent } = call.commands[0]!;
    assert.equal(call.commands.length, 1);
    assert.deepEqual(sent, { command: 'transfer', atMs: keyMs + 5, taken: true });
    assert.equal(body.to, HUMAN);
    assert.equal(body.timeout_secs, 20);

    const [greeting, cut, resumed, answer, menu, hold, rest, ...others] = parts();
    assert.deepEqual(others, []);
    assert.deepEqual(
      parts().map(({ interrupted }) => interrupted),
      [false, true, true, false, false, true, false],
    );
    // An event and a message take 5 ms each way.
    assert.equal(greeting!.atMs, 15);
    assertPiece(greeting!.samples, GREETING, 0, 1000);
    // The answer stops where the clear arrives, and goes on with the very next sample.
    assert.equal(cut!.atMs + cut!.durationMs, pausedMs + 5);
    assertPiece(cut!.samples, ANSWERS[0]!, 0, cut!.durationMs);
    assert.equal(resumed!.atMs + resumed!.durationMs, heldMs + 5);
    assertPiece(resumed!.samples, ANSWERS[0]!, cut!.durationMs, cut!.durationMs + resumed!.durationMs);
    assertPiece(answer!.samples, ANSWERS[1]!, 0, 5000);
    assertPiece(menu!.samples, MENU, 0, 1000);
    // Both ways, and the next tick of the server's clock.
    assert.ok(hold!.atMs >= keyMs + 10 && hold!.atMs <= keyMs + 20, `${hold!.atMs} of ${keyMs} ms`);
    assert.equal(hold!.atMs + hold!.durationMs, droppedMs);
    assertPiece(hold!.samples, HOLD, 0, hold!.durationMs);
    assert.ok(rest!.atMs >= backMs && rest!.atMs <= backMs + 10, `${rest!.atMs} of ${backMs} ms`);
    // The drop was noticed 5 ms later, and what was on its way for 5 ms counts as heard.
    assert.equal(rest!.durationMs, 4000 - hold!.durationMs - 10);
    assertPiece(rest!.samples, HOLD, 4000 - rest!.durationMs, 4000);
  });

  test('on a bad network the agent still takes its turns, and the same seed gives the same call', async () => {
    const once = async () => {
      const desk = new Desk();
      const network = { loss: 0.03, shuffle: 3, duplicate: 0.02, latencyMs: 40, jitterMs: 30, seed: 7 };
      const call = await testCall(desk.plugin, { encoding: 'L16', ...network });
      call.say(voice(1500));
      await call.advance(5000);
      const { frames } = await call.hangup();
      assert.ok(frames.lost > 0 && frames.duplicated > 0 && frames.overtaken > 0);
      return { said: desk.said, atMs: call.heard().parts[0]!.atMs, frames };
    };
    const { said, atMs, frames } = await once();
    assert.match(said[0]!, /^turn of 1\.[456] s$/);
    assert.deepEqual(await once(), { said, atMs, frames });
  });

  test('commands: hangup ends the stream, the test refuses, and an ended call takes none', async () => {
    const errors: unknown[] = [];
    const plugin = definePlugin({
      name: 'commander',
      onStart: ({ callControl }) => ({
        onDtmf: key => {
          const sent = key === '0' ? callControl.transfer(HUMAN) : callControl.hangup({ commandId: 'bye' });
          sent.catch((error: unknown) => errors.push(error));
        },
      }),
    });
    const call = await testCall(plugin, {
      onCommand: ({ command }) =>
        command === 'transfer' ? { status: 422, code: '90043', detail: 'No channel is free.' } : undefined,
    });
    call.dtmf('0');
    await call.advance(20);
    assert.ok(errors[0] instanceof ChannelLimitError, String(errors[0]));
    assert.match(errors[0].message, /transfer .*422 90043.*No channel is free/);
    assert.equal(call.commands[0]!.taken, false);
    assert.equal(call.stopReason, undefined);
    call.dtmf('1');
    await call.advance(4);
    assert.equal(call.commands.length, 1);
    await call.advance(2);
    assert.equal(call.commands[1]!.taken, undefined);
    await call.advance(10);
    assert.equal(call.commands[1]!.taken, true);
    assert.equal(call.stopReason, 'stop');
    const late = call.stream.callControl.sendDtmf('1');
    late.catch(() => {});
    await call.advance(20);
    await assert.rejects(late, CallEndedError);
    assert.deepEqual(
      call.commands.map(({ command }) => command),
      ['transfer', 'hangup', 'send_dtmf'],
    );
    await call.hangup();
  });

  test('a drop: a handler without onResume stops and another starts; one that waits stops at the hang-up', async () => {
    let starts = 0;
    const plugin = definePlugin({ name: 'forgetful', onStart: () => ({ onDtmf: () => void starts++ }) });
    const call = await testCall(plugin);
    await assert.rejects(call.reconnect(), code('SIDETONE_CALL_FAILED', /reconnect: the stream is up/));
    call.drop();
    assert.throws(() => call.say(100), code('SIDETONE_CALL_FAILED', /say: the stream is dropped/));
    assert.throws(() => call.dtmf('1'), code('SIDETONE_CALL_FAILED', /dtmf: the stream is dropped/));
    await call.advance(10);
    assert.equal(call.stopReason, 'disconnected');
    await call.reconnect();
    assert.equal(call.stopReason, undefined);
    call.dtmf('1');
    await call.advance(10);
    assert.equal(starts, 1);
    await call.hangup();

    const desk = new Desk();
    const waiting = await testCall(desk.plugin);
    waiting.drop();
    await waiting.advance(1000);
    assert.deepEqual(desk.said, []);
    await waiting.hangup();
    assert.deepEqual(desk.said, ['stop disconnected']);
    assert.throws(() => voice(0), code('SIDETONE_BAD_ARGUMENT', /voice: 0: give/));
  });

  test('the test of docs/plugins.md passes', async () => {
    const page = readFileSync(join(root, 'docs/plugins.md'), 'utf8');
    const [, body] = /test\('a whole call', async \(\) => \{\n(.*?)\n\}\);/s.exec(page)!;
    const desk = new Desk();
    const run = new Function('assert', 'testCall', 'voice', 'agent', `return (async () => {${body}})()`);
    await run(assert, testCall, voice, desk.plugin);
    assert.ok(desk.said.includes('no transfer: ChannelLimitError'), desk.said.join());
    assert.equal(desk.said.at(-1), 'stop stop');
  });

  test('examples/agent.ts goes on after a cough', async () => {
    const [agent] = await loadPlugins([join(root, 'examples/agent.ts')]);
    const call = await testCall(agent!.plugin, { encoding: 'L16' });
    await call.advance(call.say(voice(1000)) + 1500);
    assert.equal(call.heard().parts.length, 1);
    call.say(voice(200));
    await call.advance(1500);
    assert.equal(call.clears.length, 1);
    assert.deepEqual(
      call.heard().parts.map(({ interrupted }) => interrupted),
      [true, false],
    );
    await call.hangup();
  });
});
