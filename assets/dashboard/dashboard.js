// Polls this server's figures once a second and shows them. Whatever came over the wire is only ever set as text.
const POLL_MS = 1000;
const TIMEOUT_MS = 4000;
/** More streams than this are asked for every third time only. */
const STREAMS_OFTEN_MAX = 200;

const $ = id => document.getElementById(id);
const element = (kind, className = '', text = '') => {
  const made = document.createElement(kind);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
};

// --- numbers as text ---

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const twoDigits = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });

const number = value => (value < 10 ? oneDigit : whole).format(value);
const milliseconds = value => `${(value < 10 ? twoDigits : whole).format(value)} ms`;
const percent = value => `${(value < 10 ? twoDigits : oneDigit).format(value)} %`;

function bytes(value) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3));
  return `${number(value / 1000 ** power)} ${units[power]}`;
}

function duration(seconds) {
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [Math.floor(seconds) % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}

const clockTime = atMs => new Date(atMs).toLocaleTimeString('en-GB');

/** `framesLost` as `frames lost`. */
const words = name => name.replace(/[A-Z]/g, letter => ` ${letter.toLowerCase()}`);

// --- from counters to rates ---

/** Points of the last five minutes, oldest first. */
const points = [];
let lastStatus;

function addPoint(status) {
  const before = lastStatus;
  lastStatus = status;
  // Another process: its counters began anew.
  const same = before !== undefined && before.pid === status.pid && before.nowMs < status.nowMs;
  if (!same) points.length = 0;
  const seconds = same ? (status.nowMs - before.nowMs) / 1000 : 0;
  const grown = name => (same ? status.counters[name] - before.counters[name] : 0);
  const rate = name => (same ? grown(name) / seconds : null);
  const late = same ? status.lateness.map((count, i) => count - before.lateness[i]) : [];
  const loops = status.reactors.map(reactor => reactor.eventLoopDelayMs);
  points.push({
    atMs: Date.now(),
    seconds,
    counters: status.counters,
    streams: status.streams,
    messagesIn: rate('mediaReceived'),
    bytesIn: rate('bytesReceived'),
    messagesOut: rate('mediaSent'),
    bytesOut: rate('bytesSent'),
    concealedPercent: same ? (100 * grown('framesConcealed')) / Math.max(1, grown('framesHeard')) : null,
    underruns: same ? grown('underruns') : null,
    lateP50: quantile(late, 0.5, status.latenessBinMs),
    lateP99: quantile(late, 0.99, status.latenessBinMs),
    loopP50: Math.max(0, ...loops.map(({ p50 }) => p50)),
    loopMax: Math.max(0, ...loops.map(({ max }) => max)),
    cpuPercent: same ? (100 * (status.cpuSeconds - before.cpuSeconds)) / seconds : null,
    rssBytes: status.rssBytes,
    queueBytes: status.queueBytes,
  });
  while (points[0].atMs < Date.now() - SPAN_MS) points.shift();
}

/** The upper end of the bin in which the quantile lies; null where nothing was counted. */
function quantile(bins, share, binMs) {
  const all = bins.reduce((sum, count) => sum + count, 0);
  if (all === 0) return null;
  let below = 0;
  const at = bins.findIndex(count => {
    below += count;
    return below >= share * all;
  });
  return (at + 1) * binMs;
}

/** How much a counter has grown within the last minute, as far as this page has watched. */
function lastMinute(name) {
  const since = Date.now() - 60_000;
  const first = points.find(({ atMs }) => atMs >= since) ?? points[0];
  return lastStatus.counters[name] - first.counters[name];
}

// --- the cards ---

const dash = '–';
const show = (value, format) => (value === null || value === undefined ? dash : format(value));

/** `value` and `details` of the newest point; `series` for the chart; `at` for the caption under the pointer. */
const CARDS = [
  {
    title: 'Streams',
    value: p => [whole.format(p.streams), ` of ${whole.format(lastStatus.streamsMax)}`],
    details: () => [
      `${whole.format(lastStatus.connections)} connections`,
      `${whole.format(lastStatus.counters.streamsStarted)} since start`,
    ],
    series: [p => p.streams],
    floor: 5,
    format: whole.format,
    at: p => whole.format(p.streams),
  },
  {
    title: 'Audio in',
    value: p => [show(p.messagesIn, number), ' messages/s'],
    details: p => [`${show(p.bytesIn, bytes)}/s`, `${bytes(lastStatus.counters.bytesReceived)} since start`],
    series: [p => p.messagesIn],
    floor: 10,
    format: value => `${number(value)}/s`,
    at: p => `${show(p.messagesIn, number)}/s, ${show(p.bytesIn, bytes)}/s`,
  },
  {
    title: 'Audio out',
    value: p => [show(p.messagesOut, number), ' messages/s'],
    details: p => [`${show(p.bytesOut, bytes)}/s`, `${bytes(p.queueBytes)} queued`],
    series: [p => p.messagesOut],
    floor: 10,
    format: value => `${number(value)}/s`,
    at: p => `${show(p.messagesOut, number)}/s, ${show(p.bytesOut, bytes)}/s`,
  },
  {
    title: 'Concealed audio',
    value: p => [show(p.concealedPercent, percent), ' of frames'],
    details: () => [
      `${whole.format(lastMinute('framesLost'))} lost last minute`,
      `${whole.format(lastMinute('framesLate'))} too late`,
    ],
    series: [p => p.concealedPercent],
    floor: 1,
    format: percent,
    at: p => show(p.concealedPercent, percent),
  },
  {
    title: 'Underruns',
    value: () => [whole.format(lastMinute('underruns')), ' last minute'],
    details: () => [
      `${whole.format(lastStatus.counters.underruns)} since start`,
      `${whole.format(lastMinute('messagesDropped'))} messages dropped`,
    ],
    series: [p => p.underruns],
    floor: 5,
    format: value => `${number(value)}/s`,
    at: p => show(p.underruns, whole.format),
  },
  {
    title: 'Send lateness',
    legend: ['p99', 'p50'],
    value: p => [show(p.lateP99, milliseconds), ' p99'],
    details: p => [`${show(p.lateP50, milliseconds)} p50`, 'of paced messages'],
    series: [p => p.lateP99, p => p.lateP50],
    floor: 4,
    format: milliseconds,
    at: p => `p99 ${show(p.lateP99, milliseconds)}, p50 ${show(p.lateP50, milliseconds)}`,
  },
  {
    title: 'Event loop delay',
    legend: ['max', 'p50'],
    value: p => [milliseconds(p.loopMax), ' max'],
    details: p => [
      `${milliseconds(p.loopP50)} p50`,
      lastStatus.reactors.length > 1 ? `worst of ${lastStatus.reactors.length}` : 'last second',
    ],
    series: [p => p.loopMax, p => p.loopP50],
    floor: 10,
    format: milliseconds,
    at: p => `max ${milliseconds(p.loopMax)}, p50 ${milliseconds(p.loopP50)}`,
  },
  {
    title: 'CPU',
    value: p => [show(p.cpuPercent, percent), ' of a core'],
    details: p => [
      p.cpuPercent !== null && p.streams > 0
        ? `${whole.format((p.cpuPercent * 10_000) / p.streams)} µs per stream-s`
        : '',
      `${duration(lastStatus.cpuSeconds)} since start`,
    ],
    series: [p => p.cpuPercent],
    floor: 10,
    format: percent,
    at: p => show(p.cpuPercent, percent),
  },
  {
    title: 'Memory',
    value: p => [bytes(p.rssBytes), ' resident'],
    details: p => [`${bytes(p.queueBytes)} audio`, `of at most ${bytes(lastStatus.queueBytesMax)}`],
    series: [p => p.rssBytes],
    floor: 1e8,
    format: bytes,
    at: p => bytes(p.rssBytes),
  },
];

let hoverMs = null;

const cards = CARDS.map(card => {
  const box = element('article', 'card');
  const title = element('h2', '', card.title);
  const value = element('p', 'value');
  const amount = element('span');
  const unit = element('small');
  value.append(amount, unit);
  const details = element('p', 'details');
  const lines = [element('span'), element('span')];
  details.append(lines[0], element('br'), lines[1]);
  const legend = element('p', 'legend');
  (card.legend ?? []).forEach((name, i) => {
    const entry = element('span', i === 1 ? 'second' : '');
    entry.append(element('i'), name);
    legend.append(entry);
  });
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', `${card.title}, last five minutes`);
  const caption = element('p', 'caption');
  caption.setAttribute('aria-hidden', 'true');
  const left = element('span');
  const right = element('span');
  caption.append(left, right);
  box.append(title, legend, value, details, svg, caption);
  $('cards').append(box);
  const onHover = atMs => {
    hoverMs = atMs;
    drawCharts();
  };
  const chart = new Chart(svg, { ...card, onHover });
  return { card, amount, unit, lines, left, right, chart };
});

function showCards() {
  const newest = points.at(-1);
  for (const { card, amount, unit, lines } of cards) {
    const [value, of] = card.value(newest);
    amount.textContent = value;
    unit.textContent = of;
    card.details(newest).forEach((text, i) => {
      lines[i].textContent = text;
    });
  }
}

function drawCharts() {
  const nowMs = points.at(-1)?.atMs ?? Date.now();
  const hover = hoverMs === null ? null : nearest(hoverMs);
  for (const { card, left, right, chart } of cards) {
    chart.draw(points, nowMs, hover);
    left.textContent = hover ? clockTime(hover.atMs) : `${duration(spanMs(points, nowMs) / 1000)} ago`;
    right.textContent = hover ? card.at(hover) : 'now';
  }
}

function nearest(atMs) {
  let best = null;
  for (const point of points) {
    if (best === null || Math.abs(point.atMs - atMs) < Math.abs(best.atMs - atMs)) best = point;
  }
  return best;
}

// --- the small tables ---

/** What a caller or an operator suffers from; the help texts come from the server's own list. */
const FAULTS = [
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
const ODDITIES = [
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

/** Rows of plain cells; a cell is text, or a text with a smaller one below. */
function fillTable(table, rows) {
  const body = table.querySelector('tbody');
  body.replaceChildren(
    ...rows.map(cells => {
      const row = element('tr');
      row.append(
        ...cells.map(({ text, small, numeric, attention }) => {
          const cell = element(
            'td',
            `${numeric ? 'number' : ''}${attention ? ' attention' : ''}`.trim(),
            text,
          );
          if (small) cell.append(element('span', '', small));
          return cell;
        }),
      );
      return row;
    }),
  );
}

function showTables(status) {
  const happened = [...FAULTS, ...ODDITIES].filter(name => status.counters[name] > 0);
  $('faults').hidden = happened.length === 0;
  $('faults-none').hidden = happened.length > 0;
  fillTable(
    $('faults'),
    happened.map(name => {
      const recent = lastMinute(name);
      const small = name === 'refusedMessages' ? reasons(status.refusals) : COUNTER_HELP[name];
      return [
        { text: words(name), small },
        { text: whole.format(recent), numeric: true, attention: recent > 0 && FAULTS.includes(name) },
        { text: whole.format(status.counters[name]), numeric: true },
      ];
    }),
  );

  $('groups').hidden = status.groups.length === 0;
  $('groups-none').hidden = status.groups.length > 0;
  fillTable(
    $('groups'),
    status.groups.map(({ plugin, inbound, outbound, streams }) => [
      { text: plugin },
      { text: inbound },
      { text: outbound },
      { text: whole.format(streams), numeric: true },
    ]),
  );

  $('reactors').hidden = status.reactors.length < 2;
  fillTable(
    $('reactors'),
    status.reactors.map(({ reactor, streams, queueBytes, eventLoopDelayMs }) => [
      { text: String(reactor) },
      { text: whole.format(streams), numeric: true },
      { text: bytes(queueBytes), numeric: true },
      { text: milliseconds(eventLoopDelayMs.p99), numeric: true },
      { text: milliseconds(eventLoopDelayMs.max), numeric: true },
    ]),
  );
}

function reasons(refusals) {
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
const COLUMNS = [
  { title: 'Stream', value: s => s.id, text: s => s.id },
  { title: 'Plugin', value: s => s.plugin, text: s => s.plugin },
  { title: 'Hears', value: s => format(s.inbound), text: s => format(s.inbound) },
  { title: 'Plays', value: plays, text: plays },
  { title: 'Age', numeric: true, value: s => s.ageMs, text: s => duration(s.ageMs / 1000) },
  { title: 'Queued', numeric: true, value: s => s.queuedMs, text: s => `${whole.format(s.queuedMs)} ms` },
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

let streams = { total: 0, streams: [] };
const sort = { column: 4, descending: true };
/** Rows by stream, so that a selection or a pointer on one outlives the poll. */
let rows = new Map();

const headings = COLUMNS.map(({ title, numeric }, i) => {
  const heading = element('th', numeric ? 'number' : '');
  heading.scope = 'col';
  const button = element('button', '', title);
  button.type = 'button';
  button.addEventListener('click', () => {
    sort.descending = sort.column === i ? !sort.descending : Boolean(numeric);
    sort.column = i;
    showStreams();
  });
  heading.append(button);
  $('stream-table').querySelector('thead tr').append(heading);
  return heading;
});

function makeRow() {
  const row = element('tr');
  row.append(...COLUMNS.map(({ numeric }) => element('td', numeric ? 'number' : '')));
  return row;
}

function showStreams() {
  headings.forEach((heading, i) => {
    if (i === sort.column) heading.setAttribute('aria-sort', sort.descending ? 'descending' : 'ascending');
    else heading.removeAttribute('aria-sort');
  });
  const wanted = $('filter').value.trim().toLowerCase();
  const { value } = COLUMNS[sort.column];
  const found = streams.streams
    .filter(s => COLUMNS.slice(0, 4).some(({ text }) => text(s).toLowerCase().includes(wanted)))
    .sort((a, b) => {
      const order = value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : a.id < b.id ? -1 : 1;
      return sort.descending ? -order : order;
    });
  const before = rows;
  rows = new Map();
  for (const stream of found) {
    const row = before.get(stream.id) ?? makeRow();
    row.firstChild.title = stream.id;
    COLUMNS.forEach(({ text, attention }, i) => {
      const cell = row.children[i];
      const shown = text(stream);
      if (cell.textContent !== shown) cell.textContent = shown;
      cell.classList.toggle('attention', attention?.(stream) ?? false);
    });
    rows.set(stream.id, row);
  }
  const body = $('stream-table').querySelector('tbody');
  const order = [...rows.values()];
  if (order.length !== body.children.length || order.some((row, i) => body.children[i] !== row)) {
    body.replaceChildren(...order);
  }
  const known = streams.streams.length;
  const all = whole.format(streams.total);
  let count = streams.total === 0 ? 'none runs' : `${all} running`;
  if (known < streams.total) count = `the oldest ${whole.format(known)} of ${all}`;
  if (wanted) count += `, ${whole.format(found.length)} found`;
  $('streams-count').textContent = count;
}

$('filter').addEventListener('input', showStreams);
$('limit').addEventListener('change', () => pollStreams());

// --- state and polling ---

const STATES = {
  starting: ['Starting', 'The port of the streams is not open yet.'],
  ready: ['Ready', ''],
  full: ['Full', 'As many streams run as this server takes: further ones are refused with 503.'],
  draining: ['Draining', ''],
};

function showState(status) {
  const [title, notice] = STATES[status.state];
  $('state').textContent = title;
  $('state').className = `pill ${status.state}`;
  const left = `${whole.format(status.streams)} running ${status.streams === 1 ? 'call' : 'calls'}`;
  showNotice(
    status.state === 'draining' ? `Draining: no new streams are taken; ${left} may still end.` : notice,
    false,
  );
  $('about').textContent =
    `${status.version} · up ${duration(status.uptimeSeconds)} · Node.js ${status.node} · pid ${status.pid}`;
  document.title = `${whole.format(status.streams)} · sidetone`;
}

function showNotice(text, lost) {
  const notice = $('notice');
  // An alert is read out whenever it changes, so it changes only when it must.
  if (notice.textContent !== text) notice.textContent = text;
  notice.hidden = text === '';
  notice.classList.toggle('lost', lost);
  document.body.classList.toggle('stale', lost);
}

let paused = false;
let polls = 0;
let heardMs = null;

async function get(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: 'no-store' });
  if (!response.ok) throw new Error((await response.text()).trim() || `status ${response.status}`);
  return response.json();
}

async function pollStreams() {
  streams = await get(`/api/streams?limit=${$('limit').value}`);
  showStreams();
}

async function poll() {
  try {
    const often = Number($('limit').value) <= STREAMS_OFTEN_MAX || polls % 3 === 0;
    const [status] = await Promise.all([get('/api/status'), often ? pollStreams() : undefined]);
    polls++;
    heardMs = Date.now();
    addPoint(status);
    showState(status);
    showCards();
    showTables(status);
    drawCharts();
  } catch (error) {
    $('state').textContent = 'No answer';
    $('state').className = 'pill lost';
    const since = heardMs === null ? '' : ` since ${clockTime(heardMs)}`;
    const why = error instanceof TypeError || error.name === 'TimeoutError' ? '' : ` (${error.message})`;
    showNotice(`No figures${since}${why}. Trying again every second.`, true);
  }
}

async function run() {
  for (;;) {
    const startedMs = performance.now();
    if (!paused) await poll();
    const restMs = Math.max(200, POLL_MS - (performance.now() - startedMs));
    await new Promise(resolve => setTimeout(resolve, restMs));
  }
}

$('pause').addEventListener('click', () => {
  paused = !paused;
  $('pause').textContent = paused ? 'Resume' : 'Pause';
  if (!paused) return;
  $('state').textContent = 'Paused';
  $('state').className = 'pill';
});

run();
