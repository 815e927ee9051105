/**
 * Records in the order of a key of a few words that is in each of them: a B+tree. Streams keep their blocks, the
 * pending entries of groups and those of consumers in such trees.
 *
 *   root (in the caller's memory):  | node | height | count | last leaf |     height 0: the node is a leaf
 *
 *   leaf                                                            C = capacity, K = words of a key
 *   +-------+----------+------+-----------------+-----------+
 *   | count | previous | next | capacity, start | C records |
 *   +-------+----------+------+-----------------+-----------+
 *   inner node
 *   +-------+----------+------+----------+------------+------------+
 *   | count |    -     |  -   | capacity | C children | C * K keys |
 *   +-------+----------+------+----------+------------+------------+
 *
 * The words of a key are unsigned and compare from the first on. A leaf has only the offsets of its records, since a
 * search for a record reads the record anyway. Key i of an inner node is above all keys below child i - 1 and not above
 * any below child i; key 0 is unused.
 *
 * Most records are inserted in order. Such a record is appended to the last leaf, without a descent. If that leaf is
 * full, it is not split: the record starts a new leaf. Any other leaf that is full splits in the middle. A leaf that
 * becomes less than a quarter full merges with a neighbour if both fit into one; it is freed when it is empty. Most
 * records are also removed in order, from the first on. Their places stay empty, so that the others need not move;
 * `start` counts them.
 */

import { type Arena, blockBytes } from '../memory/arena.js';
import type { ShardMemory } from '../memory/shard-memory.js';

/** Words of a tree's root. All zero: an empty tree. */
export const enum KeyTreeRoot {
  Node = 0,
  Height = 1,
  Count = 2,
  Last = 3,
  WORDS = 4,
}

const enum Node {
  Count = 0,
  Previous = 1,
  Next = 2,
  /** Of a leaf: its capacity, and START_UNIT for each empty place before the records. */
  Capacity = 3,
  WORDS = 4,
}

const CAPACITY_MASK = 0xffff;
const START_UNIT = 0x10000;
const START_SHIFT = 16;

const LEAF_CAPACITY_MIN = 8;
const LEAF_CAPACITY = 64;
const INNER_CAPACITY = 32;
/** Neighbours merge only if they fill at most this much of one node, or the next insert would split it again. */
const MERGED_CAPACITY_PERCENT = 75;

/** More levels than 2^31 bytes of nodes can have. */
const LEVELS_MAX = 16;

/** Upper bound of the words of a key. */
const KEY_WORDS_MAX = 8;

function leafBytes(capacity: number): number {
  return (Node.WORDS + capacity) * 4;
}

export class KeyTree {
  private readonly arena: Arena;
  private readonly words: Int32Array;
  /** Where the key is in a record, and how long it is, in words. */
  private readonly keyStart: number;
  private readonly keyWords: number;
  private readonly innerBytes: number;

  /** The key of the last descent. */
  private readonly key = new Int32Array(KEY_WORDS_MAX);
  /** The path of the last descent, by level: the inner node and which of its children the path takes. */
  private readonly pathNodes = new Int32Array(LEVELS_MAX);
  private readonly pathIndices = new Int32Array(LEVELS_MAX);
  /** Where the last search ended: the place of a record, or of the one after all smaller ones. */
  leaf = 0;
  index = 0;

  /**
   * @param keyStart word of a record at which its key begins
   * @param keyWords words of a key
   */
  constructor(memory: ShardMemory, arena: Arena, keyStart: number, keyWords: number) {
    this.arena = arena;
    this.words = memory.words;
    this.keyStart = keyStart;
    this.keyWords = keyWords;
    this.innerBytes = (Node.WORDS + INNER_CAPACITY * (1 + keyWords)) * 4;
  }

  count(root: number): number {
    return this.words[root + KeyTreeRoot.Count];
  }

  /** An approximate upper bound of the number of nodes. */
  nodeCount(root: number): number {
    return 1 + (this.words[root + KeyTreeRoot.Count] >> 3);
  }

  recordAt(leaf: number, index: number): number {
    return this.words[this.recordsAt(leaf) + index];
  }

