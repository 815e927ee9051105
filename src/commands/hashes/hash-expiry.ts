/** Commands on hashes with fields that expire: HEXPIRE, HTTL and their relatives, HGETEX, HSETEX and HGETDEL. */

import type { CommandContext } from '../../execution/context.js';
import {
  recordFieldExpiries,
  recordFields,
  recordPersistedFields,
  recordSetFields,
} from '../../execution/effects.js';
import { OUT_OF_MEMORY, wrongArity } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import { HashSet } from '../../structures/hash-value.js';
import { TIME_UNITS, type TimeUnit } from '../keys/expiry-options.js';
import { findArgument, replyValueOf, setFromArguments } from './hashes.js';

/** Fields expire before this: 2^46 ms are some 2,200 years. */
const EXPIRES_AT_MS_MAX = 2 ** 46 - 1;

const NO_FIELDS = 'ERR Mandatory argument FIELDS is missing or not at the right position';
const WRONG_COUNT = 'ERR Number of fields must be a positive integer';
const WRONG_COUNT_TO_EXPIRE = 'ERR Parameter `numFields` should be greater than 0';
const OTHER_COUNT = 'ERR The `numfields` parameter must match the number of arguments';

/** What the commands reply for a field. */
const enum FieldReply {
  NoField = -2,
  NoExpiry = -1,
  Refused = 0,
  Done = 1,
  Deleted = 2,
}

/** Reads a time argument into ms since the epoch; replies with an error and returns -1 if it is none. */
function readFieldExpiry(context: CommandContext, index: number, unit: TimeUnit): number {
  if (!context.integer(index)) return -1;
  const { reply, number } = context;
  if (number.value < 0) {
    reply.error('ERR invalid expire time, must be >= 0');
    return -1;
  }
  const ms = number.value * (unit.isSeconds ? 1000 : 1) + (unit.isAbsolute ? 0 : context.nowMs);
  if (ms <= EXPIRES_AT_MS_MAX) return ms;
  reply.error(`ERR invalid expire time in '${context.command.fullName}' command`);
  return -1;
}

/**
 * Reads `FIELDS numfields field ...`, which begins at an argument and ends the request. Returns the first field's
 * argument; replies with an error and returns -1 if something is wrong.
 */
function readFields(context: CommandContext, index: number, wrongCount = WRONG_COUNT): number {
  const { reply, number, argCount } = context;
  if (index >= argCount || !context.argIs(index, 'FIELDS')) {
    reply.error(NO_FIELDS);
    return -1;
  }
  if (index + 1 >= argCount) {
    reply.error(wrongArity(context.command.fullName));
    return -1;
  }
  if (!context.integer(index + 1, wrongCount)) return -1;
  if (number.value < 1) {
    reply.error(wrongCount);
    return -1;
  }
  if (number.value !== argCount - index - 2) {
    reply.error(OTHER_COUNT);
    return -1;
  }
  return index + 2;
}

/** Gives fields of the selected hash other expiries, or deletes them if the time is past. One command at a time. */
class FieldChanges {
  /** Arguments that name fields whose expiry has changed, and fields that were deleted. */
  readonly changed: number[] = [];
  readonly deleted: number[] = [];
  /** Reference of the hash. */
  reference = 0;
  private isPrepared = false;

  begin(reference: number): void {
    this.reference = reference;
    this.changed.length = 0;
    this.deleted.length = 0;
    this.isPrepared = false;
  }

  /** Makes the hash ready for expiries; false if there is no memory. */
  prepare(context: CommandContext): boolean {
    if (this.isPrepared) return true;
    const reference = context.prepareFieldExpiry();
    if (reference === 0) return false;
    this.reference = reference;
    this.isPrepared = true;
    return true;
  }

  /** Sets when the field that an argument names, which is there, expires (-1: never). False if there is no memory. */
  setExpiry(context: CommandContext, argument: number, expiresAt: number): boolean {
    if (expiresAt >= 0 && context.isPast(expiresAt)) {
      this.delete(context, argument);
      return true;
    }
    if (!this.prepare(context)) return false;
    const { bytes, view, shard } = context;
    const offset = context.argOffset(argument);
    const length = context.argLength(argument);
    if (!shard.hashes.setExpiry(this.reference, bytes, view, offset, length, expiresAt)) return false;
    this.changed.push(argument);
    return true;
  }

