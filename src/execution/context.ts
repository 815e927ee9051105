/**
 * What a command handler sees: its arguments, its client, the keyspace and the reply. One object per
 * worker serves all commands; the executor fills it in.
 *
 * When a handler runs, the shards of all keys that its arguments name are locked. It selects a key with
 * `findRead` or `findWrite`, works on `shard` and `slot`, and ends each change with `changed`.
 */

import { KeyspaceCounter } from '../keyspace/counters.js';
import {
  EntryFlag,
  entryAccess,
  entryFlags,
  entryType,
  expiresAtMs,
  setEntryAccess,
  ValueType,
  valueLength,
  valueOffset,
} from '../keyspace/entry.js';
import { KeyEvent } from '../keyspace/events.js';
import { type KeyName, NamedKey } from '../keyspace/gate.js';
import type { Keyspace } from '../keyspace/keyspace.js';
import type { Shard } from '../keyspace/shard.js';
import { hashBytes } from '../memory/hash.js';
import { IntegerParser } from '../memory/numbers.js';
import type { ReplyWriter } from '../protocol/reply-writer.js';
import { REFERENCE_BYTES } from '../structures/collection-value.js';
import { copyBytes } from '../structures/copy.js';
import { NOT_AN_INTEGER, OUT_OF_MEMORY, WRONG_TYPE } from './errors.js';
import { type CommandRequest, NO_REQUEST } from './request.js';
import type { ScriptRunner } from './scripts/script-runner.js';
import type { ServerServices } from './services.js';
import type { Session } from './session.js';
import { ShardLocks } from './shard-locks.js';
import type { Command, CommandTable } from './table/command-table.js';

const textDecoder = new TextDecoder();

export class CommandContext implements KeyName {
  readonly keyspace: Keyspace;
  readonly table: CommandTable;
  /** Where the running command replies: to its client, or to one that it serves. */
  reply: ReplyWriter;
  readonly services: ServerServices;
  private readonly counters: Float64Array;
  private readonly promisedShards: Shard[] = [];

  session!: Session;
  command!: Command;
  nowMs = 0;

  request = NO_REQUEST;

  // The key selected last.
  keyDatabase = 0;
  shard!: Shard;
  hash = 0;
  keyOffset = 0;
  keyLength = 0;
  /** Word index of the key's dictionary slot, 0 if there is no such key. */
  slot = 0;
  /** The key's entry, 0 if there is none. */
  entry = 0;

  /** The type of the value that the last `putValue` has replaced, -1 if the key was new. */
  replacedType = -1;

  /** Result of the last `integer`. */
  readonly number = new IntegerParser();

  /** The name of a key other than the selected one, or of one that is not an argument. */
  private readonly otherKey = new NamedKey(NO_REQUEST.bytes, NO_REQUEST.view);

  /** Set by the executor for the one key of a single-key command, so that it is not hashed again. */
  knownKeyOffset = -1;
  knownHash = 0;
  knownShard!: Shard;
  /** Offset of the last looked-up key in the request's bytes; -1 if its slot must not be reused (another lock). */
  private slotKeyOffset = -1;
  /** The slot of the key at `knownKeyOffset`, 0 if it is not known; the lookup of a key resets it. */
  knownSlot = 0;

  /** Set by the executor. */
  scripts!: ScriptRunner;

  /** The locks of a command on several shards, or of a transaction. */
  readonly locks: ShardLocks;
  /** A transaction runs, with all locks that it needs. */
  inTransaction = false;
  /** The command is called by a script. */
  isInScript = false;
  /** The transaction is partly applied; no snapshot may start. */
  isMidTransaction = false;

  constructor(
    keyspace: Keyspace,
    table: CommandTable,
    reply: ReplyWriter,
    services: ServerServices,
    counters: Float64Array,
  ) {
    this.keyspace = keyspace;
    this.locks = new ShardLocks(keyspace);
    this.table = table;
    this.reply = reply;
    this.services = services;
    this.counters = counters;
  }

  get database(): number {
    return this.session.database;
  }

  /** The bytes that have the arguments. */
  get bytes(): Uint8Array {
    return this.request.bytes;
  }

  get view(): DataView {
    return this.request.view;
  }

  /** Number of arguments, the command's name among them. */
  get argCount(): number {
    return this.request.count;
  }

  argOffset(index: number): number {
    return this.request.offset(index);
  }

