/** COMMAND: what the command table says of itself. */

import type { CommandContext } from '../../execution/context.js';
import { SYNTAX_ERROR } from '../../execution/errors.js';
import { KeyPositions } from '../../execution/key-positions.js';
import { CommandRequest } from '../../execution/request.js';
import { categoriesOf as categoriesBy } from '../../execution/table/command-catalog.js';
import { type ArgumentDoc, type CommandDoc, commandDoc } from '../../execution/table/command-docs.js';
import {
  type Command,
  CommandFlag,
  type CommandTable,
  type Handler,
  KeyFlag,
  type KeySpec,
} from '../../execution/table/command-table.js';
import type { ReplyWriter } from '../../protocol/reply-writer.js';
import { PreparedReply } from '../../state/prepared-replies.js';
import { GlobPattern } from '../../structures/glob.js';
import { helpHandler } from '../connection/help.js';

/** In the order in which they are reported. */
const FLAG_ORDER = (
  'write readonly denyoom module admin pubsub noscript blocking loading stale skip_monitor skip_slowlog ' +
  'asking fast no_auth may_replicate sentinel no_mandatory_keys no_async_loading no_multi allow_busy ' +
  'touches_arbitrary_keys'
).split(' ');
/** Flags that are internal to the server. */
const HIDDEN_FLAGS = new Set([
  'experimental',
  'may_replicate',
  'protected',
  'sentinel',
  'touches_arbitrary_keys',
]);

function flagsOf(command: Command): string[] {
  const words = command.flagWords
    .filter((word) => !HIDDEN_FLAGS.has(word))
    .sort((one, other) => FLAG_ORDER.indexOf(one) - FLAG_ORDER.indexOf(other));
  if ((command.flags & CommandFlag.MovableKeys) !== 0) words.push('movablekeys');
  return words;
}

function categoriesOf({ flags, categoryWords }: Command): string[] {
  return categoriesBy(flags, categoryWords);
}

/** Key flags by bit, as they are reported. */
const KEY_FLAG_WORDS = 'RW RO OW RM access update insert delete not_key incomplete variable_flags'.split(' ');

function keyFlagWords(flags: number): string[] {
  return KEY_FLAG_WORDS.filter((_word, bit) => (flags & (1 << bit)) !== 0);
}

function replyWords(reply: ReplyWriter, words: readonly string[], prefix = ''): void {
  reply.set(words.length);
  for (const word of words) reply.simple(prefix + word);
}

function replyKeySpec(reply: ReplyWriter, { flags, notes, begin, find }: KeySpec): void {
  const fields = (type: string, values: [string, string | number][]): void => {
    reply.map(2);
    reply.bulkString('type');
    reply.bulkString(type);
    reply.bulkString('spec');
    reply.map(values.length);
    for (const [name, value] of values) {
      reply.bulkString(name);
      if (typeof value === 'number') reply.integer(value);
      else reply.bulkString(value);
    }
  };
  reply.map(notes === '' ? 3 : 4);
  if (notes !== '') {
    reply.bulkString('notes');
    reply.bulkString(notes);
  }
  reply.bulkString('flags');
  replyWords(reply, keyFlagWords(flags));
  reply.bulkString('begin_search');
  if (begin.kind === 'index') fields('index', [['index', begin.position]]);
  else if (begin.kind === 'keyword') {
    fields('keyword', [
      ['keyword', begin.keyword],
      ['startfrom', begin.startFrom],
    ]);
  } else fields('unknown', []);
  reply.bulkString('find_keys');
  if (find.kind === 'range') {
    fields('range', [
      ['lastkey', find.lastKey],
      ['keystep', find.step],
      ['limit', find.limit],
    ]);
  } else if (find.kind === 'keynum') {
    fields('keynum', [
      ['keynumidx', find.index],
      ['firstkey', find.firstKey],
      ['keystep', find.step],
    ]);
  } else fields('unknown', []);
}

function replyCommand(reply: ReplyWriter, command: Command): void {
  reply.array(10);
  reply.bulkString(command.fullName);
  reply.integer(command.arity);
  replyWords(reply, flagsOf(command));
  reply.integer(command.firstKey);
  reply.integer(command.lastKey);
  reply.integer(command.keyStep);
  replyWords(reply, categoriesOf(command), '@');
  reply.set(command.tips.length);
  for (const tip of command.tips) reply.bulkString(tip);
  reply.set(command.keySpecs.length);
  for (const spec of command.keySpecs) replyKeySpec(reply, spec);
  if (command.subcommands === null) {
    reply.set(0);
    return;
  }
  reply.array(command.subcommands.size);
  for (const subcommand of command.subcommands.values()) replyCommand(reply, subcommand);
}

