/**
 * The walk of a snapshot over a long stream (element-walk.ts), while entries are added and removed, delivered and
 * acknowledged: first over the blocks of entries, in the order of their ids, then over the pending entries of each
 * group.
 *
 * When it begins, it makes what is called a past: a stream with the root, the groups and the consumers as they are at
 * this moment, but without entries and without anything pending. The time for that grows with the number of consumers.
 * Group and past point to each other, and so do consumer and past. Before something ahead of the walk changes, it is
 * saved in the past as it was: a copy of a block of entries into its tree, or the block itself if it is removed; a copy
 * of a pending entry into a chain of its group. What stays in the stream, or is added there ahead of the walk, is
 * marked as left out. The walk reads both: blocks of past and stream in the order of their ids; of the pending entries,
 * the kept ones first. At its end the past is freed.
 *
 * A group that is destroyed meanwhile is detached from its stream but still walked over; its past frees it.
 */

import type { Arena } from '../memory/arena.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { type ElementKeeper, Walk } from './element-walk.js';
import { KeyTree, KeyTreeRoot } from './key-tree.js';
import { Vector } from './named-records.js';
import type { StreamBlocks } from './stream-block.js';
import {
  Consumer,
  Group,
  PENDING_BYTES,
  Pending,
  type PendingKeeper,
  type StreamGroups,
} from './stream-groups.js';
import { ID_WORDS, StreamId } from './stream-id.js';
import { STREAM_BYTES, Stream } from './stream-root.js';

/** Where a walk is. */
export const enum WalkPhase {
  Blocks = 0,
  /** All entries are done, no group has begun. */
  Head = 1,
  /** A group is next. */
  GroupHead = 2,
  Pending = 3,
  /** The pending entries of a group are done. */
  GroupEnd = 4,
  /** A group that was destroyed meanwhile is freed. */
  GroupFree = 5,
  End = 6,
}

/** Blocks in one step: each has some four KiB. */
const BLOCKS_PER_STEP = 4;

export class StreamWalk implements PendingKeeper {
  private readonly arena: Arena;
  private readonly memory: ShardMemory;
  private readonly words: Int32Array;
  private readonly blocks: StreamBlocks;
  private readonly tree: KeyTree;
  /** A second cursor, for the tree of kept blocks. */
  private readonly keptTree: KeyTree;
  private readonly groups: StreamGroups;
  private readonly position = new StreamId();
  keeper: ElementKeeper | null = null;

  /** What the last step hands out: blocks, or pending entries of `steppedGroup`. */
  readonly stepped: Int32Array;
  steppedCount = 0;
  /** The past of the group that a step is about. */
  steppedGroup = 0;
  /** The blocks of the last step that the walk must free. */
  private readonly kept = new Int32Array(BLOCKS_PER_STEP);
  private keptCount = 0;
  /** Whether the pending entries of the last step are kept ones, which the walk frees. */
  private areKept = false;

  constructor(
    memory: ShardMemory,
    arena: Arena,
    blocks: StreamBlocks,
    tree: KeyTree,
    groups: StreamGroups,
    stepped: Int32Array,
  ) {
    this.memory = memory;
    this.arena = arena;
    this.words = memory.words;
    this.blocks = blocks;
    this.tree = tree;
    this.keptTree = new KeyTree(memory, arena, 0, ID_WORDS);
    this.groups = groups;
    this.stepped = stepped;
  }

  private get isKeeping(): boolean {
    return this.keeper?.isKeeping ?? false;
  }

  /** Word index of the root of the past of a stream that is walked over. */
  past(root: number): number {
    return this.words[this.words[root + Stream.Walk] + Walk.Groups] >> 2;
  }

  /** Begins a walk over the stream whose root is at a word index; false, with nothing changed, if there is no memory. */
  begin(root: number, walk: number): boolean {
    const { words } = this;
    const block = this.arena.allocate(STREAM_BYTES);
    if (block === 0) return false;
    const past = block >> 2;
    words.copyWithin(past, root, root + Stream.WORDS);
    words.fill(0, past + Stream.Blocks, past + Stream.Blocks + KeyTreeRoot.WORDS);
    words.fill(0, past + Stream.Groups, past + Stream.Groups + Vector.WORDS);
    words.fill(0, past + Stream.Phase, past + Stream.WORDS);
    words[walk + Walk.Position] = 0;
    words[walk + Walk.Groups] = block;
    words[root + Stream.Walk] = walk;
    if (this.copyGroups(root, past)) return true;
    this.end(root);
    return false;
  }

