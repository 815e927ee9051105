/**
 * Reads a file of the append-only file as batches of commands.
 *
 *   *3 CRLF $3 CRLF SET CRLF $1 CRLF k CRLF $1 CRLF v CRLF     commands, as clients send them
 *   #TS:1700000000 CRLF                                          an annotation: what follows is not older
 *
 * A file may end in the middle of a command, where a crash has cut it, or within a transaction, whose commands then do
 * not count. So a transaction is only handed out if the file has its EXEC: it begins a new batch, and if it is longer
 * than that batch, the file is first searched for its EXEC. Anything else where a command should begin is an error with
 * its offset.
 */

import { ParseStatus, RequestParser } from '../protocol/request-parser.js';
import type { ByteSource } from '../system/files.js';

const BUFFER_BYTES = 1 << 20;
/** For a reader that only looks for the end of a transaction. */
const SEARCH_BUFFER_BYTES = 64 << 10;
/** A buffer that a long command has made larger than this is replaced afterwards. */
const KEEP_BYTES_MAX = 16 << 20;
/** Offsets in the buffer are int32. */
const COMMAND_BYTES_MAX = 2 ** 31 - 1;
const ANNOTATION_BYTES_MAX = 1024;
const HEADER_DIGITS_MAX = 10;
const HEADER_BYTES_MAX = 64;

const CR = 13;
const LF = 10;
const HASH = 0x23;
const DOLLAR = 0x24;
const ASTERISK = 0x2a;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;

/** Why there are no more commands. */
export const enum AofEnd {
  /** There may be more. */
  None = 0,
  /** The file ends where a command ends. */
  Complete = 1,
  /** The file ends within a command or a transaction, which begins at `offset`. */
  Cut = 2,
  /** At `offset` an annotation says that what follows is too new. */
  TooNew = 3,
}

/** What is wrong with a file, and where; without the file's name. */
export class AofError extends Error {}

export class AofInput {
  readonly parser = new RequestParser();
  bytes: Uint8Array;
  view: DataView;
  /** Commands of the batch: the first of those that the parser has. */
  commandCount = 0;
  end: AofEnd = AofEnd.None;
  /** The first annotation's time in seconds since the epoch, -1 if there was none yet, and the last one's. */
  firstTimestamp = -1;
  lastTimestamp = -1;
  private readonly source: ByteSource;
  private readonly untilSeconds: number;
  private readonly bufferBytes: number;
  /** Offset in the file of the buffer's first byte. */
  private bufferOffset: number;
  /** Index of the first byte that is not in the batch. */
  private position = 0;
  private batchStart = 0;
  private filled = 0;
  /** The batch, and with it the next one, is within a transaction whose end is in the file. */
  private inTransaction = false;
  private hasSeenEnd = false;

  /**
   * @param offset where the commands begin
   * @param untilSeconds reads up to the first annotation with a later time
   */
  constructor(source: ByteSource, offset = 0, untilSeconds = Infinity, bufferBytes = BUFFER_BYTES) {
    this.source = source;
    this.bufferOffset = offset;
    this.untilSeconds = untilSeconds;
    this.bufferBytes = bufferBytes;
    this.bytes = new Uint8Array(bufferBytes);
    this.view = new DataView(this.bytes.buffer);
    this.parser.acceptsInline = false;
    this.parser.maxBulkLengthBytes = COMMAND_BYTES_MAX;
  }

  /** Offset in the file of what comes after the batch; at the end, of what does not count any more. */
  get offset(): number {
    return this.bufferOffset + this.position;
  }

  /** Offset in the file of a command of the batch. */
  commandOffset(index: number): number {
    return this.bufferOffset + (index === 0 ? this.batchStart : this.parser.commandEnd[index - 1]);
  }

