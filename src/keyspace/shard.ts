/**
 * One shard of the keyspace as one thread sees it: finding, creating, changing, expiring and deleting
 * keys. The caller of these methods holds the shard's lock.
 *
 *   database root: DATABASE_BYTES at DATABASES_START_BYTE + database * DATABASE_BYTES
 *     words 0-3   the dictionary's root (structures/dictionary.ts)
 *     word 4      expiry calendar (word index), 0 until a key of this database expires
 *     words 5-6, 9-10   the snapshot that is being taken (shard-snapshot.ts)
 *     word 8      calendar of the hashes with fields that expire, 0 until there is one
 *
 * Every change of a key passes `changed`, the gate: all that has to see writes is called there and nowhere else.
 * The methods that replace or delete entries leave the call of `changed` to the command, which knows the event's name.
 * Expiry and eviction, which no command asked for, call it themselves and record the deletion in the journal.
 */

import type { KeyspaceSettings } from '../config/keyspace-settings.js';
import type { Journal } from '../journal/journal.js';
import { Arena } from '../memory/arena.js';
import { acquireLockSoon, awaitUnlock, isLockWaitedFor, releaseLock, tryLock } from '../memory/lock.js';
import type { LockOrder } from '../memory/lock-order.js';
import {
  DATABASE_BYTES,
  DATABASES_START_BYTE,
  HeaderDouble,
  HeaderWord,
  ShardListener,
  ShardMemory,
} from '../memory/shard-memory.js';
import { type CollectionValue, REFERENCE_BYTES } from '../structures/collection-value.js';
import { copyBytes, moveBytes } from '../structures/copy.js';
import { DictionaryRoot, TablePosition } from '../structures/dictionary.js';
import { ExpiringHead, expiringHead, headKeyExpiry, setHeadKeyExpiry } from '../structures/expiring-head.js';
import { HashValue } from '../structures/hash-value.js';
import { ListValue } from '../structures/list-value.js';
import { SetValue } from '../structures/set-value.js';
import { SortedSetValue } from '../structures/sorted-set-value.js';
import { StreamValue } from '../structures/stream-value.js';
import type { ValueLimits } from '../structures/value-limits.js';
import { sleep } from '../system/wait.js';
import { lfuAccessed, lfuInitial, lruClock } from './access-clock.js';
import { KeyspaceCounter } from './counters.js';
import {
  calendarCell,
  EntryFlag,
  entryAccess,
  entryBytes,
  entryFlags,
  entryType,
  expiresAtMs,
  hasExpiry,
  headerBytes,
  isDue,
  keyLength,
  keyOffset,
  NEVER_MS,
  SHORT_KEY_BYTES_MAX,
  SHORT_VALUE_BYTES_MAX,
  setCalendarCell,
  setDeadlineMs,
  setEntryAccess,
  setValueLength,
  ValueType,
  valueCapacity,
  valueLength,
  valueOffset,
} from './entry.js';
import { isOfGroupsOnly, KeyEvent } from './events.js';
import { ExpiryCalendar, FieldCalendar } from './expiry-calendar.js';
import { type Gate, type KeyName, NamedKey } from './gate.js';
import type { KeptLock } from './kept-lock.js';
import { KeyDictionary } from './key-dictionary.js';
import { LazyFree } from './lazy-free.js';
import { ShardSnapshot, SnapshotState } from './shard-snapshot.js';
import { TrackedKeys } from './tracked-keys.js';
import { Waiters } from './waiters.js';
import { WatchedKeys } from './watched-keys.js';

const ROOT_WORDS = DATABASE_BYTES >> 2;
const ROOT_CALENDAR = DictionaryRoot.WORDS;
const ROOT_FIELD_CALENDAR = 8;

/** Expired fields that a lookup removes from a hash, at most; it only hides the remaining ones. */
const DUE_FIELDS_PER_LOOKUP = 256;

/** Bytes that an entry takes besides key and value. */
const ENTRY_OVERHEAD_BYTES = 40;

/** A value that grows in place gets room for as much again, up to this much. */
const GROWTH_BYTES_MAX = 1 << 20;

/** Pause after unlocking a contended lock, so that a sleeping waiter can take it. */
const HAND_OVER_MS = 0.1;

export class Shard {
  readonly index: number;
  readonly memory: ShardMemory;
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly doubles: Float64Array;
  readonly view: DataView;
  readonly arena: Arena;
  readonly dictionary: KeyDictionary;
  readonly calendar: ExpiryCalendar;
  readonly fieldCalendar: FieldCalendar;
  readonly watchedKeys: WatchedKeys;
  readonly waiters: Waiters;
  readonly trackedKeys: TrackedKeys;
  readonly snapshot: ShardSnapshot;
  readonly journal: Journal;
  readonly hashes: HashValue;
  readonly sets: SetValue;
  readonly sortedSets: SortedSetValue;
  readonly lazyFree: LazyFree;
  readonly lists: ListValue;
  readonly streams: StreamValue;
  /** Limits up to which collections are stored packed. */
  readonly limits: ValueLimits;
  /** The implementation of each value type except strings, by ValueType. */
  private readonly collections: (CollectionValue | null)[] = new Array(7).fill(null);
  private readonly settings: KeyspaceSettings;
  private readonly counters: Float64Array;
  private readonly keptLock: KeptLock;
  private readonly gate: Gate;
  private readonly lockOrder: LockOrder;
  /** Reused for names of keys that expire, are evicted or untracked. */
  private readonly name: NamedKey;

