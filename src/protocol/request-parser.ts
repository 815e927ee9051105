/**
 * The request parser: RESP arrays of bulk strings and inline commands, in place and in batches.
 *
 * An argument is a pair [offset, length] into the bytes that were read; nothing is copied or decoded. All
 * complete commands of a read are parsed before the first one runs (up to MAX_BATCH_COMMANDS), so that
 * the executor can look ahead over the batch.
 *
 * A command that arrives in pieces is resumed, not parsed again: a ParseState remembers how far it got, with
 * offsets relative to the command's start, since the connection may move the bytes meanwhile.
 */

export const enum ParseStatus {
  /** All input was consumed, or the batch is full. */
  Complete = 0,
  /** The input ends within a command. */
  NeedMore = 1,
  ProtocolError = 2,
}

export const MAX_BATCH_COMMANDS = 128;

const INLINE_BYTES_MAX = 64 * 1024;
const ARGUMENTS_MAX = 2147483647;
const UNAUTHENTICATED_ARGUMENTS_MAX = 10;
const UNAUTHENTICATED_BULK_BYTES_MAX = 16384;
/** A batch ends once it has so many arguments, so that `args` stays in the cache. */
const BATCH_ARGUMENTS_MAX = 1024;
/** If `args` has grown beyond this, its memory is given back after use. */
const ARGUMENTS_KEPT_MAX = 512 * 1024;
/** The shortest bulk string, "$0 CR LF CR LF", and the shortest command made of one. */
const SHORT_BULK_BYTES_MIN = 6;
const SHORT_COMMAND_BYTES_MIN = 4 + SHORT_BULK_BYTES_MIN;

const CR = 13;
const LF = 10;
const TAB = 9;
const ASTERISK = 0x2a;
const DOLLAR = 0x24;
const DIGIT_0 = 0x30;
const INT64_LIMIT = 2 ** 63;

/** How far a command that is not complete has been parsed. One per connection, only while it is needed. */
export class ParseState {
  /** Arguments of the command, 0 if its header has not been read. */
  argCount = 0;
  /** Arguments complete so far. */
  argsDone = 0;
  /** Where to go on, relative to the command's first byte. */
  resumeAt = 0;
  /** Pairs [offset relative to the command's first byte, length]. */
  args = new Int32Array(32);

  /** Makes room for so many arguments, keeping those that are done. */
  reserve(args: number): void {
    let capacity = this.args.length;
    while (capacity < 2 * args) capacity *= 2;
    if (capacity === this.args.length) return;
    const larger = new Int32Array(capacity);
    larger.set(this.args);
    this.args = larger;
  }

  clear(): void {
    this.argCount = 0;
    this.argsDone = 0;
    this.resumeAt = 0;
    if (this.args.length > 4096) this.args = new Int32Array(32);
  }
}

export class RequestParser {
  args = new Int32Array(BATCH_ARGUMENTS_MAX * 4);
  readonly commandArgStart = new Int32Array(MAX_BATCH_COMMANDS);
  readonly commandArgCount = new Int32Array(MAX_BATCH_COMMANDS);
  /** Offset of the first byte after each command. */
  readonly commandEnd = new Int32Array(MAX_BATCH_COMMANDS);
  commandCount = 0;
  /** The batch ends with a request without a single argument, which is no command but ends CLIENT REPLY SKIP. */
  endsWithEmpty = false;
  status: ParseStatus = ParseStatus.Complete;
  errorText = '';
  /** With NeedMore: how many more bytes the command needs at least. */
  bytesNeeded = 0;
  maxBulkLengthBytes = 512 * 1024 * 1024;
  authenticated = true;
  /** Off: a batch ends before anything that does not begin as an array, as in a log of commands. */
  acceptsInline = true;

  private pairs = 0;
  private number = 0;

