/**
 * One WebSocket: the protocol's state machine.
 *
 *   waiting ──start──▶ streaming ──stop──▶ stopped
 *      └──────────┬─────────┴─────────────────┘      (or relayed, where another reactor has the call's handler)
 *               closed   (from any state: by the peer, by us, by a timeout)
 *
 * Media frames go to the engine as they are; whatever it does not recognise at once goes to the full parser here.
 */
import type { StreamCapture } from '../capture/writer.js';
import { SidetoneError } from '../errors.js';
import type { MediaPath, Socket } from '../media/path.js';
import { BAD_BASE64, FOREIGN_STREAM } from '../native/addon.js';
import type { StopReason } from '../plugin/plugin.js';
import type { Reactor, ReactorLink } from '../reactor/reactor.js';
import type { CallStream } from '../stream/stream.js';
import {
  AUTH_TOKEN_HEADER,
  type ConnectedFrame,
  type DtmfFrame,
  type ErrorFrame,
  type MediaFrame,
  type StartFrame,
} from '../telnyx/frames.js';
import { parseFrame } from '../telnyx/validate.js';
import { ControlFrames } from './control-frames.js';
import { EarlyMedia } from './early-media.js';
import { CLOSE_CODES, END_COUNTERS, type WireFault } from './ends.js';
import type { Relay } from './relay.js';
import { audioOptions, type ConnectionSetup, startHandler, streamAsked } from './stream-start.js';
import { CallTokens } from './tokens.js';

/** A WebSocket's user data: what each of its messages needs. */
export interface SocketData {
  /** The engine's number of the stream; -1 while there is none. */
  slot: number;
  readonly connection: Connection;
}

/**
 * One message of a WebSocket: plain media go to the engine, everything else to the connection. It is decided here and
 * nowhere else. `message` is read before this returns and not kept.
 */
export function receive(path: MediaPath, data: SocketData, message: ArrayBuffer, isBinary: boolean): void {
  if (isBinary || data.slot < 0 || !path.receive(data.slot, message)) {
    data.connection.unusual(message, isBinary);
  }
}

export class Connection implements ReactorLink {
  #data: SocketData = { slot: -1, connection: this };
  #socket: Socket | undefined;
  #stream: CallStream | undefined;
  #state: 'waiting' | 'streaming' | 'stopped' | 'relayed' | 'closed' = 'waiting';
  #messageMs: number; // when the last whole message came that was not plain media
  /** Undefined unless the server captures its streams. */
  readonly #capture: StreamCapture | undefined;
  #early: EarlyMedia | undefined; // made when the first comes
  #tokens: CallTokens | undefined; // undefined: good for every call
  #malformed = 0;
  #controls: ControlFrames | undefined; // made when the first comes
  #congested = false;
  #endReason: StopReason | undefined;
  #relay: Relay | undefined;

  constructor(
    private readonly reactor: Reactor,
    private readonly setup: ConnectionSetup,
  ) {
    this.#messageMs = reactor.clock.now();
    this.#tokens = setup.boundCall === undefined ? undefined : new CallTokens([setup.boundCall]);
    this.#capture = reactor.capture?.begin();
    setup.plugin.opened();
  }

  /** The user data to make the WebSocket with. The WebSocket keeps a copy of it, which open() is given. */
  get data(): SocketData {
    return this.#data;
  }

  /** The WebSocket is open, and this is its user data. */
  open(socket: Socket, data = this.#data): void {
    this.#socket = socket;
    this.#data = data;
  }

  get streaming(): boolean {
    return this.#state === 'streaming' || this.#state === 'relayed';
  }

  get stream(): CallStream | undefined {
    return this.#stream;
  }

