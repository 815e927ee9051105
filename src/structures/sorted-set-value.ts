/**
 * Sorted sets.
 *
 *   Packed   a packed list of members, each followed by its score, in order of (score, member)
 *   Tree     a dictionary that finds a member's record, and a tree that keeps the records in order
 *
 *   block of a Tree
 *   +----------------------------+----------------------+------------+----------+
 *   | root of the dictionary (4) | root of the tree (3) | cursor (1) | walk (1) |   words; the cursor is for releasing
 *   +----------------------------+----------------------+------------+----------+
 *
 *   record                                     the tree keeps the score once more, beside the record's offset
 *   +------------+------------------+--------+
 *   | score, f64 | length of member | member |   with the length, a bit of member-dictionary.ts
 *   +------------+------------------+--------+
 *
 * Call `find` before `add` and `setScore`, which use its result. A set is read with a cursor that the caller owns, so
 * that it can be read while another set of the same shard is built.
 */

import type { Arena } from '../memory/arena.js';
import { blockBytes } from '../memory/arena.js';
import { hashBytes } from '../memory/hash.js';
import { readDouble, SCORE_BYTES_MAX, writeScore } from '../memory/scores.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { COPIES_OF_SMALL, CollectionValue, Encoding } from './collection-value.js';
import { copyBytes } from './copy.js';
import { DictionaryRoot } from './dictionary.js';
import type { ElementView } from './element-view.js';
import { Walk } from './element-walk.js';
import { MEMBER_LENGTH_MASK, MemberDictionary } from './member-dictionary.js';
import { PACKED_LIST_BYTES_MAX, PackedList } from './packed-list.js';
import { SortedTree, TreeRoot } from './sorted-tree.js';
import type { ValueLimits } from './value-limits.js';

/** More records would be evicted from the cache before they are removed. */
const NEAR_RECORDS_MAX = 32;
const RECORD_HEADER_BYTES = 12;

const TREE_WORD = DictionaryRoot.WORDS;
const CURSOR_WORD = TREE_WORD + TreeRoot.WORDS;
const WALK_WORD = CURSOR_WORD + 1;
const BLOCK_BYTES = (WALK_WORD + 1) * 4;

/** Bytes that a member and its score take beside its text, in any encoding. */
const MEMBER_OVERHEAD_BYTES = 64;

const NO_TEXT: Uint8Array = new Uint8Array(0);
const NO_TEXT_VIEW = new DataView(NO_TEXT.buffer);

/** A place in a sorted set, and the element there. Valid until the set changes. */
export class SortedSetCursor {
  /** The member: `lengthBytes` bytes of `bytes` from `offset` on. */
  bytes = NO_TEXT;
  view = NO_TEXT_VIEW;
  offset = 0;
  lengthBytes = 0;
  score = 0;

  /** @internal Block of a packed set, or 0. */
  block = 0;
  /** @internal Position in the packed list, or the leaf. */
  at = 0;
  /** @internal Index in the leaf. */
  index = 0;
  /** @internal The text of a member that is kept as an integer. */
  text = NO_TEXT;
  /** @internal */
  textView = NO_TEXT_VIEW;

  /** @internal Keeps a copy of a text that is overwritten at the next read. */
  setText(bytes: Uint8Array, offset: number, lengthBytes: number): void {
    if (this.text === NO_TEXT) {
      this.text = new Uint8Array(SCORE_BYTES_MAX);
      this.textView = new DataView(this.text.buffer);
    }
    for (let at = 0; at < lengthBytes; at++) this.text[at] = bytes[offset + at];
    this.bytes = this.text;
    this.view = this.textView;
    this.offset = 0;
  }
}

/** Order of two byte strings: below, equal to or above 0. */
function compareBytes(
  left: Uint8Array,
  leftOffset: number,
  leftLength: number,
  right: Uint8Array,
  rightOffset: number,
  rightLength: number,
): number {
  const end = leftOffset + (leftLength < rightLength ? leftLength : rightLength);
  for (; leftOffset < end; leftOffset++, rightOffset++) {
    const difference = left[leftOffset] - right[rightOffset];
    if (difference !== 0) return difference;
  }
  return leftLength - rightLength;
}

export class SortedSetValue extends CollectionValue {
  private readonly packed: PackedList;
  private readonly doubles: Float64Array;
  private readonly dictionary: MemberDictionary;
  private readonly tree: SortedTree;
  private readonly scoreText = new Uint8Array(SCORE_BYTES_MAX);
  private readonly scoreTextView = new DataView(this.scoreText.buffer);

