/**
 * The subcommands of CLIENT. Other connections are seen through the process-wide client table: it has a row
 * for each, wherever its worker is, and a request left in a row reaches the worker that owns it.
 */

import { requestSize } from '../../execution/command-logs.js';
import type { CommandContext } from '../../execution/context.js';
import { SYNTAX_ERROR } from '../../execution/errors.js';
import { ReplyMode, type Session } from '../../execution/session.js';
import type { Handler } from '../../execution/table/command-table.js';
import { WaitEnd } from '../../execution/wait-room.js';
import type { ClientFilter } from '../../state/client-table.js';
import { PauseKind } from '../../state/control-block.js';
import { monotonicMs } from '../../system/clock.js';
import { type FilterRules, isInteger, readClientFilter } from './client-filters.js';
import { isValidClientName } from './connection.js';
import { helpHandler } from './help.js';

const INVALID_CLIENT_ID = 'ERR Invalid client ID';
const BAD_CLIENT_ID = 'ERR client-id should be greater than 0';
/** Free space in the worker's read buffer behind a short request counts as the client's, up to this size in all. */
const QUERY_BUFFER_BYTES = 20_474;

function id(context: CommandContext): void {
  context.reply.integer(context.session.id);
}

function getName(context: CommandContext): void {
  const { name } = context.session;
  if (name === '') context.reply.nullBulk();
  else context.reply.bulkString(name);
}

function setName(context: CommandContext): void {
  const name = context.argLatin1(2);
  if (!isValidClientName(name)) {
    context.reply.error('ERR Client names cannot contain spaces, newlines or special characters.');
    return;
  }
  context.session.name = name;
  context.reply.ok();
}

function setInfo(context: CommandContext): void {
  const { session, reply } = context;
  const isName = context.argIs(2, 'LIB-NAME');
  if (!isName && !context.argIs(2, 'LIB-VER')) {
    reply.error(`ERR Unrecognized option '${context.argLatin1(2)}'`);
    return;
  }
  const value = context.argLatin1(3);
  if (!isValidClientName(value)) {
    reply.error(`ERR ${context.argLatin1(2)} cannot contain spaces, newlines or special characters.`);
    return;
  }
  if (isName) session.libraryName = value;
  else session.libraryVersion = value;
  reply.ok();
}

/** Updates this client's row, so that the client sees its own current state. */
function publishSelf(context: CommandContext): void {
  const { session, services, argCount } = context;
  let argumentBytes = 0;
  for (let index = 0; index < argCount; index++) argumentBytes += context.argLength(index);
  const requestBytes = requestSize(context);
  services.clientRows.publish(session, 0, 0);
  const freeBytes = Math.max(0, QUERY_BUFFER_BYTES - requestBytes);
  services.clientRows.publishRequest(session, requestBytes, argumentBytes, freeBytes);
}

function commandNames(context: CommandContext): (id: number) => string {
  return (commandId) => context.table.byId(commandId).fullName;
}

/** The client as CLIENT LIST shows it. */
export function clientLine(context: CommandContext): string {
  publishSelf(context);
  const { clients } = context.services.state;
  return clients.formatLine(context.session.clientSlot, monotonicMs(), commandNames(context));
}

function info(context: CommandContext): void {
  context.reply.verbatim(`${clientLine(context)}\n`, 'txt');
}

const LIST_RULES: FilterRules = {
  badId: INVALID_CLIENT_ID,
  badNextId: INVALID_CLIENT_ID,
  idMin: -Infinity,
  skipsSelf: false,
};
const KILL_RULES: FilterRules = {
  badId: BAD_CLIENT_ID,
  badNextId: SYNTAX_ERROR,
  idMin: 1,
  skipsSelf: true,
};

function list(context: CommandContext): void {
  const { reply } = context;
  const { clients } = context.services.state;
  if (context.argCount === 3) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  const filter = readClientFilter(context, 2, LIST_RULES);
  if (filter === null) return;
  publishSelf(context);
  const ids = readOnlyIds(context);
  const names = commandNames(context);
  if (ids === null) reply.verbatim(clients.formatList(filter, monotonicMs(), names), 'txt');
  else reply.verbatim(listInOrder(context, ids), 'txt');
}

