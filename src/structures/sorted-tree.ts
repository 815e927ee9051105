/**
 * The order of a large sorted set: a B+tree whose inner nodes count what is below them (order statistics
 * after Cormen et al., "Introduction to Algorithms", ch. 14), so that the rank of an element and the element
 * of a rank are one descent each.
 *
 * Keys are (score, member). A node holds the scores themselves and the offsets of the records whose members they belong
 * to; a member is read only where scores are equal.
 *
 *   root (in the caller's memory):  | node | height | count |        height 0: the node is a leaf
 *
 *   leaf                                                     C = capacity
 *   +-------+----------+------+----------+--------------+---------------+
 *   | count | previous | next | capacity | C scores, f64 | C records     |
 *   +-------+----------+------+----------+--------------+---------------+
 *   inner node
 *   +-------+----------+------+----------+--------------+---------------+------------+----------+
 *   | count |    -     |  -   | capacity | C scores, f64 | C records     | C children | C counts |
 *   +-------+----------+------+----------+--------------+---------------+------------+----------+
 *
 * Score and record i of an inner node are those of the smallest element below child i. They are exact for
 * every i but 0, where they are not kept up to date because no search looks at them.
 *
 * A tree that is one leaf begins with a small one, which doubles up to the usual size. A leaf that is full splits in
 * the middle, but at either end of the order so that the old node stays full, since scores that only grow (times,
 * counters) are common. A node with less than a quarter of its room used merges with a neighbour or takes some of its
 * elements. Both continue upwards along the path that the descent has noted, without recursion.
 *
 * The records belong to the caller: a header whose last word is the member's length, then the member
 * (structures/member-dictionary.ts).
 */

import type { Arena } from '../memory/arena.js';
import { blockBytes } from '../memory/arena.js';
import { CACHE_LINE_WORDS, type ShardMemory } from '../memory/shard-memory.js';
import { MEMBER_LENGTH_MASK } from './member-dictionary.js';

/** Words of a tree's root. All zero: an empty tree. */
export const enum TreeRoot {
  Node = 0,
  Height = 1,
  Count = 2,
  WORDS = 3,
}

const enum Node {
  Count = 0,
  Previous = 1,
  Next = 2,
  Capacity = 3,
  WORDS = 4,
}

const LEAF_CAPACITY_MIN = 8;
const LEAF_CAPACITY = 64;
const INNER_CAPACITY = 32;

/** More levels than 2^31 bytes of nodes can have. */
const LEVELS_MAX = 16;

function leafBytes(capacity: number): number {
  return Node.WORDS * 4 + capacity * 12;
}

const INNER_BYTES = Node.WORDS * 4 + INNER_CAPACITY * 20;

/** Bytes that one more node may take of the arena, with unusable remainders around it. */
const NODE_ROOM_BYTES = blockBytes(leafBytes(LEAF_CAPACITY)) + 64;

export class SortedTree {
  private readonly arena: Arena;
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly headerBytes: number;
  private readonly lengthWord: number;

  /** The path of the last descent, by level: the inner node and which of its children the path takes. */
  private readonly pathNodes = new Int32Array(LEVELS_MAX);
  private readonly pathIndices = new Int32Array(LEVELS_MAX);
  /** Where the last descent ended. */
  private leaf = 0;
  private index = 0;

  constructor(memory: ShardMemory, arena: Arena, headerBytes: number) {
    this.arena = arena;
    this.words = memory.words;
    this.doubles = memory.doubles;
    this.bytes = memory.bytes;
    this.view = memory.view;
    this.headerBytes = headerBytes;
    this.lengthWord = (headerBytes >> 2) - 1;
  }

  count(root: number): number {
    return this.words[root + TreeRoot.Count];
  }

  /** Leaf of the element that `seek` has found; with `seekIndex` it is the beginning of a walk. */
  get seekLeaf(): number {
    return this.leaf;
  }

  get seekIndex(): number {
    return this.index;
  }

  leafCount(leaf: number): number {
    return this.words[leaf >> 2];
  }

  nextLeaf(leaf: number): number {
    return this.words[(leaf >> 2) + Node.Next];
  }

  previousLeaf(leaf: number): number {
    return this.words[(leaf >> 2) + Node.Previous];
  }

  scoreAt(leaf: number, index: number): number {
    return this.doubles[(leaf >> 3) + 2 + index];
  }