  /** The score of the member that was found last. */
  score = 0;

  // The result of `find`: the member's hash (Tree), the dictionary's slot or the position in the list.
  private hash = 0;
  private found = 0;

  /** Used by `bringEndNear`: records, then the dictionary's cache lines that lead to them. */
  private readonly near = new Int32Array(NEAR_RECORDS_MAX);

  constructor(memory: ShardMemory, arena: Arena, limits: ValueLimits) {
    super(memory, arena, limits);
    this.packed = new PackedList(memory, arena);
    this.doubles = memory.doubles;
    this.dictionary = new MemberDictionary(memory, arena, RECORD_HEADER_BYTES);
    this.tree = new SortedTree(memory, arena, RECORD_HEADER_BYTES);
  }

  /** For a large sorted set: loads into the cache what a lookup of a record's rank reads. */
  bringNear(dictionaryRoot: number, record: number): number {
    return this.tree.bringNear(dictionaryRoot + TREE_WORD, this.doubles[record >> 3]);
  }

  /**
   * For a large sorted set: loads into the cache what removing the first elements, or with `fromEnd` the last ones,
   * reads, up to the end of a leaf. The result has no meaning.
   */
  bringEndNear(dictionaryRoot: number, count: number, fromEnd: boolean): number {
    const { words, dictionary, tree, near } = this;
    const root = dictionaryRoot + TREE_WORD;
    tree.seek(root, fromEnd ? tree.count(root) - 1 : 0);
    const records = Math.min(count, tree.leafCount(tree.seekLeaf), near.length);
    const first = fromEnd ? tree.seekIndex - records + 1 : 0;
    let sink = 0;
    for (let index = 0; index < records; index++) {
      near[index] = tree.recordAt(tree.seekLeaf, first + index);
      sink ^= words[near[index] >> 2];
    }
    for (let index = 0; index < records; index++) {
      near[index] = dictionary.hintedLine(dictionaryRoot, dictionary.hashOf(near[index]));
    }
    for (let index = 0; index < records; index++) sink ^= words[near[index]];
    return sink;
  }

  override memberRoot(reference: number): number {
    return this.encoding(reference) === Encoding.Tree ? this.dictionaryRoot(reference) : 0;
  }

  override create(reference: number): boolean {
    const block = this.packed.create();
    if (block === 0) return false;
    this.setReference(reference, Encoding.Packed, block);
    return true;
  }

  /**
   * Like `create`, but makes a Tree whatever the limits say, for results of unknown size, of `expected` elements perhaps.
   * Call `packIfSmall` at the end.
   */
  createTree(reference: number, expected: number): boolean {
    const block = this.createTreeBlock(expected);
    if (block === 0) return false;
    this.setReference(reference, Encoding.Tree, block);
    return true;
  }

  /** Turns a Tree that is within the limits into a packed list; it stays a Tree if there is no memory for that. */
  packIfSmall(reference: number): void {
    const { packed, limits } = this;
    const count = this.count(reference);
    if (count === 0 || count > limits.sortedSetPackedEntries) return;
    const cursor = new SortedSetCursor();
    for (let more = this.seek(cursor, reference, 0); more; more = this.next(cursor)) {
      if (cursor.lengthBytes > limits.sortedSetPackedValueBytes) return;
    }
    let list = packed.create();
    for (let more = this.seek(cursor, reference, 0); more && list !== 0; more = this.next(cursor)) {
      const { bytes, view, offset, lengthBytes } = cursor;
      const longer = this.insertPacked(
        list,
        packed.end(list),
        cursor.score,
        bytes,
        view,
        offset,
        lengthBytes,
      );
      if (longer === 0) packed.release(list);
      list = longer;
    }
    if (list === 0) return;
    this.release(reference);
    this.setReference(reference, Encoding.Packed, list);
  }

  private isPacked(reference: number): boolean {
    return this.bytes[reference] === Encoding.Packed;
  }

  /** Word index of the dictionary's root. */
  private dictionaryRoot(reference: number): number {
    return this.blockOf(reference) >> 2;
  }

  /** Word index of the tree's root. */
  private treeRoot(reference: number): number {
    return (this.blockOf(reference) >> 2) + TREE_WORD;
  }

