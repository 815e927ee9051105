/**
 * Runs commands of a log. They have run before, so they are not checked as a client's are, except that the command must
 * exist; nothing is counted, and no lock is taken, since no other thread uses the keyspace.
 */

import type { RequestParser } from '../protocol/request-parser.js';
import type { Batch } from './batch.js';
import { hasArity } from './command-checks.js';
import type { CommandContext } from './context.js';
import type { Session } from './session.js';
import { type Command, CommandFlag, CommandTrait } from './table/command-table.js';

/** How much of a log an error quotes. */
const QUOTED_BYTES_MAX = 128;

export class LogReplay {
  private readonly context: CommandContext;
  private readonly batch: Batch;
  /** Why the last command could not be run, '' if it could. */
  problem = '';

  constructor(context: CommandContext, batch: Batch) {
    this.context = context;
    this.batch = batch;
  }

  /**
   * Runs commands of the batch that the parser has found, from `first` to `end`. MULTI and EXEC are ignored: the reader
   * of the log passes whole transactions. Stops behind a command that replied with an error, or before one that can't
   * be run, of which `problem` then says why. Returns the index of that command, or `end`.
   */
  run(
    session: Session,
    bytes: Uint8Array,
    view: DataView,
    parser: RequestParser,
    first: number,
    end: number,
  ): number {
    const { context, batch } = this;
    const { reply } = context;
    context.session = session;
    this.problem = '';
    batch.begin(bytes, view, parser, first, end, session.database);
    for (let index = first; index < end; index++) {
      batch.select(index);
      const command = this.replayable(batch.commands[index]);
      if (command === null) return index;
      if ((command.traits & CommandTrait.Bracket) !== 0) continue;
      context.command = command;
      reply.reset();
      const errorsBefore = reply.errors;
      command.handler(context);
      if (reply.errors !== errorsBefore) return index;
    }
    return end;
  }

  private replayable(found: Command | null): Command | null {
    const { context } = this;
    let command = found;
    if (command !== null && command.subcommands !== null && context.argCount > 1) {
      command = command.subcommands.get(context.argText(1).toLowerCase()) ?? null;
    }
    if (command === null) {
      this.problem = `Unknown command '${context.argQuoted(0).slice(0, QUOTED_BYTES_MAX)}'`;
    } else if ((command.traits & CommandTrait.Bracket) !== 0) {
      return command;
    } else if ((command.flags & CommandFlag.Admin) !== 0 || (command.traits & CommandTrait.Unlogged) !== 0) {
      this.problem = `Command '${command.fullName}', which no log has,`;
    } else if (!hasArity(command, context.argCount)) {
      this.problem = `Wrong number of arguments for command '${command.fullName}'`;
    } else {
      return command;
    }
    return null;
  }
}
