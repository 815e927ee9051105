/** The commands that wait for members of sorted sets: BZPOPMIN, BZPOPMAX, BZMPOP. */

import { type Blocking, readTimeout, waitForKeys } from '../../execution/blocking.js';
import type { CommandContext } from '../../execution/context.js';
import { recordKeyCommand } from '../../execution/effects.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import { WaitKind } from '../../keyspace/waiters.js';
import { popElements, popFromFirst, readPopFromKeys, replyPoppedFromKey } from './sorted-sets.js';

/** Always ready: a sorted set that exists has members. */
const SORTED_SET = {
  kind: WaitKind.SortedSet,
  type: ValueType.SortedSet,
  destination: 0,
  isReady: () => true,
} as const;

/** BZPOPMIN's reply: the key, and the member taken from its sorted set with its score. */
function popWithKey(context: CommandContext, key: number, reference: number, isMax: boolean): void {
  const { reply, bytes, view } = context;
  reply.array(3);
  reply.bulkCopy(bytes, view, context.argOffset(key), context.argLength(key));
  popElements(context, reference, isMax, 1, false);
  recordKeyCommand(context, isMax ? 'ZPOPMAX' : 'ZPOPMIN', 0);
}

function pop(context: CommandContext, isMax: boolean): void {
  const keyCount = context.argCount - 2;
  const timeoutMs = readTimeout(context, context.argCount - 1);
  if (timeoutMs < 0) return;
  for (let key = 1; key <= keyCount; key++) {
    const reference = context.writeCollection(key, ValueType.SortedSet);
    if (reference > 0) popWithKey(context, key, reference, isMax);
    if (reference !== 0) return;
  }
  if (!waitForKeys(context, 1, keyCount, timeoutMs)) context.reply.nullArray();
}

function servePop(isMax: boolean): Blocking {
  return {
    ...SORTED_SET,
    serve: (context, key) =>
      popWithKey(context, key, context.writeCollection(key, ValueType.SortedSet), isMax),
  };
}

function bzmpop(context: CommandContext): void {
  const timeoutMs = readTimeout(context, 1);
  const wanted = timeoutMs < 0 ? null : readPopFromKeys(context, 2);
  if (wanted === null || popFromFirst(context, wanted)) return;
  if (!waitForKeys(context, wanted.firstKey, wanted.keyCount, timeoutMs)) context.reply.nullArray();
}

function serveMultiplePop(context: CommandContext, key: number): void {
  const wanted = readPopFromKeys(context, 2);
  if (wanted === null) throw new Error('a client waits with a request that is wrong');
  const reference = context.writeCollection(key, ValueType.SortedSet);
  replyPoppedFromKey(context, reference, wanted.isMax, wanted.count);
}

export const blockingSortedSetHandlers: Readonly<Record<string, Handler>> = {
  BZMPOP: bzmpop,
  BZPOPMAX: (context) => pop(context, true),
  BZPOPMIN: (context) => pop(context, false),
};

/** How clients that wait are served. */
export const blockingSortedSets: Readonly<Record<string, Blocking>> = {
  BZMPOP: { ...SORTED_SET, serve: serveMultiplePop },
  BZPOPMAX: servePop(true),
  BZPOPMIN: servePop(false),
};
