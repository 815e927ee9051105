/**
 * Streams: entries in the order of their ids, and groups that read them.
 *
 * The root (stream-root.ts) has a tree of blocks of some four KiB of entries each (stream-block.ts). An entry is added
 * to the last block without a search; one with an id is found through the tree and along its block; trimming takes
 * whole blocks where it can. The groups are in stream-groups.ts, the walk of snapshots in stream-walk.ts.
 */

import type { Arena } from '../memory/arena.js';
import { blockBytes } from '../memory/arena.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { CollectionValue, Encoding } from './collection-value.js';
import type { ElementKeeper } from './element-walk.js';
import { KeyTree } from './key-tree.js';
import { Vector } from './named-records.js';
import { ElementReader } from './packed-element.js';
import { RadixNodes } from './radix-nodes.js';
import { StreamBlocks, StreamEntry } from './stream-block.js';
import { Group, Pending, StreamGroups } from './stream-groups.js';
import { addInt64, ID_WORDS, StreamId, setInt64, uint64ToBigInt } from './stream-id.js';
import { StreamProducers } from './stream-producers.js';
import { STREAM_BYTES, Stream } from './stream-root.js';
import { StreamTrim, type TrimOptions } from './stream-trim.js';
import { StreamWalk } from './stream-walk.js';
import type { ValueLimits } from './value-limits.js';

/** Streams with more blocks or more pending entries count as long. */
const LONG_BLOCKS = 8;
const LONG_PENDING = 1024;

/** At most so many blocks are read to estimate how many nodes a radix tree of all of them would have. */
const COUNTED_BLOCKS_MAX = 1000;

/** A place among the entries of a stream, and the entry there. Valid until the stream changes. */
export class StreamRange {
  readonly entry = new StreamEntry();
  /** @internal The tree's leaf that has the next block, 0: none. */
  leaf = 0;
  /** @internal */
  index = 0;
  /** @internal The block, and the position of the next entry in it, or of the one before going backwards. */
  block = 0;
  /** @internal */
  at = 0;
  /** @internal Forwards: the next entries may still lie before `start`. */
  isBefore = false;
  /** @internal Backwards: positions of the block's entries, and how many of them are still to come. */
  positions = new Int32Array(128);
  /** @internal */
  left = 0;
  readonly start = new StreamId();
  readonly end = new StreamId();
}

export class StreamValue extends CollectionValue {
  readonly blocks: StreamBlocks;
  readonly groups: StreamGroups;
  readonly producers: StreamProducers;
  readonly walk: StreamWalk;
  private readonly tree: KeyTree;
  private readonly trimmer: StreamTrim;
  private readonly range = new StreamRange();
  private readonly id = new StreamId();
  /** Reads fields and values. */
  readonly elements: ElementReader;
  /** The entry that `find` has found. */
  readonly found = new StreamEntry();

  constructor(memory: ShardMemory, arena: Arena, limits: ValueLimits) {
    super(memory, arena, limits);
    this.blocks = new StreamBlocks(memory, arena);
    this.elements = new ElementReader(memory);
    this.tree = new KeyTree(memory, arena, 0, ID_WORDS);
    this.groups = new StreamGroups(memory, arena);
    this.producers = new StreamProducers(memory, arena);
    this.walk = new StreamWalk(memory, arena, this.blocks, this.tree, this.groups, this.stepped);
    this.groups.keeper = this.walk;
    this.trimmer = new StreamTrim(
      this.words,
      this.tree,
      this.blocks,
      this.groups,
      this.walk,
      this,
      this.found,
    );
  }

  override setKeeper(keeper: ElementKeeper): void {
    super.setKeeper(keeper);
    this.walk.keeper = keeper;
  }

  /** Word index of a stream's root. */
  root(reference: number): number {
    return this.blockOf(reference) >> 2;
  }

  /** Word index of the vector of a stream's groups. */
  groupsOf(reference: number): number {
    return this.root(reference) + Stream.Groups;
  }

