/**
 * How other threads reach a worker: a ring of file descriptors in shared memory, through which the acceptor
 * hands connections over, and a way to wake the worker, an eventfd that it waits for. Over node:net the worker
 * waits for the word of wake-ups to move (Atomics.waitAsync), and the ring stays empty.
 *
 *   word 0 lock   1 head   2 tail   3 connections (open + handed over)   4 the worker's eventfd, -1 for none
 *        5 wake-ups   6 told to stop
 *   word 8...     ring of RING_SLOTS file descriptors
 *   float64 behind it: for each its TLS session (the address of an SSL), 0 for a connection without TLS
 */

import { acquireLock, releaseLock } from '../memory/lock.js';
import type { Libc } from '../system/libc.js';
import { waitForChange } from '../system/wait.js';

const enum Word {
  Lock = 0,
  Head = 1,
  Tail = 2,
  Connections = 3,
  WakeFd = 4,
  WakeUps = 5,
  Stop = 6,
  RingStart = 8,
}

/** Connections that wait for a busy worker; a power of two. If the ring is full, the acceptor stops accepting. */
const RING_SLOTS = 4096;
const SESSIONS_OFFSET = (Word.RingStart + RING_SLOTS) * 4;

/** A word that is 0 until a thread has to end. */
export interface StopWord {
  readonly words: Int32Array;
  readonly index: number;
}

export class WorkerChannel {
  readonly buffer: SharedArrayBuffer;
  private readonly libc: Libc | null;
  private readonly words: Int32Array;
  private readonly sessions: Float64Array;
  /** The TLS session of the socket that `shift` returned last, 0 for none. */
  shiftedSession = 0;
  private readonly one = new Uint8Array(8);
  private oneAddress = 0;

  constructor(buffer: SharedArrayBuffer, libc: Libc | null) {
    this.buffer = buffer;
    this.libc = libc;
    this.words = new Int32Array(buffer);
    this.sessions = new Float64Array(buffer, SESSIONS_OFFSET);
    this.one[0] = 1;
  }

  /** `wakeFd`: an eventfd, or -1 if the worker serves over node:net. */
  static create(wakeFd: number, libc: Libc | null): WorkerChannel {
    const channel = new WorkerChannel(new SharedArrayBuffer(SESSIONS_OFFSET + RING_SLOTS * 8), libc);
    channel.words[Word.WakeFd] = wakeFd;
    return channel;
  }

  get wakeFd(): number {
    return this.words[Word.WakeFd];
  }

  /** Connections that the worker has or has been given. */
  get connections(): number {
    return Atomics.load(this.words, Word.Connections);
  }

  /** The worker has accepted a connection by itself. */
  connectionOpened(): void {
    Atomics.add(this.words, Word.Connections, 1);
  }

  /** The worker has closed a connection. */
  connectionClosed(): void {
    Atomics.sub(this.words, Word.Connections, 1);
  }

  /** Gives the worker a socket, with its TLS session if it has one; false if its ring is full. */
  push(fd: number, session = 0): boolean {
    const { words } = this;
    acquireLock(words, Word.Lock);
    const head = words[Word.Head];
    const wasEmpty = head === words[Word.Tail];
    const isFull = head - words[Word.Tail] === RING_SLOTS;
    if (!isFull) {
      words[Word.RingStart + (head & (RING_SLOTS - 1))] = fd;
      this.sessions[head & (RING_SLOTS - 1)] = session;
      words[Word.Head] = (head + 1) | 0;
      Atomics.add(words, Word.Connections, 1);
    }
    releaseLock(words, Word.Lock);
    if (!isFull && wasEmpty) this.wake();
    return !isFull;
  }

  /** The next socket handed over, or -1. */
  shift(): number {
    const { words } = this;
    acquireLock(words, Word.Lock);
    const tail = words[Word.Tail];
    let fd = -1;
    if (tail !== words[Word.Head]) {
      fd = words[Word.RingStart + (tail & (RING_SLOTS - 1))];
      this.shiftedSession = this.sessions[tail & (RING_SLOTS - 1)];
      words[Word.Tail] = (tail + 1) | 0;
    }
    releaseLock(words, Word.Lock);
    return fd;
  }

  /** Makes the worker look at its ring and its mailbox. Any thread may call it. */
  wake(): void {
    const { libc, words } = this;
    if (libc === null || this.wakeFd < 0) {
      Atomics.add(words, Word.WakeUps, 1);
      Atomics.notify(words, Word.WakeUps);
      return;
    }
    if (this.oneAddress === 0) this.oneAddress = libc.addressOf(this.one);
    libc.write(this.wakeFd, this.oneAddress, 8);
  }

  /** Changes with each wake-up of a worker without an eventfd. */
  get wakeUps(): number {
    return Atomics.load(this.words, Word.WakeUps);
  }

  /** Settles once `wakeUps` is not `seen` any more, without blocking the event loop. */
  async waitForWakeUp(seen: number): Promise<void> {
    await waitForChange(this.words, Word.WakeUps, seen);
  }

  /** Tells the worker to leave its loop, since the process ends. */
  stop(): void {
    Atomics.store(this.words, Word.Stop, 1);
    this.wake();
  }

  get stopWord(): StopWord {
    return { words: this.words, index: Word.Stop };
  }

  get isStopped(): boolean {
    return Atomics.load(this.words, Word.Stop) !== 0;
  }
}
