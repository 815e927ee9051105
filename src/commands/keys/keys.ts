/** Commands on keys of any type: deleting, renaming, copying, moving, looking them over. */

import type { CommandContext } from '../../execution/context.js';
import { recordRequest } from '../../execution/effects.js';
import { DATABASE_OUT_OF_RANGE, INVALID_CURSOR, NO_SUCH_KEY, SYNTAX_ERROR } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { entryType, keyLength, keyOffset, type ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import type { Shard } from '../../keyspace/shard.js';
import { GlobPattern } from '../../structures/glob.js';
import { cancelBackgroundSave, snapshotFlushed } from '../server/save.js';

/** Names of value types as TYPE reports them. */
const TYPE_NAMES: Readonly<Record<ValueType, string>> = {
  0: 'string',
  1: 'list',
  2: 'set',
  3: 'zset',
  4: 'hash',
  6: 'stream',
};

export function typeName(type: number): string {
  return TYPE_NAMES[type as ValueType] ?? 'none';
}

/** Cursors within one shard are below this; a whole cursor is shard * this + cursor. */
const SHARD_CURSORS = 2 ** 30;
const SCAN_COUNT_DEFAULT = 10;
/** Lines of the table that SCAN looks at for each key wanted, when few match. */
const SCAN_STEPS_PER_KEY = 10;
const RANDOM_KEY_TRIES_MAX = 100;

function del(context: CommandContext, mayWait: boolean): void {
  let deleted = 0;
  for (let index = 1; index < context.argCount; index++) {
    if (context.findWrite(index) === 0) continue;
    context.remove(mayWait);
    context.changed(KeyEvent.Delete);
    deleted++;
  }
  context.reply.integer(deleted);
}

function exists(context: CommandContext): void {
  let found = 0;
  for (let index = 1; index < context.argCount; index++) if (context.query(index) !== 0) found++;
  context.reply.integer(found);
}

function touch(context: CommandContext): void {
  let found = 0;
  for (let index = 1; index < context.argCount; index++) if (context.findRead(index) !== 0) found++;
  context.reply.integer(found);
}

function type(context: CommandContext): void {
  context.reply.simple(context.query(1) === 0 ? 'none' : typeName(context.entryType));
}

/** RENAME and RENAMENX. Returns false if an error or 0 was replied. */
function renameKey(context: CommandContext, onlyIfAbsent: boolean): boolean {
  const sourceEntry = context.findWrite(1);
  if (sourceEntry === 0) {
    context.reply.error(NO_SUCH_KEY);
    return false;
  }
  const source = context.shard;
  const isSame =
    context.argLength(1) === context.argLength(2) && context.argLatin1(1) === context.argLatin1(2);
  if (isSame) {
    if (onlyIfAbsent) context.reply.integer(0);
    return !onlyIfAbsent;
  }
  const sourceHash = context.hash;
  if (context.findWrite(2) !== 0 && onlyIfAbsent) {
    context.reply.integer(0);
    return false;
  }
  if (!context.takeValue(source, context.database, sourceHash, sourceEntry)) return false;
  context.recreated();
  context.argumentChanged(1, context.database, KeyEvent.RenameFrom, 0);
  context.changed(KeyEvent.RenameTo);
  context.overwritten();
  return true;
}

/**
 * Reads a 32-bit integer. If it is none, replies with `error`, or if that is not given with an error that
 * says what is wrong, and returns null.
 */
function readInt32(context: CommandContext, index: number, error?: string): number | null {
  if (!context.integer(index, error)) return null;
  const { value } = context.number;
  if (value === (value | 0)) return value;
  context.reply.error(error ?? 'ERR value is out of range, value must between -2147483648 and 2147483647');
  return null;
}

function isDatabase(context: CommandContext, number: number): boolean {
  if (number >= 0 && number < context.keyspace.databaseCount) return true;
  context.reply.error(DATABASE_OUT_OF_RANGE);
  return false;
}

/** Reads a database number; replies with an error and returns -1 if it is none. */
export function readDatabase(context: CommandContext, index: number): number {
  const number = readInt32(context, index);
  return number !== null && isDatabase(context, number) ? number : -1;
}

function copy(context: CommandContext): void {
  const { reply } = context;
  let database = context.database;
  let replaces = false;
  for (let index = 3; index < context.argCount; index++) {
    if (context.argIs(index, 'REPLACE')) {
      replaces = true;
    } else if (context.argIs(index, 'DB') && index + 1 < context.argCount) {
      database = readDatabase(context, ++index);
      if (database < 0) return;
    } else {
      reply.error(SYNTAX_ERROR);
      return;
    }
  }
  if (database === context.database && context.argLatin1(1) === context.argLatin1(2)) {
    reply.error('ERR source and destination objects are the same');
    return;
  }
  const sourceEntry = context.findRead(1);
  if (sourceEntry === 0) {
    reply.integer(0);
    return;
  }
  const source = context.shard;
  const expiresAt = context.expiresAtMs;
  if (context.findIn(database, 2) !== 0 && !replaces) {
    reply.integer(0);
    return;
  }
  if (!context.putCopy(source, sourceEntry, expiresAt)) return;
  context.recreated();
  context.changed(KeyEvent.CopyTo);
  context.overwritten();
  reply.integer(1);
}

function move(context: CommandContext): void {
  const { reply } = context;
  const database = readDatabase(context, 2);
  if (database < 0) return;
  if (database === context.database) {
    reply.error('ERR source and destination objects are the same');
    return;
  }
  const sourceEntry = context.findWrite(1);
  if (sourceEntry === 0) {
    reply.integer(0);
    return;
  }
  const source = context.shard;
  const sourceHash = context.hash;
  if (context.findIn(database, 1) !== 0) {
    reply.integer(0);
    return;
  }
  if (!context.takeValue(source, context.database, sourceHash, sourceEntry)) return;
  context.argumentChanged(1, context.database, KeyEvent.MoveFrom, 0);
  context.changed(KeyEvent.MoveTo);
  reply.integer(1);
}

function swapdb(context: CommandContext): void {
  const left = readInt32(context, 1, 'ERR invalid first DB index');
  const right = left === null ? null : readInt32(context, 2, 'ERR invalid second DB index');
  if (left === null || right === null) return;
  if (!isDatabase(context, left) || !isDatabase(context, right)) return;
  if (left !== right) {
    for (const shard of context.keyspace.shards) shard.swapDatabases(left, right, context.nowMs);
    recordRequest(context);
  }
  context.reply.ok();
}

/** Reads FLUSHDB's and FLUSHALL's option; SYNC and ASYNC are the same here, since clients notice no delay in either. */
function isFlushOption(context: CommandContext): boolean {
  if (context.argCount === 1) return true;
  if (context.argCount === 2 && (context.argIs(1, 'SYNC') || context.argIs(1, 'ASYNC'))) return true;
  context.reply.error(SYNTAX_ERROR);
  return false;
}

function flushdb(context: CommandContext): void {
  if (!isFlushOption(context)) return;
  const { database, keyspace } = context;
  keyspace.flush(database, database + 1, context.nowMs);
  recordRequest(context);
  context.reply.ok();
}

function flushall(context: CommandContext): void {
  if (!isFlushOption(context)) return;
  cancelBackgroundSave(context);
  const { keyspace } = context;
  keyspace.flush(0, keyspace.databaseCount, context.nowMs);
  recordRequest(context);
  snapshotFlushed(context);
  context.reply.ok();
}

function dbsize(context: CommandContext): void {
  context.reply.integer(context.keyspace.keyCount(context.database));
}

/** Writes an entry's key. */
function replyKey(context: CommandContext, shard: Shard, entry: number): void {
  const { words } = shard;
  context.reply.bulkCopy(shard.bytes, shard.view, keyOffset(words, entry), keyLength(words, entry));
}

function randomkey(context: CommandContext): void {
  const { keyspace, database } = context;
  for (let tries = 0; tries < RANDOM_KEY_TRIES_MAX; tries++) {
    let pick = Math.floor(Math.random() * keyspace.keyCount(database));
    for (const shard of keyspace.shards) {
      const count = shard.keyCount(database);
      if (pick >= count) {
        pick -= count;
        continue;
      }
      context.lockShard(shard);
      const entry = shard.dictionary.random(shard.root(database), (Math.random() * 2 ** 32) | 0);
      const isFound = entry !== 0 && !shard.isPastExpiry(entry, context.nowMs);
      if (isFound) replyKey(context, shard, entry);
      context.unlockShard(shard);
      if (isFound) return;
      break;
    }
  }
  context.reply.nullBulk();
}

/** Lines of the table that KEYS looks at under one hold of a lock. */
const KEYS_SLICE_LINES = 128;

function keys(context: CommandContext): void {
  const { reply, keyspace, database, nowMs } = context;
  const pattern = new GlobPattern(context.argCopy(1));
  const position = reply.reserveAggregate();
  let count = 0;
  for (const shard of keyspace.shards) {
    const { words, dictionary } = shard;
    let cursor = 0;
    do {
      context.lockShard(shard);
      for (let lines = 0; lines < KEYS_SLICE_LINES; lines++) {
        cursor = dictionary.scan(shard.root(database), cursor);
        for (let index = 0; index < dictionary.scannedCount; index++) {
          const entry = dictionary.scanned[index];
          if (shard.isPastExpiry(entry, nowMs)) continue;
          if (!pattern.matches(shard.bytes, keyOffset(words, entry), keyLength(words, entry))) continue;
          replyKey(context, shard, entry);
          count++;
        }
        if (cursor === 0) break;
      }
      context.unlockShard(shard);
    } while (cursor !== 0);
  }
  reply.patchAggregate(position, 'array', count);
}

/** Options that SCAN and its siblings share. */
export interface ScanOptions {
  pattern: GlobPattern | null;
  count: number;
  type: string | null;
  withValues: boolean;
}

/**
 * Reads a scan's options from argument `first` on; replies with an error and returns null if they are wrong.
 * @param word the option that this command has beside MATCH and COUNT
 */
export function readScanOptions(
  context: CommandContext,
  first: number,
  word: '' | 'TYPE' | 'NOVALUES',
): ScanOptions | null {
  const options: ScanOptions = { pattern: null, count: SCAN_COUNT_DEFAULT, type: null, withValues: true };
  for (let index = first; index < context.argCount; index += 2) {
    const hasValue = index + 1 < context.argCount;
    if (hasValue && context.argIs(index, 'COUNT')) {
      if (!context.integer(index + 1)) return null;
      options.count = context.number.value;
    } else if (hasValue && context.argIs(index, 'MATCH')) {
      options.pattern = new GlobPattern(context.argCopy(index + 1));
    } else if (hasValue && word === 'TYPE' && context.argIs(index, word)) {
      options.type = context.argText(index + 1).toLowerCase();
    } else if (word === 'NOVALUES' && context.argIs(index, word)) {
      options.withValues = false;
      index--;
    } else {
      options.count = 0;
    }
    if (options.count < 1) {
      context.reply.error(SYNTAX_ERROR);
      return null;
    }
  }
  return options;
}

/** Reads a cursor, as strtoul would, up to a zero byte; replies with an error and returns -1 if it is none. */
export function readCursor(context: CommandContext, index: number): number {
  const text = context.argQuoted(index);
  const isNumber = /^([+-]?\d{1,20})?$/.test(text);
  const value = isNumber ? BigInt(text.replace(/^\+/, '')) : 2n ** 64n;
  if (value < 2n ** 64n && value > -(2n ** 64n)) {
    // This server has no cursors beyond 2^53: such a scan is at its end.
    return Math.min(Number(BigInt.asUintN(64, value)), Number.MAX_SAFE_INTEGER);
  }
  context.reply.error(INVALID_CURSOR);
  return -1;
}

function scan(context: CommandContext): void {
  const { reply, keyspace, database, nowMs } = context;
  const start = readCursor(context, 1);
  if (start < 0) return;
  const options = readScanOptions(context, 2, 'TYPE');
  if (options === null) return;
  const position = reply.hold();
  let shardIndex = Math.floor(start / SHARD_CURSORS);
  let cursor = start % SHARD_CURSORS;
  let count = 0;
  let steps = Math.min(options.count, 2 ** 31) * SCAN_STEPS_PER_KEY;
  while (shardIndex < keyspace.shards.length && count < options.count && steps > 0) {
    const shard = keyspace.shards[shardIndex];
    const { words, dictionary } = shard;
    context.lockShard(shard);
    do {
      cursor = dictionary.scan(shard.root(database), cursor);
      for (let index = 0; index < dictionary.scannedCount; index++) {
        const entry = dictionary.scanned[index];
        if (shard.expireIfDue(database, entry, nowMs)) continue;
        if (options.type !== null && typeName(entryType(words, entry)) !== options.type) continue;
        const offset = keyOffset(words, entry);
        if (
          options.pattern !== null &&
          !options.pattern.matches(shard.bytes, offset, keyLength(words, entry))
        ) {
          continue;
        }
        replyKey(context, shard, entry);
        count++;
      }
      steps--;
    } while (cursor !== 0 && count < options.count && steps > 0);
    context.unlockShard(shard);
    if (cursor === 0) shardIndex++;
  }
  const next = shardIndex >= keyspace.shards.length ? 0 : shardIndex * SHARD_CURSORS + cursor;
  reply.insert(position, `*2\r\n$${String(next).length}\r\n${next}\r\n*${count}\r\n`);
}

export const keyHandlers: Readonly<Record<string, Handler>> = {
  COPY: copy,
  DBSIZE: dbsize,
  DEL: (context) => del(context, context.keyspace.settings.lazyUserDelete),
  EXISTS: exists,
  FLUSHALL: flushall,
  FLUSHDB: flushdb,
  KEYS: keys,
  MOVE: move,
  RANDOMKEY: randomkey,
  RENAME: (context) => {
    if (renameKey(context, false)) context.reply.ok();
  },
  RENAMENX: (context) => {
    if (renameKey(context, true)) context.reply.integer(1);
  },
  SCAN: scan,
  SWAPDB: swapdb,
  TOUCH: touch,
  TYPE: type,
  UNLINK: (context) => del(context, true),
};
