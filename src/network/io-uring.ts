/**
 * A ring of io_uring(7), used by the one thread that made it. Requests are written into memory shared with the kernel;
 * `submit` hands over all that are queued, waits if asked to, and finds what has been completed: one system
 * call for a whole round of reads and writes.
 *
 * The ring is set up so that the kernel posts completions only inside `submit` (IORING_SETUP_DEFER_TASKRUN): nothing
 * changes while the thread looks at them, so no atomic operations are needed.
 *
 *   submission queue entry, 64 bytes          completion queue entry, 16 bytes
 *   0 operation  1 flags  2 modifiers         0 tag (8)   8 result   12 flags, number of the buffer << 16
 *   4 fd         8 offset (8)
 *   16 address (8)   24 length   28 operation's flags
 *   32 tag (8)   40 buffer group   44...
 *
 * Source: Linux, include/uapi/linux/io_uring.h.
 */

import type { Libc } from '../system/libc.js';

/** Kernels with all of this: 6.1 and later. */
const enum Setup {
  CQSIZE = 1 << 3,
  CLAMP = 1 << 4,
  SUBMIT_ALL = 1 << 7,
  SINGLE_ISSUER = 1 << 12,
  DEFER_TASKRUN = 1 << 13,
}

const enum Enter {
  GETEVENTS = 1,
  EXT_ARG = 8,
}

const enum Feature {
  SINGLE_MMAP = 1,
  NODROP = 2,
  EXT_ARG = 1 << 8,
}

const REGISTER_BUFFER_RING = 22;

export const enum Operation {
  PollAdd = 6,
  AsyncCancel = 14,
  Read = 22,
  Send = 26,
  Receive = 27,
}

export const enum EntryFlag {
  None = 0,
  BufferSelect = 1 << 5,
  /** Only failures are reported. */
  SkipSuccess = 1 << 6,
}

export const enum CompletionFlag {
  /** A buffer of the group was used. */
  Buffer = 1,
  /** The request goes on: more completions will come. */
  More = 2,
}

export const RECEIVE_MULTISHOT = 2;
/** AsyncCancel: all requests on the file descriptor. */
export const CANCEL_ALL_ON_FD = 3;

const MAP_READ_WRITE = 3;
const MAP_SHARED_POPULATE = 0x8001;
const SUBMISSION_RING_OFFSET = 0;
const ENTRIES_OFFSET = 0x10000000;

const PARAMETERS_BYTES = 120;
const ENTRY_WORDS = 16;
const COMPLETION_WORDS = 4;
const BUFFER_ENTRY_BYTES = 16;
const PAGE_BYTES = 4096;
/** Where the tail of a ring of buffers is, in its first entry. */
const BUFFER_TAIL_OFFSET = 14;

export class IoUring {
  private readonly libc: Libc;
  private readonly fd: number;
  /** Words of the memory that holds both queues' heads and tails, and the completions. */
  private readonly ring: Int32Array;
  private readonly entries: Int32Array;
  private readonly entriesMax: number;
  private readonly submissionHead: number;
  private readonly submissionTail: number;
  private readonly submissionMask: number;
  private readonly completionHead: number;
  private readonly completionTail: number;
  private readonly completionMask: number;
  private readonly completions: number;
  /** The argument of a wait, which contains its timeout. */
  private readonly waitArgument = new Int32Array(10);
  private readonly waitAddress: number;
  private tail = 0;
  private submitted = 0;

  private constructor(libc: Libc, fd: number, parameters: DataView) {
    this.libc = libc;
    this.fd = fd;
    const word = (offset: number) => parameters.getUint32(offset, true);
    this.entriesMax = word(0);
    const completionsMax = word(4);
    const submissionArray = word(40 + 24);
    const ringBytes = Math.max(submissionArray + this.entriesMax * 4, word(80 + 20) + completionsMax * 16);
    this.ring = new Int32Array(map(libc, fd, ringBytes, SUBMISSION_RING_OFFSET));
    this.entries = new Int32Array(map(libc, fd, this.entriesMax * 64, ENTRIES_OFFSET));
    this.submissionHead = word(40) / 4;
    this.submissionTail = word(40 + 4) / 4;
    this.submissionMask = this.entriesMax - 1;
    this.completionHead = word(80) / 4;
    this.completionTail = word(80 + 4) / 4;
    this.completionMask = completionsMax - 1;
    this.completions = word(80 + 20) / 4;
    for (let index = 0; index < this.entriesMax; index++) this.ring[submissionArray / 4 + index] = index;
    const argument = libc.addressOf(new Uint8Array(this.waitArgument.buffer));
    this.waitAddress = argument;
    writeAddress(this.waitArgument, 4, argument + 24);
  }

