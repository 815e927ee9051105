/**
 * Clients that wait until replicas confirm what they have written (WAIT), for the thread that learns of that: it replies
 * to them itself, since their worker would have to wake up first. A client has an entry from the moment when its socket
 * has been sent everything else until its worker goes on with it. If all entries are taken, its worker replies.
 *
 *   int32 words   0 entries that have been used so far
 *                 8... entries, of 8 words each:
 *                   0 see Entry   1 descriptor of the client's socket   2 replicas that it waits for
 *                   3 replicas that have confirmed, as it was told   4 bytes of that reply which its socket has taken
 *                   5 its worker   6 the offset that they are to confirm, a float64
 */

const enum Word {
  Used = 0,
  Entries = 8,
}

const enum Entry {
  Free = 0,
  /** Only its worker uses it. */
  Taken = 1,
  /** The client waits. */
  Waiting = 2,
  /** The replication thread replies to it. */
  Serving = 3,
  /** It has been replied to. */
  Served = 4,
}

const enum Field {
  State = 0,
  Descriptor = 1,
  Wanted = 2,
  Confirmed = 3,
  WrittenBytes = 4,
  Worker = 5,
  Offset = 6,
  Words = 8,
}

const ENTRIES_MAX = 256;
/** Between looks whether the replication thread has done with a socket. */
const SERVING_MS_MAX = 1;

export const NO_ENTRY = -1;

export class Confirmations {
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;

  constructor(handle: SharedArrayBuffer) {
    this.words = new Int32Array(handle);
    this.doubles = new Float64Array(handle);
  }

  static create(): SharedArrayBuffer {
    return new SharedArrayBuffer(4 * (Word.Entries + ENTRIES_MAX * Field.Words));
  }

  private at(entry: number): number {
    return Word.Entries + entry * Field.Words;
  }

  // What workers call.

  /** A client of a worker waits for `wanted` replicas to confirm an offset. Returns its entry, NO_ENTRY if none is free. */
  begin(worker: number, descriptor: number, wanted: number, offset: number): number {
    const { words } = this;
    for (let entry = 0; entry < ENTRIES_MAX; entry++) {
      const at = this.at(entry);
      if (words[at] !== Entry.Free) continue;
      if (Atomics.compareExchange(words, at, Entry.Free, Entry.Taken) !== Entry.Free) continue;
      words[at + Field.Worker] = worker;
      words[at + Field.Descriptor] = descriptor;
      words[at + Field.Wanted] = Math.min(wanted, 2 ** 31 - 1);
      this.doubles[(at + Field.Offset) >> 1] = offset;
      Atomics.store(words, at, Entry.Waiting);
      for (let used = Atomics.load(words, Word.Used); used <= entry; ) {
        used = Atomics.compareExchange(words, Word.Used, used, entry + 1);
      }
      return entry;
    }
    return NO_ENTRY;
  }

  /** Whether the client has been replied to. */
  isServed(entry: number): boolean {
    return Atomics.load(this.words, this.at(entry)) === Entry.Served;
  }

  /**
   * The worker goes on with the client: no other thread writes to its socket from now on. Waits for one that does so, which is a
   * system call that does not block. Returns whether it has been replied to. `release` has to follow.
   */
  end(entry: number): boolean {
    const { words } = this;
    const at = this.at(entry);
    for (;;) {
      const state = Atomics.load(words, at);
      if (state === Entry.Served) return true;
      if (state === Entry.Serving) Atomics.wait(words, at, state, SERVING_MS_MAX);
      else if (Atomics.compareExchange(words, at, state, Entry.Taken) === state) return false;
    }
  }

  /** How many replicas have confirmed, as the client was told. */
  confirmed(entry: number): number {
    return this.words[this.at(entry) + Field.Confirmed];
  }

  /** How much of the reply its socket has taken. */
  writtenBytes(entry: number): number {
    return this.words[this.at(entry) + Field.WrittenBytes];
  }

  release(entry: number): void {
    Atomics.store(this.words, this.at(entry), Entry.Free);
  }

  // What the replication thread calls.

  /**
   * Replies to the clients that need not wait any more: `confirmed` tells how many replicas have confirmed an offset, `write` writes
   * a number of replicas to a socket and returns how many bytes of that it has taken. Calls `wake` for their workers, and returns how
   * many clients these are.
   */
  serve(
    confirmed: (offset: number) => number,
    write: (descriptor: number, replicas: number) => number,
    wake: (worker: number) => void,
  ): number {
    const { words } = this;
    let served = 0;
    const used = Atomics.load(words, Word.Used);
    for (let entry = 0; entry < used; entry++) {
      const at = this.at(entry);
      if (Atomics.load(words, at) !== Entry.Waiting) continue;
      if (Atomics.compareExchange(words, at, Entry.Waiting, Entry.Serving) !== Entry.Waiting) continue;
      const replicas = confirmed(this.doubles[(at + Field.Offset) >> 1]);
      const isServed = replicas >= words[at + Field.Wanted];
      if (isServed) {
        words[at + Field.Confirmed] = replicas;
        words[at + Field.WrittenBytes] = write(words[at + Field.Descriptor], replicas);
      }
      Atomics.store(words, at, isServed ? Entry.Served : Entry.Waiting);
      Atomics.notify(words, at);
      if (!isServed) continue;
      served++;
      wake(words[at + Field.Worker]);
    }
    return served;
  }
}
