/** Small commands about the server itself: TIME, LASTSAVE, ROLE, SHUTDOWN, LOLWUT, MODULE. */

import type { CommandContext } from '../../execution/context.js';
import { busyError, SHUTDOWN_FAILED, SYNTAX_ERROR } from '../../execution/errors.js';
import { AckWork } from '../../execution/replication-requests.js';
import type { Handler } from '../../execution/table/command-table.js';
import { PauseKind, ShutdownRequest } from '../../state/control-block.js';
import type { ReplicationState } from '../../state/replication-state.js';
import { monotonicMs, wallMicroseconds } from '../../system/clock.js';
import { clientLine } from '../connection/client.js';
import { helpHandler } from '../connection/help.js';
import { lolwut } from './lolwut.js';
import { saveInForeground } from './save.js';

function time(context: CommandContext): void {
  const { reply } = context;
  const microseconds = context.isInScript ? context.scripts.startMicroseconds : wallMicroseconds();
  reply.array(2);
  reply.bulkString(String(Math.floor(microseconds / 1e6)));
  reply.bulkString(String(microseconds % 1e6));
}

function lastSave(context: CommandContext): void {
  context.reply.integer(Math.floor(context.services.state.control.lastSaveMs / 1000));
}

const CANNOT_EXIT = 'ERR Errors trying to SHUTDOWN. Check logs.';

/** A shutdown that waits until the replicas have received everything. */
class ShutdownWork extends AckWork {
  readonly wasAborted: () => boolean;

  constructor(state: ReplicationState, timeoutMs: number, isDone: () => boolean, wasAborted: () => boolean) {
    super(state, timeoutMs, () => isDone() || wasAborted());
    this.wasAborted = wasAborted;
  }
}

/**
 * Has the shutdown wait for replicas that lack something, for at most `shutdown-timeout`. Writes are paused meanwhile.
 * Returns whether it waits.
 */
function waitForReplicas(context: CommandContext): boolean {
  const { services, session, keyspace } = context;
  const { replication, control, persistence } = services.state;
  const timeoutMs = services.config.shutdownTimeoutSeconds * 1000;
  if (timeoutMs === 0 || persistence.isLoading || replication.isReplica || context.inTransaction)
    return false;
  if (replication.replicaCount === 0) return false;
  const nowMs = monotonicMs();
  control.pause(nowMs + timeoutMs, PauseKind.Write, nowMs);
  keyspace.lockAll();
  const offset = replication.offsetAt(keyspace.journal.ring.head);
  keyspace.unlockAll();
  if (replication.behind(offset) === 0) return false;
  services.log('Waiting for replicas before shutting down.');
  const aborts = replication.shutdownAborts;
  session.postponedWork = new ShutdownWork(
    replication,
    timeoutMs,
    () => replication.behind(offset) === 0,
    () => replication.shutdownAborts !== aborts,
  );
  session.postponed = { command: context.command, request: context.request.copy() };
  replication.beginShutdownWait(nowMs + timeoutMs);
  services.askForAcks();
  return true;
}

/** Goes on with a shutdown that has waited; false if it was called off. */
function endWaiting(context: CommandContext, work: ShutdownWork): boolean {
  const { services, session, reply, keyspace } = context;
  const { replication, control } = services.state;
  work.abandon();
  session.postponedWork = null;
  replication.endShutdownWait();
  if (work.wasAborted()) {
    control.unpause();
    services.log('Shutdown manually aborted.', 'warning');
    reply.error(CANNOT_EXIT);
    return false;
  }
  replication.logLagging(replication.offsetAt(keyspace.journal.ring.head), services.log);
  return true;
}

/** Gets no reply if it succeeds: the process ends and with it the connection. */
function shutdown(context: CommandContext): void {
  const { reply, services } = context;
  let request = ShutdownRequest.Default;
  let isAbort = false;
  let isForced = false;
  let isNow = false;
  for (let index = 1; index < context.argCount; index++) {
    const asked = context.argIs(index, 'NOSAVE')
      ? ShutdownRequest.NoSave
      : context.argIs(index, 'SAVE')
        ? ShutdownRequest.Save
        : ShutdownRequest.None;
    if (asked !== ShutdownRequest.None) {
      if (request !== ShutdownRequest.Default && request !== asked) {
        reply.error(SYNTAX_ERROR);
        return;
      }
      request = asked;
    } else if (context.argIs(index, 'ABORT')) {
      isAbort = true;
    } else if (context.argIs(index, 'FORCE')) {
      isForced = true;
    } else if (context.argIs(index, 'NOW')) {
      isNow = true;
    } else {
      reply.error(SYNTAX_ERROR);
      return;
    }
  }
  if (isAbort) {
    if (context.argCount > 2) reply.error(SYNTAX_ERROR);
    else if (abortShutdown(context)) reply.ok();
    else reply.error('ERR No shutdown in progress.');
    return;
  }
  if (context.keyspace.lockOrder.slowScripts !== 0 && request !== ShutdownRequest.NoSave) {
    reply.error(busyError(services.state.runningScripts));
    return;
  }
  const { postponedWork } = context.session;
  if (postponedWork instanceof ShutdownWork) {
    if (!endWaiting(context, postponedWork)) return;
  } else if (!isNow && waitForReplicas(context)) {
    return;
  }
  if (prepareShutdown(context, request, isForced)) {
    services.state.control.requestShutdown(ShutdownRequest.Exit);
  } else {
    // Writes may still be paused from the wait for replicas.
    if (services.state.replication.replicaCount > 0) services.state.control.unpause();
    services.log(SHUTDOWN_FAILED, 'warning');
    reply.error(CANNOT_EXIT);
  }
}

