/** SAVE, BGSAVE and what else writes or reads the snapshot's file. */

import { loadFile } from '../persistence/load.js';
import { saveKeyspace } from '../persistence/snapshot-file.js';
import type { Handler } from './command-table.js';
import type { CommandContext } from './context.js';

export const SAVE_IN_PROGRESS = 'ERR Background save already in progress';

/** Writes the snapshot at once. The locks of all shards are held. Returns false, with the reason in the log, on failure. */
export function saveInForeground(context: CommandContext): boolean {
  const { keyspace, services, nowMs } = context;
  const { config, state, log } = services;
  try {
    saveKeyspace(
      keyspace,
      { fileName: config.dbFileName, compresses: config.rdbCompression, hasChecksum: config.rdbChecksum },
      nowMs,
    );
  } catch (error) {
    log(`Error saving DB on disk: ${(error as Error).message}`, 'warning');
    return false;
  }
  state.control.lastSaveMs = Date.now();
  state.persistence.noteSaved(keyspace.dirtyCount());
  log('DB saved on disk');
  return true;
}

/** Runs something with the locks of all shards; in a transaction they are held already. */
export function withAllLocks<T>(context: CommandContext, action: () => T): T {
  const { keyspace } = context;
  if (context.inTransaction) return action();
  keyspace.lockAll();
  const result = action();
  keyspace.unlockAll();
  return result;
}

function save(context: CommandContext): void {
  const { reply, services } = context;
  if (services.state.persistence.isSaving) {
    reply.error(SAVE_IN_PROGRESS);
    return;
  }
  if (withAllLocks(context, () => saveInForeground(context))) reply.ok();
  else reply.error('ERR');
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
  const problem = withAllLocks(context, () => {
    if (saves && !saveInForeground(context)) return 'ERR Error trying to save the DB, check server logs';
    for (const shard of flushes ? keyspace.shards : []) {
      for (let database = 0; database < keyspace.databaseCount; database++) shard.flush(database, nowMs);
    }
    const options = { fileName: config.dbFileName, hasChecksum: config.rdbChecksum, nowMs };
    const { failure } = loadFile(keyspace, options, log, 0, 1, merges);
    if (failure === '') {
      services.state.persistence.noteUnchanged(keyspace.dirtyCount());
      return null;
    }
    log(failure, 'warning');
    return 'ERR Error trying to load the RDB dump, check server logs';
  });
  if (problem === null) reply.ok();
  else reply.error(problem);
}

export const saveHandlers: Readonly<Record<string, Handler>> = {
  SAVE: save,
};