  recordAt(leaf: number, index: number): number {
    return this.words[this.recordsStart(leaf) + index];
  }

  /** Word index of a node's records. */
  private recordsStart(node: number): number {
    const at = node >> 2;
    return at + Node.WORDS + 2 * this.words[at + Node.Capacity];
  }

  /** Order of two members as bytes: below, equal to or above 0. */
  private compareRecords(left: number, right: number): number {
    if (left === right) return 0;
    const { words, bytes, headerBytes } = this;
    const leftLength = words[(left >> 2) + this.lengthWord] & MEMBER_LENGTH_MASK;
    const rightLength = words[(right >> 2) + this.lengthWord] & MEMBER_LENGTH_MASK;
    const common = leftLength < rightLength ? leftLength : rightLength;
    let leftAt = left + headerBytes;
    let rightAt = right + headerBytes;
    const end = leftAt + common;
    // Members begin at whole words.
    const endOfWords = leftAt + (common & ~3);
    while (leftAt < endOfWords && words[leftAt >> 2] === words[rightAt >> 2]) {
      leftAt += 4;
      rightAt += 4;
    }
    for (; leftAt < end; leftAt++, rightAt++) {
      const difference = bytes[leftAt] - bytes[rightAt];
      if (difference !== 0) return difference;
    }
    return leftLength - rightLength;
  }

  /** Whether one element comes after another. */
  isAfter(score: number, record: number, otherScore: number, otherRecord: number): boolean {
    return score > otherScore || (score === otherScore && this.compareRecords(record, otherRecord) > 0);
  }

  /** Order of a record's member and other bytes. */
  compareMember(
    record: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): number {
    const ownLength = this.words[(record >> 2) + this.lengthWord] & MEMBER_LENGTH_MASK;
    const common = ownLength < lengthBytes ? ownLength : lengthBytes;
    let at = record + this.headerBytes;
    const end = at + common;
    const endOfFours = at + (common & ~3);
    while (at < endOfFours && this.view.getInt32(at, true) === view.getInt32(offset, true)) {
      at += 4;
      offset += 4;
    }
    for (; at < end; at++, offset++) {
      const difference = this.bytes[at] - bytes[offset];
      if (difference !== 0) return difference;
    }
    return ownLength - lengthBytes;
  }

