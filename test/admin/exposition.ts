/** A strict reader of Prometheus' text format, version 0.0.4. */
import assert from 'node:assert/strict';

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface Family {
  type: string;
  help: string;
  samples: Sample[];
}

/** By name. Throws on whatever the format forbids. */
export function parseExposition(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  let name = '';
  assert.ok(text.endsWith('\n'), 'the last line has no end');
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line);
    if (comment) {
      const [, kind, of, rest] = comment as unknown as [string, string, string, string];
      if (kind === 'HELP') {
        assert.ok(!families.has(of), `${of} stands twice`);
        families.set(of, { type: '', help: rest, samples: [] });
        name = of;
      } else {
        assert.equal(of, name, 'TYPE without its HELP before it');
        assert.match(rest, /^(counter|gauge|histogram)$/);
        families.get(of)!.type = rest;
      }
      continue;
    }
    const sample = parseSample(line);
    const family = families.get(name);
    assert.ok(family?.type, `${line}: no HELP and TYPE before it`);
    const suffixes = family.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    assert.ok(
      suffixes.some(suffix => sample.name === name + suffix),
      `${line}: not of ${name}`,
    );
    const same = JSON.stringify([sample.name, sample.labels]);
    const before = family.samples.map(({ name, labels }) => JSON.stringify([name, labels]));
    assert.ok(!before.includes(same), `${line}: stands twice`);
    family.samples.push(sample);
  }
  return families;
}

function parseSample(line: string): Sample {
  const match = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
  assert.ok(match, `${line}: no sample`);
  const labels: Record<string, string> = {};
  const list = match[2] ?? '';
  const pairs = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/gy;
  while (pairs.lastIndex < list.length) {
    const pair = pairs.exec(list);
    assert.ok(pair, `${line}: bad labels`);
    labels[pair[1]!] = pair[2]!;
  }
  const value = match[3] === '+Inf' ? Number.POSITIVE_INFINITY : Number(match[3]);
  assert.ok(!Number.isNaN(value), `${line}: no number`);
  return { name: match[1]!, labels, value };
}

/** The value of one sample. */
export function sampleValue(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Record<string, string> = {},
): number {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
  const found = family?.samples.find(
    sample =>
      sample.name === name &&
      Object.keys(sample.labels).length === Object.keys(labels).length &&
      Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  assert.ok(found, `there is no ${name} ${JSON.stringify(labels)}`);
  return found.value;
}