  /**
   * Reads the next batch; false if there is none, and `end` says why. Throws an AofError, or a system error. The bytes
   * of a batch stay until the next one is read.
   */
  next(): boolean {
    if (this.end !== AofEnd.None) return false;
    if (!this.parse()) return false;
    const open = this.lastOpenTransaction();
    if (open > 0) {
      this.commandCount = open;
      this.position = this.parser.commandEnd[open - 1];
    } else if (open === 0) {
      const end = this.endOfTransaction();
      if (end !== AofEnd.None) {
        this.end = end;
        this.commandCount = 0;
        this.position = this.batchStart;
        return false;
      }
      this.inTransaction = true;
    }
    return true;
  }

  /** Parses what comes next, filling the buffer as need be; false at the end. */
  private parse(): boolean {
    const { parser } = this;
    for (;;) {
      if (this.position === this.filled && !this.fill(1)) return this.finish(AofEnd.Complete);
      const first = this.bytes[this.position];
      if (first === HASH) {
        if (!this.annotation()) return false;
        continue;
      }
      if (first !== ASTERISK) this.fail('neither a command nor an annotation');
      parser.parse(this.bytes, this.position, this.filled, null);
      if (parser.commandCount > 0) {
        this.batchStart = this.position;
        this.commandCount = parser.commandCount;
        // A request without arguments may have ended the batch: it comes next.
        this.position = parser.commandEnd[parser.commandCount - 1];
        this.checkEnds();
        return true;
      }
      if (parser.endsWithEmpty) this.fail('a command without a name');
      if (parser.status === ParseStatus.ProtocolError) this.fail(parser.errorText);
      if (this.fill(this.filled - this.position + parser.bytesNeeded)) continue;
      this.fill(
        Math.min(this.source.lengthBytes - this.offset, this.filled - this.position + HEADER_BYTES_MAX),
      );
      if (!this.isCutCommand()) this.fail('no command');
      return this.finish(AofEnd.Cut);
    }
  }

  private finish(end: AofEnd): false {
    this.end = end;
    this.commandCount = 0;
    return false;
  }

  private fail(problem: string, offset = this.offset): never {
    throw new AofError(`${problem} at offset ${offset}`);
  }

  /**
   * Makes `lengthBytes` bytes, or more, available from `position` on. False if the file has fewer; if its length shows
   * that already, nothing is read.
   */
  private fill(lengthBytes: number): boolean {
    const { source } = this;
    if (lengthBytes > source.lengthBytes - this.offset) return false;
    if (lengthBytes > COMMAND_BYTES_MAX) this.fail('a command of more than 2 GiB');
    const left = this.filled - this.position;
    if (
      lengthBytes > this.bytes.length ||
      (this.bytes.length > KEEP_BYTES_MAX && lengthBytes < BUFFER_BYTES)
    ) {
      const room =
        lengthBytes <= this.bufferBytes
          ? this.bufferBytes
          : Math.min(Math.max(lengthBytes, 2 * left), COMMAND_BYTES_MAX);
      const other = new Uint8Array(room);
      other.set(this.bytes.subarray(this.position, this.filled));
      this.bytes = other;
      this.view = new DataView(other.buffer);
    } else {
      this.bytes.copyWithin(0, this.position, this.filled);
    }
    this.bufferOffset += this.position;
    this.position = 0;
    this.filled = left;
    while (this.filled < lengthBytes) {
      const room = this.bytes.length - this.filled;
      const count = source.read(this.bytes, this.filled, room, this.bufferOffset + this.filled);
      if (count === 0) return false;
      this.filled += count;
    }
    return true;
  }

  /** Passes over an annotation; false if it is cut, or says that what follows is too new. */
  private annotation(): boolean {
    let lineEnd = this.bytes.subarray(0, this.filled).indexOf(LF, this.position);
    while (lineEnd < 0) {
      const length = this.filled - this.position;
      if (length > ANNOTATION_BYTES_MAX) this.fail('an annotation that is too long');
      if (!this.fill(length + 1)) return this.finish(AofEnd.Cut);
      lineEnd = this.bytes.subarray(0, this.filled).indexOf(LF, this.position);
    }
    const line = Buffer.from(this.bytes.buffer, this.position, lineEnd - this.position).toString('latin1');
    const seconds = /^#TS:(\d{1,15})\r?$/.exec(line)?.[1];
    if (seconds !== undefined) {
      if (Number(seconds) > this.untilSeconds) return this.finish(AofEnd.TooNew);
      this.lastTimestamp = Number(seconds);
      if (this.firstTimestamp < 0) this.firstTimestamp = this.lastTimestamp;
    }
    this.position = lineEnd + 1;
    return true;
  }

