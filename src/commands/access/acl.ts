/** ACL: the users and what they may do. Permissions are checked in src/access and execution/access-control.ts. */

import { randomBytes } from 'node:crypto';
import { CATEGORIES, categoryIndex } from '../../access/catalog.js';
import type { Selector } from '../../access/selector.js';
import { DEFAULT_USER, isUserName } from '../../access/user.js';
import { Refusal, textOf } from '../../execution/access-check.js';
import { hasArity } from '../../execution/command-checks.js';
import type { CommandContext } from '../../execution/context.js';
import { OUT_OF_MEMORY, wrongArity } from '../../execution/errors.js';
import { CommandRequest } from '../../execution/request.js';
import type { Command, Handler } from '../../execution/table/command-table.js';
import { helpHandler } from '../connection/help.js';
import { load, save } from './acl-file.js';
import { aclLog } from './acl-log.js';
import { replyLatin1, wrongSubcommandArguments } from './replies.js';

const GENERATED_BITS = 256;
const GENERATED_BITS_MAX = 4096;

function setUser(context: CommandContext): void {
  const { reply, services, argCount } = context;
  const name = context.argLatin1(2);
  if (!isUserName(name)) {
    reply.error("ERR Usernames can't contain spaces or null characters");
    return;
  }
  const rules = Array.from({ length: argCount - 3 }, (_, index) => context.argLatin1(index + 3));
  let error: string | null = null;
  const hasRoom = services.access.update((users) => {
    error = users.set(name, rules);
  });
  if (error !== null) {
    reply.error(`ERR ${error}`);
    return;
  }
  if (!hasRoom) {
    reply.error(OUT_OF_MEMORY);
    return;
  }
  for (const rule of rules) {
    if (/^\+[^@|]+\|/.test(rule) && isFirstArgument(context, rule)) {
      services.log(
        'Deprecation warning: Allowing a first arg of an otherwise blocked command is a misuse of ACL and may get ' +
          `disabled in the future (offender: ${rule})`,
        'warning',
      );
    }
  }
  reply.ok();
}

/** Whether a rule allows a command with a first argument, rather than a subcommand. */
function isFirstArgument({ services }: CommandContext, rule: string): boolean {
  const { catalog } = services.access.users.context;
  const command = catalog.find(rule.slice(1, rule.lastIndexOf('|')));
  return command >= 0 && catalog.subcommandsOf(command).length === 0;
}

function deleteUsers(context: CommandContext): void {
  const { reply, services, argCount } = context;
  const names = Array.from({ length: argCount - 2 }, (_, index) => context.argLatin1(index + 2));
  if (names.includes(DEFAULT_USER)) {
    reply.error("ERR The 'default' user cannot be removed");
    return;
  }
  let deleted = 0;
  services.access.update((users) => {
    for (const name of names) if (users.delete(name)) deleted++;
  });
  reply.integer(deleted);
}

function getUser(context: CommandContext): void {
  const { reply, services } = context;
  const user = services.access.users.get(context.argLatin1(2));
  if (user === undefined) {
    reply.nullBulk();
    return;
  }
  const [own, ...others] = user.selectors;
  reply.map(6 + (own.databases === null ? 0 : 1));
  reply.bulkString('flags');
  reply.set(user.flags.length);
  for (const flag of user.flags) reply.bulkString(flag);
  reply.bulkString('passwords');
  reply.array(user.passwords.length);
  for (const hash of user.passwords) reply.bulkString(hash);
  replySelector(context, own);
  reply.bulkString('selectors');
  reply.array(others.length);
  for (const selector of others) {
    reply.map(3 + (selector.databases === null ? 0 : 1));
    replySelector(context, selector);
  }
}

/** The fields of a selector. Redis 7.0 has no field for databases, so it appears only if not all are allowed. */
function replySelector({ reply }: CommandContext, selector: Selector): void {
  reply.bulkString('commands');
  replyLatin1(reply, selector.commands.describe());
  reply.bulkString('keys');
  replyLatin1(reply, selector.describeKeys());
  reply.bulkString('channels');
  replyLatin1(reply, selector.describeChannels());
  if (selector.databases === null) return;
  reply.bulkString('databases');
  reply.bulkString(selector.describeDatabases());
}

function list({ reply, services }: CommandContext): void {
  const lines = services.access.users.lines();
  reply.array(lines.length);
  for (const line of lines) replyLatin1(reply, line);
}

function userNames({ reply, services }: CommandContext): void {
  const users = services.access.users.sorted();
  reply.array(users.length);
  for (const { name } of users) replyLatin1(reply, name);
}

function whoAmI({ reply, session }: CommandContext): void {
  replyLatin1(reply, session.userName);
}