  constructor(
    index: number,
    buffer: SharedArrayBuffer,
    settings: KeyspaceSettings,
    counters: Float64Array,
    journal: Journal,
    keptLock: KeptLock,
    gate: Gate,
    lockOrder: LockOrder,
  ) {
    this.index = index;
    this.gate = gate;
    this.lockOrder = lockOrder;
    this.keptLock = keptLock;
    this.journal = journal;
    this.memory = new ShardMemory(buffer);
    this.bytes = this.memory.bytes;
    this.words = this.memory.words;
    this.doubles = this.memory.doubles;
    this.view = this.memory.view;
    this.name = new NamedKey(this.bytes, this.view);
    this.arena = new Arena(this.memory);
    this.dictionary = new KeyDictionary(this.memory, this.arena);
    this.calendar = new ExpiryCalendar(this.memory, this.arena);
    this.watchedKeys = new WatchedKeys(this.memory);
    this.waiters = new Waiters(this.memory, this.arena);
    this.trackedKeys = new TrackedKeys(this.memory, this.arena, gate.trackingTotals);
    this.snapshot = new ShardSnapshot(this, this.memory);
    this.limits = settings.values;
    this.hashes = new HashValue(this.memory, this.arena, this.limits);
    this.collections[ValueType.Hash] = this.hashes;
    this.fieldCalendar = new FieldCalendar(this.memory, this.arena, this.hashes);
    this.sets = new SetValue(this.memory, this.arena, this.limits);
    this.collections[ValueType.Set] = this.sets;
    this.sortedSets = new SortedSetValue(this.memory, this.arena, this.limits);
    this.collections[ValueType.SortedSet] = this.sortedSets;
    this.lazyFree = new LazyFree(
      this.memory,
      this.arena,
      this.dictionary,
      this.calendar,
      this.collections,
      counters,
    );
    this.lists = new ListValue(this.memory, this.arena, this.limits);
    this.collections[ValueType.List] = this.lists;
    this.streams = new StreamValue(this.memory, this.arena, this.limits);
    this.collections[ValueType.Stream] = this.streams;
    for (const collection of this.collections) collection?.setKeeper(this.snapshot);
    this.settings = settings;
    this.counters = counters;
  }

  /** Takes the lock, waiting as long as it takes. Throws `ScriptRunsLong` if this thread gives up (lock-order.ts). */
  lock(): void {
    this.lockAmong(false);
  }

  /** Like `lock`; with `holdsOthers`, returns false if this thread must first release the other locks it holds. */
  lockAmong(holdsOthers: boolean): boolean {
    if (this.keptLock.takeOver(this) || tryLock(this.words, HeaderWord.Lock)) return true;
    return this.lockOrder.acquire(this.words, HeaderWord.Lock, holdsOthers);
  }

  /**
   * Takes the lock if it is free, or becomes free within some microseconds. The thread keeps no lock. `hasWaited`: for its
   * release, by `awaitUnlock`.
   */
  lockSoon(hasWaited = false): boolean {
    return acquireLockSoon(this.words, HeaderWord.Lock, hasWaited);
  }

  /** Wakes the threads that wait for the lock, which is held, to check whether they must release other locks. */
  stirWaiters(): void {
    if (this.isWaitedFor) Atomics.notify(this.words, HeaderWord.Lock);
  }

  /** Waits for the lock to become free, for so long at most, without taking it. */
  awaitUnlock(milliseconds: number): void {
    awaitUnlock(this.words, HeaderWord.Lock, milliseconds);
  }

  unlock(): void {
    releaseLock(this.words, HeaderWord.Lock);
  }

  /** Takes the lock if it is free; returns whether it was. No lock is kept while another one is held. */
  tryLock(): boolean {
    return tryLock(this.words, HeaderWord.Lock);
  }

  /**
   * Releases the lock, for a thread that wants it again at once. If another thread waits for it, pauses for a moment:
   * otherwise a sleeping waiter would find it taken again each time it wakes up.
   */
  handOver(): void {
    const isWanted = this.isWaitedFor;
    this.unlock();
    if (isWanted) sleep(HAND_OVER_MS);
  }

  /** Whether another thread may wait for the lock, which is held. */
  get isWaitedFor(): boolean {
    return isLockWaitedFor(this.words, HeaderWord.Lock);
  }

  /** Word index of a database's root. */
  root(database: number): number {
    return (DATABASES_START_BYTE >> 2) + database * ROOT_WORDS;
  }

  get databaseCount(): number {
    return this.words[HeaderWord.DatabaseCount];
  }

  /** Databases, and those that no client sees. */
  private get rootCount(): number {
    return 2 * this.databaseCount;
  }

  keyCount(database: number): number {
    return this.words[this.root(database) + DictionaryRoot.Count];
  }

  /** Word index of a database's expiry calendar, 0 if it has none. */
  calendarOf(database: number): number {
    return this.words[this.root(database) + ROOT_CALENDAR];
  }

  volatileKeyCount(database: number): number {
    const calendar = this.calendarOf(database);
    return calendar === 0 ? 0 : this.calendar.count(calendar);
  }

  /** Word index of a database's calendar of hashes with fields that expire, 0 if it has none. */
  fieldCalendarOf(database: number): number {
    return this.words[this.root(database) + ROOT_FIELD_CALENDAR];
  }

  /** Hashes with fields that expire. */
  expiringHashCount(database: number): number {
    const calendar = this.fieldCalendarOf(database);
    return calendar === 0 ? 0 : this.fieldCalendar.count(calendar);
  }

  /**
   * Finds a key. An expired key is deleted and not found; expired fields of a hash are deleted. Returns the word index
   * of the dictionary slot that holds the entry's offset, or 0.
   */
  find(
    database: number,
    hash: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
    nowMs: number,
  ): number {
    const slot = this.dictionary.find(this.root(database), hash, bytes, view, offset, lengthBytes);
    if (slot === 0 || !isDue(this.words, this.words[slot], nowMs)) return slot;
    return this.isGone(database, this.words[slot], nowMs) ? 0 : slot;
  }

  /**
   * Must be called before a key changes in place: keeps it for a snapshot that has not seen it yet. The methods
   * that replace or delete entries do so themselves.
   */
  preserve(database: number, entry: number): void {
    if (this.words[HeaderWord.SnapshotState] === SnapshotState.Running) {
      this.snapshot.preserve(database, entry);
    }
  }

  /** Notes an access in the entry's clock, as the eviction policy wants it. */
  touch(entry: number, nowMs: number): void {
    const { words, settings } = this;
    const access = entryAccess(words, entry);
    const next = settings.usesLfu ? lfuAccessed(access, nowMs, settings.lfu) : lruClock(nowMs);
    if (next !== access) setEntryAccess(words, entry, next);
  }

  /** Like `touch`, for an access that changes nothing; ignored if the clock dates changes only. */
  touchRead(entry: number, nowMs: number): void {
    if (!this.settings.datesChanges) this.touch(entry, nowMs);
  }

