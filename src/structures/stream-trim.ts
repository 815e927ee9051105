/**
 * Trimming of streams: entries are removed from the beginning, in whole blocks where possible. The references that
 * groups have to a trimmed entry stay, or are removed with it, or the entry stays until all groups have acknowledged
 * it.
 */

import type { KeyTree } from './key-tree.js';
import type { StreamBlocks, StreamEntry } from './stream-block.js';
import type { StreamGroups } from './stream-groups.js';
import { IdList, StreamId } from './stream-id.js';
import { Stream } from './stream-root.js';
import type { StreamWalk } from './stream-walk.js';

/** By what a stream is trimmed. */
export const enum Trim {
  None = 0,
  Length = 1,
  MinId = 2,
}

/** What becomes of the references of groups to an entry that is to be deleted. */
export const enum References {
  /** The entry is removed, references stay. */
  Keep = 0,
  /** References are removed with the entry. */
  Delete = 1,
  /** The entry is removed only if all groups have read and acknowledged it. */
  Acknowledged = 2,
}

/** How a stream is to be trimmed. */
export class TrimOptions {
  by = Trim.None;
  /** How many entries may stay. */
  length = 0;
  /** Entries below this id are removed. */
  readonly minId = new StreamId();
  /** Only whole blocks are removed. */
  isApproximate = false;
  /** How many entries may be removed; 0: any number. */
  limit = 0;
  references = References.Keep;
  /** The entries that were removed, if it depended on the groups which ones these were. */
  readonly deleted = new IdList();
}

/** The stream that is trimmed. */
export interface TrimmedStream {
  /** Removes a block from a stream and frees it, unless a walk still needs it. */
  removeBlock(root: number, block: number): void;
  /** Notes the id of the first entry. */
  findFirstId(root: number): void;
}

export class StreamTrim {
  private readonly words: Int32Array;
  private readonly tree: KeyTree;
  private readonly blocks: StreamBlocks;
  private readonly groups: StreamGroups;
  private readonly walk: StreamWalk;
  private readonly stream: TrimmedStream;
  private readonly entry: StreamEntry;
  private readonly id = new StreamId();
  private readonly position = new StreamId();

  constructor(
    words: Int32Array,
    tree: KeyTree,
    blocks: StreamBlocks,
    groups: StreamGroups,
    walk: StreamWalk,
    stream: TrimmedStream,
    entry: StreamEntry,
  ) {
    this.words = words;
    this.tree = tree;
    this.blocks = blocks;
    this.groups = groups;
    this.walk = walk;
    this.stream = stream;
    this.entry = entry;
  }

  /** Removes entries of the stream whose root is at a word index; returns how many. */
  trim(root: number, options: TrimOptions): number {
    options.deleted.clear();
    if (options.by === Trim.None) return 0;
    const removed =
      options.references === References.Keep
        ? this.trimAll(root, options)
        : this.trimByReferences(root, options);
    if (removed > 0) this.stream.findFirstId(root);
    return removed;
  }

  private trimAll(root: number, options: TrimOptions): number {
    const { words, tree, blocks } = this;
    const blockTree = root + Stream.Blocks;
    let removed = 0;
    for (let block = tree.first(blockTree); block !== 0; block = tree.first(blockTree)) {
      if (this.isShortEnough(root, options)) break;
      const live = blocks.live(block);
      if (options.limit > 0 && removed + live > options.limit) break;
      if (!this.isWholeTrimmed(root, block, options)) {
        if (!options.isApproximate) removed += this.trimBlock(root, block, options);
        break;
      }
      this.stream.removeBlock(root, block);
      words[root + Stream.Length] -= live;
      removed += live;
    }
    return removed;
  }

  private isShortEnough(root: number, options: TrimOptions): boolean {
    return options.by === Trim.Length && this.words[root + Stream.Length] <= options.length;
  }

  private isWholeTrimmed(root: number, block: number, options: TrimOptions): boolean {
    const { blocks, entry } = this;
    if (options.by === Trim.Length) {
      return this.words[root + Stream.Length] - blocks.live(block) >= options.length;
    }
    blocks.read(entry, block, blocks.lastEntry(block));
    return entry.compareId(options.minId) < 0;
  }