  /**
   * Bytes that adding `elements` members of `elementBytes` bytes in all may ask of the arena, conversions between
   * encodings included. For Arena.promise.
   */
  roomFor(reference: number, elements: number, elementBytes: number): number {
    const addedBytes = elementBytes + elements * MEMBER_OVERHEAD_BYTES;
    if (!this.isPacked(reference)) {
      const root = this.dictionaryRoot(reference);
      const treeBytes = this.tree.roomBytes(root + TREE_WORD, elements);
      return addedBytes + this.dictionary.growthBytes(root, elements) + treeBytes;
    }
    const count = this.count(reference);
    // A small encoding is copied again and again as it grows; then its members become records, a table and a tree.
    const allBytes =
      this.packed.totalBytes(this.blockOf(reference)) + count * MEMBER_OVERHEAD_BYTES + addedBytes;
    return (
      COPIES_OF_SMALL * allBytes +
      allBytes +
      this.dictionary.growthBytes(0, count + elements) +
      this.tree.roomBytes(0, count + elements)
    );
  }

  override count(reference: number): number {
    const block = this.blockOf(reference);
    if (this.isPacked(reference)) return this.packed.count(block) >> 1;
    return this.words[(block >> 2) + DictionaryRoot.Count];
  }

  /** The score at a position of a packed list. */
  private scoreOf(at: number): number {
    const { packed } = this;
    const integer = packed.integerOrNaN(at);
    // NaN is the only number that is not equal to itself.
    // biome-ignore lint/suspicious/noSelfCompare: cheaper than a call on the way to every element
    if (integer === integer) return integer;
    packed.read(at);
    return readDouble(packed.bytes, packed.offset, packed.lengthBytes);
  }

  /** Looks a member up; if it is there, `score` is its score. */
  find(reference: number, bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): boolean {
    const block = this.blockOf(reference);
    if (this.isPacked(reference)) {
      const { packed } = this;
      this.found = packed.find(packed.first(block), 1, bytes, view, offset, lengthBytes);
      if (this.found === 0) return false;
      this.score = this.scoreOf(packed.next(this.found));
      return true;
    }
    this.hash = hashBytes(view, offset, lengthBytes);
    this.found = this.dictionary.find(block >> 2, this.hash, bytes, view, offset, lengthBytes);
    if (this.found === 0) return false;
    this.score = this.doubles[this.words[this.found] >> 3];
    return true;
  }

  /**
   * Adds a member that `find` has just not found; false, with nothing changed, if there is no memory.
   */
  add(
    reference: number,
    score: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): boolean {
    if (this.isPacked(reference)) {
      const block = this.blockOf(reference);
      if (this.fitsPacked(block, lengthBytes)) {
        return this.addPacked(reference, block, score, bytes, view, offset, lengthBytes);
      }
      if (!this.convertToTree(reference)) return false;
      this.hash = hashBytes(view, offset, lengthBytes);
    }
    return this.addRecord(this.blockOf(reference), this.hash, score, bytes, view, offset, lengthBytes);
  }

  private fitsPacked(block: number, lengthBytes: number): boolean {
    const { packed, limits } = this;
    return (
      (packed.count(block) >> 1) + 1 <= limits.sortedSetPackedEntries &&
      lengthBytes <= limits.sortedSetPackedValueBytes &&
      packed.totalBytes(block) + lengthBytes + 64 <= PACKED_LIST_BYTES_MAX
    );
  }

  private addPacked(
    reference: number,
    block: number,
    score: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): boolean {
    const at = this.packedPlace(block, score, bytes, offset, lengthBytes);
    const result = this.insertPacked(block, at, score, bytes, view, offset, lengthBytes);
    if (result === 0) return false;
    this.setReference(reference, Encoding.Packed, result);
    return true;
  }

  private insertPacked(
    block: number,
    at: number,
    score: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): number {
    const { packed, scoreText, scoreTextView } = this;
    const scoreLength = Number.isSafeInteger(score) ? 0 : writeScore(scoreText, 0, score);
    return packed.insertWithNumber(
      block,
      at,
      bytes,
      view,
      offset,
      lengthBytes,
      score,
      scoreText,
      scoreTextView,
      scoreLength,
    );
  }

  /** Position in a packed list before which a member with a score belongs. */
  private packedPlace(
    block: number,
    score: number,
    bytes: Uint8Array,
    offset: number,
    lengthBytes: number,
  ): number {
    const { packed } = this;
    let at = packed.first(block);
    if (at === 0) return packed.end(block);
    // Often scores only grow; so try the end.
    if (this.scoreOf(packed.last(block)) < score) return packed.end(block);
    while (at !== 0) {
      const scoreAt = packed.next(at);
      const other = this.scoreOf(scoreAt);
      if (other > score) return at;
      if (other === score) {
        packed.read(at);
        const order = compareBytes(
          packed.bytes,
          packed.offset,
          packed.lengthBytes,
          bytes,
          offset,
          lengthBytes,
        );
        if (order > 0) return at;
      }
      at = packed.next(scoreAt);
    }
    return packed.end(block);
  }