/** Writes what COMMAND or COMMAND DOCS say of all commands. */
export function writePreparedReply(reply: ReplyWriter, table: CommandTable, kind: PreparedReply): void {
  const commands = table.all();
  if (kind === PreparedReply.Documents) {
    replyDocs(reply, commands);
    return;
  }
  reply.array(commands.length);
  for (const command of commands) replyCommand(reply, command);
}

/** Replies the same: copies the prepared reply, or writes it now if it is not prepared yet, just after start. */
function replyPrepared(context: CommandContext, kind: PreparedReply): void {
  const { reply, table, services } = context;
  const prepared = services.state.preparedReplies.get(kind, reply.protocol);
  if (prepared !== null) reply.raw(prepared, 0, prepared.length);
  else writePreparedReply(reply, table, kind);
}

function all(context: CommandContext): void {
  replyPrepared(context, PreparedReply.Commands);
}

function info(context: CommandContext): void {
  if (context.argCount === 2) {
    all(context);
    return;
  }
  context.reply.array(context.argCount - 2);
  for (let index = 2; index < context.argCount; index++) {
    const command = context.table.byFullName(context.argText(index));
    if (command === null) context.reply.nullBulk();
    else replyCommand(context.reply, command);
  }
}

function docs(context: CommandContext): void {
  const { table, argCount } = context;
  if (argCount === 2) {
    replyPrepared(context, PreparedReply.Documents);
    return;
  }
  const commands: Command[] = [];
  for (let index = 2; index < argCount; index++) {
    const command = table.byFullName(context.argText(index));
    if (command !== null) commands.push(command);
  }
  replyDocs(context.reply, commands);
}

/** Writes a map whose number of fields is known only when they are written. */
class FieldWriter {
  private readonly position: number;
  private count = 0;

  constructor(private readonly reply: ReplyWriter) {
    this.position = reply.reserveAggregate();
  }

  /** Begins a field; its value is written next. */
  name(name: string): void {
    this.reply.bulkString(name);
    this.count++;
  }

  /** A text field, unless there is no text. */
  text(name: string, value: string | null): void {
    if (value === null) return;
    this.name(name);
    this.reply.bulkString(value);
  }

  end(): void {
    this.reply.patchAggregate(this.position, 'map', this.count);
  }
}

function replyDocs(reply: ReplyWriter, commands: readonly Command[]): void {
  reply.map(commands.length);
  for (const command of commands) {
    const doc = commandDoc(command.fullName);
    reply.bulkString(command.fullName);
    const fields = new FieldWriter(reply);
    fields.text('summary', doc?.summary ?? null);
    fields.text('since', command.since);
    fields.text('group', command.group);
    fields.text('complexity', doc?.complexity ?? null);
    if (doc !== null) replyDoc(reply, doc, fields);
    if (command.subcommands !== null) {
      fields.name('subcommands');
      replyDocs(reply, [...command.subcommands.values()]);
    }
    fields.end();
  }
}

function replyDoc(reply: ReplyWriter, doc: CommandDoc, fields: FieldWriter): void {
  const flags: string[] = [];
  if (doc.replacement !== null) flags.push('deprecated');
  if (doc.isSystemCommand) flags.push('syscmd');
  if (flags.length > 0) {
    fields.name('doc_flags');
    replyWords(reply, flags);
  }
  fields.text('deprecated_since', doc.replacement?.version ?? null);
  fields.text('replaced_by', doc.replacement?.text ?? null);
  if (doc.history.length > 0) {
    fields.name('history');
    reply.set(doc.history.length);
    for (const { version, text } of doc.history) {
      reply.array(2);
      reply.bulkString(version);
      reply.bulkString(text);
    }
  }
  if (doc.arguments.length > 0) {
    fields.name('arguments');
    replyArguments(reply, doc.arguments);
  }
}

function replyArguments(reply: ReplyWriter, list: readonly ArgumentDoc[]): void {
  reply.array(list.length);
  for (const argument of list) {
    const fields = new FieldWriter(reply);
    fields.text('name', argument.name);
    fields.text('type', argument.type);
    if (argument.keySpecIndex >= 0) {
      fields.name('key_spec_index');
      reply.integer(argument.keySpecIndex);
    }
    fields.text('token', argument.token);
    fields.text('since', argument.since);
    fields.text('deprecated_since', argument.deprecatedSince);
    if (argument.flags.length > 0) {
      fields.name('flags');
      replyWords(reply, argument.flags);
    }
    if (argument.arguments.length > 0) {
      fields.name('arguments');
      replyArguments(reply, argument.arguments);
    }
    fields.end();
  }
}