function abortShutdown({ services }: CommandContext): boolean {
  const { control, replication } = services.state;
  if (replication.shutdownWaits > 0) {
    replication.abortShutdown();
    for (let worker = 0; worker < services.workerCount; worker++) services.wakeWorker(worker);
    return true;
  }
  return control.abortShutdown();
}

/** Saves the data if it has to be saved. Returns false, with the reason in the log, if the server can't exit. */
function prepareShutdown(context: CommandContext, request: ShutdownRequest, isForced: boolean): boolean {
  const { services } = context;
  const { log } = services;
  log(`SHUTDOWN was sent by ${clientLine(context)}`, 'warning');
  log('User requested shutdown...', 'warning');
  if (services.state.appendOnly.isFirstBaseMissing && !isForced) {
    log("Writing initial AOF, can't exit.", 'warning');
    return false;
  }
  if (saveBeforeShutdown(context, request) || isForced) return true;
  log("Error trying to save the DB, can't exit.", 'warning');
  return false;
}

/**
 * Saves if a shutdown is to save. Keeps all locks if anything is saved or recorded, so that nothing changes any more.
 * Returns false, with the locks released, if saving fails.
 */
function saveBeforeShutdown(context: CommandContext, request: ShutdownRequest): boolean {
  const { keyspace, services } = context;
  const hasSavePoints = services.config.savePoints.length > 0;
  // While loading, the keyspace may hold only a part of what is in the files.
  if (services.state.persistence.isLoading) return true;
  const saves = request === ShutdownRequest.Save || (request === ShutdownRequest.Default && hasSavePoints);
  // The locks keep anything from being recorded after the rest of the journal is written to the disk.
  // A slow script may hold locks, but it records its changes only at its end, so none are taken then.
  if (keyspace.lockOrder.slowScripts !== 0) return true;
  if (saves || keyspace.journal.isOn || keyspace.journal.ring.isFileOn) keyspace.lockAll();
  if (!saves) return true;
  if (services.state.persistence.isSaving) {
    services.log('There is a child saving an .rdb. Killing it!', 'warning');
  }
  services.log('Saving the final RDB snapshot before exiting.');
  services.state.persistence.cancel();
  if (saveInForeground(context)) return true;
  keyspace.unlockAll();
  return false;
}

/** Runs an action if `enable-module-command` allows it to the client. */
function ifModulesAllowed(context: CommandContext, action: () => void): void {
  const { services, session, reply } = context;
  if (services.isAllowed(services.config.enableModuleCommand, session)) action();
  else {
    reply.error(
      'ERR MODULE command not allowed. If the enable-module-command option is set to "local", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.',
    );
  }
}

/** Modules are programs for redis-server: none can be loaded here. */
function refuseModule(context: CommandContext): void {
  const { services, reply } = context;
  services.log(`Module ${context.argText(2)} failed to load: modules are not supported`, 'warning');
  reply.error(MODULE_FAILURE);
}

/** MODULE LOADEX path [CONFIG name value]... [ARGS argument...] */
function loadExtended(context: CommandContext): void {
  const { services, reply, argCount } = context;
  let index = 3;
  for (; index < argCount && context.argIs(index, 'CONFIG'); index += 3) {
    if (index + 2 < argCount) continue;
    services.log('CONFIG specified without name value pair');
    reply.error(MODULE_FAILURE);
    return;
  }
  if (index < argCount && !context.argIs(index, 'ARGS')) {
    services.log(`Syntax Error from arguments to loadex around ${context.argText(index)}.`);
    reply.error(MODULE_FAILURE);
    return;
  }
  refuseModule(context);
}

const MODULE_FAILURE = 'ERR Error loading the extension. Please check the server logs.';

/** There are no modules. */
const moduleHandlers: Readonly<Record<string, Handler>> = {
  'MODULE HELP': helpHandler('MODULE', [
    'LIST',
    '    List the modules; there are none.',
    'LOAD <path> [<arg> ...]',
    '    Not supported.',
    'LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]',
    '    Not supported.',
    'UNLOAD <name>',
    '    Not supported.',
  ]),
  'MODULE LIST': (context) => context.reply.array(0),
  'MODULE LOAD': (context) => ifModulesAllowed(context, () => refuseModule(context)),
  'MODULE LOADEX': (context) => ifModulesAllowed(context, () => loadExtended(context)),
  'MODULE UNLOAD': (context) =>
    ifModulesAllowed(context, () =>
      context.reply.error('ERR Error unloading module: no such module with that name'),
    ),
};

export const serverHandlers: Readonly<Record<string, Handler>> = {
  ...moduleHandlers,
  LASTSAVE: lastSave,
  LOLWUT: lolwut,
  SHUTDOWN: shutdown,
  TIME: time,
};
