/** The dictionary whose records are entries (entry.ts): one root per database. */

import { hashBytes } from '../memory/hash.js';
import { equalBytes } from '../structures/copy.js';
import { Dictionary } from '../structures/dictionary.js';
import { keyLength, keyOffset } from './entry.js';

export class KeyDictionary extends Dictionary {
  protected override recordMatches(
    record: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): boolean {
    const { words, memory } = this;
    if (keyLength(words, record) !== lengthBytes) return false;
    return equalBytes(memory.bytes, memory.view, keyOffset(words, record), bytes, view, offset, lengthBytes);
  }

  protected override recordHash(record: number): number {
    return hashBytes(this.memory.view, keyOffset(this.words, record), keyLength(this.words, record));
  }
}
