/** What a crash report says besides the stack: the command that ran, its client, and INFO. */

import { infoText } from '../commands/server/info.js';
import type { CommandContext } from '../execution/context.js';

const ARGUMENTS_SHOWN_MAX = 16;
const ARGUMENT_BYTES_SHOWN_MAX = 128;

/**
 * Describes what a worker was doing. `isRunning`: a command ran, whose request the context still holds. Takes no
 * locks, since the thread may hold some.
 */
export function crashDetails(context: CommandContext, isRunning: boolean): string {
  const parts = [isRunning ? attempt(() => commandLines(context)) : 'no command was running'];
  parts.push(
    '',
    '------ INFO OUTPUT ------',
    attempt(() => infoText(context, new Set(['everything']))),
  );
  return parts.join('\n').replace(/\r/g, '');
}

/** A report with a gap is better than none: whatever broke the worker may break its description too. */
function attempt(describe: () => string): string {
  try {
    return describe();
  } catch (error) {
    return `(${String(error)})`;
  }
}

function commandLines(context: CommandContext): string {
  const { session, argCount } = context;
  const shown = Math.min(argCount, ARGUMENTS_SHOWN_MAX);
  const lines = [
    '------ CURRENT CLIENT INFO ------',
    `id=${session.id} addr=${session.connection.peerAddress()} db=${session.database} name=${session.name} resp=${session.protocol} multi=${context.inTransaction ? 1 : 0}`,
    `command: ${context.argLatin1(0)}`,
    `argc: ${argCount}`,
  ];
  for (let index = 0; index < shown; index++) {
    const length = context.argLength(index);
    const text = JSON.stringify(context.argLatin1(index).slice(0, ARGUMENT_BYTES_SHOWN_MAX));
    lines.push(`argv[${index}]: ${text}${length > ARGUMENT_BYTES_SHOWN_MAX ? ` ... (${length} bytes)` : ''}`);
  }
  if (shown < argCount) lines.push(`(${argCount - shown} more arguments)`);
  return lines.join('\n');
}