  delete(context: CommandContext, argument: number): void {
    const { bytes, view, shard } = context;
    const offset = context.argOffset(argument);
    if (shard.hashes.remove(this.reference, bytes, view, offset, context.argLength(argument))) {
      this.deleted.push(argument);
    }
  }

  /** Reports all changes to the calendar and the gate. */
  finish(context: CommandContext, event: KeyEvent): void {
    if (this.changed.length > 0 || this.deleted.length > 0) context.fieldsChanged();
    const { changed, deleted } = this;
    if (deleted.length === 0) {
      if (changed.length > 0) context.changed(event, changed.length);
      return;
    }
    if (changed.length > 0) context.happened(event);
    context.elementsRemoved(KeyEvent.HashDelete, changed.length + deleted.length);
  }

  /** Records all changes; fields that do not expire any more have `expiresAt` -1. */
  record(context: CommandContext, expiresAt: number): void {
    const { changed, deleted } = this;
    if (changed.length > 0 && expiresAt >= 0) recordFieldExpiries(context, changed, expiresAt);
    else if (changed.length > 0) recordPersistedFields(context, changed);
    if (deleted.length > 0) recordFields(context, 'HDEL', deleted);
  }
}

const changes = new FieldChanges();

/** The conditions of HEXPIRE; one at most. */
const CONDITIONS = ['NX', 'XX', 'GT', 'LT'] as const;
type Condition = (typeof CONDITIONS)[number] | '';

function readCondition(context: CommandContext, index: number): Condition {
  return CONDITIONS.find((word) => context.argIs(index, word)) ?? '';
}

/** Whether a condition allows a field that expires at `current` (-1: never) to do so at `expiresAt`. */
function isAllowed(condition: Condition, current: number, expiresAt: number): boolean {
  switch (condition) {
    case 'NX':
      return current < 0;
    case 'XX':
      return current >= 0;
    case 'GT':
      return current >= 0 && expiresAt > current;
    case 'LT':
      return current < 0 || expiresAt < current;
    default:
      return true;
  }
}

function replyEach(context: CommandContext, count: number, reply: FieldReply): void {
  context.reply.array(count);
  for (let left = count; left > 0; left--) context.reply.integer(reply);
}

function hexpire(context: CommandContext, unit: TimeUnit): void {
  const { argCount, nowMs } = context;
  const reference = context.writeCollection(1, ValueType.Hash);
  if (reference < 0) return;
  const expiresAt = readFieldExpiry(context, 2, unit);
  if (expiresAt < 0) return;
  const condition = readCondition(context, 3);
  const first = readFields(context, condition === '' ? 3 : 4, WRONG_COUNT_TO_EXPIRE);
  if (first < 0) return;
  if (reference === 0) {
    replyEach(context, argCount - first, FieldReply.NoField);
    return;
  }
  setExpiries(context, reference, first, expiresAt, KeyEvent.HashExpire, (present) => {
    if (!isAllowed(condition, present, expiresAt)) return FieldReply.Refused;
    return expiresAt <= nowMs ? FieldReply.Deleted : FieldReply.Done;
  });
}

/**
 * Gives the fields named from `first` on another expiry (-1: none). `decide` gets the present expiry of each field and
 * returns what to reply; the field is changed only if that is above 0.
 */
function setExpiries(
  context: CommandContext,
  reference: number,
  first: number,
  expiresAt: number,
  event: KeyEvent,
  decide: (present: number) => FieldReply,
): void {
  const { reply, argCount } = context;
  const { hashes } = context.shard;
  if (!promiseExpiries(context, reference, first, argCount - first)) return;
  const start = reply.hold();
  reply.array(argCount - first);
  changes.begin(reference);
  let hasMemory = true;
  for (let index = first; index < argCount && hasMemory; index++) {
    const handle = findArgument(context, hashes, changes.reference, index);
    const answer = handle === 0 ? FieldReply.NoField : decide(hashes.expiresAt(changes.reference, handle));
    if (answer > 0) hasMemory = changes.setExpiry(context, index, expiresAt);
    reply.integer(answer);
  }
  context.endPromises();
  changes.finish(context, event);
  changes.record(context, expiresAt);
  if (!hasMemory) replyNoMemory(context, start);
}

