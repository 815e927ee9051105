/** XGROUP and XACK: groups of consumers and what they have acknowledged. */

import type { CommandContext } from '../../execution/context.js';
import { OUT_OF_MEMORY } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import { IdList, StreamId } from '../../structures/stream-id.js';
import { helpHandler } from '../connection/help.js';
import { isCharacter, parseId, readId, readIds } from './stream-arguments.js';

const KEY_NEEDED =
  'ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.';

const DOLLAR = 0x24;

const id = new StreamId();
const ids = new IdList();

// Options of the running CREATE or SETID.
let makesStream = false;
let entriesRead = -1n;

/** The error for what is wrong with a subcommand's arguments. */
export function subcommandSyntaxError(context: CommandContext): string {
  const container = context.command.parent?.name.toUpperCase() ?? '';
  const subcommand = context.argQuoted(1).slice(0, 128);
  return `ERR unknown subcommand or wrong number of arguments for '${subcommand}'. Try ${container} HELP.`;
}

/** The error for a group that is not there. */
export function noGroupOfKey(context: CommandContext, groupArg: number, keyArg: number): string {
  return `NOGROUP No such consumer group '${context.argQuoted(groupArg)}' for key name '${context.argQuoted(keyArg)}'`;
}

/** The error for a key or a group that is not there. */
export function noKeyOrGroup(context: CommandContext, groupArg: number, keyArg: number): string {
  return `NOGROUP No such key '${context.argQuoted(keyArg)}' or consumer group '${context.argQuoted(groupArg)}'`;
}

/** The group of the selected key's stream that an argument names, 0 if there is none. */
export function findGroup(context: CommandContext, reference: number, index: number): number {
  const { streams } = context.shard;
  return streams.findGroup(reference, context.bytes, context.argOffset(index), context.argLength(index));
}

/** The consumer of a group that an argument names, 0 if there is none. */
export function findConsumer(context: CommandContext, group: number, index: number): number {
  const { groups } = context.shard.streams;
  return groups.findConsumer(group, context.bytes, context.argOffset(index), context.argLength(index));
}

/** The consumer of a group that an argument names, which is made if there is none; 0 if there is no memory. */
export function findOrCreateConsumer(context: CommandContext, group: number, index: number): number {
  const consumer = findConsumer(context, group, index);
  if (consumer !== 0) return consumer;
  const created = createConsumer(context, group, index);
  if (created !== 0) context.changed(KeyEvent.StreamGroupCreateConsumer);
  return created;
}

function createConsumer(context: CommandContext, group: number, index: number): number {
  const { groups } = context.shard.streams;
  return groups.createConsumer(
    group,
    context.bytes,
    context.view,
    context.argOffset(index),
    context.argLength(index),
    context.nowMs,
  );
}

/** Reads options from argument 5 on; replies with an error and returns false if they make no sense. */
function readOptions(context: CommandContext, isCreate: boolean): boolean {
  const { reply, number } = context;
  makesStream = false;
  entriesRead = -1n;
  for (let index = 5; index < context.argCount; index++) {
    if (isCreate && context.argIs(index, 'MKSTREAM')) {
      makesStream = true;
    } else if (context.argIs(index, 'ENTRIESREAD') && index + 1 < context.argCount) {
      if (!context.integer(++index)) return false;
      entriesRead = number.toBigInt();
      if (entriesRead < -1n) {
        reply.error('ERR value for ENTRIESREAD must be positive or -1');
        return false;
      }
    } else {
      reply.error(subcommandSyntaxError(context));
      return false;
    }
  }
  return true;
}

/** Selects the key of a subcommand that needs it. Returns the stream, or 0 after replying an error. */
function existingStream(context: CommandContext): number {
  const reference = context.writeCollection(2, ValueType.Stream);
  if (reference === 0) context.reply.error(KEY_NEEDED);
  return Math.max(reference, 0);
}

/** The group that argument 3 names, or 0 after replying an error. */
function existingGroup(context: CommandContext, reference: number): number {
  const group = findGroup(context, reference, 3);
  if (group === 0) context.reply.error(noGroupOfKey(context, 3, 2));
  return group;
}

/** Makes a group as the arguments say; 0 if there is no memory. */
function makeGroup(context: CommandContext, reference: number): number {
  const { streams } = context.shard;
  return streams.groups.createGroup(
    streams.groupsOf(reference),
    context.bytes,
    context.view,
    context.argOffset(3),
    context.argLength(3),
    id,
    Number(BigInt.asIntN(32, entriesRead >> 32n)),
    Number(BigInt.asIntN(32, entriesRead)),
  );
}

function create(context: CommandContext): void {
  const { reply } = context;
  if (!readOptions(context, true)) return;
  const reference = makesStream ? context.writeCollection(2, ValueType.Stream) : existingStream(context);
  if (reference < 0 || (reference === 0 && !makesStream)) return;
  if (context.argCount > 8) {
    reply.error(subcommandSyntaxError(context));
    return;
  }
  const { streams } = context.shard;
  if (isCharacter(context, 4, DOLLAR)) {
    if (reference === 0) id.setMin();
    else streams.lastId(reference, id);
  } else if (!readId(context, 4, id)) {
    return;
  }
  if (reference === 0) {
    createWithStream(context);
    return;
  }
  if (findGroup(context, reference, 3) !== 0) {
    reply.error('BUSYGROUP Consumer Group name already exists');
    return;
  }
  if (makeGroup(context, reference) === 0) {
    reply.error(OUT_OF_MEMORY);
    return;
  }
  context.changed(KeyEvent.StreamGroupCreate);
  reply.ok();
}

