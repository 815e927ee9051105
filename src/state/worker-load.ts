/**
 * How busy each worker is and how many connections keep it so, in shared memory; and how many workers have connections
 * at all (worker-placement.ts).
 *
 *   int32 words
 *     0              active workers: new connections go to those with a lower number
 *     16 * (1 + w)   a cache line for worker w, as of its last tick:
 *       +0  how busy it was, in thousandths of a processor
 *       +1  connections that had sent something
 *       +2  the longest round, in ms
 *       +3  how long it waited for locks, in thousandths of the time
 */

const WORDS_PER_LINE = 16;

const enum LineWord {
  Busy = 0,
  Connections = 1,
  LongestRoundMs = 2,
  Waiting = 3,
}

export class WorkerLoad {
  readonly workerCount: number;
  private readonly words: Int32Array;

  constructor(handle: SharedArrayBuffer) {
    this.words = new Int32Array(handle);
    this.workerCount = this.words.length / WORDS_PER_LINE - 1;
  }

  /** All workers are active at first. */
  static create(workerCount: number): SharedArrayBuffer {
    const handle = new SharedArrayBuffer((1 + workerCount) * WORDS_PER_LINE * 4);
    new WorkerLoad(handle).activeWorkers = workerCount;
    return handle;
  }

  get activeWorkers(): number {
    return Atomics.load(this.words, 0);
  }

  set activeWorkers(count: number) {
    Atomics.store(this.words, 0, count);
  }

  private line(worker: number): number {
    return (1 + worker) * WORDS_PER_LINE;
  }

  /**
   * What a worker tells of the time since it told last. `busy`: the part of it that it used a processor; `waiting`:
   * that it waited for locks.
   */
  publish(worker: number, busy: number, waiting: number, connections: number, longestRoundMs: number): void {
    const line = this.line(worker);
    Atomics.store(this.words, line + LineWord.Busy, Math.round(1000 * busy));
    Atomics.store(this.words, line + LineWord.Waiting, Math.round(1000 * waiting));
    Atomics.store(this.words, line + LineWord.Connections, connections);
    Atomics.store(this.words, line + LineWord.LongestRoundMs, Math.round(longestRoundMs));
  }

  /** Processors that all workers together keep busy. */
  busy(): number {
    return this.sum(LineWord.Busy) / 1000;
  }

  /** How many of all workers wait for locks, on average. */
  waiting(): number {
    return this.sum(LineWord.Waiting) / 1000;
  }

  private sum(word: LineWord): number {
    let sum = 0;
    for (let worker = 0; worker < this.workerCount; worker++) {
      sum += Atomics.load(this.words, this.line(worker) + word);
    }
    return sum;
  }

  longestRoundMs(): number {
    let longest = 0;
    for (let worker = 0; worker < this.workerCount; worker++) {
      longest = Math.max(longest, Atomics.load(this.words, this.line(worker) + LineWord.LongestRoundMs));
    }
    return longest;
  }

  /** Connections of a worker that have sent something lately. */
  connections(worker: number): number {
    return Atomics.load(this.words, this.line(worker) + LineWord.Connections);
  }

  allConnections(): number {
    return this.sum(LineWord.Connections);
  }

  /** A connection moves: neither of the two has to tell first. */
  connectionMoves(from: number, to: number): void {
    Atomics.sub(this.words, this.line(from) + LineWord.Connections, 1);
    Atomics.add(this.words, this.line(to) + LineWord.Connections, 1);
  }
}