  private copyGroups(root: number, past: number): boolean {
    const { words, groups } = this;
    const vector = root + Stream.Groups;
    for (let index = 0; index < groups.groups.count(vector); index++) {
      const group = groups.groups.recordAt(vector, index);
      const copy = this.copyNamed(groups.groups, past + Stream.Groups, group);
      if (copy === 0) return false;
      const at = copy >> 2;
      const source = group >> 2;
      const lastId = source + Group.LastId;
      words.copyWithin(at + Group.LastId, lastId, lastId + ID_WORDS + 2);
      words[at + Group.PendingThen] = groups.pendingCount(group);
      words[at + Group.Number] = index;
      words[at + Group.PastRoot] = past;
      words[at + Group.Past] = group;
      words[source + Group.Past] = copy;
      if (!this.copyConsumers(group, copy)) return false;
    }
    return true;
  }

  private copyConsumers(group: number, copy: number): boolean {
    const { words, groups } = this;
    const vector = groups.consumersOf(group);
    const target = groups.consumersOf(copy);
    for (let index = 0; index < groups.consumers.count(vector); index++) {
      const consumer = groups.consumers.recordAt(vector, index);
      const made = this.copyNamed(groups.consumers, target, consumer);
      if (made === 0) return false;
      const at = made >> 2;
      const times = (consumer >> 2) + Consumer.SeenAt;
      words.copyWithin(at + Consumer.SeenAt, times, times + 4);
      words[at + Consumer.PendingThen] = groups.pendingOf(consumer);
      words[at + Consumer.Number] = index;
      words[(consumer >> 2) + Consumer.Past] = made;
    }
    return true;
  }

  /** Whether something that was pending when the walk began had been given back. */
  hadGivenBack(root: number): boolean {
    const { words, groups } = this;
    const vector = this.past(root) + Stream.Groups;
    for (let index = 0; index < groups.groups.count(vector); index++) {
      const group = groups.groups.recordAt(vector, index);
      let count = words[(group >> 2) + Group.PendingThen];
      const consumers = groups.consumersOf(group);
      for (let number = 0; number < groups.consumers.count(consumers); number++) {
        count -= words[(groups.consumers.recordAt(consumers, number) >> 2) + Consumer.PendingThen];
      }
      if (count > 0) return true;
    }
    return false;
  }

  private copyNamed(records: StreamGroups['groups'], vector: number, record: number): number {
    const { bytes, view } = this.memory;
    return records.create(vector, bytes, view, records.nameOffset(record), records.nameLength(record));
  }

  /** Whether the walk has not reached a block yet. */
  private isBlockAhead(past: number, block: number): boolean {
    const { words, position } = this;
    if (words[past + Stream.Phase] !== WalkPhase.Blocks) return false;
    position.read(words, past + Stream.Position);
    return position.compareTo(words, block >> 2) <= 0;
  }

  /** Must be called before a block of a stream that is walked over changes. */
  keepBlock(root: number, block: number): void {
    const { blocks } = this;
    const past = this.past(root);
    if (blocks.isLeftOut(block) || !this.isBlockAhead(past, block)) return;
    if (this.isKeeping) {
      const copy = blocks.copy(blocks, block);
      if (copy === 0 || !this.keepOld(past, copy)) {
        if (copy !== 0) blocks.free(copy);
        this.keeper?.keepingFailed();
      }
    }
    blocks.setLeftOut(block, true);
  }

  private keepOld(past: number, block: number): boolean {
    this.blocks.setLeftOut(block, false);
    return this.keptTree.insert(past + Stream.Blocks, block);
  }

  /** Takes over a block that was removed from a stream that is walked over; false if the caller must free it. */
  takeBlock(root: number, block: number): boolean {
    const past = this.past(root);
    if (this.blocks.isLeftOut(block) || !this.isBlockAhead(past, block) || !this.isKeeping) return false;
    if (this.keepOld(past, block)) return true;
    this.keeper?.keepingFailed();
    return false;
  }

  /** Must be called after a block was added to a stream that is walked over. */
  markNewBlock(root: number, block: number): void {
    this.blocks.setLeftOut(block, this.isBlockAhead(this.past(root), block));
  }

  isPendingAhead(group: number, pending: number): boolean {
    const { words, position } = this;
    const copy = words[(group >> 2) + Group.Past];
    if (copy === 0) return false;
    const past = words[(copy >> 2) + Group.PastRoot];
    const phase: WalkPhase = words[past + Stream.Phase];
    if (phase < WalkPhase.GroupHead) return true;
    const number = words[(copy >> 2) + Group.Number];
    if (number !== words[past + Stream.CurrentGroup]) return number > words[past + Stream.CurrentGroup];
    if (phase !== WalkPhase.Pending) return phase === WalkPhase.GroupHead;
    position.read(words, past + Stream.Position);
    return position.compareTo(words, (pending >> 2) + Pending.Id) <= 0;
  }