/**
 * Reserves room to set fields with expiries; their names (and values) are the arguments from `first` on. Replies OOM
 * and returns false if there is too little.
 */
function promiseExpiries(
  context: CommandContext,
  reference: number,
  first: number,
  fieldCount: number,
): boolean {
  const { shard, database, keyLength } = context;
  const hashBytes = shard.hashes.roomFor(reference, fieldCount, context.argBytes(first));
  // The key's entry may have to move, and be added to a calendar.
  return context.promise(hashBytes + shard.roomForKeys(database, 1, keyLength, true));
}

/** Replies OOM instead of what has been replied from `start` on. */
function replyNoMemory(context: CommandContext, start: number): void {
  context.reply.length = start;
  context.reply.error(OUT_OF_MEMORY);
}

function httl(context: CommandContext, inSeconds: boolean, isAbsolute: boolean): void {
  const { reply, argCount } = context;
  const reference = context.readCollection(1, ValueType.Hash);
  if (reference < 0) return;
  const first = readFields(context, 2);
  if (first < 0) return;
  if (reference === 0) {
    replyEach(context, argCount - first, FieldReply.NoField);
    return;
  }
  const { hashes } = context.shard;
  reply.array(argCount - first);
  for (let index = first; index < argCount; index++) {
    const handle = findArgument(context, hashes, reference, index);
    const expiresAt = handle === 0 ? -1 : hashes.expiresAt(reference, handle);
    if (handle === 0) {
      reply.integer(FieldReply.NoField);
    } else if (expiresAt < 0) {
      reply.integer(FieldReply.NoExpiry);
    } else {
      const ms = isAbsolute ? expiresAt : expiresAt - context.nowMs;
      reply.integer(inSeconds ? Math.ceil(ms / 1000) : ms);
    }
  }
}

function hpersist(context: CommandContext): void {
  const { argCount } = context;
  const reference = context.writeCollection(1, ValueType.Hash);
  if (reference < 0) return;
  const first = readFields(context, 2);
  if (first < 0) return;
  if (reference === 0) {
    replyEach(context, argCount - first, FieldReply.NoField);
    return;
  }
  setExpiries(context, reference, first, -1, KeyEvent.HashPersist, (present) =>
    present < 0 ? FieldReply.NoExpiry : FieldReply.Done,
  );
}

const UNIT_WORDS = ['EX', 'PX', 'EXAT', 'PXAT'] as const;

/** The unit that an argument names, null if it names none. */
function readUnit(context: CommandContext, index: number): TimeUnit | null {
  const word = UNIT_WORDS.find((unit) => context.argIs(index, unit));
  return word === undefined ? null : TIME_UNITS[word];
}

function hgetex(context: CommandContext): void {
  const { reply, argCount } = context;
  const reference = context.writeCollection(1, ValueType.Hash);
  if (reference < 0) return;
  const unit = readUnit(context, 2);
  const persists = context.argIs(2, 'PERSIST');
  const expiresAt = unit === null ? -1 : readFieldExpiry(context, 3, unit);
  if (unit !== null && expiresAt < 0) return;
  const first = readFields(context, unit !== null ? 4 : persists ? 3 : 2);
  if (first < 0) return;
  const { hashes } = context.shard;
  const mayChange = reference !== 0 && (unit !== null || persists);
  if (mayChange && !promiseExpiries(context, reference, first, argCount - first)) return;
  const start = reply.hold();
  reply.array(argCount - first);
  changes.begin(reference);
  let hasMemory = true;
  for (let index = first; index < argCount && hasMemory; index++) {
    const handle = replyValueOf(context, changes.reference, index);
    if (handle === 0) continue;
    const persistsThis = persists && hashes.expiresAt(changes.reference, handle) >= 0;
    if (unit !== null || persistsThis) hasMemory = changes.setExpiry(context, index, expiresAt);
  }
  context.endPromises();
  changes.finish(context, persists ? KeyEvent.HashPersist : KeyEvent.HashExpire);
  changes.record(context, expiresAt);
  if (!hasMemory) replyNoMemory(context, start);
}