  /** The parser trusts the lengths; a wrong one shows here, if no CR LF follows an argument. */
  private checkEnds(): void {
    const { bytes, parser, commandCount } = this;
    const { args, commandArgStart, commandArgCount } = parser;
    for (let index = 0; index < commandCount; index++) {
      const start = 2 * commandArgStart[index];
      const end = start + 2 * commandArgCount[index];
      for (let at = start; at < end; at += 2) {
        const after = args[at] + args[at + 1];
        if (bytes[after] !== CR || bytes[after + 1] !== LF) {
          this.fail('an argument that does not end with a line', this.bufferOffset + after);
        }
      }
    }
  }

  /**
   * Follows the transactions of the batch. Returns the command that begins one which does not end in it, -1 if there
   * is none.
   */
  private lastOpenTransaction(): number {
    const { parser, commandCount } = this;
    let open = -1;
    for (let index = 0; index < commandCount; index++) {
      if (parser.commandArgCount[index] !== 1) continue;
      if (this.isWord(index, 'MULTI')) {
        if (!this.inTransaction && open < 0) open = index;
      } else if (this.isWord(index, 'EXEC')) {
        this.inTransaction = false;
        this.hasSeenEnd = true;
        open = -1;
      }
    }
    return open;
  }

  private isWord(index: number, word: string): boolean {
    const { bytes, parser } = this;
    const pair = 2 * parser.commandArgStart[index];
    const offset = parser.args[pair];
    if (parser.args[pair + 1] !== word.length) return false;
    for (let at = 0; at < word.length; at++) {
      if ((bytes[offset + at] & ~0x20) !== word.charCodeAt(at)) return false;
    }
    return true;
  }

  /** Searches the end of the transaction that begins the batch. Returns None, or what comes before it. */
  private endOfTransaction(): AofEnd {
    const search = new AofInput(this.source, this.offset, this.untilSeconds, SEARCH_BUFFER_BYTES);
    search.inTransaction = true;
    while (!search.hasSeenEnd) {
      if (!search.next()) return search.end === AofEnd.TooNew ? AofEnd.TooNew : AofEnd.Cut;
    }
    return AofEnd.None;
  }

  /** Whether the rest of the file, which is no whole command, is the beginning of one. */
  private isCutCommand(): boolean {
    const { bytes, filled } = this;
    const argCount = this.headerNumber(this.position, ASTERISK);
    if (argCount === -1) return true;
    if (argCount < 1) return false;
    let at = this.headerEnd;
    for (let arg = 0; arg < argCount && at < filled; arg++) {
      const lengthBytes = this.headerNumber(at, DOLLAR);
      if (lengthBytes === -1) return true;
      if (lengthBytes < 0) return false;
      at = this.headerEnd + lengthBytes;
      if (at < filled && bytes[at] !== CR) return false;
      if (at + 1 < filled && bytes[at + 1] !== LF) return false;
      at += 2;
    }
    return true;
  }

  /** After `headerNumber`: the index after the header. */
  private headerEnd = 0;

  /** Reads a header that may be cut. Returns its number, -1 if it is cut, -2 if it is none. */
  private headerNumber(start: number, type: number): number {
    const { bytes, filled } = this;
    if (bytes[start] !== type) return -2;
    let at = start + 1;
    let number = 0;
    while (at < filled && bytes[at] >= DIGIT_0 && bytes[at] <= DIGIT_9) {
      number = number * 10 + bytes[at++] - DIGIT_0;
      if (at - start > HEADER_DIGITS_MAX + 1) return -2;
    }
    if (at === filled) return -1;
    if (at === start + 1 || bytes[at] !== CR) return -2;
    if (at + 1 === filled) return -1;
    if (bytes[at + 1] !== LF) return -2;
    this.headerEnd = at + 2;
    return number;
  }
}
