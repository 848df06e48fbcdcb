// Polls this server's figures once a second and shows them. Whatever came over the wire is only ever set as text.
import { Chart, spanMs } from './chart.js';
import { bytes, clockTime, duration, milliseconds, whole, words } from './format.js';
import { CARDS, COLUMNS, FAULTS, headline, mergeHistory, ODDITIES, queueBoundMs, reasons } from './view.js';

const POLL_MS = 1000;
const TIMEOUT_MS = 4000;
/** More streams than this are asked for every third time only. */
const STREAMS_OFTEN_MAX = 200;
/** The server keeps this long second by second. */
const LONGEST_FINE_MS = 600_000;

const $ = id => document.getElementById(id);
const element = (kind, className = '', text = '') => {
  const made = document.createElement(kind);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
};

// --- what is known ---

let history = { pid: 0, intervalMs: 0, points: [] };
let streams = { total: 0, streams: [] };
let lastStatus;

// --- the cards ---

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
  svg.setAttribute('aria-label', `${card.title} over time`);
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
  return { card, box, amount, unit, lines, left, right, chart };
});

function showCards(status) {
  const newest = history.points.at(-1) ?? {};
  const concerned = new Set(status.concerns.map(({ name }) => name));
  for (const { card, box, amount, unit, lines } of cards) {
    const [value, of] = card.value(newest, status);
    amount.textContent = value;
    unit.textContent = of;
    card.details(newest, status).forEach((text, i) => {
      lines[i].textContent = text;
    });
    box.classList.toggle('concerned', card.concerns?.some(name => concerned.has(name)) ?? false);
  }
}

const wantedSpanMs = () => Number($('span').value) * 60_000;

function drawCharts() {
  const { points, intervalMs } = history;
  const nowMs = points.at(-1)?.atMs ?? Date.now();
  const span = spanMs(points, nowMs, wantedSpanMs());
  const shown = points.filter(({ atMs }) => atMs >= nowMs - span);
  const hover = hoverMs === null ? null : nearest(shown, hoverMs);
  for (const { card, left, right, chart } of cards) {
    chart.draw({ points: shown, nowMs, spanMs: span, intervalMs }, hover);
    left.textContent = hover ? clockTime(hover.atMs) : `${duration(span / 1000)} ago`;
    right.textContent = hover ? card.at(hover) : 'now';
  }
}

function nearest(points, atMs) {
  let best = null;
  for (const point of points) {
    if (best === null || Math.abs(point.atMs - atMs) < Math.abs(best.atMs - atMs)) best = point;
  }
  return best;
}

// --- the small tables ---

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
      const recent = status.lastMinute.counters[name];
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

// --- the streams ---

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
  const boundMs = lastStatus ? queueBoundMs(lastStatus) : Number.POSITIVE_INFINITY;
  const before = rows;
  rows = new Map();
  for (const stream of found) {
    const row = before.get(stream.id) ?? makeRow();
    row.firstChild.title = stream.id;
    COLUMNS.forEach(({ text, attention }, i) => {
      const cell = row.children[i];
      const shown = text(stream);
      if (cell.textContent !== shown) cell.textContent = shown;
      cell.classList.toggle('attention', attention?.(stream, boundMs) ?? false);
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
$('span').addEventListener('change', () => pollHistory().then(drawCharts));

// --- state and polling ---

function showState(status) {
  const { title, kind, notices } = headline(status, streams.streams);
  $('state').textContent = title;
  $('state').className = `pill ${kind}`;
  showNotices(notices, false);
  $('about').textContent =
    `${status.version} · up ${duration(status.uptimeSeconds)} · Node.js ${status.node} · pid ${status.pid}`;
  document.title = `${whole.format(status.streams)} · sidetone`;
}

function showNotices(texts, lost) {
  const notice = $('notice');
  // An alert is read out whenever it changes, so it changes only when it must.
  if (notice.textContent !== texts.join(''))
    notice.replaceChildren(...texts.map(text => element('p', '', text)));
  notice.hidden = texts.length === 0;
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

/** Only what is new: the page keeps the rest. */
async function pollHistory() {
  const intervalMs = wantedSpanMs() > LONGEST_FINE_MS ? 10_000 : 1000;
  const { points } = history;
  const sinceMs = history.intervalMs === intervalMs ? (points.at(-1)?.atMs ?? 0) : 0;
  history = mergeHistory(history, await get(`/api/history?interval=${intervalMs}&since=${sinceMs}`));
}

/** What came since a time of the process before may not be all. */
async function restarted() {
  history = { pid: 0, intervalMs: 0, points: [] };
  await pollHistory();
}

async function poll() {
  try {
    const often = Number($('limit').value) <= STREAMS_OFTEN_MAX || polls % 3 === 0;
    const [status] = await Promise.all([
      get('/api/status'),
      pollHistory(),
      often ? pollStreams() : undefined,
    ]);
    if (lastStatus && lastStatus.pid !== status.pid) await restarted();
    lastStatus = status;
    polls++;
    heardMs = Date.now();
    showState(status);
    showCards(status);
    showTables(status);
    drawCharts();
  } catch (error) {
    $('state').textContent = 'No answer';
    $('state').className = 'pill lost';
    const since = heardMs === null ? '' : ` since ${clockTime(heardMs)}`;
    const why = error instanceof TypeError || error.name === 'TimeoutError' ? '' : ` (${error.message})`;
    showNotices([`No figures${since}${why}. Trying again every second.`], true);
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
