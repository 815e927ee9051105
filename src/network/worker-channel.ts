/**
 * How connections get from the acceptor to a worker: a ring of file descriptors in shared memory and an
 * eventfd to wake the worker with.
 *
 *   word 0 lock   1 head   2 tail   3 connections (open + handed over)   4 the worker's eventfd
 *   word 8...     ring of RING_SLOTS file descriptors
 */

import { acquireLock, releaseLock } from '../memory/lock.js';
import type { Libc } from './libc.js';

const enum Word {
  Lock = 0,
  Head = 1,
  Tail = 2,
  Connections = 3,
  WakeFd = 4,
  RingStart = 8,
}

/** Connections that wait for a busy worker; a power of two. The acceptor stops accepting beyond. */
const RING_SLOTS = 4096;

export class WorkerChannel {
  readonly buffer: SharedArrayBuffer;
  private readonly words: Int32Array;
  private readonly one = new Uint8Array(8);
  private oneAddress = 0;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    this.one[0] = 1;
  }

  static create(wakeFd: number): WorkerChannel {
    const channel = new WorkerChannel(new SharedArrayBuffer((Word.RingStart + RING_SLOTS) * 4));
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

  /** The worker has closed a connection. */
  connectionClosed(): void {
    Atomics.sub(this.words, Word.Connections, 1);
  }

  /** Gives the worker a socket; false if its ring is full. */
  push(fd: number, libc: Libc): boolean {
    const { words } = this;
    acquireLock(words, Word.Lock);
    const head = words[Word.Head];
    const wasEmpty = head === words[Word.Tail];
    const isFull = head - words[Word.Tail] === RING_SLOTS;
    if (!isFull) {
      words[Word.RingStart + (head & (RING_SLOTS - 1))] = fd;
      words[Word.Head] = (head + 1) | 0;
      Atomics.add(words, Word.Connections, 1);
    }
    releaseLock(words, Word.Lock);
    if (!isFull && wasEmpty) this.wake(libc);
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
      words[Word.Tail] = (tail + 1) | 0;
    }
    releaseLock(words, Word.Lock);
    return fd;
  }

  /** Makes the worker's epoll_wait return. Any thread may call it. */
  wake(libc: Libc): void {
    if (this.oneAddress === 0) this.oneAddress = libc.addressOf(this.one);
    libc.write(this.wakeFd, this.oneAddress, 8);
  }
}
