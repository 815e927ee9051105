/**
 * Tells the workers that something besides commands needs their attention: a new configuration, new users, messages, a
 * client to close, a pause, a monitor, a failure of the disk, another role. Each worker has one word, a version that is
 * incremented with each such event. Before it runs commands, a worker compares the version with the last one it has
 * seen, which costs one load, and checks everything else only if it differs. A thread makes its change first and
 * increments the version afterwards, so no change is overlooked; a check too many does no harm.
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

  /** The version, which a worker compares with the last one it has seen. One load. */
  version(worker: number): number {
    return Atomics.load(this.words, worker * WORDS_PER_WORKER);
  }

  /** Tells a worker that something needs its attention. Does not wake it. */
  raise(worker: number): void {
    Atomics.add(this.words, worker * WORDS_PER_WORKER, 1);
  }

  /** Tells all workers. */
  raiseAll(): void {
    for (let word = 0; word < this.words.length; word += WORDS_PER_WORKER) Atomics.add(this.words, word, 1);
  }
}
