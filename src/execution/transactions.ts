/** Requests that wait: the commands of a transaction until EXEC, and a command that is postponed. */

import type { CommandContext } from './context.js';
import type { QueuedCommand } from './session.js';
import type { Command } from './table/command-table.js';

const RUN_INSIDE = new Set(['multi', 'exec', 'discard', 'watch', 'quit', 'reset']);

/** Whether a command runs at once although the client is in a transaction. */
export function runsInsideTransaction(command: Command): boolean {
  return RUN_INSIDE.has(command.fullName);
}

/** Copies the context's request into the session's queue. */
export function queueCommand(context: CommandContext, command: Command): void {
  const queued = copyRequest(context, command);
  context.session.queue?.push(queued);
  context.session.queuedBytes += queued.bytes.length;
}

/** Copies the context's request out of the input buffer. */
export function copyRequest(context: CommandContext, command: Command): QueuedCommand {
  const { argCount } = context;
  let lengthBytes = 0;
  for (let index = 0; index < argCount; index++) lengthBytes += context.argLength(index);
  const bytes = new Uint8Array(lengthBytes);
  const args = new Int32Array(2 * argCount);
  let at = 0;
  for (let index = 0; index < argCount; index++) {
    const offset = context.argOffset(index);
    const length = context.argLength(index);
    bytes.set(context.bytes.subarray(offset, offset + length), at);
    args[2 * index] = at;
    args[2 * index + 1] = length;
    at += length;
  }
  return { command, bytes, view: new DataView(bytes.buffer), args, argCount };
}