function categories(context: CommandContext): void {
  const { reply, services, table } = context;
  if (context.argCount > 3) {
    wrongSubcommandArguments(context);
    return;
  }
  if (context.argCount === 2) {
    reply.array(CATEGORIES.length);
    for (const category of CATEGORIES) reply.bulkString(category);
    return;
  }
  const category = categoryIndex(context.argQuoted(2));
  if (category < 0) {
    reply.error(`ERR Unknown category '${context.argQuoted(2).slice(0, 128)}'`);
    return;
  }
  // Only commands that exist here: the catalog knows more.
  const { commands } = services.access.users.context.catalog;
  const names = commands
    .slice(0, table.size)
    .filter((command) => (command.categories & (1 << category)) !== 0)
    .map(({ name }) => name);
  reply.array(names.length);
  for (const name of names) reply.bulkString(name);
}

function generatePassword(context: CommandContext): void {
  const { reply } = context;
  let bits = GENERATED_BITS;
  if (context.argCount > 3) {
    wrongSubcommandArguments(context);
    return;
  }
  if (context.argCount === 3) {
    if (!context.integer(2)) return;
    bits = context.number.value;
  }
  if (bits <= 0 || bits > GENERATED_BITS_MAX) {
    reply.error(
      'ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to ' +
        `${GENERATED_BITS_MAX}`,
    );
    return;
  }
  const digits = Math.ceil(bits / 4);
  reply.bulkString(
    randomBytes(Math.ceil(digits / 2))
      .toString('hex')
      .slice(0, digits),
  );
}

/** ACL DRYRUN: whether a user may run a command, without running it. */
function dryRun(context: CommandContext): void {
  const { reply, services, session } = context;
  const { access } = services;
  const user = access.users.get(context.argLatin1(2));
  if (user === undefined) {
    reply.error(`ERR User '${context.argQuoted(2)}' not found`);
    return;
  }
  const { bytes, view, pairs, start } = context.request;
  const request = new CommandRequest(bytes, view, pairs, start + 3, context.argCount - 3);
  const command = requestedCommand(context);
  if (command === null) {
    reply.error(`ERR Command '${context.argQuoted(3)}' not found`);
    return;
  }
  if (!hasArity(command, request.count)) {
    reply.error(wrongArity(command.fullName));
    return;
  }
  const [refusal, argument] = access.try(user, command, request, session.database);
  if (refusal === Refusal.None) reply.ok();
  else replyLatin1(reply, dryRunText(refusal, command, argument === 0 ? '' : textOf(request, argument)));
}

function dryRunText(refusal: Refusal, { fullName }: Command, argument: string): string {
  const shown = argument.split('\0', 1)[0];
  switch (refusal) {
    case Refusal.Command:
      return `This user has no permissions to run the '${fullName}' command`;
    case Refusal.Key:
      return `This user has no permissions to access the '${shown}' key`;
    case Refusal.Channel:
      return `This user has no permissions to access the '${shown}' channel`;
    default:
      return 'This user has no permissions to access the database';
  }
}

/** The command whose request begins at argument 3. */
function requestedCommand(context: CommandContext): Command | null {
  const { table, bytes } = context;
  const command = table.lookup(bytes, context.argOffset(3), context.argLength(3));
  if (command === null || command.subcommands === null || context.argCount === 4) return command;
  return table.lookupSubcommand(command, bytes, context.argOffset(4), context.argLength(4));
}

const help = helpHandler('ACL', [
  'CAT [<category>]',
  '    List the categories of commands, or the commands of one of them.',
  'DELUSER <username> [<username> ...]',
  '    Delete users, and close the connections of their clients.',
  'DRYRUN <username> <command> [<arg> ...]',
  '    Return whether the user may run a command, without running it.',
  'GETUSER <username>',
  '    Return what is known of a user.',
  'GENPASS [<bits>]',
  '    Generate a password of 256 bits, or of as many as are asked for.',
  'LIST',
  '    Return all users with their rules, as they would be in a file.',
  'LOAD',
  '    Read the users from the ACL file, in place of all that there are.',
  'LOG [<count> | RESET]',
  '    Return what was denied to whom, newest first, or forget it.',
  'SAVE',
  '    Write the users into the ACL file.',
  'SETUSER <username> <rule> [<rule> ...]',
  '    Create a user, or change one, by rules.',
  'USERS',
  '    Return the names of all users.',
  'WHOAMI',
  '    Return the name of the user that this connection is.',
]);

export const aclHandlers: Readonly<Record<string, Handler>> = {
  'ACL CAT': categories,
  'ACL DELUSER': deleteUsers,
  'ACL DRYRUN': dryRun,
  'ACL GENPASS': generatePassword,
  'ACL GETUSER': getUser,
  'ACL HELP': help,
  'ACL LIST': list,
  'ACL LOAD': load,
  'ACL LOG': aclLog,
  'ACL SAVE': save,
  'ACL SETUSER': setUser,
  'ACL USERS': userNames,
  'ACL WHOAMI': whoAmI,
};