  argLength(index: number): number {
    return this.request.length(index);
  }

  /** Makes another request the context's. */
  select(request: CommandRequest): void {
    this.request = request;
    this.knownKeyOffset = -1;
    this.knownSlot = 0;
    this.locks.keys.clear();
  }

  /** An argument as text (UTF-8). Allocates: for options and names, not for keys and values. */
  argText(index: number): string {
    const offset = this.argOffset(index);
    return textDecoder.decode(this.bytes.subarray(offset, offset + this.argLength(index)));
  }

  /** An argument with one character per byte. */
  argLatin1(index: number): string {
    const offset = this.argOffset(index);
    const { buffer, byteOffset } = this.bytes;
    return Buffer.from(buffer, byteOffset + offset, this.argLength(index)).toString('latin1');
  }

  /** An argument as an error message quotes it: one character per byte, up to the first zero byte. */
  argQuoted(index: number): string {
    const text = this.argLatin1(index);
    const zero = text.indexOf('\0');
    return zero < 0 ? text : text.slice(0, zero);
  }

  /** A copy of an argument's bytes. */
  argCopy(index: number): Uint8Array {
    const offset = this.argOffset(index);
    return this.bytes.slice(offset, offset + this.argLength(index));
  }

  /** Whether an argument is this word (ASCII letters, given in upper case), in any case. */
  argIs(index: number, word: string): boolean {
    if (this.argLength(index) !== word.length) return false;
    const offset = this.argOffset(index);
    for (let at = 0; at < word.length; at++) {
      const byte = this.bytes[offset + at];
      if ((byte >= 0x61 && byte <= 0x7a ? byte - 32 : byte) !== word.charCodeAt(at)) return false;
    }
    return true;
  }

  /** Reads an argument as an int64 into `number`; if it is none, replies with `error` and returns false. */
  integer(index: number, error: string = NOT_AN_INTEGER): boolean {
    if (this.number.parse(this.bytes, this.argOffset(index), this.argLength(index))) return true;
    this.reply.error(error);
    return false;
  }

  /** Makes an argument the selected key, without looking it up. */
  selectKey(index: number): void {
    const offset = this.argOffset(index);
    const length = this.argLength(index);
    this.keyOffset = offset;
    this.keyLength = length;
    if (offset === this.knownKeyOffset) {
      this.hash = this.knownHash;
      this.shard = this.knownShard;
      return;
    }
    const { keys } = this.locks;
    const known = keys.take(offset);
    if (known >= 0) {
      this.hash = keys.hashes[known];
      this.shard = keys.shards[known];
      return;
    }
    this.hash = hashBytes(this.view, offset, length);
    this.shard = this.keyspace.shardOf(this.bytes, offset, length);
  }

  /** Called when another lock is taken: a slot found under an earlier lock may be stale. */
  forgetSlot(): void {
    this.slotKeyOffset = -1;
  }

  /**
   * The slot that the last command found for its key at `lastKeyOffset`, if the entry is still there and no lock has
   * been released since; else 0.
   */
  slotLeft(lastKeyOffset: number): number {
    const { slot, entry } = this;
    if (this.slotKeyOffset !== lastKeyOffset || slot === 0 || entry === 0) return 0;
    return this.shard.words[slot] === entry ? slot : 0;
  }

  private lookup(index: number, database: number): number {
    this.selectKey(index);
    const { shard, knownSlot } = this;
    this.knownSlot = 0;
    this.slotKeyOffset = this.keyOffset;
    if (knownSlot !== 0 && this.keyOffset === this.knownKeyOffset && this.keyDatabase === database) {
      this.slot = knownSlot;
      return this.entry;
    }
    this.keyDatabase = database;
    this.slot = shard.find(
      database,
      this.hash,
      this.bytes,
      this.view,
      this.keyOffset,
      this.keyLength,
      this.nowMs,
    );
    this.entry = this.slot === 0 ? 0 : shard.words[this.slot];
    return this.entry;
  }

  /** Selects a key for reading: counts a hit or a miss and notes the access. Returns its entry or 0. */
  findRead(index: number): number {
    return this.noteRead(this.lookup(index, this.session.database), this);
  }