  /** Adds a record to the dictionary and to the tree whose roots are in `block`. */
  private addRecord(
    block: number,
    hash: number,
    score: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): boolean {
    const { words } = this;
    const root = block >> 2;
    const record = this.arena.allocate(RECORD_HEADER_BYTES + lengthBytes);
    if (record === 0) return false;
    this.doubles[record >> 3] = score;
    words[(record >> 2) + 2] = lengthBytes;
    copyBytes(this.bytes, this.view, record + RECORD_HEADER_BYTES, bytes, view, offset, lengthBytes);
    if (this.dictionary.insert(root, hash, record)) {
      if (this.tree.insert(root + TREE_WORD, score, record)) {
        if (words[root + WALK_WORD] !== 0) this.setLeftOut(root, score, record);
        return true;
      }
      this.dictionary.erase(root, hash, this.dictionary.slotOf(root, hash, record));
    }
    this.freeRecord(record);
    return false;
  }

  private freeRecord(record: number): void {
    this.arena.free(record, RECORD_HEADER_BYTES + this.dictionary.memberLength(record));
  }

  /** An empty Tree for so many elements; 0 if there is no memory. */
  private createTreeBlock(count: number): number {
    const block = this.arena.allocate(BLOCK_BYTES);
    if (block === 0) return 0;
    this.words.fill(0, block >> 2, (block + BLOCK_BYTES) >> 2);
    this.dictionary.reserve(block >> 2, count);
    return block;
  }

  private convertToTree(reference: number): boolean {
    const { packed } = this;
    const list = this.blockOf(reference);
    const block = this.createTreeBlock(this.count(reference) + 1);
    if (block === 0) return false;
    for (let at = packed.first(list); at !== 0; ) {
      const scoreAt = packed.next(at);
      const score = this.scoreOf(scoreAt);
      packed.read(at);
      const hash = hashBytes(packed.view, packed.offset, packed.lengthBytes);
      const { bytes, view, offset, lengthBytes } = packed;
      if (!this.addRecord(block, hash, score, bytes, view, offset, lengthBytes)) {
        this.releaseTree(block, Number.MAX_SAFE_INTEGER);
        return false;
      }
      at = packed.next(scoreAt);
    }
    packed.release(list);
    this.setReference(reference, Encoding.Tree, block);
    return true;
  }

  /** Gives the member that `find` has just found another score; false, with nothing changed, without memory. */
  setScore(
    reference: number,
    score: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): boolean {
    if (!this.isPacked(reference)) {
      const root = this.dictionaryRoot(reference);
      const record = this.words[this.found];
      const at = record >> 3;
      const isWalkedOver = this.words[root + WALK_WORD] !== 0;
      if (isWalkedOver) this.keep(root, record, this.tree.rankOf(root + TREE_WORD, this.doubles[at], record));
      const isMoved = this.tree.move(root + TREE_WORD, this.doubles[at], record, score);
      if (isMoved) this.doubles[at] = score;
      if (isWalkedOver) this.setLeftOut(root, this.doubles[at], record);
      return isMoved;
    }
    const { packed } = this;
    const block = this.blockOf(reference);
    const total = packed.totalBytes(block);
    if (!this.arena.hasRoom(total + (total >> 2) + 4 * SCORE_BYTES_MAX)) return false;
    const shorter = packed.remove(block, this.found, 2);
    if (!this.addPacked(reference, shorter, score, bytes, view, offset, lengthBytes)) {
      throw new Error('sorted set: promised room is missing');
    }
    return true;
  }

  /** Removes a member; false if it is not there. */
  remove(reference: number, bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): boolean {
    if (!this.find(reference, bytes, view, offset, lengthBytes)) return false;
    if (this.isPacked(reference)) {
      const block = this.packed.remove(this.blockOf(reference), this.found, 2);
      this.setReference(reference, Encoding.Packed, block);
      return true;
    }
    const root = this.dictionaryRoot(reference);
    const record = this.words[this.found];
    if (this.words[root + WALK_WORD] !== 0) {
      this.keep(root, record, this.tree.rankOf(root + TREE_WORD, this.score, record));
    }
    this.tree.remove(root + TREE_WORD, this.score, record);
    this.dictionary.erase(root, this.hash, this.found);
    this.freeRecord(record);
    return true;
  }

