/** SAVE, BGSAVE and what else writes or reads the snapshot's file. */

import type { CommandContext } from '../../execution/context.js';
import { SYNTAX_ERROR } from '../../execution/errors.js';
import { RestorePolicy } from '../../execution/scripts/known-functions.js';
import type { ServerServices } from '../../execution/services.js';
import type { Handler } from '../../execution/table/command-table.js';
import type { Keyspace } from '../../keyspace/keyspace.js';
import { describeLoad, loadFile } from '../../persistence/load-file.js';
import { saveKeyspace, snapshotOptions } from '../../persistence/snapshot-file.js';
import { historyNow } from '../../persistence/snapshot-history.js';
import { type PersistenceState, SnapshotPurpose } from '../../state/persistence-state.js';

/** Delay after a failed save before save points begin another one. */
const RETRY_DELAY_MS = 5000;

export const SAVE_IN_PROGRESS = 'ERR Background save already in progress';
const REWRITE_IN_PROGRESS =
  "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.";

/** Writes the snapshot at once. The locks of all shards are held. On failure logs the reason and returns false. */
export function saveInForeground(context: CommandContext): boolean {
  const { keyspace, services, nowMs } = context;
  const { config, state, log } = services;
  try {
    const history = historyNow(state.replication, keyspace.journal.ring);
    saveKeyspace(keyspace, snapshotOptions(config, history), nowMs);
  } catch (error) {
    log(`Error saving DB on disk: ${(error as Error).message}`, 'warning');
    return false;
  }
  state.control.noteSave();
  state.persistence.noteSaved(keyspace.dirtyCount());
  log('DB saved on disk');
  return true;
}

function save(context: CommandContext): void {
  const { reply, services } = context;
  if (services.state.persistence.isWritingSnapshot) {
    reply.error(SAVE_IN_PROGRESS);
    return;
  }
  services.state.persistence.countSave();
  if (context.withAllLocks(() => saveInForeground(context))) reply.ok();
  else reply.error('ERR');
}

/**
 * Has the persistence thread write the snapshot of this moment; false if it is busy with another one. The locks of
 * all shards are held.
 */
export function beginBackgroundSave(keyspace: Keyspace, state: PersistenceState, nowMs: number): boolean {
  if (!state.reserve(SnapshotPurpose.Save)) return false;
  state.start(keyspace.dirtyCount(), keyspace.beginSnapshot(), nowMs);
  return true;
}

function bgsave(context: CommandContext): void {
  const { reply, argCount, keyspace, services, nowMs } = context;
  if (argCount > 2 || (argCount === 2 && !context.argIs(1, 'SCHEDULE'))) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  const { persistence } = services.state;
  const { isMidTransaction } = context;
  if (persistence.isWritingSnapshot) {
    reply.error(SAVE_IN_PROGRESS);
  } else if (
    // The snapshot must not contain half a transaction.
    !isMidTransaction &&
    context.withAllLocks(() => beginBackgroundSave(keyspace, persistence, nowMs))
  ) {
    reply.simple('Background saving started');
  } else if (argCount === 2 || isMidTransaction) {
    persistence.isSaveScheduled = true;
    reply.simple('Background saving scheduled');
  } else {
    reply.error(REWRITE_IN_PROGRESS);
  }
}

/** Gives up the snapshot that is being taken. The locks of all shards are held. */
export function cancelBackgroundJob(keyspace: Keyspace, state: PersistenceState): void {
  state.cancel();
  keyspace.cancelSnapshot();
}

/** Gives up the background save, if there is one. The locks of all shards are held. */
export function cancelBackgroundSave(context: CommandContext): void {
  const { persistence } = context.services.state;
  if (persistence.isSaving) cancelBackgroundJob(context.keyspace, persistence);
}

/**
 * With save points, FLUSHALL writes an empty snapshot at once, but not one that comes from a log or a primary. The locks of all
 * shards are held.
 */
export function snapshotFlushed(context: CommandContext): void {
  if (context.keyspace.settings.isReplaying) return;
  if (context.services.config.savePoints.length > 0) saveInForeground(context);
}

/**
 * Begins a background save if a save point is reached. For one worker to call regularly, without any lock.
 */
export function saveIfDue(keyspace: Keyspace, services: ServerServices, nowMs: number): void {
  const { config, state, log } = services;
  const { persistence } = state;
  if (config.savePoints.length === 0 || persistence.isBusy) return;
  if (persistence.hasFailed && persistence.sinceAttemptMs <= RETRY_DELAY_MS) return;
  const changes = keyspace.dirtyCount() - persistence.savedChanges;
  const elapsedMs = state.control.sinceSaveMs;
  const point = config.savePoints.find(
    (candidate) => changes >= candidate.changes && elapsedMs > candidate.seconds * 1000,
  );
  if (point === undefined) return;
  log(`${point.changes} changes in ${point.seconds} seconds. Saving...`);
  keyspace.lockAll();
  beginBackgroundSave(keyspace, persistence, nowMs);
  keyspace.unlockAll();
}

/** DEBUG RELOAD [NOSAVE] [NOFLUSH] [MERGE]: saves, empties the server and loads what was saved. */
export function reload(context: CommandContext): void {
  const { reply, keyspace, services, nowMs } = context;
  let saves = true;
  let flushes = true;
  let merges = false;
  for (let index = 2; index < context.argCount; index++) {
    if (context.argIs(index, 'NOSAVE')) saves = false;
    else if (context.argIs(index, 'NOFLUSH')) flushes = false;
    else if (context.argIs(index, 'MERGE')) merges = true;
    else {
      reply.error('ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.');
      return;
    }
  }
  const { config, log } = services;
  const { persistence } = services.state;
  const problem = context.withAllLocks(() => {
    cancelBackgroundSave(context);
    if (saves && !saveInForeground(context)) return 'ERR';
    if (flushes) keyspace.flush(0, keyspace.databaseCount, nowMs);
    const options = {
      fileName: config.snapshotFile,
      hasChecksum: config.rdbChecksum,
      nowMs,
      dropsExpired: true,
    };
    if (flushes) context.scripts.functions.flush();
    keyspace.useReserve(true);
    const loaded = loadFile(keyspace, options, log, { replaces: merges });
    const { failure, functions } = loaded;
    keyspace.useReserve(false);
    keyspace.noteLoaded();
    if (failure === '') {
      const error = context.scripts.functions.restore(
        functions,
        merges ? RestorePolicy.Replace : RestorePolicy.Append,
      );
      if (error !== '') {
        log(`${config.snapshotFile}: ${error}`, 'warning');
        return 'ERR Error trying to load the RDB dump, check server logs';
      }
      log(describeLoad(loaded));
      persistence.noteUnchanged(keyspace.dirtyCount());
      log('DB reloaded by DEBUG RELOAD', 'warning');
      return null;
    }
    log(failure, 'warning');
    return 'ERR Error trying to load the RDB dump, check server logs';
  });
  if (problem === null) reply.ok();
  else reply.error(problem);
}

export const saveHandlers: Readonly<Record<string, Handler>> = {
  BGSAVE: bgsave,
  SAVE: save,
};
