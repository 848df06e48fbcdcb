/** What the addon has of sounds that go out beside what is played. */

/** A background at a stream's rate, which any number of streams share. */
export interface NativeSound {
  readonly nativeSound: never;
}

/** How a background is heard. Gains are factors. */
export interface NativeLayer {
  /** By which its owner knows it. */
  number: number;
  gain: number;
  /** A factor more while something is played. */
  duckedGain: number;
  loops: boolean;
  /** In which it rises. */
  fadeMs: number;
  /** Sample of the sound with which it begins. */
  offset: number;
}

/** The part of the engine that mixes. */
export interface NativeMixer {
  /** Begins a background. False: the stream has too many. */
  background(stream: number, sound: NativeSound, layer: NativeLayer): boolean;
  /** Both do nothing where the layer is over. */
  setLayerGain(stream: number, layer: number, gain: number, rampMs: number): void;
  stopLayer(stream: number, layer: number, fadeMs: number): void;
  /** Of what is played. */
  setSpeechGain(stream: number, gain: number, rampMs: number): void;
}

/** The part of the addon that makes sounds. */
export interface NativeSounds {
  /** A copy of `pcm`, which has a sample at least, at another rate. Where it loops, its end goes on into its begin. */
  makeSound(pcm: Int16Array, fromHz: number, toHz: number, loops: boolean): NativeSound;
  /** Eight seconds of a quiet room's noise at `comfortNoiseDbfs`. */
  comfortNoise(hz: number): NativeSound;
  comfortNoiseDbfs: number;
  /** A number by which another thread of this process gets it. */
  numberSound(sound: NativeSound): number;
  /** Undefined where nobody has it any more. */
  numberedSound(number: number): NativeSound | undefined;
}
