/** XDEL and XDELEX, XACKDEL: entries are deleted by their ids, with or without the references of groups to them. */

import type { CommandContext } from '../../execution/context.js';
import { SYNTAX_ERROR } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import { IdList, StreamId } from '../../structures/stream-id.js';
import { References } from '../../structures/stream-trim.js';
import { readIdBlock, readIds, readReferences } from './stream-arguments.js';
import { findGroup } from './stream-groups.js';

/** What XDELEX and XACKDEL reply for an id. */
const NO_ENTRY = -1;
const DELETED = 1;
const STILL_REFERENCED = 2;

const id = new StreamId();
const ids = new IdList();
let references = References.Keep;

function xdel(context: CommandContext): void {
  const { reply } = context;
  const reference = context.writeCollection(1, ValueType.Stream);
  if (reference < 0) return;
  if (reference === 0) {
    reply.integer(0);
    return;
  }
  if (!readIds(context, 2, context.argCount, ids)) return;
  const { streams } = context.shard;
  let deleted = 0;
  for (let index = 0; index < ids.count; index++) {
    ids.read(index, id);
    if (streams.delete(reference, id)) deleted++;
  }
  if (deleted > 0) context.changed(KeyEvent.StreamDelete, deleted);
  reply.integer(deleted);
}

/** Reads the option for references, and the ids, from an argument on; replies an error and returns false if invalid. */
function readOptions(context: CommandContext, first: number): boolean {
  references = References.Keep;
  ids.clear();
  let hasReferences = false;
  for (let index = first; index < context.argCount; index++) {
    const given = readReferences(context, index);
    if (given !== -1 && !hasReferences) {
      references = given;
      hasReferences = true;
    } else if (ids.count === 0 && context.argIs(index, 'IDS')) {
      index = readIdBlock(context, index, ids);
      if (index === 0) return false;
    } else {
      context.reply.error(SYNTAX_ERROR);
      return false;
    }
  }
  if (ids.count > 0) return true;
  context.reply.error(SYNTAX_ERROR);
  return false;
}

/** Replies that none of the ids was found. */
function replyNone(context: CommandContext): void {
  context.reply.array(ids.count);
  for (let index = 0; index < ids.count; index++) context.reply.integer(NO_ENTRY);
}

function xdelex(context: CommandContext): void {
  const { reply } = context;
  if (!readOptions(context, 2)) return;
  const reference = context.writeCollection(1, ValueType.Stream);
  if (reference < 0) return;
  if (reference === 0) {
    replyNone(context);
    return;
  }
  const { streams } = context.shard;
  const hasGroups = streams.groupCount(reference) > 0;
  let deleted = 0;
  let released = 0;
  reply.array(ids.count);
  for (let index = 0; index < ids.count; index++) {
    ids.read(index, id);
    if (references === References.Delete) released += streams.removeReferences(reference, id);
    const isHeld =
      references === References.Acknowledged && !(hasGroups && streams.isAcknowledged(reference, id));
    if (isHeld) {
      reply.integer(streams.find(reference, id) ? STILL_REFERENCED : NO_ENTRY);
    } else if (streams.delete(reference, id)) {
      deleted++;
      reply.integer(DELETED);
    } else {
      reply.integer(NO_ENTRY);
    }
  }
  tellChanges(context, deleted, released);
}

function xackdel(context: CommandContext): void {
  const { reply } = context;
  if (!readOptions(context, 3)) return;
  const reference = context.writeCollection(1, ValueType.Stream);
  if (reference < 0) return;
  const group = reference === 0 ? 0 : findGroup(context, reference, 2);
  if (group === 0) {
    replyNone(context);
    return;
  }
  const { streams } = context.shard;
  let deleted = 0;
  let released = 0;
  reply.array(ids.count);
  for (let index = 0; index < ids.count; index++) {
    ids.read(index, id);
    const pending = streams.groups.find(group, id);
    if (pending !== 0) {
      streams.groups.remove(group, pending);
      released++;
    }
    if (references === References.Delete) released += streams.removeReferences(reference, id);
    if (pending === 0 || !streams.find(reference, id)) {
      reply.integer(NO_ENTRY);
    } else if (references === References.Acknowledged && !streams.isAcknowledged(reference, id)) {
      reply.integer(STILL_REFERENCED);
    } else {
      streams.delete(reference, id);
      deleted++;
      reply.integer(DELETED);
    }
  }
  tellChanges(context, deleted, released);
}

/** Reports deleted entries and removed references to the gate. */
function tellChanges(context: CommandContext, deleted: number, released: number): void {
  if (deleted > 0) context.changed(KeyEvent.StreamDelete, deleted);
  else if (released > 0) context.changed(KeyEvent.StreamDelivery);
}

export const streamDeleteHandlers: Readonly<Record<string, Handler>> = {
  XACKDEL: xackdel,
  XDEL: xdel,
  XDELEX: xdelex,
};