  override create(reference: number): boolean {
    const block = this.arena.allocate(STREAM_BYTES);
    if (block === 0) return false;
    this.words.fill(0, block >> 2, (block + STREAM_BYTES) >> 2);
    this.setReference(reference, Encoding.Stream, block);
    return true;
  }

  /** What is known of a stream's producers (stream-producers.ts), 0 if there were none. */
  producersOf(reference: number): number {
    return this.words[this.root(reference) + Stream.Producers];
  }

  /** Like `producersOf`, but creates it if it is missing; 0 if there is no memory. */
  producersFor(reference: number): number {
    const { words, limits } = this;
    const at = this.root(reference) + Stream.Producers;
    if (words[at] === 0)
      words[at] = this.producers.create(limits.streamProducerSeconds, limits.streamProducerIds);
    return words[at];
  }

  /** Number of entries. */
  override count(reference: number): number {
    return this.words[this.root(reference) + Stream.Length];
  }

  /** A stream may have no entries. */
  override isEmpty(_reference: number): boolean {
    return false;
  }

  blockCount(reference: number): number {
    return this.tree.count(this.root(reference) + Stream.Blocks);
  }

  /** The first block, 0 if there is none; `nextBlockOf` goes on from there. */
  firstBlock(reference: number): number {
    return this.tree.first(this.root(reference) + Stream.Blocks);
  }

  /** The block after the one that was returned last, 0 if there is none. Nothing may have changed since. */
  nextBlockOf(): number {
    return this.tree.next();
  }

  lastId(reference: number, id: StreamId): void {
    id.read(this.words, this.root(reference) + Stream.LastId);
  }

  firstId(reference: number, id: StreamId): void {
    id.read(this.words, this.root(reference) + Stream.FirstId);
  }

  maxDeletedId(reference: number, id: StreamId): void {
    id.read(this.words, this.root(reference) + Stream.MaxDeletedId);
  }

  /** How many entries were ever added. */
  entriesAdded(reference: number): bigint {
    const at = this.root(reference) + Stream.EntriesAdded;
    return uint64ToBigInt(this.words[at + 1], this.words[at]);
  }

  /**
   * Sets what files and XSETID contain of a stream: its last id, how many entries were ever added (below 0: as it is),
   * and the largest id that was deleted (null: as it is).
   */
  setIds(reference: number, lastId: StreamId, entriesAdded: bigint, maxDeletedId: StreamId | null): void {
    const root = this.root(reference);
    lastId.write(this.words, root + Stream.LastId);
    if (entriesAdded >= 0n) setInt64(this.words, root + Stream.EntriesAdded, entriesAdded);
    maxDeletedId?.write(this.words, root + Stream.MaxDeletedId);
  }

  setFirstId(reference: number, id: StreamId): void {
    id.write(this.words, this.root(reference) + Stream.FirstId);
  }

  /**
   * Adds the entry that was set with `blocks.take`, with an id above all others; false, with nothing changed, if there
   * is no memory.
   */
  append(reference: number, id: StreamId): boolean {
    const { words, tree, blocks, limits } = this;
    const root = this.root(reference);
    const blockTree = root + Stream.Blocks;
    const isWalkedOver = words[root + Stream.Walk] !== 0;
    const last = tree.last(blockTree);
    if (last !== 0 && !blocks.isFull(last, limits.streamNodeBytes, limits.streamNodeEntries)) {
      if (isWalkedOver) this.walk.keepBlock(root, last);
      const block = blocks.append(last, id);
      if (block === 0) return false;
      if (block !== last) tree.replace(blockTree, last, block);
    } else {
      const block = blocks.create(id, last);
      if (block === 0) return false;
      if (!tree.insert(blockTree, block)) {
        blocks.free(block);
        return false;
      }
      if (isWalkedOver) this.walk.markNewBlock(root, block);
      if (last !== 0) blocks.shrink(last);
    }
    addInt64(this.words, root + Stream.EntriesAdded, 1);
    id.write(words, root + Stream.LastId);
    if (++words[root + Stream.Length] === 1) id.write(words, root + Stream.FirstId);
    return true;
  }

