/** The commands that wait for elements of lists: BLPOP, BRPOP, BLMOVE, BRPOPLPUSH, BLMPOP. */

import { type Blocking, readTimeout, waitForKeys } from '../../execution/blocking.js';
import type { CommandContext } from '../../execution/context.js';
import { recordKeyCommand } from '../../execution/effects.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import { WaitKind } from '../../keyspace/waiters.js';
import { move, popFromFirst, popFromKey, popOne, readPopFromKeys, readSide } from './lists.js';

/** Always ready: a list that exists has elements. */
const LIST = { kind: WaitKind.List, type: ValueType.List, destination: 0, isReady: () => true } as const;

/** BLPOP's reply: the key and the element taken from its list. */
function popWithKey(context: CommandContext, key: number, reference: number, fromTail: boolean): void {
  const { reply, bytes, view } = context;
  reply.array(2);
  reply.bulkCopy(bytes, view, context.argOffset(key), context.argLength(key));
  popOne(context, reference, fromTail);
  recordKeyCommand(context, fromTail ? 'RPOP' : 'LPOP', 0);
}

function pop(context: CommandContext, fromTail: boolean): void {
  const keyCount = context.argCount - 2;
  const timeoutMs = readTimeout(context, context.argCount - 1);
  if (timeoutMs < 0) return;
  for (let key = 1; key <= keyCount; key++) {
    const reference = context.writeCollection(key, ValueType.List);
    if (reference > 0) popWithKey(context, key, reference, fromTail);
    if (reference !== 0) return;
  }
  if (!waitForKeys(context, 1, keyCount, timeoutMs)) context.reply.nullArray();
}

function servePop(fromTail: boolean): Blocking {
  return {
    ...LIST,
    serve: (context, key) => popWithKey(context, key, context.writeCollection(key, ValueType.List), fromTail),
  };
}

/** Moves an element and records it without the timeout. */
function moveAndRecord(context: CommandContext, fromTail: boolean, toTail: boolean): void {
  const { journal } = context.keyspace;
  move(context, fromTail, toTail);
  if (journal.changes === 0 || !journal.isOn) return;
  // BRPOPLPUSH has no arguments that name sides.
  const namesSides = context.argCount > 4;
  journal.begin(context.database, namesSides ? 5 : 3);
  journal.word(namesSides ? 'LMOVE' : 'RPOPLPUSH');
  for (const key of [1, 2]) {
    journal.argument(context.bytes, context.view, context.argOffset(key), context.argLength(key));
  }
  if (namesSides) {
    journal.word(fromTail ? 'RIGHT' : 'LEFT');
    journal.word(toTail ? 'RIGHT' : 'LEFT');
  }
  journal.settled();
}

function moveOrWait(context: CommandContext, fromTail: boolean, toTail: boolean, timeout: number): void {
  const timeoutMs = readTimeout(context, timeout);
  if (timeoutMs < 0) return;
  const source = context.readCollection(1, ValueType.List);
  if (source < 0) return;
  if (source > 0) moveAndRecord(context, fromTail, toTail);
  else if (!waitForKeys(context, 1, 1, timeoutMs)) context.reply.nullBulk();
}

function blmove(context: CommandContext): void {
  const from = readSide(context, 3);
  const to = from < 0 ? -1 : readSide(context, 4);
  if (to >= 0) moveOrWait(context, from === 1, to === 1, 5);
}

function blmpop(context: CommandContext): void {
  const timeoutMs = readTimeout(context, 1);
  const wanted = timeoutMs < 0 ? null : readPopFromKeys(context, 2);
  if (wanted === null || popFromFirst(context, wanted)) return;
  if (!waitForKeys(context, wanted.firstKey, wanted.keyCount, timeoutMs)) context.reply.nullArray();
}

function serveMultiplePop(context: CommandContext, key: number): void {
  const wanted = readPopFromKeys(context, 2);
  if (wanted === null) throw new Error('a client waits with a request that is wrong');
  const reference = context.writeCollection(key, ValueType.List);
  popFromKey(context, key, reference, wanted.fromTail, wanted.count);
}

export const blockingListHandlers: Readonly<Record<string, Handler>> = {
  BLMOVE: blmove,
  BLMPOP: blmpop,
  BLPOP: (context) => pop(context, false),
  BRPOP: (context) => pop(context, true),
  BRPOPLPUSH: (context) => moveOrWait(context, true, false, 3),
};

/** How clients that wait are served. */
export const blockingLists: Readonly<Record<string, Blocking>> = {
  BLMOVE: {
    ...LIST,
    destination: 2,
    serve: (context) => moveAndRecord(context, context.argIs(3, 'RIGHT'), context.argIs(4, 'RIGHT')),
  },
  BLMPOP: { ...LIST, serve: serveMultiplePop },
  BLPOP: servePop(false),
  BRPOP: servePop(true),
  BRPOPLPUSH: { ...LIST, destination: 2, serve: (context) => moveAndRecord(context, true, false) },
};