  /** Removes `count` elements, which are there, from a rank on. */
  removeRange(reference: number, rank: number, count: number): void {
    if (count <= 0) return;
    if (this.isPacked(reference)) {
      const { packed } = this;
      const block = this.blockOf(reference);
      const shorter = packed.remove(block, packed.seek(block, 2 * rank), 2 * count);
      this.setReference(reference, Encoding.Packed, shorter);
      return;
    }
    const { dictionary, tree } = this;
    const root = this.dictionaryRoot(reference);
    for (let left = count; left > 0; ) {
      tree.seek(root + TREE_WORD, rank);
      const run = tree.runLength(left);
      const leaf = tree.seekLeaf;
      const first = tree.seekIndex;
      if (this.words[root + WALK_WORD] !== 0) {
        for (let index = first; index < first + run; index++)
          this.keep(root, tree.recordAt(leaf, index), rank);
        tree.seek(root + TREE_WORD, rank);
      }
      for (let index = first; index < first + run; index++) {
        const record = tree.recordAt(leaf, index);
        const hash = dictionary.hashOf(record);
        dictionary.erase(root, hash, dictionary.slotOf(root, hash, record));
        this.freeRecord(record);
      }
      tree.removeHere(root + TREE_WORD, run);
      left -= run;
    }
  }

  /** The walk that is under way, 0 for none. */
  override walkOf(reference: number): number {
    return this.isPacked(reference) ? 0 : this.words[this.dictionaryRoot(reference) + WALK_WORD];
  }

  override walkSteps(reference: number): number {
    return this.isPacked(reference) ? 0 : this.count(reference);
  }

  override beginWalk(reference: number, walk: number): boolean {
    const { words, tree } = this;
    const root = this.dictionaryRoot(reference);
    words[root + WALK_WORD] = walk;
    tree.seekLast(root + TREE_WORD);
    words[walk + Walk.Position] = tree.recordAt(tree.seekLeaf, tree.seekIndex);
    return true;
  }

  /** Reads a record of a Tree. */
  viewRecord(record: number, view: ElementView): void {
    view.offset = this.dictionary.memberOffset(record);
    view.lengthBytes = this.dictionary.memberLength(record);
    view.score = this.doubles[record >> 3];
  }

  override endWalk(reference: number): void {
    this.words[this.dictionaryRoot(reference) + WALK_WORD] = 0;
  }

  override stepWalk(reference: number, steps: number): boolean {
    const { words, doubles, dictionary, tree, stepped } = this;
    const root = this.dictionaryRoot(reference);
    const at = words[root + WALK_WORD] + Walk.Position;
    this.steppedCount = 0;
    let record = words[at];
    if (record === 0) return false;
    tree.seek(root + TREE_WORD, tree.rankOf(root + TREE_WORD, doubles[record >> 3], record));
    let leaf = tree.seekLeaf;
    let index = tree.seekIndex;
    for (let left = Math.min(steps, stepped.length); left > 0 && record !== 0; left--) {
      if (dictionary.isLeftOut(record)) dictionary.setLeftOut(record, false);
      else stepped[this.steppedCount++] = record;
      if (index === 0) {
        leaf = tree.previousLeaf(leaf);
        index = leaf === 0 ? 0 : tree.leafCount(leaf);
      }
      record = leaf === 0 ? 0 : tree.recordAt(leaf, --index);
    }
    words[at] = record;
    return true;
  }

  private recordOfRank(root: number, rank: number): number {
    this.tree.seek(root + TREE_WORD, rank);
    return this.tree.recordAt(this.tree.seekLeaf, this.tree.seekIndex);
  }

  /**
   * Must be called before an element changes or is removed during a walk. If the element is the walk's next one, the
   * walk continues below `rank`: the element's rank, or that of the first element removed with it.
   */
  private keep(root: number, record: number, rank: number): void {
    const { words, dictionary } = this;
    const walk = words[root + WALK_WORD];
    if (!this.isAhead(walk, this.doubles[record >> 3], record)) return;
    if (!dictionary.isLeftOut(record)) this.keeper?.keepRecord(walk, record);
    dictionary.setLeftOut(record, true);
    if (words[walk + Walk.Position] !== record) return;
    words[walk + Walk.Position] = rank === 0 ? 0 : this.recordOfRank(root, rank - 1);
  }

  /** Whether the walk has not yet passed the place of an element. */
  private isAhead(walk: number, score: number, record: number): boolean {
    const next = this.words[walk + Walk.Position];
    return next !== 0 && !this.tree.isAfter(score, record, this.doubles[next >> 3], next);
  }