  /**
   * Adds a block that was read from a file; its ids must be above those of all others. Returns 1 if it was added, 0 if
   * there is no memory, -1 if its ids are not above.
   */
  addBlock(reference: number, block: number): number {
    const { words, tree, blocks, found } = this;
    const root = this.root(reference);
    const last = tree.last(root + Stream.Blocks);
    if (last !== 0) {
      blocks.read(found, last, blocks.lastEntry(last));
      this.id.read(words, block >> 2);
      if (found.compareId(this.id) >= 0) return -1;
    }
    if (!tree.insert(root + Stream.Blocks, block)) return 0;
    words[root + Stream.Length] += blocks.live(block);
    return 1;
  }

  private setKey(id: StreamId): void {
    const { tree } = this;
    tree.setKey(0, id.msHigh);
    tree.setKey(1, id.msLow);
    tree.setKey(2, id.seqHigh);
    tree.setKey(3, id.seqLow);
  }

  /** Whether there is an entry with an id, which is then in `found`. */
  find(reference: number, id: StreamId): boolean {
    const { tree, blocks, found } = this;
    this.setKey(id);
    const block = tree.seekBefore(this.root(reference) + Stream.Blocks);
    if (block === 0) return false;
    const end = blocks.end(block);
    for (let at = blocks.entries(block); at < end; at = found.end) {
      blocks.read(found, block, at);
      const order = found.compareId(id);
      if (order >= 0) return order === 0 && !found.isDeleted;
    }
    return false;
  }

  /**
   * Prepares to read the entries from `range.start` to `range.end`, both included; `next` or `previous` reads the first
   * one.
   */
  begin(range: StreamRange, reference: number, isReverse: boolean): void {
    const { tree } = this;
    const blockTree = this.root(reference) + Stream.Blocks;
    range.block = 0;
    range.at = 0;
    range.left = 0;
    range.isBefore = !range.start.isMin;
    let block: number;
    if (isReverse) {
      if (range.end.isMax) {
        block = tree.last(blockTree);
      } else {
        this.setKey(range.end);
        block = tree.seekBefore(blockTree);
      }
    } else if (range.isBefore) {
      this.setKey(range.start);
      block = tree.seekBefore(blockTree);
      if (block === 0) block = tree.first(blockTree);
    } else {
      block = tree.first(blockTree);
    }
    range.leaf = block === 0 ? 0 : tree.leaf;
    range.index = tree.index;
  }

  /** Reads the next entry into `range.entry`; false at the end. */
  next(range: StreamRange): boolean {
    const { blocks } = this;
    const { entry } = range;
    for (;;) {
      if (range.block === 0 || range.at === blocks.end(range.block)) {
        if (!this.nextBlock(range)) return false;
      }
      blocks.read(entry, range.block, range.at);
      range.at = entry.end;
      if (entry.isDeleted) continue;
      if (range.isBefore) {
        if (entry.compareId(range.start) < 0) continue;
        range.isBefore = false;
      }
      return entry.compareId(range.end) <= 0;
    }
  }

  private nextBlock(range: StreamRange): boolean {
    const { tree, blocks } = this;
    if (range.leaf === 0) return false;
    range.block = tree.recordAt(range.leaf, range.index);
    range.at = blocks.entries(range.block);
    if (++range.index === tree.leafCount(range.leaf)) {
      range.leaf = tree.nextLeaf(range.leaf);
      range.index = 0;
    }
    return true;
  }