  /** Word index of a leaf's first record. */
  private recordsAt(leaf: number): number {
    const at = leaf >> 2;
    return at + Node.WORDS + (this.words[at + Node.Capacity] >>> START_SHIFT);
  }

  private capacityOf(leaf: number): number {
    return this.words[(leaf >> 2) + Node.Capacity] & CAPACITY_MASK;
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

  /** The record with the smallest key, 0 if there is none; `leaf` and `index` are its place. */
  first(root: number): number {
    const { words } = this;
    let node = words[root];
    if (node === 0) return 0;
    for (let level = words[root + KeyTreeRoot.Height]; level > 0; level--) {
      node = words[(node >> 2) + Node.WORDS];
    }
    this.leaf = node;
    this.index = 0;
    return this.recordAt(node, 0);
  }

  /** The record with the largest key, 0 if there is none; `leaf` and `index` are its place. */
  last(root: number): number {
    const leaf = this.words[root + KeyTreeRoot.Last];
    if (leaf === 0) return 0;
    this.leaf = leaf;
    this.index = this.words[leaf >> 2] - 1;
    return this.recordAt(leaf, this.index);
  }

  /** The record at `leaf` and `index`, which may be behind the last one of its leaf; 0 at the end of the tree. */
  private here(): number {
    if (this.leaf !== 0 && this.index === this.words[this.leaf >> 2]) {
      this.leaf = this.nextLeaf(this.leaf);
      this.index = 0;
    }
    return this.leaf === 0 ? 0 : this.recordAt(this.leaf, this.index);
  }

  /** Goes on to the next record; 0 at the end. */
  next(): number {
    this.index++;
    return this.here();
  }

  /** Goes back to the record before; 0 at the beginning. */
  previous(): number {
    if (this.index === 0) {
      this.leaf = this.previousLeaf(this.leaf);
      if (this.leaf === 0) return 0;
      this.index = this.words[this.leaf >> 2];
    }
    this.index--;
    return this.recordAt(this.leaf, this.index);
  }

  /** Order of the keys of two records. */
  private compareRecords(left: number, right: number): number {
    const { words, keyWords } = this;
    let leftAt = (left >> 2) + this.keyStart;
    let rightAt = (right >> 2) + this.keyStart;
    for (let word = 0; word < keyWords; word++, leftAt++, rightAt++) {
      const difference = words[leftAt] ^ words[rightAt];
      if (difference !== 0) return words[leftAt] >>> 0 < words[rightAt] >>> 0 ? -1 : 1;
    }
    return 0;
  }

  /** Order of the key at a word index and the key that is searched for. */
  private compareKey(at: number): number {
    const { words, key, keyWords } = this;
    for (let word = 0; word < keyWords; word++, at++) {
      if (words[at] !== key[word]) return words[at] >>> 0 < key[word] >>> 0 ? -1 : 1;
    }
    return 0;
  }

  /** Sets a word of the key that is searched for. */
  setKey(word: number, value: number): void {
    this.key[word] = value;
  }

  private takeKey(record: number): void {
    const at = (record >> 2) + this.keyStart;
    for (let word = 0; word < this.keyWords; word++) this.key[word] = this.words[at + word];
  }

  /** Descends to the leaf that has the key if any has it; notes the path. */
  private descend(root: number): void {
    const { words, pathNodes, pathIndices, keyWords } = this;
    let node = words[root];
    for (let level = words[root + KeyTreeRoot.Height]; level > 0; level--) {
      const at = node >> 2;
      const keys = at + Node.WORDS + INNER_CAPACITY;
      let low = 1;
      let high = words[at];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (this.compareKey(keys + middle * keyWords) <= 0) low = middle + 1;
        else high = middle;
      }
      pathNodes[level] = node;
      pathIndices[level] = low - 1;
      node = words[at + Node.WORDS + low - 1];
    }
    this.leaf = node;
  }