function hgetdel(context: CommandContext): void {
  const { reply, argCount } = context;
  const reference = context.writeCollection(1, ValueType.Hash);
  if (reference < 0) return;
  const first = readFields(context, 2);
  if (first < 0) return;
  reply.array(argCount - first);
  changes.begin(reference);
  for (let index = first; index < argCount; index++) {
    if (replyValueOf(context, reference, index) !== 0) changes.delete(context, index);
  }
  changes.finish(context, KeyEvent.HashDelete);
  changes.record(context, -1);
}

interface SetOptions {
  /** 'NX', 'XX' or neither: whether the key may, or must, be there. */
  keyCondition: '' | 'NX' | 'XX';
  /** 'FNX', 'FXX' or neither. */
  condition: '' | 'FNX' | 'FXX';
  /** -1: none is given. */
  expiresAt: number;
  keepsExpiry: boolean;
  /** Argument of the first field. */
  first: number;
}

/** Reads HSETEX's arguments; replies with an error and returns null if something is wrong. */
function readSetOptions(context: CommandContext): SetOptions | null {
  const { reply, argCount, number } = context;
  const options: SetOptions = {
    keyCondition: '',
    condition: '',
    expiresAt: -1,
    keepsExpiry: false,
    first: 0,
  };
  const fail = (error: string) => {
    reply.error(error);
    return null;
  };
  for (let index = 2; index < argCount; index++) {
    if (context.argIs(index, 'FIELDS')) {
      if (index >= argCount - 3) return fail(wrongArity(context.command.fullName));
      const wrongCount = 'ERR invalid number of fields';
      if (!context.integer(index + 1, wrongCount)) return null;
      if (number.value < 1 || number.value > 2 ** 31 - 1) return fail(wrongCount);
      if (2 * number.value !== argCount - index - 2) return fail(wrongArity(context.command.fullName));
      options.first = index + 2;
      return options;
    }
    const unit = readUnit(context, index);
    const keepsExpiry = context.argIs(index, 'KEEPTTL');
    if (unit !== null || keepsExpiry) {
      if (options.expiresAt >= 0 || options.keepsExpiry) {
        return fail('ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified');
      }
      options.keepsExpiry = keepsExpiry;
      if (unit === null) continue;
      if (++index === argCount) return fail('ERR missing expire time');
      options.expiresAt = readFieldExpiry(context, index, unit);
      if (options.expiresAt < 0) return null;
    } else if (context.argIs(index, 'FXX') || context.argIs(index, 'FNX')) {
      if (options.condition !== '') {
        return fail('ERR Only one of FXX or FNX arguments can be specified');
      }
      options.condition = context.argIs(index, 'FXX') ? 'FXX' : 'FNX';
    } else if (context.argIs(index, 'XX') || context.argIs(index, 'NX')) {
      if (options.keyCondition !== '') return fail('ERR Only one of XX or NX arguments can be specified');
      options.keyCondition = context.argIs(index, 'XX') ? 'XX' : 'NX';
    } else {
      return fail(`ERR unknown argument: ${context.argQuoted(index)}`);
    }
  }
  return fail(NO_FIELDS);
}

/** Whether HSETEX's conditions hold. */
function meetsCondition(context: CommandContext, reference: number, options: SetOptions): boolean {
  const { keyCondition, condition, first } = options;
  if (keyCondition !== '' && (reference !== 0) !== (keyCondition === 'XX')) return false;
  if (condition === '' || reference === 0) return condition !== 'FXX';
  for (let index = first; index < context.argCount; index += 2) {
    const exists = findArgument(context, context.shard.hashes, reference, index) !== 0;
    if (exists !== (condition === 'FXX')) return false;
  }
  return true;
}