  /** Reads the entry before into `range.entry`; false at the beginning. */
  previous(range: StreamRange): boolean {
    const { blocks } = this;
    const { entry } = range;
    for (;;) {
      if (range.left === 0 && !this.previousBlock(range)) return false;
      // Backwards, a block's last entry comes first. Its position is known, and often no other entry is needed.
      const at = range.at !== 0 ? range.at : range.positions[--range.left];
      blocks.read(entry, range.block, at);
      if (range.at !== 0) {
        range.at = 0;
        this.listPositions(range, at);
      }
      if (entry.isDeleted || entry.compareId(range.end) > 0) continue;
      return entry.compareId(range.start) >= 0;
    }
  }

  private previousBlock(range: StreamRange): boolean {
    const { tree, blocks } = this;
    if (range.leaf === 0) return false;
    range.block = tree.recordAt(range.leaf, range.index);
    range.at = blocks.lastEntry(range.block);
    range.left = 1;
    if (range.index === 0) {
      range.leaf = tree.previousLeaf(range.leaf);
      range.index = range.leaf === 0 ? 0 : tree.leafCount(range.leaf);
    }
    range.index--;
    return true;
  }

  /** Notes the positions of a block's entries before `end`. */
  private listPositions(range: StreamRange, end: number): void {
    const { blocks } = this;
    let count = 0;
    for (let at = blocks.entries(range.block); at < end; at = blocks.following(at)) {
      if (count === range.positions.length) {
        const positions = new Int32Array(2 * count);
        positions.set(range.positions);
        range.positions = positions;
      }
      range.positions[count++] = at;
    }
    range.left = count;
  }

  /** The last entry that is not deleted, in `found`; false if there is none. */
  findLast(reference: number): boolean {
    const { range } = this;
    range.start.setMin();
    range.end.setMax();
    this.begin(range, reference, true);
    if (!this.previous(range)) return false;
    Object.assign(this.found, range.entry);
    return true;
  }

  /** Deletes the entry in `found`, which is one of the stream's. */
  deleteFound(reference: number): void {
    const { words, blocks, found } = this;
    const root = this.root(reference);
    const { block } = found;
    this.id.read(words, root + Stream.FirstId);
    const isFirst = found.compareId(this.id) === 0;
    if (blocks.live(block) === 1) {
      this.removeBlock(root, block);
    } else {
      if (words[root + Stream.Walk] !== 0) this.walk.keepBlock(root, block);
      blocks.delete(found);
    }
    words[root + Stream.Length]--;
    if (isFirst || words[root + Stream.Length] === 0) this.findFirstId(root);
  }

  /** Deletes the entry with an id; false if there is none. */
  delete(reference: number, id: StreamId): boolean {
    if (!this.find(reference, id)) return false;
    this.deleteFound(reference);
    const root = this.root(reference);
    if (id.compareTo(this.words, root + Stream.MaxDeletedId) > 0) {
      id.write(this.words, root + Stream.MaxDeletedId);
    }
    return true;
  }

  /** Whether all groups have read an entry and acknowledged it. */
  isAcknowledged(reference: number, id: StreamId): boolean {
    return this.groups.isAcknowledged(this.groupsOf(reference), id);
  }

  /** Removes the pending entry with an id from all groups; returns how many had one. */
  removeReferences(reference: number, id: StreamId): number {
    return this.groups.removeReferences(this.groupsOf(reference), id);
  }

  /** The id of the first entry, which may be deleted; if there is none, the largest id. */
  firstEntryId(reference: number, id: StreamId): void {
    const { tree, blocks, found } = this;
    const first = tree.first(this.root(reference) + Stream.Blocks);
    if (first === 0) {
      id.setMax();
      return;
    }
    blocks.read(found, first, blocks.entries(first));
    found.copyIdTo(id);
  }

  /** The id of the last entry, which may be deleted; false if there is none. */
  lastEntryId(reference: number, id: StreamId): boolean {
    const { tree, blocks, found } = this;
    const last = tree.last(this.root(reference) + Stream.Blocks);
    if (last === 0) return false;
    blocks.read(found, last, blocks.lastEntry(last));
    found.copyIdTo(id);
    return true;
  }

