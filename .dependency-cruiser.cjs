// The order of src/'s folders: each may import what stands in a line below its own, and itself.
const FLOORS = [
  ['cli', 'index'],
  ['server'],
  ['admin'],
  ['reactor'],
  ['stream', 'capture', 'doctor'],
  ['playback'],
  ['media'],
  ['plugins', 'demo', 'load', 'transcode'],
  ['simulator'],
  ['plugin'],
  ['options'],
  ['telnyx', 'pool'],
  ['codecs', 'audio', 'clock'],
  ['native'],
  ['formats', 'errors', 'counters', 'log', 'report', 'version'],
];