  /**
   * Adds a key that is not there. The value's bytes are the caller's to fill. Returns the entry, or 0
   * with nothing changed if there is no memory. `expiresAt` is -1 for none. `hashReference`: if the value is to be a
   * hash, the offset of its reference (such as `draft`), since fields of it may expire.
   */
  create(
    database: number,
    hash: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
    type: ValueType,
    valueBytes: number,
    expiresAt: number,
    nowMs: number,
    hashReference = 0,
  ): number {
    const entry = this.newEntry(
      database,
      bytes,
      view,
      offset,
      lengthBytes,
      type,
      valueBytes,
      valueBytes,
      expiresAt,
      this.settings.usesLfu ? lfuInitial(nowMs) : lruClock(nowMs),
      nowMs,
      hashReference,
    );
    if (entry === 0) return 0;
    if (!this.dictionary.insert(this.root(database), hash, entry)) {
      this.freeEntry(database, entry);
      return 0;
    }
    return entry;
  }

  /**
   * Bytes that creating `count` string keys, or replacing the values of existing ones, may allocate: `lengthBytes` for
   * all keys and values, and the overhead, with or without expiries. For Arena.promise.
   */
  roomForKeys(database: number, count: number, lengthBytes: number, expires: boolean): number {
    const root = this.root(database);
    const bytes = lengthBytes + count * ENTRY_OVERHEAD_BYTES + this.dictionary.growthBytes(root, count);
    return expires ? bytes + this.calendar.growthBytes(this.words[root + ROOT_CALENDAR], count) : bytes;
  }

  /**
   * Gives the key at `slot` another value of `valueBytes` bytes (to be filled by the caller) and another
   * expiry (-1: none); `hashReference` as for `create`. Returns the entry, which may have moved, or 0 with nothing changed.
   */
  replace(
    database: number,
    slot: number,
    type: ValueType,
    valueBytes: number,
    expiresAt: number,
    nowMs: number,
    hashReference = 0,
  ): number {
    const { words } = this;
    const old = words[slot];
    this.preserve(database, old);
    const flags = entryFlags(words, old);
    const keyBytes = keyLength(words, old);
    const plain =
      (flags & ~EntryFlag.ENCODING) === 0 &&
      expiresAt < 0 &&
      valueBytes <= SHORT_VALUE_BYTES_MAX &&
      !this.hasDueFields(hashReference);
    if (plain && ((valueLength(words, old) + keyBytes + 7) & ~7) === ((valueBytes + keyBytes + 7) & ~7)) {
      // Same block: only what describes the value changes.
      this.freeValue(database, old, true);
      words[old >> 2] = (words[old >> 2] & ~0xff) | words[HeaderWord.SnapshotDoneBit] | (type << 4);
      words[(old >> 2) + 1] = (keyBytes << 20) | valueBytes;
      this.touch(old, nowMs);
      return old;
    }
    const entry = this.newEntry(
      database,
      this.bytes,
      this.view,
      keyOffset(words, old),
      keyBytes,
      type,
      valueBytes,
      valueBytes,
      expiresAt,
      entryAccess(words, old),
      nowMs,
      hashReference,
    );
    if (entry === 0) return 0;
    this.freeValue(database, old, true);
    this.freeEntry(database, old);
    words[slot] = entry;
    this.touch(entry, nowMs);
    return entry;
  }

  /**
   * Changes the length of the string at `slot`, keeping its bytes up to the smaller length; what is new is
   * zero. The entry becomes "raw" and, if it was not empty, gets room to grow. Returns the entry, or 0 with nothing changed.
   */
  resizeString(database: number, slot: number, lengthBytes: number, nowMs: number): number {
    const { words } = this;
    let entry = words[slot];
    this.preserve(database, entry);
    const oldLength = valueLength(words, entry);
    if (lengthBytes > valueCapacity(words, entry) || (entryFlags(words, entry) & EntryFlag.Wide) === 0) {
      // A string that has just been made may never grow.
      const growth = lengthBytes < 64 || oldLength === 0 ? 0 : Math.min(lengthBytes, GROWTH_BYTES_MAX);
      const capacity = lengthBytes + growth;
      const old = entry;
      entry = this.newEntry(
        database,
        this.bytes,
        this.view,
        keyOffset(words, old),
        keyLength(words, old),
        ValueType.String,
        lengthBytes,
        capacity,
        expiresAtMs(words, old),
        entryAccess(words, old),
        nowMs,
      );
      if (entry === 0) return 0;
      const kept = Math.min(oldLength, lengthBytes);
      const from = valueOffset(words, old);
      moveBytes(this.bytes, this.view, valueOffset(words, entry), from, from + kept);
      this.freeEntry(database, old);
      words[slot] = entry;
    } else {
      setValueLength(words, entry, lengthBytes);
    }
    words[entry >> 2] |= EntryFlag.Raw;
    if (lengthBytes > oldLength) {
      const start = valueOffset(words, entry);
      this.bytes.fill(0, start + oldLength, start + lengthBytes);
    }
    return entry;
  }

  /** Sets (or with -1 removes) the expiry of the key at `slot`. Returns the entry, or 0 with nothing changed. */
  setExpiry(database: number, slot: number, expiresAt: number, nowMs: number): number {
    const { words } = this;
    const entry = words[slot];
    this.preserve(database, entry);
    const had = hasExpiry(words, entry);
    if (had && expiresAt >= 0) {
      const cell = calendarCell(words, entry);
      const moved = this.calendar.move(this.calendarOf(database), cell, entry, expiresAt);
      if (moved === 0) return 0;
      setCalendarCell(words, entry, moved);
      this.setDeadline(entry, expiresAt);
      return entry;
    }
    if (had === expiresAt >= 0) return entry;
    const hashReference = this.hashReferenceOf(entry);
    const keepsDeadline = hashReference !== 0 && this.hashes.isExpiring(hashReference);
    if (!keepsDeadline || (entryFlags(words, entry) & EntryFlag.Expires) === 0) {
      return this.moveEntry(database, slot, expiresAt, nowMs, hashReference);
    }
    if (had) {
      this.leaveCalendar(database, entry);
    } else {
      const cell = this.addToCalendar(database, entry, expiresAt, nowMs);
      if (cell === 0) return 0;
      setCalendarCell(words, entry, cell);
    }
    this.setDeadline(entry, expiresAt);
    return entry;
  }

