/**
 * Messages between the worker threads, in shared memory. Any thread sends to any worker; each worker takes what is in its
 * own box. A box is an unbounded list: a message stays there until its worker takes it, and the messages of a box have
 * one order, whichever threads sent them. In practice it is bounded, because senders hold back the clients that cause
 * messages while a box is congested (outbox.ts).
 *
 *   boxes: a cache line per worker, int32 words
 *     0 lock    1 signalled    2 first message    3 last message (byte offsets in the memory, 0: none)
 *     4 bytes of the messages in the box          5 a sender waits until the box is not congested any more
 *
 *   memory: an arena (memory/arena.ts) for the messages of all boxes, under a lock of its own
 *     message:  | next | kind | id (float64) | first | second | third | length of the payload | payload |
 *
 * If the signal word is set already, a sender does not signal again: the owner clears it before it looks, so a message that
 * comes later finds it clear and signals anew, and a burst of messages costs one wake-up.
 */

import { Arena } from '../memory/arena.js';
import { Attention } from '../memory/attention.js';
import { acquireLock, releaseLock } from '../memory/lock.js';
import { HeaderWord, ShardMemory } from '../memory/shard-memory.js';

const enum Box {
  Lock = 0,
  Signalled = 1,
  First = 2,
  Last = 3,
  Bytes = 4,
  AwaitsRoom = 5,
  WORDS = 16,
}

const enum MessageWord {
  Next = 0,
  Kind = 1,
  /** A float64. */
  Id = 2,
  First = 4,
  Second = 5,
  Third = 6,
  Length = 7,
  WORDS = 8,
}

const HEADER_BYTES = MessageWord.WORDS * 4;

/** Address space for messages; the operating system commits what is used. */
const MEMORY_BYTES = 1 << 30;

/** A box with more bytes is congested: clients that cause more messages are held back. */
export const CONGESTED_BYTES = 4 << 20;

/** What messages are about. */
export const enum MessageKind {
  /** Lines for the clients in MONITOR. */
  MonitorLines = 1,
  /** A connection moves here: its id, descriptor, row in the client table, and input that was not handled yet. */
  Connection = 2,
  /** The wait of a client has ended: its id, the argument that names the key that served it, microseconds, WaitEnd, the reply. */
  WaitEnded = 3,
  /** A message for subscribers here: kind of the channel, length of its name; the payload is the name and the message. */
  Published = 4,
  // Keys that clients here may have cached have changed (pubsub/invalidations.ts).
  Invalidated = 5,
  InvalidatedPrefix = 6,
  InvalidatedFor = 7,
  InvalidatedAll = 8,
  /** A connection of a replica goes to the replication thread: as Connection; the payload is JSON and, behind it, input. */
  Replica = 10,
  /** A request to the replication thread, as JSON; the id is its ticket. */
  Replication = 11,
  /** CLIENT UNBLOCK has ended the wait of a client for confirmations: its id, the number of the wait, WaitEnd. */
  Unblocked = 12,
  /** Give back memory that is kept for later (MEMORY PURGE). */
  Purge = 9,
}

/** A message as its owner gets it: the object and the payload, bytes[offset, offset + length), are valid only during the call. */
export interface Message {
  kind: number;
  /** A client id or another number up to 2^53. */
  id: number;
  first: number;
  second: number;
  third: number;
  readonly bytes: Uint8Array;
  /** Over the same bytes. */
  readonly view: DataView;
  offset: number;
  length: number;
}

export interface MailHandle {
  readonly boxes: SharedArrayBuffer;
  readonly memory: SharedArrayBuffer;
  readonly attention: SharedArrayBuffer;
}

const NO_BYTES = new Uint8Array(0);

export class Mail {
  private readonly boxes: Int32Array;
  private readonly memory: ShardMemory;
  private readonly words: Int32Array;
  private readonly arena: Arena;
  private readonly attention: Attention;
  private readonly wakeWorker: (worker: number) => void;
  private readonly message: Message;
  /** Messages that were handed over, to be freed together. */
  private taken = new Int32Array(256);
  private isDraining = false;

  /** `wakeWorker` makes a worker look into its box. */
  constructor(handle: MailHandle, wakeWorker: (worker: number) => void) {
    this.boxes = new Int32Array(handle.boxes);
    this.memory = new ShardMemory(handle.memory);
    this.words = this.memory.words;
    this.arena = new Arena(this.memory);
    this.attention = new Attention(handle.attention);
    this.wakeWorker = wakeWorker;
    const { bytes, view } = this.memory;
    this.message = { kind: 0, id: 0, first: 0, second: 0, third: 0, bytes, view, offset: 0, length: 0 };
  }

  static create(attention: SharedArrayBuffer, workers: number, memoryBytes = MEMORY_BYTES): MailHandle {
    return {
      boxes: new SharedArrayBuffer(workers * Box.WORDS * 4),
      memory: ShardMemory.create(memoryBytes, 0).buffer,
      attention,
    };
  }

