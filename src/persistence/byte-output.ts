/** Collects bytes in a buffer that grows. Subclasses add the encodings of their forms. */

import { copyBytes } from '../structures/copy.js';

const INITIAL_BYTES = 4096;

/** Output for a file is written to it in pieces of at least this size. */
export const FLUSH_BYTES = 256 * 1024;

export class ByteOutput {
  bytes: Uint8Array;
  view: DataView;
  length = 0;

  constructor(initialBytes = INITIAL_BYTES) {
    this.bytes = new Uint8Array(initialBytes);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Makes room for `lengthBytes` more bytes. */
  reserve(lengthBytes: number): void {
    const needed = this.length + lengthBytes;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, Math.min(2 * this.bytes.length, needed + (64 << 20))));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** Bytes as they are. */
  raw(source: Uint8Array, sourceView: DataView, offset: number, lengthBytes: number): void {
    this.reserve(lengthBytes);
    copyBytes(this.bytes, this.view, this.length, source, sourceView, offset, lengthBytes);
    this.length += lengthBytes;
  }

  /** ASCII text as it is. */
  rawText(text: string): void {
    this.reserve(text.length);
    for (let at = 0; at < text.length; at++) this.bytes[this.length++] = text.charCodeAt(at);
  }
}
