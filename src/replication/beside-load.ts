/**
 * Loads a full sync beside the data, which clients go on reading meanwhile, then exchanges the two: `repl-diskless-load
 * swapdb`, if what the primary sends is a later state of the data that is here.
 *
 * The snapshot goes into databases that no client sees (memory/shard-memory.ts), each key under the lock of its shard. For the
 * exchange all locks are held; the old data is then freed in the background. Until then there has to be room for both.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { type LoadOptions, type LoadResult, loadFile } from '../persistence/load-file.js';
import type { ReplicationCore } from './core.js';

const SNAPSHOT_POLL_MS = 10;

/** Cancels the snapshot that is being taken, if any, until none is or `isWanted` says no. None is begun meanwhile. */
export async function endSnapshots(
  { persistence, keyspace }: ReplicationCore,
  isWanted: () => boolean,
): Promise<void> {
  while (persistence.isBusy && isWanted()) {
    keyspace.lockAll();
    persistence.cancel();
    keyspace.cancelSnapshot();
    keyspace.unlockAll();
    await delay(SNAPSHOT_POLL_MS);
  }
}

/** Loads a file beside the data. After a failure nothing of it is left. */
export function loadBeside(
  core: ReplicationCore,
  options: LoadOptions,
  onProgress: (offset: number) => void,
): LoadResult {
  const { keyspace, log } = core;
  log('MASTER <-> REPLICA sync: Loading DB in memory');
  keyspace.useReserve(true);
  const result = loadFile(keyspace, options, log, { isBeside: true, onProgress });
  keyspace.useReserve(false);
  if (result.failure !== '') {
    log('MASTER <-> REPLICA sync: Discarding temporary DB in background');
    discardBeside(core, options.nowMs);
  }
  return result;
}

/** Exchanges the data with what was loaded beside it. The locks of all shards are held. */
export function exchange({ keyspace, log }: ReplicationCore, nowMs: number): void {
  log('MASTER <-> REPLICA sync: Swapping active DB with loaded DB');
  for (const shard of keyspace.shards) {
    for (let database = 0; database < keyspace.databaseCount; database++) {
      shard.swapDatabases(database, keyspace.databaseCount + database, nowMs);
    }
  }
}

/** Frees what is beside the data. The caller holds no lock. */
export function discardBeside({ keyspace }: ReplicationCore, nowMs: number): void {
  const { databaseCount } = keyspace;
  for (const shard of keyspace.shards) {
    shard.lock();
    for (let database = databaseCount; database < 2 * databaseCount; database++) shard.flush(database, nowMs);
    keyspace.release(shard);
  }
}
