/**
 * A thread's mailbox: a ring of messages in shared memory that any thread puts something into and only
 * its owner empties.
 *
 *   int32 words
 *     0 lock    1 signalled    2 head: bytes ever written    3 tail: bytes ever read (both wrap around)
 *   ring from byte 64, messages at multiples of 8 bytes:
 *     int32 size of the message, kind   float64 id   int32 first, second, third, length of the payload
 *     payload
 *
 * Who finds the signal word set does not signal again: the owner clears it before it looks, so a message
 * that comes later always finds it clear and signals anew, and a burst of messages costs one wake-up.
 *
 * A message never wraps around the end: what is left there is skipped with a message of kind SKIP.
 * A full mailbox refuses; the sender decides what that means.
 */

import { acquireLock, releaseLock } from '../memory/lock.js';

const enum Word {
  Lock = 0,
  Signalled = 1,
  Head = 2,
  Tail = 3,
}

const RING_OFFSET = 64;
const HEADER_BYTES = 32;
const SKIP = -1;

/** What messages are about. */
export const enum MessageKind {
  /** Look for kill and unblock requests in the client table. */
  ClientRequests = 1,
  /** A line for the clients in MONITOR. */
  MonitorLine = 2,
  ConfigurationChanged = 3,
  /** A pause has begun or ended. */
  PauseChanged = 4,
  /** Keys on which clients wait may have become ready. */
  Unblock = 5,
  Publish = 6,
  Shutdown = 7,
  /** A connection moves here: its id, descriptor, row in the client table, and input that was not handled yet. */
  Connection = 8,
  /** Give back memory that is kept for later (MEMORY PURGE). */
  Purge = 9,
}

/** A message as the owner gets it; the object and the payload are valid only during the call. */
export interface Message {
  kind: number;
  /** A client id or another number up to 2^53. */
  id: number;
  first: number;
  second: number;
  third: number;
  /** Empty if there is none. */
  payload: Uint8Array;
}

const NO_BYTES = new Uint8Array(0);

export class Mailbox {
  readonly handle: SharedArrayBuffer;
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly bytes: Uint8Array;
  private readonly ringBytes: number;
  private readonly signal: (() => void) | null;
  private readonly message: Message = { kind: 0, id: 0, first: 0, second: 0, third: 0, payload: NO_BYTES };

  /** `signal` wakes the owner, e.g. through an eventfd; without it the owner sleeps in `wait`. */
  constructor(handle: SharedArrayBuffer, signal: (() => void) | null = null) {
    this.handle = handle;
    this.words = new Int32Array(handle);
    this.doubles = new Float64Array(handle);
    this.bytes = new Uint8Array(handle);
    this.ringBytes = handle.byteLength - RING_OFFSET;
    this.signal = signal;
  }

  /** `ringBytes` must be a power of two. */
  static create(ringBytes = 1 << 20): SharedArrayBuffer {
    if (ringBytes < 64 || (ringBytes & (ringBytes - 1)) !== 0) throw new RangeError('not a power of two');
    return new SharedArrayBuffer(RING_OFFSET + ringBytes);
  }

  /** Puts a message in and wakes the owner if need be. Returns false, with nothing done, if it has no room. */
  send(kind: number, id: number, first = 0, second = 0, third = 0, payload: Uint8Array = NO_BYTES): boolean {
    const { words, ringBytes } = this;
    const size = (HEADER_BYTES + payload.length + 7) & ~7;
    acquireLock(words, Word.Lock);
    let head = words[Word.Head];
    const free = ringBytes - ((head - words[Word.Tail]) | 0);
    const beforeEnd = ringBytes - (head & (ringBytes - 1));
    const isWrapped = size > beforeEnd;
    const fits = size + (isWrapped ? beforeEnd : 0) <= free;
    if (fits) {
      if (isWrapped) {
        const at = (RING_OFFSET + (head & (ringBytes - 1))) >> 2;
        // Only 8 bytes may be left: a size and a kind, no more.
        words[at] = beforeEnd;
        words[at + 1] = SKIP;
        head = (head + beforeEnd) | 0;
      }
      this.write(RING_OFFSET + (head & (ringBytes - 1)), size, kind, id, first, second, third, payload);
      Atomics.store(words, Word.Head, (head + size) | 0);
    }
    releaseLock(words, Word.Lock);
    if (fits && Atomics.exchange(words, Word.Signalled, 1) === 0) {
      if (this.signal === null) Atomics.notify(words, Word.Signalled);
      else this.signal();
    }
    return fits;
  }

  private write(
    offset: number,
    size: number,
    kind: number,
    id: number,
    first: number,
    second: number,
    third: number,
    payload: Uint8Array,
  ): void {
    const { words } = this;
    const at = offset >> 2;
    words[at] = size;
    words[at + 1] = kind;
    this.doubles[(offset >> 3) + 1] = id;
    words[at + 4] = first;
    words[at + 5] = second;
    words[at + 6] = third;
    words[at + 7] = payload.length;
    this.bytes.set(payload, offset + HEADER_BYTES);
  }

  get isEmpty(): boolean {
    return Atomics.load(this.words, Word.Head) === Atomics.load(this.words, Word.Tail);
  }

  /**
   * Hands every message to `receive`, oldest first, until there is none; only the owner may call it.
   * Returns how many there were. The payload is a copy that may be kept.
   */
  drain(receive: (message: Message) => void): number {
    const { words, ringBytes, message } = this;
    Atomics.store(words, Word.Signalled, 0);
    let count = 0;
    // The owner alone moves the tail, so senders only ever see more room than there was: no lock is needed.
    for (let tail = words[Word.Tail]; tail !== Atomics.load(words, Word.Head); ) {
      const offset = RING_OFFSET + (tail & (ringBytes - 1));
      const at = offset >> 2;
      const size = words[at];
      if (words[at + 1] !== SKIP) {
        message.kind = words[at + 1];
        message.id = this.doubles[(offset >> 3) + 1];
        message.first = words[at + 4];
        message.second = words[at + 5];
        message.third = words[at + 6];
        const length = words[at + 7];
        message.payload =
          length === 0
            ? NO_BYTES
            : new Uint8Array(this.bytes.subarray(offset + HEADER_BYTES, offset + HEADER_BYTES + length));
        tail = (tail + size) | 0;
        Atomics.store(words, Word.Tail, tail);
        count++;
        receive(message);
      } else {
        tail = (tail + size) | 0;
        Atomics.store(words, Word.Tail, tail);
      }
    }
    return count;
  }

  /** Sleeps until a message comes, at most `timeoutMs`. For owners that have no other way to be woken. */
  wait(timeoutMs: number): void {
    if (this.isEmpty) Atomics.wait(this.words, Word.Signalled, 0, timeoutMs);
  }
}
