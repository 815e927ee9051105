/** BGREWRITEAOF, and what keeps the append-only file as the configuration wants it. */

import type { CommandContext } from '../../execution/context.js';
import type { ServerServices } from '../../execution/services.js';
import type { Handler } from '../../execution/table/command-table.js';
import { readManifest } from '../../journal/aof-manifest.js';
import { JournalRequest } from '../../journal/journal-ring.js';
import type { Keyspace } from '../../keyspace/keyspace.js';
import { AppendOnlyMode } from '../../state/append-only-state.js';
import { SnapshotForm, SnapshotPurpose } from '../../state/persistence-state.js';
import { monotonicMs } from '../../system/clock.js';
import { beginBackgroundSave, cancelBackgroundJob } from './save.js';

/** Replies wait while writes older than this are not on the disk. */
const BEHIND_MS = 2000;

/**
 * Has the persistence thread write the state of this moment as the new base of the append-only file; later
 * writes go to a new increment. False if a background job runs already. The locks of all shards are held.
 */
function beginRewrite(keyspace: Keyspace, services: ServerServices, nowMs: number): boolean {
  const { persistence, appendOnly } = services.state;
  if (!persistence.reserve(SnapshotPurpose.AofBase)) return false;
  appendOnly.wantThread();
  appendOnly.rewriteStarted();
  if (appendOnly.mode !== AppendOnlyMode.Off) keyspace.journal.ring.switchFile();
  const form = services.config.aofUseRdbPreamble ? SnapshotForm.Rdb : SnapshotForm.Commands;
  persistence.start(0, keyspace.beginSnapshot(), nowMs, form);
  return true;
}

function bgrewriteaof(context: CommandContext): void {
  const { reply, keyspace, services, nowMs } = context;
  const { persistence, appendOnly } = services.state;
  if (persistence.isRewriting) {
    reply.error('ERR Background append only file rewriting already in progress');
  } else if (
    // A transaction must not be split between the old and the new file, nor be in both.
    !context.isMidTransaction &&
    context.withAllLocks(() => beginRewrite(keyspace, services, nowMs))
  ) {
    reply.simple('Background append only file rewriting started');
  } else {
    appendOnly.forgetFailures();
    appendOnly.isRewriteScheduled = true;
    reply.simple('Background append only file rewriting scheduled');
  }
}

function turnOn(services: ServerServices): void {
  if (!services.state.appendOnly.waitForBase()) return;
  services.log('The append only file is turned on: its base is written first');
}

/** Called after CONFIG SET: has the append-only file turned on or off, if that is what has changed. */
export function appendOnlyChanged(context: CommandContext): void {
  const { services } = context;
  const { appendOnly } = services.state;
  if (services.config.appendOnly) turnOn(services);
  else if (appendOnly.mode !== AppendOnlyMode.Off) appendOnly.requestTurnOff();
  // Worker 0 begins the base, or turns the file off: wake it to do so now.
  services.wakeWorker(0);
}

function turnOff(keyspace: Keyspace, services: ServerServices): void {
  const { appendOnly, persistence } = services.state;
  services.log('The append only file is turned off');
  keyspace.lockAll();
  keyspace.journal.ring.turnOff();
  if (persistence.isRewriting) cancelBackgroundJob(keyspace, persistence);
  appendOnly.mode = AppendOnlyMode.Off;
  appendOnly.isRewriteScheduled = false;
  keyspace.unlockAll();
  keyspace.journal.ring.request(JournalRequest.Close);
}

/** Whether the append-only file has grown enough since its last rewrite. */
function hasGrown(services: ServerServices): boolean {
  const { config, state } = services;
  const { appendOnly } = state;
  if (appendOnly.mode !== AppendOnlyMode.On || config.autoAofRewritePercentage === 0) return false;
  if (appendOnly.totalBytes <= config.autoAofRewriteMinBytes) return false;
  const growth = (100 * appendOnly.totalBytes) / Math.max(1, appendOnly.baseBytes) - 100;
  return growth >= config.autoAofRewritePercentage && !appendOnly.mustDelayRewrite();
}

