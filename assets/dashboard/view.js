// What the page shows, worked out of the server's figures; nothing here touches the page.
import { bytes, duration, milliseconds, number, percent, show, whole } from './format.js';

// --- history ---

/** As many points as the server keeps, at most. */
const POINTS_MAX = 600;

/** The points of a report behind those that are there; another process or interval begins anew. */
export function mergeHistory(history, report) {
  const same = history.pid === report.pid && history.intervalMs === report.intervalMs;
  const before = same ? history.points : [];
  const lastMs = before.at(-1)?.atMs ?? 0;
  const points = [...before, ...report.points.filter(({ atMs }) => atMs > lastMs)].slice(-POINTS_MAX);
  return { pid: report.pid, intervalMs: report.intervalMs, points };
}

// --- the state ---

const STATES = {
  starting: ['Starting', 'The port of the streams is not open yet.'],
  ready: ['Ready', ''],
  full: ['Full', 'As many streams run as this server takes: further ones are refused with 503.'],
  draining: ['Draining', ''],
};
/** A stream's queue that is nearer than this to `queueMaxMs` is marked. */
const QUEUE_SHARE_MAX = 0.8;

export const queueBoundMs = status => QUEUE_SHARE_MAX * status.queueMaxMs;

/** The header: `kind` is its colour, green for `ready` only, `notices` are sentences. */
export function headline(status, streams) {
  const [title, notice] = STATES[status.state];
  const notices = notice ? [notice] : [];
  if (status.state === 'draining') {
    const left = `${whole.format(status.streams)} running ${status.streams === 1 ? 'call' : 'calls'}`;
    notices.push(`No new streams are taken; ${left} may still end.`);
  }
  const concerns = status.concerns.map(({ text }) => text);
  const boundMs = queueBoundMs(status);
  const over = streams.filter(({ queuedMs }) => queuedMs > boundMs).length;
  if (over > 0) {
    const which = over === 1 ? '1 stream has' : `${whole.format(over)} streams have`;
    concerns.push(
      `${which} more than ${duration(boundMs / 1000)} of audio queued; play() is refused from ${duration(status.queueMaxMs / 1000)} on.`,
    );
  }
  notices.push(...concerns);
  if (status.state !== 'ready' || concerns.length === 0) return { title, kind: status.state, notices };
  const warnings = concerns.length === 1 ? '1 warning' : `${concerns.length} warnings`;
  return { title: `${title}, ${warnings}`, kind: 'concerned', notices };
}

// --- the cards ---

/**
 * `value` and `details` of the newest point and the status; `series` for the chart; `at` for the caption under the
 * pointer; `concerns` that mark the card.
 */
export const CARDS = [
  {
    title: 'Streams',
    concerns: ['turnedAway', 'notOpened'],
    value: (_p, status) => [whole.format(status.streams), ` of ${whole.format(status.streamsMax)}`],
    details: (_p, status) => [
      `${whole.format(status.connections)} connections`,
      `${whole.format(status.counters.streamsStarted)} since start`,
    ],
    series: [p => p.streams],
    floor: 5,
    format: whole.format,
    at: p => whole.format(p.streams),
  },
  {
    title: 'Audio in',
    value: p => [show(p.messagesIn, number), ' messages/s'],
    details: (p, status) => [
      `${show(p.bytesIn, bytes)}/s`,
      `${bytes(status.counters.bytesReceived)} since start`,
    ],
    series: [p => p.messagesIn],
    floor: 10,
    format: value => `${number(value)}/s`,
    at: p => `${show(p.messagesIn, number)}/s, ${show(p.bytesIn, bytes)}/s`,
  },
  {
    title: 'Audio out',
    concerns: ['queueMemory'],
    value: p => [show(p.messagesOut, number), ' messages/s'],
    details: (p, status) => [`${show(p.bytesOut, bytes)}/s`, `${bytes(status.queueBytes)} queued`],
    series: [p => p.messagesOut],
    floor: 10,
    format: value => `${number(value)}/s`,
    at: p => `${show(p.messagesOut, number)}/s, ${show(p.bytesOut, bytes)}/s`,
  },
  {
    title: 'Concealed audio',
    concerns: ['concealedAudio'],
    value: p => [show(p.concealedPercent, percent), ' of frames'],
    details: (_p, status) => [
      `${whole.format(status.lastMinute.counters.framesLost)} lost last minute`,
      `${whole.format(status.lastMinute.counters.framesLate)} too late`,
    ],
    series: [p => p.concealedPercent],
    floor: 1,
    format: percent,
    at: p => show(p.concealedPercent, percent),
  },
  {
    title: 'Underruns',
    concerns: ['underruns'],
    value: (_p, status) => [whole.format(status.lastMinute.counters.underruns), ' last minute'],
    details: (_p, status) => [
      `${whole.format(status.counters.underruns)} since start`,
      `${whole.format(status.lastMinute.counters.messagesDropped)} messages dropped`,
    ],
    series: [p => p.underruns / p.seconds],
    floor: 5,
    format: value => `${number(value)}/s`,
    at: p => show(p.underruns, whole.format),
  },
  {
    title: 'Send lateness',
    concerns: ['sendLateness'],
    legend: ['p99', 'p50'],
    value: p => [show(p.lateP99Ms, milliseconds), ' p99'],
    details: p => [`${show(p.lateP50Ms, milliseconds)} p50`, 'of paced messages'],
    series: [p => p.lateP99Ms, p => p.lateP50Ms],
    floor: 4,
    format: milliseconds,
    at: p => `p99 ${show(p.lateP99Ms, milliseconds)}, p50 ${show(p.lateP50Ms, milliseconds)}`,
  },
  {
    title: 'Event loop delay',
    concerns: ['loopDelay', 'handlerStalls'],
    legend: ['max', 'p50'],
    value: p => [show(p.loopMaxMs, milliseconds), ' max'],
    details: (p, status) => [
      `${show(p.loopP50Ms, milliseconds)} p50`,
      status.reactors.length > 1 ? `worst of ${status.reactors.length}` : 'last second',
    ],
    series: [p => p.loopMaxMs, p => p.loopP50Ms],
    floor: 10,
    format: milliseconds,
    at: p => `max ${milliseconds(p.loopMaxMs)}, p50 ${milliseconds(p.loopP50Ms)}`,
  },
  {
    title: 'CPU',
    value: p => [show(p.cpuPercent, percent), ' of a core'],
    details: (p, status) => [
      p.streams > 0 ? `${whole.format((p.cpuPercent * 10_000) / p.streams)} µs per stream-s` : '',
      `${duration(status.cpuSeconds)} since start`,
    ],
    series: [p => p.cpuPercent],
    floor: 10,
    format: percent,
    at: p => show(p.cpuPercent, percent),
  },
  {
    title: 'Memory',
    concerns: ['queueMemory'],
    value: (_p, status) => [bytes(status.rssBytes), ' resident'],
    details: (_p, status) => [
      `${bytes(status.queueBytes)} audio`,
      `of at most ${bytes(status.queueBytesMax * status.reactors.length)}`,
    ],
    series: [p => p.rssBytes],
    floor: 1e8,
    format: bytes,
    at: p => bytes(p.rssBytes),
  },
];

