/**
 * MIGRATE: sends keys to another server and deletes them here once it has them.
 *
 * Redis stops everything until the other server has answered. Here no thread waits for the network while it holds a
 * lock, so the command runs in two halves:
 *
 *   1. Under the locks of its keys it copies their values and begins to watch the keys, as WATCH does; then it hands
 *      the copies to the transfer thread and postpones itself (Session.postponed).
 *   2. When the other server has answered it runs again, under the same locks, and deletes the keys that have not
 *      changed since. Those that have are sent again, with REPLACE, or deleted there if they are gone here.
 *
 * So writes made meanwhile arrive, too. A key that keeps changing is sent a last time while its lock is held;
 * within a transaction locks are held from the beginning.
 */

import type { CommandContext } from '../../execution/context.js';
import { recordDelete } from '../../execution/effects.js';
import { SYNTAX_ERROR } from '../../execution/errors.js';
import type { PostponedWork } from '../../execution/session.js';
import type { Handler } from '../../execution/table/command-table.js';
import { type Transfer, TransferFailure, type TransferResult } from '../../execution/transfers.js';
import { KeyEvent } from '../../keyspace/events.js';
import type { Shard } from '../../keyspace/shard.js';
import { writePayload } from './dump.js';

const DEFAULT_TIMEOUT_MS = 1000;
/** Rounds in which keys are sent; during the last one the locks are held. */
const ROUNDS_MAX = 4;

const FAILURES: Readonly<Record<Exclude<TransferFailure, TransferFailure.None>, string>> = {
  [TransferFailure.Connecting]: 'IOERR error or timeout connecting to the client',
  [TransferFailure.Writing]: 'IOERR error or timeout writing to target instance',
  [TransferFailure.Reading]: 'IOERR error or timeout reading to target instance',
};

/** The parsed request. Indices of arguments stay valid when the request is copied. */
interface MigrateOptions {
  copies: boolean;
  replaces: boolean;
  /** Arguments of AUTH for the other server. */
  credentials: Uint8Array[];
  /** Numbers of the arguments that are keys. */
  firstKey: number;
  keyCount: number;
  host: string;
  port: number;
  database: string;
  timeoutMs: number;
}

/** A key that is on its way. */
interface SentKey {
  readonly argument: number;
  readonly shard: Shard;
  /** As noted by WATCH; slot -2: the key is not watched, because it stays here or does not exist any more. */
  readonly slot: number;
  readonly version: number;
}

const NOT_WATCHED = -2;
const SHARD_WATCHED = -1;

class Migration implements PostponedWork {
  readonly options: MigrateOptions;
  sent: SentKey[] = [];
  transfer!: Transfer;
  rounds = 0;
  /** The first error of the other server. */
  error = '';

  constructor(options: MigrateOptions) {
    this.options = options;
  }

  get isReady(): boolean {
    return this.transfer.result !== null;
  }

  /** The client has disconnected: its keys stay here. */
  abandon(): void {
    for (const { shard, slot } of this.sent) {
      if (slot < 0) continue;
      shard.lock();
      shard.watchedKeys.unwatch(slot);
      shard.unlock();
    }
  }
}

/** Reads the options; replies with an error and returns null if they make no sense. */
function readOptions(context: CommandContext): MigrateOptions | null {
  const { reply, argCount } = context;
  const options: MigrateOptions = {
    copies: false,
    replaces: false,
    credentials: [],
    firstKey: 3,
    keyCount: 1,
    host: context.argText(1),
    port: Number.parseInt(context.argText(2), 10) || 0,
    database: '',
    timeoutMs: 0,
  };
  for (let index = 6; index < argCount; index++) {
    const following = argCount - 1 - index;
    if (context.argIs(index, 'COPY')) {
      options.copies = true;
    } else if (context.argIs(index, 'REPLACE')) {
      options.replaces = true;
    } else if (context.argIs(index, 'AUTH') && following >= 1) {
      options.credentials = [context.argCopy(++index)];
    } else if (context.argIs(index, 'AUTH2') && following >= 2) {
      options.credentials = [context.argCopy(++index), context.argCopy(++index)];
    } else if (context.argIs(index, 'KEYS')) {
      if (context.argLength(3) !== 0) {
        reply.error('ERR When using MIGRATE KEYS option, the key argument must be set to the empty string');
        return null;
      }
      options.firstKey = index + 1;
      options.keyCount = following;
      break;
    } else {
      reply.error(SYNTAX_ERROR);
      return null;
    }
  }
  if (!context.integer(5)) return null;
  const timeoutMs = context.number.value;
  options.timeoutMs = timeoutMs <= 0 ? DEFAULT_TIMEOUT_MS : Math.min(timeoutMs, 0x7fffffff);
  if (!context.integer(4)) return null;
  options.database = context.argText(4);
  return options;
}

function migrate(context: CommandContext): void {
  const { session } = context;
  const { postponedWork } = session;
  if (postponedWork instanceof Migration) {
    session.postponedWork = null;
    finish(context, postponedWork);
    return;
  }
  const options = readOptions(context);
  if (options === null) return;
  const keys: number[] = [];
  for (let key = options.firstKey; key < options.firstKey + options.keyCount; key++) {
    if (context.findRead(key) !== 0) keys.push(key);
  }
  if (keys.length === 0) context.reply.simple('NOKEY');
  else send(context, new Migration(options), keys);
}

