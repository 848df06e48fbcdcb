// What src/'s folders may import: what stands in a line below their own, in the same line to the right of them, and
// themselves. Type-only imports count. `npx depcruise src` prints what breaks the order; test/structure.test.ts runs it.
const FLOORS = [
  ['index', 'require', 'cli', 'testing'],
  ['server'],
  ['admin'],
  ['reactor'],
  ['isolation'],
  ['conference'],
  ['doctor', 'capture', 'stream'],
  ['playback'],
  ['media'],
  ['demo', 'load', 'transcode', 'plugins', 'simulator'],
  ['plugin', 'options'],
  ['telnyx', 'pool'],
  ['codecs', 'audio', 'clock'],
  ['native'],
  ['listen-error', 'log', 'report', 'packages', 'peer', 'counters', 'formats', 'errors', 'nearest', 'objects', 'version'],
];

const ROOMS = FLOORS.flat();
const pathOf = rooms => `^src/(${rooms.join('|')})(/|\\.c?ts$)`;

module.exports = {
  forbidden: [
    { name: 'no-circle', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-room-without-a-floor',
      comment: 'a new folder or file of src/ needs its place in FLOORS',
      severity: 'error',
      from: { path: '^src/', pathNot: pathOf(ROOMS) },
      to: {},
    },
    ...ROOMS.map((room, at) => ({
      name: `not-upward-from-${room}`,
      severity: 'error',
      from: { path: pathOf([room]) },
      to: { path: '^src/', pathNot: pathOf(ROOMS.slice(at)) },
    })),
    {
      name: 'no-orphan',
      comment: 'nobody imports it: dead code, unless it is where a process or a thread begins',
      severity: 'error',
      from: {
        orphan: true,
        path: '^src/',
        pathNot: '^src/((index|cli/main)\\.ts|require\\.cts)$',
      },
      to: {},
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|test|bench)/' },
  },
};
