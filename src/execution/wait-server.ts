/**
 * Serves clients that wait for keys. The thread that has made a key ready does this at the end of its hold, while it
 * still holds the locks: so no other command runs between the change and the waiting clients, which are served in the
 * order in which they came. The client may be any worker's. Once the locks are free, its reply is written to its socket if
 * nothing else is to be sent to it before (`ClientTable.allowDirectReply`), so that it need not wait until its worker has woken up,
 * and goes to that worker with a note of how much has been written.
 *
 * A client that moves an element to another key needs the lock of that key's shard, too. If another thread holds it,
 * waiting for it here could be a deadlock: the client is served afterwards, under both locks.
 */

import { entryType } from '../keyspace/entry.js';
import { NamedKey, type ReadyKey } from '../keyspace/gate.js';
import type { Keyspace } from '../keyspace/keyspace.js';
import type { Shard } from '../keyspace/shard.js';
import { ShardSet } from '../keyspace/shard-set.js';
import { WaitKind } from '../keyspace/waiters.js';
import { ScriptRunsLong } from '../memory/lock-order.js';
import { ReplyWriter } from '../protocol/reply-writer.js';
import { type ClientTable, ClientWord } from '../state/client-table.js';
import { ServerCounter } from '../state/command-statistics.js';
import { MessageKind } from '../state/mail.js';
import { Refusal } from './access-check.js';
import type { Blocking } from './blocking.js';
import { isNoted } from './command-logs.js';
import type { CommandContext } from './context.js';
import { NO_CONNECTION } from './no-connection.js';
import { NO_REQUEST } from './request.js';
import { Session } from './session.js';
import { type Command, CommandFlag } from './table/command-table.js';
import { NOT_WRITTEN, packWaitEnd, WaitEnd } from './wait-room.js';

/** What is sent to a served client once the locks are free. */
interface Delivery {
  readonly command: Command;
  readonly slot: number;
  readonly ticket: number;
  readonly worker: number;
  readonly clientId: number;
  readonly keyArgument: number;
  readonly microseconds: number;
  readonly end: WaitEnd;
  /** Where its reply is in the server's writer. */
  readonly offset: number;
  readonly length: number;
}

const MINUS = 0x2d;
/** Longer replies are left to the client's worker: the socket may not take them at once. */
const DIRECT_BYTES_MAX = 16 * 1024;

/** What replies take as a rule until they are delivered. */
const REPLIES_BYTES = 16 * 1024;

/** A key whose first waiter needs the lock of another shard. */
interface Deferred {
  readonly name: NamedKey;
  readonly shard: Shard;
  readonly other: Shard;
}

export class WaitServer {
  private readonly context: CommandContext;
  private readonly keyspace: Keyspace;
  private readonly clients: ClientTable;
  /** Of the client that is being served. */
  private readonly waiting = {
    commandId: 0,
    worker: 0,
    clientId: 0,
    slot: 0,
    ticket: 0,
    args: NO_REQUEST.copy(),
  };
  /** The replies that have not been delivered. */
  private readonly reply = new ReplyWriter(REPLIES_BYTES);
  private readonly session = new Session(0, NO_CONNECTION, 0);
  /** Shards that were locked to serve a client. */
  private readonly locked: Shard[] = [];
  private readonly deliveries: Delivery[] = [];
  private deferred: Deferred[] = [];
  private heldBack: Deferred[] = [];

  constructor(context: CommandContext) {
    this.context = context;
    this.keyspace = context.keyspace;
    this.clients = context.services.state.clients;
  }

  serve(): void {
    const { context, keyspace } = this;
    const { request, session, command, reply, inTransaction, nowMs } = context;
    const { ready } = keyspace.gate;
    context.reply = this.reply;
    context.inTransaction = false;
    // The command that made the key ready may have taken a while, and the key may have expired.
    context.nowMs = Math.max(nowMs, Date.now());
    // Serving the clients of one key may make other keys ready.
    for (let next = ready.shift(); next !== undefined; next = ready.shift()) this.serveKey(next);
    // A key that was found expired is recorded as deleted before others can set it.
    keyspace.journal.forget();
    keyspace.journal.commit(false);
    for (const shard of this.locked) keyspace.release(shard);
    this.locked.length = 0;
    context.nowMs = nowMs;
    context.reply = reply;
    context.session = session;
    context.command = command;
    context.inTransaction = inTransaction;
    context.select(request);
    keyspace.gate.hasNotices ||= this.deliveries.length > 0 || this.deferred.length > 0;
  }

