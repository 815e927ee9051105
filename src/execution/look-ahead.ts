/**
 * Prefetching in plain TypeScript. Before the commands of a batch run, all their keys are hashed, then all the lines
 * of tables that these lead to are read, then all entries, then what the values of collections refer to. The loads of
 * a loop do not depend on each other, so the processor overlaps their cache misses; the commands then find their
 * lines in the cache.
 *
 * That is done without locks: what is read may be in the middle of a change and is only ever a hint. Commands on the
 * members of one collection have their members' records read in the same way, once its lock is held, and the nodes of
 * the tree that keeps the order of a sorted set.
 */

import { entryType, ValueType } from '../keyspace/entry.js';
import type { Keyspace } from '../keyspace/keyspace.js';
import type { Shard } from '../keyspace/shard.js';
import { hashBytes, keySlot } from '../memory/hash.js';
import { MAX_BATCH_COMMANDS, type RequestParser } from '../protocol/request-parser.js';
import { equalBytes } from '../structures/copy.js';
import { type Command, CommandTrait, FIRST_SCRIPT_KEY, onlyKey, PopEnd } from './table/command-table.js';

const LINE_BYTES = 64;
/** A value with a larger first word is hardly a packed list: the word is probably not its length. */
const PACKED_BYTES_MAX = 4096;
/** A shorter list has no fingerprints (structures/keyed-list.ts); of a longer one, those of 32 keys are prefetched. */
const INDEXED_BYTES_MIN = 200;
const INDEX_WORDS = 8;
const ZERO = 0x30;

export class LookAhead {
  /** The hash of each command's key, for commands with exactly one. */
  readonly hashes = new Int32Array(MAX_BATCH_COMMANDS);
  readonly shards: Shard[];
  private readonly keyspace: Keyspace;
  private readonly commands: readonly (Command | null)[];
  readonly keyOffsets = new Int32Array(MAX_BATCH_COMMANDS);
  /** -1 for a command whose key is not known: only those with one key, and scripts, whose first key counts. */
  private readonly keyLengths = new Int32Array(MAX_BATCH_COMMANDS);
  /** 1 for a command with the same key as the one before it. */
  readonly repeatsKey = new Uint8Array(MAX_BATCH_COMMANDS);
  private first = 0;
  /** Number of commands whose key differs from that of the command before. */
  private newKeys = 0;
  private readonly memberHashes = new Int32Array(MAX_BATCH_COMMANDS);
  private readonly lines = new Int32Array(MAX_BATCH_COMMANDS);
  private readonly records = new Int32Array(MAX_BATCH_COMMANDS);
  /** Collects what is read, so that the reads are not optimised away. */
  sink = 0;

  /** `commands`: those of the batch. */
  constructor(keyspace: Keyspace, commands: readonly (Command | null)[]) {
    this.keyspace = keyspace;
    this.commands = commands;
    this.shards = new Array(MAX_BATCH_COMMANDS).fill(keyspace.shards[0]);
  }

  /** Begins a batch, whose first command is `first`. */
  begin(first: number): void {
    this.first = first;
    this.newKeys = 0;
  }

  /** Hashes the key of a command of the batch, if it has exactly one or runs a script, and finds its shard. */
  prepare(index: number, bytes: Uint8Array, view: DataView, parser: RequestParser): void {
    const { keyspace, hashes, shards, keyOffsets, keyLengths } = this;
    const command = this.commands[index];
    this.repeatsKey[index] = 0;
    let key = command === null ? 0 : onlyKey(command, parser.commandArgCount[index]);
    if (key === 0) key = this.firstScriptKey(index, bytes, parser);
    if (key === 0) {
      keyLengths[index] = -1;
      return;
    }
    const pair = 2 * (parser.commandArgStart[index] + key);
    const offset = parser.args[pair];
    const length = parser.args[pair + 1];
    keyOffsets[index] = offset;
    keyLengths[index] = length;
    const last = index - 1;
    if (
      index > this.first &&
      keyLengths[last] === length &&
      equalBytes(bytes, view, keyOffsets[last], bytes, view, offset, length)
    ) {
      hashes[index] = hashes[last];
      shards[index] = shards[last];
      this.repeatsKey[index] = 1;
      return;
    }
    this.newKeys++;
    hashes[index] = hashBytes(view, offset, length);
    shards[index] = keyspace.shards[keySlot(bytes, offset, length) & keyspace.shardMask];
  }

  /** The argument that is the first key of a script; 0 if there is none. */
  private firstScriptKey(index: number, bytes: Uint8Array, parser: RequestParser): number {
    const command = this.commands[index];
    if (command === null || (command.traits & CommandTrait.RunsScript) === 0) return 0;
    if (parser.commandArgCount[index] <= FIRST_SCRIPT_KEY) return 0;
    const keyCount = 2 * (parser.commandArgStart[index] + FIRST_SCRIPT_KEY - 1);
    return bytes[parser.args[keyCount]] === ZERO ? 0 : FIRST_SCRIPT_KEY;
  }