  /**
   * Finds a key that no argument names, for reading its value: sets `shard` and `entry`. Returns its entry or 0. The
   * shards of all keys are locked.
   */
  findOtherRead(bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): number {
    this.slotKeyOffset = -1;
    this.shard = this.keyspace.shardOf(bytes, offset, lengthBytes);
    this.keyDatabase = this.session.database;
    this.hash = hashBytes(view, offset, lengthBytes);
    const { shard } = this;
    this.slot = shard.find(this.keyDatabase, this.hash, bytes, view, offset, lengthBytes, this.nowMs);
    this.entry = this.slot === 0 ? 0 : shard.words[this.slot];
    this.setOtherKey(bytes, view, this.keyDatabase, this.hash, offset, lengthBytes);
    return this.noteRead(this.entry, this.otherKey);
  }

  private noteRead(entry: number, key: KeyName): number {
    if (!this.noteLookup(entry, key)) return 0;
    if (!this.session.noTouch) this.shard.touchRead(entry, this.nowMs);
    return entry;
  }

  /** Counts a hit or a miss; reports a miss as an event unless `key` is null. Returns whether there is an entry. */
  private noteLookup(entry: number, key: KeyName | null): boolean {
    if (entry !== 0) {
      this.counters[KeyspaceCounter.Hits]++;
      return true;
    }
    this.counters[KeyspaceCounter.Misses]++;
    if (key !== null) this.shard.happened(key, KeyEvent.KeyMiss);
    return false;
  }

  /** Selects a key without reading its value (TTL, TYPE …): counts a hit or a miss, but no access. */
  query(index: number): number {
    const entry = this.lookup(index, this.session.database);
    this.noteLookup(entry, this);
    return entry;
  }

  /** `query` without an event. */
  queryQuietly(index: number): number {
    const entry = this.lookup(index, this.session.database);
    this.noteLookup(entry, null);
    return entry;
  }

  /** Selects a key without counting a hit, a miss or an access. */
  peek(index: number): number {
    return this.lookup(index, this.session.database);
  }

  /** `peek` that also finds a key whose expiry has passed. */
  peekExpired(index: number): number {
    const { nowMs } = this;
    this.nowMs = 0;
    const entry = this.peek(index);
    this.nowMs = nowMs;
    return entry;
  }

  /** Selects a key of another database (COPY, MOVE). Its shard is that of the same key in any database. */
  findIn(database: number, index: number): number {
    return this.lookup(index, database);
  }

  /** Selects a key that the command is going to change. Every change begins here. Returns its entry or 0. */
  findWrite(index: number): number {
    const entry = this.lookup(index, this.session.database);
    if (entry === 0) return 0;
    this.shard.preserve(this.keyDatabase, entry);
    this.shard.touch(entry, this.nowMs);
    return entry;
  }

  /** `findWrite` for commands that read the value as well: counts a hit or a miss. */
  findReadWrite(index: number): number {
    const entry = this.findWrite(index);
    this.noteLookup(entry, this);
    return entry;
  }

  /** Whether the selected key, if there is one, is of a type; replies WRONGTYPE if it is not. */
  isType(type: ValueType): boolean {
    if (this.entry === 0 || entryType(this.shard.words, this.entry) === type) return true;
    this.reply.error(WRONG_TYPE);
    return false;
  }

  /** The type of the selected key, which exists. */
  get entryType(): number {
    return entryType(this.shard.words, this.entry);
  }

  /** Whether a key with this expiry would be gone at once. */
  isPast(expiresAt: number): boolean {
    return expiresAt <= this.nowMs && !this.keyspace.settings.isReplaying;
  }

  get valueOffset(): number {
    return valueOffset(this.shard.words, this.entry);
  }

  get valueLength(): number {
    return valueLength(this.shard.words, this.entry);
  }

  /** The selected key's expiry in ms since the epoch, -1 for none. */
  get expiresAtMs(): number {
    return this.entry === 0 ? -1 : expiresAtMs(this.shard.words, this.entry);
  }