  /**
   * Parses the commands in bytes[start, end). Returns the offset of the first byte not consumed: with
   * NeedMore the start of the command that is cut. `state` belongs to the connection; null means that
   * the connection has none yet, and a cut command is then parsed anew.
   */
  parse(bytes: Uint8Array, start: number, end: number, state: ParseState | null): number {
    this.commandCount = 0;
    this.pairs = 0;
    this.endsWithEmpty = false;
    this.status = ParseStatus.Complete;
    this.bytesNeeded = 0;
    let position = start;
    if (state !== null && state.argCount > 0) {
      const next = this.resumeMultibulk(bytes, start, end, state);
      if (next < 0) return start;
      position = next;
      this.addCommand(0, next);
    }
    while (position < end) {
      if (this.commandCount === MAX_BATCH_COMMANDS || this.pairs >= BATCH_ARGUMENTS_MAX) break;
      const first = this.pairs;
      const isInline = bytes[position] !== ASTERISK;
      if (isInline && !this.acceptsInline) break;
      let next = -1;
      if (!isInline) next = this.parseShort(bytes, position, end);
      if (next < 0) {
        next = isInline
          ? this.parseInline(bytes, position, end)
          : this.parseMultibulk(bytes, position, end, state);
        if (next < 0) {
          this.pairs = first;
          break;
        }
      }
      position = next;
      if (this.pairs > first) this.addCommand(first, next);
      else this.endsWithEmpty = true;
      // Its bytes may have been changed in place, so an inline command ends the batch: what follows in a
      // batch can then always be parsed again.
      if (isInline || this.endsWithEmpty) break;
    }
    return position;
  }

  private addCommand(firstPair: number, end: number): void {
    const index = this.commandCount++;
    this.commandEnd[index] = end;
    this.commandArgStart[index] = firstPair;
    this.commandArgCount[index] = this.pairs - firstPair;
  }

  /**
   * Parses what nearly all commands are: complete, fewer than ten arguments, each shorter than 1000 bytes.
   * Anything else gives -1 and is left to `parseMultibulk`. None of the limits can be reached here.
   */
  private parseShort(bytes: Uint8Array, start: number, end: number): number {
    if (end - start < SHORT_COMMAND_BYTES_MIN) return -1;
    const argCount = bytes[start + 1] - DIGIT_0;
    if (argCount < 1 || argCount > 9 || bytes[start + 2] !== CR) return -1;
    const { args } = this;
    let at = start + 4;
    let slot = this.pairs << 1;
    const slotEnd = slot + (argCount << 1);
    while (slot < slotEnd) {
      if (at + SHORT_BULK_BYTES_MIN > end || bytes[at] !== DOLLAR) return -1;
      let lengthBytes = bytes[at + 1] - DIGIT_0;
      if (lengthBytes < 0 || lengthBytes > 9) return -1;
      at += 2;
      if (bytes[at] !== CR) {
        let digit = bytes[at++] - DIGIT_0;
        if (digit < 0 || digit > 9 || lengthBytes === 0) return -1;
        lengthBytes = lengthBytes * 10 + digit;
        if (bytes[at] !== CR) {
          digit = bytes[at++] - DIGIT_0;
          if (digit < 0 || digit > 9 || bytes[at] !== CR) return -1;
          lengthBytes = lengthBytes * 10 + digit;
        }
      }
      at += 2;
      args[slot] = at;
      args[slot + 1] = lengthBytes;
      slot += 2;
      at += lengthBytes + 2;
      if (at > end) return -1;
    }
    this.pairs += argCount;
    return at;
  }

  private fail(text: string): number {
    this.status = ParseStatus.ProtocolError;
    this.errorText = `Protocol error: ${text}`;
    return -1;
  }

  private needMore(bytesNeeded: number): number {
    this.status = ParseStatus.NeedMore;
    this.bytesNeeded = bytesNeeded;
    return -1;
  }

