/**
 * Effects that the journal records in other words than the client's, because the request depends on the time or on
 * chance, or because Redis 7.0 does not know it. A handler calls one of these after its change; what it does not
 * record this way is recorded as it was sent. All work on the selected key.
 */

import type { Journal } from '../journal/journal.js';
import { expiresAtMs, valueLength, valueOffset } from '../keyspace/entry.js';
import type { CommandContext } from './context.js';

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
  journal.integer(expiresAt);
  journal.word('FIELDS');
  journal.integer(fields.length);
  recordArguments(context, journal, fields);
}

/** Fields of the key's hash, which arguments name, do not expire any more. */
export function recordPersistedFields(context: CommandContext, fields: readonly number[]): void {
  const journal = recordKeyCommand(context, 'HPERSIST', 2 + fields.length);
  if (journal === null) return;
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
  journal.request(context.database, context.bytes, context.view, context.pairs, context.argStart, end);
}

/** Records the request of a command that the gate has not been told of, or that locks shards by itself; their locks are held. */
export function recordRequest(context: CommandContext): void {
  const { journal } = context.keyspace;
  if (!journal.isOn) return;
  journal.request(
    context.database,
    context.bytes,
    context.view,
    context.pairs,
    context.argStart,
    context.argCount,
  );
}
