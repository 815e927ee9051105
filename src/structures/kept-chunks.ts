/**
 * Old versions of a list's chunks, kept for a walk (element-walk.ts). Each is filed in front of a chunk that the list
 * has now. The walk hands out the kept chunks in front of a chunk before the chunk itself, so the list's order is
 * preserved although chunks are kept in any order.
 *
 *   group, in a chain that begins in the walk
 *   +------+-------+------------+-----------+
 *   | next | chunk | first kept | last kept |      chunk 0: at the list's end
 *   +------+-------+------------+-----------+
 *
 * The keeper allocates the kept chunks. Those of a group are linked: each block begins with the offset of the next.
 * There are few groups, since most changes of a long list are at its ends.
 */

import type { Arena } from '../memory/arena.js';
import { Walk } from './element-walk.js';

const GROUP_BYTES = 16;

const enum Group {
  Next = 0,
  Chunk = 1,
  First = 2,
  Last = 3,
}

export class KeptChunks {
  private readonly words: Int32Array;
  private readonly arena: Arena;

  constructor(words: Int32Array, arena: Arena) {
    this.words = words;
    this.arena = arena;
  }

  /** Word index of the link that points to the group in front of a chunk; 0 if there is none. */
  private linkTo(walk: number, chunk: number): number {
    const { words } = this;
    let link = walk + Walk.Groups;
    while (words[link] !== 0) {
      const group = words[link] >> 2;
      if (words[group + Group.Chunk] === chunk) return link;
      link = group + Group.Next;
    }
    return 0;
  }

  /** The group in front of a chunk (word index), which is made if there is none; 0 if there is no memory. */
  private groupAt(walk: number, chunk: number): number {
    const { words } = this;
    const link = this.linkTo(walk, chunk);
    if (link !== 0) return words[link] >> 2;
    const group = this.arena.allocateSpare(GROUP_BYTES) >> 2;
    if (group === 0) return 0;
    words[group + Group.Next] = words[walk + Walk.Groups];
    words[group + Group.Chunk] = chunk;
    words[group + Group.First] = 0;
    words[group + Group.Last] = 0;
    words[walk + Walk.Groups] = group << 2;
    return group;
  }

  /** Puts a kept chunk (a block that begins with a link) in front of a chunk, as the last; false if there is no memory. */
  append(walk: number, chunk: number, kept: number): boolean {
    const { words } = this;
    const group = this.groupAt(walk, chunk);
    if (group === 0) return false;
    words[kept >> 2] = 0;
    if (words[group + Group.First] === 0) words[group + Group.First] = kept;
    else words[words[group + Group.Last] >> 2] = kept;
    words[group + Group.Last] = kept;
    return true;
  }

  /** Moves the kept chunks in front of a chunk that is about to be removed to the chunk after it (0: the end). */
  pass(walk: number, chunk: number, following: number): void {
    const { words } = this;
    const link = this.linkTo(walk, chunk);
    if (link === 0) return;
    const group = words[link] >> 2;
    const otherLink = this.linkTo(walk, following);
    if (otherLink === 0) {
      words[group + Group.Chunk] = following;
      return;
    }
    const other = words[otherLink] >> 2;
    words[words[group + Group.Last] >> 2] = words[other + Group.First];
    words[other + Group.First] = words[group + Group.First];
    words[link] = words[group + Group.Next];
    this.arena.free(group << 2, GROUP_BYTES);
  }

  /** Removes the kept chunks in front of a chunk; returns the first of their chain, 0 if there are none. */
  take(walk: number, chunk: number): number {
    const { words } = this;
    const link = this.linkTo(walk, chunk);
    if (link === 0) return 0;
    const group = words[link] >> 2;
    const first = words[group + Group.First];
    words[link] = words[group + Group.Next];
    this.arena.free(group << 2, GROUP_BYTES);
    return first;
  }

  /** Removes the kept chunks of any one group, as `take` does. */
  takeAny(walk: number): number {
    const first = this.words[walk + Walk.Groups];
    return first === 0 ? 0 : this.take(walk, this.words[(first >> 2) + Group.Chunk]);
  }
}
