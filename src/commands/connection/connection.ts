/** The commands of the connection itself: greeting, authentication, database, liveness. */

import { DEFAULT_USER } from '../../access/user.js';
import type { CommandContext } from '../../execution/context.js';
import { SYNTAX_ERROR, wrongArity } from '../../execution/errors.js';
import { ReplyMode } from '../../execution/session.js';
import type { Handler } from '../../execution/table/command-table.js';
import { REDIS_VERSION } from '../../system/version.js';
import { readDatabase } from '../keys/keys.js';

const WRONG_PASSWORD = 'WRONGPASS invalid username-password pair or user is disabled.';

function ping(context: CommandContext): void {
  const { reply } = context;
  if (context.argCount > 2) reply.error(wrongArity('ping'));
  else if (context.session.subscribed !== null && reply.protocol === 2) {
    // In RESP2 the reply has the form of a message.
    reply.array(2);
    reply.bulkString('pong');
    if (context.argCount === 1) reply.bulkString('');
    else echo(context);
  } else if (context.argCount === 1) reply.simple('PONG');
  else echo(context);
}

function echo(context: CommandContext): void {
  context.reply.bulkCopy(context.bytes, context.view, context.argOffset(1), context.argLength(1));
}

function select(context: CommandContext): void {
  const database = readDatabase(context, 1);
  if (database < 0) return;
  context.session.database = database;
  context.reply.ok();
}

function quit(context: CommandContext): void {
  context.reply.ok();
  context.session.closing = true;
}

function auth(context: CommandContext): void {
  const { reply, session, argCount, services } = context;
  const { access } = services;
  if (argCount > 3) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  if (argCount === 2 && access.defaultUser.needsNoPassword) {
    reply.error(
      'ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?',
    );
    return;
  }
  const user = argCount === 3 ? context.argLatin1(1) : DEFAULT_USER;
  if (access.authenticate(session, user, context.argLatin1(argCount - 1), context.argLatin1(0))) reply.ok();
  else reply.error(WRONG_PASSWORD);
}

/** Whether a client name has only printable ASCII characters without spaces. */
export function isValidClientName(name: string): boolean {
  return /^[!-~]*$/.test(name);
}

function hello(context: CommandContext): void {
  const { reply, session } = context;
  let protocol = session.protocol;
  let next = 1;
  if (context.argCount > 1) {
    if (!context.number.parse(context.bytes, context.argOffset(1), context.argLength(1))) {
      reply.error('ERR Protocol version is not an integer or out of range');
      return;
    }
    if (context.number.value < 2 || context.number.value > 3) {
      reply.error('NOPROTO unsupported protocol version');
      return;
    }
    protocol = context.number.value as 2 | 3;
    next = 2;
  }
  // Options take effect one by one, and stay in effect if a later one is wrong.
  while (next < context.argCount) {
    if (context.argIs(next, 'AUTH') && next + 2 < context.argCount) {
      const user = context.argLatin1(next + 1);
      const { access } = context.services;
      if (!access.authenticate(session, user, context.argLatin1(next + 2), context.argLatin1(0))) {
        reply.error(WRONG_PASSWORD);
        return;
      }
      next += 3;
    } else if (context.argIs(next, 'SETNAME') && next + 1 < context.argCount) {
      const name = context.argLatin1(next + 1);
      if (!isValidClientName(name)) {
        reply.error('ERR Client names cannot contain spaces, newlines or special characters.');
        return;
      }
      session.name = name;
      next += 2;
    } else {
      reply.error(`ERR Syntax error in HELLO option '${context.argQuoted(next)}'`);
      return;
    }
  }
  if (!session.authenticated) {
    reply.error(
      'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time',
    );
    return;
  }
  session.protocol = protocol;
  reply.protocol = protocol;
  reply.map(7);
  reply.bulkString('server');
  reply.bulkString('redis');
  reply.bulkString('version');
  reply.bulkString(REDIS_VERSION);
  reply.bulkString('proto');
  reply.integer(protocol);
  reply.bulkString('id');
  reply.integer(session.id);
  reply.bulkString('mode');
  reply.bulkString('standalone');
  reply.bulkString('role');
  reply.bulkString('master');
  reply.bulkString('modules');
  reply.array(0);
}

function reset(context: CommandContext): void {
  const { session, reply } = context;
  session.discardTransaction();
  session.database = 0;
  session.protocol = 2;
  reply.protocol = 2;
  session.name = '';
  session.noTouch = false;
  context.services.monitors.leave(session);
  context.services.subscriptions.unsubscribeAll(session);
  context.services.invalidations.end(session);
  session.replyMode = ReplyMode.On;
  context.services.access.begin(session);
  reply.simple('RESET');
}

export const connectionHandlers: Readonly<Record<string, Handler>> = {
  AUTH: auth,
  ECHO: echo,
  HELLO: hello,
  PING: ping,
  QUIT: quit,
  RESET: reset,
  SELECT: select,
};
