/** Networks between a caller and the server, each from its seed: when which frame of 20 ms comes. */
import { readFileSync } from 'node:fs';
import { Random } from '../../src/simulator/random.js';

export interface Arrival {
  frame: number;
  /** Since the first frame was sent. */
  atMs: number;
}

export interface Network {
  name: string;
  /** Of the sender's clock; 20 unless it drifts. */
  frameMs?: number;
  /** In rising order of `atMs`. */
  arrivals(frames: number, seed: number): Arrival[];
}

const FRAME_MS = 20;

/** Frames that come in their order; `delayMs` is asked for each, and undefined loses it. */
function inOrder(frames: number, delayMs: (frame: number) => number | undefined): Arrival[] {
  const arrivals: Arrival[] = [];
  let last = 0;
  for (let frame = 0; frame < frames; frame++) {
    const delay = delayMs(frame);
    if (delay === undefined) continue;
    last = Math.max(last, frame * FRAME_MS + delay);
    arrivals.push({ frame, atMs: last });
  }
  return arrivals;
}

/**
 * Two states: frames pass in the good one and are lost in the bad one with chance `h`. `p` leads from good to bad, `r` back,
 * both for each frame. The mean loss is h p / (p + r), the mean burst 1 / r frames. The delay varies by up to 4 ms.
 */
function gilbertElliott(p: number, r: number, h: number): Network {
  const percent = ((100 * h * p) / (p + r)).toFixed(1);
  return {
    name: `Gilbert-Elliott p=${p} r=${r} h=${h} (${percent} %)`,
    arrivals: (frames, seed) => {
      const random = new Random(seed);
      let bad = false;
      return inOrder(frames, frame => {
        bad = bad ? random.float() >= r : random.float() < p;
        const isLost = bad && random.float() < h;
        const delay = random.float() * 4;
        return isLost && frame > 0 ? undefined : delay;
      });
    },
  };
}

const exponential = (random: Random, mean: number): number => -mean * Math.log(1 - random.float());

/** Mean 3 ms of jitter; every 1.5 s or so the medium is taken for 40 to 120 ms, and what waited comes together. */
const wifi: Network = {
  name: 'jitter as on WiFi: bursts of 40 to 120 ms',
  arrivals: (frames, seed) => {
    const random = new Random(seed);
    let busyFrom = 1500;
    let busyTo = 0;
    return inOrder(frames, frame => {
      const sent = frame * FRAME_MS;
      if (sent >= busyFrom) {
        busyTo = busyFrom + 40 + random.float() * 80;
        busyFrom = busyTo + exponential(random, 1500);
      }
      return Math.max(exponential(random, 3), busyTo - sent);
    });
  },
};

/** A grid of 10 ms, 8 ms more for one in ten, 50 ms more for one in a hundred, a handover of 150 to 250 ms every 20 s. */
const lte: Network = {
  name: 'jitter as on LTE: grid of 10 ms, retransmissions, handovers',
  arrivals: (frames, seed) => {
    const random = new Random(seed);
    let handOver = 20_000;
    let until = 0;
    return inOrder(frames, frame => {
      const sent = frame * FRAME_MS;
      if (sent >= handOver) {
        until = handOver + 150 + random.float() * 100;
        handOver += 10_000 + random.float() * 20_000;
      }
      let delay = Math.floor(random.float() * 2) * 5;
      if (random.float() < 0.1) delay += 8;
      if (random.float() < 0.01) delay += 50;
      return Math.max(delay, until - sent);
    });
  },
};

/** One frame in 200 is sent again after 200 ms, and all behind it wait. */
const tcp: Network = {
  name: 'TCP with retransmissions: 200 ms for one frame in 200',
  arrivals: (frames, seed) => {
    const random = new Random(seed);
    return inOrder(frames, () => random.float() * 3 + (random.float() < 0.005 ? 200 : 0));
  },
};

/** Each frame for itself by 0 to 60 ms, so that frames overtake each other; 1 % are lost. */
const overtaking: Network = {
  name: 'jitter of 0 to 60 ms, overtaking, 1 % lost',
  arrivals: (frames, seed) => {
    const random = new Random(seed);
    const arrivals: Arrival[] = [];
    for (let frame = 0; frame < frames; frame++) {
      const atMs = frame * FRAME_MS + random.float() * 60;
      if (random.float() >= 0.01 || frame === 0) arrivals.push({ frame, atMs });
    }
    return arrivals.sort((a, b) => a.atMs - b.atMs);
  },
};

/** A sender whose clock is 200 ppm fast. */
const DRIFTED_MS = FRAME_MS * (1 - 200e-6);
const drift: Network = {
  name: 'sender 200 ppm fast',
  frameMs: DRIFTED_MS,
  arrivals: (frames, seed) => {
    const random = new Random(seed);
    return Array.from({ length: frames }, (_, frame) => ({
      frame,
      atMs: frame * DRIFTED_MS + random.float() * 2,
    }));
  },
};

/** One minute of quiet, one as on WiFi, one of quiet: the delay must follow. */
const changing: Network = {
  name: 'quiet, then as on WiFi, then quiet',
  arrivals: (frames, seed) => {
    const third = (frames * FRAME_MS) / 3;
    const random = new Random(seed);
    const rough = wifi.arrivals(frames, seed);
    let last = 0;
    return rough.map(({ frame, atMs }) => {
      const sent = frame * FRAME_MS;
      const isRough = sent >= third && sent < 2 * third;
      last = Math.max(last, isRough ? atMs : sent + random.float() * 3);
      return { frame, atMs: last };
    });
  },
};

interface Recording {
  /** Of each frame, in tenths of a ms behind the fastest; null: it never came. */
  lateTenths: (number | null)[];
}

/** How late the frames of a real call came; it begins anew where it is too short. */
const recorded: Network = {
  name: 'recorded: a call on a machine that is overloaded (recorded.json)',
  arrivals: frames => {
    const file = new URL('../../../bench/playout/recorded.json', import.meta.url);
    const { lateTenths } = JSON.parse(readFileSync(file, 'utf8')) as Recording;
    return inOrder(frames, frame => {
      const late = lateTenths[frame % lateTenths.length];
      return typeof late === 'number' ? late / 10 : undefined;
    });
  },
};

export const NETWORKS: readonly Network[] = [
  { name: 'no loss, no jitter', arrivals: frames => inOrder(frames, () => 0) },
  gilbertElliott(0.01, 0.9, 1),
  gilbertElliott(0.01, 0.3, 1),
  gilbertElliott(0.05, 0.45, 1),
  gilbertElliott(0.03, 0.1, 0.5),
  wifi,
  lte,
  tcp,
  recorded,
  overtaking,
  drift,
  changing,
];
