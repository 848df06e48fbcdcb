/** Which of several tones are in a sound. */

/** How loud the tone of `hz` is in `pcm`, as its amplitude. */
export function toneLevel(pcm: Int16Array, sampleRate: number, hz: number): number {
  let sine = 0;
  let cosine = 0;
  for (let i = 0; i < pcm.length; i++) {
    // The ends weigh less, so that one tone does not look like another.
    const weight = 1 - Math.cos((2 * Math.PI * (i + 0.5)) / pcm.length);
    const angle = (2 * Math.PI * hz * i) / sampleRate;
    sine += weight * pcm[i]! * Math.sin(angle);
    cosine += weight * pcm[i]! * Math.cos(angle);
  }
  return pcm.length === 0 ? 0 : (2 * Math.hypot(sine, cosine)) / pcm.length;
}

/** Those of `hz` that are heard, the loudest first. */
export function tonesOf(
  pcm: Int16Array,
  sampleRate: number,
  hz: readonly number[],
  levelMin = 1000,
): number[] {
  return hz
    .map(each => ({ each, level: toneLevel(pcm, sampleRate, each) }))
    .filter(({ level }) => level >= levelMin)
    .sort((a, b) => b.level - a.level)
    .map(({ each }) => each);
}