  /** Serves the clients that wait for a key, one after the other, as long as it has something for them. */
  private serveKey({ shard, queue }: ReadyKey): void {
    const { waiters } = shard;
    let left = waiters.count(queue);
    for (let waiter = waiters.first(queue); waiter !== 0 && left > 0; left--) {
      // Read first: serving the waiter removes it.
      const next = waiters.next(waiter);
      if (!this.serveWaiter(shard, queue, waiter)) break;
      waiter = next;
    }
    waiters.unmarkReady(queue);
  }

  /** Serves one waiter if it can be served. Returns false if the others need not be asked. */
  private serveWaiter(shard: Shard, queue: number, waiter: number): boolean {
    const { waiters } = shard;
    const { context, waiting } = this;
    const entry = this.findKey(shard, queue);
    const kind = waiters.kind(waiter);
    if (entry === 0 && kind !== WaitKind.StreamGroup) return waiters.hasWaitersOnNoKey(queue);
    this.keyspace.shards[waiters.requestShard(waiter)].waiters.readRequest(waiters.request(waiter), waiting);
    const command = context.table.byId(waiting.commandId);
    // On a replica only the primary changes keys; the client's wait is about to be ended.
    if ((command.flags & CommandFlag.Write) !== 0 && context.services.state.replication.isReplica)
      return true;
    const blocking = command.blocking as Blocking;
    if (entry !== 0 && kind !== WaitKind.StreamGroup && entryType(shard.words, entry) !== blocking.type)
      return true;
    const keyArgument = waiters.keyArgument(waiter);
    this.enter(waiters.clientSlot(waiter), command);
    if (!blocking.isReady(context, keyArgument)) return true;
    if (blocking.destination !== 0 && !this.lockDestination(shard, queue, blocking.destination)) return false;
    const slot = waiters.clientSlot(waiter);
    const ticket = waiters.ticket(waiter);
    if (!this.clients.claimWait(slot, ticket)) return true;
    waiters.remove(waiter);
    waiting.slot = slot;
    waiting.ticket = ticket;
    if (this.isDenied(slot, command)) {
      this.note(keyArgument, 0, WaitEnd.Denied, this.reply.length);
      return true;
    }
    this.run(blocking, keyArgument);
    return true;
  }

  /** Whether the user of a waiting client has lost the right to run its command. */
  private isDenied(slot: number, command: Command): boolean {
    const { context, clients, session } = this;
    const userId = clients.words[clients.wordBase(slot) + ClientWord.User];
    const { access } = context.services;
    return access.checkWaiter(userId, command, context.request, session.database) !== Refusal.None;
  }

  private run(blocking: Blocking, keyArgument: number): void {
    const { context, reply } = this;
    const { journal } = this.keyspace;
    const startedAt = performance.now();
    const start = reply.length;
    blocking.serve(context, keyArgument);
    journal.forget();
    journal.commit(true);
    const microseconds = Math.round((performance.now() - startedAt) * 1000);
    this.note(keyArgument, microseconds, WaitEnd.Served, start);
  }

  /** Notes how a wait has ended, for `deliver`. The reply is what has been written since `offset`. */
  private note(keyArgument: number, microseconds: number, end: WaitEnd, offset: number): void {
    const { slot, ticket, worker, clientId } = this.waiting;
    const { command } = this.context;
    const length = this.reply.length - offset;
    const served = { command, slot, ticket, worker, clientId };
    this.deliveries.push({ ...served, keyArgument, microseconds, end, offset, length });
  }

  /** Makes the context that of a waiting client. */
  private enter(slot: number, command: Command): void {
    const { context, session, reply, clients } = this;
    const row = clients.wordBase(slot);
    session.database = clients.words[row + ClientWord.Database];
    session.protocol = clients.words[row + ClientWord.Protocol] === 3 ? 3 : 2;
    reply.protocol = session.protocol;
    context.session = session;
    context.command = command;
    context.select(this.waiting.args);
  }

  /** The entry of the key of a queue, 0 if there is none. */
  private findKey(shard: Shard, queue: number): number {
    const { waiters } = shard;
    const slot = shard.find(
      waiters.database(queue),
      waiters.hash(queue),
      shard.bytes,
      shard.view,
      waiters.keyOffset(queue),
      waiters.keyLength(queue),
      this.context.nowMs,
    );
    return slot === 0 ? 0 : shard.words[slot];
  }