  /** Receives a message as receive() does, after the capture has seen it. */
  message(message: ArrayBuffer, isBinary: boolean): void {
    this.#capture?.received(message, isBinary);
    receive(this.reactor.path, this.#data, message, isBinary);
  }

  /** @internal A message that is no plain media frame, as far as the engine can tell at once. */
  unusual(message: ArrayBuffer, isBinary: boolean): void {
    this.#messageMs = this.reactor.clock.now();
    if (this.#state === 'relayed') this.#relay!.message(message, isBinary);
    else if (isBinary) this.reactor.count('binaryMessages');
    else if (this.#state !== 'closed') this.#text(message);
  }

  /** A ping or a pong. */
  control(): void {
    this.#controls ??= new ControlFrames();
    if (!this.#controls.add(this.reactor.clock.now()))
      this.#violation('ping_flood', 'more than pings and pongs need');
  }

  /** The WebSocket has closed; nothing may be sent any more. */
  closed(fault?: WireFault): void {
    this.#socket = undefined;
    if (this.#endReason === undefined && fault !== undefined && fault !== 'idle') {
      this.reactor.refused(fault, 'the peer broke the WebSocket protocol (RFC 6455)', this.#stream);
      this.#endReason = 'protocol_error';
    }
    this.#finish(this.#endReason ?? (fault === 'idle' ? 'idle_timeout' : 'disconnected'));
  }

  // --- StreamLink: what the stream may do to its connection ---

  sendText(text: string): void {
    this.#send(text);
  }

  get backlogged(): boolean {
    const waiting = this.#socket?.getBufferedAmount() ?? 0;
    return waiting > this.reactor.options.backpressureBytesMax;
  }

  end(reason: StopReason): void {
    if (this.#endReason !== undefined || this.#state === 'closed') return;
    this.#endReason = reason;
    const socket = this.#socket;
    this.#socket = undefined;
    this.#finish(reason);
    socket?.end(CLOSE_CODES[reason], reason);
  }

  // --- driven by the reactor ---

  /** One media message out of the send slab; `followed` where the stream wants to know. */
  sendMedia(message: Uint8Array, followed: boolean): void {
    if (!this.#socket) return;
    this.#send(message);
    if (followed) this.#stream?.mediaSent(message);
  }

  drained(): void {
    this.#congested = false;
    this.#relay?.backlog(0, false);
    this.#stream?.drained();
  }

  /** A few times a second. Bytes that never make up a message do not keep a connection, nor do pongs alone. */
  sweep(nowMs: number): void {
    const mediaMs =
      this.#state === 'streaming' ? this.reactor.path.engine.native.lastMediaMs(this.#data.slot) : 0;
    const idleMs = nowMs - Math.max(this.#messageMs, mediaMs);
    if (idleMs > this.reactor.options.idleTimeoutSeconds * 1000) this.end('idle_timeout');
    else this.#stream?.sweep(nowMs);
  }

  #send(message: string | Uint8Array): void {
    if (!this.#socket) return;
    const status = this.#socket.send(message, false, false);
    this.#capture?.sent(message, status === 2);
    if (this.#relay) {
      if (status !== 1) this.#relay.backlog(this.#socket.getBufferedAmount(), status === 2);
    } else if (status === 2) this.notSent();
  }

  /** @internal The WebSocket refused a message, because too much waits to be read by the peer. */
  notSent(): void {
    this.reactor.count('messagesDropped');
    if (this.#congested) return;
    this.#congested = true;
    if (this.reactor.options.slowReader === 'close') {
      this.end('protocol_error');
      return;
    }
    this.#stream?.tell(
      'onError',
      new SidetoneError(
        'SIDETONE_BACKPRESSURE',
        `the far end reads too slowly: audio is dropped while more than ${this.reactor.options.backpressureBytesMax} ` +
          'bytes wait to be sent to it',
      ),
    );
  }

  // --- frames that are not plain media ---

  #text(message: ArrayBuffer): void {
    const parsed = parseFrame(Buffer.from(message).toString('utf8'));
    if (parsed.kind === 'refused') {
      this.#refuse(parsed.reason, parsed.detail);
      return;
    }
    if (parsed.kind === 'unknown') {
      this.reactor.count('unknownEvents');
      return;
    }
    const frame = parsed.frame;
    if (parsed.unknownKeys) this.reactor.count('unknownKeys', parsed.unknownKeys);
    if ('sequence_number' in frame && frame.event !== 'media' && frame.event !== 'start' && this.#stream) {
      this.reactor.path.engine.native.noteSequence(this.#data.slot, Number(frame.sequence_number));
    }
    switch (frame.event) {
      case 'connected':
        this.#connected(frame);
        break;
      case 'start':
        this.#start(frame, message);
        break;
      case 'media':
        this.#media(frame, message);
        break;
      case 'dtmf':
        this.#dtmf(frame);
        break;
      case 'mark':
        this.#stream?.markReturned(frame.mark.name);
        break;
      case 'stop':
        this.#stop();
        break;
      case 'error':
        this.#error(frame);
        break;
    }
  }

  #refuse(reason: string, detail: string): void {
    this.#malformed++;
    this.reactor.refused(reason, detail, this.#stream);
    if (this.#malformed >= this.reactor.options.malformedMax) this.end('protocol_error');
  }

  /** Ends the connection for what no working peer does. */
  #violation(reason: string, detail: string): void {
    this.reactor.refused(reason, detail, this.#stream);
    this.end('protocol_error');
  }

  #connected(frame: ConnectedFrame): void {
    const token = frame.connected?.[AUTH_TOKEN_HEADER];
    const { gate } = this.setup;
    if (token === undefined || !gate?.wantsToken) return;
    const known = gate.knownToken(token);
    if (known?.callControlId !== undefined) {
      this.#tokens ??= new CallTokens([]);
      this.#tokens.add(known.callControlId);
    }
    if (!known || (this.#stream && this.#tokens?.allow(this.#stream.callControlId) === false)) {
      this.#unauthorized();
    }
  }

  #unauthorized(): void {
    this.reactor.count('unauthorized');
    this.setup.gate?.tokenRefused(this.setup.request.remoteAddress);
    this.end('protocol_error');
  }

  #start(frame: StartFrame, message: ArrayBuffer): void {
    if (this.#state !== 'waiting') {
      this.#refuse('second_start', `start: stream ${frame.stream_id}: this WebSocket has a stream already`);
      return;
    }
    if (this.#tokens?.allow(frame.start.call_control_id) === false) {
      this.#unauthorized();
      return;
    }
    const relay = this.setup.gate?.relay(frame.start.call_control_id, this.setup);
    if (relay) {
      this.#forward(relay, message);
      return;
    }
    const { plugin } = this.setup;
    const audio = audioOptions(this.setup);
    const opened = this.reactor.openStream({
      link: this,
      ...streamAsked(this.reactor, this.setup, audio, frame),
      socket: this.#capture ? undefined : this.#socket,
    });
    if (typeof opened === 'string') {
      this.end(opened);
      return;
    }
    this.#capture?.streaming(plugin.name, opened.inbound, opened.outbound, this.reactor.options.l16ByteOrder);
    this.#stream = opened;
    this.#data.slot = opened.slot;
    this.#state = 'streaming';
    const continued = this.reactor.takeOver(frame.start.call_control_id, this, plugin.name);
    if (continued) opened.continueFrom(continued.stream, continued.gapMs);
    else startHandler(plugin, opened, audio);
    // A capture has seen them when they came.
    for (const message of this.#takeEarly()) receive(this.reactor.path, this.#data, message, false);
  }

  /** Another reactor gets the stream; this one carries its messages. */
  #forward(relay: Relay, start: ArrayBuffer): void {
    this.#relay = relay;
    this.#state = 'relayed';
    relay.open({
      send: message => this.#send(message),
      end: (code, reason) => {
        const socket = this.#socket;
        this.#socket = undefined;
        this.#endReason ??= 'closed';
        this.#finish('closed');
        socket?.end(code, reason);
      },
    });
    relay.message(start, false);
    for (const message of this.#takeEarly()) relay.message(message, false);
  }

  /** What came before `start`, which is kept no longer. */
  #takeEarly(): readonly ArrayBuffer[] {
    const messages = this.#early?.messages ?? [];
    this.#early = undefined;
    return messages;
  }

  /** A media frame that the engine did not recognise at once: unusually written, early, late or wrong. */
  #media(frame: MediaFrame, message: ArrayBuffer): void {
    if (this.#state === 'waiting') {
      this.reactor.count('earlyMedia');
      this.#early ??= new EarlyMedia();
      if (!this.#early.add(message)) {
        this.#violation('early_media', `media: ${this.#early.bytes} bytes came before start`);
      }
      return;
    }
    if (this.#state !== 'streaming') {
      this.reactor.count('lateMedia');
      return;
    }
    this.reactor.count('mediaParsedFully');
    this.reactor.path.nowMs = this.reactor.clock.now();
    const outcome = this.reactor.path.receiveParsed(this.#data.slot, frame);
    if (outcome === BAD_BASE64) {
      this.#refuse(
        'bad_base64',
        `media.payload: ${frame.media.payload.length} characters: not standard padded base64`,
      );
    } else if (outcome === FOREIGN_STREAM) {
      this.#refuse('foreign_stream', `media stream_id: ${frame.stream_id}: not this stream's`);
    } else {
      this.reactor.path.wake();
      this.#stream!.deliver(outcome);
    }
  }

  #dtmf(frame: DtmfFrame): void {
    const at = frame.occurred_at === undefined ? new Date() : new Date(frame.occurred_at);
    this.#stream?.keyPressed(frame.dtmf.digit, Number.isNaN(at.getTime()) ? new Date() : at);
  }

  #error(frame: ErrorFrame): void {
    const { code, title, detail } = frame.payload;
    this.reactor.count('telnyxErrors');
    this.#stream?.tell(
      'onError',
      new SidetoneError('SIDETONE_TELNYX_ERROR', `Telnyx: ${code} ${title}: ${detail}`),
    );
  }

  #stop(): void {
    if (this.#state !== 'streaming') return;
    this.#closeStream('stop');
    this.#state = 'stopped';
  }

  #finish(reason: StopReason): void {
    if (this.#state === 'closed') return;
    // The other reactor counts its end.
    if (this.#state === 'relayed') this.#relay!.closed(reason);
    else this.#countEnd(reason);
    this.#closeStream(reason);
    this.#state = 'closed';
    this.#capture?.closed(reason);
    this.#early = undefined;
    this.reactor.forget(this);
    this.setup.plugin.closed();
  }

  #countEnd(reason: StopReason): void {
    if (this.#state === 'waiting' && reason !== 'overloaded') this.reactor.count('closedBeforeStart');
    const counter = END_COUNTERS[reason];
    if (counter && (reason !== 'disconnected' || this.#state === 'streaming')) this.reactor.count(counter);
  }

  #closeStream(reason: StopReason): void {
    if (this.#state !== 'streaming') return;
    this.#state = 'stopped';
    const stream = this.#stream!;
    const stays = this.reactor.departed.awaits(stream, reason);
    stream.finish(reason, stays);
    this.reactor.closeStream(stream, reason, stays);
    this.#data.slot = -1;
  }
}