  /** Gives the key at `slot` a new entry, with another expiry. Returns it, or 0 with nothing changed. */
  private moveEntry(
    database: number,
    slot: number,
    expiresAt: number,
    nowMs: number,
    hashReference: number,
  ): number {
    const { words } = this;
    const entry = words[slot];
    const oldValue = valueOffset(words, entry);
    const valueBytes = valueLength(words, entry);
    const moved = this.newEntry(
      database,
      this.bytes,
      this.view,
      keyOffset(words, entry),
      keyLength(words, entry),
      entryType(words, entry),
      valueBytes,
      valueCapacity(words, entry),
      expiresAt,
      entryAccess(words, entry),
      nowMs,
      hashReference,
    );
    if (moved === 0) return 0;
    words[moved >> 2] |= entryFlags(words, entry) & EntryFlag.ENCODING;
    moveBytes(this.bytes, this.view, valueOffset(words, moved), oldValue, oldValue + valueBytes);
    this.freeEntry(database, entry);
    words[slot] = moved;
    return moved;
  }

  /** Notes when the key of an entry with a deadline expires (-1: never), and sets the deadline. */
  private setDeadline(entry: number, expiresAt: number): void {
    const { words } = this;
    const reference = this.hashReferenceOf(entry);
    const head = reference === 0 ? 0 : expiringHead(words, reference);
    if (head !== 0) setHeadKeyExpiry(words, head, expiresAt);
    setDeadlineMs(
      words,
      entry,
      this.deadline(expiresAt, head === 0 ? -1 : this.hashes.nextExpiry(reference)),
    );
  }

  /** The earlier of two times of which each may be -1 for never. */
  private deadline(expiresAt: number, fieldsExpireAt: number): number {
    if (fieldsExpireAt < 0) return expiresAt < 0 ? NEVER_MS : expiresAt;
    return expiresAt < 0 ? fieldsExpireAt : Math.min(expiresAt, fieldsExpireAt);
  }

  /** The reference to an entry's value if it is a hash, else 0. */
  private hashReferenceOf(entry: number): number {
    return entryType(this.words, entry) === ValueType.Hash ? valueOffset(this.words, entry) : 0;
  }

  /** Whether a value, 0 for none, is a hash of which fields expire. */
  private hasDueFields(hashReference: number): boolean {
    return hashReference !== 0 && this.hashes.nextExpiry(hashReference) >= 0;
  }

  /**
   * Makes the hash at `slot` and its entry ready for fields that expire. Returns the entry, which may have moved, or
   * 0 if there is no memory. Call `fieldsChanged` once the fields have their expiries.
   */
  prepareFieldExpiry(database: number, slot: number, nowMs: number): number {
    const entry = this.words[slot];
    this.preserve(database, entry);
    const reference = valueOffset(this.words, entry);
    const expiresAt = expiresAtMs(this.words, entry);
    if (!this.hashes.makeExpiring(reference)) return 0;
    if ((entryFlags(this.words, entry) & EntryFlag.Expires) === 0) {
      return this.moveEntry(database, slot, -1, nowMs, reference);
    }
    setHeadKeyExpiry(this.words, expiringHead(this.words, reference), expiresAt);
    return entry;
  }

  /** Files a hash anew after expiries of its fields have changed. */
  fieldsChanged(database: number, entry: number, nowMs: number): void {
    const { words, fieldCalendar } = this;
    const reference = this.hashReferenceOf(entry);
    const head = reference === 0 ? 0 : expiringHead(words, reference);
    if (head === 0 || (entryFlags(words, entry) & EntryFlag.Expires) === 0) return;
    const next = this.hashes.nextExpiry(reference);
    setDeadlineMs(words, entry, this.deadline(headKeyExpiry(words, head), next));
    const cell = words[head + ExpiringHead.CalendarCell];
    if (next < 0) {
      this.leaveFieldCalendar(database, entry);
    } else if (cell === 0) {
      words[head + ExpiringHead.CalendarCell] = this.addToFieldCalendar(database, entry, next, nowMs);
    } else {
      const moved = fieldCalendar.move(this.fieldCalendarOf(database), cell, entry, next);
      if (moved !== 0) words[head + ExpiringHead.CalendarCell] = moved;
    }
  }

  /**
   * Word index of the block that the collection of an entry refers to, 0 if it is no collection. A hint: callable
   * without the lock, so the entry may contain anything.
   */
  hintedValue(entry: number): number {
    const { words, bytes } = this;
    if (entryType(words, entry) === ValueType.String) return 0;
    const reference = valueOffset(words, entry);
    if (reference <= 0 || reference > bytes.length - REFERENCE_BYTES) return 0;
    const block = this.view.getInt32(reference + 1, true);
    return block > 0 && block < bytes.length ? block >>> 2 : 0;
  }

  /** Word index of the root of the dictionary with the members of the collection in a slot (0: none), 0 if it has none. */
  memberRoot(slot: number): number {
    if (slot === 0) return 0;
    const entry = this.words[slot];
    const type = entryType(this.words, entry);
    return type === ValueType.String ? 0 : this.collection(type).memberRoot(valueOffset(this.words, entry));
  }

  /** The implementation of a value type other than string. */
  collection(type: ValueType): CollectionValue {
    const collection = this.collections[type];
    if (collection === null) throw new Error(`no collection has type ${type}`);
    return collection;
  }

  /** Offset of the reference to a collection that a command builds before it becomes a key's value. */
  get draft(): number {
    return HeaderWord.DraftReference << 2;
  }

  /** Makes the draft the value of an entry that has just been created or replaced. */
  adoptDraft(entry: number): void {
    const { draft } = this;
    this.bytes.copyWithin(valueOffset(this.words, entry), draft, draft + REFERENCE_BYTES);
  }

  /** Deletes the key at `slot`. A large value may be left to the background. */
  remove(database: number, hash: number, slot: number, mayWait = true): void {
    const entry = this.words[slot];
    this.preserve(database, entry);
    this.dictionary.erase(this.root(database), hash, slot);
    this.freeValue(database, entry, mayWait);
    this.freeEntry(database, entry);
  }

  /** Like `remove`, but keeps the value, which another entry has taken over. */
  removeEntry(database: number, hash: number, slot: number): void {
    const entry = this.words[slot];
    this.preserve(database, entry);
    this.dictionary.erase(this.root(database), hash, slot);
    this.freeEntry(database, entry);
  }

  /** Deletes a key that is past its expiry. */
  expire(database: number, hash: number, slot: number): void {
    this.removeByItself(database, hash, slot, KeyEvent.Expired);
    this.counters[KeyspaceCounter.ExpiredKeys]++;
  }

  private expireEntry(database: number, entry: number): void {
    const hash = this.dictionary.hashOf(entry);
    this.expire(database, hash, this.dictionary.slotOf(this.root(database), hash, entry));
  }

