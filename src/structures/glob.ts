/**
 * Glob patterns as KEYS, SCAN MATCH and CONFIG GET understand them: `*`, `?`, `[a-z]`, `[^a]`, `\x`.
 *
 * If the pattern does not match after a star, the star takes one more byte and the match is tried again; an
 * earlier star needs no other try once a later one was reached. So the time is at most pattern times text.
 */

const STAR = 0x2a;
const QUESTION = 0x3f;
const OPEN = 0x5b;
const CLOSE = 0x5d;
const CARET = 0x5e;
const DASH = 0x2d;
const BACKSLASH = 0x5c;

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte;
}

/** Redis compares the ends of a range as signed bytes, so [a-\xff] is the range from -1 (\xff) to 'a'. */
function signed(byte: number): number {
  return (byte << 24) >> 24;
}

export class GlobPattern {
  private readonly pattern: Uint8Array;
  private readonly ignoreCase: boolean;
  /** Set by `matchesOne`: the index in the pattern after the element that it compared. */
  private next = 0;
  /** Whether the pattern matches everything. */
  readonly matchesAll: boolean;

  constructor(pattern: Uint8Array, ignoreCase = false) {
    this.pattern = ignoreCase ? pattern.map(lower) : pattern;
    this.ignoreCase = ignoreCase;
    this.matchesAll = pattern.length === 1 && pattern[0] === STAR;
  }

  matches(text: Uint8Array, offset: number, lengthBytes: number): boolean {
    if (this.matchesAll) return true;
    const { pattern } = this;
    // As in Redis, a single star (`matchesAll`) matches an empty text, but "**" does not.
    if (lengthBytes === 0) return pattern.length === 0;
    const end = offset + lengthBytes;
    let at = offset;
    let position = 0;
    let starPosition = -1;
    let starAt = 0;
    for (;;) {
      if (position < pattern.length && pattern[position] === STAR) {
        starPosition = ++position;
        starAt = at;
        if (position === pattern.length) return true;
        continue;
      }
      if (at === end) {
        if (position === pattern.length) return true;
        return false;
      }
      if (position < pattern.length && this.matchesOne(position, text[at])) {
        position = this.next;
        at++;
        continue;
      }
      if (starPosition < 0) return false;
      position = starPosition;
      at = ++starAt;
    }
  }

  /** Whether the pattern's element at `position` matches a byte; sets `next`. */
  private matchesOne(position: number, byte: number): boolean {
    const { pattern } = this;
    if (this.ignoreCase) byte = lower(byte);
    switch (pattern[position]) {
      case QUESTION:
        this.next = position + 1;
        return true;
      case OPEN:
        return this.matchesClass(position + 1, byte);
      case BACKSLASH:
        if (position + 1 < pattern.length) position++;
        this.next = position + 1;
        return pattern[position] === byte;
      default:
        this.next = position + 1;
        return pattern[position] === byte;
    }
  }

  private matchesClass(position: number, byte: number): boolean {
    const { pattern } = this;
    const negated = pattern[position] === CARET;
    if (negated) position++;
    let found = false;
    for (;;) {
      if (position >= pattern.length) break;
      if (pattern[position] === BACKSLASH && position + 1 < pattern.length) {
        position++;
        if (pattern[position] === byte) found = true;
      } else if (pattern[position] === CLOSE) {
        break;
      } else if (position + 2 < pattern.length && pattern[position + 1] === DASH) {
        const low = Math.min(signed(pattern[position]), signed(pattern[position + 2]));
        const high = Math.max(signed(pattern[position]), signed(pattern[position + 2]));
        position += 2;
        if (signed(byte) >= low && signed(byte) <= high) found = true;
      } else if (pattern[position] === byte) {
        found = true;
      }
      position++;
    }
    this.next = Math.min(position + 1, pattern.length);
    return found !== negated;
  }
}