  /**
   * Gives the selected key a value of a type and length, creating it if need be; the caller fills the
   * bytes at `valueOffset`. `expiresAt` -1 means none, `hashReference` is as for `Shard.create`. Replies OOM and returns false if there is no memory.
   */
  putValue(type: ValueType, lengthBytes: number, expiresAt: number, hashReference = 0): boolean {
    const { shard } = this;
    if (this.slot === 0) {
      this.entry = shard.create(
        this.keyDatabase,
        this.hash,
        this.bytes,
        this.view,
        this.keyOffset,
        this.keyLength,
        type,
        lengthBytes,
        expiresAt,
        this.nowMs,
        hashReference,
      );
      if (this.entry !== 0) {
        this.replacedType = -1;
        this.happened(KeyEvent.New);
        return true;
      }
    } else {
      this.replacedType = this.entryType;
      const entry = shard.replace(
        this.keyDatabase,
        this.slot,
        type,
        lengthBytes,
        expiresAt,
        this.nowMs,
        hashReference,
      );
      if (entry !== 0) {
        this.entry = entry;
        return true;
      }
    }
    this.reply.error(OUT_OF_MEMORY);
    return false;
  }

  /** `putValue` for a string whose bytes are an argument. */
  putString(argument: number, expiresAt: number): boolean {
    const lengthBytes = this.argLength(argument);
    if (!this.putValue(0, lengthBytes, expiresAt)) return false;
    const { shard } = this;
    const target = valueOffset(shard.words, this.entry);
    copyBytes(shard.bytes, shard.view, target, this.bytes, this.view, this.argOffset(argument), lengthBytes);
    return true;
  }

  /** Changes the length of the selected string in place (see Shard.resizeString). Replies OOM if it can't. */
  resizeString(lengthBytes: number): boolean {
    const entry = this.shard.resizeString(this.keyDatabase, this.slot, lengthBytes, this.nowMs);
    if (entry === 0) {
      this.reply.error(OUT_OF_MEMORY);
      return false;
    }
    this.entry = entry;
    return true;
  }

  /**
   * Selects a key that holds a collection, for reading. Returns the offset of the collection's reference, 0 if
   * there is no such key, or -1 after replying WRONGTYPE.
   */
  readCollection(index: number, type: ValueType): number {
    return this.referenceOf(this.findRead(index), type);
  }

  /** The same for a key that the command is going to change. */
  writeCollection(index: number, type: ValueType): number {
    return this.referenceOf(this.findWrite(index), type);
  }

  /** The same for a command that also reads the value: counts a hit or a miss. */
  readWriteCollection(index: number, type: ValueType): number {
    return this.referenceOf(this.findReadWrite(index), type);
  }

  private referenceOf(entry: number, type: ValueType): number {
    if (entry === 0) return 0;
    const { words } = this.shard;
    if (entryType(words, entry) === type) return valueOffset(words, entry);
    this.reply.error(WRONG_TYPE);
    return -1;
  }

  /**
   * Makes the selected key, which does not exist, an empty collection. Returns the offset of its reference, or
   * 0 after replying OOM. The command adds elements to it, or calls `dropIfEmpty`.
   */
  createCollection(type: ValueType): number {
    const { shard } = this;
    if (!shard.collection(type).create(shard.draft)) {
      this.reply.error(OUT_OF_MEMORY);
      return 0;
    }
    return this.putDraft(type, -1) ? valueOffset(shard.words, this.entry) : 0;
  }

  /**
   * Makes the collection at `shard.draft` the selected key's value, in place of any other. If there is no
   * memory it replies OOM, frees the draft and returns false.
   */
  putDraft(type: ValueType, expiresAt: number): boolean {
    const { shard } = this;
    if (!this.putValue(type, REFERENCE_BYTES, expiresAt, type === ValueType.Hash ? shard.draft : 0)) {
      shard.collection(type).release(shard.draft);
      return false;
    }
    shard.adoptDraft(this.entry);
    return true;
  }

  /**
   * Deletes the selected key if it is a collection without elements; returns whether it was. The caller
   * reports the deletion to the gate, if the collection was not empty before.
   */
  dropIfEmpty(): boolean {
    const { shard } = this;
    const collection = shard.collection(this.entryType);
    if (!collection.isEmpty(this.valueOffset)) return false;
    if (this.slot === 0) {
      this.slot = shard.dictionary.slotOf(shard.root(this.keyDatabase), this.hash, this.entry);
    }
    this.remove();
    return true;
  }

  /**
   * Tells the gate that elements were taken from the selected collection, and deletes it if they were the
   * last ones.
   */
  elementsRemoved(event: KeyEvent, count = 1): void {
    this.changed(event, count);
    if (this.dropIfEmpty()) this.happened(KeyEvent.Delete);
  }

