/** A pattern of names of keys or channels. Most patterns are a name, or a beginning with a star: these are quick. */

import { GlobPattern } from '../structures/glob.js';

const SPECIAL = /[*?[\\]/;

export class NamePattern {
  /** A byte string. */
  readonly text: string;
  private readonly glob: GlobPattern;
  /** The prefix of matching names, or the name itself if `isWhole`; null if only the glob pattern can tell. */
  private readonly literal: Uint8Array | null;
  private readonly isWhole: boolean;

  constructor(text: string) {
    this.text = text;
    this.glob = new GlobPattern(Buffer.from(text, 'latin1'));
    const isPrefix = text.endsWith('*');
    const literal = isPrefix ? text.slice(0, -1) : text;
    // A lone star has no prefix to compare; a prefix with special characters is left to the glob pattern.
    this.literal = literal === '' || SPECIAL.test(literal) ? null : Buffer.from(literal, 'latin1');
    this.isWhole = !isPrefix;
  }

  matches(bytes: Uint8Array, offset: number, lengthBytes: number): boolean {
    const { literal } = this;
    // As in Redis, a lone star does not match an empty name (in KEYS it does).
    if (lengthBytes === 0) return this.text === '';
    if (literal === null) return this.glob.matches(bytes, offset, lengthBytes);
    const { length } = literal;
    if (this.isWhole ? lengthBytes !== length : lengthBytes < length) return false;
    for (let at = 0; at < length; at++) if (bytes[offset + at] !== literal[at]) return false;
    return true;
  }

  /** Whether this is the pattern, byte for byte, up to the first zero byte. */
  is(bytes: Uint8Array, offset: number, lengthBytes: number): boolean {
    const { text } = this;
    for (let at = 0; at < lengthBytes && bytes[offset + at] !== 0; at++) {
      if (bytes[offset + at] !== text.charCodeAt(at)) return false;
    }
    const zero = bytes.subarray(offset, offset + lengthBytes).indexOf(0);
    return text.length === (zero < 0 ? lengthBytes : zero);
  }
}
