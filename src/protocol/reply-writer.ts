/**
 * Writes replies in RESP2 or RESP3 into one buffer, which the network layer sends.
 *
 * One writer per worker serves all its connections; `protocol` is set to the connection's before its
 * commands run. The buffer grows by doubling and is replaced then: `generation` tells the owner of its
 * address. Beyond 4 MiB the replies so far go to the connection they are for, so that a long reply is not copied
 * again and again. All text given as a string constant must be ASCII unless the method says UTF-8.
 */

import { formatDouble, integerLength, writeInteger } from '../memory/numbers.js';
import { copyBytes } from '../structures/copy.js';
import { releasePages } from '../system/page-release.js';

const INITIAL_BYTES = 256 * 1024;
const KEEP_BYTES_MAX = 4 * 1024 * 1024;
/** No reply to one read grows beyond this. */
export const REPLY_BYTES_MAX = 2 ** 32;
/** Longer strings are copied in pieces; each goes to the outlet and so makes room for the next. */
const PIECE_BYTES_MIN = KEEP_BYTES_MAX / 2;

/** Takes replies that are too long for the buffer: the connection that they are for. */
export interface ReplyOutlet {
  /** Takes a copy of bytes[start, end), to be sent before what is written next. */
  queueOutput(bytes: Uint8Array, start: number, end: number): void;
  readonly pendingOutputBytes: number;
}

/** Bulk strings below this have a length of two digits. */
const SHORT_BULK_BYTES = 100;

const CR = 13;
const LF = 10;

const enum Type {
  Simple = 0x2b,
  Error = 0x2d,
  Integer = 0x3a,
  Bulk = 0x24,
  Array = 0x2a,
  Map = 0x25,
  Set = 0x7e,
  Push = 0x3e,
  Double = 0x2c,
  Boolean = 0x23,
  BigNumber = 0x28,
  Verbatim = 0x3d,
  Attribute = 0x7c,
}

const textEncoder = new TextEncoder();

/** A buffer that is not cleared: clearing it would cost as much as filling it, and unused pages take no memory. */
function bufferOf(lengthBytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.allocUnsafeSlow(lengthBytes).buffer);
}

export class ReplyWriter {
  bytes: Uint8Array;
  view: DataView;
  length = 0;
  /** Start of the replies that have not been taken; the bytes before it are being sent. */
  start = 0;
  protocol: 2 | 3 = 2;
  /** Changes whenever `bytes` is another buffer. */
  generation = 0;
  /** Counts error replies written, so that callers can see whether a command failed. */
  errors = 0;
  /** If the replies to one read exceed this and the buffer, they are dropped. */
  limitBytes = REPLY_BYTES_MAX;
  /** The replies grew beyond the limit and were dropped: the connection has to be closed. */
  overflowed = false;
  /** The last error's first word, for INFO's error statistics. */
  lastError = '';
  /** Takes what is too long for the buffer; null: the buffer grows as needed. */
  outlet: ReplyOutlet | null = null;
  /** How many bytes of the replies that have not been taken went to the outlet. */
  spilledBytes = 0;
  /** A position in the buffer is still needed, so its bytes must not go to the outlet. */
  private isHeld = false;
  /** A buffer that is not the writer's own, see `lend`. */
  private lent: Uint8Array | null = null;
  /** The most that the buffer has held since the last `shrinkIfUnused`. */
  private lengthMax = 0;

