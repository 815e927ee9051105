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

  /** A copy with bytes of its own, which hold the arguments one behind the other. */
  copy(): CommandRequest {
    let lengthBytes = 0;
    for (let index = 0; index < this.count; index++) lengthBytes += this.length(index);
    const bytes = new Uint8Array(lengthBytes);
    const pairs = new Int32Array(2 * this.count);
    let at = 0;
    for (let index = 0; index < this.count; index++) {
      const offset = this.offset(index);
      const length = this.length(index);
      bytes.set(this.bytes.subarray(offset, offset + length), at);
      pairs[2 * index] = at;
      pairs[2 * index + 1] = length;
      at += length;
    }
    return new CommandRequest(bytes, new DataView(bytes.buffer), pairs, 0, this.count);
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
