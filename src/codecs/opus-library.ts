/**
 * libopus for this thread, out of @evan/opus.
 *
 * The package's own entry point cannot be used from more than one thread. Its addon writes every result into one static
 * buffer. A second thread's `require` gets the same loaded library, so two workers overwrite each other's audio. And
 * when the last thread that loaded it ends, the library is unloaded before a thread-local destructor has run, which
 * ends the process with SIGSEGV. Both are avoided by loading a private copy of the addon's file in every thread
 * (another inode is another library to the dynamic loader), never to be unloaded. Where that cannot be done, the
 * package's WebAssembly build serves: one instance a thread, the same libopus, slower (docs/codecs.md has the figures).
 */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';

export interface OpusCoder {
  /** opus_encoder_ctl or opus_decoder_ctl: a getter without `value`. Throws on a negative result. */
  ctl(request: number, value?: number): number;
}
export interface OpusEncoder extends OpusCoder {
  /** One frame. The packet is valid until the next call of any encoder of this thread. */
  encode(pcm: Int16Array): Uint8Array;
}
export interface OpusDecoder extends OpusCoder {
  /** One packet to s16 in the machine's byte order, valid until the next call of any decoder of this thread. */
  decode(packet: Uint8Array): Uint8Array;
}
export interface OpusLibrary {
  build: 'native' | 'wasm';
  Encoder: new (options: { channels: number; sample_rate: number; application: string }) => OpusEncoder;
  Decoder: new (options: { channels: number; sample_rate: number }) => OpusDecoder;
}

interface Addon {
  Encoder: new (
    options: unknown,
  ) => { ctl(request: number, value?: number): number; encode(pcm: Int16Array): number };
  Decoder: new (
    options: unknown,
  ) => { ctl(request: number, value?: number): number; decode(packet: Uint8Array): number };
  buffers: { encoder(): Uint8Array; decoder(): Uint8Array };
}

const require = createRequire(import.meta.url);

/** RTLD_NODELETE, which node:os does not name: 0x1000 in glibc, 0x80 on macOS. */
const RTLD_NODELETE = process.platform === 'darwin' ? 0x80 : 0x1000;

function loadPrivateCopy(): Addon {
  const original = require.resolve(`@evan/opus/node/${process.arch}-${process.platform}.node`);
  const dir = mkdtempSync(join(tmpdir(), 'sidetone-opus-'));
  try {
    const copy = join(dir, 'opus.node');
    copyFileSync(original, copy);
    const module = { exports: {} as Addon };
    process.dlopen(module, copy, constants.dlopen.RTLD_LAZY | RTLD_NODELETE);
    return module.exports;
  } finally {
    // The mapping keeps the file's contents.
    rmSync(dir, { recursive: true, force: true });
  }
}

function fromAddon(addon: Addon): OpusLibrary {
  const encoded = addon.buffers.encoder();
  const decoded = addon.buffers.decoder();
  return {
    build: 'native',
    Encoder: class {
      readonly #encoder;
      constructor(options: object) {
        this.#encoder = new addon.Encoder(options);
      }
      ctl(request: number, value?: number): number {
        return value === undefined ? this.#encoder.ctl(request) : this.#encoder.ctl(request, value);
      }
      encode(pcm: Int16Array): Uint8Array {
        return encoded.subarray(0, this.#encoder.encode(pcm));
      }
    },
    Decoder: class {
      readonly #decoder;
      constructor(options: object) {
        this.#decoder = new addon.Decoder(options);
      }
      ctl(request: number, value?: number): number {
        return value === undefined ? this.#decoder.ctl(request) : this.#decoder.ctl(request, value);
      }
      decode(packet: Uint8Array): Uint8Array {
        return decoded.subarray(0, this.#decoder.decode(packet));
      }
    },
  };
}

let loaded: OpusLibrary | undefined;

/** This thread's libopus. `OPUS_FORCE_WASM` in the environment asks for the WebAssembly build, as in the package. */
export function opusLibrary(): OpusLibrary {
  if (loaded) return loaded;
  if (!process.env.OPUS_FORCE_WASM) {
    try {
      loaded = fromAddon(loadPrivateCopy());
      return loaded;
    } catch {
      // No binary for this platform or no place to copy it to: the other build says more if it fails as well.
    }
  }
  loaded = { build: 'wasm', ...require('@evan/opus/wasm/index.js') } as OpusLibrary;
  return loaded;
}
