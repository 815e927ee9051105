import { copyBytes } from '../structures/copy.js';

/**
 * Copies of short requests lie in slabs, one behind the other: a buffer for each would be most of the garbage of transactions
 * and of waiting clients. A slab lives as long as one of its copies, so it is small.
 */
const SLAB_BYTES = 4096;
const SLAB_PAIRS = 512;
/** Of a copy that lies in a slab. */
const SLAB_COPY_BYTES_MAX = 512;
const SLAB_COPY_ARGUMENTS_MAX = 64;

class Slab {
  readonly bytes = new Uint8Array(SLAB_BYTES);
  readonly view = new DataView(this.bytes.buffer);
  readonly pairs = new Int32Array(2 * SLAB_PAIRS);
  usedBytes = 0;
  usedPairs = 0;

  hasRoom(lengthBytes: number, count: number): boolean {
    return this.usedBytes + lengthBytes <= SLAB_BYTES && this.usedPairs + count <= SLAB_PAIRS;
  }
}

let slab = new Slab();

/**
 * A command's arguments, its name among them: `count` pairs [offset, length] of `pairs` from pair number `start` on, in
 * `bytes`. One form for a command of a batch, of a transaction, of a script, and for one that waits.
 */
export class CommandRequest {
  bytes: Uint8Array;
  /** Over the same bytes. */
  view: DataView;
  pairs: Int32Array;
  start: number;
  count: number;

  constructor(bytes: Uint8Array, view: DataView, pairs: Int32Array, start: number, count: number) {
    this.bytes = bytes;
    this.view = view;
    this.pairs = pairs;
    this.start = start;
    this.count = count;
  }

  offset(index: number): number {
    return this.pairs[2 * (this.start + index)];
  }

  length(index: number): number {
    return this.pairs[2 * (this.start + index) + 1];
  }

  /** Of all arguments together. */
  get lengthBytes(): number {
    let lengthBytes = 0;
    for (let index = 0; index < this.count; index++) lengthBytes += this.length(index);
    return lengthBytes;
  }

  /** A copy that nothing changes: its arguments lie one behind the other. */
  copy(): CommandRequest {
    const { lengthBytes, count } = this;
    if (lengthBytes > SLAB_COPY_BYTES_MAX || count > SLAB_COPY_ARGUMENTS_MAX) {
      const bytes = new Uint8Array(lengthBytes);
      return this.copyTo(bytes, new DataView(bytes.buffer), new Int32Array(2 * count), 0, 0);
    }
    if (!slab.hasRoom(lengthBytes, count)) slab = new Slab();
    const { bytes, view, pairs, usedBytes, usedPairs } = slab;
    slab.usedBytes += lengthBytes;
    slab.usedPairs += count;
    return this.copyTo(bytes, view, pairs, usedPairs, usedBytes);
  }

  private copyTo(
    bytes: Uint8Array,
    view: DataView,
    pairs: Int32Array,
    start: number,
    offsetBytes: number,
  ): CommandRequest {
    const { count } = this;
    let at = offsetBytes;
    for (let index = 0; index < count; index++) {
      const length = this.length(index);
      copyBytes(bytes, view, at, this.bytes, this.view, this.offset(index), length);
      pairs[2 * (start + index)] = at;
      pairs[2 * (start + index) + 1] = length;
      at += length;
    }
    return new CommandRequest(bytes, view, pairs, start, count);
  }

  /** A request of such arguments. */
  static of(args: readonly Uint8Array[]): CommandRequest {
    const bytes = new Uint8Array(args.reduce((sum, { length }) => sum + length, 0));
    const pairs = new Int32Array(2 * args.length);
    let at = 0;
    for (const [index, arg] of args.entries()) {
      bytes.set(arg, at);
      pairs[2 * index] = at;
      pairs[2 * index + 1] = arg.length;
      at += arg.length;
    }
    return new CommandRequest(bytes, new DataView(bytes.buffer), pairs, 0, args.length);
  }
}

const NO_BYTES = new Uint8Array(0);

/** No arguments at all. */
export const NO_REQUEST = new CommandRequest(
  NO_BYTES,
  new DataView(NO_BYTES.buffer),
  new Int32Array(0),
  0,
  0,
);
