/** Something like a voice, the same every time: a buzz that swings in pitch and loudness, with pauses and noise. */
export function speechLike(sampleRate: number, seconds: number): Int16Array {
  const pcm = new Int16Array(Math.round(sampleRate * seconds));
  let phase = 0;
  let noise = 1;
  for (let i = 0; i < pcm.length; i++) {
    const t = i / sampleRate;
    phase += (2 * Math.PI * (140 + 30 * Math.sin(2 * Math.PI * 0.7 * t))) / sampleRate;
    noise = (Math.imul(noise, 1103515245) + 12345) & 0x7fffffff;
    const loud = Math.max(0, Math.sin(2 * Math.PI * 0.9 * t)) * (0.6 + 0.4 * Math.sin(2 * Math.PI * 4 * t));
    let sample = (noise / 0x7fffffff - 0.5) * 60;
    for (let harmonic = 1; harmonic <= 12; harmonic++) {
      sample += (loud * 5000 * Math.sin(phase * harmonic)) / harmonic;
    }
    pcm[i] = Math.max(-32768, Math.min(32767, Math.round(sample)));
  }
  return pcm;
}

/** Root mean square. */
export function rms(pcm: Int16Array): number {
  let sum = 0;
  for (const sample of pcm) sum += sample * sample;
  return Math.sqrt(sum / Math.max(1, pcm.length));
}

/**
 * How alike `said` and `heard` are, from 0 to 1. It is the greatest correlation over all starts in the first `lagMax`
 * samples of `heard`.
 */
export function likeness(heard: Int16Array, said: Int16Array, lagMax: number): number {
  const at = (lag: number, stride: number): number => {
    let product = 0;
    let heardEnergy = 1;
    let saidEnergy = 1;
    for (let i = 0; i < said.length; i += stride) {
      product += heard[lag + i]! * said[i]!;
      heardEnergy += heard[lag + i]! ** 2;
      saidEnergy += said[i]! ** 2;
    }
    return product / Math.sqrt(heardEnergy * saidEnergy);
  };
  // Every eighth sample finds the place.
  let [best, bestLag] = [-1, 0];
  for (let lag = 0; lag <= lagMax && lag + said.length <= heard.length; lag++) {
    const alike = at(lag, 8);
    if (alike > best) [best, bestLag] = [alike, lag];
  }
  return best < 0 ? 0 : at(bestLag, 1);
}
