/** XREAD and XREADGROUP. */

import { type Blocking, waitForKeys } from '../../execution/blocking.js';
import type { CommandContext } from '../../execution/context.js';
import { OUT_OF_MEMORY, SYNTAX_ERROR, WRONG_TYPE } from '../../execution/errors.js';
import { CommandRequest } from '../../execution/request.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import { WaitKind } from '../../keyspace/waiters.js';
import { IdList, StreamId } from '../../structures/stream-id.js';
import { isCharacter, readId, setToArgument } from './stream-arguments.js';
import { hasEntriesAfter, hasNewEntries, ReadFrom, Served, StreamDemand, serve } from './stream-delivery.js';
import { findGroup } from './stream-groups.js';

const DOLLAR = 0x24;
const GREATER = 0x3e;
const PLUS = 0x2b;

/** What a command reads: each stream with the same options, but from its own position. */
class ReadRequest {
  readonly demand = new StreamDemand();
  /** How long to wait if there is nothing, in ms; 0: for ever, -1: not at all. */
  blockMs = -1;
  /** The argument with the group's name, 0 for none; the consumer's follows. */
  groupArg = 0;
  /** The first key's argument, and how many keys there are. Ids follow the keys. */
  firstKey = 0;
  keyCount = 0;
  /** From where each stream is read. */
  readonly ids = new IdList();
  from = new Uint8Array(16);

  clear(): void {
    this.demand.count = 0;
    this.demand.isAcknowledged = false;
    this.demand.isGroup = false;
    this.demand.claimIdleMs = -1;
    this.demand.maxCount = 0;
    this.demand.maxBytes = 0;
    this.demand.served = 0;
    this.demand.isExhausted = false;
    this.blockMs = -1;
    this.groupArg = 0;
    this.firstKey = 0;
    this.keyCount = 0;
    this.ids.clear();
  }
}

const request = new ReadRequest();
const id = new StreamId();

/** Whether an option is XREADGROUP's only, and the command is not; replies with the error. */
function isForGroupsOnly(context: CommandContext, isGroup: boolean, option: string): boolean {
  if (isGroup) return false;
  context.reply.error(`ERR The ${option} option is only supported by XREADGROUP. You called XREAD instead.`);
  return true;
}

/** Reads the options and finds the keys; replies with an error and returns false if they make no sense. */
function readRequest(context: CommandContext, isGroup: boolean): boolean {
  const { argCount } = context;
  request.clear();
  for (let index = 1; index < argCount && request.firstKey === 0; index++) {
    index = readOption(context, index, isGroup);
    if (index === 0) return false;
  }
  if (request.firstKey === 0) {
    context.reply.error(SYNTAX_ERROR);
    return false;
  }
  if (isGroup && request.groupArg === 0) {
    context.reply.error('ERR Missing GROUP option for XREADGROUP');
    return false;
  }
  const { count, maxCount } = request.demand;
  if (maxCount > 0 && count > maxCount) {
    context.reply.error('ERR MAXCOUNT must be greater than or equal to COUNT');
    return false;
  }
  return true;
}

/** Reads the option at an argument; returns the index of its last argument, or 0 after replying an error. */
function readOption(context: CommandContext, index: number, isGroup: boolean): number {
  const { reply, number } = context;
  const { demand } = request;
  const left = context.argCount - index - 1;
  if (left >= 1 && context.argIs(index, 'BLOCK')) return readTimeout(context, index + 1) ? index + 1 : 0;
  if (left >= 1 && context.argIs(index, 'COUNT')) {
    if (!context.integer(index + 1)) return 0;
    demand.count = Math.max(number.value, 0);
    return index + 1;
  }
  if (left >= 1 && context.argIs(index, 'MAXCOUNT')) {
    demand.maxCount = readPositive(context, index + 1, 'MAXCOUNT');
    return demand.maxCount > 0 ? index + 1 : 0;
  }
  if (left >= 1 && context.argIs(index, 'MAXSIZE')) {
    demand.maxBytes = readPositive(context, index + 1, 'MAXSIZE');
    return demand.maxBytes > 0 ? index + 1 : 0;
  }
  if (left >= 1 && context.argIs(index, 'CLAIM')) {
    if (isForGroupsOnly(context, isGroup, 'CLAIM')) return 0;
    if (!context.integer(index + 1, 'ERR min-idle-time is not an integer or out of range')) return 0;
    if (number.value < 0) {
      reply.error('ERR min-idle-time must be a positive integer');
      return 0;
    }
    demand.claimIdleMs = number.value;
    return index + 1;
  }
  if (left >= 1 && context.argIs(index, 'STREAMS')) {
    request.firstKey = index + 1;
    request.keyCount = left >> 1;
    if (left % 2 === 0) return index + 1;
    reply.error("ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.");
    return 0;
  }
  if (left >= 2 && context.argIs(index, 'GROUP')) {
    if (isForGroupsOnly(context, isGroup, 'GROUP')) return 0;
    request.groupArg = index + 1;
    demand.isGroup = true;
    setToArgument(demand.group, context, index + 1);
    setToArgument(demand.consumer, context, index + 2);
    return index + 2;
  }
  if (context.argIs(index, 'NOACK')) {
    if (isForGroupsOnly(context, isGroup, 'NOACK')) return 0;
    demand.isAcknowledged = true;
    return index;
  }
  reply.error(SYNTAX_ERROR);
  return 0;
}

