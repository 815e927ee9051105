/** SLOWLOG: reads the log that all threads share (state/command-log.ts). */

import type { CommandContext } from '../../execution/context.js';
import type { Handler } from '../../execution/table/command-table.js';
import type { CommandLog } from '../../state/command-log.js';
import { helpHandler } from '../connection/help.js';

const DEFAULT_COUNT = 10;
const BAD_COUNT = 'ERR count should be greater than or equal to -1';

const help = helpHandler('SLOWLOG', [
  'GET [<count>]',
  '    Return top <count> entries from the slowlog (default: 10, -1 mean all).',
  '    Entries are made of:',
  '    id, timestamp, time in microseconds, arguments array, client IP and port,',
  '    client name',
  'LEN',
  '    Return the length of the slowlog.',
  'RESET',
  '    Reset the slowlog.',
]);

function get(context: CommandContext): void {
  const { reply } = context;
  let count = DEFAULT_COUNT;
  if (context.argCount > 3) {
    reply.error(
      `ERR unknown subcommand or wrong number of arguments for '${context.argLatin1(1)}'. Try SLOWLOG HELP.`,
    );
    return;
  }
  if (context.argCount === 3) {
    if (!readEntryCount(context, 2)) return;
    count = context.number.value;
  }
  replyEntries(context, context.services.state.slowLog, count);
}

/** Reads how many entries are wanted into `context.number`; replies an error and returns false if it can't be. */
export function readEntryCount(context: CommandContext, index: number): boolean {
  if (!context.integer(index, BAD_COUNT)) return false;
  if (context.number.value >= -1) return true;
  context.reply.error(BAD_COUNT);
  return false;
}

/** Replies the newest `count` entries of a log, all of them for -1. */
export function replyEntries({ reply }: CommandContext, log: CommandLog, count: number): void {
  const entries = log.get(count);
  reply.array(entries.length);
  for (const { id, timeSeconds, value, args, address, name } of entries) {
    reply.array(6);
    reply.integer(id);
    reply.integer(timeSeconds);
    reply.integer(value);
    reply.array(args.length);
    for (const argument of args) reply.bulkBuffer(argument);
    reply.bulkString(address);
    reply.bulkString(name);
  }
}

function length(context: CommandContext): void {
  context.reply.integer(context.services.state.slowLog.length);
}

function reset(context: CommandContext): void {
  context.services.state.slowLog.reset();
  context.reply.ok();
}

export const slowLogHandlers: Readonly<Record<string, Handler>> = {
  'SLOWLOG GET': get,
  'SLOWLOG HELP': help,
  'SLOWLOG LEN': length,
  'SLOWLOG RESET': reset,
};