  /** Finds out which id is the first one, for a file that does not contain it. */
  updateFirstId(reference: number): void {
    this.findFirstId(this.root(reference));
  }

  /** @internal Notes the id of the first entry, 0-0 if there is none. */
  findFirstId(root: number): void {
    const { words, tree, blocks, found } = this;
    const at = root + Stream.FirstId;
    if (words[root + Stream.Length] === 0) {
      words.fill(0, at, at + ID_WORDS);
      return;
    }
    let block = tree.first(root + Stream.Blocks);
    while (block !== 0 && blocks.live(block) === 0) block = tree.next();
    if (block === 0) return;
    let position = blocks.entries(block);
    do {
      blocks.read(found, block, position);
      position = found.end;
    } while (found.isDeleted);
    found.copyIdTo(this.id);
    this.id.write(words, at);
  }

  /** @internal Removes a block from a stream and frees it, unless a walk still needs it. */
  removeBlock(root: number, block: number): void {
    this.tree.remove(root + Stream.Blocks, block);
    if (this.words[root + Stream.Walk] === 0 || !this.walk.takeBlock(root, block)) this.blocks.free(block);
  }

  /** Removes entries from the beginning as the options say; returns how many. */
  trim(reference: number, options: TrimOptions): number {
    return this.trimmer.trim(this.root(reference), options);
  }

  /**
   * Whether entries from an id on (null: from the first) were deleted other than from the beginning, so that they can't
   * be counted by ids.
   */
  private hasGaps(root: number, from: StreamId | null): boolean {
    const { words, id } = this;
    id.read(words, root + Stream.MaxDeletedId);
    if (words[root + Stream.Length] === 0 || id.isMin) return false;
    if (id.compareTo(words, root + Stream.FirstId) < 0) return false;
    return from === null || from.compare(id) <= 0;
  }

  /** How many entries were ever added up to an id, if that can be told without counting; -1 if not. */
  estimateEntriesRead(reference: number, id: StreamId): bigint {
    const { words } = this;
    const root = this.root(reference);
    const added = this.entriesAdded(reference);
    if (added === 0n) return 0n;
    const toLast = id.compareTo(words, root + Stream.LastId);
    if (words[root + Stream.Length] === 0 && toLast < 1) return added;
    if (toLast === 0) return added;
    if (toLast > 0) return -1n;
    const { id: deleted } = this;
    deleted.read(words, root + Stream.MaxDeletedId);
    if (!deleted.isMin && deleted.compareTo(words, root + Stream.FirstId) >= 0) return -1n;
    const toFirst = id.compareTo(words, root + Stream.FirstId);
    if (toFirst > 0) return -1n;
    return added - BigInt(words[root + Stream.Length]) + (toFirst === 0 ? 1n : 0n);
  }

  /** A group's number of entries read; -1: not known. */
  entriesRead(group: number): bigint {
    const at = (group >> 2) + Group.EntriesRead;
    return BigInt.asIntN(64, uint64ToBigInt(this.words[at + 1], this.words[at]));
  }

  setEntriesRead(group: number, entries: bigint): void {
    setInt64(this.words, (group >> 2) + Group.EntriesRead, entries);
  }

  /**
   * How many entries a group has still to read, null if that can't be told. It is computed from the counters, so it is
   * below 0 if a command has set them so.
   */
  lag(reference: number, group: number): bigint | null {
    const added = this.entriesAdded(reference);
    if (added === 0n) return 0n;
    const read = this.entriesRead(group);
    this.range.start.read(this.words, (group >> 2) + Group.LastId);
    if (read !== -1n && !this.hasGaps(this.root(reference), this.range.start)) {
      return BigInt.asIntN(64, added - read);
    }
    const estimated = this.estimateEntriesRead(reference, this.range.start);
    return estimated < 0n ? null : added - estimated;
  }

