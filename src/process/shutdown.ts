/** The orderly end of the process: what is saved before, and which files are removed. */

import { rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../config/config.js';
import { rewriteFileName } from '../journal/aof-manifest.js';
import { JournalRing } from '../journal/journal-ring.js';
import type { KeyspaceHandle } from '../keyspace/keyspace.js';
import {
  backgroundFileName,
  replicaFileName,
  saveKeyspace,
  snapshotOptions,
} from '../persistence/snapshot-file.js';
import { historyNow } from '../persistence/snapshot-history.js';
import { AppendOnlyState } from '../state/append-only-state.js';
import { ControlBlock, PauseKind, ShutdownRequest } from '../state/control-block.js';
import { PersistenceState } from '../state/persistence-state.js';
import type { ProcessStateHandle } from '../state/process-state.js';
import { ReplicationState } from '../state/replication-state.js';
import { monotonicMs } from '../system/clock.js';
import type { Log } from '../system/log.js';
import { openKeyspace } from './main-keyspace.js';

const ACK_POLL_MS = 50;

/** What `shutdown-on-sigterm` asks for; `now` is about replicas (untilReplicasHaveAll). */
export function shutdownRequestFor(flags: readonly string[]): ShutdownRequest {
  const request = flags.includes('save')
    ? ShutdownRequest.Save
    : flags.includes('nosave')
      ? ShutdownRequest.NoSave
      : ShutdownRequest.Default;
  return flags.includes('force') ? request | ShutdownRequest.Forced : request;
}

/**
 * Waits, at most `shutdown-timeout`, until the replicas have everything that was written; writes are paused meanwhile.
 * Returns false if SHUTDOWN ABORT has called the shutdown off.
 */
export async function untilReplicasHaveAll(
  config: Config,
  handle: KeyspaceHandle,
  state: ProcessStateHandle,
  log: Log,
): Promise<boolean> {
  const replication = new ReplicationState(state.replication);
  const timeoutMs = config.shutdownTimeoutSeconds * 1000;
  if (timeoutMs === 0 || replication.isReplica || replication.replicaCount === 0) return true;
  const ring = new JournalRing(handle.journal);
  const control = new ControlBlock(state.control);
  const startMs = monotonicMs();
  const endMs = startMs + timeoutMs;
  control.pause(endMs, PauseKind.Write, startMs);
  const keyspace = openKeyspace(handle, config);
  keyspace.lockAll();
  const offset = replication.offsetAt(ring.head);
  keyspace.unlockAll();
  const aborts = replication.shutdownAborts;
  if (replication.behind(offset) > 0) {
    log('Waiting for replicas before shutting down.');
    replication.beginShutdownWait(endMs);
    while (monotonicMs() < endMs && replication.shutdownAborts === aborts) {
      if (replication.behind(offset) === 0) break;
      replication.wantAcks();
      await delay(ACK_POLL_MS);
    }
    replication.endShutdownWait();
  }
  if (replication.shutdownAborts !== aborts) {
    control.unpause();
    log('Shutdown manually aborted.', 'warning');
    return false;
  }
  replication.logLagging(offset, log);
  return true;
}

/**
 * Saves if a signal asks for it; from then on nothing can change or be recorded. (SHUTDOWN has saved already.)
 * Returns whether the process may end. Throws `ScriptRunsLong` while a slow script runs.
 */
export function saveBeforeExit(
  request: ShutdownRequest,
  config: Config,
  handle: KeyspaceHandle,
  state: ProcessStateHandle,
  log: Log,
): boolean {
  if (request === ShutdownRequest.Exit) return true;
  const isForced = (request & ShutdownRequest.Forced) !== 0;
  const wanted: ShutdownRequest = request & ~ShutdownRequest.Forced;
  const saves =
    wanted === ShutdownRequest.Save || (wanted === ShutdownRequest.Default && config.savePoints.length > 0);
  if (!saves && !config.appendOnly) return true;
  if (new AppendOnlyState(state.appendOnly).isFirstBaseMissing) {
    log("Writing initial AOF, can't exit.", 'warning');
    if (!isForced) return false;
  }
  const keyspace = openKeyspace(handle, config);
  keyspace.lockOrder.givesUp = true;
  keyspace.lockAll();
  if (!saves) return true;
  const persistence = new PersistenceState(state.persistence);
  if (persistence.isSaving) log('There is a child saving an .rdb. Killing it!', 'warning');
  log('Saving the final RDB snapshot before exiting.');
  persistence.cancel();
  try {
    const history = historyNow(new ReplicationState(state.replication), keyspace.journal.ring);
    saveKeyspace(keyspace, snapshotOptions(config, history), Date.now());
    log('DB saved on disk');
  } catch (error) {
    log(`Error saving DB on disk: ${(error as Error).message}`, 'warning');
    if (isForced) return true;
    keyspace.unlockAll();
    return false;
  }
  return true;
}

/** Removes files that a cancelled or interrupted background job may have left. */
export function removeTemporaryFiles(config: Config): void {
  for (const name of [backgroundFileName(), rewriteFileName(), replicaFileName()]) {
    rmSync(path.join(config.dir, name), { force: true });
  }
}

/** Removes the files that exist while the process runs. */
export function removeOwnFiles({ pidFile, unixSocket }: Config, log: Log): void {
  if (pidFile !== '') {
    log('Removing the pid file.');
    rmSync(pidFile, { force: true });
  }
  if (unixSocket !== '') {
    log('Removing the unix socket file.');
    rmSync(unixSocket, { force: true });
  }
}