  /** Marks an element at a new place as left out if the walk has still to pass this place. */
  private setLeftOut(root: number, score: number, record: number): void {
    this.dictionary.setLeftOut(record, this.isAhead(this.words[root + WALK_WORD], score, record));
  }

  /** The rank of a member, from 0, lowest score first; -1 if it is not there. `score` is its score. */
  rank(reference: number, bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): number {
    if (!this.find(reference, bytes, view, offset, lengthBytes)) return -1;
    if (!this.isPacked(reference)) {
      return this.tree.rankOf(this.treeRoot(reference), this.score, this.words[this.found]);
    }
    const { packed, found } = this;
    let elements = 0;
    for (let at = packed.first(this.blockOf(reference)); at !== found; at = packed.next(at)) elements++;
    return elements >> 1;
  }

  /** How many elements have a score below `score`, or with `orEqual` not above it. */
  countBelowScore(reference: number, score: number, orEqual: boolean): number {
    if (!this.isPacked(reference)) {
      return this.tree.countBelowScore(this.treeRoot(reference), score, orEqual);
    }
    const { packed } = this;
    let elements = 0;
    for (let at = packed.first(this.blockOf(reference)); at !== 0; elements++) {
      const scoreAt = packed.next(at);
      const other = this.scoreOf(scoreAt);
      if (orEqual ? other > score : other >= score) break;
      at = packed.next(scoreAt);
    }
    return elements;
  }

  /**
   * How many elements from the rank `from` on come before the first whose member is not below these bytes (with
   * `orEqual`: is above them). The answer makes sense for a set whose scores are all the same.
   */
  countBelowMember(
    reference: number,
    from: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
    orEqual: boolean,
  ): number {
    if (!this.isPacked(reference)) {
      const root = this.treeRoot(reference);
      const below = this.tree.countBelowMember(root, bytes, view, offset, lengthBytes, orEqual);
      return Math.max(0, below - from);
    }
    const { packed } = this;
    let elements = 0;
    let at = packed.seek(this.blockOf(reference), 2 * from);
    for (; at !== 0; elements++) {
      packed.read(at);
      const order = compareBytes(packed.bytes, packed.offset, packed.lengthBytes, bytes, offset, lengthBytes);
      if (orEqual ? order > 0 : order >= 0) break;
      at = packed.next(packed.next(at));
    }
    return elements;
  }

  /** Puts the cursor on the element of a rank; false if there is none. */
  seek(cursor: SortedSetCursor, reference: number, rank: number): boolean {
    if (rank < 0 || rank >= this.count(reference)) return false;
    if (this.isPacked(reference)) {
      cursor.block = this.blockOf(reference);
      cursor.at = this.packed.seek(cursor.block, 2 * rank);
      this.readPacked(cursor);
    } else {
      this.tree.seek(this.treeRoot(reference), rank);
      cursor.block = 0;
      cursor.at = this.tree.seekLeaf;
      cursor.index = this.tree.seekIndex;
      this.readTree(cursor);
    }
    return true;
  }

  /** Puts the cursor on the last element of a Tree, without using its count (SortedTree.seekLast). */
  seekLast(cursor: SortedSetCursor, reference: number): void {
    const { tree } = this;
    tree.seekLast(this.treeRoot(reference));
    cursor.block = 0;
    cursor.at = tree.seekLeaf;
    cursor.index = tree.seekIndex;
    this.readTree(cursor);
  }

  /** Moves the cursor to the element of the next rank; false at the end, where the cursor becomes invalid. */
  next(cursor: SortedSetCursor): boolean {
    if (cursor.block !== 0) {
      cursor.at = this.packed.next(this.packed.next(cursor.at));
      if (cursor.at === 0) return false;
      this.readPacked(cursor);
      return true;
    }
    if (++cursor.index === this.tree.leafCount(cursor.at)) {
      cursor.at = this.tree.nextLeaf(cursor.at);
      cursor.index = 0;
      if (cursor.at === 0) return false;
    }
    this.readTree(cursor);
    return true;
  }

  /** Like `next`, towards lower ranks. */
  previous(cursor: SortedSetCursor): boolean {
    if (cursor.block !== 0) {
      const score = this.packed.previous(cursor.block, cursor.at);
      if (score === 0) return false;
      cursor.at = this.packed.previous(cursor.block, score);
      this.readPacked(cursor);
      return true;
    }
    if (cursor.index-- === 0) {
      cursor.at = this.tree.previousLeaf(cursor.at);
      if (cursor.at === 0) return false;
      cursor.index = this.tree.leafCount(cursor.at) - 1;
    }
    this.readTree(cursor);
    return true;
  }

