/**
 * The configuration in force, as JSON text in shared memory with a version. The thread that handles CONFIG SET
 * publishes all of it, and raises the attention of the workers; every thread compares the version, and reads
 * the text only if the version has changed.
 *
 *   int32 words   0 lock   1 version   2 length of the text in bytes
 *   bytes 64...   UTF-8 text
 */

import { Attention, type HeededBlock } from '../memory/attention.js';
import { acquireLock, releaseLock } from '../memory/lock.js';
import { waitForChange } from '../system/wait.js';

const enum Word {
  Lock = 0,
  Version = 1,
  LengthBytes = 2,
}

const TEXT_OFFSET = 64;
/** Reserved, not used: only what a text fills takes memory. */
const TEXT_BYTES_MAX = 4 << 20;

export interface PublishedConfig {
  readonly version: number;
  readonly json: string;
}

export class SharedConfig {
  readonly handle: HeededBlock;
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly attention: Attention;

  constructor(handle: HeededBlock) {
    this.handle = handle;
    this.words = new Int32Array(handle.block);
    this.bytes = new Uint8Array(handle.block);
    this.attention = new Attention(handle.attention);
  }

  static create(attention: SharedArrayBuffer): HeededBlock {
    return { block: new SharedArrayBuffer(TEXT_OFFSET + TEXT_BYTES_MAX), attention };
  }

  /** Number of the last text published, 0 before the first. */
  get version(): number {
    return Atomics.load(this.words, Word.Version);
  }

  /** Replaces the text; returns its version. Throws a RangeError if it is longer than 4 MiB. */
  publish(json: string): number {
    const encoded = new TextEncoder().encode(json);
    if (encoded.length > TEXT_BYTES_MAX) throw new RangeError('configuration is too long');
    const { words } = this;
    acquireLock(words, Word.Lock);
    this.bytes.set(encoded, TEXT_OFFSET);
    words[Word.LengthBytes] = encoded.length;
    const version = words[Word.Version] + 1;
    Atomics.store(words, Word.Version, version);
    releaseLock(words, Word.Lock);
    Atomics.notify(words, Word.Version);
    this.attention.raiseAll();
    return version;
  }

  /**
   * Changes the text under the lock, so that two CONFIG SETs at once both take effect: `change` gets the
   * text in force and returns the new one. It must not throw.
   */
  update(change: (json: string) => string): number {
    const { words } = this;
    acquireLock(words, Word.Lock);
    const encoded = new TextEncoder().encode(change(this.read()));
    let version = words[Word.Version];
    if (encoded.length <= TEXT_BYTES_MAX) {
      this.bytes.set(encoded, TEXT_OFFSET);
      words[Word.LengthBytes] = encoded.length;
      Atomics.store(words, Word.Version, ++version);
    }
    releaseLock(words, Word.Lock);
    Atomics.notify(words, Word.Version);
    this.attention.raiseAll();
    return version;
  }

  private read(): string {
    const end = TEXT_OFFSET + this.words[Word.LengthBytes];
    return new TextDecoder().decode(this.bytes.slice(TEXT_OFFSET, end));
  }

  /** Settles once there is a newer text than of this version, without blocking the event loop. */
  waitForNewer(version: number): Promise<void> {
    return waitForChange(this.words, Word.Version, version);
  }

  /** The text if its version is not the given one, else null. */
  readIfNewer(version: number): PublishedConfig | null {
    const { words } = this;
    if (Atomics.load(words, Word.Version) === version) return null;
    acquireLock(words, Word.Lock);
    const published = { version: words[Word.Version], json: this.read() };
    releaseLock(words, Word.Lock);
    return published;
  }
}
