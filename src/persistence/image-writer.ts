/** Writes keys for a worker that is about to change them while a snapshot is taken. */

import type { KeyspaceSettings } from '../config/keyspace-settings.js';
import type { LongKey } from '../keyspace/long-key.js';
import type { Shard } from '../keyspace/shard.js';
import type { ImageWriter, KeyImage } from '../keyspace/shard-snapshot.js';
import { type PersistenceState, SnapshotForm } from '../state/persistence-state.js';
import { createKeyWriter, type KeyWriter } from './key-form.js';
import { IncompleteSnapshotError } from './key-tally.js';

/** A buffer that a large image has made longer than this is not kept. */
const KEPT_BYTES_MAX = 1 << 20;

export class SnapshotImageWriter implements ImageWriter {
  private readonly settings: KeyspaceSettings;
  private readonly state: PersistenceState;
  private compresses = true;
  private form = SnapshotForm.Rdb;
  /** Null or for another form: `begin` creates a new one. */
  private keys: KeyWriter | null = null;
  private readonly records = new Int32Array(1);

  constructor(settings: KeyspaceSettings, state: PersistenceState) {
    this.settings = settings;
    this.state = state;
  }

  /** `rdbcompression` */
  setCompression(compresses: boolean): void {
    this.compresses = compresses;
    this.keys = null;
  }

  write(shard: Shard, entry: number): KeyImage | null {
    const keys = this.begin();
    try {
      keys.write(shard, entry, Date.now());
    } catch (error) {
      if (error instanceof IncompleteSnapshotError) return null;
      throw error;
    }
    return keys.output;
  }

  writeHead(shard: Shard, entry: number): KeyImage {
    const keys = this.begin();
    keys.writeHead(shard, entry, Date.now());
    return keys.output;
  }

  writeRecord(shard: Shard, key: LongKey, record: number): KeyImage {
    const keys = this.begin();
    this.records[0] = record;
    keys.writeRecords(shard, key, this.records, 1);
    return keys.output;
  }

  writeChunk(shard: Shard, key: LongKey, chunk: number): KeyImage {
    const keys = this.begin();
    keys.writeChunk(shard, key, chunk);
    return keys.output;
  }

  /** Returns the key writer for the snapshot's form, with empty output. */
  private begin(): KeyWriter {
    const { form } = this.state;
    let { keys } = this;
    if (keys === null || form !== this.form || keys.output.bytes.length > KEPT_BYTES_MAX) {
      keys = createKeyWriter(form, this.settings, this.compresses);
      this.form = form;
      this.keys = keys;
    }
    keys.output.length = 0;
    return keys;
  }
}