  /** Notes that a group has read up to an id above its last one. */
  advance(reference: number, group: number, id: StreamId): void {
    const { words } = this;
    const root = this.root(reference);
    const at = (group >> 2) + Group.EntriesRead;
    const isKnown = (words[at] & words[at + 1]) !== -1;
    if (isKnown && !this.hasGaps(root, id)) {
      addInt64(words, at, 1);
    } else if ((words[root + Stream.EntriesAdded] | words[root + Stream.EntriesAdded + 1]) !== 0) {
      this.setEntriesRead(group, this.estimateEntriesRead(reference, id));
    }
    id.write(words, (group >> 2) + Group.LastId);
  }

  /** A group with a name, 0 if there is none. */
  findGroup(reference: number, bytes: Uint8Array, offset: number, lengthBytes: number): number {
    return this.groups.groups.find(this.groupsOf(reference), bytes, offset, lengthBytes);
  }

  /** The id up to which a group has read. */
  lastDeliveredId(group: number, id: StreamId): void {
    id.read(this.words, (group >> 2) + Group.LastId);
  }

  setLastDeliveredId(group: number, id: StreamId): void {
    id.write(this.words, (group >> 2) + Group.LastId);
  }

  groupCount(reference: number): number {
    return this.groups.groups.count(this.groupsOf(reference));
  }

  /** A group by its place in the order of names. */
  groupAt(reference: number, index: number): number {
    return this.groups.groups.recordAt(this.groupsOf(reference), index);
  }

  /** Whether something that is pending was given back by its consumer. */
  hasGivenBack(reference: number): boolean {
    for (let index = 0; index < this.groupCount(reference); index++) {
      if (this.groups.givenBackCount(this.groupAt(reference, index)) > 0) return true;
    }
    return false;
  }

  /**
   * Removes a group from a stream. It becomes the only content of a new stream, which is to be freed in steps and whose
   * reference is put at `target`. False if nothing is left to free: a walk still needs the group, or it was freed at
   * once for lack of memory.
   */
  destroyGroup(reference: number, group: number, target: number): boolean {
    const { words } = this;
    this.groups.groups.remove(this.groupsOf(reference), group);
    if (this.walk.detach(group)) return false;
    if (!this.create(target)) {
      this.releaseGroup(group);
      return false;
    }
    const vector = this.groupsOf(target);
    const block = this.arena.allocate(4);
    if (block === 0) {
      this.release(target);
      this.releaseGroup(group);
      return false;
    }
    words[block >> 2] = group;
    words[vector] = block;
    words[vector + Vector.Count] = 1;
    words[vector + Vector.Capacity] = 1;
    return true;
  }

  private releaseGroup(group: number): void {
    while (!this.groups.releaseSome(group, Number.MAX_SAFE_INTEGER)) {}
  }

  private readonly freeBlock = (block: number): void => this.blocks.free(block);

  override releaseSome(reference: number, steps: number): boolean {
    const { groups } = this.groups;
    const root = this.root(reference);
    const vector = root + Stream.Groups;
    if (!this.tree.releaseSome(root + Stream.Blocks, steps, this.freeBlock)) return false;
    for (let left = steps; groups.count(vector) > 0; left--) {
      if (left <= 0) return false;
      const group = groups.recordAt(vector, groups.count(vector) - 1);
      if (!this.groups.releaseSome(group, steps)) return false;
      groups.removeLast(vector);
    }
    const known = this.producersOf(reference);
    if (known !== 0 && !this.producers.releaseSome(known, steps)) return false;
    this.arena.free(root << 2, STREAM_BYTES);
    return true;
  }

  /**
   * How many nodes Redis's radix tree of the blocks would have; for many blocks, an estimate from the first ones.
   */
  radixTreeNodes(reference: number): number {
    const { words, tree } = this;
    const count = this.blockCount(reference);
    if (count === 0) return 1;
    const counted = Math.min(count, COUNTED_BLOCKS_MAX);
    const nodes = new RadixNodes();
    let block = tree.first(this.root(reference) + Stream.Blocks);
    for (let left = counted; left > 0; left--) {
      nodes.add(words, block >> 2);
      block = tree.next();
    }
    return Math.round((nodes.end() * count) / counted);
  }

