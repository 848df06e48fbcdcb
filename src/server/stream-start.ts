/** What a connection opens its stream with at `start`: formats, rate, tracks and what else was asked for. */
import { CODECS, type Format, formatOf } from '../formats.js';
import { checkHandler } from '../plugin/define.js';
import { checkListens, voiceSettings } from '../plugin/hearing.js';
import type { StreamPlugin } from '../plugin/instance.js';
import { playoutSettings } from '../plugin/playout.js';
import type { AcceptResult, AudioOptions } from '../plugin/plugin.js';
import type { StreamRequest } from '../plugin/stream.js';
import type { OpenStream, Reactor } from '../reactor/reactor.js';
import type { CallStream } from '../stream/stream.js';
import { outboundOf, requestedIn } from '../telnyx/expectations.js';
import type { StartFrame, Track } from '../telnyx/frames.js';
import { type OutboundFormat, queryOutbound, settleOutbound } from './outbound-format.js';
import type { Relay } from './relay.js';
import type { KnownToken } from './tokens.js';

/** What the connections of a listener have in common. */
export interface Gate {
  readonly wantsToken: boolean;
  /** Judges the token of the `connected` frame. */
  knownToken(token: string): KnownToken | undefined;
  /** A token of a connection is not good for its call. */
  tokenRefused(remoteAddress: string): void;
  /** The way to the reactor where the handler of this call waits, if that is another one. */
  relay(callControlId: string, setup: ConnectionSetup): Relay | undefined;
}

/** The results of the upgrade. They are kept as long as the connection, so what all share is no closure of each. */
export interface ConnectionSetup {
  plugin: StreamPlugin;
  accepted: AcceptResult;
  request: StreamRequest;
  /** The call that the upgrade's token is bound to. */
  boundCall: string | undefined;
  /** Undefined where there is no listener. */
  gate: Gate | undefined;
}

/** What accept() says goes before what the plugin says. */
export function audioOptions({ plugin, accepted }: ConnectionSetup): AudioOptions {
  return { ...plugin.audio, ...accepted.audio };
}

export function streamAsked(
  reactor: Reactor,
  setup: ConnectionSetup,
  audio: AudioOptions,
  start: StartFrame,
): Omit<OpenStream, 'link' | 'socket'> {
  const { plugin, accepted, request } = setup;
  const { encoding, sample_rate: sampleRate } = start.start.media_format;
  const inbound = formatOf(encoding, sampleRate);
  const { mode, outbound } = outboundAsked(reactor, setup, inbound, start);
  const tracks: readonly Track[] =
    audio.tracks === 'both' ? ['inbound', 'outbound'] : [audio.tracks ?? 'inbound'];
  return {
    start,
    inbound,
    outbound: formatOf(outbound.encoding, outbound.sampleRate),
    mode,
    handlerRate: audio.sampleRate ?? CODECS[encoding].sampleRate(sampleRate),
    tracks,
    request,
    context: accepted.context,
    plugin,
    liveLatencyMaxMs: plugin.liveLatencyMaxMs ?? reactor.options.liveLatencyMaxMs,
    livePieces: plugin.liveLatencyMaxMs !== undefined,
    voice: voiceSettings(audio.vad),
    inbandKeys: audio.dtmf === 'inband',
    playout: playoutSettings(audio.playout),
  };
}

/** Query before accept() before plugin before what was asked of Telnyx before server. */
function outboundAsked(
  reactor: Reactor,
  { accepted, plugin, request }: ConnectionSetup,
  inbound: Format,
  start: StartFrame,
): OutboundFormat {
  const { outboundMode, outboundCodec } = reactor.options;
  return settleOutbound(inbound, outboundMode, [
    queryOutbound(request.query),
    accepted.outbound,
    plugin.outbound,
    outboundOf(requestedIn(start.start.custom_parameters)),
    reactor.expectedOutbound(start.start.call_control_id),
    outboundCodec,
  ]);
}

export function startHandler(plugin: StreamPlugin, stream: CallStream, audio: AudioOptions): void {
  if (plugin.host) {
    plugin.host.carry(stream, audio);
    return;
  }
  try {
    const handler = checkHandler(plugin, plugin.onStart(stream));
    checkListens(plugin, handler, audio);
    stream.attach(handler);
  } catch (error) {
    stream.handlerFailed('onStart', error);
  }
}
