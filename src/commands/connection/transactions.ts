/** MULTI, EXEC, DISCARD, WATCH, UNWATCH. */

import type { CommandContext } from '../../execution/context.js';
import type { Handler } from '../../execution/table/command-table.js';

/** Memory of a watched key besides its name: the object and the buffer's header. */
const WATCHED_KEY_BYTES = 200;

function multi(context: CommandContext): void {
  const { session, reply } = context;
  if (session.queue !== null) {
    reply.error('ERR MULTI calls can not be nested');
    return;
  }
  session.queue = [];
  reply.ok();
}

function discard(context: CommandContext): void {
  const { session, reply } = context;
  if (session.queue === null) {
    reply.error('ERR DISCARD without MULTI');
    return;
  }
  session.discardTransaction();
  reply.ok();
}

function exec(context: CommandContext): void {
  const { session, reply } = context;
  if (session.queue === null) {
    reply.error('ERR EXEC without MULTI');
    return;
  }
  if (session.transactionFailed) {
    session.discardTransaction();
    reply.error('EXECABORT Transaction discarded because of previous errors.');
    return;
  }
  if (context.services.executeTransaction(session, () => isUnchanged(context))) session.discardTransaction();
}

/**
 * Whether no watched key has changed or expired since WATCH. The locks of their shards are held. A key that
 * did not exist may exist now, but expired, after SWAPDB: that is no change.
 */
function isUnchanged(context: CommandContext): boolean {
  for (const { shard, slot, version, database, hash, key, existed } of context.session.watched) {
    if ((slot < 0 ? shard.dirtyCount : shard.watchedKeys.version(slot)) !== version) return false;
    if (!existed) continue;
    const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
    if (shard.find(database, hash, key, view, 0, key.length, context.nowMs) === 0) return false;
  }
  return true;
}

function watch(context: CommandContext): void {
  const { session, reply } = context;
  if (session.queue !== null) {
    reply.error('ERR WATCH inside MULTI is not allowed');
    return;
  }
  for (let index = 1; index < context.argCount; index++) {
    // Finding the key deletes it if it has expired: then its absence is watched.
    const existed = context.peek(index) !== 0;
    const { shard, hash, database } = context;
    const key = context.argCopy(index);
    const known = session.watched.some(
      (other) => other.hash === hash && other.database === database && Buffer.compare(other.key, key) === 0,
    );
    if (known) continue;
    const slot = shard.watchedKeys.watch(database, hash);
    const version = slot < 0 ? shard.dirtyCount : shard.watchedKeys.version(slot);
    session.watchedBytes += WATCHED_KEY_BYTES + key.length;
    session.watched.push({ shard, slot, version, database, hash, key, existed });
  }
  reply.ok();
}

function unwatch(context: CommandContext): void {
  // EXEC holds the locks of the watched keys' shards, and unwatches when it has released them.
  if (!context.inTransaction) context.session.unwatchAll();
  context.reply.ok();
}

export const transactionHandlers: Readonly<Record<string, Handler>> = {
  MULTI: multi,
  EXEC: exec,
  DISCARD: discard,
  WATCH: watch,
  UNWATCH: unwatch,
};
