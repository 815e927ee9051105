/**
 * The locks of a command or transaction that needs those of several shards. They are taken all at once and in ascending
 * order, so no two threads can wait for each other; while they are held, no other lock of a shard may be taken.
 */

import type { Keyspace } from '../keyspace/keyspace.js';
import type { Shard } from '../keyspace/shard.js';
import { ShardSet } from '../keyspace/shard-set.js';
import { hashBytes } from '../memory/hash.js';
import { KeyHints } from './key-hints.js';
import { KeyPositions } from './key-positions.js';
import type { CommandRequest } from './request.js';
import { type Command, CommandTrait } from './table/command-table.js';

/** So many keys are read ahead. */
const HINTS_MAX = 1024;
const LOCKS_BEFORE = CommandTrait.AllShards | CommandTrait.LocksAll;

export class ShardLocks {
  private readonly keyspace: Keyspace;
  private readonly keyPositions = new KeyPositions();
  /** The shards that are marked, or locked. */
  private readonly marked: ShardSet;
  private isLocked = false;
  /** The keys of the commands that are marked; after `lockFor` those of the one that runs. */
  readonly keys: KeyHints;

  constructor(keyspace: Keyspace) {
    this.keyspace = keyspace;
    this.marked = new ShardSet(keyspace.shards.length);
    this.keys = new KeyHints(HINTS_MAX, keyspace.shards[0]);
  }

  /** Whether the locks are held. */
  get areHeld(): boolean {
    return this.isLocked;
  }

  mark(shard: Shard): void {
    this.marked.add(shard.index);
  }

  markAll(): void {
    this.marked.addAll();
  }

  /** Marks the shards of all keys that a command works on, whether its request names them or not. */
  markKeys(command: Command, request: CommandRequest): void {
    const { keyPositions, marked, keyspace, keys } = this;
    if ((command.traits & LOCKS_BEFORE) !== 0) {
      this.markAll();
      return;
    }
    keyPositions.collect(command, request);
    if (keyPositions.reachesOtherKeys) {
      this.markAll();
      return;
    }
    for (let index = 0; index < keyPositions.count; index++) {
      const argument = keyPositions.indices[index];
      const offset = request.offset(argument);
      const length = request.length(argument);
      const shard = keyspace.shardOf(request.bytes, offset, length);
      marked.add(shard.index);
      keys.add(offset, hashBytes(request.view, offset, length), shard);
    }
  }

  /** Reads what the commands that are marked will need; most of their keys are of this database. */
  readAhead(database: number): void {
    this.keys.run(database);
  }

  /** Marks the shards of a command's keys and takes their locks, as `lock`. Its keys are not hashed again. */
  lockFor(command: Command, request: CommandRequest, database: number): void {
    this.markKeys(command, request);
    this.readAhead(database);
    this.take();
  }

  /** Takes the locks of all marked shards. Throws `ScriptRunsLong`, with none of them held or marked. */
  lock(): void {
    this.keys.clear();
    this.take();
  }

  private take(): void {
    if (this.isLocked) throw new Error('the locks of another command are held');
    try {
      this.keyspace.lockSet(this.marked);
    } catch (error) {
      this.keys.clear();
      this.marked.clear();
      throw error;
    }
    this.isLocked = true;
  }

  /** Whether a shard is marked: its lock is held, or will be taken. */
  has(shard: Shard): boolean {
    return this.marked.has(shard.index);
  }

  /** Adds a shard whose lock the holder has taken by itself (scripts/script-hold.ts). */
  add(shard: Shard): void {
    this.marked.add(shard.index);
  }

  /** Wakes the threads that wait for one of the held locks. */
  stirWaiters(): void {
    const { marked } = this;
    const { shards } = this.keyspace;
    for (let index = marked.next(0); index >= 0; index = marked.next(index + 1)) shards[index].stirWaiters();
  }

  /** Whether the lock of a shard is held. While others are held, throws if it is not: waiting for it could deadlock. */
  holds(shard: Shard): boolean {
    if (!this.isLocked) return false;
    if (this.marked.has(shard.index)) return true;
    throw new Error(`the lock of shard ${shard.index} is wanted while others are held`);
  }

  /** Treats all locks as held, for a thread that works alone: no other uses the shards, or one holds them for it. */
  assumeAll(): void {
    this.markAll();
    this.isLocked = true;
  }

  /** Whether the locks of all shards are held; throws if only some are. */
  get holdsAll(): boolean {
    if (!this.isLocked) return false;
    if (this.marked.isFull) return true;
    throw new Error('the locks of all shards are wanted while some are held');
  }

  /** Ends the hold. What was recorded is committed to the journal as a whole. */
  release(): void {
    const { marked, keyspace } = this;
    this.keys.clear();
    keyspace.endHolds(marked);
    marked.clear();
    this.isLocked = false;
  }
}
