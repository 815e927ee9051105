/**
 * Counts the nodes that a radix tree of ids would have (Sanfilippo's rax, in which Redis keeps the blocks of a stream):
 * a node for each place where ids branch, one for each run of bytes that they share, and one at the end of each id.
 */

import { ID_WORDS } from './stream-id.js';

const ID_BYTES = 16;

export class RadixNodes {
  /** The previous id, and whether there is none yet. */
  private readonly before = new Int32Array(ID_WORDS);
  private isFirst = true;
  /** Bytes that the last two ids have in common. */
  private common = -1;
  /** Branches on the path to the last id: how many bytes come before each. */
  private readonly partings: number[] = [];
  private nodes = 0;

  /** Adds the id at a word index, which must be above all before. */
  add(words: Int32Array, at: number): void {
    if (!this.isFirst) {
      const common = this.commonBytes(words, at);
      this.leaf(Math.max(this.common, common));
      this.part(common);
      this.common = common;
    }
    this.isFirst = false;
    for (let word = 0; word < ID_WORDS; word++) this.before[word] = words[at + word];
  }

  /** The number of nodes of all ids. */
  end(): number {
    if (this.isFirst) return 1;
    this.leaf(this.common);
    this.part(-1);
    return this.nodes;
  }

  private commonBytes(words: Int32Array, at: number): number {
    for (let word = 0; word < ID_WORDS; word++) {
      const difference = this.before[word] ^ words[at + word];
      if (difference !== 0) return word * 4 + (Math.clz32(difference) >> 3);
    }
    return ID_BYTES;
  }

  /** Counts the end of an id that branches off its neighbours after `parting` bytes. */
  private leaf(parting: number): void {
    this.nodes += 1 + (ID_BYTES - (parting + 1) > 0 ? 1 : 0);
  }

  /** The next ids share only `common` bytes with those before: branches after more bytes are complete and counted. */
  private part(common: number): void {
    const { partings } = this;
    while (partings.length > 0 && partings[partings.length - 1] > common) {
      const parting = partings.pop() as number;
      const outer = Math.max(common, partings.length > 0 ? partings[partings.length - 1] : -1);
      this.nodes += 1 + (parting - (outer + 1) > 0 ? 1 : 0);
    }
    if (common >= 0 && partings[partings.length - 1] !== common) partings.push(common);
  }
}
