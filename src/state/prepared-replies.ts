/**
 * Replies that never change and take long to make, in shared memory: what COMMAND and COMMAND DOCS say of all commands.
 * The main thread, which has nothing to do, makes them once the server is ready; workers only copy them.
 *
 *   int32 words
 *     2 r               offset of the bytes of reply r
 *     2 r + 1           their length, 0: not there
 *   bytes               from byte 64 on
 *
 * A reply is written before its length is, and never changed.
 */

export const enum PreparedReply {
  /** COMMAND */
  Commands = 0,
  /** COMMAND DOCS */
  Documents = 1,
}

const KINDS = 2;
const PROTOCOLS: readonly (2 | 3)[] = [2, 3];
const BYTES_START = 64;
/** Twice the size of the replies; unused pages cost nothing. */
const BUFFER_BYTES = 1 << 20;

const enum Word {
  Offsets = 0,
  Lengths = 1,
}

export class PreparedReplies {
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;

  constructor(handle: SharedArrayBuffer) {
    this.words = new Int32Array(handle, 0, BYTES_START / 4);
    this.bytes = new Uint8Array(handle);
  }

  static create(): SharedArrayBuffer {
    return new SharedArrayBuffer(BUFFER_BYTES);
  }

  /** All replies that are to be prepared. */
  static *wanted(): Generator<{ readonly kind: PreparedReply; readonly protocol: 2 | 3 }> {
    for (let kind = 0; kind < KINDS; kind++) for (const protocol of PROTOCOLS) yield { kind, protocol };
  }

  /** Stores a reply; only one thread may call it. Returns whether there was room. */
  put(kind: PreparedReply, protocol: 2 | 3, reply: Uint8Array): boolean {
    const { words, bytes } = this;
    const index = indexOf(kind, protocol);
    const offset = this.lastEnd();
    if (offset + reply.length > bytes.length) return false;
    bytes.set(reply, offset);
    words[Word.Offsets + 2 * index] = offset;
    Atomics.store(words, Word.Lengths + 2 * index, reply.length);
    return true;
  }

  /** The bytes of a reply, null if it is not there. */
  get(kind: PreparedReply, protocol: 2 | 3): Uint8Array | null {
    const { words, bytes } = this;
    const index = indexOf(kind, protocol);
    const length = Atomics.load(words, Word.Lengths + 2 * index);
    if (length === 0) return null;
    const offset = words[Word.Offsets + 2 * index];
    return bytes.subarray(offset, offset + length);
  }

  private lastEnd(): number {
    const { words } = this;
    let end = BYTES_START;
    for (let index = 0; index < KINDS * PROTOCOLS.length; index++) {
      end = Math.max(end, words[Word.Offsets + 2 * index] + words[Word.Lengths + 2 * index]);
    }
    return end;
  }
}

function indexOf(kind: PreparedReply, protocol: 2 | 3): number {
  return PROTOCOLS.length * kind + (protocol - 2);
}