  constructor(initialBytes = INITIAL_BYTES) {
    this.bytes = bufferOf(initialBytes);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Bytes of the replies that have not been taken. */
  get size(): number {
    return this.length - this.start;
  }

  /** Position of the next byte, counted from the beginning of the replies. */
  get written(): number {
    return this.length + this.spilledBytes;
  }

  /** Leaves the replies where they are, until `reset`: they are being sent. */
  take(): void {
    this.start = this.length;
    this.isHeld = false;
    this.spilledBytes = 0;
  }

  /** Discards the replies that have not been taken. */
  drop(): void {
    this.length = this.start;
    this.isHeld = false;
    this.spilledBytes = 0;
  }

  /**
   * Returns the present position, to set `length` back to it or to insert something there. Until the replies are taken,
   * nothing leaves the buffer.
   */
  hold(): number {
    this.isHeld = true;
    return this.length;
  }

  /** Discards all replies. Nothing is being sent any more. */
  reset(): void {
    if (this.length > this.lengthMax) this.lengthMax = this.length;
    this.length = 0;
    this.start = 0;
    this.isHeld = false;
    this.spilledBytes = 0;
    if (this.bytes.length > KEEP_BYTES_MAX) this.shrink();
  }

  /** Replaces a buffer that has grown, unless its size was needed since the last call, or `isForced`. */
  shrinkIfUnused(isForced: boolean): void {
    if (this.length > 0) return;
    if (this.bytes.length > INITIAL_BYTES && (isForced || this.lengthMax <= INITIAL_BYTES)) this.shrink();
    this.lengthMax = 0;
  }

  private shrink(): void {
    releasePages(this.bytes);
    this.replaceBuffer(INITIAL_BYTES);
  }

  /** Whether the buffer is so large that it is handed over whole instead of copied. */
  get isOversized(): boolean {
    return this.bytes.length > KEEP_BYTES_MAX;
  }

  /** Leaves `bytes` to the caller, which still needs its contents, and continues with a new buffer. */
  abandonBuffer(): void {
    this.replaceBuffer(INITIAL_BYTES);
    this.length = 0;
    this.start = 0;
    this.isHeld = false;
    this.spilledBytes = 0;
  }

  /** Writes a reply into memory that the caller lends; if that is too short, into a buffer of its own. */
  lend(bytes: Uint8Array, view: DataView): void {
    this.bytes = bytes;
    this.view = view;
    this.lent = bytes;
    this.length = 0;
    this.start = 0;
    this.isHeld = false;
  }

  /** Makes room for `lengthBytes` more. */
  reserve(lengthBytes: number): void {
    if (this.length + lengthBytes > this.bytes.length) this.grow(lengthBytes);
  }

  private grow(lengthBytes: number): void {
    const pendingBytes = this.outlet === null ? 0 : this.outlet.pendingOutputBytes;
    if (this.overflowed || pendingBytes + this.size + lengthBytes > this.limitBytes) {
      this.overflowed = true;
      this.drop();
      if (this.length + lengthBytes <= this.bytes.length) return;
    }
    let capacity = this.bytes.length;
    while (capacity < this.length + lengthBytes) capacity *= 2;
    if (capacity > KEEP_BYTES_MAX && this.spill()) {
      if (this.length + lengthBytes <= this.bytes.length) return;
      capacity = this.bytes.length;
      while (capacity < this.length + lengthBytes) capacity *= 2;
    }
    const old = this.bytes;
    this.replaceBuffer(capacity);
    this.bytes.set(old.subarray(0, this.length));
    // Sends under way still use the old buffer.
    if (this.start === 0 && old !== this.lent) releasePages(old);
  }

  /** Moves what has been written to the outlet; returns whether that was possible. */
  private spill(): boolean {
    if (this.outlet === null || this.isHeld || this.overflowed) return false;
    this.outlet.queueOutput(this.bytes, this.start, this.length);
    this.spilledBytes += this.size;
    this.length = this.start;
    return true;
  }

  private replaceBuffer(capacity: number): void {
    this.bytes = bufferOf(capacity);
    this.view = new DataView(this.bytes.buffer);
    this.generation++;
  }

  ok(): void {
    this.reserve(5);
    this.view.setInt32(this.length, 0x0d4b4f2b, true); // "+OK\r"
    this.bytes[this.length + 4] = LF;
    this.length += 5;
  }

  /** A status line. */
  simple(text: string): void {
    this.line(Type.Simple, text);
  }

  /**
   * An error line, without the leading minus; its code comes first, as in "ERR syntax error". Each
   * character stands for one byte, since errors quote what clients sent.
   */
  error(text: string): void {
    this.errors++;
    const space = text.indexOf(' ');
    this.lastError = space < 0 ? text : text.slice(0, space);
    this.reserve(text.length + 3);
    this.bytes[this.length++] = Type.Error;
    // What the text quotes may have line ends: those at its end are removed, others become blanks.
    let end = text.length;
    while (end > 0 && (text.charCodeAt(end - 1) === CR || text.charCodeAt(end - 1) === LF)) end--;
    for (let index = 0; index < end; index++) {
      const code = text.charCodeAt(index);
      this.bytes[this.length++] = code === CR || code === LF ? 0x20 : code;
    }
    this.crlf();
  }

  integer(value: number): void {
    this.reserve(24);
    this.header(Type.Integer, value);
  }

  integerBig(value: bigint): void {
    this.line(Type.Integer, value.toString());
  }

  array(count: number): void {
    this.aggregate(Type.Array, count);
  }

  /** A map of `count` pairs; in RESP2 a flat array. */
  map(count: number): void {
    if (this.protocol === 3) this.aggregate(Type.Map, count);
    else this.aggregate(Type.Array, count * 2);
  }

  /** A set; in RESP2 an array. */
  set(count: number): void {
    this.aggregate(this.protocol === 3 ? Type.Set : Type.Array, count);
  }

  /** Out-of-band data; in RESP2 an array. */
  push(count: number): void {
    this.aggregate(this.protocol === 3 ? Type.Push : Type.Array, count);
  }

  attribute(count: number): void {
    this.aggregate(Type.Attribute, count);
  }

  /** The null of RESP3, the null bulk string of RESP2. */
  nullBulk(): void {
    if (this.protocol === 3) this.raw3(0x5f);
    else this.text('$-1\r\n');
  }

  /** The null of RESP3, the null array of RESP2. */
  nullArray(): void {
    if (this.protocol === 3) this.raw3(0x5f);
    else this.text('*-1\r\n');
  }

  boolean(value: boolean): void {
    if (this.protocol === 3) this.text(value ? '#t\r\n' : '#f\r\n');
    else this.integer(value ? 1 : 0);
  }

  /** A double; in RESP2 a bulk string. */
  double(value: number): void {
    if (Number.isSafeInteger(value) && (value !== 0 || 1 / value > 0)) {
      if (this.protocol === 2) {
        this.bulkInteger(value);
      } else {
        this.reserve(24);
        this.header(Type.Double, value);
      }
      return;
    }
    const text = formatDouble(value);
    if (this.protocol === 3) this.line(Type.Double, text);
    else this.bulkString(text);
  }

  /** A double as text of `lengthBytes` bytes from `source`; in RESP2 a bulk string. */
  doubleCopy(source: Uint8Array, sourceView: DataView, offset: number, lengthBytes: number): void {
    if (this.protocol === 2) {
      this.bulkCopy(source, sourceView, offset, lengthBytes);
      return;
    }
    this.reserve(lengthBytes + 3);
    this.bytes[this.length++] = Type.Double;
    copyBytes(this.bytes, this.view, this.length, source, sourceView, offset, lengthBytes);
    this.length += lengthBytes;
    this.crlf();
  }

  bigNumber(text: string): void {
    if (this.protocol === 3) this.line(Type.BigNumber, text);
    else this.bulkString(text);
  }

  /** Text with a format of three letters; in RESP2 a bulk string. */
  verbatim(text: string, format: string): void {
    if (this.protocol === 3) {
      const encoded = textEncoder.encode(`${format}:${text}`);
      this.reserve(encoded.length + 32);
      this.header(Type.Verbatim, encoded.length);
      this.raw(encoded, 0, encoded.length);
      this.crlf();
    } else {
      this.bulkString(text);
    }
  }

  /** A bulk string of `lengthBytes` bytes from `source`. */
  bulkCopy(source: Uint8Array, sourceView: DataView, offset: number, lengthBytes: number): void {
    if (lengthBytes > PIECE_BYTES_MIN && this.outlet !== null && !this.isHeld) {
      this.longBulk(source, sourceView, offset, lengthBytes);
      return;
    }
    this.reserve(lengthBytes + 32);
    if (lengthBytes < SHORT_BULK_BYTES && offset + lengthBytes + 4 <= source.length) {
      this.shortBulk(sourceView, offset, lengthBytes);
      return;
    }
    this.header(Type.Bulk, lengthBytes);
    copyBytes(this.bytes, this.view, this.length, source, sourceView, offset, lengthBytes);
    this.length += lengthBytes;
    this.bytes[this.length++] = CR;
    this.bytes[this.length++] = LF;
  }

  /** The same in pieces: the buffer stays small, and the outlet's copy of a piece reads it from the cache. */
  private longBulk(source: Uint8Array, sourceView: DataView, offset: number, lengthBytes: number): void {
    this.aggregate(Type.Bulk, lengthBytes);
    // Checked here, since each piece by itself may be within the limit.
    if (this.size + lengthBytes > this.limitBytes) this.overflowed = true;
    const end = offset + lengthBytes;
    for (let at = offset; at < end && !this.overflowed; ) {
      if (this.length === this.bytes.length && !this.spill()) this.grow(1);
      const piece = Math.min(end - at, this.bytes.length - this.length);
      copyBytes(this.bytes, this.view, this.length, source, sourceView, at, piece);
      this.length += piece;
      at += piece;
    }
    this.crlf();
  }

  /** Copies in steps of four bytes up to three too many, which what follows overwrites. */
  private shortBulk(sourceView: DataView, offset: number, lengthBytes: number): void {
    const { view } = this;
    let at = this.length;
    if (lengthBytes < 10) {
      view.setInt32(at, 0x0a0d3024 + (lengthBytes << 8), true); // "$0\r\n"
      at += 4;
    } else {
      const tens = (lengthBytes / 10) | 0;
      view.setInt32(at, 0x0d303024 + (tens << 8) + ((lengthBytes - tens * 10) << 16), true); // "$00\r"
      view.setInt8(at + 4, LF);
      at += 5;
    }
    const end = at + lengthBytes;
    for (; at < end; at += 4, offset += 4) view.setInt32(at, sourceView.getInt32(offset, true), true);
    view.setInt16(end, 0x0a0d, true);
    this.length = end + 2;
  }

  bulkBuffer(source: Uint8Array): void {
    this.reserve(source.length + 32);
    this.header(Type.Bulk, source.length);
    this.bytes.set(source, this.length);
    this.length += source.length;
    this.crlf();
  }

  /** A bulk string of UTF-8. */
  bulkString(text: string): void {
    const length = text.length;
    let ascii = length < 256;
    for (let index = 0; ascii && index < length; index++) ascii = text.charCodeAt(index) < 0x80;
    if (!ascii) {
      this.bulkBuffer(textEncoder.encode(text));
      return;
    }
    this.reserve(length + 32);
    this.header(Type.Bulk, length);
    this.text(text);
    this.crlf();
  }

  bulkInteger(value: number): void {
    this.reserve(48);
    this.header(Type.Bulk, integerLength(value));
    this.length += writeInteger(this.bytes, this.length, value);
    this.crlf();
  }

  /** Bytes as they are. */
  raw(source: Uint8Array, offset: number, lengthBytes: number): void {
    this.reserve(lengthBytes);
    this.bytes.set(
      offset === 0 && lengthBytes === source.length ? source : source.subarray(offset, offset + lengthBytes),
      this.length,
    );
    this.length += lengthBytes;
  }

  /** A whole reply that is somewhere else. */
  rawCopy(source: Uint8Array, sourceView: DataView, offset: number, lengthBytes: number): void {
    this.reserve(lengthBytes + 4);
    copyBytes(this.bytes, this.view, this.length, source, sourceView, offset, lengthBytes);
    this.length += lengthBytes;
  }

  /** The next raw reply is an error, whose text begins at `offset`. */
  noteError(source: Uint8Array, offset: number): void {
    this.errors++;
    this.lastError = '';
    for (let at = offset; source[at] !== 0x20 && source[at] !== CR && at < source.length; at++) {
      this.lastError += String.fromCharCode(source[at]);
    }
  }

  /**
   * Starts an aggregate whose size is not known yet; `patchAggregate` with the returned position writes
   * its header once it is. At most one million elements.
   */
  reserveAggregate(): number {
    const position = this.hold();
    this.reserve(16);
    this.length += AGGREGATE_HEADER_BYTES;
    return position;
  }

  /** Writes the header of an array (`kind` array), map or set and closes the gap. */
  patchAggregate(position: number, kind: 'array' | 'map' | 'set', count: number): void {
    if (this.overflowed) return;
    const end = this.length;
    this.length = position;
    if (kind === 'array') this.array(count);
    else if (kind === 'map') this.map(count);
    else this.set(count);
    const bodyStart = position + AGGREGATE_HEADER_BYTES;
    this.bytes.copyWithin(this.length, bodyStart, end);
    this.length += end - bodyStart;
  }

  /** Inserts ASCII text at an earlier position. */
  insert(position: number, text: string): void {
    this.reserve(text.length);
    if (this.overflowed) return;
    this.bytes.copyWithin(position + text.length, position, this.length);
    for (let index = 0; index < text.length; index++) this.bytes[position + index] = text.charCodeAt(index);
    this.length += text.length;
  }

  crlf(): void {
    this.reserve(2);
    this.bytes[this.length++] = CR;
    this.bytes[this.length++] = LF;
  }

  private aggregate(type: Type, count: number): void {
    this.reserve(24);
    this.header(type, count);
  }

  private header(type: Type, value: number): void {
    const { bytes } = this;
    let at = this.length;
    bytes[at++] = type;
    if (value >= 0 && value < 1000) {
      // Nearly all lengths and counts.
      let rest = value | 0;
      if (rest >= 10) {
        if (rest >= 100) {
          const hundreds = (rest / 100) | 0;
          bytes[at++] = 0x30 + hundreds;
          rest -= hundreds * 100;
        }
        const tens = (rest / 10) | 0;
        bytes[at++] = 0x30 + tens;
        rest -= tens * 10;
      }
      bytes[at++] = 0x30 + rest;
    } else {
      at += writeInteger(bytes, at, value);
    }
    bytes[at] = CR;
    bytes[at + 1] = LF;
    this.length = at + 2;
  }

  private raw3(byte: number): void {
    this.reserve(3);
    this.bytes[this.length++] = byte;
    this.crlf();
  }

  private line(type: Type, text: string): void {
    this.reserve(text.length * 3 + 3);
    this.bytes[this.length++] = type;
    this.text(text);
    this.crlf();
  }

  private text(text: string): void {
    this.reserve(text.length * 3);
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      if (code >= 0x80) {
        this.length += textEncoder.encodeInto(text.slice(index), this.bytes.subarray(this.length)).written;
        return;
      }
      this.bytes[this.length++] = code;
    }
  }
}

const AGGREGATE_HEADER_BYTES = 13;
