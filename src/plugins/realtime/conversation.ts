/**
 * One call and its session with the service.
 *
 *   caller ─▶ Uplink ─▶ Link ─▶ service ─▶ Link ─▶ #received() ─▶ Speaker ─▶ caller
 *                                              └─▶ answers, interruptions, tools, words
 */
import type { Clock } from '../../clock.js';
import type { StopReason, StreamHandler } from '../../plugin/plugin.js';
import type { SpeechStart } from '../../plugin/speech.js';
import type { AudioFrame, Stream } from '../../plugin/stream.js';
import { Answers } from './answers.js';
import { bytesPerMs, inputFormat, outputFormat, speechOptions } from './audio.js';
import { type Delta, deltaOf, scanDelta } from './deltas.js';
import { Ending } from './ending.js';
import {
  itemTruncate,
  messageItem,
  parseEvent,
  responseCancel,
  type ServiceEvent,
  type ServiceFault,
  sessionUpdate,
} from './events.js';
import { History } from './history.js';
import { Link, type LinkFault } from './link.js';
import { CallMeter, type Meters } from './meters.js';
import type { RealtimeSettings } from './options.js';
import { Speaker } from './speaker.js';
import { ToolCalls } from './tool-calls.js';
import { Uplink } from './uplink.js';
import { WaitingTone } from './waiting-tone.js';

/** How often what depends on time is looked at. */
const TICK_MS = 250;
/** After a cut that no words follow, the model is asked to go on. */
const RESUME_AFTER_MS = 3000;
const KEYS_MAX = 64;

export class Conversation implements StreamHandler {
  readonly #stream: Stream;
  readonly #settings: RealtimeSettings;
  readonly #clock: Clock;
  readonly #link: Link;
  readonly #uplink: Uplink;
  readonly #speaker: Speaker;
  readonly #answers: Answers;
  readonly #tools: ToolCalls;
  readonly #ending: Ending;
  readonly #history = new History();
  readonly #waitingTone: WaitingTone;
  readonly #meter: CallMeter;
  readonly #meters: Meters;
  readonly #stopTicks: () => void;
  #session = 0;
  #callerSpeaks = false;
  /** Where the caller's audio ends so far, on the axis of the frames. */
  #heardEndMs = 0;
  /** When the caller's last word was said: the next audio that is heard answers it. */
  #lastWordMs: number | undefined;
  #lastEventMs: number;
  /** The model was cut off, and neither the caller nor the model has spoken since. */
  #resumeAtMs = Number.POSITIVE_INFINITY;
  #keys = '';
  #lastKeyMs = 0;
  #deltasDropped = 0;

