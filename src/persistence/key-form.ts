/**
 * The forms in which keys are written: RDB (rdb-writer.ts) and the commands that make the keys (command-writer.ts).
 * In either form keys may come in any order, and a key's bytes do not depend on what was written before. So a key
 * that a worker has written early (image-writer.ts) can be put anywhere between the other keys of its database. The
 * same holds for the elements of a long key between its head and its end, except for the chunks of a list and the
 * blocks of a stream, which have an order.
 */

import type { KeyspaceSettings } from '../config/keyspace-settings.js';
import type { LongKey } from '../keyspace/long-key.js';
import type { Shard } from '../keyspace/shard.js';
import { SnapshotForm } from '../state/persistence-state.js';
import type { ByteOutput } from './byte-output.js';
import { CommandKeyWriter, CommandWriter } from './command-writer.js';
import { RdbOutput } from './rdb-output.js';
import { RdbKeyWriter, RdbWriter } from './rdb-writer.js';

/** Writes keys to an output. */
export interface KeyWriter {
  readonly output: ByteOutput;
  /** Writes a key with its value. The shard's lock is held. */
  write(shard: Shard, entry: number, nowMs: number): void;
  /** Writes what comes before the elements of a long key. The shard's lock is held, here and in what follows. */
  writeHead(shard: Shard, entry: number, nowMs: number): void;
  /** Writes elements of a long key. */
  writeRecords(shard: Shard, key: LongKey, records: Int32Array, count: number): void;
  /** Writes a chunk of a list or a block of a stream. */
  writeChunk(shard: Shard, key: LongKey, chunk: number): void;
  /** Write what comes behind the entries of a stream, in the order of LongKeyTaker. `group` is the past of a group. */
  writeStreamHead(shard: Shard, key: LongKey): void;
  writeGroupHead(shard: Shard, key: LongKey, group: number): void;
  writePending(shard: Shard, key: LongKey, group: number, pending: Int32Array, count: number): void;
  /** Writes some of what comes behind a group's pending entries; returns whether there is more. */
  writeGroupEnd(shard: Shard, key: LongKey, group: number): boolean;
  /** Writes what comes behind the elements. */
  writeEnd(shard: Shard, key: LongKey): void;
}

/** Writes the parts of a file, in order: `begin`, then `database` and its keys, at last `end`. */
export interface SnapshotWriter {
  readonly output: ByteOutput;
  /** Writes to the same output. */
  readonly keys: KeyWriter;
  /** `hasExpiringFields`: some hash may have fields that expire, which not every reader knows. */
  begin(nowMs: number, usedBytes: number, hasExpiringFields: boolean): void;
  /** Libraries of functions. */
  functions(sources: readonly Uint8Array[]): void;
  /** Begins a database. The two numbers are hints for the loader. */
  database(database: number, keys: number, volatileKeys: number): void;
  /** Goes on with a database that was begun before. */
  select(database: number): void;
  /** Writes a key with its value. The shard's lock is held. */
  key(shard: Shard, entry: number, nowMs: number): void;
  /** Flushes the output if it is long. Call it after every key or two. */
  flushIfLong(): void;
  end(): void;
}

/** The moment of a snapshot in the history of replication. */
export interface SnapshotHistory {
  readonly id: string;
  readonly offset: number;
  /** The database that the stream has selected. */
  readonly database: number;
}

export interface SnapshotWriterOptions {
  /** It is the base of the append-only file. */
  readonly isAofBase: boolean;
  /** `rdbcompression` */
  readonly compresses: boolean;
  /** `rdbchecksum` */
  readonly hasChecksum: boolean;
  /** `aof-timestamp-enabled`: a file of commands begins with its time. */
  readonly hasTimestamp?: boolean;
  /** Replication id and offset of the data, from which a replica can continue the stream. */
  readonly replication?: SnapshotHistory | null;
  /** Takes the gathered bytes, which are valid only during the call. */
  readonly flush: (bytes: Uint8Array) => void;
}

export function createKeyWriter(
  form: SnapshotForm,
  settings: KeyspaceSettings,
  compresses: boolean,
): KeyWriter {
  if (form === SnapshotForm.Commands) return new CommandKeyWriter();
  const output = new RdbOutput();
  output.compresses = compresses;
  return new RdbKeyWriter(output, settings);
}

export function createSnapshotWriter(
  form: SnapshotForm,
  settings: KeyspaceSettings,
  options: SnapshotWriterOptions,
): SnapshotWriter {
  return form === SnapshotForm.Commands ? new CommandWriter(options) : new RdbWriter(settings, options);
}