  /** Deletes the first entries of a block; returns how many. */
  private trimBlock(root: number, block: number, options: TrimOptions): number {
    const { words, blocks, entry } = this;
    if (words[root + Stream.Walk] !== 0) this.walk.keepBlock(root, block);
    const end = blocks.end(block);
    let removed = 0;
    for (let at = blocks.entries(block); at < end; at = entry.end) {
      blocks.read(entry, block, at);
      if (this.isAfterTrimmed(root, options)) break;
      if (entry.isDeleted) continue;
      blocks.delete(entry);
      words[root + Stream.Length]--;
      removed++;
    }
    return removed;
  }

  /** Whether the entry that was read, and all after it, are to stay. */
  private isAfterTrimmed(root: number, options: TrimOptions): boolean {
    return options.by === Trim.Length
      ? this.isShortEnough(root, options)
      : this.entry.compareId(options.minId) >= 0;
  }

  /**
   * Like `trimAll`, but references are removed with the entries, or hold them back. The limit counts the entries
   * examined.
   */
  private trimByReferences(root: number, options: TrimOptions): number {
    const { words, tree, blocks, position } = this;
    const blockTree = root + Stream.Blocks;
    let removed = 0;
    let seen = 0;
    let block = tree.first(blockTree);
    while (block !== 0 && !this.isShortEnough(root, options)) {
      const live = blocks.live(block);
      if (options.limit > 0 && seen + live > options.limit) break;
      const isWhole = this.isWholeTrimmed(root, block, options);
      if (!isWhole && options.isApproximate) break;
      seen += live;
      position.read(words, block >> 2);
      if (!options.isApproximate || this.mayAllGo(root, block, options)) {
        removed += this.deleteEntries(root, block, options);
      }
      if (!isWhole && options.by === Trim.MinId) break;
      if (!position.increment()) break;
      tree.setKey(0, position.msHigh);
      tree.setKey(1, position.msLow);
      tree.setKey(2, position.seqHigh);
      tree.setKey(3, position.seqLow);
      block = tree.seek(blockTree);
    }
    return removed;
  }

  /** Whether no reference holds back an entry of a block. */
  private mayAllGo(root: number, block: number, options: TrimOptions): boolean {
    if (options.references !== References.Acknowledged) return true;
    const { blocks, entry, id } = this;
    const end = blocks.end(block);
    for (let at = blocks.entries(block); at < end; at = entry.end) {
      blocks.read(entry, block, at);
      entry.copyIdTo(id);
      if (!entry.isDeleted && !this.groups.isAcknowledged(root + Stream.Groups, id)) return false;
    }
    return true;
  }

  /** Deletes those entries of a block that are to go and that no reference holds back; returns how many. */
  private deleteEntries(root: number, block: number, options: TrimOptions): number {
    const { words, blocks, entry, id, groups } = this;
    const vector = root + Stream.Groups;
    const end = blocks.end(block);
    let removed = 0;
    for (let at = blocks.entries(block); at < end; at = entry.end) {
      blocks.read(entry, block, at);
      if (this.isAfterTrimmed(root, options)) break;
      if (entry.isDeleted) continue;
      entry.copyIdTo(id);
      if (options.references === References.Delete) groups.removeReferences(vector, id);
      else if (groups.isAcknowledged(vector, id)) this.noteDeleted(root, options);
      else continue;
      if (removed === 0 && words[root + Stream.Walk] !== 0) this.walk.keepBlock(root, block);
      blocks.delete(entry);
      words[root + Stream.Length]--;
      removed++;
    }
    if (blocks.live(block) === 0) this.stream.removeBlock(root, block);
    return removed;
  }

  /** Entries that are removed while others before them stay count as deleted, not as trimmed. */
  private noteDeleted(root: number, options: TrimOptions): void {
    const { words, id } = this;
    options.deleted.add(id);
    const at = root + Stream.MaxDeletedId;
    if (id.compareTo(words, at) > 0) id.write(words, at);
  }
}