/** Reads a number above 0; replies with an error and returns 0 if it is none. */
function readPositive(context: CommandContext, index: number, name: string): number {
  const error = `ERR ${name} must be a positive integer`;
  if (!context.integer(index, error)) return 0;
  if (context.number.value > 0) return context.number.value;
  context.reply.error(error);
  return 0;
}

function readTimeout(context: CommandContext, index: number): boolean {
  if (!context.integer(index, 'ERR timeout is not an integer or out of range')) return false;
  if (context.number.value < 0) {
    context.reply.error('ERR timeout is negative');
    return false;
  }
  request.blockMs = context.number.value;
  return true;
}

function replyNoGroup(context: CommandContext, keyIndex: number): void {
  const key = context.argQuoted(keyIndex);
  const group = context.argQuoted(request.groupArg);
  context.reply.error(
    `NOGROUP No such key '${key}' or consumer group '${group}' in XREADGROUP with GROUP option`,
  );
}

/** Finds out from where each stream is read; replies with an error and returns false if that can't be. */
function readPositions(context: CommandContext): boolean {
  if (request.keyCount > request.from.length) request.from = new Uint8Array(2 * request.keyCount);
  for (let stream = 0; stream < request.keyCount; stream++) {
    const keyIndex = request.firstKey + stream;
    const reference = context.readCollection(keyIndex, ValueType.Stream);
    if (reference < 0) return false;
    if (
      request.groupArg !== 0 &&
      (reference === 0 || findGroup(context, reference, request.groupArg) === 0)
    ) {
      replyNoGroup(context, keyIndex);
      return false;
    }
    const from = readPosition(context, stream, reference);
    if (from === -1) return false;
    request.from[stream] = from;
    request.ids.add(id);
  }
  return true;
}

/** From where a stream is read, with the id in `id`; -1 after replying an error. */
function readPosition(context: CommandContext, stream: number, reference: number): ReadFrom | -1 {
  const { reply } = context;
  const index = request.firstKey + request.keyCount + stream;
  const { isGroup } = request.demand;
  id.setMin();
  if (isCharacter(context, index, DOLLAR)) {
    if (isGroup) {
      reply.error(
        'ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.',
      );
      return -1;
    }
    if (reference !== 0) context.shard.streams.lastId(reference, id);
    return ReadFrom.Id;
  }
  if (isCharacter(context, index, GREATER)) {
    if (isGroup) return ReadFrom.Group;
    reply.error(
      'ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.',
    );
    return -1;
  }
  if (!isGroup && isCharacter(context, index, PLUS)) {
    // If there is none, the client waits for what comes after it.
    if (reference !== 0) context.shard.streams.lastId(reference, id);
    return ReadFrom.Last;
  }
  if (!readId(context, index, id)) return -1;
  // Nothing comes after the largest id, so Redis takes it for ">".
  return isGroup && id.isMax ? ReadFrom.Group : ReadFrom.Id;
}

/** Selects the key of one of the request's streams, to be served. Returns its reference, 0 if there is none. */
function selectStream(context: CommandContext, stream: number): number {
  const { demand } = request;
  demand.from = request.from[stream];
  request.ids.read(stream, demand.after);
  // With several streams, another one was selected last.
  if (request.keyCount > 1) context.peek(request.firstKey + stream);
  if (context.entry === 0) {
    // Redis looks the key up twice: a second miss.
    context.happened(KeyEvent.KeyMiss);
    return 0;
  }
  if (demand.isGroup) context.shard.preserve(context.keyDatabase, context.entry);
  return context.valueOffset;
}