/** The ids if ID is CLIENT LIST's only filter, else null. Clients are listed in the ids' order, repeats too. */
function readOnlyIds(context: CommandContext): number[] | null {
  if (context.argCount < 4 || !context.argIs(2, 'ID')) return null;
  const ids: number[] = [];
  for (let index = 3; index < context.argCount; index++) {
    if (!isInteger(context, index)) return null;
    ids.push(context.number.value);
  }
  return ids;
}

function listInOrder(context: CommandContext, ids: readonly number[]): string {
  const { clients } = context.services.state;
  const slots = new Map(
    clients.select({ ids: new Set(ids) }, monotonicMs()).map((slot) => [clients.id(slot), slot]),
  );
  let text = '';
  for (const id of ids) {
    const slot = slots.get(id);
    const line = slot === undefined ? '' : clients.formatLine(slot, monotonicMs(), commandNames(context));
    if (line !== '') text += `${line}\n`;
  }
  return text;
}

/** Closes the clients that fit a filter; this one itself once it has its reply. Returns how many. */
function killClients(context: CommandContext, filter: ClientFilter): number {
  const { services, session } = context;
  const { clients } = services.state;
  // Update this session's row first: the filter reads the rows.
  services.clientRows.publish(session, 0, 0);
  let killed = 0;
  for (const slot of clients.select(filter, monotonicMs())) {
    if (slot === session.clientSlot) {
      session.closing = true;
      killed++;
      continue;
    }
    const worker = clients.requestKill(slot, clients.id(slot));
    if (worker < 0) continue;
    killed++;
    if (worker !== services.workerIndex) services.wakeWorker(worker);
  }
  return killed;
}

function kill(context: CommandContext): void {
  const { reply, argCount } = context;
  if (argCount === 3) {
    if (killClients(context, { address: context.argText(2) }) > 0) reply.ok();
    else reply.error('ERR No such client');
    return;
  }
  const filter = readClientFilter(context, 2, KILL_RULES);
  if (filter !== null) reply.integer(killClients(context, filter));
}

/** Too many arguments for a subcommand with optional ones. */
function wrongArguments(context: CommandContext): void {
  const subcommand = context.argQuoted(1).slice(0, 128);
  context.reply.error(
    `ERR unknown subcommand or wrong number of arguments for '${subcommand}'. Try CLIENT HELP.`,
  );
}

/** The locks of all shards are held, so every later command of another thread sees the pause. */
function pause(context: CommandContext): void {
  const { reply, services } = context;
  let kind = PauseKind.All;
  if (context.argCount > 4) {
    wrongArguments(context);
    return;
  }
  if (context.argCount === 4) {
    if (context.argIs(3, 'WRITE')) {
      kind = PauseKind.Write;
    } else if (!context.argIs(3, 'ALL')) {
      reply.error('ERR CLIENT PAUSE mode must be WRITE or ALL');
      return;
    }
  }
  if (!context.integer(2, 'ERR timeout is not an integer or out of range')) return;
  if (context.number.value < 0) {
    reply.error('ERR timeout is negative');
    return;
  }
  const nowMs = monotonicMs();
  services.state.control.pause(nowMs + context.number.value, kind, nowMs);
  reply.ok();
}

function unpause(context: CommandContext): void {
  const { services } = context;
  services.state.control.unpause();
  for (let worker = 0; worker < services.workerCount; worker++) services.wakeWorker(worker);
  context.reply.ok();
}

/** Only ON has a reply, whatever was set before; the executor drops replies in the other modes. */
function replyMode(context: CommandContext): void {
  const { session, reply } = context;
  if (context.argIs(2, 'ON')) {
    session.replyMode = ReplyMode.On;
    reply.ok();
  } else if (context.argIs(2, 'OFF')) {
    session.replyMode = ReplyMode.Off;
  } else if (context.argIs(2, 'SKIP')) {
    if (session.replyMode !== ReplyMode.Off) session.replyMode = ReplyMode.SkipNext;
  } else {
    reply.error(SYNTAX_ERROR);
  }
}

/** NO-EVICT and NO-TOUCH. */
function onOff(set: (session: Session, isOn: boolean) => void): Handler {
  return (context) => {
    const isOn = context.argIs(2, 'ON');
    if (!isOn && !context.argIs(2, 'OFF')) {
      context.reply.error(SYNTAX_ERROR);
      return;
    }
    set(context.session, isOn);
    context.reply.ok();
  };
}