  /** For a key met on another way than `find`: whether it has expired; if so, it is deleted, as by `find`. */
  expireIfDue(database: number, entry: number, nowMs: number): boolean {
    return isDue(this.words, entry, nowMs) && this.isGone(database, entry, nowMs);
  }

  /** Deletes a key whose deadline has come, or its expired fields; returns whether the whole key has expired. */
  private isGone(database: number, entry: number, nowMs: number): boolean {
    if (this.settings.isReplaying) return false;
    const mayExpire = this.settings.mayExpire?.() ?? true;
    const expiresAt = expiresAtMs(this.words, entry);
    if (expiresAt >= 0 && expiresAt <= nowMs) {
      if (mayExpire) this.expireEntry(database, entry);
      return true;
    }
    this.hashes.nowMs = nowMs;
    if (mayExpire) return !this.expireFields(database, entry, nowMs, DUE_FIELDS_PER_LOOKUP);
    return this.hashes.isAllDue(valueOffset(this.words, entry));
  }

  /** Whether a key, or all there is in it, is past its expiry. Nothing is deleted. */
  isPastExpiry(entry: number, nowMs: number): boolean {
    if (!isDue(this.words, entry, nowMs)) return false;
    const expiresAt = expiresAtMs(this.words, entry);
    if (expiresAt >= 0 && expiresAt <= nowMs) return true;
    this.hashes.nowMs = nowMs;
    return this.hashes.isAllDue(valueOffset(this.words, entry));
  }

  /**
   * Removes fields of a hash that are past their expiry, at most `limit` of a large one, and the key if none is left.
   * Returns whether the key is still there.
   */
  private expireFields(database: number, entry: number, nowMs: number, limit: number): boolean {
    const { hashes, counters } = this;
    const reference = valueOffset(this.words, entry);
    hashes.nowMs = nowMs;
    const next = hashes.nextExpiry(reference);
    if (next < 0 || next > nowMs) {
      this.fieldsChanged(database, entry, nowMs);
      return true;
    }
    const hash = this.dictionary.hashOf(entry);
    const { changes } = this.journal;
    const isKept = !hashes.isAllDue(reference);
    if (isKept) {
      this.preserve(database, entry);
      const record = this.journal.isOn ? () => this.recordDueField(database, entry) : null;
      counters[KeyspaceCounter.ExpiredFields] += hashes.removeDue(reference, limit, record);
      this.fieldsChanged(database, entry, nowMs);
      this.changed(this.nameOf(database, hash, entry), KeyEvent.HashExpired, 0);
    } else {
      const fields = hashes.heldCount(reference);
      this.changed(this.nameOf(database, hash, entry), KeyEvent.HashExpired, 0);
      const slot = this.dictionary.slotOf(this.root(database), hash, entry);
      this.removeByItself(database, hash, slot, KeyEvent.Delete);
      // Counted last, as with keys: DBSIZE and INFO take no lock, and must not see the count before the deletion.
      counters[KeyspaceCounter.ExpiredFields] += fields;
    }
    // Already recorded; the count is restored so that the running command is not recorded too.
    this.journal.changes = changes;
    return isKept;
  }

  /** Records that the field of a hash that is about to be removed is gone. */
  private recordDueField(database: number, entry: number): void {
    const { journal, words } = this;
    const { dueField } = this.hashes;
    journal.begin(database, 3);
    journal.word('HDEL');
    journal.argument(this.bytes, this.view, keyOffset(words, entry), keyLength(words, entry));
    journal.argument(dueField.bytes, dueField.view, dueField.offset, dueField.lengthBytes);
  }

  /** The name of a key, in place in its entry. Valid until the next call. */
  private nameOf(database: number, hash: number, entry: number): NamedKey {
    const { name, words } = this;
    name.bytes = this.bytes;
    name.view = this.view;
    name.keyDatabase = database;
    name.hash = hash;
    name.keyOffset = keyOffset(words, entry);
    name.keyLength = keyLength(words, entry);
    return name;
  }

  /** Whether the gate has to report changes to any listener. */
  private get isListenedTo(): boolean {
    return this.words[HeaderWord.Listeners] !== 0 || this.gate.listener !== null;
  }

  /** Copies a name out of the shard's memory. */
  private keepName(name: NamedKey): void {
    name.bytes = name.bytes.slice(name.keyOffset, name.keyOffset + name.keyLength);
    name.view = new DataView(name.bytes.buffer);
    name.keyOffset = 0;
  }

  /** Deletes a key to make room. */
  evict(database: number, hash: number, slot: number): void {
    this.removeByItself(database, hash, slot, KeyEvent.Evicted);
    this.counters[KeyspaceCounter.EvictedKeys]++;
  }

  /** Deletes a key that no command has deleted. */
  private removeByItself(database: number, hash: number, slot: number, event: KeyEvent): void {
    const { words, journal } = this;
    const { changes } = journal;
    const name = this.nameOf(database, hash, words[slot]);
    if (journal.isOn) journal.delete(database, name.bytes, name.view, name.keyOffset, name.keyLength);
    // The gate needs the name after the key is deleted, when its block may have been reused.
    if (this.isListenedTo) this.keepName(name);
    this.remove(database, hash, slot);
    const { originClient } = this.gate;
    this.gate.originClient = -1;
    this.changed(name, event, 0);
    this.gate.originClient = originClient;
    // Already recorded; the count is restored so that the running command is not recorded too.
    journal.changes = changes;
  }

  /**
   * The gate: a key of this shard has changed. Called once per changed key, after the change and before
   * the lock is released; further events of the key are passed to `happened`. `changes` counts towards the save points:
   * elements that were added or removed; 0 for a key that changes along with another one, expires or is evicted.
   */
  changed(key: KeyName, event: KeyEvent, changes = 1): void {
    const { words, gate } = this;
    this.doubles[HeaderDouble.DirtyCount] += changes;
    this.journal.changes++;
    if (words[HeaderWord.Listeners] !== 0) this.tellListeners(key, event);
    if (gate.listener !== null) gate.listener.note(key, event);
  }

  /** Something other than a key has changed that is recorded and saved like a key. */
  otherChange(): void {
    this.doubles[HeaderDouble.DirtyCount]++;
    this.journal.changes++;
  }