/** The first half: sends keys as they are now. The locks of their shards are held. */
function send(context: CommandContext, migration: Migration, keys: readonly number[]): void {
  const { session, services } = context;
  const { options } = migration;
  const isAgain = migration.rounds++ > 0;
  const holdsLocks = context.inTransaction || migration.rounds === ROUNDS_MAX;
  const commands = new CommandBytes();
  migration.sent = [];
  for (const key of keys) {
    const sent = sendKey(context, options, key, isAgain, commands);
    if (sent === null) {
      unwatch(migration.sent);
      return;
    }
    migration.sent.push(sent);
  }
  const preamble = new CommandBytes();
  let preambleReplies = 0;
  const { credentials, database } = options;
  if (credentials.length > 0) {
    preamble.command(['AUTH', ...credentials]);
    preambleReplies++;
  }
  if (database !== '0') {
    preamble.command(['SELECT', database]);
    preambleReplies++;
  }
  migration.transfer = services.transfers.start({
    host: options.host,
    port: options.port,
    timeoutMs: options.timeoutMs,
    preamble: preamble.join(),
    preambleReplies,
    commands: commands.join(),
    replies: keys.length,
  });
  if (holdsLocks) {
    services.transfers.wait(migration.transfer);
    finish(context, migration);
  } else {
    session.postponedWork = migration;
    session.postponed = { command: context.command, request: context.request.copy() };
  }
}

/**
 * Adds the command that makes the other server's key like this one, and watches this one unless it stays. Replies with
 * an error and returns null if the value is damaged.
 */
function sendKey(
  context: CommandContext,
  { copies, replaces }: MigrateOptions,
  argument: number,
  isAgain: boolean,
  commands: CommandBytes,
): SentKey | null {
  const entry = context.peek(argument);
  const { shard, keyDatabase, hash, nowMs, expiresAtMs } = context;
  const key = context.argCopy(argument);
  if (entry === 0) {
    commands.command(['DEL', key]);
    return { argument, shard, slot: NOT_WATCHED, version: 0 };
  }
  const ttl = expiresAtMs < 0 ? 0 : Math.max(1, expiresAtMs - nowMs);
  const payload = writePayload(context, shard, entry);
  if (payload === null) return null;
  const value = payload.bytes.slice(0, payload.length);
  commands.command(['RESTORE', key, String(ttl), value, ...(replaces || isAgain ? ['REPLACE'] : [])]);
  // A key that is only copied stays here, so it need not be watched.
  if (copies) return { argument, shard, slot: NOT_WATCHED, version: 0 };
  const slot = shard.watchedKeys.watch(keyDatabase, hash);
  const version = slot === SHARD_WATCHED ? shard.dirtyCount : shard.watchedKeys.version(slot);
  return { argument, shard, slot, version };
}

/** The second half: deletes what has arrived, and sends again what has changed. The same locks are held. */
function finish(context: CommandContext, migration: Migration): void {
  const { reply } = context;
  const { options } = migration;
  const result = migration.transfer.result as TransferResult;
  const changed = unwatch(migration.sent);
  const again: number[] = [];
  for (const [index, { argument, slot }] of migration.sent.entries()) {
    const answer = result.replies[index];
    if (answer === undefined) break;
    if (answer !== '') migration.error ||= answer;
    else if (changed[index]) again.push(argument);
    else if (!options.copies && slot !== NOT_WATCHED) deleteMoved(context, argument);
  }
  migration.error ||= result.preambleError;
  if (result.failure === TransferFailure.None && again.length > 0) {
    send(context, migration, again);
  } else if (migration.error !== '') {
    reply.error(`ERR Target instance replied with error: ${migration.error}`);
  } else if (result.failure !== TransferFailure.None) {
    reply.error(FAILURES[result.failure]);
  } else {
    reply.ok();
  }
}

/** Ends watching; returns for each key whether it has changed. */
function unwatch(keys: readonly SentKey[]): boolean[] {
  const changed = keys.map(({ shard, slot, version }) => {
    if (slot === NOT_WATCHED) return false;
    return (slot === SHARD_WATCHED ? shard.dirtyCount : shard.watchedKeys.version(slot)) !== version;
  });
  for (const { shard, slot } of keys) if (slot >= 0) shard.watchedKeys.unwatch(slot);
  return changed;
}

/** Deletes a key that has arrived. */
function deleteMoved(context: CommandContext, argument: number): void {
  if (context.findWrite(argument) === 0) return;
  context.remove();
  context.changed(KeyEvent.Delete);
  recordDelete(context);
}

/** Requests as bytes. */
class CommandBytes {
  private readonly parts: Uint8Array[] = [];
  private lengthBytes = 0;

  command(args: readonly (string | Uint8Array)[]): void {
    this.add(Buffer.from(`*${args.length}\r\n`));
    for (const arg of args) {
      const bytes = typeof arg === 'string' ? Buffer.from(arg) : arg;
      this.add(Buffer.from(`$${bytes.length}\r\n`));
      this.add(bytes);
      this.add(Buffer.from('\r\n'));
    }
  }

  private add(bytes: Uint8Array): void {
    this.parts.push(bytes);
    this.lengthBytes += bytes.length;
  }

  /** Everything in one buffer of its own. */
  join(): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(this.lengthBytes);
    let at = 0;
    for (const part of this.parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}

export const migrateHandlers: Readonly<Record<string, Handler>> = { MIGRATE: migrate };
