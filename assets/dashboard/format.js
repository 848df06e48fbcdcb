// Numbers as text.
export const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const twoDigits = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });

export const number = value => (value < 10 ? oneDigit : whole).format(value);
export const milliseconds = value => `${(value < 10 ? twoDigits : whole).format(value)} ms`;
export const percent = value => `${(value < 10 ? twoDigits : oneDigit).format(value)} %`;

export function bytes(value) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3));
  return `${number(value / 1000 ** power)} ${units[power]}`;
}

export function duration(seconds) {
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

export const clockTime = atMs => new Date(atMs).toLocaleTimeString('en-GB');

/** `framesLost` as `frames lost`. */
export const words = name => name.replace(/[A-Z]/g, letter => ` ${letter.toLowerCase()}`);

/** Text of a figure that may not be there. */
export const show = (value, format) => (value === null || value === undefined ? '–' : format(value));
