/**
 * Loads an RDB file into a keyspace that no other thread uses meanwhile: at start, or with all locks held. Or beside the data
 * that other threads use: into databases that no client sees, with the lock of a key's shard.
 *
 * Several threads may load one file together: each reads all of it, but builds only the keys of its own shards.
 * Passing over a value costs next to nothing beside building it.
 */

import { lfuMinuteClock, lruClock } from '../keyspace/access-clock.js';
import { setEntryAccess, ValueType, valueOffset } from '../keyspace/entry.js';
import type { Keyspace } from '../keyspace/keyspace.js';
import type { Shard } from '../keyspace/shard.js';
import { hashBytes, keySlot } from '../memory/hash.js';
import { REFERENCE_BYTES } from '../structures/collection-value.js';
import { copyBytes } from '../structures/copy.js';
import { readFunctionSource } from './function-form.js';
import { KeyTally } from './key-tally.js';
import { LoadLookAhead } from './load-look-ahead.js';
import {
  isKnownVersion,
  isValkeyVersion,
  parseRdbHeader,
  RDB_HEADER_BYTES,
  RDB_MAGIC,
  RDB_MAGIC_VALKEY,
  RDB_VERSION_CHECKSUM,
  RdbError,
  RdbMemoryError,
  RdbModuleOpcode,
  RdbOpcode,
  type RdbType,
  rdbTypeOf,
} from './rdb-format.js';
import { type RdbInput, RdbString } from './rdb-input.js';
import { ValueLoader, valueTypeOf } from './value-loader.js';

/** A type, a key and a value of no bytes. */
const KEY_BYTES_MIN = 3;

/** A class, and its end. */
const KEY_METADATA_CLASS_BYTES = 4;
const KEY_METADATA_BYTES_MIN = KEY_METADATA_CLASS_BYTES + 1;

/** A length of 8 bytes follows. */
const MODULE_ID_MARK = 0x81;
const MODULE_NAME_CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** A longer key is cut where an error quotes it. */
const SHOWN_KEY_CHARACTERS_MAX = 128;

/** So many keys without elements are named. */
const NAMED_EMPTY_KEYS_MAX = 10;

/** Keys between two looks at the clock for `onProgress`. */
const PROGRESS_KEYS = 1024;

export interface RdbReaderOptions {
  readonly nowMs: number;
  /** Loads only the keys of every `partCount`-th shard from `part` on. */
  readonly part: number;
  readonly partCount: number;
  /** Keys that are past their expiry are left out. */
  readonly dropsExpired: boolean;
  /** Replaces a key that exists already; if off, such a key is an error. */
  readonly replaces: boolean;
  /** Reports something that is left out. */
  readonly warn: (text: string) => void;
  readonly onProgress: (() => void) | null;
  /** Loads beside the data: no lock is held when it is called. */
  readonly isBeside?: boolean;
  /** Called for each auxiliary field. */
  readonly onField?: (name: string, value: string) => void;
  /** Called for the first keys that are left out since their values have no elements. */
  readonly onEmptyKey?: (key: string) => void;
  /** Called after each key. */
  readonly pause?: () => void;
}

/** Auxiliary fields that say what wrote a file. */
export type RdbFields = ReadonlyMap<string, string>;

export class RdbReader {
  readonly fields = new Map<string, string>();
  version = 0;
  keysLoaded = 0;
  keysExpired = 0;
  /** Keys left out since their values have no elements. */
  keysEmpty = 0;
  /** Keys that the file has, whether or not they are loaded. */
  keysSeen = 0;
  private readonly input: RdbInput;
  private readonly keyspace: Keyspace;
  private readonly options: RdbReaderOptions;
  private readonly values: ValueLoader;
  private readonly lookAhead: LoadLookAhead;
  /** The database of the keyspace into which the file's database 0 is loaded. */
  private readonly firstDatabase: number;
  private readonly key = new RdbString();
  private readonly text = new RdbString();
  /** The sources of libraries of functions. */
  readonly functions: Uint8Array[] = [];
  private database = 0;
  private hasLeftOutMetadata = false;
  // What precedes the key that comes next; -1: nothing.
  private expiresAt = -1;
  private idleSeconds = -1;
  private frequency = -1;
  // Where the reading is, for errors.
  private isInValue = false;
  /** Keys that the file announces, and those that it has. */
  private readonly tally = new KeyTally();
  /** Offset of the last key whose value was read to its end; -1 if there was none. */
  private lastKeyAt = -1;

  constructor(input: RdbInput, keyspace: Keyspace, options: RdbReaderOptions) {
    this.input = input;
    this.keyspace = keyspace;
    this.options = options;
    this.values = new ValueLoader(input);
    this.firstDatabase = options.isBeside ? keyspace.databaseCount : 0;
    this.lookAhead = new LoadLookAhead(input, keyspace, options.part, options.partCount);
  }

