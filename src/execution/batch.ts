/**
 * The commands that one read has brought. Before the first one runs, all are looked up, their keys are hashed and the
 * memory that they will need is prefetched.
 */

import { MAX_BATCH_COMMANDS, type RequestParser } from '../protocol/request-parser.js';
import { equalBytes } from '../structures/copy.js';
import type { CommandContext } from './context.js';
import { LookAhead } from './look-ahead.js';
import { CommandRequest, NO_REQUEST } from './request.js';
import { type Command, CommandFlag, isQuick, onlyKey } from './table/command-table.js';

/** Memory that a new key may take besides its bytes. */
export const KEY_OVERHEAD_BYTES = 64;

/** A batch shorter than this is not worth looking ahead. */
const LOOK_AHEAD_COMMANDS_MIN = 3;

export class Batch {
  /** By index; null for a name that no command has. */
  readonly commands: (Command | null)[] = new Array(MAX_BATCH_COMMANDS).fill(null);
  readonly lookAhead: LookAhead;
  parser!: RequestParser;
  /** Writes may be refused, so none counts as simple. */
  refusesWrites = false;
  private readonly context: CommandContext;
  /** The request of the selected command. */
  private readonly request: CommandRequest;

  constructor(context: CommandContext) {
    this.context = context;
    this.lookAhead = new LookAhead(context.keyspace, this.commands);
    const { bytes, view, pairs } = NO_REQUEST;
    this.request = new CommandRequest(bytes, view, pairs, 0, 0);
  }

  /** Prepares the commands from `first` to `end` that the parser has found in `bytes`. */
  begin(
    bytes: Uint8Array,
    view: DataView,
    parser: RequestParser,
    first: number,
    end: number,
    database: number,
  ): void {
    const { commands, lookAhead, request, context } = this;
    this.parser = parser;
    request.bytes = bytes;
    request.view = view;
    request.pairs = parser.args;
    context.request = request;
    lookAhead.begin(first);
    for (let index = first; index < end; index++) {
      if (index > first && this.repeatsName(index)) {
        commands[index] = commands[index - 1];
      } else {
        const name = 2 * parser.commandArgStart[index];
        commands[index] = context.table.lookup(bytes, parser.args[name], parser.args[name + 1]);
      }
      lookAhead.prepare(index, bytes, view, parser);
    }
    if (end - first >= LOOK_AHEAD_COMMANDS_MIN) lookAhead.run(database);
  }

  /** Whether a command has the same name as the one before it, as is common in pipelines. */
  private repeatsName(index: number): boolean {
    const { args, commandArgStart } = this.parser;
    const { bytes, view } = this.request;
    const name = 2 * commandArgStart[index];
    const last = 2 * commandArgStart[index - 1];
    const lengthBytes = args[name + 1];
    return (
      args[last + 1] === lengthBytes &&
      equalBytes(bytes, view, args[last], bytes, view, args[name], lengthBytes)
    );
  }

  /** Makes a command's request the context's. */
  select(index: number): void {
    const { context, parser, request } = this;
    request.start = parser.commandArgStart[index];
    request.count = parser.commandArgCount[index];
    context.request = request;
    context.knownSlot = 0;
    const command = this.commands[index];
    const key = command === null ? 0 : onlyKey(command, request.count);
    if (key > 0) {
      context.knownKeyOffset = request.offset(key);
      context.knownHash = this.lookAhead.hashes[index];
      context.knownShard = this.lookAhead.shards[index];
    } else {
      context.knownKeyOffset = -1;
    }
  }

  /** Whether a command is quick, has one key and the right number of arguments. */
  isSimple(index: number): boolean {
    const command = this.commands[index];
    const count = this.parser.commandArgCount[index];
    if (command === null || onlyKey(command, count) === 0 || !isQuick(command, count)) return false;
    if (this.refusesWrites && (command.flags & CommandFlag.Write) !== 0) return false;
    const { arity } = command;
    return arity >= 0 ? count === arity : count >= -arity;
  }

  /** Memory that the commands from `first` to `end` may take at most. */
  neededBytes(first: number, end: number): number {
    const { commands, parser } = this;
    const { args, commandArgStart, commandEnd } = parser;
    let neededBytes = 0;
    for (let index = first; index < end; index++) {
      if (((commands[index]?.flags ?? 0) & CommandFlag.DenyOom) === 0) continue;
      neededBytes += commandEnd[index] - args[2 * commandArgStart[index]] + KEY_OVERHEAD_BYTES;
    }
    return neededBytes;
  }
}