  /** Whether this machine supports such rings and permits them. */
  static isAvailable(libc: Libc): boolean {
    const fd = setUp(libc, 1, 2, new Uint8Array(PARAMETERS_BYTES));
    if (fd >= 0) libc.close(fd);
    return fd >= 0;
  }

  /** A ring for `entriesMax` requests at a time, a power of two; null if the kernel does not provide it. */
  static create(libc: Libc, entriesMax: number, completionsMax: number): IoUring | null {
    const parameters = new Uint8Array(PARAMETERS_BYTES);
    const fd = setUp(libc, entriesMax, completionsMax, parameters);
    return fd < 0 ? null : new IoUring(libc, fd, new DataView(parameters.buffer));
  }

  /** Requests that are queued. */
  get queued(): number {
    return (this.tail - this.submitted) | 0;
  }

  get isFull(): boolean {
    return this.queued >= this.entriesMax;
  }

  /** Queues a request. The ring must not be full. `tag` comes back with its completion, in two words. */
  queue(
    operation: Operation,
    flags: EntryFlag,
    modifiers: number,
    fd: number,
    address: number,
    lengthBytes: number,
    operationFlags: number,
    tagLow: number,
    tagHigh: number,
    bufferGroup: number,
  ): void {
    const { entries } = this;
    const at = (this.tail & this.submissionMask) * ENTRY_WORDS;
    entries[at] = operation | (flags << 8) | (modifiers << 16);
    entries[at + 1] = fd;
    entries[at + 2] = 0;
    entries[at + 3] = 0;
    writeAddress(entries, at + 4, address);
    entries[at + 6] = lengthBytes;
    entries[at + 7] = operationFlags;
    entries[at + 8] = tagLow;
    entries[at + 9] = tagHigh;
    entries[at + 10] = bufferGroup;
    entries[at + 11] = 0;
    entries[at + 12] = 0;
    entries[at + 13] = 0;
    this.tail = (this.tail + 1) | 0;
  }

  /**
   * Submits what is queued, and has the kernel do what has become possible. With `waitMs` above 0, waits at most that
   * long until `wanted` requests are completed.
   */
  submit(waitMs: number, wanted = 1): void {
    const { ring, waitArgument } = this;
    ring[this.submissionTail] = this.tail;
    const seconds = Math.floor(waitMs / 1000);
    waitArgument[6] = seconds;
    waitArgument[8] = (waitMs - seconds * 1000) * 1_000_000;
    const count = (this.tail - this.submitted) | 0;
    const flags = Enter.GETEVENTS | Enter.EXT_ARG;
    this.libc.ioUringEnter(this.fd, count, waitMs > 0 ? wanted : 0, flags, this.waitAddress, 24);
    this.submitted = ring[this.submissionHead];
  }

  /** Completions that have not been consumed. */
  get completed(): number {
    return (this.ring[this.completionTail] - this.ring[this.completionHead]) | 0;
  }

  /** Position in `ring` of the completion `index` behind the first that is not consumed; see the drawing. */
  private completionAt(index: number): number {
    return (
      this.completions + ((this.ring[this.completionHead] + index) & this.completionMask) * COMPLETION_WORDS
    );
  }

  tagLow(index: number): number {
    return this.ring[this.completionAt(index)];
  }

  tagHigh(index: number): number {
    return this.ring[this.completionAt(index) + 1];
  }

  /** Clears the tag of a completion that has been handled already. */
  clearTag(index: number): void {
    this.ring[this.completionAt(index) + 1] = 0;
  }

  /** What the system call would have returned; a negative errno after a failure. */
  result(index: number): number {
    return this.ring[this.completionAt(index) + 2];
  }

  flags(index: number): number {
    return this.ring[this.completionAt(index) + 3];
  }

  /** Frees the places of the first `count` completions. */
  consume(count: number): void {
    this.ring[this.completionHead] = (this.ring[this.completionHead] + count) | 0;
  }

