/**
 * The locks of one script. It begins with those of its keys; other shards are locked when it first touches them. While
 * it has changed nothing, it can be run again with more locks; after that it may have to wait for a lock, for which it
 * needs the right (memory/lock-order.ts).
 */

import type { Keyspace } from '../../keyspace/keyspace.js';
import type { Shard } from '../../keyspace/shard.js';
import type { LockOrder } from '../../memory/lock-order.js';
import { KeyPositions } from '../key-positions.js';
import type { CommandRequest } from '../request.js';
import type { ShardLocks } from '../shard-locks.js';
import { type Command, CommandTrait } from '../table/command-table.js';
import type { LockNeeds } from './known-scripts.js';

const NEEDS_ALL = CommandTrait.AllShards | CommandTrait.LocksAll;
/** After so many attempts a script gets the locks of all shards. */
const ATTEMPTS_MAX = 3;
/** How often other work is looked at while a lock is waited for. */
const WAIT_MS = 10;

export class ScriptHold {
  private readonly keyspace: Keyspace;
  private readonly locks: ShardLocks;
  private readonly order: LockOrder;
  private readonly keyPositions = new KeyPositions();
  private needs!: LockNeeds;
  private attempts = 0;
  /** This script has taken the right, or the transaction that it is part of has. */
  private hasRight = false;
  /** The locks are a transaction's. */
  private isInTransaction = false;
  /** Something was changed that can't be taken back. */
  private hasWritten = false;
  /** The script has to be run again, with other locks. */
  mustRunAgain = false;

  constructor(keyspace: Keyspace, locks: ShardLocks) {
    this.keyspace = keyspace;
    this.locks = locks;
    this.order = keyspace.lockOrder;
  }

  /** Begins with a script, for the first time. */
  begin(needs: LockNeeds, isInTransaction: boolean): void {
    this.needs = needs;
    this.attempts = 0;
    this.isInTransaction = isInTransaction;
    this.hasRight = isInTransaction;
    this.hasWritten = isInTransaction;
    this.mustRunAgain = false;
  }

  /** Takes the locks for `keyCount` keys, from pair number `first` on, and others that the script is known to need. */
  lock(request: CommandRequest, first: number, keyCount: number): void {
    const { locks, keyspace, needs } = this;
    this.mustRunAgain = false;
    if (needs.takesRight && !this.hasRight) {
      this.order.takeRight();
      this.hasRight = true;
    }
    if (this.attempts++ >= ATTEMPTS_MAX) {
      locks.markAll();
    } else {
      for (let key = first; key < first + keyCount; key++) {
        locks.mark(keyspace.shardOf(request.bytes, request.pairs[2 * key], request.pairs[2 * key + 1]));
      }
      if (needs.hasShards) for (const index of needs.takeShards()) locks.mark(keyspace.shards[index]);
    }
    try {
      locks.lock();
    } catch (error) {
      this.dropRight();
      throw error;
    }
  }

  /** Ends the hold. What was recorded is committed to the journal as a whole. */
  release(): void {
    this.locks.release();
    this.dropRight();
  }

  private dropRight(): void {
    if (this.hasRight && !this.isInTransaction) this.order.keepOrReleaseRight();
    this.hasRight = this.isInTransaction;
  }

  /** The script is about to change something. Returns false if it has to be run again. */
  beginWriting(): boolean {
    if (!this.hasRight && !this.needs.needsNoRight) {
      if (!this.order.tryTakeRight()) {
        this.needs.takesRight = true;
        this.mustRunAgain = true;
        return false;
      }
      this.hasRight = true;
      this.needs.takesRight = true;
    }
    this.hasWritten = true;
    return true;
  }

  /** Takes the locks that a command needs; `wait` is as for `reach`. Returns false if the script must be run again. */
  covers(command: Command, request: CommandRequest, wait: () => void): boolean {
    const { keyPositions, keyspace } = this;
    if ((command.traits & NEEDS_ALL) !== 0) return this.reachAll(wait);
    if (command.keySpecs.length === 0) return true;
    keyPositions.collect(command, request);
    if (keyPositions.reachesOtherKeys) return this.reachAll(wait);
    for (let index = 0; index < keyPositions.count; index++) {
      const argument = keyPositions.indices[index];
      const shard = keyspace.shardOf(request.bytes, request.offset(argument), request.length(argument));
      if (!this.reach(shard, wait)) return false;
    }
    return true;
  }

  private reachAll(wait: () => void): boolean {
    for (const shard of this.keyspace.shards) if (!this.reach(shard, wait)) return false;
    return true;
  }

  /** The same for one shard. `wait` is called each few milliseconds while its lock is waited for. */
  reach(shard: Shard, wait: () => void): boolean {
    const { locks, needs } = this;
    if (locks.has(shard)) return true;
    if (needs.needsNoRight && !this.isInTransaction && !this.canRunAgain) this.admitMistake();
    if (shard.lockSoon()) {
      locks.add(shard);
      return true;
    }
    if (this.canRunAgain) {
      needs.remember(shard.index);
      this.mustRunAgain = true;
      return false;
    }
    this.waitFor(shard, wait);
    locks.add(shard);
    return true;
  }

  private get canRunAgain(): boolean {
    return !this.hasWritten && !this.isInTransaction;
  }

  /** The script was wrongly thought to need no other locks: corrects that for later runs. */
  private admitMistake(): void {
    this.needs.needsNoRight = false;
    this.needs.takesRight = true;
  }

  private waitFor(shard: Shard, wait: () => void): void {
    const { order, locks } = this;
    order.claim(true);
    locks.stirWaiters();
    for (let hasWaited = false; !shard.lockSoon(hasWaited); hasWaited = true) {
      shard.awaitUnlock(WAIT_MS);
      locks.stirWaiters();
      wait();
    }
    order.claim(false);
  }
}
