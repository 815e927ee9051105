/**
 * Effects that the journal records as other commands than the client's, because the request depends on the time or on
 * chance, or because Redis 7.0 does not know it. A handler calls one of these after its change; otherwise its request
 * is recorded as it was sent. All work on the selected key.
 */

import type { Journal } from '../journal/journal.js';
import { expiresAtMs, valueLength, valueOffset } from '../keyspace/entry.js';
import { SortedSetCursor } from '../structures/sorted-set-value.js';
import type { CommandContext } from './context.js';

/** Most elements of a collection in one recorded command. */
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

/** Records the key's new string, and the expiry in its entry. */
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

/** Records the expiry in the key's entry, or that it has none. */
export function recordExpiry(context: CommandContext): void {
  const { expiresAtMs: expiresAt } = context;
  if (expiresAt < 0) recordKeyCommand(context, 'PERSIST', 0);
  else recordKeyCommand(context, 'PEXPIREAT', 1)?.integer(expiresAt);
}

/** Records that the key is gone. */
export function recordDelete(context: CommandContext): void {
  recordKeyCommand(context, 'DEL', 0);
}

/** Appends arguments that name fields of a hash to a command that has been begun. */
function recordArguments(context: CommandContext, journal: Journal, fields: readonly number[]): void {
  for (const index of fields) {
    journal.argument(context.bytes, context.view, context.argOffset(index), context.argLength(index));
  }
}

/** Records a command on fields of the key's hash, which arguments name. */
export function recordFields(context: CommandContext, name: string, fields: readonly number[]): void {
  const journal = recordKeyCommand(context, name, fields.length);
  if (journal !== null) recordArguments(context, journal, fields);
}

/** Records a new expiry of fields of the key's hash, which arguments name. */
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

/** Records that fields of the key's hash, which arguments name, do not expire any more. */
export function recordPersistedFields(context: CommandContext, fields: readonly number[]): void {
  const journal = recordKeyCommand(context, 'HPERSIST', 2 + fields.length);
  if (journal === null) return;
  journal.noteNewer();
  journal.word('FIELDS');
  journal.integer(fields.length);
  recordArguments(context, journal, fields);
}

/** Records new values of fields without expiry: pairs of arguments from `first` to before `end`. */
export function recordSetFields(context: CommandContext, first: number, end: number): void {
  const journal = recordKeyCommand(context, 'HSET', end - first);
  if (journal === null) return;
  for (let index = first; index < end; index++) {
    journal.argument(context.bytes, context.view, context.argOffset(index), context.argLength(index));
  }
}

/** Records the key's whole new sorted set, or that it is gone; nothing if the running command changed nothing. */
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

/** The shortest text from which a score can be read back exactly. */
function scoreText(score: number): string {
  return score === Infinity ? 'inf' : score === -Infinity ? '-inf' : String(score);
}

/** Records that so many elements were taken from an end of the key's list or sorted set. */
export function recordPop(context: CommandContext, name: string, count: number): void {
  recordKeyCommand(context, name, 1)?.integer(count);
}

/**
 * Records the request up to argument `end` as the running command's effect: there was no memory for the rest. After a
 * promise (CommandContext.promise) this happens only if hashes are spread very unevenly.
 */
export function recordBeginning(context: CommandContext, end: number): void {
  const { journal } = context.keyspace;
  journal.settled();
  if (!journal.isOn) return;
  const { bytes, view, pairs, start } = context.request;
  journal.request(context.database, bytes, view, pairs, start, end);
}

/** Records the request whether or not it has changed a key. The locks of all that it may change are held. */
export function recordRequest(context: CommandContext): void {
  const { journal } = context.keyspace;
  journal.settled();
  if (!journal.isOn) return;
  const { bytes, view, pairs, start, count } = context.request;
  journal.request(context.database, bytes, view, pairs, start, count);
}
