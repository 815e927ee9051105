/**
 * What the commands of a batch will need is read before the first one runs (key-hints.ts). Commands on the members of
 * one collection have their members' records read in the same way, once its lock is held, and the nodes of the tree that
 * keeps the order of a sorted set.
 */

import { entryType, ValueType } from '../keyspace/entry.js';
import type { Keyspace } from '../keyspace/keyspace.js';
import type { Shard } from '../keyspace/shard.js';
import { hashBytes } from '../memory/hash.js';
import { MAX_BATCH_COMMANDS, type RequestParser } from '../protocol/request-parser.js';
import { equalBytes } from '../structures/copy.js';
import { KeyHints } from './key-hints.js';
import { type Command, CommandTrait, FIRST_SCRIPT_KEY, onlyKey, PopEnd } from './table/command-table.js';

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
  /** The keys that differ from that of the command before. */
  private readonly newKeys: KeyHints;
  private readonly memberHashes = new Int32Array(MAX_BATCH_COMMANDS);
  private readonly lines = new Int32Array(MAX_BATCH_COMMANDS);
  private readonly records = new Int32Array(MAX_BATCH_COMMANDS);
  /** Collects what is read, so that the reads are not optimised away. */
  sink = 0;

  /** `commands`: those of the batch. */
  constructor(keyspace: Keyspace, commands: readonly (Command | null)[]) {
    this.keyspace = keyspace;
    this.commands = commands;
    this.newKeys = new KeyHints(MAX_BATCH_COMMANDS, keyspace.shards[0]);
    this.shards = new Array(MAX_BATCH_COMMANDS).fill(keyspace.shards[0]);
  }

  /** Begins a batch, whose first command is `first`. */
  begin(first: number): void {
    this.first = first;
    this.newKeys.clear();
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
    const hash = hashBytes(view, offset, length);
    const shard = keyspace.shardOf(bytes, offset, length);
    hashes[index] = hash;
    shards[index] = shard;
    this.newKeys.add(offset, hash, shard);
  }

  /** The argument that is the first key of a script; 0 if there is none. */
  private firstScriptKey(index: number, bytes: Uint8Array, parser: RequestParser): number {
    const command = this.commands[index];
    if (command === null || (command.traits & CommandTrait.RunsScript) === 0) return 0;
    if (parser.commandArgCount[index] <= FIRST_SCRIPT_KEY) return 0;
    const keyCount = 2 * (parser.commandArgStart[index] + FIRST_SCRIPT_KEY - 1);
    return bytes[parser.args[keyCount]] === ZERO ? 0 : FIRST_SCRIPT_KEY;
  }

  /** Reads what the commands that are prepared will need. */
  run(database: number): void {
    this.newKeys.run(database);
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