  /** Tells the listeners of this shard that a key has changed. */
  private tellListeners(key: KeyName, event: KeyEvent): void {
    const listeners = this.words[HeaderWord.Listeners];
    if (isOfGroupsOnly(event)) {
      // Clients that wait as consumers of a destroyed group have to be told.
      if (event === KeyEvent.StreamGroupDestroy && (listeners & ShardListener.Waiters) !== 0)
        this.noteReady(key);
      return;
    }
    if ((listeners & ShardListener.Watchers) !== 0) this.watchedKeys.touch(key.keyDatabase, key.hash);
    if ((listeners & ShardListener.Waiters) !== 0) this.noteIfReady(key);
    if ((listeners & (ShardListener.Tracked | ShardListener.Broadcast)) !== 0)
      this.noteCached(key, listeners);
  }

  private noteCached(key: KeyName, listeners: number): void {
    const { trackedKeys, words } = this;
    const { cacheListener } = this.gate;
    if (cacheListener === null) return;
    if ((listeners & ShardListener.Tracked) !== 0 && trackedKeys.take(key)) {
      cacheListener.noteTracked(key, trackedKeys.taken, trackedKeys.takenCount);
    }
    if ((listeners & ShardListener.Broadcast) !== 0 && !cacheListener.noteBroadcast(key)) {
      words[HeaderWord.Listeners] &= ~ShardListener.Broadcast;
    }
  }

  /** Whole databases have changed: clients must drop all cached keys. */
  private forgetCached(): void {
    this.trackedKeys.clear();
    this.gate.cacheListener?.noteAllKeys();
  }

  /** Clients listen to all keys with some beginning. */
  broadcastChanges(): void {
    this.words[HeaderWord.Listeners] |= ShardListener.Broadcast;
  }

  /** A client has read a key, and may cache it. */
  track(key: KeyName, client: number): void {
    const { trackedKeys, gate } = this;
    const { cacheListener, trackingTotals } = gate;
    const { trackedKeysMax } = this.settings;
    if (cacheListener === null) return;
    if (!trackedKeys.add(key, client)) {
      cacheListener.noteTracked(key, Uint16Array.of(client), 1);
      return;
    }
    if (trackedKeysMax !== 0) while (trackingTotals.keys > trackedKeysMax && this.untrackAny());
  }

  /** Makes the clients of a random tracked key forget it. False if there is none. */
  untrackAny(): boolean {
    const { trackedKeys, gate, name } = this;
    return trackedKeys.takeAny((Math.random() * 2 ** 32) | 0, (offset, lengthBytes) => {
      name.bytes = this.bytes;
      name.view = this.view;
      name.keyOffset = offset;
      name.keyLength = lengthBytes;
      const { originClient } = gate;
      gate.originClient = -1;
      gate.cacheListener?.noteTracked(name, trackedKeys.taken, trackedKeys.takenCount);
      gate.originClient = originClient;
    });
  }

  /** The data has been loaded: any key may have what clients wait for, and all that they have cached is out of date. */
  noteLoaded(): void {
    this.forgetCached();
    this.noteAllReady();
  }

  /** If clients wait for a key, has them served at the end of the hold. */
  noteReady(key: KeyName): void {
    const queue = this.waiters.find(key);
    if (queue !== 0) this.queueReady(queue);
  }

  /**
   * Like `noteReady`, but only if the key holds a collection, or if waiters must be told of its absence. The keys of a
   * transaction are served in the order in which they became ready, so a deletion must not make a key ready too early.
   */
  private noteIfReady(key: KeyName): void {
    const queue = this.waiters.find(key);
    if (queue === 0) return;
    const { keyDatabase, hash, bytes, view, keyOffset, keyLength } = key;
    const slot = this.find(keyDatabase, hash, bytes, view, keyOffset, keyLength, 0);
    const isThere = slot !== 0 && entryType(this.words, this.words[slot]) !== ValueType.String;
    if (isThere || this.waiters.hasWaitersOnNoKey(queue)) this.queueReady(queue);
  }

  private noteAllReady(): void {
    for (let database = 0; database < this.databaseCount; database++) {
      this.waiters.forEachQueue(database, this.queueReady);
    }
  }

  private readonly queueReady = (queue: number): void => {
    if (this.gate.holdEnd !== null && this.waiters.markReady(queue)) {
      this.gate.ready.push({ shard: this, queue });
    }
  };

  /** The gate for an event of a key that is no change, or only part of one. */
  happened(key: KeyName, event: KeyEvent): void {
    this.gate.listener?.note(key, event);
  }

  /** The gate for all keys of a database at once, before they vanish. */
  private flushed(database: number, count: number, nowMs: number): void {
    this.doubles[HeaderDouble.DirtyCount] += count;
    this.journal.changes++;
    this.watchedKeys.touchWhere(database, (hash) => this.hasHash(database, hash, nowMs));
    if (this.waiters.queuesOnNoKey > 0) this.waiters.forEachQueue(database, this.queueReady);
  }

  /** The gate for all keys of two databases at once, before they are exchanged. */
  private swapped(left: number, right: number, nowMs: number): void {
    // It is one change, of all shards.
    if (this.index === 0) this.doubles[HeaderDouble.DirtyCount]++;
    this.journal.changes++;
    const affected = (hash: number) => this.hasHash(left, hash, nowMs) || this.hasHash(right, hash, nowMs);
    this.watchedKeys.touchWhere(left, affected);
    this.watchedKeys.touchWhere(right, affected);
    this.forgetCached();
    if ((this.words[HeaderWord.Listeners] & ShardListener.Waiters) === 0) return;
    this.waiters.forEachQueue(left, this.queueReady);
    this.waiters.forEachQueue(right, this.queueReady);
  }

  /** Changes since the shard was made. */
  get dirtyCount(): number {
    return this.doubles[HeaderDouble.DirtyCount];
  }

  /** Whether a database has a key with this hash: exact but for one chance in four billion. */
  hasHash(database: number, hash: number, nowMs: number): boolean {
    const record = this.dictionary.findHash(this.root(database), hash);
    return record !== 0 && !this.isPastExpiry(record, nowMs);
  }

  /** How long keys of a database that expire still live, in ms: the mean of a random sample. */
  meanTimeToLive(database: number, samples: number, nowMs: number): number {
    const calendar = this.calendarOf(database);
    if (calendar === 0) return 0;
    let sumMs = 0;
    let found = 0;
    for (let taken = 0; taken < samples; taken++) {
      const entry = this.calendar.random(calendar, (Math.random() * 2 ** 32) | 0);
      if (entry === 0) continue;
      sumMs += Math.max(0, expiresAtMs(this.words, entry) - nowMs);
      found++;
    }
    return found === 0 ? 0 : sumMs / found;
  }