  /**
   * Puts the cursor on the first element whose score is not below `score`; false if there is none. Only the score is
   * read, as in `nextScore`; the member of an element is read with `placeOf` and `readPlace`.
   */
  seekScore(cursor: SortedSetCursor, reference: number, score: number): boolean {
    if (this.isPacked(reference)) {
      return this.seek(cursor, reference, this.countBelowScore(reference, score, false));
    }
    const { tree } = this;
    if (!tree.seekScore(this.treeRoot(reference), score)) return false;
    cursor.block = 0;
    cursor.at = tree.seekLeaf;
    cursor.index = tree.seekIndex;
    cursor.score = tree.scoreAt(cursor.at, cursor.index);
    return true;
  }

  /** Moves the cursor to the element of the next rank; false at the end, where the cursor becomes invalid. */
  nextScore(cursor: SortedSetCursor): boolean {
    if (cursor.block !== 0) return this.next(cursor);
    const { tree } = this;
    if (++cursor.index === tree.leafCount(cursor.at)) {
      cursor.at = tree.nextLeaf(cursor.at);
      cursor.index = 0;
      if (cursor.at === 0) return false;
    }
    cursor.score = tree.scoreAt(cursor.at, cursor.index);
    return true;
  }

  /** A number by which `readPlace` finds the cursor's element again, until the set changes. */
  placeOf(cursor: SortedSetCursor): number {
    return cursor.block !== 0 ? cursor.at : this.tree.recordAt(cursor.at, cursor.index);
  }

  /** Reads the element of a place into the cursor, which can't be moved on from there. */
  readPlace(cursor: SortedSetCursor, reference: number, place: number): void {
    if (this.isPacked(reference)) {
      cursor.block = this.blockOf(reference);
      cursor.at = place;
      this.readPacked(cursor);
    } else {
      cursor.score = this.doubles[place >> 3];
      this.readRecord(cursor, place);
    }
  }

  /** Loads the elements at the first `count` places of an order into the cache. The result has no meaning. */
  bringPlacesNear(reference: number, places: Int32Array, order: Int32Array, count: number): number {
    if (this.isPacked(reference)) return 0;
    const { words } = this;
    let sink = 0;
    for (let position = 0; position < count; position++) sink ^= words[places[order[position]] >> 2];
    return sink;
  }

  private readPacked(cursor: SortedSetCursor): void {
    const { packed } = this;
    cursor.score = this.scoreOf(packed.next(cursor.at));
    packed.read(cursor.at);
    cursor.lengthBytes = packed.lengthBytes;
    if (packed.isInteger) {
      cursor.setText(packed.bytes, packed.offset, packed.lengthBytes);
    } else {
      cursor.bytes = packed.bytes;
      cursor.view = packed.view;
      cursor.offset = packed.offset;
    }
  }

  private readTree(cursor: SortedSetCursor): void {
    cursor.score = this.tree.scoreAt(cursor.at, cursor.index);
    this.readRecord(cursor, this.tree.recordAt(cursor.at, cursor.index));
  }

  private readRecord(cursor: SortedSetCursor, record: number): void {
    if (cursor.bytes !== this.bytes) {
      cursor.bytes = this.bytes;
      cursor.view = this.view;
    }
    cursor.offset = record + RECORD_HEADER_BYTES;
    cursor.lengthBytes = this.words[(record >> 2) + 2] & MEMBER_LENGTH_MASK;
  }

  /**
   * One step of a scan of a Tree: returns the next position, 0 at the end, and leaves `scannedCount` elements for
   * `readScanned`. A Packed set has no such steps; it is read with a cursor.
   */
  scan(reference: number, position: number): number {
    return this.dictionary.scan(this.dictionaryRoot(reference), position);
  }

  get scannedCount(): number {
    return this.dictionary.scannedCount;
  }

  readScanned(cursor: SortedSetCursor, index: number): void {
    const record = this.dictionary.scanned[index];
    cursor.score = this.doubles[record >> 3];
    this.readRecord(cursor, record);
  }

  override releaseSome(reference: number, steps: number): boolean {
    const block = this.blockOf(reference);
    if (this.isPacked(reference)) {
      this.packed.release(block);
      return true;
    }
    return this.releaseTree(block, steps);
  }