  /** Index of a leaf's first record whose key is not below the one that is searched for. */
  private lowerBound(leaf: number): number {
    const { words, keyStart } = this;
    const records = this.recordsAt(leaf);
    let low = 0;
    let high = words[leaf >> 2];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.compareKey((words[records + middle] >> 2) + keyStart) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The first record whose key is not below the key set with `setKey`, 0 if there is none. */
  seek(root: number): number {
    this.leaf = 0;
    this.index = 0;
    if (this.words[root] === 0) return 0;
    this.descend(root);
    this.index = this.lowerBound(this.leaf);
    return this.here();
  }

  /** The last record whose key is not above the key set with `setKey`, 0 if there is none. */
  seekBefore(root: number): number {
    const record = this.seek(root);
    if (record !== 0 && this.compareKey((record >> 2) + this.keyStart) === 0) return record;
    return record === 0 ? this.last(root) : this.previous();
  }

  /** The record with the key set with `setKey`, 0 if there is none. */
  find(root: number): number {
    const record = this.seek(root);
    return record !== 0 && this.compareKey((record >> 2) + this.keyStart) === 0 ? record : 0;
  }

  /** Whether there is certainly memory to insert one more record. */
  hasRoomForInsert(root: number): boolean {
    const nodes = this.words[root + KeyTreeRoot.Height] + 2;
    return this.arena.hasRoom(nodes * (blockBytes(Math.max(this.innerBytes, leafBytes(LEAF_CAPACITY))) + 64));
  }

  /** Adds a record whose key no other one has; false, with nothing changed, if there is no memory. */
  insert(root: number, record: number): boolean {
    const { words } = this;
    const last = words[root + KeyTreeRoot.Last];
    if (last === 0) return this.createFirstLeaf(root, record);
    const count = words[last >> 2];
    if (this.compareRecords(this.recordAt(last, count - 1), record) < 0) {
      const start = words[(last >> 2) + Node.Capacity] >>> START_SHIFT;
      if (start + count < this.capacityOf(last)) {
        words[(last >> 2) + Node.WORDS + start + count] = record;
        words[last >> 2] = count + 1;
        words[root + KeyTreeRoot.Count]++;
        return true;
      }
      this.takeKey(record);
      this.descend(root);
      this.index = count;
    } else {
      this.takeKey(record);
      this.descend(root);
      this.index = this.lowerBound(this.leaf);
    }
    return this.insertHere(root, record);
  }

  private insertHere(root: number, record: number): boolean {
    const { words, leaf } = this;
    const capacity = this.capacityOf(leaf);
    if (words[leaf >> 2] < capacity) {
      this.openRecord(leaf, this.index, record);
    } else if (capacity < LEAF_CAPACITY) {
      const larger = this.growLeaf(root, leaf);
      if (larger === 0) return false;
      this.openRecord(larger, this.index, record);
    } else if (!this.split(root, record)) {
      return false;
    }
    words[root + KeyTreeRoot.Count]++;
    return true;
  }

  private createFirstLeaf(root: number, record: number): boolean {
    const leaf = this.createNode(LEAF_CAPACITY_MIN, leafBytes(LEAF_CAPACITY_MIN));
    if (leaf === 0) return false;
    const { words } = this;
    words[root + KeyTreeRoot.Node] = leaf;
    words[root + KeyTreeRoot.Height] = 0;
    words[root + KeyTreeRoot.Count] = 1;
    words[root + KeyTreeRoot.Last] = leaf;
    this.openRecord(leaf, 0, record);
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
  private growLeaf(root: number, leaf: number): number {
    const { words } = this;
    const capacity = this.capacityOf(leaf);
    const larger = this.createNode(2 * capacity, leafBytes(2 * capacity));
    if (larger === 0) return 0;
    const records = (leaf >> 2) + Node.WORDS;
    words.copyWithin((larger >> 2) + Node.WORDS, records, records + capacity);
    words[larger >> 2] = capacity;
    this.arena.free(leaf, leafBytes(capacity));
    words[root + KeyTreeRoot.Node] = larger;
    words[root + KeyTreeRoot.Last] = larger;
    return larger;
  }

  /** Makes room at `index` of a leaf that has some, and puts a record there. */
  private openRecord(leaf: number, index: number, record: number): void {
    const { words } = this;
    const count = words[leaf >> 2];
    if (words[(leaf >> 2) + Node.Capacity] >= START_UNIT) this.closeStart(leaf, count);
    const records = (leaf >> 2) + Node.WORDS;
    for (let at = records + count; at > records + index; at--) words[at] = words[at - 1];
    words[records + index] = record;
    words[leaf >> 2] = count + 1;
  }

  /** Moves the records of a leaf to its beginning. */
  private closeStart(leaf: number, count: number): void {
    const { words } = this;
    const records = this.recordsAt(leaf);
    words.copyWithin((leaf >> 2) + Node.WORDS, records, records + count);
    words[(leaf >> 2) + Node.Capacity] &= CAPACITY_MASK;
  }

  /** Finishes `insert` when the leaf is full: splits it and the full nodes above it. */
  private split(root: number, record: number): boolean {
    const { words, pathNodes, leaf, index } = this;
    const height = words[root + KeyTreeRoot.Height];
    let fullLevels = 0;
    while (fullLevels < height && words[pathNodes[fullLevels + 1] >> 2] === INNER_CAPACITY) fullLevels++;
    // The leaf, the full nodes above it and perhaps a new root.
    const roomBytes = blockBytes(leafBytes(LEAF_CAPACITY)) + (fullLevels + 1) * blockBytes(this.innerBytes);
    if (!this.arena.hasRoom(roomBytes + (fullLevels + 2) * 64)) return false;
    const isAppended = index === LEAF_CAPACITY && words[(leaf >> 2) + Node.Next] === 0;
    const cut = isAppended ? LEAF_CAPACITY : LEAF_CAPACITY >> 1;
    const right = this.splitLeaf(root, leaf, cut);
    if (index > cut || isAppended) this.openRecord(right, index - cut, record);
    else this.openRecord(leaf, index, record);
    this.takeKey(this.recordAt(right, 0));
    this.insertChild(root, right, isAppended);
    return true;
  }

  /** Moves a leaf's records from `cut` on to a new leaf behind it. */
  private splitLeaf(root: number, leaf: number, cut: number): number {
    const { words } = this;
    const right = this.mustCreateNode(LEAF_CAPACITY, leafBytes(LEAF_CAPACITY));
    const records = (leaf >> 2) + Node.WORDS;
    const count = words[leaf >> 2];
    words.copyWithin((right >> 2) + Node.WORDS, records + cut, records + count);
    words[right >> 2] = count - cut;
    words[leaf >> 2] = cut;
    const next = words[(leaf >> 2) + Node.Next];
    words[(right >> 2) + Node.Previous] = leaf;
    words[(right >> 2) + Node.Next] = next;
    words[(leaf >> 2) + Node.Next] = right;
    if (next !== 0) words[(next >> 2) + Node.Previous] = right;
    else words[root + KeyTreeRoot.Last] = right;
    return right;
  }

  private mustCreateNode(capacity: number, lengthBytes: number): number {
    const node = this.createNode(capacity, lengthBytes);
    if (node === 0) throw new Error('key tree: promised room is missing');
    return node;
  }

  /** Inserts a new node after the one that the path leads to, level by level; `key` separates the two. */
  private insertChild(root: number, child: number, isAppended: boolean): void {
    const { words, pathNodes, pathIndices } = this;
    const height = words[root + KeyTreeRoot.Height];
    for (let level = 1; level <= height; level++) {
      const node = pathNodes[level];
      const index = pathIndices[level] + 1;
      if (words[node >> 2] < INNER_CAPACITY) {
        this.openChild(node, index, child);
        return;
      }
      const cut = isAppended ? INNER_CAPACITY : INNER_CAPACITY >> 1;
      const right = this.mustCreateNode(INNER_CAPACITY, this.innerBytes);
      this.moveChildren(node, cut, right, 0, INNER_CAPACITY - cut);
      words[right >> 2] = INNER_CAPACITY - cut;
      words[node >> 2] = cut;
      if (index > cut || isAppended) this.openChild(right, index - cut, child);
      else this.openChild(node, index, child);
      // Key 0 of the new node moves up into its parent.
      this.readKeyOf(right, 0);
      child = right;
    }
    const top = this.mustCreateNode(INNER_CAPACITY, this.innerBytes);
    words[(top >> 2) + Node.WORDS] = words[root];
    words[top >> 2] = 1;
    this.openChild(top, 1, child);
    words[root] = top;
    words[root + KeyTreeRoot.Height] = height + 1;
  }

  private readKeyOf(node: number, index: number): void {
    const at = (node >> 2) + Node.WORDS + INNER_CAPACITY + index * this.keyWords;
    for (let word = 0; word < this.keyWords; word++) this.key[word] = this.words[at + word];
  }

  /** Puts a child at `index` of an inner node that has room; `key` is its key. */
  private openChild(node: number, index: number, child: number): void {
    const { words, key, keyWords } = this;
    const count = words[node >> 2];
    this.moveChildren(node, index, node, index + 1, count - index);
    const children = (node >> 2) + Node.WORDS;
    words[children + index] = child;
    const at = children + INNER_CAPACITY + index * keyWords;
    for (let word = 0; word < keyWords; word++) words[at + word] = key[word];
    words[node >> 2] = count + 1;
  }

  /** Copies children with their keys from one node to another, or within one; does not touch the counts. */
  private moveChildren(source: number, from: number, target: number, to: number, length: number): void {
    if (length <= 0) return;
    const { words, keyWords } = this;
    const sourceChildren = (source >> 2) + Node.WORDS;
    const targetChildren = (target >> 2) + Node.WORDS;
    words.copyWithin(targetChildren + to, sourceChildren + from, sourceChildren + from + length);
    const sourceKeys = sourceChildren + INNER_CAPACITY + from * keyWords;
    const targetKeys = targetChildren + INNER_CAPACITY + to * keyWords;
    words.copyWithin(targetKeys, sourceKeys, sourceKeys + length * keyWords);
  }

  /** Removes a record that is in the tree. */
  remove(root: number, record: number): void {
    if (this.first(root) === record) {
      this.removeFirst(root);
      return;
    }
    this.seekRecord(root, record);
    this.removeHere(root);
  }

  /** Goes to a record that is in the tree. */
  private seekRecord(root: number, record: number): void {
    this.takeKey(record);
    this.descend(root);
    this.index = this.lowerBound(this.leaf);
    if (this.index === this.words[this.leaf >> 2] || this.recordAt(this.leaf, this.index) !== record) {
      throw new Error('key tree: a record is not where it should be');
    }
  }

  /** Removes the first record. */
  removeFirst(root: number): void {
    const { words, pathNodes, pathIndices } = this;
    let node = words[root];
    for (let level = words[root + KeyTreeRoot.Height]; level > 0; level--) {
      pathNodes[level] = node;
      pathIndices[level] = 0;
      node = words[(node >> 2) + Node.WORDS];
    }
    this.leaf = node;
    this.index = 0;
    this.removeHere(root);
  }

  private removeHere(root: number): void {
    const { words, leaf, index } = this;
    const count = words[leaf >> 2] - 1;
    if (index === 0) {
      words[(leaf >> 2) + Node.Capacity] += START_UNIT;
    } else {
      const records = this.recordsAt(leaf);
      for (let at = records + index; at < records + count; at++) words[at] = words[at + 1];
    }
    words[leaf >> 2] = count;
    words[root + KeyTreeRoot.Count]--;
    if (count < LEAF_CAPACITY >> 2) this.mend(root);
  }

  /** Replaces a record that is in the tree by another one with the same key. */
  replace(root: number, record: number, other: number): void {
    const { words } = this;
    const last = words[root + KeyTreeRoot.Last];
    const end = this.recordsAt(last) + words[last >> 2] - 1;
    if (words[end] === record) {
      words[end] = other;
      return;
    }
    this.seekRecord(root, record);
    words[this.recordsAt(this.leaf) + this.index] = other;
  }

  /** Frees or merges the nodes of the path that have become too small, from the leaf upwards. */
  private mend(root: number): void {
    const { words, pathNodes, pathIndices } = this;
    const height = words[root + KeyTreeRoot.Height];
    let node = this.leaf;
    for (let level = 1; level <= height; level++) {
      const isLeaf = level === 1;
      const count = words[node >> 2];
      if (count >= (isLeaf ? LEAF_CAPACITY : INNER_CAPACITY) >> 2) break;
      const parent = pathNodes[level];
      const index = pathIndices[level];
      if (count === 0) {
        this.freeNode(root, node, isLeaf);
        this.closeChild(parent, index);
      } else if (!this.mergeWithNext(root, parent, index, isLeaf)) {
        if (index === 0 || !this.mergeWithNext(root, parent, index - 1, isLeaf)) break;
      }
      node = parent;
    }
    this.lowerRoot(root);
  }

  private freeNode(root: number, node: number, isLeaf: boolean): void {
    const { words } = this;
    if (!isLeaf) {
      this.arena.free(node, this.innerBytes);
      return;
    }
    const at = node >> 2;
    const previous = words[at + Node.Previous];
    const next = words[at + Node.Next];
    if (previous !== 0) words[(previous >> 2) + Node.Next] = next;
    if (next !== 0) words[(next >> 2) + Node.Previous] = previous;
    else words[root + KeyTreeRoot.Last] = previous;
    this.arena.free(node, leafBytes(this.capacityOf(node)));
  }

  private closeChild(node: number, index: number): void {
    const count = this.words[node >> 2] - 1;
    this.moveChildren(node, index + 1, node, index, count - index);
    this.words[node >> 2] = count;
  }

  /** Merges the children `index` and `index + 1` of a node if they fit well; returns whether they did. */
  private mergeWithNext(root: number, parent: number, index: number, isLeaf: boolean): boolean {
    const { words } = this;
    if (index + 1 >= words[parent >> 2]) return false;
    const children = (parent >> 2) + Node.WORDS;
    const left = words[children + index];
    const right = words[children + index + 1];
    const leftCount = words[left >> 2];
    const rightCount = words[right >> 2];
    const capacity = isLeaf ? LEAF_CAPACITY : INNER_CAPACITY;
    if ((leftCount + rightCount) * 100 > capacity * MERGED_CAPACITY_PERCENT) return false;
    if (isLeaf) {
      const records = this.recordsAt(right);
      this.closeStart(left, leftCount);
      words.copyWithin((left >> 2) + Node.WORDS + leftCount, records, records + rightCount);
    } else {
      this.moveChildren(right, 0, left, leftCount, rightCount);
      // Key 0 of the right node is unused; the key that separates the two is in the parent.
      const { keyWords } = this;
      const source = children + INNER_CAPACITY + (index + 1) * keyWords;
      const target = (left >> 2) + Node.WORDS + INNER_CAPACITY + leftCount * keyWords;
      words.copyWithin(target, source, source + keyWords);
    }
    words[left >> 2] = leftCount + rightCount;
    this.freeNode(root, right, isLeaf);
    this.closeChild(parent, index + 1);
    return true;
  }

  /** Replaces a root that has only one child by that child; frees an empty root. */
  private lowerRoot(root: number): void {
    const { words } = this;
    let node = words[root];
    while (words[root + KeyTreeRoot.Height] > 0 && words[node >> 2] === 1) {
      const child = words[(node >> 2) + Node.WORDS];
      this.arena.free(node, this.innerBytes);
      words[root + KeyTreeRoot.Height]--;
      words[root] = child;
      node = child;
    }
    if (words[node >> 2] > 0) return;
    this.freeNode(root, node, words[root + KeyTreeRoot.Height] === 0);
    words.fill(0, root, root + KeyTreeRoot.WORDS);
  }

  /**
   * Frees about `steps` nodes and records, the records with `free` (null: another structure owns them); true when none
   * is left. Between two calls the tree must not be used otherwise.
   */
  releaseSome(root: number, steps: number, free: ((record: number) => void) | null): boolean {
    const { words, pathNodes } = this;
    while (words[root] !== 0) {
      if (steps <= 0) return false;
      const height = words[root + KeyTreeRoot.Height];
      let level = height;
      let node = words[root];
      // Always descends into the last child, then removes it from its parent.
      while (level > 0 && words[node >> 2] > 0) {
        pathNodes[level--] = node;
        node = words[(node >> 2) + Node.WORDS + words[node >> 2] - 1];
      }
      if (level > 0) {
        this.arena.free(node, this.innerBytes);
        steps--;
      } else {
        steps -= this.releaseRecords(node, steps, free);
        if (words[node >> 2] > 0) return false;
        this.arena.free(node, leafBytes(this.capacityOf(node)));
        steps--;
      }
      if (level < height) words[pathNodes[level + 1] >> 2]--;
      else words.fill(0, root, root + KeyTreeRoot.WORDS);
    }
    return true;
  }

  /** Frees records of a leaf, at most `steps`, the last ones first; returns how many. */
  private releaseRecords(leaf: number, steps: number, free: ((record: number) => void) | null): number {
    const { words } = this;
    const count = words[leaf >> 2];
    if (free === null) {
      words[leaf >> 2] = 0;
      return 0;
    }
    const released = Math.min(count, steps);
    for (let index = count - 1; index >= count - released; index--) free(this.recordAt(leaf, index));
    words[leaf >> 2] = count - released;
    return released;
  }

  /** Bytes that the nodes take of the arena. */
  nodeBytes(root: number): number {
    const { words } = this;
    return words[root] === 0 ? 0 : this.bytesBelow(words[root], words[root + KeyTreeRoot.Height]);
  }

  private bytesBelow(node: number, level: number): number {
    const { words } = this;
    if (level === 0) return blockBytes(leafBytes(this.capacityOf(node)));
    const count = words[node >> 2];
    let total = blockBytes(this.innerBytes);
    if (level === 1) return total + count * blockBytes(leafBytes(LEAF_CAPACITY));
    for (let index = 0; index < count; index++) {
      total += this.bytesBelow(words[(node >> 2) + Node.WORDS + index], level - 1);
    }
    return total;
  }

  /** Throws if an invariant is broken. For tests. */
  verify(root: number): void {
    const { words } = this;
    const count = words[root + KeyTreeRoot.Count];
    if (words[root] === 0) {
      if (count !== 0 || words[root + KeyTreeRoot.Last] !== 0) throw new Error('key tree: no node');
      return;
    }
    const height = words[root + KeyTreeRoot.Height];
    if (height > 0 && words[words[root] >> 2] < 2) throw new Error('key tree: a root with one child');
    const leaves: number[] = [];
    if (this.verifyBelow(words[root], height, height === 0, leaves) !== count) {
      throw new Error('key tree: wrong count');
    }
    if (words[root + KeyTreeRoot.Last] !== leaves.at(-1)) throw new Error('key tree: wrong last leaf');
    let last = 0;
    for (const [position, leaf] of leaves.entries()) {
      if (
        this.previousLeaf(leaf) !== (leaves[position - 1] ?? 0) ||
        this.nextLeaf(leaf) !== (leaves[position + 1] ?? 0)
      ) {
        throw new Error('key tree: wrong link of a leaf');
      }
      for (let index = 0; index < words[leaf >> 2]; index++) {
        const record = this.recordAt(leaf, index);
        if (last !== 0 && this.compareRecords(last, record) >= 0) throw new Error('key tree: out of order');
        last = record;
      }
    }
  }

  /** Checks what is below a node and returns how many records that are; puts the leaves into `leaves`. */
  private verifyBelow(node: number, level: number, isRoot: boolean, leaves: number[]): number {
    const { words, keyWords } = this;
    const count = words[node >> 2];
    const capacity = this.capacityOf(node);
    const start = words[(node >> 2) + Node.Capacity] >>> START_SHIFT;
    if (count < 1 || start + count > capacity) throw new Error(`key tree: node with ${count} of ${capacity}`);
    if (level === 0) {
      if (!isRoot && capacity !== LEAF_CAPACITY) throw new Error('key tree: capacity of a leaf');
      leaves.push(node);
      return count;
    }
    if (capacity !== INNER_CAPACITY) throw new Error('key tree: capacity of an inner node');
    const children = (node >> 2) + Node.WORDS;
    let total = 0;
    for (let index = 0; index < count; index++) {
      const firstLeaf = leaves.length;
      total += this.verifyBelow(words[children + index], level - 1, false, leaves);
      if (index === 0) continue;
      this.takeKey(this.recordAt(leaves[firstLeaf]!, 0));
      if (this.compareKey(children + INNER_CAPACITY + index * keyWords) > 0) {
        throw new Error('key tree: a key above what is below its child');
      }
      const before = leaves[firstLeaf - 1]!;
      this.takeKey(this.recordAt(before, words[before >> 2] - 1));
      if (this.compareKey(children + INNER_CAPACITY + index * keyWords) <= 0) {
        throw new Error('key tree: a key not above what is before its child');
      }
    }
    return total;
  }
}