  /**
   * Gives the selected key a copy of another key's value, which lives in `source` at `sourceEntry`, with
   * an expiry of its own. Replies OOM and returns false if there is no memory.
   */
  putCopy(source: Shard, sourceEntry: number, expiresAt: number): boolean {
    const lengthBytes = valueLength(source.words, sourceEntry);
    const type = entryType(source.words, sourceEntry);
    const encoding = entryFlags(source.words, sourceEntry) & EntryFlag.ENCODING;
    const access = entryAccess(source.words, sourceEntry);
    if (type !== ValueType.String) {
      if (!this.copyToDraft(source, sourceEntry, type) || !this.putDraft(type, expiresAt)) return false;
      setEntryAccess(this.shard.words, this.entry, access);
      return true;
    }
    if (!this.putValue(type, lengthBytes, expiresAt)) return false;
    const { shard } = this;
    const target = valueOffset(shard.words, this.entry);
    const from = valueOffset(source.words, sourceEntry);
    copyBytes(shard.bytes, shard.view, target, source.bytes, source.view, from, lengthBytes);
    setEntryAccess(shard.words, this.entry, access);
    shard.words[this.entry >> 2] |= encoding;
    return true;
  }

  private copyToDraft(source: Shard, sourceEntry: number, type: ValueType): boolean {
    const { shard } = this;
    const reference = valueOffset(source.words, sourceEntry);
    if (shard.collection(type).copy(shard.draft, source.collection(type), reference)) return true;
    this.reply.error(OUT_OF_MEMORY);
    return false;
  }

  /**
   * Gives the selected key the value of another key, `sourceEntry` of `sourceDatabase`, and deletes the other
   * key. A collection that stays in its shard is handed over without a copy. Replies OOM and returns false,
   * with nothing changed, if there is no memory.
   */
  takeValue(source: Shard, sourceDatabase: number, sourceHash: number, sourceEntry: number): boolean {
    const { shard } = this;
    const type = entryType(source.words, sourceEntry);
    const expiresAt = expiresAtMs(source.words, sourceEntry);
    const isHandedOver = shard === source && type !== ValueType.String;
    if (isHandedOver) {
      const reference = valueOffset(shard.words, sourceEntry);
      const access = entryAccess(shard.words, sourceEntry);
      const isHash = type === ValueType.Hash;
      if (isHash) shard.leaveFieldCalendar(sourceDatabase, sourceEntry);
      if (!this.putValue(type, REFERENCE_BYTES, expiresAt, isHash ? reference : 0)) {
        if (isHash) shard.fieldsChanged(sourceDatabase, sourceEntry, this.nowMs);
        return false;
      }
      shard.bytes.copyWithin(this.valueOffset, reference, reference + REFERENCE_BYTES);
      setEntryAccess(shard.words, this.entry, access);
    } else if (!this.putCopy(source, sourceEntry, expiresAt)) {
      return false;
    }
    const slot = source.dictionary.slotOf(source.root(sourceDatabase), sourceHash, sourceEntry);
    if (isHandedOver) source.removeEntry(sourceDatabase, sourceHash, slot);
    else source.remove(sourceDatabase, sourceHash, slot);
    return true;
  }

  /** Creates the selected key, which does not exist, as an empty string. Replies OOM if it can't. */
  createEmptyString(): boolean {
    if (!this.putValue(0, 0, -1)) return false;
    this.slot = this.shard.dictionary.slotOf(this.shard.root(this.keyDatabase), this.hash, this.entry);
    return true;
  }

  /** Sets the selected key's expiry (-1: none). Replies OOM and returns false if there is no memory. */
  setExpiry(expiresAt: number): boolean {
    const entry = this.shard.setExpiry(this.keyDatabase, this.slot, expiresAt, this.nowMs);
    if (entry === 0) {
      this.reply.error(OUT_OF_MEMORY);
      return false;
    }
    this.entry = entry;
    return true;
  }

  /**
   * Makes the selected hash ready for fields that expire. Returns the offset of its reference, which may have moved, or
   * 0 if there is no memory. Call `fieldsChanged` once the expiries are set.
   */
  prepareFieldExpiry(): number {
    const { shard } = this;
    if (this.slot === 0) {
      this.slot = shard.dictionary.slotOf(shard.root(this.keyDatabase), this.hash, this.entry);
    }
    const entry = shard.prepareFieldExpiry(this.keyDatabase, this.slot, this.nowMs);
    if (entry === 0) return 0;
    this.entry = entry;
    return valueOffset(shard.words, entry);
  }