  /** Offset in the file of what is read next. */
  get offset(): number {
    return this.input.offset;
  }

  /** Loads everything; throws an RdbError that says what is wrong, where, and in or behind which key. */
  load(): void {
    this.header();
    this.tally.begin(this.keyspace.databaseCount);
    try {
      for (let keys = 0; this.next(); keys++) {
        if (keys % PROGRESS_KEYS === 0) this.options.onProgress?.();
      }
    } catch (error) {
      throw error instanceof RdbError && !(error instanceof RdbMemoryError) ? this.located(error) : error;
    }
    this.releaseUnused();
    this.compareCounts();
    if (this.version >= RDB_VERSION_CHECKSUM && !this.input.checksumMatches()) {
      this.input.fail('RDB CRC error: wrong checksum', this.input.offset - 8);
    }
  }

  /** A value that lacks elements may have read whole keys as elements. Only a warning, since counts may be guesses. */
  private compareCounts(): void {
    for (const { database, expected, written } of this.tally.differences()) {
      if (expected > 0)
        this.options.warn(`database ${database} has ${written} keys, the file announces ${expected}`);
    }
  }

  private header(): void {
    const { input } = this;
    input.need(RDB_HEADER_BYTES);
    const { bytes, position } = input;
    const text = String.fromCharCode(...bytes.subarray(position, position + RDB_HEADER_BYTES));
    this.version = parseRdbHeader(text);
    if (this.version < 0) {
      const magic = [RDB_MAGIC, RDB_MAGIC_VALKEY].find((known) => text.startsWith(known));
      input.fail(
        magic === undefined
          ? 'this is no RDB file: it begins neither with "REDIS" nor with "VALKEY"'
          : `RDB version ${text.slice(magic.length)} is not supported`,
      );
    }
    if (!isKnownVersion(this.version)) {
      this.options.warn(
        `RDB version ${this.version} is newer than what is known: what is not known in it is refused`,
      );
    }
    input.position += RDB_HEADER_BYTES;
  }

  /** Reads the next opcode or key; false at the end of the file. */
  private next(): boolean {
    const { input } = this;
    const at = input.offset;
    const type = input.byte();
    switch (type) {
      case RdbOpcode.Eof:
        return false;
      case RdbOpcode.ExpiryMs:
        this.expiresAt = this.expiry(input.int64(), at);
        break;
      case RdbOpcode.ExpirySeconds:
        this.expiresAt = this.expiry(input.int32() * 1000, at);
        break;
      case RdbOpcode.Idle:
        this.idleSeconds = input.length();
        break;
      case RdbOpcode.Frequency:
        this.frequency = input.byte();
        break;
      case RdbOpcode.SelectDatabase:
        this.database = input.length();
        if (this.database >= this.keyspace.databaseCount) {
          input.fail(
            `the file has a database ${this.database}, but \`databases\` is ${this.keyspace.databaseCount}`,
            at,
          );
        }
        break;
      case RdbOpcode.ResizeDatabase:
        this.expectKeys(input.length());
        input.length();
        break;
      case RdbOpcode.SlotInfo:
        for (let numbers = 3; numbers > 0; numbers--) input.length();
        break;
      case RdbOpcode.Aux:
        this.field();
        break;
      case RdbOpcode.Function2:
        this.functions.push(readFunctionSource(input));
        break;
      case RdbOpcode.FunctionPreRelease:
        input.fail('functions in the form of a release candidate of Redis 7 are not supported', at);
        break;
      case RdbOpcode.ModuleAux:
        this.skipEmptyModuleData(at);
        break;
      case RdbOpcode.KeyMetadata:
        if (isValkeyVersion(this.version)) {
          input.fail(`slots that are being imported (opcode ${type}) are not supported`, at);
        }
        this.skipKeyMetadata();
        break;
      case RdbOpcode.Update:
        input.fail(`an opcode ${type} is not supported`, at);
        break;
      default:
        this.keyOf(rdbTypeOf(type, this.version), at);
    }
    return true;
  }

  /** Passes over what modules have noted about the next key. */
  private skipKeyMetadata(): void {
    const { input } = this;
    for (let classes = input.count(KEY_METADATA_BYTES_MIN); classes > 0; classes--) {
      input.skipBytes(KEY_METADATA_CLASS_BYTES);
      while (this.skipModulePart());
    }
    if (!this.hasLeftOutMetadata) {
      this.options.warn(
        'the file has data of modules about keys, which is left out: modules are not supported',
      );
    }
    this.hasLeftOutMetadata = true;
  }