  override releaseSteps(reference: number): number {
    let steps = 1 + this.blockCount(reference);
    for (let index = 0; index < this.groupCount(reference); index++) {
      steps += this.groups.releaseSteps(this.groupAt(reference, index));
    }
    const known = this.producersOf(reference);
    return known === 0 ? steps : steps + this.producers.idCount(known);
  }

  override copy(reference: number, source: this, sourceReference: number): boolean {
    if (!this.create(reference)) return false;
    if (
      this.copyBlocks(reference, source, sourceReference) &&
      this.copyGroups(reference, source, sourceReference) &&
      this.copyProducers(reference, source, sourceReference)
    ) {
      return true;
    }
    this.release(reference);
    return false;
  }

  private copyBlocks(reference: number, source: this, sourceReference: number): boolean {
    const { words, tree, blocks } = this;
    const root = this.root(reference);
    const sourceRoot = source.root(sourceReference);
    for (let word = Stream.LastId; word < Stream.Groups; word++) {
      words[root + word] = source.words[sourceRoot + word];
    }
    const sourceTree = source.tree;
    let block = sourceTree.first(sourceRoot + Stream.Blocks);
    let { leaf, index } = sourceTree;
    while (block !== 0) {
      const copy = blocks.copy(source.blocks, block);
      if (copy === 0) return false;
      blocks.setLeftOut(copy, false);
      if (!tree.insert(root + Stream.Blocks, copy)) {
        blocks.free(copy);
        return false;
      }
      // Source and copy may share one KeyTree, whose place `insert` changes.
      if (++index === sourceTree.leafCount(leaf)) {
        leaf = sourceTree.nextLeaf(leaf);
        index = 0;
      }
      block = leaf === 0 ? 0 : sourceTree.recordAt(leaf, index);
    }
    return true;
  }

  private copyGroups(reference: number, source: this, sourceReference: number): boolean {
    const { groups, id } = this;
    for (let index = 0; index < source.groupCount(sourceReference); index++) {
      const group = source.groupAt(sourceReference, index);
      const at = group >> 2;
      id.read(source.words, at + Group.LastId);
      const copy = groups.createGroup(
        this.groupsOf(reference),
        source.bytes,
        source.view,
        source.groups.groups.nameOffset(group),
        source.groups.groups.nameLength(group),
        id,
        source.words[at + Group.EntriesRead + 1],
        source.words[at + Group.EntriesRead],
      );
      if (copy === 0) return false;
      const consumers = this.copyConsumers(copy, source, group);
      if (consumers === null) return false;
      const tree = source.groups.byId;
      let pending = tree.first(at + Group.ById);
      let { leaf, index: place } = tree;
      while (pending !== 0) {
        id.read(source.words, (pending >> 2) + Pending.Id);
        const consumer = consumers.get(source.groups.consumerOf(pending)) ?? 0;
        if (groups.addCopy(copy, consumer, id, source.words, pending >> 2) === 0) return false;
        if (++place === tree.leafCount(leaf)) {
          leaf = tree.nextLeaf(leaf);
          place = 0;
        }
        pending = leaf === 0 ? 0 : tree.recordAt(leaf, place);
      }
    }
    return true;
  }

  private copyProducers(reference: number, source: this, sourceReference: number): boolean {
    const known = source.producersOf(sourceReference);
    if (known === 0) return true;
    const copy = this.producers.copy(source.producers, known, source.bytes, source.view, this.id);
    this.words[this.root(reference) + Stream.Producers] = copy;
    return copy !== 0;
  }