  /** Updates the selected hash in the calendar of field expiries after some of them have changed. */
  fieldsChanged(): void {
    this.shard.fieldsChanged(this.keyDatabase, this.entry, this.nowMs);
  }

  /** Deletes the selected key; with `mayWait`, a large value may be freed later, in the background. */
  remove(mayWait = true): void {
    this.shard.remove(this.keyDatabase, this.hash, this.slot, mayWait);
    this.slot = 0;
    this.entry = 0;
  }

  /** Bytes of all arguments from `first` on. */
  argBytes(first: number): number {
    let lengthBytes = 0;
    for (let index = first; index < this.argCount; index++) lengthBytes += this.argLength(index);
    return lengthBytes;
  }

  /**
   * Reserves memory in the selected key's shard for what the command is about to allocate, until `endPromises`. If
   * there is not enough, replies OOM and returns false: the command must then end without changing anything.
   */
  promise(lengthBytes: number): boolean {
    const { arena } = this.shard;
    if (arena.promise(lengthBytes)) {
      this.promisedShards.push(this.shard);
      return true;
    }
    this.endPromises();
    this.reply.error(OUT_OF_MEMORY);
    return false;
  }

  /** Releases what `promise` has reserved, in all shards. */
  endPromises(): void {
    const { promisedShards } = this;
    while (promisedShards.length > 0) promisedShards.pop()?.arena.endPromise();
  }

  /** Tells the gate that the selected key has changed, once; `changes` is what counts towards the save points. */
  changed(event: KeyEvent, changes = 1): void {
    this.shard.changed(this, event, changes);
  }

  /** Tells the gate of an event on the selected key that is not a change, or only a part of one. */
  happened(event: KeyEvent): void {
    this.shard.happened(this, event);
  }

  /** Tells the gate that the value that was put last has replaced another. */
  overwritten(): void {
    if (this.replacedType < 0) return;
    this.happened(KeyEvent.Overwritten);
    if (this.replacedType !== this.entryType) this.happened(KeyEvent.TypeChanged);
  }

  /** `overwritten` for commands that delete the old key and create a new one. */
  recreated(): void {
    if (this.replacedType >= 0) this.happened(KeyEvent.New);
  }

  /** Tells the gate that another key, which an argument names, has changed. Its shard's lock is held. */
  argumentChanged(argument: number, database: number, event: KeyEvent, changes = 1): void {
    const { bytes, view, keyspace } = this;
    const offset = this.argOffset(argument);
    const length = this.argLength(argument);
    this.setOtherKey(bytes, view, database, hashBytes(view, offset, length), offset, length);
    keyspace.shardOf(bytes, offset, length).changed(this.otherKey, event, changes);
  }

  private setOtherKey(
    bytes: Uint8Array,
    view: DataView,
    database: number,
    hash: number,
    offset: number,
    lengthBytes: number,
  ): void {
    const { otherKey } = this;
    otherKey.bytes = bytes;
    otherKey.view = view;
    otherKey.keyDatabase = database;
    otherKey.hash = hash;
    otherKey.keyOffset = offset;
    otherKey.keyLength = lengthBytes;
  }

  /** Marks the selected string as changed in place, so that OBJECT ENCODING says "raw". */
  markRaw(): void {
    this.shard.words[this.entry >> 2] |= EntryFlag.Raw;
  }

  /** Marks the selected string as text, so that OBJECT ENCODING never says "int". */
  markText(): void {
    this.shard.words[this.entry >> 2] |= EntryFlag.Text;
  }

  /** Whether a command may block its client: not within a transaction or a script, which must not wait. */
  get mayBlock(): boolean {
    return !this.inTransaction;
  }

  /** Locks a shard for a command that names no keys; it may be locked already, in a transaction. */
  lockShard(shard: Shard): void {
    if (!this.locks.holds(shard)) shard.lock();
  }

  unlockShard(shard: Shard): void {
    if (!this.locks.holds(shard)) this.keyspace.endHold(shard, false);
  }

  /** Runs something with the locks of all shards, which may be held already. */
  withAllLocks<T>(action: () => T): T {
    const { locks, keyspace } = this;
    if (locks.holdsAll) return action();
    keyspace.lockAll();
    const result = action();
    keyspace.unlockAll();
    return result;
  }
}