  /** Index of a node's first key, from `from` on, that is above (score, record's member). */
  private upperBound(node: number, from: number, score: number, record: number): number {
    const { words, doubles } = this;
    const scores = (node >> 3) + 2;
    const records = this.recordsStart(node);
    let low = from;
    let high = words[node >> 2];
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = doubles[scores + middle];
      if (other < score || (other === score && this.compareRecords(words[records + middle], record) <= 0)) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /** Index of a node's first score, from `from` on, that is at least `score`, or with `orEqual` above it. */
  private scoreBound(node: number, from: number, score: number, orEqual: boolean): number {
    const { doubles } = this;
    const scores = (node >> 3) + 2;
    let low = from;
    let high = this.words[node >> 2];
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = doubles[scores + middle];
      if (other < score || (orEqual && other === score)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Descends to where a key is or would be; notes the path. `index` is one past the last key that is not above it. */
  private descend(root: number, score: number, record: number): void {
    const { words, pathNodes, pathIndices } = this;
    let node = words[root];
    for (let level = words[root + TreeRoot.Height]; level > 0; level--) {
      const index = this.upperBound(node, 1, score, record) - 1;
      pathNodes[level] = node;
      pathIndices[level] = index;
      node = words[this.recordsStart(node) + INNER_CAPACITY + index];
    }
    this.leaf = node;
    this.index = this.upperBound(node, 0, score, record);
  }

  /**
   * Reads the scores of the leaf to which a score belongs, so that they are in the cache. The result has no meaning.
   */
  bringNear(root: number, score: number): number {
    const { words } = this;
    let node = words[root];
    for (let level = words[root + TreeRoot.Height]; level > 0; level--) {
      const index = this.scoreBound(node, 1, score, true) - 1;
      node = words[this.recordsStart(node) + INNER_CAPACITY + index];
    }
    let sink = 0;
    const at = node >> 2;
    const end = at + Node.WORDS + 2 * words[at];
    for (let line = at; line < end; line += CACHE_LINE_WORDS) sink ^= words[line];
    return sink;
  }

  /** Sum of the counts of a node's first `index` children. */
  private countBefore(node: number, index: number): number {
    const { words } = this;
    const counts = this.recordsStart(node) + 2 * INNER_CAPACITY;
    let sum = 0;
    for (let at = counts; at < counts + index; at++) sum += words[at];
    return sum;
  }

  /** The rank, from 0, of an element that is in the tree. */
  rankOf(root: number, score: number, record: number): number {
    const { words } = this;
    let node = words[root];
    let rank = 0;
    for (let level = words[root + TreeRoot.Height]; level > 0; level--) {
      const index = this.upperBound(node, 1, score, record) - 1;
      rank += this.countBefore(node, index);
      node = words[this.recordsStart(node) + INNER_CAPACITY + index];
    }
    return rank + this.upperBound(node, 0, score, record) - 1;
  }

  /** How many elements have a score below `score`, or with `orEqual` not above it. */
  countBelowScore(root: number, score: number, orEqual: boolean): number {
    const { words } = this;
    let node = words[root];
    if (node === 0) return 0;
    let rank = 0;
    for (let level = words[root + TreeRoot.Height]; level > 0; level--) {
      const index = this.scoreBound(node, 1, score, orEqual) - 1;
      rank += this.countBefore(node, index);
      node = words[this.recordsStart(node) + INNER_CAPACITY + index];
    }
    return rank + this.scoreBound(node, 0, score, orEqual);
  }

  /**
   * How many elements have a member below these bytes, or with `orEqual` not above them, in a tree whose
   * scores are all the same. With different scores it is anything from 0 to the count.
   */
  countBelowMember(
    root: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
    orEqual: boolean,
  ): number {
    const { words } = this;
    let node = words[root];
    if (node === 0) return 0;
    const limit = orEqual ? 1 : 0;
    let rank = 0;
    for (let level = words[root + TreeRoot.Height]; level >= 0; level--) {
      const records = this.recordsStart(node);
      let low = level > 0 ? 1 : 0;
      let high = words[node >> 2];
      while (low < high) {
        const middle = (low + high) >> 1;
        const record = words[records + middle];
        if (this.compareMember(record, bytes, view, offset, lengthBytes) < limit) low = middle + 1;
        else high = middle;
      }
      if (level === 0) return rank + low;
      rank += this.countBefore(node, low - 1);
      node = words[records + INNER_CAPACITY + low - 1];
    }
    return rank;
  }

  /** Goes to the element with a rank from 0 to count - 1: `seekLeaf` and `seekIndex` tell where it is. */
  seek(root: number, rank: number): void {
    const { words, pathNodes, pathIndices } = this;
    let node = words[root];
    for (let level = words[root + TreeRoot.Height]; level > 0; level--) {
      const counts = this.recordsStart(node) + 2 * INNER_CAPACITY;
      let index = 0;
      while (rank >= words[counts + index]) rank -= words[counts + index++];
      pathNodes[level] = node;
      pathIndices[level] = index;
      node = words[counts - INNER_CAPACITY + index];
    }
    this.leaf = node;
    this.index = rank;
  }

  /**
   * Goes to the first element whose score is not below `score`: `seekLeaf` and `seekIndex` tell where it is. False if
   * there is none.
   */
  seekScore(root: number, score: number): boolean {
    const { words } = this;
    let node = words[root];
    if (node === 0) return false;
    for (let level = words[root + TreeRoot.Height]; level > 0; level--) {
      const index = this.scoreBound(node, 1, score, false) - 1;
      node = words[this.recordsStart(node) + INNER_CAPACITY + index];
    }
    this.leaf = node;
    this.index = this.scoreBound(node, 0, score, false);
    if (this.index < words[node >> 2]) return true;
    // All scores of this leaf are below.
    this.leaf = this.nextLeaf(node);
    this.index = 0;
    return this.leaf !== 0;
  }

  /**
   * Goes to the last element of a tree that has one. It does not use the counts, so a walk from here to the first
   * element shows the true number of elements.
   */
  seekLast(root: number): void {
    const { words } = this;
    let node = words[root];
    for (let level = words[root + TreeRoot.Height]; level > 0; level--) {
      node = words[this.recordsStart(node) + INNER_CAPACITY + words[node >> 2] - 1];
    }
    this.leaf = node;
    this.index = words[node >> 2] - 1;
  }

  /** Adds an element that is not there yet; false, with nothing changed, if there is no memory. */
  insert(root: number, score: number, record: number): boolean {
    const { words } = this;
    if (words[root] === 0) return this.createFirstLeaf(root, score, record);
    this.descend(root, score, record);
    const { leaf, index } = this;
    const at = leaf >> 2;
    const capacity = words[at + Node.Capacity];
    if (words[at] < capacity) {
      this.openKey(leaf, index, score, record);
    } else if (capacity < LEAF_CAPACITY) {
      const larger = this.growLeaf(leaf);
      if (larger === 0) return false;
      words[root] = larger;
      this.openKey(larger, index, score, record);
    } else {
      return this.insertSplitting(root, score, record);
    }
    words[root + TreeRoot.Count]++;
    this.addToCounts(1, words[root + TreeRoot.Height], 1);
    return true;
  }

  private createFirstLeaf(root: number, score: number, record: number): boolean {
    const { words } = this;
    const leaf = this.createNode(LEAF_CAPACITY_MIN, leafBytes(LEAF_CAPACITY_MIN));
    if (leaf === 0) return false;
    words[root + TreeRoot.Node] = leaf;
    words[root + TreeRoot.Height] = 0;
    words[root + TreeRoot.Count] = 1;
    this.openKey(leaf, 0, score, record);
    return true;
  }

  private createNode(capacity: number, lengthBytes: number): number {
    const node = this.arena.allocate(lengthBytes);
    if (node === 0) return 0;
    const at = node >> 2;
    this.words[at + Node.Count] = 0;
    this.words[at + Node.Previous] = 0;
    this.words[at + Node.Next] = 0;
    this.words[at + Node.Capacity] = capacity;
    return node;
  }

  /** Replaces a leaf that is the whole tree by one of twice its capacity; 0 if there is no memory. */
  private growLeaf(leaf: number): number {
    const capacity = this.words[(leaf >> 2) + Node.Capacity];
    const larger = this.createNode(2 * capacity, leafBytes(2 * capacity));
    if (larger === 0) return 0;
    this.moveKeys(leaf, 0, larger, 0, capacity);
    this.words[larger >> 2] = capacity;
    this.arena.free(leaf, leafBytes(capacity));
    return larger;
  }

  /** Makes room for a key at `index` of a node that has some, and puts it there. */
  private openKey(node: number, index: number, score: number, record: number): void {
    const { words, doubles } = this;
    const scores = (node >> 3) + 2;
    const records = this.recordsStart(node);
    const count = words[node >> 2];
    for (let at = count; at > index; at--) {
      doubles[scores + at] = doubles[scores + at - 1];
      words[records + at] = words[records + at - 1];
    }
    doubles[scores + index] = score;
    words[records + index] = record;
    words[node >> 2] = count + 1;
  }

  /** Copies `length` keys from one node to another, or within one; does not touch the counts. */
  private moveKeys(source: number, from: number, target: number, to: number, length: number): void {
    const { words, doubles } = this;
    const sourceScores = (source >> 3) + 2 + from;
    const targetScores = (target >> 3) + 2 + to;
    const sourceRecords = this.recordsStart(source) + from;
    const targetRecords = this.recordsStart(target) + to;
    if (source === target && to > from) {
      for (let at = length - 1; at >= 0; at--) {
        doubles[targetScores + at] = doubles[sourceScores + at];
        words[targetRecords + at] = words[sourceRecords + at];
      }
      return;
    }
    for (let at = 0; at < length; at++) {
      doubles[targetScores + at] = doubles[sourceScores + at];
      words[targetRecords + at] = words[sourceRecords + at];
    }
  }

  /** Like `moveKeys`, for children with their keys and counts. */
  private moveChildren(source: number, from: number, target: number, to: number, length: number): void {
    const { words } = this;
    this.moveKeys(source, from, target, to, length);
    const sourceStart = this.recordsStart(source) + INNER_CAPACITY + from;
    const targetStart = this.recordsStart(target) + INNER_CAPACITY + to;
    words.copyWithin(targetStart, sourceStart, sourceStart + length);
    words.copyWithin(
      targetStart + INNER_CAPACITY,
      sourceStart + INNER_CAPACITY,
      sourceStart + INNER_CAPACITY + length,
    );
  }

  /** Adds to the counts along the path, for the levels from `from` to `to`. */
  private addToCounts(from: number, to: number, added: number): void {
    const { words, pathNodes, pathIndices } = this;
    for (let level = from; level <= to; level++) {
      words[this.recordsStart(pathNodes[level]) + 2 * INNER_CAPACITY + pathIndices[level]] += added;
    }
  }

  /** Finishes `insert` when the leaf that the path leads to is full: splits it. */
  private insertSplitting(root: number, score: number, record: number): boolean {
    const { words, pathNodes, pathIndices } = this;
    const height = words[root + TreeRoot.Height];
    let fullLevels = 0;
    while (fullLevels < height && words[pathNodes[fullLevels + 1] >> 2] === INNER_CAPACITY) fullLevels++;
    // The leaf, the full nodes above it and perhaps a new root.
    if (!this.arena.hasRoom((fullLevels + 2) * NODE_ROOM_BYTES)) return false;

    const { leaf, index } = this;
    const isAppended = index === LEAF_CAPACITY && words[(leaf >> 2) + Node.Next] === 0;
    const isPrepended = index === 0;
    const leafCut = isAppended ? LEAF_CAPACITY : isPrepended ? 0 : LEAF_CAPACITY >> 1;
    let right = this.splitLeaf(leaf, leafCut);
    if (index > leafCut || isAppended) this.openKey(right, index - leafCut, score, record);
    else this.openKey(leaf, index, score, record);
    let leftCount = words[leaf >> 2];
    let rightCount = words[right >> 2];

    let level = 1;
    for (; level <= height && right !== 0; level++) {
      const node = pathNodes[level];
      const childIndex = pathIndices[level];
      words[this.recordsStart(node) + 2 * INNER_CAPACITY + childIndex] = leftCount;
      if (words[node >> 2] < INNER_CAPACITY) {
        this.openChild(node, childIndex + 1, right, rightCount);
        right = 0;
        continue;
      }
      const cut = isAppended ? INNER_CAPACITY : isPrepended ? 1 : INNER_CAPACITY >> 1;
      const sibling = this.splitInner(node, cut);
      if (childIndex + 1 > cut || isAppended)
        this.openChild(sibling, childIndex + 1 - cut, right, rightCount);
      else this.openChild(node, childIndex + 1, right, rightCount);
      leftCount = this.countBefore(node, words[node >> 2]);
      rightCount = this.countBefore(sibling, words[sibling >> 2]);
      right = sibling;
    }
    if (right !== 0) this.raiseRoot(root, leftCount, right, rightCount);
    else this.addToCounts(level, height, 1);
    words[root + TreeRoot.Count]++;
    return true;
  }

  /** Moves a leaf's elements from `cut` on to a new leaf behind it. */
  private splitLeaf(leaf: number, cut: number): number {
    const { words } = this;
    const right = this.createNode(LEAF_CAPACITY, leafBytes(LEAF_CAPACITY));
    const moved = words[leaf >> 2] - cut;
    this.moveKeys(leaf, cut, right, 0, moved);
    words[right >> 2] = moved;
    words[leaf >> 2] = cut;
    const next = words[(leaf >> 2) + Node.Next];
    words[(right >> 2) + Node.Previous] = leaf;
    words[(right >> 2) + Node.Next] = next;
    words[(leaf >> 2) + Node.Next] = right;
    if (next !== 0) words[(next >> 2) + Node.Previous] = right;
    return right;
  }

  private splitInner(node: number, cut: number): number {
    const { words } = this;
    const right = this.createNode(INNER_CAPACITY, INNER_BYTES);
    const moved = words[node >> 2] - cut;
    this.moveChildren(node, cut, right, 0, moved);
    words[right >> 2] = moved;
    words[node >> 2] = cut;
    return right;
  }

  /**
   * Puts a child with `count` elements at `index` of an inner node that has room; its key there is the child's first
   * one.
   */
  private openChild(node: number, index: number, child: number, count: number): void {
    const { words } = this;
    const children = this.recordsStart(node) + INNER_CAPACITY;
    const counts = children + INNER_CAPACITY;
    for (let at = words[node >> 2]; at > index; at--) {
      words[children + at] = words[children + at - 1];
      words[counts + at] = words[counts + at - 1];
    }
    words[children + index] = child;
    words[counts + index] = count;
    this.openKey(node, index, this.doubles[(child >> 3) + 2], words[this.recordsStart(child)]);
  }

  private raiseRoot(root: number, leftCount: number, right: number, rightCount: number): void {
    const { words } = this;
    const node = this.createNode(INNER_CAPACITY, INNER_BYTES);
    this.openChild(node, 0, words[root], leftCount);
    this.openChild(node, 1, right, rightCount);
    words[root] = node;
    words[root + TreeRoot.Height]++;
  }

  /** Removes an element that is in the tree. */
  remove(root: number, score: number, record: number): void {
    this.descend(root, score, record);
    this.index--;
    this.removeHere(root, 1);
  }

  /**
   * Changes the score of an element that is in the tree; false, with nothing changed, if there is no memory. The caller
   * must change the score in the record.
   */
  move(root: number, score: number, record: number, newScore: number): boolean {
    const { words, doubles } = this;
    this.descend(root, score, record);
    this.index--;
    const { leaf, index } = this;
    const at = leaf >> 2;
    const scores = (leaf >> 3) + 2;
    const isAbovePrevious =
      index > 0 ? doubles[scores + index - 1] < newScore : words[at + Node.Previous] === 0;
    const isBelowNext =
      index < words[at] - 1 ? newScore < doubles[scores + index + 1] : words[at + Node.Next] === 0;
    if (isAbovePrevious && isBelowNext) {
      doubles[scores + index] = newScore;
      return true;
    }
    if (!this.arena.hasRoom((words[root + TreeRoot.Height] + 2) * NODE_ROOM_BYTES)) return false;
    this.removeHere(root, 1);
    if (!this.insert(root, newScore, record)) throw new Error('sorted tree: promised room is missing');
    return true;
  }

  /** How many elements can be removed at once where the last descent ended, at most `count`. */
  runLength(count: number): number {
    return Math.min(count, this.words[this.leaf >> 2] - this.index);
  }

  /** Removes `count` elements (as many as `runLength` allows) from where `seek` has ended. */
  removeHere(root: number, count: number): void {
    const { words, leaf, index } = this;
    const at = leaf >> 2;
    const height = words[root + TreeRoot.Height];
    const left = words[at] - count;
    this.moveKeys(leaf, index + count, leaf, index, left - index);
    words[at] = left;
    words[root + TreeRoot.Count] -= count;
    this.addToCounts(1, height, -count);
    if (index === 0 && left > 0) this.setFirstKey(1, height, leaf);
    if (left < LEAF_CAPACITY >> 2) this.mend(root);
  }

  /**
   * The smallest element below the path is now `node`'s first: updates the key in the ancestor, from `level` up, that
   * stores it.
   */
  private setFirstKey(level: number, height: number, node: number): void {
    const { words, doubles, pathNodes, pathIndices } = this;
    for (; level <= height; level++) {
      const index = pathIndices[level];
      if (index === 0) continue;
      const parent = pathNodes[level];
      doubles[(parent >> 3) + 2 + index] = doubles[(node >> 3) + 2];
      words[this.recordsStart(parent) + index] = words[this.recordsStart(node)];
      return;
    }
  }

  /** Removes, merges or fills up the nodes of the path that have become too small, from the leaf upwards. */
  private mend(root: number): void {
    const { words, pathNodes, pathIndices } = this;
    const height = words[root + TreeRoot.Height];
    let node = this.leaf;
    for (let level = 1; level <= height; level++) {
      const isLeaf = level === 1;
      const count = words[node >> 2];
      if (count >= (isLeaf ? LEAF_CAPACITY : INNER_CAPACITY) >> 2) break;
      const parent = pathNodes[level];
      const index = pathIndices[level];
      if (count === 0) {
        this.freeNode(node, isLeaf);
        this.closeChild(parent, index);
        if (index === 0 && words[parent >> 2] > 0) this.setFirstKey(level + 1, height, parent);
      } else if (words[parent >> 2] > 1) {
        this.balance(parent, index + 1 < words[parent >> 2] ? index : index - 1, isLeaf);
      }
      node = parent;
    }
    this.lowerRoot(root);
  }

  private freeNode(node: number, isLeaf: boolean): void {
    const { words } = this;
    if (!isLeaf) {
      this.arena.free(node, INNER_BYTES);
      return;
    }
    const at = node >> 2;
    const previous = words[at + Node.Previous];
    const next = words[at + Node.Next];
    if (previous !== 0) words[(previous >> 2) + Node.Next] = next;
    if (next !== 0) words[(next >> 2) + Node.Previous] = previous;
    this.arena.free(node, leafBytes(words[at + Node.Capacity]));
  }

  private closeChild(node: number, index: number): void {
    const count = this.words[node >> 2];
    this.moveChildren(node, index + 1, node, index, count - index - 1);
    this.words[node >> 2] = count - 1;
  }

  /** Merges the children `index` and `index + 1` of a node if they fit; else makes them equally long. */
  private balance(parent: number, index: number, isLeaf: boolean): void {
    const { words, doubles } = this;
    const capacity = isLeaf ? LEAF_CAPACITY : INNER_CAPACITY;
    const scores = (parent >> 3) + 2 + index + 1;
    const records = this.recordsStart(parent) + index + 1;
    const counts = records + 2 * INNER_CAPACITY;
    const left = words[records + INNER_CAPACITY - 1];
    const right = words[records + INNER_CAPACITY];
    const leftCount = words[left >> 2];
    const rightCount = words[right >> 2];
    const total = leftCount + rightCount;
    // Only the parent has the right node's exact first key.
    doubles[(right >> 3) + 2] = doubles[scores];
    words[this.recordsStart(right)] = words[records];
    // A merged node keeps some room, or the next insert would split it again.
    const isMerge = total <= capacity - (capacity >> 2);
    const newLeft = isMerge ? total : total >> 1;
    if (newLeft >= leftCount) this.moveBetween(right, 0, left, leftCount, newLeft - leftCount, isLeaf);
    if (isMerge) {
      words[left >> 2] = total;
      words[counts - 1] += words[counts];
      this.freeNode(right, isLeaf);
      this.closeChild(parent, index + 1);
      return;
    }
    const shift = newLeft - leftCount;
    if (shift > 0) {
      this.moveBetween(right, shift, right, 0, rightCount - shift, isLeaf);
    } else {
      this.moveBetween(right, 0, right, -shift, rightCount, isLeaf);
      this.moveBetween(left, newLeft, right, 0, -shift, isLeaf);
    }
    words[left >> 2] = newLeft;
    words[right >> 2] = total - newLeft;
    doubles[scores] = doubles[(right >> 3) + 2];
    words[records] = words[this.recordsStart(right)];
    const elements = words[counts - 1] + words[counts];
    words[counts - 1] = isLeaf ? newLeft : this.countBefore(left, newLeft);
    words[counts] = elements - words[counts - 1];
  }

  private moveBetween(
    source: number,
    from: number,
    target: number,
    to: number,
    length: number,
    isLeaf: boolean,
  ): void {
    if (isLeaf) this.moveKeys(source, from, target, to, length);
    else this.moveChildren(source, from, target, to, length);
  }

  /** Replaces a root that has only one child by that child; frees an empty root. */
  private lowerRoot(root: number): void {
    const { words } = this;
    let node = words[root];
    while (words[root + TreeRoot.Height] > 0 && words[node >> 2] === 1) {
      const child = words[this.recordsStart(node) + INNER_CAPACITY];
      this.arena.free(node, INNER_BYTES);
      words[root + TreeRoot.Height]--;
      words[root] = child;
      node = child;
    }
    if (words[node >> 2] > 0) return;
    this.freeNode(node, words[root + TreeRoot.Height] === 0);
    words[root + TreeRoot.Node] = 0;
    words[root + TreeRoot.Height] = 0;
  }

  /**
   * Frees at most `steps` nodes; true when none is left. Between two calls the tree must not be used otherwise. The
   * caller must free the records.
   */
  releaseSome(root: number, steps: number): boolean {
    const { words, pathNodes } = this;
    while (words[root] !== 0) {
      if (steps-- <= 0) return false;
      const height = words[root + TreeRoot.Height];
      let level = height;
      let node = words[root];
      // Always descends into the last child, then removes it from its parent.
      while (level > 0 && words[node >> 2] > 0) {
        pathNodes[level--] = node;
        node = words[this.recordsStart(node) + INNER_CAPACITY + words[node >> 2] - 1];
      }
      if (level === 0) this.arena.free(node, leafBytes(words[(node >> 2) + Node.Capacity]));
      else this.arena.free(node, INNER_BYTES);
      if (level < height) words[pathNodes[level + 1] >> 2]--;
      else words.fill(0, root, root + TreeRoot.WORDS);
    }
    return true;
  }

  /** About how many nodes there are. */
  nodeCount(root: number): number {
    return 1 + Math.ceil(this.words[root + TreeRoot.Count] / (LEAF_CAPACITY >> 1));
  }

  /** Bytes that the nodes take of the arena. */
  nodeBytes(root: number): number {
    const { words } = this;
    if (words[root] === 0) return 0;
    return this.bytesBelow(words[root], words[root + TreeRoot.Height]);
  }

  private bytesBelow(node: number, level: number): number {
    const { words } = this;
    if (level === 0) return blockBytes(leafBytes(words[(node >> 2) + Node.Capacity]));
    const count = words[node >> 2];
    let total = blockBytes(INNER_BYTES);
    if (level === 1) return total + count * blockBytes(leafBytes(LEAF_CAPACITY));
    const children = this.recordsStart(node) + INNER_CAPACITY;
    for (let index = 0; index < count; index++) total += this.bytesBelow(words[children + index], level - 1);
    return total;
  }

  /** The most bytes that `elements` more elements can need. `root` 0: the tree does not exist yet. */
  roomBytes(root: number, elements: number): number {
    const height = root === 0 ? 0 : this.words[root + TreeRoot.Height];
    const splits = Math.ceil(elements / (LEAF_CAPACITY >> 1)) + height + 2;
    return splits * 2 * NODE_ROOM_BYTES;
  }

  /** Throws if an invariant is broken. For tests. */
  verify(root: number): void {
    const { words } = this;
    const count = words[root + TreeRoot.Count];
    if (words[root] === 0) {
      if (count !== 0 || words[root + TreeRoot.Height] !== 0) throw new Error('sorted tree: no node');
      return;
    }
    const leaves: number[] = [];
    const height = words[root + TreeRoot.Height];
    if (height > 0 && words[words[root] >> 2] < 2) throw new Error('sorted tree: a root with one child');
    if (this.verifyBelow(words[root], height, height === 0, leaves) !== count) {
      throw new Error('sorted tree: wrong count');
    }
    let previous = 0;
    let last = 0;
    for (const [position, leaf] of leaves.entries()) {
      if (this.previousLeaf(leaf) !== previous || this.nextLeaf(leaf) !== (leaves[position + 1] ?? 0)) {
        throw new Error('sorted tree: wrong link of a leaf');
      }
      previous = leaf;
      for (let index = 0; index < words[leaf >> 2]; index++) {
        const record = this.recordAt(leaf, index);
        if (last !== 0) {
          const before = index > 0 ? this.scoreAt(leaf, index - 1) : this.lastScore(leaves[position - 1]!);
          const score = this.scoreAt(leaf, index);
          const isAbove = score > before || (score === before && this.compareRecords(record, last) > 0);
          if (!isAbove) throw new Error('sorted tree: out of order');
        }
        last = record;
      }
    }
  }

  private lastScore(leaf: number): number {
    return this.scoreAt(leaf, this.words[leaf >> 2] - 1);
  }

  private verifyBelow(node: number, level: number, isRoot: boolean, leaves: number[]): number {
    const { words } = this;
    const count = words[node >> 2];
    const capacity = words[(node >> 2) + Node.Capacity];
    if (count < 1 || count > capacity) throw new Error(`sorted tree: node with ${count} of ${capacity}`);
    if (level === 0) {
      if (!isRoot && capacity !== LEAF_CAPACITY) throw new Error('sorted tree: capacity of a leaf');
      leaves.push(node);
      return count;
    }
    if (capacity !== INNER_CAPACITY) throw new Error('sorted tree: capacity of an inner node');
    const records = this.recordsStart(node);
    let total = 0;
    for (let index = 0; index < count; index++) {
      const firstLeaf = leaves.length;
      const below = this.verifyBelow(words[records + INNER_CAPACITY + index], level - 1, false, leaves);
      if (below !== words[records + 2 * INNER_CAPACITY + index]) throw new Error('sorted tree: wrong count');
      const leaf = leaves[firstLeaf]!;
      const isFirst =
        words[records + index] === this.recordAt(leaf, 0) &&
        this.doubles[(node >> 3) + 2 + index] === this.scoreAt(leaf, 0);
      if (index > 0 && !isFirst) throw new Error('sorted tree: wrong key of a child');
      total += below;
    }
    return total;
  }
}
