/**
 * How busy each worker is and how many connections keep it so, in shared memory; how many workers have connections
 * at all (worker/placement.ts), and how many have been started: a worker that is not needed yet takes no memory.
 *
 *   int32 words
 *     0              active workers: new connections go to those with a lower number
 *     1              workers that have been started, 0 ... n - 1
 *     2              how many started workers are wanted; the main thread waits on this word
 *     16 * (1 + w)   a cache line for worker w, as of its last tick:
 *       +0  how busy it was, in thousandths of a processor
 *       +1  connections that had sent something
 *       +2  the longest round, in ms
 *       +3  how much of the time it slept until a lock was free, in thousandths
 */

import { waitForChange } from '../system/wait.js';

const WORDS_PER_LINE = 16;

const enum Word {
  Active = 0,
  Started = 1,
  Wanted = 2,
}

const enum LineWord {
  Busy = 0,
  Connections = 1,
  LongestRoundMs = 2,
  LockWait = 3,
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
    new WorkerLoad(handle).begin(workerCount);
    return handle;
  }

  /** Sets how many workers are started at first; these are active. */
  begin(workers: number): void {
    this.startedWorkers = workers;
    this.activeWorkers = workers;
    Atomics.store(this.words, Word.Wanted, workers);
  }

  get activeWorkers(): number {
    return Atomics.load(this.words, Word.Active);
  }

  set activeWorkers(count: number) {
    Atomics.store(this.words, Word.Active, count);
  }

  get startedWorkers(): number {
    return Atomics.load(this.words, Word.Started);
  }

  set startedWorkers(count: number) {
    Atomics.store(this.words, Word.Started, count);
  }

  /** Asks the main thread to start workers until there are this many. */
  want(workers: number): void {
    if (Atomics.load(this.words, Word.Wanted) >= workers) return;
    Atomics.store(this.words, Word.Wanted, workers);
    Atomics.notify(this.words, Word.Wanted);
  }

  /** Resolves with the number of workers wanted once it is above `known`. */
  async untilMoreWanted(known: number): Promise<number> {
    for (;;) {
      const wanted = Atomics.load(this.words, Word.Wanted);
      if (wanted > known) return wanted;
      await waitForChange(this.words, Word.Wanted, wanted);
    }
  }

  private line(worker: number): number {
    return (1 + worker) * WORDS_PER_LINE;
  }

  /** Stores a worker's figures for the time since its last call; `busy` and `lockWait` as parts of it, 0 to 1. */
  publish(worker: number, busy: number, connections: number, longestRoundMs: number, lockWait: number): void {
    const line = this.line(worker);
    Atomics.store(this.words, line + LineWord.Busy, Math.round(1000 * busy));
    Atomics.store(this.words, line + LineWord.Connections, connections);
    Atomics.store(this.words, line + LineWord.LongestRoundMs, Math.round(longestRoundMs));
    Atomics.store(this.words, line + LineWord.LockWait, Math.round(1000 * lockWait));
  }

  /** How many processors all workers together keep busy. */
  busy(): number {
    return this.sum(LineWord.Busy) / 1000;
  }

  /** How many workers on average sleep until a lock is free. */
  lockWait(): number {
    return this.sum(LineWord.LockWait) / 1000;
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

  /** Moves one connection between the counts at once, before either worker publishes its own. */
  connectionMoves(from: number, to: number): void {
    Atomics.sub(this.words, this.line(from) + LineWord.Connections, 1);
    Atomics.add(this.words, this.line(to) + LineWord.Connections, 1);
  }
}