  /** Reads what the commands from `first` to `end` will need; they are prepared. */
  run(first: number, end: number, database: number): void {
    // With one key the loads depend on each other, so prefetching gains nothing.
    if (this.newKeys <= 1) return;
    const { shards, hashes, keyLengths, repeatsKey, lines, records } = this;
    let { sink } = this;
    for (let index = first; index < end; index++) {
      const shard = shards[index];
      const isNew = keyLengths[index] >= 0 && repeatsKey[index] === 0;
      const line = isNew ? shard.dictionary.hintedLine(shard.root(database), hashes[index]) : 0;
      lines[index] = line;
      sink ^= shard.words[line];
    }
    for (let index = first; index < end; index++) {
      records[index] =
        lines[index] === 0 ? 0 : shards[index].dictionary.hintedRecord(lines[index], hashes[index]);
    }
    let hasCollections = false;
    for (let index = first; index < end; index++) {
      const value = shards[index].hintedValue(records[index]);
      records[index] = value;
      if (value !== 0) hasCollections = true;
    }
    if (hasCollections) {
      for (let index = first; index < end; index++) {
        lines[index] = records[index];
        records[index] = shards[index].words[records[index]];
      }
      // Of each value that looks like a packed list, reads the end, where it grows, and the fingerprints before it.
      for (let index = first; index < end; index++) {
        const totalBytes = records[index];
        if (totalBytes <= LINE_BYTES || totalBytes > PACKED_BYTES_MAX) continue;
        const { words } = shards[index];
        const list = lines[index];
        sink ^= words[list + (totalBytes >> 2)];
        if (totalBytes > INDEXED_BYTES_MIN && list > INDEX_WORDS) sink ^= words[list - INDEX_WORDS];
      }
    }
    this.sink = sink;
  }

  /**
   * Reads what the commands from `first` on need of one collection, as far as they are on the same key. Its shard's
   * lock is held.
   */
  readMembers(
    first: number,
    end: number,
    database: number,
    bytes: Uint8Array,
    view: DataView,
    parser: RequestParser,
  ): void {
    const command = this.commands[first];
    if (command === null || (command.memberArgument === 0 && command.popEnd === PopEnd.None)) return;
    if (first + 2 >= end || this.repeatsKey[first + 1] === 0 || this.repeatsKey[first + 2] === 0) return;
    const shard = this.shards[first];
    const { words, dictionary } = shard;
    const slot = dictionary.find(
      shard.root(database),
      this.hashes[first],
      bytes,
      view,
      this.keyOffsets[first],
      this.keyLengths[first],
    );
    const root = shard.memberRoot(slot);
    if (root === 0) return;
    const isSortedSet = entryType(words, words[slot]) === ValueType.SortedSet;
    if (command.popEnd === PopEnd.None) {
      const last = this.readRecords(first, end, shard, root, view, parser);
      if ((command.traits & CommandTrait.Order) !== 0 && isSortedSet)
        this.readOrder(first, last, shard, root);
    } else if (isSortedSet) {
      let last = first + 1;
      while (last < end && this.repeatsKey[last] === 1 && this.commands[last] === command) last++;
      this.sink ^= shard.sortedSets.bringEndNear(root, last - first, command.popEnd === PopEnd.Last);
    }
  }

  /** Reads the records of the members that the commands from `first` on name. Returns the index after the last of them. */
  private readRecords(
    first: number,
    end: number,
    shard: Shard,
    root: number,
    view: DataView,
    parser: RequestParser,
  ): number {
    const { commands, memberHashes, lines, records } = this;
    const { words, dictionary } = shard;
    let { sink } = this;
    let last = first;
    for (; last < end && (last === first || this.repeatsKey[last] === 1); last++) {
      const command = commands[last];
      if (command === null || command.memberArgument === 0) break;
      if (parser.commandArgCount[last] <= command.memberArgument) break;
      const pair = 2 * (parser.commandArgStart[last] + command.memberArgument);
      const hash = hashBytes(view, parser.args[pair], parser.args[pair + 1]);
      const line = dictionary.hintedLine(root, hash);
      memberHashes[last] = hash;
      lines[last] = line;
      sink ^= words[line];
    }
    for (let index = first; index < last; index++) {
      records[index] = dictionary.hintedRecord(lines[index], memberHashes[index]);
    }
    for (let index = first; index < last; index++) sink ^= words[records[index] >>> 2];
    this.sink = sink;
    return last;
  }

  /** Reads the tree nodes that tell these records' places in the order of a sorted set. */
  private readOrder(first: number, last: number, shard: Shard, root: number): void {
    const { records } = this;
    for (let index = first; index < last; index++) {
      if (records[index] !== 0) this.sink ^= shard.sortedSets.bringNear(root, records[index]);
    }
  }
}