  /** Skips the data of a module that has none; modules write an empty part all the same. */
  private skipEmptyModuleData(at: number): void {
    const { input } = this;
    const name = this.moduleName();
    // This part says when to load the data: before or behind the keys.
    this.skipModulePart();
    if (this.skipModulePart()) input.fail(`data of the module ${name} is not supported`, at);
  }

  /** The name of a module: nine characters of 6 bits each, and 10 bits of version. */
  private moduleName(): string {
    const { input } = this;
    if (input.byte() !== MODULE_ID_MARK) input.fail('a module has no id', input.offset - 1);
    input.need(8);
    const id = input.view.getBigUint64(input.position);
    input.skipBytes(8);
    let name = '';
    for (let shift = 58n; shift >= 10n; shift -= 6n) {
      name += MODULE_NAME_CHARACTERS[Number((id >> shift) & 63n)];
    }
    return name;
  }

  /** Passes over one part of what a module has written; false if it was the end. */
  private skipModulePart(): boolean {
    const { input } = this;
    const at = input.offset;
    const opcode = input.length();
    switch (opcode) {
      case RdbModuleOpcode.Eof:
        return false;
      case RdbModuleOpcode.SignedInteger:
      case RdbModuleOpcode.UnsignedInteger:
        input.length();
        break;
      case RdbModuleOpcode.Float:
        input.skipBytes(4);
        break;
      case RdbModuleOpcode.Double:
        input.skipBytes(8);
        break;
      case RdbModuleOpcode.String:
        input.skipString();
        break;
      default:
        input.fail(`unknown part ${opcode} of data of a module`, at);
    }
    return true;
  }

  /** A time as a key's expiry; a time before the epoch becomes 0, which is past as well. */
  private expiry(ms: number, at: number): number {
    if (!Number.isSafeInteger(ms)) this.input.fail('absurd expiry', at);
    return Math.max(ms, 0);
  }

  /** A file with a replication id continues a history: expired keys are deleted later, so that replicas are told. */
  private get dropsExpired(): boolean {
    return this.options.dropsExpired && !this.fields.has('repl-id');
  }

  private field(): void {
    const { input, key, text } = this;
    input.string(key);
    key.keep();
    input.string(text);
    const name = key.latin1();
    const value = text.latin1();
    this.fields.set(name, value);
    this.options.onField?.(name, value);
  }

  /** Reserves room for the announced keys of a database, but not for more than the rest of the file can hold. */
  private expectKeys(count: number): void {
    const { database, input, keyspace } = this;
    this.tally.expect(database, count);
    const expected = Math.min(count, input.remaining / KEY_BYTES_MIN) / keyspace.shards.length;
    for (const shard of this.ownShards()) {
      this.lock(shard);
      shard.dictionary.reserve(shard.root(this.firstDatabase + database), expected);
      this.unlock(shard);
    }
  }

  /** Gives back the room reserved for databases that got no keys. */
  private releaseUnused(): void {
    const { firstDatabase } = this;
    for (const shard of this.ownShards()) {
      this.lock(shard);
      for (let database = firstDatabase; database < firstDatabase + shard.databaseCount; database++) {
        if (shard.keyCount(database) === 0) shard.dictionary.releaseTable(shard.root(database));
      }
      this.unlock(shard);
    }
  }

  /** Takes the lock of a shard, if other threads use the keyspace. */
  private lock(shard: Shard): void {
    if (this.options.isBeside) shard.lock();
  }

  private unlock(shard: Shard): void {
    if (this.options.isBeside) this.keyspace.release(shard);
  }

  /** The shards whose keys this reader loads. */
  private ownShards(): readonly Shard[] {
    return this.keyspace.shards.filter((shard) => this.lookAhead.isOwn(shard.index));
  }

  private keyOf(type: RdbType, at: number): void {
    const { input, key, options, keyspace, expiresAt, lookAhead } = this;
    const isKnown = lookAhead.knows(at, this.firstDatabase + this.database);
    if (isKnown && !lookAhead.isOwn(lookAhead.shardIndex)) {
      input.skipBytes(lookAhead.end - input.offset);
    } else {
      input.string(key);
      key.keep();
      const { bytes, view, offset, lengthBytes } = key;
      const shardIndex = isKnown
        ? lookAhead.shardIndex
        : keySlot(bytes, offset, lengthBytes) & keyspace.shardMask;
      this.isInValue = true;
      if (!lookAhead.isOwn(shardIndex)) {
        this.values.skip(type);
      } else if (this.dropsExpired && expiresAt >= 0 && expiresAt <= options.nowMs) {
        this.values.skip(type);
        this.keysExpired++;
      } else {
        const hash = isKnown ? lookAhead.hash : hashBytes(view, offset, lengthBytes);
        const shard = keyspace.shards[shardIndex];
        this.lock(shard);
        try {
          this.build(shard, hash, type, at);
        } finally {
          this.unlock(shard);
        }
      }
      this.isInValue = false;
    }
    this.lastKeyAt = at;
    this.tally.add(this.database);
    this.keysSeen++;
    this.expiresAt = -1;
    this.idleSeconds = -1;
    this.frequency = -1;
    options.pause?.();
  }