  /** Copies the consumers of a group; returns a map from each to its copy, null if there is no memory. */
  private copyConsumers(copy: number, source: this, group: number): Map<number, number> | null {
    const copies = new Map<number, number>();
    const { consumers } = source.groups;
    const vector = source.groups.consumersOf(group);
    for (let index = 0; index < consumers.count(vector); index++) {
      const consumer = consumers.recordAt(vector, index);
      const made = this.groups.createConsumer(
        copy,
        source.bytes,
        source.view,
        consumers.nameOffset(consumer),
        consumers.nameLength(consumer),
        source.groups.seenAt(consumer),
      );
      if (made === 0) return null;
      this.groups.setActiveAt(made, source.groups.activeAt(consumer));
      copies.set(consumer, made);
    }
    return copies;
  }

  override usedBytes(reference: number, samples: number): number {
    const { tree, blocks, groups } = this;
    const root = this.root(reference);
    const count = this.blockCount(reference);
    const wanted = samples === 0 ? count : Math.min(samples, count);
    let sampled = 0;
    let block = tree.first(root + Stream.Blocks);
    for (let left = wanted; left > 0; left--) {
      sampled += blocks.blockBytes(block);
      block = tree.next();
    }
    // The last block is often not full.
    const last = tree.last(root + Stream.Blocks);
    const rest = wanted < count ? (sampled / wanted) * (count - wanted - 1) + blocks.blockBytes(last) : 0;
    let total = blockBytes(STREAM_BYTES) + tree.nodeBytes(root + Stream.Blocks) + sampled + Math.round(rest);
    for (let index = 0; index < this.groupCount(reference); index++) {
      total += groups.usedBytes(this.groupAt(reference, index));
    }
    const known = this.producersOf(reference);
    return known === 0 ? total : total + this.producers.usedBytes(known);
  }

  /** How many entries are pending in all groups. */
  private pendingCount(reference: number): number {
    let pending = 0;
    for (let index = 0; index < this.groupCount(reference); index++) {
      pending += this.groups.pendingCount(this.groupAt(reference, index));
    }
    return pending;
  }

  override isLong(reference: number): boolean {
    return this.blockCount(reference) > LONG_BLOCKS || this.pendingCount(reference) > LONG_PENDING;
  }

  /** Blocks, and pending entries of all groups. */
  override walkSteps(reference: number): number {
    return this.blockCount(reference) + this.pendingCount(reference);
  }

  override beginWalk(reference: number, walk: number): boolean {
    return this.walk.begin(this.root(reference), walk);
  }

  override walkOf(reference: number): number {
    return this.words[this.root(reference) + Stream.Walk];
  }

  /** Streams have a walk of several phases: see StreamWalk.step. */
  override stepWalk(_reference: number, _steps: number): boolean {
    throw new Error('a stream is walked over in phases');
  }

  override endWalk(reference: number): void {
    this.walk.end(this.root(reference));
  }

  override verify(reference: number): void {
    const { words, tree, blocks } = this;
    const root = this.root(reference);
    tree.verify(root + Stream.Blocks);
    let length = 0;
    const last = new StreamId();
    let isFirst = true;
    for (let block = tree.first(root + Stream.Blocks); block !== 0; block = tree.next()) {
      blocks.verify(block);
      length += blocks.live(block);
      if (!isFirst && last.compareTo(words, block >> 2) >= 0) throw new Error('stream: blocks out of order');
      blocks.read(this.found, block, blocks.lastEntry(block));
      this.found.copyIdTo(last);
      isFirst = false;
    }
    if (length !== words[root + Stream.Length]) throw new Error('stream: wrong length');
    if (!isFirst && last.compareTo(words, root + Stream.LastId) > 0) {
      throw new Error('stream: an entry above the last id');
    }
    this.groups.groups.verify(root + Stream.Groups);
    for (let index = 0; index < this.groupCount(reference); index++) {
      this.groups.verify(this.groupAt(reference, index));
    }
    const known = this.producersOf(reference);
    if (known !== 0) this.producers.verify(known);
  }
}
