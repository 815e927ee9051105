/**
 * The listening sockets of `tls-port`, as threads share them: the acceptor opens and closes them, the threads for
 * handshakes accept from them. The acceptor closes one only when all of these threads have let go of it: its number may
 * be another socket's then.
 *
 *   int32 words   0 version   1 number of sockets   2...65 their descriptors
 *                 66...       for each thread the version that it follows; 0 while it does not run
 */

const enum Word {
  Version = 0,
  Count = 1,
  Descriptors = 2,
  Followed = 66,
}

const SOCKETS_MAX = Word.Followed - Word.Descriptors;
/** A thread may be in the midst of some handshakes, of about 1 ms each. */
const FOLLOWING_MS_MAX = 1000;

export class TlsListeners {
  private readonly words: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.words = new Int32Array(buffer);
  }

  /** For so many threads. */
  static create(threads: number): SharedArrayBuffer {
    return new SharedArrayBuffer((Word.Followed + threads) * 4);
  }

  get version(): number {
    return Atomics.load(this.words, Word.Version);
  }

  /** For the acceptor: from now on these are to be accepted from. The threads have to be woken. */
  offer(descriptors: readonly number[]): void {
    if (descriptors.length > SOCKETS_MAX) throw new Error('too many addresses to listen on');
    const { words } = this;
    descriptors.forEach((descriptor, index) => {
      words[Word.Descriptors + index] = descriptor;
    });
    words[Word.Count] = descriptors.length;
    Atomics.add(words, Word.Version, 1);
  }

  /** Waits until all running threads follow what was offered last, for a second at most. */
  awaitFollowers(): void {
    const { words, version } = this;
    const endMs = performance.now() + FOLLOWING_MS_MAX;
    for (let thread = Word.Followed; thread < words.length; thread++) {
      let followed = Atomics.load(words, thread);
      while (followed !== 0 && followed !== version) {
        const leftMs = endMs - performance.now();
        if (leftMs <= 0) return;
        Atomics.wait(words, thread, followed, leftMs);
        followed = Atomics.load(words, thread);
      }
    }
  }

  /** For a thread for handshakes: the sockets. */
  descriptors(): number[] {
    const { words } = this;
    return [...words.subarray(Word.Descriptors, Word.Descriptors + words[Word.Count])];
  }

  /** A thread has let go of all sockets but those of this version. */
  follow(thread: number, version: number): void {
    Atomics.store(this.words, Word.Followed + thread, version);
    Atomics.notify(this.words, Word.Followed + thread);
  }
}