  /**
   * Reads the decimal number after the type byte at `position` into `number`. Returns the offset after its
   * CR LF, -1 if the line is not complete, -2 if it is not a number.
   */
  private readLength(bytes: Uint8Array, position: number, end: number): number {
    let at = position + 1;
    let value = 0;
    let digits = 0;
    const negative = at < end && bytes[at] === 0x2d;
    if (negative) at++;
    for (; at < end; at++) {
      const digit = bytes[at] - DIGIT_0;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      digits++;
    }
    if (at + 1 >= end) {
      // Not complete, unless what is there can't become a number any more.
      if (at < end && bytes[at] !== CR && this.findCr(bytes, at, end) >= 0) return -2;
      return -1;
    }
    if (bytes[at] !== CR) return this.findCr(bytes, at, end) >= 0 ? -2 : -1;
    if (digits === 0 || value > INT64_LIMIT) return -2;
    if (digits > 1 && bytes[position + (negative ? 2 : 1)] === DIGIT_0) return -2;
    if (negative && value === 0) return -2;
    this.number = negative ? -value : value;
    return at + 2;
  }

  /**
   * Finds a CR that is not the last byte. A NUL byte hides what is behind it: a header line with one
   * is never complete and ends with the size limit, as in Redis.
   */
  private findCr(bytes: Uint8Array, from: number, end: number): number {
    for (let at = from; at + 1 < end && bytes[at] !== 0; at++) if (bytes[at] === CR) return at;
    return -1;
  }

  private parseMultibulk(bytes: Uint8Array, start: number, end: number, state: ParseState | null): number {
    let position = this.readLength(bytes, start, end);
    if (position === -1) {
      if (end - start > INLINE_BYTES_MAX) return this.fail('too big mbulk count string');
      return this.needMore(1);
    }
    const argCount = this.number;
    if (position === -2 || argCount > ARGUMENTS_MAX) return this.fail('invalid multibulk length');
    if (argCount > UNAUTHENTICATED_ARGUMENTS_MAX && !this.authenticated) {
      return this.fail('unauthenticated multibulk length');
    }
    if (argCount <= 0) return position;
    const first = this.pairs;
    for (let done = 0; done < argCount; done++) {
      const next = this.readBulk(bytes, position, end);
      if (next < 0) {
        if (state !== null && this.status === ParseStatus.NeedMore) {
          state.reserve(done);
          for (let index = 0; index < done; index++) {
            state.args[2 * index] = this.args[2 * (first + index)] - start;
            state.args[2 * index + 1] = this.args[2 * (first + index) + 1];
          }
          state.argCount = argCount;
          state.argsDone = done;
          state.resumeAt = position - start;
        }
        return -1;
      }
      this.pairs = first + done;
      if (2 * this.pairs >= this.args.length) this.reserve(1);
      this.args[2 * this.pairs] = next - this.number - 2;
      this.args[2 * this.pairs + 1] = this.number;
      position = next;
    }
    this.pairs = first + argCount;
    return position;
  }

  /**
   * Goes on with a command that was cut. Its arguments are gathered in the state and copied once it is
   * complete, so that a command of very many pieces takes linear time.
   */
  private resumeMultibulk(bytes: Uint8Array, start: number, end: number, state: ParseState): number {
    let position = start + state.resumeAt;
    const { argCount } = state;
    while (state.argsDone < argCount) {
      const next = this.readBulk(bytes, position, end);
      if (next < 0) {
        state.resumeAt = position - start;
        return -1;
      }
      const index = state.argsDone++;
      if (2 * index >= state.args.length) state.reserve(index + 1);
      state.args[2 * index] = next - this.number - 2 - start;
      state.args[2 * index + 1] = this.number;
      position = next;
    }
    this.reserve(argCount);
    const { args } = this;
    for (let slot = 0; slot < 2 * argCount; slot += 2) {
      args[slot] = start + state.args[slot];
      args[slot + 1] = state.args[slot + 1];
    }
    this.pairs = argCount;
    state.clear();
    return position;
  }

