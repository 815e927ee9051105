/** Writes keys for a worker that is about to change them while a snapshot is taken. */

import type { KeyspaceSettings } from '../keyspace/settings.js';
import type { Shard } from '../keyspace/shard.js';
import type { ImageWriter, KeyImage } from '../keyspace/shard-snapshot.js';
import { type PersistenceState, SnapshotForm } from '../state/persistence-state.js';
import { createKeyWriter, type KeyWriter } from './key-form.js';

/** A buffer that a large image has made longer is not kept. */
const KEPT_BYTES_MAX = 1 << 20;

export class SnapshotImageWriter implements ImageWriter {
  private readonly settings: KeyspaceSettings;
  private readonly state: PersistenceState;
  private compresses = true;
  private form = SnapshotForm.Rdb;
  /** Made anew when something about it has changed. */
  private keys: KeyWriter | null = null;

  constructor(settings: KeyspaceSettings, state: PersistenceState) {
    this.settings = settings;
    this.state = state;
  }

  /** `rdbcompression` */
  setCompression(compresses: boolean): void {
    this.compresses = compresses;
    this.keys = null;
  }

  write(shard: Shard, entry: number): KeyImage {
    const { form } = this.state;
    let { keys } = this;
    if (keys === null || form !== this.form || keys.output.bytes.length > KEPT_BYTES_MAX) {
      keys = createKeyWriter(form, this.settings, this.compresses);
      this.form = form;
      this.keys = keys;
    }
    keys.output.length = 0;
    keys.write(shard, entry, Date.now());
    return keys.output;
  }
}
