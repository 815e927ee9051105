/**
 * Tells the workers that something besides commands is to be seen to: a new configuration, new users, messages, a client to
 * close, a pause, a monitor, a failure of the disk, another role. Each worker has one word, a version that moves on with each
 * such thing. A worker compares it with what it has seen before it runs commands, which costs one load, and looks at
 * everything else only when it has moved on. Whoever changes something first changes it, and then raises the attention:
 * so nothing is overlooked, and to look once more than needed does no harm.
 *
 *   int32 words   16 × worker: its version; each on a cache line of its own
 */

const WORDS_PER_WORKER = 16;

/** Shared memory whose changes the workers heed. */
export interface HeededBlock {
  readonly block: SharedArrayBuffer;
  readonly attention: SharedArrayBuffer;
}

export class Attention {
  private readonly words: Int32Array;

  constructor(handle: SharedArrayBuffer) {
    this.words = new Int32Array(handle);
  }

  static create(workers: number): SharedArrayBuffer {
    return new SharedArrayBuffer(4 * WORDS_PER_WORKER * workers);
  }

  /** What a worker compares with what it has seen. One load. */
  version(worker: number): number {
    return Atomics.load(this.words, worker * WORDS_PER_WORKER);
  }

  /** A worker has something to see to. It is not woken. */
  raise(worker: number): void {
    Atomics.add(this.words, worker * WORDS_PER_WORKER, 1);
  }

  /** All workers have. */
  raiseAll(): void {
    for (let word = 0; word < this.words.length; word += WORDS_PER_WORKER) Atomics.add(this.words, word, 1);
  }
}
