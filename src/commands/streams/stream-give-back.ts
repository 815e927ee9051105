/** XNACK: consumers give back what is pending for them, for the next consumer that claims entries of the group. */

import type { CommandContext } from '../../execution/context.js';
import { recordKeyCommand } from '../../execution/effects.js';
import { OUT_OF_MEMORY, SYNTAX_ERROR } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import type { Journal } from '../../journal/journal.js';
import { KeyEvent } from '../../keyspace/events.js';
import { IdList, StreamId } from '../../structures/stream-id.js';
import { readIdBlock } from './stream-arguments.js';
import { groupStream, selectGroup } from './stream-claims.js';
import { recordId } from './stream-effects.js';

/** How giving back changes an entry's number of deliveries. */
const enum Mode {
  /** The delivery does not count. */
  Silent = 0,
  Fail = 1,
  /** It becomes as large as it can. */
  Fatal = 2,
}

const MODES = ['SILENT', 'FAIL', 'FATAL'];

const id = new StreamId();
const ids = new IdList();
const givenBack = new IdList();
let mode = Mode.Fail;
/** -1: not given. */
let count = -1n;
let isForced = false;

function readOptions(context: CommandContext): boolean {
  const { reply, number, argCount } = context;
  ids.clear();
  count = -1n;
  isForced = false;
  mode = MODES.findIndex((word) => context.argIs(3, word));
  let isSound = mode >= 0;
  for (let index = 4; index < argCount && isSound; index++) {
    if (ids.count === 0 && context.argIs(index, 'IDS')) {
      index = readIdBlock(context, index, ids);
      if (index === 0) return false;
    } else if (index + 1 < argCount && context.argIs(index, 'RETRYCOUNT')) {
      if (!context.integer(++index)) return false;
      count = number.toBigInt();
      if (count < 0n) {
        reply.error('ERR RETRYCOUNT must be >= 0');
        return false;
      }
    } else if (context.argIs(index, 'FORCE')) {
      isForced = true;
    } else {
      isSound = false;
    }
  }
  if (isSound && ids.count > 0) return true;
  reply.error(SYNTAX_ERROR);
  return false;
}

function xnack(context: CommandContext): void {
  const { reply } = context;
  if (!readOptions(context)) return;
  const group = selectGroup(context, true);
  if (group === 0) return;
  givenBack.clear();
  let isOutOfMemory = false;
  for (let index = 0; index < ids.count && !isOutOfMemory; index++) {
    ids.read(index, id);
    const isPending = context.shard.streams.groups.find(group, id) !== 0;
    if (!isPending && !(isForced && context.shard.streams.find(groupStream, id))) continue;
    if (giveBack(context, group)) givenBack.add(id);
    else isOutOfMemory = true;
  }
  if (givenBack.count > 0) context.changed(KeyEvent.StreamDelivery);
  if (isOutOfMemory) {
    if (givenBack.count > 0) recordGivenBack(context);
    reply.error(OUT_OF_MEMORY);
    return;
  }
  reply.integer(givenBack.count);
}

/** Gives back the entry with the id in `id`, pending or not. Without memory changes nothing and returns false. */
function giveBack(context: CommandContext, group: number): boolean {
  const { groups } = context.shard.streams;
  let pending = groups.find(group, id);
  const isNew = pending === 0;
  if (isNew) {
    pending = groups.add(group, 0, id, 0);
    if (pending === 0) return false;
  }
  if (!groups.giveBack(group, pending)) {
    if (isNew) groups.remove(group, pending);
    return false;
  }
  if (count >= 0n) groups.setCountTo(group, pending, count);
  else if (mode === Mode.Fatal) groups.setCount(group, pending, 0x7fffffff, -1);
  else if (isNew || mode === Mode.Silent) groups.decreaseCount(group, pending);
  return true;
}

/** Records XNACK for only the entries that were given back before memory ran out. */
function recordGivenBack(context: CommandContext): void {
  const options = (count >= 0n ? 2 : 0) + (isForced ? 1 : 0);
  const journal: Journal | null = recordKeyCommand(context, 'XNACK', 4 + givenBack.count + options);
  if (journal === null) return;
  journal.argument(context.bytes, context.view, context.argOffset(2), context.argLength(2));
  journal.word(MODES[mode]);
  journal.word('IDS');
  journal.integer(givenBack.count);
  for (let index = 0; index < givenBack.count; index++) {
    givenBack.read(index, id);
    recordId(journal, id);
  }
  if (count >= 0n) {
    journal.word('RETRYCOUNT');
    journal.word(count.toString());
  }
  if (isForced) journal.word('FORCE');
}

export const streamGiveBackHandlers: Readonly<Record<string, Handler>> = { XNACK: xnack };