/** Records the expiries of fields that were set, after the recorded HSET, which removes them. */
function recordKeptExpiries(context: CommandContext, first: number, end: number): void {
  if (!context.keyspace.journal.isOn) return;
  const { hashes } = context.shard;
  const { reference } = changes;
  for (let index = first; index < end; index += 2) {
    const expiresAt = hashes.expiresAt(reference, findArgument(context, hashes, reference, index));
    if (expiresAt >= 0) recordFieldExpiries(context, [index], expiresAt);
  }
}

function hsetex(context: CommandContext): void {
  const { reply, argCount } = context;
  const options = readSetOptions(context);
  if (options === null) return;
  const { first, expiresAt } = options;
  let reference = context.writeCollection(1, ValueType.Hash);
  if (reference < 0) return;
  if (!meetsCondition(context, reference, options)) {
    reply.integer(0);
    return;
  }
  if (reference === 0) reference = context.createCollection(ValueType.Hash);
  if (reference === 0) return;
  if (!promiseExpiries(context, reference, first, (argCount - first) >> 1)) {
    context.dropIfEmpty();
    return;
  }
  changes.begin(reference);
  const isPast = expiresAt >= 0 && context.isPast(expiresAt);
  const end = expiresAt < 0 || isPast || changes.prepare(context) ? setFields(context, options) : first;
  context.endPromises();
  const { changed, deleted } = changes;
  if (end === first && deleted.length === 0) {
    context.dropIfEmpty();
  } else {
    context.fieldsChanged();
    if (deleted.length === 0) context.changed(KeyEvent.HashSet, (end - first) >> 1);
    else context.happened(KeyEvent.HashSet);
    if (changed.length > 0) context.happened(KeyEvent.HashExpire);
    if (!isPast) recordSet(context, options, end);
    if (deleted.length > 0) {
      // Whether they were there before or not, they are gone now.
      recordFields(context, 'HDEL', deleted);
      context.elementsRemoved(KeyEvent.HashDelete, deleted.length);
    }
  }
  if (end === argCount) reply.integer(1);
  else reply.error(OUT_OF_MEMORY);
}

/** Sets HSETEX's fields. Returns the argument of the first one for which there was no memory, or the end. */
function setFields(context: CommandContext, { first, expiresAt, keepsExpiry }: SetOptions): number {
  // An expiry that is about to be replaced need not be removed first.
  const keeps = keepsExpiry || expiresAt >= 0;
  let end = first;
  for (; end < context.argCount; end += 2) {
    if (setFromArguments(context, changes.reference, end, keeps) === HashSet.NoMemory) break;
    if (expiresAt >= 0 && !changes.setExpiry(context, end, expiresAt)) {
      // Without an expiry it would stay for ever.
      changes.delete(context, end);
      break;
    }
  }
  return end;
}

/** Records the fields that HSETEX has set, up to argument `end`, and when they expire. */
function recordSet(
  context: CommandContext,
  { first, expiresAt, keepsExpiry }: SetOptions,
  end: number,
): void {
  if (end === first) return;
  recordSetFields(context, first, end);
  if (changes.changed.length > 0) recordFieldExpiries(context, changes.changed, expiresAt);
  if (keepsExpiry) recordKeptExpiries(context, first, end);
}

export const hashExpiryHandlers: Readonly<Record<string, Handler>> = {
  HEXPIRE: (context) => hexpire(context, TIME_UNITS.EX),
  HEXPIREAT: (context) => hexpire(context, TIME_UNITS.EXAT),
  HEXPIRETIME: (context) => httl(context, true, true),
  HGETDEL: hgetdel,
  HGETEX: hgetex,
  HPERSIST: hpersist,
  HPEXPIRE: (context) => hexpire(context, TIME_UNITS.PX),
  HPEXPIREAT: (context) => hexpire(context, TIME_UNITS.PXAT),
  HPEXPIRETIME: (context) => httl(context, false, true),
  HPTTL: (context) => httl(context, false, false),
  HSETEX: hsetex,
  HTTL: (context) => httl(context, true, false),
};
