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
const ARGUMENTS_MAX = 1024 * 1024;
const UNAUTHENTICATED_ARGUMENTS_MAX = 10;
const UNAUTHENTICATED_BULK_BYTES_MAX = 16384;
/** A batch ends once it holds so many arguments, so that `args` stays in the cache. */
const BATCH_ARGUMENTS_MAX = 1024;

const CR = 13;
const LF = 10;
const ASTERISK = 0x2a;
const DOLLAR = 0x24;
const DIGIT_0 = 0x30;

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
  status: ParseStatus = ParseStatus.Complete;
  errorText = '';
  /** With NeedMore: how many more bytes the command needs at least. */
  bytesNeeded = 0;
  maxBulkLengthBytes = 512 * 1024 * 1024;
  authenticated = true;

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
    this.status = ParseStatus.Complete;
    this.bytesNeeded = 0;
    let position = start;
    while (position < end) {
      if (this.commandCount === MAX_BATCH_COMMANDS || this.pairs >= BATCH_ARGUMENTS_MAX) break;
      const first = this.pairs;
      const next =
        bytes[position] === ASTERISK
          ? this.parseMultibulk(bytes, position, end, state)
          : this.parseInline(bytes, position, end);
      if (next < 0) {
        this.pairs = first;
        break;
      }
      const isInline = bytes[position] !== ASTERISK;
      position = next;
      if (this.pairs > first) {
        this.commandEnd[this.commandCount] = next;
        this.commandArgStart[this.commandCount] = first;
        this.commandArgCount[this.commandCount] = this.pairs - first;
        this.commandCount++;
      }
      // Its bytes may have been changed in place, so an inline command ends the batch: what follows in a
      // batch can then always be parsed again.
      if (isInline) break;
    }
    return position;
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
    if (digits === 0 || digits > 19) return -2;
    if (digits > 1 && bytes[position + (negative ? 2 : 1)] === DIGIT_0) return -2;
    if (negative && value === 0) return -2;
    this.number = negative ? -value : value;
    return at + 2;
  }

  private findCr(bytes: Uint8Array, from: number, end: number): number {
    for (let at = from; at + 1 < end; at++) if (bytes[at] === CR) return at;
    return -1;
  }

  private parseMultibulk(bytes: Uint8Array, start: number, end: number, state: ParseState | null): number {
    let position: number;
    let argCount: number;
    let done = 0;
    if (state !== null && state.argCount > 0) {
      argCount = state.argCount;
      done = state.argsDone;
      position = start + state.resumeAt;
      this.reserve(done);
      for (let index = 0; index < done; index++) {
        this.args[2 * (this.pairs + index)] = start + state.args[2 * index];
        this.args[2 * (this.pairs + index) + 1] = state.args[2 * index + 1];
      }
    } else {
      position = this.readLength(bytes, start, end);
      if (position === -1) {
        if (end - start > INLINE_BYTES_MAX) return this.fail('too big mbulk count string');
        return this.needMore(1);
      }
      if (position === -2 || this.number > 2147483647) return this.fail('invalid multibulk length');
      argCount = this.number;
      if (argCount > UNAUTHENTICATED_ARGUMENTS_MAX && !this.authenticated) {
        return this.fail('unauthenticated multibulk length');
      }
      if (argCount <= 0) return position;
    }
    if (this.pairs + done >= this.args.length >> 1) this.reserve(done + 1);
    for (; done < argCount; done++) {
      const bulkStart = position;
      if (bulkStart >= end) return this.suspend(state, start, argCount, done, bulkStart, 4);
      if (bytes[bulkStart] !== DOLLAR) {
        const found = bytes[bulkStart];
        // The whole line must be there before it is judged.
        if (this.findCr(bytes, bulkStart, end) < 0) {
          if (end - bulkStart > INLINE_BYTES_MAX) return this.fail('too big bulk count string');
          return this.suspend(state, start, argCount, done, bulkStart, 1);
        }
        return this.fail(`expected '$', got '${String.fromCharCode(found)}'`);
      }
      position = this.readLength(bytes, bulkStart, end);
      if (position === -1) {
        if (end - bulkStart > INLINE_BYTES_MAX) return this.fail('too big bulk count string');
        return this.suspend(state, start, argCount, done, bulkStart, 1);
      }
      const lengthBytes = this.number;
      if (position === -2 || lengthBytes < 0 || lengthBytes > this.maxBulkLengthBytes) {
        return this.fail('invalid bulk length');
      }
      if (lengthBytes > UNAUTHENTICATED_BULK_BYTES_MAX && !this.authenticated) {
        return this.fail('unauthenticated bulk length');
      }
      const after = position + lengthBytes + 2;
      if (after > end) return this.suspend(state, start, argCount, done, bulkStart, after - end);
      const pair = 2 * (this.pairs + done);
      if (pair >= this.args.length) this.reserve(done + 1);
      this.args[pair] = position;
      this.args[pair + 1] = lengthBytes;
      position = after;
    }
    this.pairs += argCount;
    if (state !== null && state.argCount > 0) state.clear();
    return position;
  }

  private suspend(
    state: ParseState | null,
    start: number,
    argCount: number,
    done: number,
    resumeAt: number,
    bytesNeeded: number,
  ): number {
    if (state !== null) {
      const known = state.argCount > 0 ? state.argsDone : 0;
      if (state.args.length < 2 * done) {
        let capacity = state.args.length;
        while (capacity < 2 * done) capacity *= 2;
        const larger = new Int32Array(capacity);
        larger.set(state.args.subarray(0, 2 * known));
        state.args = larger;
      }
      for (let index = known; index < done; index++) {
        state.args[2 * index] = this.args[2 * (this.pairs + index)] - start;
        state.args[2 * index + 1] = this.args[2 * (this.pairs + index) + 1];
      }
      state.argCount = argCount;
      state.argsDone = done;
      state.resumeAt = resumeAt - start;
    }
    return this.needMore(bytesNeeded);
  }

  /** Makes room in `args` for so many more pairs. */
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
    if (this.args.length > ARGUMENTS_MAX) this.args = new Int32Array(BATCH_ARGUMENTS_MAX * 4);
  }

  /** An inline command: words separated by spaces, with quotes; escapes are resolved in place. */
  private parseInline(bytes: Uint8Array, start: number, end: number): number {
    let lineEnd = start;
    while (lineEnd < end && bytes[lineEnd] !== LF) lineEnd++;
    if (lineEnd === end) {
      if (end - start > INLINE_BYTES_MAX) return this.fail('too big inline request');
      return this.needMore(1);
    }
    const next = lineEnd + 1;
    if (lineEnd > start && bytes[lineEnd - 1] === CR) lineEnd--;
    let count = 0;
    let at = start;
    for (;;) {
      while (at < lineEnd && isSpace(bytes[at])) at++;
      if (at >= lineEnd || bytes[at] === 0) break;
      this.reserve(count + 1);
      const argStart = at;
      let write = at;
      let quote = 0;
      for (; at < lineEnd; at++) {
        let byte = bytes[at];
        if (quote === 0) {
          if (isSpace(byte) || byte === 0) break;
          if (byte === 0x22 || byte === 0x27) {
            quote = byte;
            continue;
          }
        } else if (byte === quote) {
          // A closing quote must be followed by a space or by nothing.
          if (at + 1 < lineEnd && !isSpace(bytes[at + 1])) return this.fail('unbalanced quotes in request');
          quote = 0;
          continue;
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
