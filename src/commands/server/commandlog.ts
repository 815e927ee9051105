/** COMMANDLOG (Valkey 8.1): reads the logs of slow commands, large requests and large replies (state/command-log.ts). */

import type { CommandContext } from '../../execution/context.js';
import type { Handler } from '../../execution/table/command-table.js';
import type { CommandLog } from '../../state/command-log.js';
import { helpHandler } from '../connection/help.js';
import { readEntryCount, replyEntries } from './slowlog.js';

const BAD_TYPE = 'ERR type should be one of the following: slow, large-request, large-reply';

const help = helpHandler('COMMANDLOG', [
  'GET <count> <type>',
  '    Return top <count> entries of a type of log (-1 means all).',
  '    Entries are made of:',
  '    id, timestamp,',
  '        time in microseconds for type of slow,',
  '        or size in bytes for type of large-request,',
  '        or size in bytes for type of large-reply,',
  '    arguments array, client IP and port, client name',
  'LEN <type>',
  '    Return the length of a type of log.',
  'RESET <type>',
  '    Reset a type of log.',
]);

/** The log that an argument names; replies an error and returns null if it names none. */
function readLog(context: CommandContext, index: number): CommandLog | null {
  const { state } = context.services;
  if (context.argIs(index, 'SLOW')) return state.slowLog;
  if (context.argIs(index, 'LARGE-REQUEST')) return state.largeRequestLog;
  if (context.argIs(index, 'LARGE-REPLY')) return state.largeReplyLog;
  context.reply.error(BAD_TYPE);
  return null;
}

function get(context: CommandContext): void {
  if (!readEntryCount(context, 2)) return;
  const log = readLog(context, 3);
  if (log !== null) replyEntries(context, log, context.number.value);
}

function length(context: CommandContext): void {
  const log = readLog(context, 2);
  if (log !== null) context.reply.integer(log.length);
}

function reset(context: CommandContext): void {
  const log = readLog(context, 2);
  if (log === null) return;
  log.reset();
  context.reply.ok();
}

export const commandLogHandlers: Readonly<Record<string, Handler>> = {
  'COMMANDLOG GET': get,
  'COMMANDLOG HELP': help,
  'COMMANDLOG LEN': length,
  'COMMANDLOG RESET': reset,
};