/** Makes the group, and an empty stream for it. */
function createWithStream(context: CommandContext): void {
  const { reply } = context;
  const { streams, draft } = context.shard;
  const isMade = streams.create(draft);
  if (!isMade || makeGroup(context, draft) === 0) {
    if (isMade) streams.release(draft);
    reply.error(OUT_OF_MEMORY);
    return;
  }
  if (!context.putDraft(ValueType.Stream, -1)) return;
  // For WATCH the key itself is new, not only its group.
  context.changed(KeyEvent.Unnamed);
  context.happened(KeyEvent.StreamGroupCreate);
  reply.ok();
}

function setId(context: CommandContext): void {
  const { reply } = context;
  if (!readOptions(context, false)) return;
  const reference = existingStream(context);
  const group = reference === 0 ? 0 : existingGroup(context, reference);
  if (group === 0) return;
  if (context.argCount !== 5 && context.argCount !== 7) {
    reply.error(subcommandSyntaxError(context));
    return;
  }
  const { streams } = context.shard;
  if (isCharacter(context, 4, DOLLAR)) {
    streams.lastId(reference, id);
  } else if (!parseId(context, 4, id)) {
    // Here "-" and "+" are accepted as ids, too.
    const { bytes } = context;
    if (!id.parseLimit(bytes, context.argOffset(4), context.argLength(4), false)) {
      readId(context, 4, id);
      return;
    }
  }
  streams.setLastDeliveredId(group, id);
  streams.setEntriesRead(group, entriesRead);
  context.changed(KeyEvent.StreamGroupSetId);
  reply.ok();
}

function destroy(context: CommandContext): void {
  const reference = existingStream(context);
  if (reference === 0) return;
  const { shard, reply } = context;
  const group = findGroup(context, reference, 3);
  if (group !== 0) {
    if (shard.streams.destroyGroup(reference, group, shard.draft)) {
      shard.lazyFree.freeCollection(ValueType.Stream, shard.draft, true);
    }
    context.changed(KeyEvent.StreamGroupDestroy);
  }
  reply.integer(group === 0 ? 0 : 1);
}

function createConsumerCommand(context: CommandContext): void {
  const reference = existingStream(context);
  const group = reference === 0 ? 0 : existingGroup(context, reference);
  if (group === 0) return;
  if (findConsumer(context, group, 4) !== 0) {
    context.reply.integer(0);
    return;
  }
  if (createConsumer(context, group, 4) === 0) {
    context.reply.error(OUT_OF_MEMORY);
    return;
  }
  context.changed(KeyEvent.StreamGroupCreateConsumer);
  context.reply.integer(1);
}

function deleteConsumer(context: CommandContext): void {
  const reference = existingStream(context);
  const group = reference === 0 ? 0 : existingGroup(context, reference);
  if (group === 0) return;
  const { groups } = context.shard.streams;
  const consumer = findConsumer(context, group, 4);
  const pending = consumer === 0 ? 0 : groups.pendingOf(consumer);
  if (consumer !== 0) {
    groups.deleteConsumer(group, consumer);
    context.changed(KeyEvent.StreamGroupDeleteConsumer);
  }
  context.reply.integer(pending);
}

function xack(context: CommandContext): void {
  const { reply } = context;
  const reference = context.readWriteCollection(1, ValueType.Stream);
  if (reference < 0) return;
  const group = reference === 0 ? 0 : findGroup(context, reference, 2);
  if (group === 0) {
    reply.integer(0);
    return;
  }
  if (!readIds(context, 3, context.argCount, ids)) return;
  const { groups } = context.shard.streams;
  let acknowledged = 0;
  for (let index = 0; index < ids.count; index++) {
    ids.read(index, id);
    const pending = groups.find(group, id);
    if (pending === 0) continue;
    groups.remove(group, pending);
    acknowledged++;
  }
  if (acknowledged > 0) context.changed(KeyEvent.StreamDelivery, acknowledged);
  reply.integer(acknowledged);
}

export const streamGroupHandlers: Readonly<Record<string, Handler>> = {
  XACK: xack,
  'XGROUP CREATE': create,
  'XGROUP CREATECONSUMER': createConsumerCommand,
  'XGROUP DELCONSUMER': deleteConsumer,
  'XGROUP DESTROY': destroy,
  'XGROUP HELP': helpHandler('XGROUP', [
    'CREATE <key> <group> <id|$> [MKSTREAM] [ENTRIESREAD <entries>]',
    '    Make a group that reads what comes after <id>, or after the last entry ($).',
    '    With MKSTREAM an empty stream is made if the key does not exist.',
    'CREATECONSUMER <key> <group> <consumer>',
    '    Make a consumer of a group.',
    'DELCONSUMER <key> <group> <consumer>',
    '    Delete a consumer with all that is pending for it.',
    'DESTROY <key> <group>',
    '    Delete a group.',
    'SETID <key> <group> <id|$> [ENTRIESREAD <entries>]',
    '    Have a group go on after <id>.',
  ]),
  'XGROUP SETID': setId,
};
