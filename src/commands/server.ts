/** Small commands about the server itself: TIME, LASTSAVE, ROLE, SHUTDOWN, LOLWUT, MODULE. */

import { ShutdownRequest } from '../state/control-block.js';
import type { Handler } from './command-table.js';
import type { CommandContext } from './context.js';
import { SYNTAX_ERROR } from './errors.js';
import { helpHandler } from './help.js';
import { lolwut } from './lolwut.js';
import { saveInForeground } from './save.js';

function time(context: CommandContext): void {
  const { reply } = context;
  const microseconds = Math.floor((performance.timeOrigin + performance.now()) * 1000);
  reply.array(2);
  reply.bulkString(String(Math.floor(microseconds / 1e6)));
  reply.bulkString(String(microseconds % 1e6));
}

function lastSave(context: CommandContext): void {
  context.reply.integer(Math.floor(context.services.state.control.lastSaveMs / 1000));
}

function role(context: CommandContext): void {
  const { reply } = context;
  reply.array(3);
  reply.bulkString('master');
  reply.integer(0);
  reply.array(0);
}

const CANNOT_EXIT = 'ERR Errors trying to SHUTDOWN. Check logs.';

/** Gets no reply if it succeeds: the process ends and with it the connection. */
function shutdown(context: CommandContext): void {
  const { reply, services } = context;
  let request = ShutdownRequest.Default;
  let isAbort = false;
  let isForced = false;
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
    } else if (!context.argIs(index, 'NOW')) {
      reply.error(SYNTAX_ERROR);
      return;
    }
  }
  if (isAbort && context.argCount > 2) reply.error(SYNTAX_ERROR);
  else if (isAbort && services.state.control.abortShutdown()) reply.ok();
  else if (isAbort) reply.error('ERR No shutdown in progress.');
  else if (services.state.appendOnly.isFirstBaseMissing && !isForced) {
    services.log("Writing initial AOF, can't exit.", 'warning');
    reply.error(CANNOT_EXIT);
  } else if (saveBeforeShutdown(context, request) || isForced) {
    services.state.control.requestShutdown(ShutdownRequest.Exit);
  } else {
    reply.error(CANNOT_EXIT);
  }
}

/**
 * Saves if a shutdown is to save, and keeps all locks if anything is saved or recorded, so that nothing changes any more. Returns false, with the
 * locks released, if it can't be saved.
 */
function saveBeforeShutdown(context: CommandContext, request: ShutdownRequest): boolean {
  const { keyspace, services } = context;
  const hasSavePoints = services.config.savePoints.length > 0;
  // What is there may only be a part of what the files have.
  if (services.state.persistence.isLoading) return true;
  const saves = request === ShutdownRequest.Save || (request === ShutdownRequest.Default && hasSavePoints);
  // Nothing may be recorded any more once the rest of the journal is brought to the disk.
  if (saves || keyspace.journal.isOn) keyspace.lockAll();
  if (!saves) return true;
  services.log('Saving the final RDB snapshot before exiting.');
  services.state.persistence.cancel();
  if (saveInForeground(context)) return true;
  keyspace.unlockAll();
  return false;
}

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
};

export const serverHandlers: Readonly<Record<string, Handler>> = {
  ...moduleHandlers,
  LASTSAVE: lastSave,
  LOLWUT: lolwut,
  ROLE: role,
  SHUTDOWN: shutdown,
  TIME: time,
};