  /** Deletes all keys of a database; returns how many there were. */
  flush(database: number, nowMs: number): number {
    const { words } = this;
    const count = this.keyCount(database);
    this.forgetCached();
    if (count === 0) return 0;
    this.flushed(database, count, nowMs);
    const snapshotState = words[HeaderWord.SnapshotState];
    if (snapshotState === SnapshotState.Running) this.snapshot.preserveAll(database);
    // Images for a snapshot and waiters are in the arena too and must stay. Tracked keys are already cleared.
    const hasGuests = snapshotState !== SnapshotState.None || !this.waiters.isEmpty;
    if (!hasGuests && this.isOnlyDatabase(database)) {
      this.clear();
      return count;
    }
    const root = this.root(database);
    this.lazyFree.freeDatabase(root, root + ROOT_CALENDAR, root + ROOT_FIELD_CALENDAR);
    return count;
  }

  private isOnlyDatabase(database: number): boolean {
    for (let other = 0; other < this.rootCount; other++) {
      if (other !== database && this.keyCount(other) !== 0) return false;
    }
    return true;
  }

  /** Forgets everything in the arena at once, which takes no longer for ten million keys than for one. */
  clear(): void {
    const { words } = this;
    for (let database = 0; database < this.rootCount; database++) {
      const root = this.root(database);
      words.fill(0, root, root + ROOT_WORDS);
    }
    words[HeaderWord.LazyFreeHead] = 0;
    words[HeaderWord.LazyFreePending] = 0;
    this.arena.reset();
  }

  /** Exchanges two databases. The caller holds the locks of all shards. */
  swapDatabases(left: number, right: number, nowMs: number): void {
    const { words } = this;
    this.swapped(left, right, nowMs);
    const leftRoot = this.root(left);
    const rightRoot = this.root(right);
    for (let word = 0; word < ROOT_WORDS; word++) {
      const kept = words[leftRoot + word];
      words[leftRoot + word] = words[rightRoot + word];
      words[rightRoot + word] = kept;
    }
  }

  /**
   * Deletes keys whose time has come, at most `limit`, under a lock already held. Returns how many were
   * deleted; less than `limit` means that no more are due now.
   */
  expireDue(database: number, nowMs: number, limit: number): number {
    const steps = { left: limit };
    let expired = 0;
    while (expired < limit) {
      // Read it each time: the calendar is released with its last key.
      const calendar = this.calendarOf(database);
      const entry = calendar === 0 ? 0 : this.calendar.nextDue(calendar, nowMs, steps);
      if (entry === 0) break;
      this.expireEntry(database, entry);
      expired++;
    }
    return expired < limit && steps.left > 0 ? expired : limit;
  }

  /**
   * Removes fields of hashes whose time has come, at most about `limit`, under a lock already held. Returns whether
   * there may be more.
   */
  expireDueFields(database: number, nowMs: number, limit: number): boolean {
    const { counters } = this;
    const steps = { left: limit };
    const end = counters[KeyspaceCounter.ExpiredFields] + limit;
    while (counters[KeyspaceCounter.ExpiredFields] < end) {
      const calendar = this.fieldCalendarOf(database);
      const entry = calendar === 0 ? 0 : this.fieldCalendar.nextDue(calendar, nowMs, steps);
      if (entry === 0) return steps.left <= 0;
      const left = end - counters[KeyspaceCounter.ExpiredFields];
      // A hash that is filed too early is only filed anew.
      if (this.expireFields(database, entry, nowMs, left) && steps.left-- <= 0) return true;
    }
    return true;
  }

  /** Frees what a value holds outside its entry. */
  private freeValue(database: number, entry: number, mayWait: boolean): void {
    const type = entryType(this.words, entry);
    if (type === ValueType.String) return;
    if (type === ValueType.Hash) this.leaveFieldCalendar(database, entry);
    this.lazyFree.freeCollection(type, valueOffset(this.words, entry), mayWait);
  }

  private newEntry(
    database: number,
    key: Uint8Array,
    keyView: DataView,
    keyAt: number,
    keyBytes: number,
    type: ValueType,
    valueBytes: number,
    capacityBytes: number,
    expiresAt: number,
    access: number,
    nowMs: number,
    hashReference = 0,
  ): number {
    const { words } = this;
    const fieldsExpireAt = hashReference === 0 ? -1 : this.hashes.nextExpiry(hashReference);
    const head = hashReference === 0 ? 0 : expiringHead(words, hashReference);
    const wide =
      keyBytes > SHORT_KEY_BYTES_MAX || valueBytes > SHORT_VALUE_BYTES_MAX || capacityBytes !== valueBytes;
    const flags = (wide ? EntryFlag.Wide : 0) | (expiresAt >= 0 || head !== 0 ? EntryFlag.Expires : 0);
    const lengthBytes = headerBytes(flags) + keyBytes + capacityBytes;
    const entry = this.arena.allocate(lengthBytes);
    if (entry === 0) return 0;
    const at = entry >> 2;
    words[at] = (access << 8) | words[HeaderWord.SnapshotDoneBit] | (type << 4) | flags;
    if (wide) {
      words[at + 1] = 0;
      words[at + 2] = keyBytes;
      words[at + 3] = valueBytes;
      words[at + 4] = capacityBytes;
    } else {
      words[at + 1] = (keyBytes << 20) | valueBytes;
    }
    if (head !== 0) setCalendarCell(words, entry, 0);
    if (expiresAt >= 0) {
      setDeadlineMs(words, entry, expiresAt);
      const cell = this.addToCalendar(database, entry, expiresAt, nowMs);
      if (cell === 0) {
        this.arena.free(entry, lengthBytes);
        return 0;
      }
      setCalendarCell(words, entry, cell);
    }
    if (head !== 0) {
      setDeadlineMs(words, entry, this.deadline(expiresAt, fieldsExpireAt));
      // Copied first, since the calendar reads the hash through the entry when it moves it.
      this.bytes.copyWithin(valueOffset(words, entry), hashReference, hashReference + REFERENCE_BYTES);
      if (!this.joinFieldCalendar(database, entry, head, fieldsExpireAt, nowMs)) {
        this.freeEntry(database, entry);
        return 0;
      }
      setHeadKeyExpiry(words, head, expiresAt);
    }
    copyBytes(this.bytes, this.view, entry + headerBytes(flags), key, keyView, keyAt, keyBytes);
    return entry;
  }