/**
 * Turns the append-only file on or off, begins background jobs that are scheduled or due, and holds replies back
 * while the disk is far behind. For one worker to call regularly, without any lock.
 */
export function followAppendOnly(keyspace: Keyspace, services: ServerServices, nowMs: number): void {
  const { config, state, log } = services;
  const { appendOnly, persistence } = state;
  const mustTurnOff = appendOnly.takeTurnOff();
  const wasOn = appendOnly.mode !== AppendOnlyMode.Off;
  // What another worker has just turned on is not turned off by an older configuration.
  if (wasOn !== config.appendOnly) services.followConfig();
  if (wasOn && (mustTurnOff || !config.appendOnly)) turnOff(keyspace, services);
  if (config.appendOnly && appendOnly.mode === AppendOnlyMode.Off) turnOn(services);
  if (config.appendFsync === 'everysec' && keyspace.journal.ring.noteIfBehind(monotonicMs(), BEHIND_MS)) {
    appendOnly.noteDelayedSync();
    log('Asynchronous AOF fsync is taking too long (disk is busy?). Replies wait for it.');
  }
  if (persistence.isBusy) return;
  const wantsRewrite = appendOnly.isRewriteScheduled && !appendOnly.mustDelayRewrite();
  if (!wantsRewrite && !persistence.isSaveScheduled && !hasGrown(services)) return;
  keyspace.lockAll();
  if (persistence.isSaveScheduled && !wantsRewrite) beginBackgroundSave(keyspace, persistence, nowMs);
  else beginRewrite(keyspace, services, nowMs);
  keyspace.unlockAll();
}

/** Whether files with all data exist: those in use, or those left when the append-only file was turned off. */
function canReload({ config, state }: ServerServices): boolean {
  const { mode } = state.appendOnly;
  if (mode !== AppendOnlyMode.Off) return mode === AppendOnlyMode.On;
  try {
    const manifest = readManifest({ folder: config.aofFolder, fileName: config.aofFileName });
    return manifest !== null && !manifest.isEmpty;
  } catch {
    return false;
  }
}

/**
 * DEBUG LOADAOF: empties the server and loads the append-only file, with everything recorded so far; if it is off, the
 * files that exist, such as the base of the last rewrite.
 */
export function reloadAppendOnly(context: CommandContext): void {
  const { reply, keyspace, services, nowMs } = context;
  const { appendOnly, persistence } = services.state;
  const { ring } = keyspace.journal;
  if (context.inTransaction || !canReload(services)) {
    reply.error('ERR DEBUG LOADAOF needs an append only file that is complete, and is not for transactions');
    return;
  }
  const failure = context.withAllLocks(() => {
    const isRecording = ring.isFileOn;
    if (isRecording) {
      ring.waitForFile(() => appendOnly.writeError !== 0);
      if (ring.pendingBytes > 0)
        return "The append only file is not loaded again: it lacks what the disk doesn't take";
    }
    ring.turnOff();
    keyspace.flush(0, keyspace.databaseCount, nowMs);
    context.scripts.functions.flush();
    const problem = services.loadAppendOnlyAgain();
    keyspace.noteLoaded();
    if (isRecording) ring.turnOn();
    persistence.noteUnchanged(keyspace.dirtyCount());
    return problem;
  });
  if (failure === '') {
    services.log('Append Only File loaded by DEBUG LOADAOF', 'warning');
    reply.ok();
  } else {
    services.log(failure, 'warning');
    reply.error('ERR Error trying to load the AOF files, check server logs');
  }
}

export const appendOnlyHandlers: Readonly<Record<string, Handler>> = {
  BGREWRITEAOF: bgrewriteaof,
};