  keepPending(group: number, pending: number): void {
    const { words } = this;
    if (!this.isPendingAhead(group, pending)) return;
    this.groups.setLeftOut(pending, true);
    if (!this.isKeeping) return;
    const kept = this.arena.allocate(PENDING_BYTES);
    if (kept === 0) {
      this.keeper?.keepingFailed();
      return;
    }
    const copy = words[(group >> 2) + Group.Past] >> 2;
    words.copyWithin(kept >> 2, pending >> 2, (pending >> 2) + Pending.WORDS);
    words[(kept >> 2) + Pending.Consumer] = this.pastConsumer(pending);
    words[(kept >> 2) + Pending.Flags] = words[copy + Group.Kept];
    words[copy + Group.Kept] = kept;
  }

  /** The past of the consumer of a pending entry that has not changed, 0 if it has none. */
  private pastConsumer(pending: number): number {
    const consumer = this.words[(pending >> 2) + Pending.Consumer];
    return consumer === 0 ? 0 : this.words[(consumer >> 2) + Consumer.Past];
  }

  /** If a walk covers the group, detaches it, so that the walk frees it after passing it; false if none does. */
  detach(group: number): boolean {
    const { words } = this;
    const copy = words[(group >> 2) + Group.Past];
    if (copy === 0) return false;
    words[(copy >> 2) + Group.IsDetached] = 1;
    return true;
  }

  phase(root: number): WalkPhase {
    return this.words[this.past(root) + Stream.Phase];
  }

  /**
   * Does one step: hands out some blocks, about `steps` pending entries or, in the phases between, nothing. Returns the
   * phase of what it hands out. The contents of `stepped` are valid until `endStep`.
   */
  step(root: number, steps: number): WalkPhase {
    const { words } = this;
    const past = this.past(root);
    this.steppedCount = 0;
    const phase: WalkPhase = words[past + Stream.Phase];
    switch (phase) {
      case WalkPhase.Blocks:
        if (this.stepBlocks(root, past)) return phase;
        words[past + Stream.Phase] = WalkPhase.Head;
        return this.step(root, steps);
      case WalkPhase.Head:
        this.goToGroup(past, 0);
        return phase;
      case WalkPhase.GroupHead:
        this.steppedGroup = this.currentGroup(past);
        words[past + Stream.Phase] = WalkPhase.Pending;
        words.fill(0, past + Stream.Position, past + Stream.Position + ID_WORDS);
        return phase;
      case WalkPhase.Pending:
        this.steppedGroup = this.currentGroup(past);
        if (this.stepPending(past, Math.min(steps, this.stepped.length))) return phase;
        words[past + Stream.Phase] = WalkPhase.GroupEnd;
        return WalkPhase.GroupEnd;
      case WalkPhase.GroupEnd:
        this.steppedGroup = this.currentGroup(past);
        return phase;
      case WalkPhase.GroupFree:
        if (this.freeGroup(past, steps)) this.goToGroup(past, words[past + Stream.CurrentGroup] + 1);
        return phase;
      default:
        return WalkPhase.End;
    }
  }

  /** Ends a step: frees the kept blocks and pending entries that it has handed out. */
  endStep(): void {
    for (let index = 0; index < this.keptCount; index++) this.blocks.free(this.kept[index]);
    this.keptCount = 0;
    if (!this.areKept) return;
    for (let index = 0; index < this.steppedCount; index++)
      this.arena.free(this.stepped[index], PENDING_BYTES);
    this.areKept = false;
  }

  /** Leaves the group that phase GroupEnd was about. */
  endGroup(root: number): void {
    this.words[this.past(root) + Stream.Phase] = WalkPhase.GroupFree;
  }

  /**
   * Unlinks the current group from its past or, if the group was detached, frees some of it; true when that is done.
   */
  private freeGroup(past: number, steps: number): boolean {
    const { words } = this;
    const copy = this.currentGroup(past) >> 2;
    const group = words[copy + Group.Past];
    if (words[copy + Group.IsDetached] === 0) words[(group >> 2) + Group.Past] = 0;
    else if (!this.groups.releaseSome(group, steps)) return false;
    words[copy + Group.Past] = 0;
    words[copy + Group.IsDetached] = 0;
    return true;
  }

  private goToGroup(past: number, number: number): void {
    const { words } = this;
    words[past + Stream.CurrentGroup] = number;
    const isOver = number === this.groups.groups.count(past + Stream.Groups);
    words[past + Stream.Phase] = isOver ? WalkPhase.End : WalkPhase.GroupHead;
  }

  private currentGroup(past: number): number {
    return this.groups.groups.recordAt(past + Stream.Groups, this.words[past + Stream.CurrentGroup]);
  }

