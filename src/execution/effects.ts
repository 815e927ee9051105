/**
 * Effects that the journal records in other words than the client's, because the request depends on the time or on
 * chance, or because Redis 7.0 does not know it. A handler calls one of these after its change; what it does not
 * record this way is recorded as it was sent. All work on the selected key.
 */

import type { Journal } from '../journal/journal.js';
import { expiresAtMs, valueLength, valueOffset } from '../keyspace/entry.js';
import { SortedSetCursor } from '../structures/sorted-set-value.js';
import type { CommandContext } from './context.js';

/** Elements of a collection that one recorded command has. */
const ELEMENTS_PER_COMMAND = 512;

/** Begins a command on the selected key, of which `argCount` arguments follow the key; null if nothing is recorded. */
export function recordKeyCommand(context: CommandContext, name: string, argCount: number): Journal | null {
  const { journal } = context.keyspace;
  if (!journal.isOn) return null;
  journal.begin(context.keyDatabase, 2 + argCount);
  journal.word(name);
  journal.argument(context.bytes, context.view, context.keyOffset, context.keyLength);
  journal.settled();
  return journal;
}

/** The key has a new string and the expiry that is in its entry. */
export function recordString(context: CommandContext): void {
  const { shard, entry } = context;
  const { words } = shard;
  const expiresAt = expiresAtMs(words, entry);
  const journal = recordKeyCommand(context, 'SET', expiresAt < 0 ? 1 : 3);
  if (journal === null) return;
  journal.argument(shard.bytes, shard.view, valueOffset(words, entry), valueLength(words, entry));
  if (expiresAt < 0) return;
  journal.word('PXAT');
  journal.integer(expiresAt);
}

/** The key has the expiry that is in its entry, or none. */
export function recordExpiry(context: CommandContext): void {
  const { expiresAtMs: expiresAt } = context;
  if (expiresAt < 0) recordKeyCommand(context, 'PERSIST', 0);
  else recordKeyCommand(context, 'PEXPIREAT', 1)?.integer(expiresAt);
}

/** The key is gone. */
export function recordDelete(context: CommandContext): void {
  recordKeyCommand(context, 'DEL', 0);
}

/** Arguments, after a command's key, that name fields of a hash. */
function recordArguments(context: CommandContext, journal: Journal, fields: readonly number[]): void {
  for (const index of fields) {
    journal.argument(context.bytes, context.view, context.argOffset(index), context.argLength(index));
  }
}

/** A command on fields of the key's hash, which arguments name. */
export function recordFields(context: CommandContext, name: string, fields: readonly number[]): void {
  const journal = recordKeyCommand(context, name, fields.length);
  if (journal !== null) recordArguments(context, journal, fields);
}

/** Fields of the key's hash, which arguments name, have another expiry. */
export function recordFieldExpiries(
  context: CommandContext,
  fields: readonly number[],
  expiresAt: number,
): void {
  const journal = recordKeyCommand(context, 'HPEXPIREAT', 3 + fields.length);
  if (journal === null) return;
  journal.noteNewer();
  journal.integer(expiresAt);
  journal.word('FIELDS');
  journal.integer(fields.length);
  recordArguments(context, journal, fields);
}

/** Fields of the key's hash, which arguments name, do not expire any more. */
export function recordPersistedFields(context: CommandContext, fields: readonly number[]): void {
  const journal = recordKeyCommand(context, 'HPERSIST', 2 + fields.length);
  if (journal === null) return;
  journal.noteNewer();
  journal.word('FIELDS');
  journal.integer(fields.length);
  recordArguments(context, journal, fields);
}

/** Fields of the key's hash have values, pairs of arguments from `first` to before `end`, and do not expire. */
export function recordSetFields(context: CommandContext, first: number, end: number): void {
  const journal = recordKeyCommand(context, 'HSET', end - first);
  if (journal === null) return;
  for (let index = first; index < end; index++) {
    journal.argument(context.bytes, context.view, context.argOffset(index), context.argLength(index));
  }
}

/** The key has another sorted set, or is gone; if the running command has changed nothing, nothing is recorded. */
export function recordSortedSet(context: CommandContext): void {
  const { shard, entry } = context;
  if (context.keyspace.journal.changes === 0) return;
  recordDelete(context);
  if (!context.keyspace.journal.isOn || entry === 0) return;
  const { sortedSets } = shard;
  const reference = valueOffset(shard.words, entry);
  const cursor = new SortedSetCursor();
  const count = sortedSets.count(reference);
  sortedSets.seek(cursor, reference, 0);
  for (let first = 0; first < count; first += ELEMENTS_PER_COMMAND) {
    const end = Math.min(count, first + ELEMENTS_PER_COMMAND);
    const journal = recordKeyCommand(context, 'ZADD', 2 * (end - first));
    for (let index = first; index < end; index++) {
      journal?.word(scoreText(cursor.score));
      journal?.argument(cursor.bytes, cursor.view, cursor.offset, cursor.lengthBytes);
      sortedSets.next(cursor);
    }
  }
}

/** A score as short as it can be read back exactly. */
function scoreText(score: number): string {
  return score === Infinity ? 'inf' : score === -Infinity ? '-inf' : String(score);
}

/** So many elements were taken from an end of the key's list or sorted set. */
export function recordPop(context: CommandContext, name: string, count: number): void {
  recordKeyCommand(context, name, 1)?.integer(count);
}

/**
 * Records as the running command's effect its request as far as argument `end`: there was no memory for the rest. With a
 * promise (CommandContext.promise) that does not happen, unless hashes are spread most unevenly.
 */
export function recordBeginning(context: CommandContext, end: number): void {
  const { journal } = context.keyspace;
  journal.settled();
  if (!journal.isOn) return;
  const { bytes, view, pairs, start } = context.request;
  journal.request(context.database, bytes, view, pairs, start, end);
}

/** Records the request whether or not it has changed a key. The locks of what it may change are held. */
export function recordRequest(context: CommandContext): void {
  const { journal } = context.keyspace;
  journal.settled();
  if (!journal.isOn) return;
  const { bytes, view, pairs, start, count } = context.request;
  journal.request(context.database, bytes, view, pairs, start, count);
}
