/** Made from table.ts by `npm run docs`: the docstrings that editors and the reference of the API show. */
import type { OptionValues } from './table.js';

/** What `createServer` takes; everything has a default. */
export interface ServerOptions {
  /** Address to listen on; 0.0.0.0 for all addresses of this machine. Default: `127.0.0.1`. */
  host?: OptionValues['host'];
  /** Port to listen on; 0 picks a free one (0 to 65535). Default: `8080`. */
  port?: OptionValues['port'];
  /** Other processes of the same user may listen on the port, too, for a hand-over. Default: `false`. */
  sharePort?: OptionValues['sharePort'];
  /** Admin port: health, metrics, dashboard. Default: `true`. */
  admin?: OptionValues['admin'];
  /** Address of the admin port. Default: `127.0.0.1`. */
  adminHost?: OptionValues['adminHost'];
  /** Port for health, metrics and dashboard; 0 picks a free one (0 to 65535). Default: 9090; 0 where `port` is 0. */
  adminPort?: OptionValues['adminPort'];
  /**
   * Token wanted by the admin port, but for `/healthz` and `/readyz`; `--admin-token-file` reads it from a file.
   * Default: none.
   */
  adminToken?: OptionValues['adminToken'];
  /**
   * Plugins: built-in names (`echo`, `speak`, `record`, `tone`, `realtime`), TypeScript files, npm packages; in
   * the config file and the library also `{ "module", "options", "name", "path" }`, for the library definitions
   * too. Default: echo.
   */
  plugins?: OptionValues['plugins'];
  /**
   * Options of plugins by the plugins' names, field by field before those of `plugins`; in the environment
   * `SIDETONE_PLUGIN_OPTIONS_NAME='{ … }'`. Default: none.
   */
  pluginOptions?: OptionValues['pluginOptions'];
  /**
   * How long a plugin's `setup` may take before the server gives up its start (100 to 600000 ms). Default:
   * `30000`.
   */
  setupTimeoutMs?: OptionValues['setupTimeoutMs'];
  /** Loads the plugins anew when files of their folders change: new calls get the new code. Default: `false`. */
  watch?: OptionValues['watch'];
  /** Threads that carry streams; connections are dealt to them in turn (1 to 256). Default: `1`. */
  reactors?: OptionValues['reactors'];
  /**
   * Worker threads for OPUS and AMR-WB, for each reactor; 0: one fewer than there are cores, at least 1 (0 to
   * 64). Default: `0`.
   */
  pool?: OptionValues['pool'];
  /** Starts these workers with the server, even where no option or plugin names OPUS or AMR-WB. Default: `false`. */
  poolWarm?: OptionValues['poolWarm'];
  /**
   * Token wanted in `x-telnyx-streaming-auth-token`, 1 to 4000 characters; any one of several is accepted;
   * `--auth-token-file` reads them from a file, one per line; read again on SIGHUP; the config file and the
   * library can bind one to a call: `{ "token", "callControlId" }`. Default: none.
   */
  authToken?: OptionValues['authToken'];
  /** Addresses that may open streams, such as `203.0.113.0/24` or `2001:db8::/32`; others get 403. Default: all. */
  allow?: OptionValues['allow'];
  /**
   * Addresses of proxies whose `X-Forwarded-For` is believed: `allow`, limits, logs and plugins see the caller's
   * address. Default: none.
   */
  trustedProxies?: OptionValues['trustedProxies'];
  /** Upgrades a second that one address may ask for; more are refused with 429 (1 to 1000000). Default: no limit. */
  upgradesPerSecondMax?: OptionValues['upgradesPerSecondMax'];
  /** Files of certificate and key; without them the server speaks plain HTTP. */
  tls?: {
    /** File of the certificate chain, PEM. */
    cert: NonNullable<OptionValues['tls']>['cert'];
    /** File of its private key, PEM, without a passphrase. */
    key: NonNullable<OptionValues['tls']>['key'];
  };
  /**
   * What Telnyx was told as `stream_bidirectional_codec`, such as `L16@16000`; in the config file `{ "encoding",
   * "sampleRate" }`. Default: what comes in.
   */
  outboundCodec?: OptionValues['outboundCodec'];
  /**
   * What Telnyx was told as `stream_bidirectional_mode`; `mp3` sends files, one message a second (rtp, mp3).
   * Default: `rtp`.
   */
  outboundMode?: OptionValues['outboundMode'];
  /** Takes Telnyx's webhooks by POST. */
  webhooks?: {
    /** Public key of the Telnyx account (base64); with it the server takes webhooks whose signature fits it. */
    publicKey: NonNullable<OptionValues['webhooks']>['publicKey'];
    /** Path of the webhooks. Default: `/telnyx/webhooks`. */
    path?: NonNullable<OptionValues['webhooks']>['path'];
  };
  /** Answers every incoming call that a webhook tells of. */
  answer?: {
    /** Answers every incoming call with a stream to this address; needs `webhooks`. */
    streamUrl: NonNullable<OptionValues['answer']>['streamUrl'];
    /** The tracks that Telnyx is asked for (inbound, both). Default: what the plugins want. */
    track?: NonNullable<OptionValues['answer']>['track'];
    /**
     * The encoding that Telnyx is asked for (PCMU, PCMA, G722, OPUS, AMR-WB, L16, default). Default: the call's
     * own.
     */
    inboundEncoding?: NonNullable<OptionValues['answer']>['inboundEncoding'];
    /** Custom parameters of the stream, by name. Default: none. */
    customParameters?: NonNullable<OptionValues['answer']>['customParameters'];
    /** @deprecated Older name of `api.key`. */
    apiKey?: NonNullable<OptionValues['answer']>['apiKey'];
    /** @deprecated Older name of `api.keyFile`. */
    apiKeyFile?: NonNullable<OptionValues['answer']>['apiKeyFile'];
    /** @deprecated Older name of `api.base`. */
    apiBase?: NonNullable<OptionValues['answer']>['apiBase'];
  };
  /** How commands reach the Telnyx API. */
  api?: {
    /**
     * Key of the Telnyx API: for `answer`, and for `stream.callControl` of plugins. Default: `TELNYX_API_KEY` of
     * the environment.
     */
    key?: NonNullable<OptionValues['api']>['key'];
    /** A file with the key and nothing else. Default: none. */
    keyFile?: NonNullable<OptionValues['api']>['keyFile'];
    /** Base of the API, for a test double. Default: Telnyx's own. */
    base?: NonNullable<OptionValues['api']>['base'];
  };
  /** Streams at a time; more are refused with 503 (1 to 1000000). Default: `10000`. */
  streamsMax?: OptionValues['streamsMax'];
  /** @deprecated Older name of `streamsMax`. */
  maxStreams?: OptionValues['streamsMax'];
  /** When new streams are refused because the running ones need all the time. */
  overload?: {
    /** Refuses new streams with 503 while a reactor is overloaded. Default: `true`. */
    refuse?: NonNullable<OptionValues['overload']>['refuse'];
    /** A reactor is overloaded when its thread uses more than this share of the time (10 to 100 %). Default: `85`. */
    busyMaxPercent?: NonNullable<OptionValues['overload']>['busyMaxPercent'];
    /** A reactor is overloaded when its event loop is usually later than this (1 to 10000 ms). Default: `10`. */
    lagMaxMs?: NonNullable<OptionValues['overload']>['lagMaxMs'];
    /** A reactor with fewer connections than this is never overloaded (0 to 1000000). Default: `32`. */
    streamsMin?: NonNullable<OptionValues['overload']>['streamsMin'];
  };
  /** How long running calls may go on after SIGTERM (0 to 86400000 ms). Default: `30000`. */
  drainTimeoutMs?: OptionValues['drainTimeoutMs'];
  /**
   * How long a handler with `onResume` is kept for a dropped stream to come back; 0: not at all (0 to 300000 ms).
   * Default: `30000`.
   */
  resumeWindowMs?: OptionValues['resumeWindowMs'];
  /** A connection on which no whole message comes for this long is closed (8 to 960 s). Default: `120`. */
  idleTimeoutSeconds?: OptionValues['idleTimeoutSeconds'];
  /** How far ahead Telnyx is kept while audio is queued (20 to 5000 ms). Default: `200`. */
  leadMs?: OptionValues['leadMs'];
  /** Longest audio of one message (20 to 1000 ms). Default: `100`. */
  chunkMs?: OptionValues['chunkMs'];
  /** Longest audio that may wait in one stream (100 to 3600000 ms). Default: `60000`. */
  queueMaxMs?: OptionValues['queueMaxMs'];
  /** Live audio that is later than this is caught up; at least 100, or 0: never (0 to 60000 ms). Default: `400`. */
  liveLatencyMaxMs?: OptionValues['liveLatencyMaxMs'];
  /**
   * Memory for the queued audio of all streams of a reactor (1048576 to 64000000000 bytes). Default:
   * `1073741824`.
   */
  queueBytesMax?: OptionValues['queueBytesMax'];
  /**
   * How long incoming messages may wait to be read together, as long as no handler plays inside its `onAudio`; 0:
   * never (0 to 20 ms). Default: `1`.
   */
  gatherMs?: OptionValues['gatherMs'];
  /** How long a gap waits for the missing frame (0 to 1000 ms). Default: `60`. */
  reorderWaitMs?: OptionValues['reorderWaitMs'];
  /** The longest loss that is filled with concealed frames (0 to 10000 ms). Default: `1000`. */
  gapFillMaxMs?: OptionValues['gapFillMaxMs'];
  /** What stands in for lost audio: synthesised speech, or silence (on, silence). Default: `on`. */
  concealment?: OptionValues['concealment'];
  /** Byte order of L16 on the wire; `auto` finds it from the sound (le, be, auto). Default: `le`. */
  l16ByteOrder?: OptionValues['l16ByteOrder'];
  /** How OPUS is encoded. */
  opus?: {
    /** Bit rate of OPUS that is sent (6000 to 128000 bit/s). Default: 16000 to 32000, by the rate. */
    bitrateBps?: NonNullable<OptionValues['opus']>['bitrateBps'];
    /** The OPUS encoder's effort (0 to 10). Default: 5. */
    complexity?: NonNullable<OptionValues['opus']>['complexity'];
    /** OPUS sends almost nothing in silence. Default: false. */
    dtx?: NonNullable<OptionValues['opus']>['dtx'];
    /** Each OPUS packet carries a coarse copy of the packet before it. Default: false. */
    fec?: NonNullable<OptionValues['opus']>['fec'];
    /** The loss that OPUS prepares for (0 to 100 %). Default: 0; 5 with `opus.fec`. */
    packetLossPercent?: NonNullable<OptionValues['opus']>['packetLossPercent'];
  };
  /** How AMR-WB is encoded. */
  amrwb?: {
    /** Payload format of AMR-WB that is sent (bandwidth-efficient, octet-aligned). Default: bandwidth-efficient. */
    form?: NonNullable<OptionValues['amrwb']>['form'];
    /** Bit rate of AMR-WB that is sent, 6.6 to 23.85 kbit/s (0 to 8). Default: 2. */
    mode?: NonNullable<OptionValues['amrwb']>['mode'];
    /** AMR-WB sends comfort noise in silence. Default: false. */
    dtx?: NonNullable<OptionValues['amrwb']>['dtx'];
  };
  /**
   * Where the handlers of plugins run that do not say it themselves: in the thread that carries the calls, or in
   * threads of their own (reactor, thread). Default: `reactor`.
   */
  isolation?: OptionValues['isolation'];
  /** When a handler fails, its stream ends, or goes on without it (end, bypass). Default: `end`. */
  handlerErrors?: OptionValues['handlerErrors'];
  /** A longer message closes the stream (1024 to 16000000 bytes). Default: `65536`. */
  messageBytesMax?: OptionValues['messageBytesMax'];
  /** @deprecated Older name of `messageBytesMax`. */
  maxMessageBytes?: OptionValues['messageBytesMax'];
  /** Refused messages after which a stream is closed (1 to 1000000000). Default: `100`. */
  malformedMax?: OptionValues['malformedMax'];
  /** How much may wait to be sent to one peer (4096 to 64000000 bytes). Default: `262144`. */
  backpressureBytesMax?: OptionValues['backpressureBytesMax'];
  /** @deprecated Older name of `backpressureBytesMax`. */
  maxBackpressureBytes?: OptionValues['backpressureBytesMax'];
  /** Beyond `backpressureBytesMax` audio is dropped, or the stream is closed (drop, close). Default: `drop`. */
  slowReader?: OptionValues['slowReader'];
  /** Directory for captures: each stream's messages in a file, for `doctor` and `replay`. Default: none. */
  captureDir?: OptionValues['captureDir'];
  /** Captures keep numbers, client_state and custom_parameters; auth tokens are never kept. Default: `false`. */
  capturePersonal?: OptionValues['capturePersonal'];
  /**
   * Lowest level that is logged, one JSON line for each event (fields); tokens, numbers and client_state are
   * never in it (fatal, error, warn, info, debug, trace, silent). Default: `info`.
   */
  logLevel?: OptionValues['logLevel'];
}