  /**
   * Adds to the error the key in whose value it was found, and the key before it. A value that lacks elements reads
   * what follows as elements, and the next key begins in the middle of another: so either may be the damaged one.
   */
  private located(error: RdbError): RdbError {
    const inKey = this.isInValue ? `key ${shown(this.key)}` : '';
    const behindKey = this.lastKeyAt < 0 ? '' : `behind key ${shown(this.keyAt(this.lastKeyAt))}`;
    const where = [inKey, behindKey].filter((part) => part !== '').join(' ');
    return where === '' ? error : new RdbError(`${where} of database ${this.database}: ${error.message}`);
  }

  /** Reads a key at an offset again. */
  private keyAt(offset: number): RdbString {
    const key = new RdbString();
    const input = this.input.from(offset);
    input.byte();
    input.string(key);
    return key;
  }

  private build(shard: Shard, hash: number, type: RdbType, at: number): void {
    const { key, options } = this;
    const database = this.firstDatabase + this.database;
    const { bytes, view, offset, lengthBytes } = key;
    const slot = shard.dictionary.find(shard.root(database), hash, bytes, view, offset, lengthBytes);
    if (slot !== 0) {
      if (!options.replaces) this.input.fail('the same key twice', at);
      shard.remove(database, hash, slot);
    }
    if (!this.values.load(shard, type)) {
      this.keysEmpty++;
      if (this.keysEmpty <= NAMED_EMPTY_KEYS_MAX) options.onEmptyKey?.(shown(key).slice(1, -1));
      return;
    }
    const entry = putLoaded(shard, database, hash, key, valueTypeOf(type) as ValueType, this.values.string, {
      expiresAt: this.expiresAt,
      nowMs: options.nowMs,
    });
    if (entry === 0) throw new RdbMemoryError('out of memory');
    setLoadedAccess(
      shard,
      entry,
      this.keyspace.settings.usesLfu,
      this.idleSeconds,
      this.frequency,
      options.nowMs,
    );
    this.keysLoaded++;
  }
}

/**
 * Makes a value that was loaded (the string, or the shard's draft) a new key's. Returns the entry, or 0, with
 * no draft left, if there is no memory.
 */
export function putLoaded(
  shard: Shard,
  database: number,
  hash: number,
  key: {
    readonly bytes: Uint8Array;
    readonly view: DataView;
    readonly offset: number;
    readonly lengthBytes: number;
  },
  type: ValueType,
  string: RdbString,
  times: { readonly expiresAt: number; readonly nowMs: number },
): number {
  const valueBytes = type === ValueType.String ? string.lengthBytes : REFERENCE_BYTES;
  const entry = shard.create(
    database,
    hash,
    key.bytes,
    key.view,
    key.offset,
    key.lengthBytes,
    type,
    valueBytes,
    times.expiresAt,
    times.nowMs,
    type === ValueType.Hash ? shard.draft : 0,
  );
  if (type !== ValueType.String) {
    if (entry === 0) shard.collection(type).release(shard.draft);
    else shard.adoptDraft(entry);
  } else if (entry !== 0) {
    const target = valueOffset(shard.words, entry);
    copyBytes(shard.bytes, shard.view, target, string.bytes, string.view, string.offset, valueBytes);
  }
  return entry;
}

/** Sets what is known of a loaded key's use, if it is of the kind that the policy wants; -1: unknown. */
export function setLoadedAccess(
  shard: Shard,
  entry: number,
  usesLfu: boolean,
  idleSeconds: number,
  frequency: number,
  nowMs: number,
): void {
  if (usesLfu && frequency >= 0) {
    setEntryAccess(shard.words, entry, (lfuMinuteClock(nowMs) << 8) | frequency);
  } else if (!usesLfu && idleSeconds >= 0) {
    setEntryAccess(shard.words, entry, lruClock(nowMs - Math.min(idleSeconds, 0xffffff) * 1000));
  }
}

/** A key for messages. */
function shown(key: RdbString): string {
  return JSON.stringify(key.latin1().slice(0, SHOWN_KEY_CHARACTERS_MAX));
}

/** The one line that tells a user what is wrong with a file. */
export function describeRdbFailure(path: string, error: unknown): string {
  if (error instanceof RdbMemoryError) return `can't load ${path}: not enough memory`;
  if (error instanceof RdbError) return `can't load ${path}: ${error.message}`;
  return `can't load ${path}: ${(error as Error).message}`;
}
