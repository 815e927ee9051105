/** Requests that wait: the commands of a transaction until EXEC, and a command that is postponed. */

import type { CommandContext } from './context.js';
import type { CommandRequest } from './request.js';
import { type Command, CommandFlag } from './table/command-table.js';

/** A command that waits: its arguments are copied out of the input buffer. */
export interface QueuedCommand {
  readonly command: Command;
  readonly request: CommandRequest;
}

/** Copies the context's request into the session's queue. */
export function queueCommand(context: CommandContext, command: Command): void {
  const request = context.request.copy();
  context.session.queue?.push({ command, request });
  context.session.queuedBytes += request.lengthBytes;
}

/** Flags of commands that may change keys, or may have something to replicate. */
export const MAY_WRITE = CommandFlag.Write | CommandFlag.MayReplicate;