  /** Registers a group of buffers; null if the kernel refuses. */
  registerBuffers(group: number, count: number, bytesEach: number): BufferGroup | null {
    const buffers = new BufferGroup(this.libc, count, bytesEach);
    const registration = new Uint8Array(40);
    const view = new DataView(registration.buffer);
    view.setBigUint64(0, BigInt(buffers.ringAddress), true);
    view.setUint32(8, count, true);
    view.setUint16(12, group, true);
    const { libc } = this;
    const failed = libc.ioUringRegister(this.fd, REGISTER_BUFFER_RING, libc.addressOf(registration), 1) < 0;
    return failed ? null : buffers;
  }

  close(): void {
    this.libc.close(this.fd);
  }
}

/**
 * Buffers that the kernel takes from when bytes arrive, whichever connection they are for: an idle connection
 * holds none. Their numbers go round in a ring of entries:
 *
 *   0 address (8)   8 length (4)   12 number (2)   14 in the first entry: tail of the ring (2)
 */
export class BufferGroup {
  /** All buffers, one behind the other. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly bytesEach: number;
  /** @internal */
  readonly ringAddress: number;
  private readonly ring: DataView;
  private readonly mask: number;
  /** Of the first byte. */
  readonly address: number;
  private tail = 0;

  constructor(libc: Libc, count: number, bytesEach: number) {
    this.bytesEach = bytesEach;
    // Not cleared: pages that no bytes have come into take no memory.
    const { buffer } = Buffer.allocUnsafeSlow(count * bytesEach);
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.address = libc.addressOf(this.bytes);
    this.mask = count - 1;
    // The kernel wants whole pages.
    const room = new Uint8Array(count * BUFFER_ENTRY_BYTES + PAGE_BYTES);
    const roomAddress = libc.addressOf(room);
    const padding = (PAGE_BYTES - (roomAddress % PAGE_BYTES)) % PAGE_BYTES;
    this.ringAddress = roomAddress + padding;
    this.ring = new DataView(room.buffer, padding, count * BUFFER_ENTRY_BYTES);
    for (let number = 0; number < count; number++) this.giveBack(number);
  }

  /** Lets the kernel use a buffer, again. */
  giveBack(number: number): void {
    const { ring } = this;
    const at = (this.tail & this.mask) * BUFFER_ENTRY_BYTES;
    const address = this.address + number * this.bytesEach;
    ring.setUint32(at, address, true);
    ring.setUint32(at + 4, address / 2 ** 32, true);
    ring.setUint32(at + 8, this.bytesEach, true);
    ring.setUint16(at + 12, number, true);
    this.tail = (this.tail + 1) & 0xffff;
    ring.setUint16(BUFFER_TAIL_OFFSET, this.tail, true);
  }
}

/** Has the kernel make a ring and describe it in `parameters`. Returns its descriptor, or -1. */
function setUp(libc: Libc, entriesMax: number, completionsMax: number, parameters: Uint8Array): number {
  const view = new DataView(parameters.buffer);
  view.setUint32(4, completionsMax, true);
  const setup = Setup.CQSIZE | Setup.CLAMP | Setup.SUBMIT_ALL | Setup.SINGLE_ISSUER | Setup.DEFER_TASKRUN;
  view.setUint32(8, setup, true);
  const fd = libc.ioUringSetup(entriesMax, libc.addressOf(parameters));
  const needed = Feature.SINGLE_MMAP | Feature.NODROP | Feature.EXT_ARG;
  if (fd < 0 || (view.getUint32(20, true) & needed) === needed) return fd;
  libc.close(fd);
  return -1;
}

function map(libc: Libc, fd: number, lengthBytes: number, offset: number): ArrayBuffer {
  const address = libc.mmap(0, lengthBytes, MAP_READ_WRITE, MAP_SHARED_POPULATE, fd, offset);
  if (address === -1) throw new Error(`can't map the ring: ${libc.errorText(libc.errno())}`);
  return libc.memoryAt(address, lengthBytes);
}

/** Writes 64 bits of an address into two words. */
function writeAddress(words: Int32Array, at: number, address: number): void {
  words[at] = address | 0;
  words[at + 1] = address / 2 ** 32;
}