  private addToCalendar(database: number, entry: number, expiresAt: number, nowMs: number): number {
    const root = this.root(database);
    let calendar = this.words[root + ROOT_CALENDAR];
    if (calendar === 0) {
      calendar = this.calendar.create(nowMs);
      if (calendar === 0) return 0;
      this.words[root + ROOT_CALENDAR] = calendar;
    }
    return this.calendar.add(calendar, entry, expiresAt);
  }

  /** Takes an entry out of the calendar of keys, if it is there. */
  private leaveCalendar(database: number, entry: number): void {
    const { words } = this;
    const cell = calendarCell(words, entry);
    if (cell === 0) return;
    const root = this.root(database);
    const calendar = words[root + ROOT_CALENDAR];
    this.calendar.remove(calendar, cell);
    setCalendarCell(words, entry, 0);
    if (this.calendar.count(calendar) === 0) {
      this.calendar.release(calendar);
      words[root + ROOT_CALENDAR] = 0;
    }
  }

  /** Files a hash under the next of its fields to expire; its cell, or 0 if there is no memory. */
  private addToFieldCalendar(database: number, entry: number, timeMs: number, nowMs: number): number {
    const root = this.root(database);
    if (this.words[root + ROOT_FIELD_CALENDAR] === 0) {
      this.words[root + ROOT_FIELD_CALENDAR] = this.fieldCalendar.create(nowMs);
    }
    const calendar = this.words[root + ROOT_FIELD_CALENDAR];
    const cell = calendar === 0 ? 0 : this.fieldCalendar.add(calendar, entry, timeMs);
    if (cell === 0) this.dropEmptyFieldCalendar(root);
    return cell;
  }

  /** Files a new entry of a hash in place of its old entry, if filed. False, with nothing changed, if no memory. */
  private joinFieldCalendar(
    database: number,
    entry: number,
    head: number,
    timeMs: number,
    nowMs: number,
  ): boolean {
    const { words } = this;
    const cell = words[head + ExpiringHead.CalendarCell];
    if (cell !== 0) {
      this.fieldCalendar.relocate(cell, entry);
    } else if (timeMs >= 0) {
      words[head + ExpiringHead.CalendarCell] = this.addToFieldCalendar(database, entry, timeMs, nowMs);
    }
    return timeMs < 0 || words[head + ExpiringHead.CalendarCell] !== 0;
  }

  /** Takes a hash out of the calendar of hashes with fields that expire, if it is there. */
  leaveFieldCalendar(database: number, entry: number): void {
    const { words } = this;
    const head = expiringHead(words, valueOffset(words, entry));
    if (head === 0 || words[head + ExpiringHead.CalendarCell] === 0) return;
    const root = this.root(database);
    this.fieldCalendar.remove(words[root + ROOT_FIELD_CALENDAR], words[head + ExpiringHead.CalendarCell]);
    words[head + ExpiringHead.CalendarCell] = 0;
    this.dropEmptyFieldCalendar(root);
  }

  private dropEmptyFieldCalendar(root: number): void {
    const calendar = this.words[root + ROOT_FIELD_CALENDAR];
    if (calendar === 0 || this.fieldCalendar.count(calendar) !== 0) return;
    this.fieldCalendar.release(calendar);
    this.words[root + ROOT_FIELD_CALENDAR] = 0;
  }

  /** Frees an entry's block and its place in the calendar, but not what its value refers to. */
  private freeEntry(database: number, entry: number): void {
    const { words } = this;
    if ((entryFlags(words, entry) & EntryFlag.Expires) !== 0) this.leaveCalendar(database, entry);
    this.arena.free(entry, entryBytes(words, entry));
  }

  /** Throws if an invariant is broken. For tests. */
  verify(): void {
    this.arena.verify();
    this.waiters.verify();
    this.trackedKeys.verify();
    for (let database = 0; database < this.rootCount; database++) {
      this.dictionary.verify(this.root(database));
      const calendar = this.calendarOf(database);
      if (calendar !== 0) this.calendar.verify(calendar);
      const fieldCalendar = this.fieldCalendarOf(database);
      if (fieldCalendar !== 0) this.fieldCalendar.verify(fieldCalendar);
      this.verifyEntries(database);
    }
  }

  private verifyEntries(database: number): void {
    const { words, dictionary } = this;
    const root = this.root(database);
    let volatileKeys = 0;
    let expiringHashes = 0;
    const position = new TablePosition();
    // Fields that have expired but are still held count.
    this.hashes.nowMs = 0;
    while (dictionary.readLine(root, position)) {
      for (let index = 0; index < dictionary.scannedCount; index++) {
        const entry = dictionary.scanned[index];
        if (hasExpiry(words, entry)) volatileKeys++;
        if (valueLength(words, entry) > valueCapacity(words, entry)) {
          throw new Error(`entry ${entry}: the value is longer than its room`);
        }
        const type = entryType(words, entry);
        if (type === ValueType.String) continue;
        const collection = this.collection(type);
        const reference = valueOffset(words, entry);
        collection.verify(reference);
        if (collection.isEmpty(reference)) throw new Error(`an empty collection of type ${type}`);
        if (type === ValueType.Hash && this.verifyDeadline(entry, reference)) expiringHashes++;
      }
    }
    if (volatileKeys !== this.volatileKeyCount(database)) {
      throw new Error(`database ${database}: ${volatileKeys} keys expire, not as many as the calendar has`);
    }
    if (expiringHashes !== this.expiringHashCount(database)) {
      throw new Error(
        `database ${database}: ${expiringHashes} hashes are filed, not as many as the calendar has`,
      );
    }
  }

  /** Checks the deadline of a hash; returns whether it is in the calendar of hashes with fields that expire. */
  private verifyDeadline(entry: number, reference: number): boolean {
    const { words } = this;
    const next = this.hashes.nextExpiry(reference);
    const expiresAt = expiresAtMs(words, entry);
    if (next >= 0 && !isDue(words, entry, next))
      throw new Error(`entry ${entry}: the deadline is after a field`);
    if (expiresAt >= 0 && !isDue(words, entry, expiresAt)) {
      throw new Error(`entry ${entry}: the deadline is after the key's expiry`);
    }
    const head = expiringHead(words, reference);
    return head !== 0 && words[head + ExpiringHead.CalendarCell] !== 0;
  }
}