  /** Locks the shard of another key if it is not held; if that fails, notes the key to be served later, and false. */
  private lockDestination(shard: Shard, queue: number, argument: number): boolean {
    const { context, keyspace, locked } = this;
    const other = keyspace.shardOf(context.bytes, context.argOffset(argument), context.argLength(argument));
    if (keyspace.isHeld(other) || locked.includes(other)) return true;
    if (other.tryLock()) {
      locked.push(other);
      return true;
    }
    const { waiters } = shard;
    const database = waiters.database(queue);
    const hash = waiters.hash(queue);
    const name = NamedKey.copy(
      shard.bytes,
      database,
      hash,
      waiters.keyOffset(queue),
      waiters.keyLength(queue),
    );
    this.deferred.push({ name, shard, other });
    return false;
  }

  /** Sends the replies to served clients, when the locks are free. */
  deliver(): void {
    const { deliveries, context, reply } = this;
    if (deliveries.length === 0) return;
    const { state, workerIndex, waitRoom } = context.services;
    for (const delivery of deliveries) {
      const { worker, clientId, keyArgument, microseconds, end, offset, length } = delivery;
      const { bytes, view } = reply;
      if (worker === workerIndex) {
        waitRoom.noteServed(clientId, keyArgument, microseconds, end, bytes, view, offset, length);
      } else {
        const kind = MessageKind.WaitEnded;
        const textEnd = offset + length;
        const how = packWaitEnd(end, this.writeDirectly(delivery));
        state.outbox.send(worker, kind, clientId, keyArgument, microseconds, how, bytes, offset, textEnd);
      }
    }
    deliveries.length = 0;
    reply.reset();
  }

  /** Counts a command and writes its reply to the client's socket, if that is allowed. Returns `ServedReply.writtenBytes`. */
  private writeDirectly({ command, slot, ticket, microseconds, end, offset, length }: Delivery): number {
    const { clients, keyspace, context, reply } = this;
    const { services } = context;
    const { control, counters } = services.state;
    // Replies that wait for the disk are kept by the client's worker, which also knows more of the client for logs.
    const isLeft =
      end !== WaitEnd.Served ||
      length > DIRECT_BYTES_MAX ||
      reply.bytes[offset] === MINUS ||
      keyspace.journal.ring.mustWait ||
      isNoted(services.config, microseconds / 1000);
    const fd = isLeft ? -1 : clients.beginDirectReply(slot, ticket);
    if (fd < 0) return NOT_WRITTEN;
    keyspace.keptLock.letGo();
    // Before the reply: who has read it finds that the command is done.
    control.addBlockedClients(-1);
    counters.recordCall(command.id, microseconds * 1000);
    counters.server[ServerCounter.CommandsProcessed]++;
    const written = services.writeDirectly(fd, reply, offset, offset + length);
    clients.endDirectReply(slot);
    return written;
  }

  /** Serves the clients that have to be served under other locks. */
  serveDeferred(): void {
    if (this.deferred.length === 0) return;
    const { deferred } = this;
    this.deferred = [];
    for (const waiting of deferred) this.serveUnderBoth(waiting);
  }

  /** Serves the clients that CLIENT PAUSE has held back, if it is over. No lock is held. */
  serveHeldBack(): void {
    if (this.heldBack.length === 0 || this.context.services.state.control.areWritesPaused) return;
    const { heldBack } = this;
    this.heldBack = [];
    for (const waiting of heldBack) this.serveUnderBoth(waiting);
  }

  /** Tries again to serve the clients that wait for a key, now with the lock of the other shard as well. */
  private serveUnderBoth(waiting: Deferred): void {
    const { name, shard, other } = waiting;
    const both = new ShardSet(this.keyspace.shards.length);
    both.add(shard.index);
    both.add(other.index);
    try {
      this.keyspace.lockSet(both);
    } catch (error) {
      if (!(error instanceof ScriptRunsLong)) throw error;
      // Tried again with the next notices, when the script has ended.
      this.deferred.push(waiting);
      this.keyspace.gate.hasNotices = true;
      return;
    }
    // A pause that has begun since the key became ready holds these clients back.
    if (this.context.services.state.control.areWritesPaused) this.heldBack.push(waiting);
    else shard.noteReady(name);
    this.keyspace.endHolds(both);
  }
}