// --- the small tables ---

/** What a caller or an operator suffers from; the help texts come from the server's own list. */
export const FAULTS = [
  'framesLost',
  'framesLate',
  'reorderOverflows',
  'badPayloads',
  'underruns',
  'playsRefused',
  'messagesDropped',
  'liveDropped',
  'poolRefused',
  'handlerFailures',
  'handlerStalls',
  'sourceFailures',
  'webhookFailures',
  'answersFailed',
  'telnyxErrors',
  'refusedMessages',
  'lateMedia',
  'disconnected',
  'idleTimeouts',
  'protocolErrors',
  'unauthorized',
  'upgradesRefused',
  'upgradesAborted',
  'upgradesUnfinished',
  'captureDropped',
];
/** What was put right or passed over. */
export const ODDITIES = [
  'framesReordered',
  'framesDuplicate',
  'resyncs',
  'emptyPayloads',
  'binaryMessages',
  'unknownEvents',
  'unknownKeys',
  'earlyMedia',
  'takeOvers',
  'closedBeforeStart',
];

export function reasons(refusals) {
  return Object.entries(refusals)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, count]) => `${reason.replaceAll('_', ' ')} ${whole.format(count)}`)
    .join(', ');
}

// --- the streams ---

/** Only these come at several rates. */
const format = ({ encoding, sampleRate }) =>
  ['L16', 'OPUS'].includes(encoding) ? `${encoding} ${number(sampleRate / 1000)} kHz` : encoding;
const plays = s => (s.mode === 'mp3' ? 'MP3' : format(s.outbound));
/** More than this is heard. */
const CONCEALED_SHARE = 0.01;
export const COLUMNS = [
  { title: 'Stream', value: s => s.id, text: s => s.id },
  { title: 'Plugin', value: s => s.plugin, text: s => s.plugin },
  { title: 'Hears', value: s => format(s.inbound), text: s => format(s.inbound) },
  { title: 'Plays', value: plays, text: plays },
  { title: 'Age', numeric: true, value: s => s.ageMs, text: s => duration(s.ageMs / 1000) },
  {
    title: 'Queued',
    numeric: true,
    value: s => s.queuedMs,
    text: s => `${whole.format(s.queuedMs)} ms`,
    attention: (s, queueBoundMs) => s.queuedMs > queueBoundMs,
  },
  counterColumn('Heard', 'framesHeard'),
  counterColumn('Concealed', 'framesConcealed', CONCEALED_SHARE),
  counterColumn('Lost', 'framesLost', CONCEALED_SHARE),
  counterColumn('Late', 'framesLate', CONCEALED_SHARE),
  counterColumn('Underruns', 'underruns', 0),
];

/** `share`: of the frames heard, above which the number stands out. */
function counterColumn(title, name, share = Number.POSITIVE_INFINITY) {
  const value = s => s.counters[name] ?? 0;
  const attention = s => value(s) > 0 && value(s) > share * (s.counters.framesHeard ?? 0);
  return { title, numeric: true, value, text: s => whole.format(value(s)), attention };
}