  /**
   * Hands out the next blocks in the order of their ids, those of the stream and kept ones; false if there are none.
   */
  private stepBlocks(root: number, past: number): boolean {
    const { words, tree, keptTree, blocks, position } = this;
    position.read(words, past + Stream.Position);
    for (let word = 0; word < ID_WORDS; word++) tree.setKey(word, words[past + Stream.Position + word]);
    let block = tree.seek(root + Stream.Blocks);
    if (block === 0 && tree.count(past + Stream.Blocks) === 0) return false;
    for (let left = BLOCKS_PER_STEP; left > 0; left--) {
      const kept = keptTree.first(past + Stream.Blocks);
      if (block === 0 && kept === 0) break;
      if (kept !== 0 && (block === 0 || this.compareBlocks(kept, block) <= 0)) {
        position.read(words, kept >> 2);
        keptTree.removeFirst(past + Stream.Blocks);
        this.kept[this.keptCount++] = kept;
        this.stepped[this.steppedCount++] = kept;
        // If the block is still in the stream, it has the same id there: skip it.
        if (block !== 0 && position.compareTo(words, block >> 2) === 0) {
          blocks.setLeftOut(block, false);
          block = tree.next();
        }
      } else {
        position.read(words, block >> 2);
        if (blocks.isLeftOut(block)) blocks.setLeftOut(block, false);
        else this.stepped[this.steppedCount++] = block;
        block = tree.next();
      }
    }
    if (!position.increment()) words[past + Stream.Phase] = WalkPhase.Head;
    position.write(words, past + Stream.Position);
    return true;
  }

  private compareBlocks(left: number, right: number): number {
    this.position.read(this.words, left >> 2);
    return this.position.compareTo(this.words, right >> 2);
  }

  /** Hands out the next pending entries of the current group; false if there are no more. */
  private stepPending(past: number, steps: number): boolean {
    const { words, groups, stepped, position } = this;
    const copy = this.steppedGroup >> 2;
    if (words[copy + Group.Kept] !== 0) {
      this.areKept = true;
      let kept = words[copy + Group.Kept];
      for (; kept !== 0 && this.steppedCount < steps; kept = words[(kept >> 2) + Pending.Flags]) {
        stepped[this.steppedCount++] = kept;
      }
      words[copy + Group.Kept] = kept;
      return true;
    }
    position.read(words, past + Stream.Position);
    let pending = groups.seek(words[copy + Group.Past], position);
    if (pending === 0) return false;
    for (let left = steps; left > 0 && pending !== 0; left--) {
      position.read(words, (pending >> 2) + Pending.Id);
      if (groups.isLeftOut(pending)) groups.setLeftOut(pending, false);
      else stepped[this.steppedCount++] = pending;
      pending = groups.next();
    }
    if (!position.increment()) words[past + Stream.Phase] = WalkPhase.GroupEnd;
    position.write(words, past + Stream.Position);
    return true;
  }

  /** The past of the consumer of a pending entry that the last step has handed out, 0 if it has none. */
  steppedConsumer(pending: number): number {
    return this.areKept ? this.words[(pending >> 2) + Pending.Consumer] : this.pastConsumer(pending);
  }

  /** Frees all kept copies, for a walk that goes on only to remove the marks. */
  dropKept(root: number): void {
    const { words, groups } = this;
    const past = this.past(root);
    this.keptTree.releaseSome(past + Stream.Blocks, Number.MAX_SAFE_INTEGER, this.freeBlock);
    for (let index = 0; index < groups.groups.count(past + Stream.Groups); index++) {
      const copy = groups.groups.recordAt(past + Stream.Groups, index) >> 2;
      for (let kept = words[copy + Group.Kept]; kept !== 0; ) {
        const next = words[(kept >> 2) + Pending.Flags];
        this.arena.free(kept, PENDING_BYTES);
        kept = next;
      }
      words[copy + Group.Kept] = 0;
    }
  }

  private readonly freeBlock = (block: number): void => this.blocks.free(block);

  /** Ends a walk, wherever it is, and frees the past. */
  end(root: number): void {
    const { words, groups } = this;
    const past = this.past(root);
    const vector = past + Stream.Groups;
    this.dropKept(root);
    for (let copy = groups.groups.removeLast(vector); copy !== 0; copy = groups.groups.removeLast(vector)) {
      const at = copy >> 2;
      const group = words[at + Group.Past];
      if (words[at + Group.IsDetached] !== 0) {
        while (!groups.releaseSome(group, Number.MAX_SAFE_INTEGER)) {}
      } else if (group !== 0) {
        words[(group >> 2) + Group.Past] = 0;
      }
      groups.releaseSome(copy, Number.MAX_SAFE_INTEGER);
    }
    this.arena.free(past << 2, STREAM_BYTES);
    words[words[root + Stream.Walk] + Walk.Groups] = 0;
    words[root + Stream.Walk] = 0;
  }
}
