/**
 * The patterns that a message has to be matched with. Most begin with some text and end with a star, so they are found
 * by that text: with one map lookup for each length of such texts, however many patterns there are.
 */

import { GlobPattern } from '../structures/glob.js';

const SPECIAL = /[*?[\\]/;

interface Entry<Value> {
  readonly glob: GlobPattern;
  readonly value: Value;
}

/** Patterns, each with a value. */
export class PatternIndex<Value> {
  /** By the text that they begin with, one character per byte. */
  private readonly byPrefix = new Map<string, Entry<Value>[]>();
  /** The lengths of these texts, in ascending order. */
  private readonly prefixLengths: number[] = [];
  size = 0;

  /** Adds a pattern, one character per byte. */
  add(pattern: string, value: Value): void {
    const special = pattern.search(SPECIAL);
    const prefix = special < 0 ? pattern : pattern.slice(0, special);
    const entry = { glob: new GlobPattern(Buffer.from(pattern, 'latin1')), value };
    const entries = this.byPrefix.get(prefix);
    this.size++;
    if (entries !== undefined) {
      entries.push(entry);
      return;
    }
    this.byPrefix.set(prefix, [entry]);
    if (this.prefixLengths.includes(prefix.length)) return;
    this.prefixLengths.push(prefix.length);
    this.prefixLengths.sort((one, other) => one - other);
  }

  /** Calls `take` with the value of every pattern that a text, given as bytes and as characters, matches. */
  match(bytes: Uint8Array, offset: number, length: number, text: string, take: (value: Value) => void): void {
    for (const prefixLength of this.prefixLengths) {
      if (prefixLength > length) return;
      const entries = this.byPrefix.get(text.slice(0, prefixLength));
      if (entries === undefined) continue;
      for (const { glob, value } of entries) if (glob.matches(bytes, offset, length)) take(value);
    }
  }
}
