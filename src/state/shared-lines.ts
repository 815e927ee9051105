/**
 * Lines of text that all threads share, as a log of changes: a thread that changes something appends lines, and each
 * thread reads the lines that are new to it. From time to time the log is rewritten; then all threads read all of it.
 *
 *   int32 words   0 lock   1 version   2 length of the text in bytes   3 how often it was written anew
 *                 4 length of what was written then
 *   bytes 64...   UTF-8 text, each line with a line feed
 */

import { Attention, type HeededBlock } from '../memory/attention.js';
import { acquireLock, releaseLock } from '../memory/lock.js';

const enum Word {
  Lock = 0,
  Version = 1,
  LengthBytes = 2,
  Epoch = 3,
  BaseBytes = 4,
}

const TEXT_OFFSET = 64;
/** With less than this of changes, rewriting the log is not worth it. */
const CHANGES_BYTES_MIN = 256 * 1024;

/** What a thread has to take over. */
export interface NewLines {
  /** Whether `lines` is everything, rather than only what is new to the thread. */
  readonly isAll: boolean;
  readonly lines: readonly string[];
}

export class SharedLines {
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly attention: Attention;
  // What this thread has read.
  private readVersion = 0;
  private readEpoch = 0;
  private readBytes = 0;

  constructor({ block, attention }: HeededBlock) {
    this.words = new Int32Array(block);
    this.bytes = new Uint8Array(block);
    this.attention = new Attention(attention);
  }

  /** Only what is used takes memory. */
  static create(textBytesMax: number, attention: SharedArrayBuffer): HeededBlock {
    return { block: new SharedArrayBuffer(TEXT_OFFSET + textBytesMax), attention };
  }

  /** The version that this thread has read. */
  get version(): number {
    return this.readVersion;
  }

  /** The lines that are new to this thread; null if there are none, which costs one load. */
  read(): NewLines | null {
    if (Atomics.load(this.words, Word.Version) === this.readVersion) return null;
    acquireLock(this.words, Word.Lock);
    const lines = this.readLocked();
    releaseLock(this.words, Word.Lock);
    return lines;
  }

  /** All lines, whether or not this thread has read them. */
  readAgain(): NewLines {
    acquireLock(this.words, Word.Lock);
    this.readEpoch = -1;
    const lines = this.readLocked();
    releaseLock(this.words, Word.Lock);
    return lines;
  }

  private readLocked(): NewLines {
    const { words, bytes } = this;
    const isAll = words[Word.Epoch] !== this.readEpoch;
    const start = TEXT_OFFSET + (isAll ? 0 : this.readBytes);
    this.readVersion = words[Word.Version];
    this.readEpoch = words[Word.Epoch];
    this.readBytes = words[Word.LengthBytes];
    const text = new TextDecoder().decode(bytes.slice(start, TEXT_OFFSET + this.readBytes));
    return { isAll, lines: text === '' ? [] : text.slice(0, -1).split('\n') };
  }

  /** Replaces all lines. Returns false, with nothing done, if there is no room. */
  replace(lines: readonly string[]): boolean {
    acquireLock(this.words, Word.Lock);
    const isDone = this.replaceLocked(lines);
    releaseLock(this.words, Word.Lock);
    return isDone;
  }

  private replaceLocked(lines: readonly string[]): boolean {
    const { words } = this;
    if (!this.write(0, lines)) return false;
    words[Word.BaseBytes] = words[Word.LengthBytes];
    Atomics.add(words, Word.Epoch, 1);
    this.noteWritten();
    return true;
  }

  /** Increments the version, and marks what this thread has just written as read. */
  private noteWritten(): void {
    const { words } = this;
    this.readVersion = Atomics.add(words, Word.Version, 1) + 1;
    this.readEpoch = words[Word.Epoch];
    this.readBytes = words[Word.LengthBytes];
    this.attention.raiseAll();
  }

  private write(position: number, lines: readonly string[]): boolean {
    const encoded = new TextEncoder().encode(lines.map((line) => `${line}\n`).join(''));
    const end = position + encoded.length;
    if (TEXT_OFFSET + end > this.bytes.length) return false;
    this.bytes.set(encoded, TEXT_OFFSET + position);
    this.words[Word.LengthBytes] = end;
    return true;
  }

  /**
   * Changes the text under the lock. `takeOver` gets the lines that are new to this thread, if any; `change` then
   * returns the lines to append, or null for none; `all` returns all lines, if the log is to be rewritten. None may
   * throw. Returns false if there is no room: this thread's change is then not known to the others.
   */
  update(
    takeOver: (news: NewLines) => void,
    change: () => readonly string[] | null,
    all: () => readonly string[],
  ): boolean {
    const { words } = this;
    acquireLock(words, Word.Lock);
    if (words[Word.Version] !== this.readVersion) takeOver(this.readLocked());
    const lines = change();
    let isDone = true;
    if (lines !== null) {
      const position = words[Word.LengthBytes];
      const isLong = position > 2 * words[Word.BaseBytes] + CHANGES_BYTES_MIN;
      if (!isLong && this.write(position, lines)) this.noteWritten();
      else isDone = this.replaceLocked(all());
    }
    releaseLock(words, Word.Lock);
    return isDone;
  }
}