  /**
   * Puts a message into a worker's box and wakes the worker if need be. Its payload is bytes[start, end). Returns
   * false, with nothing done, if there is no memory for it.
   */
  send(
    worker: number,
    kind: MessageKind,
    id: number,
    first = 0,
    second = 0,
    third = 0,
    bytes: Uint8Array = NO_BYTES,
    start = 0,
    end = bytes.length,
  ): boolean {
    const { words, memory, boxes } = this;
    const length = end - start;
    const message = this.allocate(HEADER_BYTES + length);
    if (message === 0) return false;
    const at = message >> 2;
    words[at + MessageWord.Next] = 0;
    words[at + MessageWord.Kind] = kind;
    memory.doubles[(at + MessageWord.Id) >> 1] = id;
    words[at + MessageWord.First] = first;
    words[at + MessageWord.Second] = second;
    words[at + MessageWord.Third] = third;
    words[at + MessageWord.Length] = length;
    if (length > 0) memory.bytes.set(bytes.subarray(start, end), message + HEADER_BYTES);
    const box = worker * Box.WORDS;
    acquireLock(boxes, box + Box.Lock);
    const last = boxes[box + Box.Last];
    if (last === 0) boxes[box + Box.First] = message;
    else words[(last >> 2) + MessageWord.Next] = message;
    boxes[box + Box.Last] = message;
    // Atomic, since the owner subtracts the bytes it has taken without holding the lock.
    Atomics.add(boxes, box + Box.Bytes, HEADER_BYTES + length);
    releaseLock(boxes, box + Box.Lock);
    if (Atomics.exchange(boxes, box + Box.Signalled, 1) === 0) {
      this.attention.raise(worker);
      this.wakeWorker(worker);
    }
    return true;
  }

  private allocate(lengthBytes: number): number {
    acquireLock(this.words, HeaderWord.Lock);
    const message = this.arena.allocate(lengthBytes);
    releaseLock(this.words, HeaderWord.Lock);
    return message;
  }

  /** Whether a worker has nothing to take. */
  isEmpty(worker: number): boolean {
    return Atomics.load(this.boxes, worker * Box.WORDS + Box.Bytes) === 0;
  }

  /** Bytes in a worker's box that it has not taken yet. */
  pendingBytes(worker: number): number {
    return Atomics.load(this.boxes, worker * Box.WORDS + Box.Bytes);
  }

  isCongested(worker: number): boolean {
    return this.pendingBytes(worker) > CONGESTED_BYTES;
  }

  /** Has the other workers woken once this worker's box is no longer congested. */
  awaitRoom(worker: number): void {
    Atomics.store(this.boxes, worker * Box.WORDS + Box.AwaitsRoom, 1);
  }

  /**
   * Hands the messages of the calling worker to `receive`, oldest first, until there is none. Returns how many there
   * were. `receive` must not call `drain`: newer messages would overtake those that are still to be received.
   */
  drain(worker: number, receive: (message: Message) => void): number {
    const { boxes } = this;
    if (this.isDraining) throw new Error('mail: messages are taken while others are being received');
    this.isDraining = true;
    const box = worker * Box.WORDS;
    Atomics.store(boxes, box + Box.Signalled, 0);
    let count = 0;
    while (boxes[box + Box.First] !== 0) {
      acquireLock(boxes, box + Box.Lock);
      const first = boxes[box + Box.First];
      boxes[box + Box.First] = 0;
      boxes[box + Box.Last] = 0;
      releaseLock(boxes, box + Box.Lock);
      const taken = this.receiveAll(first, receive);
      this.free(taken, box);
      count += taken;
    }
    this.isDraining = false;
    if (boxes[box + Box.AwaitsRoom] !== 0 && !this.isCongested(worker)) {
      Atomics.store(boxes, box + Box.AwaitsRoom, 0);
      for (let other = 0; other < boxes.length / Box.WORDS; other++)
        if (other !== worker) this.wakeWorker(other);
    }
    return count;
  }

  /** Hands over a list of messages; returns how many there were. Their offsets are left in `taken`. */
  private receiveAll(first: number, receive: (message: Message) => void): number {
    const { words, message, memory } = this;
    let count = 0;
    for (let offset = first; offset !== 0; ) {
      const at = offset >> 2;
      const next = words[at + MessageWord.Next];
      message.kind = words[at + MessageWord.Kind];
      message.id = memory.doubles[(at + MessageWord.Id) >> 1];
      message.first = words[at + MessageWord.First];
      message.second = words[at + MessageWord.Second];
      message.third = words[at + MessageWord.Third];
      message.offset = offset + HEADER_BYTES;
      message.length = words[at + MessageWord.Length];
      receive(message);
      if (count === this.taken.length) {
        const larger = new Int32Array(2 * count);
        larger.set(this.taken);
        this.taken = larger;
      }
      this.taken[count++] = offset;
      offset = next;
    }
    return count;
  }

  private free(count: number, box: number): void {
    const { words, arena, taken, boxes } = this;
    let freedBytes = 0;
    acquireLock(words, HeaderWord.Lock);
    for (let index = 0; index < count; index++) {
      const lengthBytes = HEADER_BYTES + words[(taken[index] >> 2) + MessageWord.Length];
      arena.free(taken[index], lengthBytes);
      freedBytes += lengthBytes;
    }
    releaseLock(words, HeaderWord.Lock);
    Atomics.sub(boxes, box + Box.Bytes, freedBytes);
  }

  /** Bytes of all messages that were not taken yet. */
  get usedBytes(): number {
    return this.arena.usedBytes;
  }

  /** Throws if an invariant is broken. For tests, while no thread sends or takes. */
  verify(): void {
    this.arena.verify();
    let bytes = 0;
    for (let box = 0; box < this.boxes.length; box += Box.WORDS) bytes += this.boxes[box + Box.Bytes];
    if (bytes === 0 && this.arena.usedBytes !== 0) throw new Error('mail: messages that are in no box');
  }
}
