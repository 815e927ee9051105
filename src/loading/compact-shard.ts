/**
 * Makes the free memory of a shard one piece: writes all its keys aside in RDB's form, empties it and loads them again.
 *
 * A log is replayed in another arena than the one it was written in: blocks lie elsewhere, snapshots took memory then
 * but not now, and a base file has packed what had grown step by step. So a replayed command may find enough free
 * memory in its shard, but not in one piece. After compacting, it is one piece.
 */

import type { Keyspace } from '../keyspace/keyspace.js';
import type { Shard } from '../keyspace/shard.js';
import { createSnapshotWriter } from '../persistence/key-form.js';
import { RdbInput } from '../persistence/rdb-input.js';
import { RdbReader } from '../persistence/rdb-reader.js';
import { SnapshotForm } from '../state/persistence-state.js';
import { TablePosition } from '../structures/dictionary.js';
import type { ByteSource } from '../system/files.js';

/** Bytes written piece by piece, for a reader that only moves forward: pieces behind it are released. */
class Pieces implements ByteSource {
  lengthBytes = 0;
  private readonly pieces: Uint8Array[] = [];
  private index = 0;
  /** Where the piece of `index` begins. */
  private start = 0;

  add(bytes: Uint8Array): void {
    this.pieces.push(bytes.slice());
    this.lengthBytes += bytes.length;
  }

  read(target: Uint8Array, offset: number, lengthBytes: number, position: number): number {
    while (this.index < this.pieces.length && position >= this.start + this.pieces[this.index].length) {
      this.start += this.pieces[this.index].length;
      this.pieces[this.index++] = NO_BYTES;
    }
    if (this.index === this.pieces.length) return 0;
    const at = position - this.start;
    const read = this.pieces[this.index].subarray(at, at + lengthBytes);
    target.set(read, offset);
    return read.length;
  }
}

const NO_BYTES = new Uint8Array(0);

/**
 * Compacts a shard of a keyspace that no other thread uses, and of which no snapshot is taken. Throws an RdbError if
 * its keys do not fit any more.
 */
export function compactShard(keyspace: Keyspace, shard: Shard, nowMs: number): void {
  while (!shard.lazyFree.step(Number.MAX_SAFE_INTEGER)) {}
  const pieces = new Pieces();
  write(keyspace, shard, pieces, nowMs);
  shard.clear();
  const reader = new RdbReader(RdbInput.fromSource(pieces, false), keyspace, {
    nowMs,
    part: shard.index,
    partCount: keyspace.shards.length,
    dropsExpired: false,
    replaces: false,
    warn: () => {},
    onProgress: null,
  });
  reader.load();
}

function write(keyspace: Keyspace, shard: Shard, pieces: Pieces, nowMs: number): void {
  const { dictionary } = shard;
  const writer = createSnapshotWriter(SnapshotForm.Rdb, keyspace.settings, {
    isAofBase: false,
    compresses: true,
    hasChecksum: false,
    flush: (bytes) => pieces.add(bytes),
  });
  const position = new TablePosition();
  writer.begin(nowMs, shard.arena.usedBytes, true);
  for (let database = 0; database < keyspace.databaseCount; database++) {
    const keys = shard.keyCount(database);
    if (keys === 0) continue;
    // The reader expects the number of keys in all shards.
    writer.database(database, keys * keyspace.shards.length, 0);
    const root = shard.root(database);
    for (position.toStart(); dictionary.readLine(root, position); ) {
      for (let index = 0; index < dictionary.scannedCount; index++) {
        writer.key(shard, dictionary.scanned[index], nowMs);
        writer.flushIfLong();
      }
    }
  }
  writer.end();
}
