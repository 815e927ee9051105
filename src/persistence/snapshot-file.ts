/**
 * Snapshots as files. A new one is written beside the old one, synced to the disk, and only then renamed over it, so
 * that a complete file exists at any moment.
 */

import { closeSync, fsyncSync, openSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../config/config.js';
import type { Keyspace } from '../keyspace/keyspace.js';
import { SnapshotForm } from '../state/persistence-state.js';
import { TablePosition } from '../structures/dictionary.js';
import { syncFolder } from '../system/files.js';
import { createSnapshotWriter, type SnapshotHistory } from './key-form.js';
import { KeyTally } from './key-tally.js';

export interface SnapshotOptions {
  /** Path of the snapshot. */
  readonly fileName: string;
  readonly form: SnapshotForm;
  /** It is the base of the append-only file. */
  readonly isAofBase: boolean;
  /** A file of commands says when it was written. */
  readonly hasTimestamp?: boolean;
  readonly compresses: boolean;
  readonly hasChecksum: boolean;
  readonly replication?: SnapshotHistory | null;
}

/** The options of the snapshot that SAVE writes. */
export function snapshotOptions(config: Config, replication: SnapshotHistory | null = null): SnapshotOptions {
  return {
    fileName: config.snapshotFile,
    form: SnapshotForm.Rdb,
    isAofBase: false,
    compresses: config.rdbCompression,
    hasChecksum: config.rdbChecksum,
    replication,
  };
}

/** A file that is being written, under a temporary name. */
export class SnapshotFile {
  readonly temporaryName: string;
  private readonly fileName: string;
  /** -1 once it is closed, since the system may give the number to another thread's file. */
  private fd: number;
  lengthBytes = 0;

  /**
   * @param temporaryName the name, in the same folder, until the file is complete
   * Throws a system error, as all methods do.
   */
  constructor(fileName: string, temporaryName: string) {
    this.fileName = fileName;
    this.temporaryName = path.join(path.dirname(fileName), temporaryName);
    this.fd = openSync(this.temporaryName, 'w', 0o644);
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.fd, bytes, at, bytes.length - at);
    this.lengthBytes += bytes.length;
  }

  /** Syncs the file to the disk and closes it. */
  sync(): void {
    fsyncSync(this.fd);
    this.close();
  }

  /** Gives the file its name. */
  rename(): void {
    renameSync(this.temporaryName, this.fileName);
    syncFolder(path.dirname(this.fileName));
  }

  private close(): void {
    if (this.fd < 0) return;
    const { fd } = this;
    this.fd = -1;
    closeSync(fd);
  }

  /** Gives up: closes and deletes the temporary file. */
  discard(): void {
    try {
      this.close();
      unlinkSync(this.temporaryName);
    } catch {
      // The file was renamed already, or was removed from outside.
    }
  }
}

/** Name of the file from which a snapshot is sent to replicas, if it goes to the disk first. */
export function replicaFileName(): string {
  return `temp-replicas-${process.pid}.rdb`;
}

/** A snapshot that goes to a pipe instead of a file. */
export class SnapshotPipe {
  private readonly fd: number;

  constructor(fd: number) {
    this.fd = fd;
  }

  /** Waits until all is taken. Throws a system error. */
  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.fd, bytes, at, bytes.length - at);
  }

  sync(): void {}

  rename(): void {}

  discard(): void {}

  close(): void {
    closeSync(this.fd);
  }
}

/** The temporary name of what a background save writes. */
export function backgroundFileName(): string {
  return `temp-background-${process.pid}.rdb`;
}

/**
 * Writes all keys to a file, which gets its name only once it is complete. The locks of all shards are held. Throws a
 * system error if it can't be written, an IncompleteSnapshotError if it lacks keys or elements of the keyspace.
 */
export function saveKeyspace(keyspace: Keyspace, options: SnapshotOptions, nowMs: number): number {
  const file = new SnapshotFile(options.fileName, `temp-${process.pid}.rdb`);
  try {
    const writer = createSnapshotWriter(options.form, keyspace.settings, {
      ...options,
      flush: (bytes) => file.write(bytes),
    });
    const tally = new KeyTally();
    tally.begin(keyspace.databaseCount);
    writer.begin(nowMs, keyspace.usedBytes(), keyspace.hasExpiringHashes);
    writer.functions(keyspace.functions.sources());
    for (let database = 0; database < keyspace.databaseCount; database++) {
      const keys = keyspace.keyCount(database);
      if (keys === 0) continue;
      tally.expect(database, keys);
      writer.database(database, keys, keyspace.volatileKeyCount(database));
      const position = new TablePosition();
      for (const shard of keyspace.shards) {
        const { dictionary, hashes } = shard;
        // With time 0, fields past their expiry are saved, too, as long as they exist.
        hashes.nowMs = 0;
        const root = shard.root(database);
        for (position.toStart(); dictionary.readLine(root, position); ) {
          for (let index = 0; index < dictionary.scannedCount; index++) {
            writer.key(shard, dictionary.scanned[index], nowMs);
            tally.add(database);
            writer.flushIfLong();
          }
        }
      }
    }
    tally.check();
    writer.end();
    file.sync();
    file.rename();
    return file.lengthBytes;
  } catch (error) {
    file.discard();
    throw error;
  }
}