  /**
   * Reads one argument; its length is left in `number`. Returns the offset after it, or -1 with `status`
   * saying why.
   */
  private readBulk(bytes: Uint8Array, bulkStart: number, end: number): number {
    if (bulkStart >= end) return this.needMore(4);
    let dataStart = -1;
    if (bytes[bulkStart] !== DOLLAR) {
      // The whole line must be there before it is judged.
      if (this.findCr(bytes, bulkStart, end) >= 0) {
        return this.fail(`expected '$', got '${String.fromCharCode(bytes[bulkStart])}'`);
      }
    } else {
      dataStart = this.readLength(bytes, bulkStart, end);
    }
    if (dataStart === -1) {
      if (end - bulkStart > INLINE_BYTES_MAX) return this.fail('too big bulk count string');
      return this.needMore(1);
    }
    const lengthBytes = this.number;
    if (dataStart === -2 || lengthBytes < 0 || lengthBytes > this.maxBulkLengthBytes) {
      return this.fail('invalid bulk length');
    }
    if (lengthBytes > UNAUTHENTICATED_BULK_BYTES_MAX && !this.authenticated) {
      return this.fail('unauthenticated bulk length');
    }
    const after = dataStart + lengthBytes + 2;
    return after > end ? this.needMore(after - end) : after;
  }

  /** Makes room in `args` for `pairs` more pairs. */
  private reserve(pairs: number): void {
    const wanted = 2 * (this.pairs + pairs);
    if (wanted <= this.args.length) return;
    let capacity = this.args.length;
    while (capacity < wanted) capacity *= 2;
    const larger = new Int32Array(capacity);
    larger.set(this.args);
    this.args = larger;
  }

  /** Gives back the memory of a command with very many arguments. */
  shrink(): void {
    if (this.args.length > 2 * ARGUMENTS_KEPT_MAX) this.args = new Int32Array(BATCH_ARGUMENTS_MAX * 4);
  }

  /** An inline command: words separated by spaces, with quotes; escapes are resolved in place. */
  private parseInline(bytes: Uint8Array, start: number, end: number): number {
    let lineEnd = start;
    // A NUL byte hides what is behind it: such a line never ends, as in Redis.
    while (lineEnd < end && bytes[lineEnd] !== LF && bytes[lineEnd] !== 0) lineEnd++;
    if (lineEnd === end || bytes[lineEnd] === 0) {
      if (end - start > INLINE_BYTES_MAX) return this.fail('too big inline request');
      return this.needMore(1);
    }
    const next = lineEnd + 1;
    if (lineEnd > start && bytes[lineEnd - 1] === CR) lineEnd--;
    let count = 0;
    let at = start;
    for (;;) {
      while (at < lineEnd && isSpace(bytes[at])) at++;
      if (at >= lineEnd) break;
      this.reserve(count + 1);
      const argStart = at;
      let write = at;
      let quote = 0;
      for (; at < lineEnd; at++) {
        let byte = bytes[at];
        if (quote === 0) {
          if (byte === 0x20 || byte === CR || byte === TAB) break;
          if (byte === 0x22 || byte === 0x27) {
            quote = byte;
            continue;
          }
        } else if (byte === quote) {
          // A closing quote must be followed by a space or by nothing.
          if (at + 1 < lineEnd && !isSpace(bytes[at + 1])) return this.fail('unbalanced quotes in request');
          quote = 0;
          at++;
          break;
        } else if (byte === 0x5c && at + 1 < lineEnd) {
          if (quote === 0x22) {
            if (
              bytes[at + 1] === 0x78 &&
              at + 3 < lineEnd &&
              hexValue(bytes[at + 2]) >= 0 &&
              hexValue(bytes[at + 3]) >= 0
            ) {
              byte = hexValue(bytes[at + 2]) * 16 + hexValue(bytes[at + 3]);
              at += 3;
            } else {
              at++;
              byte = escapedByte(bytes[at]);
            }
          } else if (bytes[at + 1] === 0x27) {
            at++;
            byte = 0x27;
          }
        }
        bytes[write++] = byte;
      }
      if (quote !== 0) return this.fail('unbalanced quotes in request');
      this.args[2 * (this.pairs + count)] = argStart;
      this.args[2 * (this.pairs + count) + 1] = write - argStart;
      count++;
    }
    this.pairs += count;
    return next;
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 9 && byte <= 13);
}

function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function escapedByte(byte: number): number {
  switch (byte) {
    case 0x6e:
      return 10;
    case 0x72:
      return 13;
    case 0x74:
      return 9;
    case 0x62:
      return 8;
    case 0x61:
      return 7;
    default:
      return byte;
  }
}
