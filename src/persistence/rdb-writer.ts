/** Writes the parts of an RDB file, in order: `begin`, then `database` and its keys, at last `end`. */

import { EvictionPolicy, type KeyspaceSettings } from '../config/keyspace-settings.js';
import { lfuCounter, lruIdleMs } from '../keyspace/access-clock.js';
import { entryAccess, expiresAtMs, keyLength, keyOffset, ValueType } from '../keyspace/entry.js';
import type { LongKey } from '../keyspace/long-key.js';
import type { Shard } from '../keyspace/shard.js';
import { REDIS_VERSION } from '../system/version.js';
import { FLUSH_BYTES } from './byte-output.js';
import { writeFunctions } from './function-form.js';
import type { KeyWriter, SnapshotWriter, SnapshotWriterOptions } from './key-form.js';
import { RDB_MAGIC, RDB_VERSION, RDB_VERSION_FIELD_EXPIRY, RdbOpcode } from './rdb-format.js';
import { RdbOutput } from './rdb-output.js';
import { ValueWriter } from './value-writer.js';

/** With these policies, a file records for how long keys have not been used or changed. */
const IDLE_POLICIES: ReadonlySet<EvictionPolicy> = new Set([
  EvictionPolicy.AllKeysLru,
  EvictionPolicy.AllKeysLrm,
  EvictionPolicy.VolatileLru,
  EvictionPolicy.VolatileLrm,
]);

export class RdbWriter implements SnapshotWriter {
  readonly output = new RdbOutput(2 * FLUSH_BYTES);
  private readonly options: SnapshotWriterOptions;
  readonly keys: RdbKeyWriter;

  constructor(settings: KeyspaceSettings, options: SnapshotWriterOptions) {
    this.options = options;
    this.output.compresses = options.compresses;
    this.keys = new RdbKeyWriter(this.output, settings);
  }

  begin(nowMs: number, usedBytes: number, hasExpiringFields: boolean): void {
    const version = hasExpiringFields ? RDB_VERSION_FIELD_EXPIRY : RDB_VERSION;
    this.output.rawText(RDB_MAGIC + String(version).padStart(4, '0'));
    this.field('redis-ver', REDIS_VERSION);
    this.field('redis-bits', '64');
    this.field('ctime', String(Math.floor(nowMs / 1000)));
    this.field('used-mem', String(usedBytes));
    const { replication } = this.options;
    if (replication !== undefined && replication !== null) {
      this.field('repl-stream-db', String(replication.database));
      this.field('repl-id', replication.id);
      this.field('repl-offset', String(replication.offset));
    }
    this.field('aof-base', this.options.isAofBase ? '1' : '0');
  }

  functions(sources: readonly Uint8Array[]): void {
    writeFunctions(this.output, sources);
  }

  private field(name: string, value: string): void {
    this.output.byte(RdbOpcode.Aux);
    this.output.text(name);
    this.output.text(value);
  }

  /** Begins (or continues) a database. The two numbers are hints for the loader. */
  database(database: number, keys: number, volatileKeys: number): void {
    const { output } = this;
    this.select(database);
    output.byte(RdbOpcode.ResizeDatabase);
    output.lengthField(keys);
    output.lengthField(volatileKeys);
  }

  select(database: number): void {
    this.output.byte(RdbOpcode.SelectDatabase);
    this.output.lengthField(database);
  }

  /** Writes a key with its value. The shard's lock is held. */
  key(shard: Shard, entry: number, nowMs: number): void {
    this.keys.write(shard, entry, nowMs);
  }

  /** Flushes the output if it is long. Call it after every key or two. */
  flushIfLong(): void {
    if (this.output.length >= FLUSH_BYTES) this.flush();
  }

  end(): void {
    const { output, options } = this;
    output.byte(RdbOpcode.Eof);
    this.flush();
    if (!options.hasChecksum) output.checksum.reset();
    output.writeChecksum();
    options.flush(output.bytes.subarray(0, output.length));
    output.length = 0;
  }

  private flush(): void {
    const { output, options } = this;
    if (options.hasChecksum) output.addToChecksum();
    options.flush(output.bytes.subarray(0, output.length));
    output.length = 0;
  }
}

/** Writes keys: expiry, what is known of their use, type, key and value. */
export class RdbKeyWriter implements KeyWriter {
  readonly output: RdbOutput;
  private readonly settings: KeyspaceSettings;
  private readonly values: ValueWriter;

  constructor(output: RdbOutput, settings: KeyspaceSettings) {
    this.output = output;
    this.settings = settings;
    this.values = new ValueWriter(output);
  }

  write(shard: Shard, entry: number, nowMs: number): void {
    this.writeKey(shard, entry, nowMs);
    this.values.write(shard, entry);
  }

  writeHead(shard: Shard, entry: number, nowMs: number): void {
    this.writeKey(shard, entry, nowMs);
    this.values.writeHead(shard, entry);
  }

  writeRecords(shard: Shard, key: LongKey, records: Int32Array, count: number): void {
    this.values.writeRecords(shard, key, records, count);
  }

  writeChunk(shard: Shard, key: LongKey, chunk: number): void {
    if (key.type === ValueType.Stream) this.values.streams.writeBlock(shard, chunk);
    else this.values.writeChunk(shard.lists.chunks, chunk);
  }

  writeStreamHead(shard: Shard, key: LongKey): void {
    this.values.streams.stepHead(shard, key);
  }

  writeGroupHead(shard: Shard, _key: LongKey, group: number): void {
    this.values.streams.stepGroupHead(shard, group);
  }

  writePending(shard: Shard, _key: LongKey, _group: number, pending: Int32Array, count: number): void {
    this.values.streams.stepPending(shard, pending, count);
  }

  writeGroupEnd(shard: Shard, _key: LongKey, group: number): boolean {
    return this.values.streams.stepGroupEnd(shard, group);
  }

  writeEnd(shard: Shard, key: LongKey): void {
    if (key.type === ValueType.Stream) this.values.streams.stepEnd(shard, key);
  }

  /** Writes what comes before a key's value. */
  private writeKey(shard: Shard, entry: number, nowMs: number): void {
    const { output, settings, values } = this;
    const { words } = shard;
    const expiresAt = expiresAtMs(words, entry);
    if (expiresAt >= 0) {
      output.byte(RdbOpcode.ExpiryMs);
      output.integer64(expiresAt);
    }
    const access = entryAccess(words, entry);
    if (IDLE_POLICIES.has(settings.policy)) {
      output.byte(RdbOpcode.Idle);
      output.lengthField(Math.floor(lruIdleMs(access, nowMs) / 1000));
    } else if (settings.usesLfu) {
      output.byte(RdbOpcode.Frequency);
      output.byte(lfuCounter(access, nowMs, settings.lfu));
    }
    output.byte(values.typeOf(shard, entry));
    output.string(shard.bytes, shard.view, keyOffset(words, entry), keyLength(words, entry));
  }
}