function unblock(context: CommandContext): void {
  const { reply, services } = context;
  let end = WaitEnd.TimedOut;
  if (context.argCount > 4) {
    wrongArguments(context);
    return;
  }
  if (context.argCount === 4) {
    if (context.argIs(3, 'ERROR')) {
      end = WaitEnd.Unblocked;
    } else if (!context.argIs(3, 'TIMEOUT')) {
      reply.error('ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR');
      return;
    }
  }
  if (!context.integer(2)) return;
  const clientId = context.number.value;
  const { clients } = services.state;
  for (const slot of clients.select({ ids: new Set([clientId]) }, monotonicMs())) {
    if (!services.waitRoom.unblock(clientId, slot, end)) continue;
    reply.integer(1);
    return;
  }
  reply.integer(0);
}

const help = helpHandler('CLIENT', [
  'GETNAME',
  '    Return the name of the current connection.',
  'ID',
  '    Return the ID of the current connection.',
  'INFO',
  '    Return information about the current client connection.',
  'KILL <ip:port>',
  '    Kill connection made from <ip:port>.',
  'KILL <filter> <value> [<filter> <value> [...]]',
  '    Kill the connections that fit all filters.',
  'LIST [<filter> <value> [<filter> <value> [...]]]',
  '    Return information about the client connections that fit all filters.',
  '    Filters of KILL and LIST are:',
  '    * ADDR (<ip:port>|<unixsocket>:0)',
  '      Connections made from the specified address.',
  '    * LADDR (<ip:port>|<unixsocket>:0)',
  '      Connections made to the specified local address.',
  '    * IP <ip>',
  '      Connections made from the specified IP address.',
  '    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)',
  '      Connections of the specified type.',
  '    * USER <username>',
  '      Connections authenticated by <username>.',
  '    * ID <client-id> [<client-id> ...]',
  '      Connections with the specified client ids.',
  '    * NAME <name>, LIB-NAME <name>, LIB-VER <version>',
  '      Connections whose client or library has the specified name or version.',
  '    * DB <db>',
  '      Connections that use the specified database.',
  '    * FLAGS <flags>',
  '      Connections that have all of the specified flags.',
  '    * CAPA <capabilities>',
  '      Connections whose client has all of the specified capabilities.',
  '    * MAXAGE <seconds>',
  '      Connections that are at least so old.',
  '    * IDLE <seconds>',
  '      Connections that have been idle for at least so long.',
  '    * SKIPME (YES|NO)',
  '      Leave out the current connection (default of KILL: yes, of LIST: no).',
  '    * NOT-<filter> <value>',
  '      Connections that do not fit one of the other filters, e.g. NOT-USER.',
  'UNPAUSE',
  '    Stop the current client pause, resuming traffic.',
  'PAUSE <timeout> [WRITE|ALL]',
  '    Suspend all, or just write, clients for <timeout> milliseconds.',
  'REPLY (ON|OFF|SKIP)',
  '    Control the replies sent to the current connection.',
  'SETINFO (LIB-NAME|LIB-VER) <text>',
  '    Name the client library of the current connection.',
  'SETNAME <name>',
  '    Assign the name <name> to the current connection.',
  'UNBLOCK <clientid> [TIMEOUT|ERROR]',
  '    Unblock the specified blocked client.',
  'NO-EVICT (ON|OFF)',
  '    Protect current client connection from eviction.',
  'NO-TOUCH (ON|OFF)',
  '    Let commands of the current connection not count as accesses.',
]);

export const clientHandlers: Readonly<Record<string, Handler>> = {
  'CLIENT GETNAME': getName,
  'CLIENT HELP': help,
  'CLIENT ID': id,
  'CLIENT INFO': info,
  'CLIENT KILL': kill,
  'CLIENT LIST': list,
  'CLIENT NO-EVICT': onOff((session, isOn) => {
    session.noEvict = isOn;
  }),
  'CLIENT NO-TOUCH': onOff((session, isOn) => {
    session.noTouch = isOn;
  }),
  'CLIENT PAUSE': pause,
  'CLIENT REPLY': replyMode,
  'CLIENT SETINFO': setInfo,
  'CLIENT SETNAME': setName,
  'CLIENT UNBLOCK': unblock,
  'CLIENT UNPAUSE': unpause,
};