function count(context: CommandContext): void {
  context.reply.integer(context.table.all().length);
}

function list(context: CommandContext): void {
  const { reply, table, argCount } = context;
  let fits = (_command: Command): boolean => true;
  if (argCount !== 2) {
    if (argCount !== 5 || !context.argIs(2, 'FILTERBY')) {
      reply.error(SYNTAX_ERROR);
      return;
    }
    if (context.argIs(3, 'ACLCAT')) {
      const category = context.argText(4).toLowerCase();
      fits = (command) => categoriesOf(command).includes(category);
    } else if (context.argIs(3, 'PATTERN')) {
      const pattern = new GlobPattern(context.argCopy(4), true);
      fits = ({ fullName }) => {
        const name = Buffer.from(fullName);
        return pattern.matches(name, 0, name.length);
      };
    } else if (context.argIs(3, 'MODULE')) {
      fits = () => false;
    } else {
      reply.error(SYNTAX_ERROR);
      return;
    }
  }
  const commands = table
    .all()
    .flatMap((command) =>
      command.subcommands === null ? [command] : [command, ...command.subcommands.values()],
    );
  const names = commands.filter(fits).map((command) => command.fullName);
  reply.array(names.length);
  for (const name of names) reply.bulkString(name);
}

/** GETKEYS and GETKEYSANDFLAGS. */
function getKeys(withFlags: boolean): Handler {
  return (context) => {
    const { reply } = context;
    const command = requestedCommand(context);
    const argCount = context.argCount - 2;
    if (command === null) {
      reply.error('ERR Invalid command specified');
      return;
    }
    if (command.keySpecs.every(({ flags }) => (flags & KeyFlag.NotKey) !== 0)) {
      reply.error('ERR The command has no key arguments');
      return;
    }
    if (command.arity >= 0 ? argCount !== command.arity : argCount < -command.arity) {
      reply.error('ERR Invalid number of arguments specified for command');
      return;
    }
    const positions = new KeyPositions();
    const { bytes, view, pairs, start } = context.request;
    const args = new CommandRequest(bytes, view, pairs, start + 2, argCount);
    if (!positions.collect(command, args) || positions.count === 0) {
      if ((command.flags & CommandFlag.NoMandatoryKeys) !== 0) reply.array(0);
      else reply.error('ERR Invalid arguments specified for command');
      return;
    }
    reply.array(positions.count);
    for (let index = 0; index < positions.count; index++) {
      if (withFlags) reply.array(2);
      reply.bulkBuffer(context.argCopy(2 + positions.indices[index]));
      if (withFlags) replyWords(reply, keyFlagWords(positions.flags[index]));
    }
  };
}

/** The command whose request begins at argument 2. */
function requestedCommand(context: CommandContext): Command | null {
  const { table, bytes } = context;
  const command = table.lookup(bytes, context.argOffset(2), context.argLength(2));
  if (command === null || command.subcommands === null || context.argCount === 3) return command;
  return table.lookupSubcommand(command, bytes, context.argOffset(3), context.argLength(3));
}

const help = helpHandler('COMMAND', [
  '(no subcommand)',
  '    Return details about all Redis commands.',
  'COUNT',
  '    Return the total number of commands in this Redis server.',
  'LIST',
  '    Return a list of all commands in this Redis server.',
  'INFO [<command-name> ...]',
  '    Return details about multiple Redis commands.',
  '    If no command names are given, documentation details for all',
  '    commands are returned.',
  'DOCS [<command-name> ...]',
  '    Return documentation details about multiple Redis commands.',
  '    If no command names are given, documentation details for all',
  '    commands are returned.',
  'GETKEYS <full-command>',
  '    Return the keys from a full Redis command.',
  'GETKEYSANDFLAGS <full-command>',
  '    Return the keys and the access flags from a full Redis command.',
]);

export const introspectionHandlers: Readonly<Record<string, Handler>> = {
  COMMAND: all,
  'COMMAND COUNT': count,
  'COMMAND DOCS': docs,
  'COMMAND GETKEYS': getKeys(false),
  'COMMAND GETKEYSANDFLAGS': getKeys(true),
  'COMMAND HELP': help,
  'COMMAND INFO': info,
  'COMMAND LIST': list,
};
