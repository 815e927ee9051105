/** Commands as clients send them, arrays of bulk strings, into a buffer that grows. */

import { formatDouble17, integerLength, writeInteger } from '../memory/numbers.js';
import { copyBytes } from '../structures/copy.js';
import { ByteOutput } from './byte-output.js';

const ARRAY = 0x2a;
const BULK = 0x24;
const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;

/** Mark, a safe integer and the end of the line. */
const HEAD_BYTES_MAX = 20;

export class CommandOutput extends ByteOutput {
  /** Begins a command; `count` arguments follow. */
  command(name: string, count: number): void {
    this.head(ARRAY, count + 1);
    this.text(name);
  }

  /** An argument. */
  argument(source: Uint8Array, sourceView: DataView, offset: number, lengthBytes: number): void {
    this.reserve(HEAD_BYTES_MAX + lengthBytes + 2);
    this.head(BULK, lengthBytes);
    copyBytes(this.bytes, this.view, this.length, source, sourceView, offset, lengthBytes);
    this.length += lengthBytes;
    this.endLine();
  }

  /** An argument of ASCII text. */
  text(text: string): void {
    this.head(BULK, text.length);
    this.rawText(text);
    this.endLine();
  }

  /** A safe integer as an argument. */
  integer(value: number): void {
    this.head(BULK, integerLength(value));
    this.reserve(HEAD_BYTES_MAX);
    this.length += writeInteger(this.bytes, this.length, value);
    this.endLine();
  }

  /** A double as an argument, in a text that reads back as the same double. */
  double(value: number): void {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) this.integer(value);
    else this.text(formatDouble17(value));
  }

  private head(mark: number, count: number): void {
    this.reserve(HEAD_BYTES_MAX);
    this.bytes[this.length++] = mark;
    this.length += writeInteger(this.bytes, this.length, count);
    this.endLine();
  }

  private endLine(): void {
    this.reserve(2);
    const { bytes, length } = this;
    bytes[length] = CARRIAGE_RETURN;
    bytes[length + 1] = LINE_FEED;
    this.length = length + 2;
  }
}