  constructor(stream: Stream, settings: RealtimeSettings, meters: Meters, clock: Clock) {
    this.#stream = stream;
    this.#settings = settings;
    this.#clock = clock;
    this.#meters = meters;
    this.#meter = new CallMeter(meters, settings.prices);
    this.#lastEventMs = clock.now();
    this.#waitingTone = new WaitingTone(stream, settings.waitingToneMs, clock.now());
    this.#link = new Link(
      {
        ...settings,
        clock,
        queueMax: Math.ceil(settings.keepMs / settings.appendMs),
      },
      {
        opened: () => this.#opened(),
        message: data => this.#received(data),
        lost: fault => this.#lost(fault),
        gave: fault => this.#gave(fault),
      },
    );
    this.#uplink = new Uplink(stream, this.#link, settings.appendMs);
    this.#speaker = new Speaker(stream, speechOptions(stream), bytesPerMs(outputFormat(stream)));
    this.#answers = new Answers(
      clock,
      text => this.#link.send(text),
      () => this.#link.ready,
    );
    this.#ending = new Ending({ stream, settings, clock, answers: this.#answers, speaker: this.#speaker });
    const conversation = this;
    this.#tools = new ToolCalls(stream, settings, clock, {
      send: text => this.#link.send(text),
      get session() {
        return conversation.#session;
      },
      tell: text => this.#tell(text),
      get quiet() {
        return !conversation.#speaker.speaking && !conversation.#callerSpeaks;
      },
      settled: answers => {
        if (answers && !this.#ending.begun) this.#answers.want();
      },
      endPolitely: () => this.#ending.begin('hang_up'),
      counted: outcome => this.#meter.tool(outcome),
    });
    this.#stopTicks = clock.every(TICK_MS, () => this.#tick());
    this.#link.connect();
  }

  // --- the caller ---

  onAudio(frame: AudioFrame): void {
    this.#heardEndMs = frame.timestampMs + (1000 * frame.samples.length) / frame.sampleRate;
    this.#uplink.hear(frame);
  }

  /** This server's own ears: only with the option `vad`. */
  onSpeech({ startMs, track }: SpeechStart): void {
    if (track !== 'inbound') return;
    const { cutsOff } = this.#answers;
    this.#interrupt(this.#heardEndMs - startMs);
    if (cutsOff) this.#link.send(responseCancel());
  }

  onDtmf(digit: string): void {
    if (this.#keys.length >= KEYS_MAX) return;
    this.#keys += digit;
    this.#lastKeyMs = this.#clock.now();
    if (digit === '#') this.#tellKeys();
  }

  onStop(reason: StopReason): void {
    this.#stopTicks();
    this.#tools.close();
    this.#link.close();
    const droppedMs = this.#link.dropped * this.#settings.appendMs + this.#speaker.droppedMs;
    if (droppedMs > 0) this.#meters.audioDroppedMs.inc(Math.round(droppedMs));
    const why = this.#ending.why ?? 'caller';
    this.#meters.ends.inc(1, { why });
    const { logWords } = this.#settings;
    const fields = {
      why,
      reason,
      ...this.#meter.fields(),
      audioDroppedMs: droppedMs,
      deltasDropped: this.#deltasDropped,
    };
    this.#stream.log.info(
      logWords ? { ...fields, words: this.#history.turns } : fields,
      'conversation ended',
    );
  }

  /** The model falls silent, and is told how much of it was heard. `sinceMs`: how long the caller has spoken by now. */
  #interrupt(sinceMs: number | undefined): void {
    const { cutsOff } = this.#answers;
    if (!this.#speaker.speaking && !cutsOff) return;
    const cuts = this.#speaker.cut();
    if (cuts.length === 0 && !cutsOff) return;
    this.#answers.cut(cuts.map(({ itemId }) => itemId));
    for (const { itemId, inConversation, playedMs, receivedMs } of cuts) {
      if (!inConversation) continue;
      this.#link.send(itemTruncate(itemId, Math.floor(playedMs)));
      this.#history.cut(itemId, playedMs / receivedMs);
    }
    this.#meter.interrupted(sinceMs);
    this.#resumeAtMs = this.#clock.now() + RESUME_AFTER_MS;
  }

  #tellKeys(): void {
    const keys = this.#keys;
    if (keys === '' || !this.#link.ready) return;
    this.#keys = '';
    const { generating } = this.#answers;
    this.#interrupt(undefined);
    if (generating) this.#link.send(responseCancel());
    this.#tell(`[The caller pressed these keys of the telephone: ${keys}]`);
    this.#lastWordMs = this.#clock.now();
    this.#answers.want();
  }

  /** Puts text into the conversation as the caller's. */
  #tell(text: string): void {
    this.#history.note(text);
    this.#link.send(messageItem('user', text, this.#settings.protocol));
  }

  // --- the session ---

  #opened(): void {
    const stream = this.#stream;
    const { model, voice, instructions, transcriptionModel, turnDetection, protocol } = this.#settings;
    const update = sessionUpdate(
      {
        model,
        voice,
        instructions,
        input: inputFormat(stream),
        output: outputFormat(stream),
        transcriptionModel: transcriptionModel ?? undefined,
        turnDetection,
        tools: this.#tools.descriptions,
      },
      protocol,
    );
    this.#link.send(update);
  }

  #begin(): void {
    const isFirst = this.#session++ === 0;
    const { greeting, protocol } = this.#settings;
    if (!isFirst) {
      for (const { role, text } of this.#history.turns) this.#link.send(messageItem(role, text, protocol));
    }
    this.#uplink.begin();
    this.#link.begin();
    if (isFirst && greeting !== undefined) this.#answers.want(greeting);
    else this.#answers.retry();
  }

  #lost({ why, status }: LinkFault): void {
    this.#meter.lost();
    this.#stream.log.warn({ why, status }, 'realtime: the service is lost: a new session is asked for');
    this.#speaker.rest();
    // The model owes what it was about to say, and what it had begun to say and not sent.
    this.#answers.lost();
    if (this.#callerSpeaks) this.#answers.owe();
    this.#callerSpeaks = false;
  }

  #gave({ why, status }: LinkFault): void {
    this.#meter.lost();
    this.#stream.log.error({ why, status }, 'realtime: there is no service: the call is ended');
    this.#answers.forget();
    this.#ending.begin('service', 'fallback');
  }

  // --- what the service says ---

  #received(data: Buffer): void {
    this.#lastEventMs = this.#clock.now();
    const event = scanDelta(data) ?? parseEvent(data);
    const delta = event && ('type' in event ? deltaOf(event) : event);
    if (delta?.audio) this.#heard(delta, delta.audio);
    else if (delta) this.#read(delta);
    else if (event) this.#told(event as ServiceEvent);
  }

  #read({ itemId, responseId, words }: Delta): void {
    if (this.#isTold(itemId, responseId)) this.#history.add(itemId, words);
  }

  #heard({ itemId, responseId }: Delta, audio: Uint8Array): void {
    if (this.#answers.isCut(itemId, responseId)) {
      this.#deltasDropped++;
      return;
    }
    this.#resumeAtMs = Number.POSITIVE_INFINITY;
    const lastWordMs = this.#lastWordMs;
    if (lastWordMs !== undefined) {
      this.#lastWordMs = undefined;
      this.#meter.answered(this.#clock.now() + this.#speaker.aheadMs - lastWordMs);
    }
    this.#answers.spoke();
    this.#speaker.say(itemId, !this.#answers.isAside(responseId), audio);
  }

  #told(event: ServiceEvent): void {
    const { item_id: itemId = '', response_id: responseId = '', item, response } = event;
    switch (event.type) {
      case 'session.updated':
        if (!this.#link.ready) this.#begin();
        break;
      case 'input_audio_buffer.speech_started':
        this.#callerSpeaks = true;
        this.#interrupt(this.#uplink.agoMs(event.audio_start_ms ?? 0));
        break;
      case 'input_audio_buffer.speech_stopped':
        this.#callerSpeaks = false;
        // If it was a cough, no answer follows.
        if (this.#resumeAtMs < Number.POSITIVE_INFINITY)
          this.#resumeAtMs = this.#clock.now() + RESUME_AFTER_MS;
        this.#lastWordMs = this.#clock.now() - this.#silenceSinceMs(event.audio_end_ms);
        if (this.#settings.turnDetection.create_response !== false) this.#answers.owe();
        this.#history.begin('user', itemId);
        break;
      case 'conversation.item.input_audio_transcription.completed':
        this.#history.set('user', itemId, event.transcript ?? '');
        this.#meter.turn('user');
        break;
      case 'response.created':
        if (!response) break;
        this.#answers.created(response);
        if (this.#answers.generating) this.#resumeAtMs = Number.POSITIVE_INFINITY;
        break;
      case 'response.output_item.added':
      case 'response.output_item.done':
        if (item?.type === 'function_call') {
          this.#tools.announced(item);
          if (event.type.endsWith('done')) this.#tools.call(item.call_id, item.name, item.arguments);
        } else if (item?.id !== undefined && !this.#answers.isAside(responseId)) {
          this.#history.begin('assistant', item.id);
        }
        break;
      case 'response.output_audio.done':
        this.#speaker.rest();
        break;
      case 'response.output_audio_transcript.done':
        if (!this.#isTold(itemId, responseId)) break;
        this.#history.set('assistant', itemId, event.transcript ?? '');
        this.#meter.turn('assistant');
        break;
      case 'response.function_call_arguments.done':
        this.#answers.spoke();
        this.#tools.call(event.call_id, event.name, event.arguments);
        break;
      case 'response.done':
        this.#speaker.rest();
        if (response?.usage) this.#meter.used(response.usage);
        for (const { type, call_id: callId, name, arguments: text } of response?.output ?? []) {
          if (type === 'function_call' && response?.status !== 'cancelled')
            this.#tools.call(callId, name, text);
        }
        if (response?.status === 'failed') this.#failed(response.status_details?.error ?? {});
        if (response) this.#answers.done(response);
        break;
      case 'rate_limits.updated':
        this.#answers.limits(event.rate_limits ?? []);
        break;
      case 'error':
        this.#failed(event.error ?? {});
        this.#answers.refused(event.error?.code ?? '');
        if (this.#link.ready) break;
        // It refuses the settings, and would take the audio for something else.
        this.#link.close();
        this.#gave({ why: 'the service refused the settings of the session', final: true });
        break;
    }
  }

  /** Words of the conversation that are not of a cut item. */
  #isTold(itemId: string, responseId: string): boolean {
    return !this.#answers.isCut(itemId, responseId) && !this.#answers.isAside(responseId);
  }

  /** How long the caller has been silent, where the service heard the end of speech at `endMs` of the session's audio. */
  #silenceSinceMs(endMs: number | undefined): number {
    const { silence_duration_ms: waited = 500, type } = this.#settings.turnDetection;
    const before = type === 'server_vad' && typeof waited === 'number' ? waited : 0;
    return (endMs === undefined ? 0 : this.#uplink.agoMs(endMs)) + before;
  }

  #failed({ type, code, param, message }: ServiceFault): void {
    this.#meter.failed();
    const fields = { type, code, param, message: message?.slice(0, 300) };
    this.#stream.log.warn(fields, 'realtime: the service tells an error');
  }

  // --- time ---

  #tick(): void {
    const now = this.#clock.now();
    this.#link.flush();
    if (this.#keys !== '' && now - this.#lastKeyMs >= this.#settings.keyPauseMs) this.#tellKeys();
    this.#answers.tick(this.#tools.running || this.#callerSpeaks);
    const { speaking } = this.#speaker;
    const isActive = speaking || this.#callerSpeaks || this.#answers.generating || this.#tools.running;
    if (this.#answers.givenUp) this.#gave({ why: 'the service fails at every answer', final: true });
    this.#ending.tick({ isActive, callMeter: this.#meter, session: this.#link.ready });
    if (this.#ending.begun) return;
    const { owedSinceMs } = this.#answers;
    if (owedSinceMs !== undefined && this.#link.ready) {
      const silentMs = now - Math.max(owedSinceMs, this.#lastEventMs);
      if (silentMs >= this.#settings.answerTimeoutMs) {
        this.#link.reset(`it owed an answer and sent nothing for ${Math.round(silentMs)} ms`);
      }
    }
    if (now >= this.#resumeAtMs && !isActive) {
      this.#resumeAtMs = Number.POSITIVE_INFINITY;
      this.#answers.want();
    }
    const waits = owedSinceMs !== undefined || !this.#link.ready || this.#tools.running;
    const isQuiet = !speaking && !this.#callerSpeaks;
    // The tone would wait for the end of what the model says.
    if (waits && isQuiet) this.#speaker.rest();
    this.#waitingTone.tick(now, { isQuiet, waits });
  }
}
