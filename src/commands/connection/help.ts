/** HELP of container commands: all have the same form. */

import type { Handler } from '../../execution/table/command-table.js';

/**
 * A handler that lists a container's subcommands.
 * @param container name in upper case
 * @param lines each subcommand with its arguments, and behind it what it does, indented by four spaces
 */
export function helpHandler(container: string, lines: readonly string[]): Handler {
  const all = [
    `${container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:`,
    ...lines,
    'HELP',
    '    Prints this help.',
  ];
  return ({ reply }) => {
    reply.array(all.length);
    for (const line of all) reply.simple(line);
  };
}