function xread(context: CommandContext, isGroup: boolean): void {
  const { reply } = context;
  if (!readRequest(context, isGroup) || !readPositions(context)) return;
  const start = reply.length;
  const position = reply.reserveAggregate();
  const { demand } = request;
  demand.replyStart = start;
  let served = 0;
  let outcome = Served.Nothing;
  for (let stream = 0; stream < request.keyCount && outcome !== Served.NoMemory; stream++) {
    const reference = selectStream(context, stream);
    if (reference === 0) continue;
    outcome = serve(context, reference, demand);
    if (outcome === Served.Entries) served++;
    if (demand.isExhausted) break;
  }
  // Each delivery was recorded by itself.
  if (isGroup) context.keyspace.journal.settled();
  if (served > 0) {
    reply.patchAggregate(position, reply.protocol === 3 ? 'map' : 'array', served);
    return;
  }
  reply.length = start;
  if (outcome === Served.NoMemory) reply.error(OUT_OF_MEMORY);
  else if (request.blockMs < 0 || !context.mayBlock) reply.nullArray();
  else waitForEntries(context);
}

/** There is nothing to read: the client waits for what is added from now on. */
function waitForEntries(context: CommandContext): void {
  const { request: original } = context;
  context.select(withIds(original));
  waitForKeys(context, request.firstKey, request.keyCount, request.blockMs);
  context.select(original);
}

/** A request with the id after which each stream is read: `$` and `+` would change their meaning with new entries. */
function withIds(original: CommandRequest): CommandRequest {
  if (request.demand.isGroup) return original;
  const args: Uint8Array[] = [];
  const firstId = request.firstKey + request.keyCount;
  for (let index = 0; index < original.count; index++) {
    if (index < firstId) {
      const offset = original.offset(index);
      args.push(original.bytes.subarray(offset, offset + original.length(index)));
    } else {
      request.ids.read(index - firstId, id);
      args.push(Buffer.from(id.toString(), 'latin1'));
    }
  }
  return CommandRequest.of(args);
}

/** Reads a waiting client's request for one key, and selects the key. Returns the key's stream, 0 if it has none. */
function readWaiting(context: CommandContext, keyArgument: number, isGroup: boolean): number {
  const { demand } = request;
  if (!readRequest(context, isGroup)) throw new Error('a client waits with a request that is wrong');
  const entry = context.peek(keyArgument);
  const isStream = entry !== 0 && context.entryType === ValueType.Stream;
  const reference = isStream ? context.valueOffset : 0;
  const from = readPosition(context, keyArgument - request.firstKey, reference);
  if (from === -1) throw new Error('a client waits after an id that is none');
  demand.from = from;
  demand.after.copyFrom(id);
  return reference;
}

function isReadyToRead(context: CommandContext, keyArgument: number): boolean {
  const reference = readWaiting(context, keyArgument, false);
  return reference !== 0 && hasEntriesAfter(context, reference, request.demand.after);
}

/** Whether the group has new entries, or no longer exists, which the client has to be told. */
function isReadyForGroup(context: CommandContext, keyArgument: number): boolean {
  const reference = readWaiting(context, keyArgument, true);
  const group = reference === 0 ? 0 : findGroup(context, reference, request.groupArg);
  return group === 0 || hasNewEntries(context, reference, group);
}

function serveWaiting(context: CommandContext, keyArgument: number, isGroup: boolean): void {
  const { reply } = context;
  const reference = readWaiting(context, keyArgument, isGroup);
  const { demand } = request;
  if (reference === 0) {
    if (context.entry !== 0) reply.error(WRONG_TYPE);
    else replyNoGroup(context, keyArgument);
    return;
  }
  if (isGroup) context.shard.preserve(context.keyDatabase, context.entry);
  const start = reply.hold();
  if (reply.protocol === 3) reply.map(1);
  else reply.array(1);
  demand.replyStart = start;
  const outcome = serve(context, reference, demand);
  if (outcome === Served.Entries) return;
  reply.length = start;
  if (outcome === Served.NoGroup) {
    replyNoGroup(context, keyArgument);
  } else {
    reply.error(OUT_OF_MEMORY);
  }
}

/** How clients that wait for entries are served. */
export const blockingStreams: Readonly<Record<string, Blocking>> = {
  XREAD: {
    kind: WaitKind.Stream,
    type: ValueType.Stream,
    destination: 0,
    isReady: isReadyToRead,
    serve: (context, key) => serveWaiting(context, key, false),
  },
  XREADGROUP: {
    kind: WaitKind.StreamGroup,
    type: ValueType.Stream,
    destination: 0,
    isReady: isReadyForGroup,
    serve: (context, key) => serveWaiting(context, key, true),
  },
};

export const streamReadHandlers: Readonly<Record<string, Handler>> = {
  XREAD: (context) => xread(context, false),
  XREADGROUP: (context) => xread(context, true),
};