  private releaseTree(block: number, steps: number): boolean {
    const { words, dictionary } = this;
    const root = block >> 2;
    if (words[root + TREE_WORD] !== 0 && !this.tree.releaseSome(root + TREE_WORD, steps)) return false;
    let cursor = words[root + CURSOR_WORD];
    while (cursor >= 0 && steps > 0) {
      cursor = dictionary.drain(root, cursor);
      const { scanned, scannedCount } = dictionary;
      for (let index = 0; index < scannedCount; index++) this.freeRecord(scanned[index]);
      steps -= scannedCount;
    }
    words[root + CURSOR_WORD] = cursor;
    if (cursor >= 0) return false;
    this.arena.free(block, BLOCK_BYTES);
    return true;
  }

  override releaseSteps(reference: number): number {
    if (this.isPacked(reference)) return 1;
    return this.count(reference) + this.tree.nodeCount(this.treeRoot(reference));
  }

  override copy(reference: number, source: this, sourceReference: number): boolean {
    const sourceBlock = source.blockOf(sourceReference);
    if (source.isPacked(sourceReference)) {
      const block = this.packed.copy(source.packed, sourceBlock);
      if (block === 0) return false;
      this.setReference(reference, Encoding.Packed, block);
      return true;
    }
    const block = this.createTreeBlock(source.count(sourceReference));
    if (block === 0) return false;
    const cursor = new SortedSetCursor();
    for (let more = source.seek(cursor, sourceReference, 0); more; more = source.next(cursor)) {
      const { bytes, view, offset, lengthBytes } = cursor;
      const hash = hashBytes(view, offset, lengthBytes);
      if (!this.addRecord(block, hash, cursor.score, bytes, view, offset, lengthBytes)) {
        this.releaseTree(block, Number.MAX_SAFE_INTEGER);
        return false;
      }
    }
    this.setReference(reference, Encoding.Tree, block);
    return true;
  }

  override usedBytes(reference: number, samples: number): number {
    const block = this.blockOf(reference);
    if (this.isPacked(reference)) return blockBytes(this.packed.blockBytes(block));
    const root = block >> 2;
    const count = this.count(reference);
    const wanted = samples === 0 ? count : Math.min(samples, count);
    const { tree } = this;
    let records = 0;
    let seen = 0;
    if (count > 0) {
      tree.seek(root + TREE_WORD, 0);
      let leaf = tree.seekLeaf;
      while (leaf !== 0 && seen < wanted) {
        const end = Math.min(tree.leafCount(leaf), wanted - seen);
        for (let index = 0; index < end; index++) {
          records += blockBytes(
            RECORD_HEADER_BYTES + this.dictionary.memberLength(tree.recordAt(leaf, index)),
          );
        }
        seen += end;
        leaf = tree.nextLeaf(leaf);
      }
    }
    const average = seen === 0 ? 0 : records / seen;
    return (
      blockBytes(BLOCK_BYTES) +
      this.dictionary.tableBytes(root) +
      tree.nodeBytes(root + TREE_WORD) +
      Math.round(average * count)
    );
  }

  override verify(reference: number): void {
    const block = this.blockOf(reference);
    if (this.isPacked(reference)) {
      this.verifyPacked(block);
      return;
    }
    const root = block >> 2;
    this.dictionary.verify(root);
    this.tree.verify(root + TREE_WORD);
    const count = this.words[root + DictionaryRoot.Count];
    if (this.tree.count(root + TREE_WORD) !== count) throw new Error('sorted set: counts differ');
    const cursor = new SortedSetCursor();
    for (let more = this.seek(cursor, reference, 0); more; more = this.next(cursor)) {
      const { score } = cursor;
      if (!this.find(reference, cursor.bytes, cursor.view, cursor.offset, cursor.lengthBytes)) {
        throw new Error('sorted set: a member of the tree is not in the dictionary');
      }
      if (!Object.is(this.score, score))
        throw new Error('sorted set: scores of a record and the tree differ');
    }
  }

  private verifyPacked(block: number): void {
    const { packed } = this;
    packed.verify(block);
    if (packed.count(block) % 2 !== 0) throw new Error('sorted set: a member without a score');
    let previousScore = Number.NEGATIVE_INFINITY;
    let previousMember: Buffer | null = null;
    for (let at = packed.first(block); at !== 0; ) {
      const scoreAt = packed.next(at);
      const score = this.scoreOf(scoreAt);
      packed.read(at);
      const member = Buffer.from(packed.bytes.slice(packed.offset, packed.offset + packed.lengthBytes));
      const isAbove =
        previousMember === null ||
        score > previousScore ||
        (score === previousScore && Buffer.compare(member, previousMember) > 0);
      if (!isAbove || Number.isNaN(score)) throw new Error('sorted set: packed list out of order');
      previousScore = score;
      previousMember = member;
      at = packed.next(scoreAt);
    }
  }
}
