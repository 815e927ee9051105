/**
 * The clients of one worker that wait for keys, by what ends their waits: being served, time, CLIENT UNBLOCK, the end of
 * the connection. Whichever of these claims the client's ticket (state/client-table.ts) ends the wait; the others find
 * it claimed. What the client has in the queues of keys (keyspace/waiters.ts) is removed afterwards, by this worker.
 */

import { defer, lockUnlessBusy, type TakeLock } from '../keyspace/deferred-work.js';
import type { Shard } from '../keyspace/shard.js';
import { ReplyWriter } from '../protocol/reply-writer.js';
import type { ClientTable } from '../state/client-table.js';
import type { ControlBlock } from '../state/control-block.js';
import { type Message, MessageKind } from '../state/mail.js';
import type { ProcessState } from '../state/process-state.js';
import { equalBytes } from '../structures/copy.js';
import { monotonicMs } from '../system/clock.js';
import type { CommandContext } from './context.js';
import { type Deadline, Deadlines } from './deadlines.js';
import { OUT_OF_MEMORY } from './errors.js';
import type { Session } from './session.js';
import { CommandFlag } from './table/command-table.js';
import type { QueuedCommand } from './transactions.js';

/** How a wait ended, as messages tell it. */
export const enum WaitEnd {
  /** The payload is the reply. */
  Served = 0,
  TimedOut = 1,
  /** By CLIENT UNBLOCK ERROR. */
  Unblocked = 2,
  /** The user has lost the right to run the command. */
  Denied = 3,
  /** The server has become a replica. */
  Demoted = 4,
}

/** `ServedReply.writtenBytes` of a client that its worker replies to. */
export const NOT_WRITTEN = -1;

/** How a wait ended, and `writtenBytes`, in one number of a message. */
export function packWaitEnd(end: WaitEnd, writtenBytes: number): number {
  return (writtenBytes + 1) * 8 + end;
}

/** The places of a client in the queues of keys. Used again and again: as fresh objects they would be most of the garbage. */
class Places {
  count = 0;
  readonly shards: Shard[] = [];
  readonly waiters: number[] = [];
  /** The arguments that name the keys. */
  readonly keyArguments: number[] = [];

  add(shard: Shard, waiter: number, keyArgument: number): void {
    const index = this.count++;
    this.shards[index] = shard;
    this.waiters[index] = waiter;
    this.keyArguments[index] = keyArgument;
  }
}

/** A client that waits. */
class Wait implements Deadline {
  readonly session: Session;
  readonly command: QueuedCommand;
  readonly ticket: number;
  readonly places: Places;
  deadlineMs = Number.POSITIVE_INFINITY;
  heapIndex = -1;
  /** Where the request, which all places share, is stored. */
  requestShard: Shard | null = null;
  request = 0;
  /** Messages to the client since another thread has replied to it, which follow what is left of the reply. */
  messages: Uint8Array[] | null = null;

  constructor(session: Session, command: QueuedCommand, ticket: number, places: Places) {
    this.session = session;
    this.command = command;
    this.ticket = ticket;
    this.places = places;
  }
}

/** The reply to a client that was served. */
export interface ServedReply {
  /** Where it is among the bytes of those that are kept. */
  readonly offset: number;
  readonly length: number;
  /** How much of it another worker has written to the client's socket, which has counted the command, too; NOT_WRITTEN if none has. */
  readonly writtenBytes: number;
  /** How long serving the client took. */
  readonly milliseconds: number;
  /** Messages to the client since then, which follow the reply. */
  messages: Uint8Array[] | null;
}

/** A client of this worker that was served and is to be resumed. */
interface Served extends ServedReply {
  readonly clientId: number;
  readonly keyArgument: number;
  readonly end: WaitEnd;
}

/** The end of a wait, as the worker gets it to resume the client. */
export interface EndedWait {
  readonly session: Session;
  readonly command: QueuedCommand;
  readonly end: WaitEnd;
  readonly reply: ServedReply;
  /** Where the reply is. */
  readonly bytes: Uint8Array;
  /** The first word of the error that the reply is, '' for none. */
  readonly error: string;
}

const NO_REPLY: ServedReply = {
  offset: 0,
  length: 0,
  writtenBytes: NOT_WRITTEN,
  milliseconds: 0,
  messages: null,
};

/** So many unused places are kept, of so many keys each. */
const SPARE_PLACES_MAX = 256;
const SPARE_PLACES_KEYS_MAX = 32;

/** What the replies of clients that are about to be resumed take as a rule. */
const REPLIES_BYTES = 16 * 1024;

export class WaitRoom {
  private readonly clients: ClientTable;
  private readonly control: ControlBlock;
  private readonly state: ProcessState;
  private readonly workerIndex: number;
  private readonly resume: (ended: EndedWait) => void;
  private readonly waits = new Map<number, Wait>();
  private readonly served: Served[] = [];
  /** The replies of `served`. */
  private readonly replies = new ReplyWriter(REPLIES_BYTES);
  private readonly deadlines = new Deadlines<Wait>();
  private readonly sparePlaces: Places[] = [];

  /** `resume` lets a client of this worker continue. */
  constructor(state: ProcessState, workerIndex: number, resume: (ended: EndedWait) => void) {
    this.state = state;
    this.clients = state.clients;
    this.control = state.control;
    this.workerIndex = workerIndex;
    this.resume = resume;
  }

  /** When the next wait is over, in ms of the monotonic clock. */
  get nextDeadlineMs(): number {
    return this.deadlines.nextMs;
  }

  /** The context's client begins to wait for keys whose shards are locked. Replies OOM if there is no memory. */
  begin(context: CommandContext, firstKey: number, keyCount: number, timeoutMs: number): void {
    const { session, command, keyspace } = context;
    const { blocking } = command;
    if (blocking === null) throw new Error(`${command.fullName} does not wait`);
    const queued = { command, request: context.request.copy() };
    const places = this.sparePlaces.pop() ?? new Places();
    const wait = new Wait(session, queued, this.clients.beginWait(session.clientSlot), places);
    for (let key = firstKey; key < firstKey + keyCount; key++) {
      context.selectKey(key);
      const { shard } = context;
      context.keyDatabase = session.database;
      if (this.isRepeated(context, firstKey, key)) continue;
      if (wait.requestShard === null) {
        wait.requestShard = shard;
        wait.request = shard.waiters.keepRequest({
          commandId: command.id,
          worker: this.workerIndex,
          clientId: session.id,
          args: context.request,
        });
      }
      const waiter =
        wait.request === 0
          ? 0
          : shard.waiters.add(
              context,
              blocking.kind,
              session.clientSlot,
              wait.ticket,
              key,
              wait.requestShard.index,
              wait.request,
            );
      if (waiter === 0) {
        this.clients.claimWait(session.clientSlot, wait.ticket);
        this.leaveLocked(wait);
        context.reply.error(OUT_OF_MEMORY);
        return;
      }
      places.add(shard, waiter, key);
    }
    keyspace.keptLock.letGo();
    this.waits.set(session.id, wait);
    session.postponed = queued;
    session.isWaiting = true;
    this.control.addBlockedClients(1);
    if (timeoutMs === 0) return;
    wait.deadlineMs = monotonicMs() + timeoutMs;
    this.deadlines.add(wait);
    this.control.addTimedClients(1);
  }

  /** Whether one of the arguments from `first` to before `key` names the same key. */
  private isRepeated(context: CommandContext, first: number, key: number): boolean {
    const { bytes, view } = context;
    const offset = context.argOffset(key);
    const length = context.argLength(key);
    for (let other = first; other < key; other++) {
      if (context.argLength(other) !== length) continue;
      if (equalBytes(bytes, view, context.argOffset(other), bytes, view, offset, length)) return true;
    }
    return false;
  }

  /** Ends the waits whose time is over. */
  expire(nowMs: number): void {
    for (let wait = this.deadlines.takeDue(nowMs); wait !== null; wait = this.deadlines.takeDue(nowMs)) {
      // If the claim fails, the wait has ended otherwise, and the message about that is on its way.
      if (this.clients.claimWait(wait.session.clientSlot, wait.ticket)) this.end(wait, WaitEnd.TimedOut);
    }
  }

  /** Ends the waits of clients with write commands: the server is a replica now. */
  endWrites(): void {
    for (const wait of [...this.waits.values()]) {
      if ((wait.command.command.flags & CommandFlag.Write) === 0) continue;
      if (this.clients.claimWait(wait.session.clientSlot, wait.ticket)) this.end(wait, WaitEnd.Demoted);
    }
  }

  /** The client's connection has ended. */
  abandon(session: Session): void {
    const wait = this.waits.get(session.id);
    if (wait === undefined) return;
    this.removeDeadline(wait);
    session.isWaiting = false;
    session.postponed = null;
    const { clients } = this;
    const { clientSlot } = session;
    // The socket is closed next.
    if (!clients.forbidDirectReply(clientSlot)) this.control.addBlockedClients(-1);
    if (clients.claimWait(clientSlot, wait.ticket) || clients.isWaitEndedByKill(clientSlot))
      this.leave(wait, 0);
  }

  /** Ends the wait of a client of any worker; false if it does not wait. For CLIENT UNBLOCK. */
  unblock(clientId: number, slot: number, end: WaitEnd): boolean {
    const worker = this.clients.worker(slot);
    const { clients } = this;
    const { outbox } = this.state;
    if (clients.claimWaitOf(slot, clientId)) {
      outbox.send(worker, MessageKind.WaitEnded, clientId, 0, 0, packWaitEnd(end, NOT_WRITTEN));
      return true;
    }
    const wait = clients.claimConfirmationWaitOf(slot, clientId);
    if (wait === 0) return false;
    outbox.send(worker, MessageKind.Unblocked, clientId, wait, end);
    return true;
  }

  /**
   * The wait of a client of this worker has ended; `finishServed` resumes it. Its reply, bytes[offset, offset + length), is
   * copied.
   */
  noteServed(
    clientId: number,
    keyArgument: number,
    microseconds: number,
    end: WaitEnd,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    length: number,
    writtenBytes = NOT_WRITTEN,
  ): void {
    const at = this.replies.length;
    const messages = this.waits.get(clientId)?.messages ?? null;
    this.replies.rawCopy(bytes, view, offset, length);
    const milliseconds = microseconds / 1000;
    this.served.push({
      clientId,
      keyArgument,
      end,
      offset: at,
      length,
      writtenBytes,
      milliseconds,
      messages,
    });
  }

  /**
   * If the wait of a client has ended but not all of its reply is sent yet, keeps a message to follow it; otherwise false: it can be sent
   * at once. No other thread replies to the client from then on.
   */
  keepMessage({ id, clientSlot }: Session, bytes: Uint8Array, start: number, end: number): boolean {
    const holder = this.served.find((one) => one.clientId === id) ?? this.waits.get(id);
    if (holder === undefined) return false;
    if (holder instanceof Wait && !this.clients.forbidDirectReply(clientSlot)) return false;
    holder.messages ??= [];
    holder.messages.push(bytes.slice(start, end));
    return true;
  }

  /** Whether waits have ended whose clients are not resumed yet. */
  get hasServed(): boolean {
    return this.served.length > 0;
  }

  /** Resumes the clients whose waits have ended. The reply writer must be empty. */
  finishServed(): void {
    if (this.served.length === 0) return;
    // A resumed client's next commands may serve further clients.
    for (let next = this.served.shift(); next !== undefined; next = this.served.shift()) {
      this.end(this.waitOf(next.clientId), next.end, next.keyArgument, next);
    }
    this.replies.reset();
    this.replies.shrinkIfUnused(true);
  }

  private waitOf(clientId: number): Wait {
    const wait = this.waits.get(clientId);
    if (wait === undefined) throw new Error(`client ${clientId} does not wait`);
    return wait;
  }

  /**
   * Takes a message of kind WaitEnded: its first number is the argument that names the key that served the client, its third one
   * comes from `packWaitEnd`. The client is resumed only after all messages have been taken, since its next commands would take messages, too.
   */
  receive({ id, first, second, third, bytes, view, offset, length }: Message): void {
    this.noteServed(id, first, second, third & 7, bytes, view, offset, length, (third >> 3) - 1);
  }

  private end(wait: Wait, end: WaitEnd, keyArgument = 0, reply = NO_REPLY): void {
    const { session, command } = wait;
    const { offset, length } = reply;
    const { bytes } = this.replies;
    this.removeDeadline(wait);
    this.leave(wait, keyArgument);
    // The connection may have ended after the wait was claimed.
    if (!session.isWaiting) return;
    session.isWaiting = false;
    if (!this.clients.forbidDirectReply(session.clientSlot)) this.control.addBlockedClients(-1);
    const error = length > 0 && bytes[offset] === 0x2d ? firstWord(bytes, offset + 1, offset + length) : '';
    this.resume({ session, command, end, reply, bytes, error });
  }

  private removeDeadline(wait: Wait): void {
    if (wait.deadlineMs === Number.POSITIVE_INFINITY) return;
    this.deadlines.remove(wait);
    wait.deadlineMs = Number.POSITIVE_INFINITY;
    this.control.addTimedClients(-1);
  }

  /** Removes a client from all queues except that of the key `servedArgument`: the serving thread has done that. */
  private leave(wait: Wait, servedArgument: number): void {
    this.waits.delete(wait.session.id);
    if (this.leftAll(wait, servedArgument, lockUnlessBusy)) return;
    defer((takeLock) => this.leftAll(wait, servedArgument, takeLock));
  }

  /** Leaves the queues whose locks can be had, from the last one on. Returns false if one of them must wait. */
  private leftAll(
    { places, requestShard, request }: Wait,
    servedArgument: number,
    takeLock: TakeLock,
  ): boolean {
    const { shards, waiters, keyArguments } = places;
    for (; places.count > 0; places.count--) {
      const index = places.count - 1;
      if (keyArguments[index] === servedArgument) continue;
      if (!takeLock(shards[index])) return false;
      shards[index].waiters.remove(waiters[index]);
      shards[index].unlock();
    }
    // The places in the queues refer to the request: it is freed after the last of them.
    if (requestShard !== null && request !== 0) {
      if (!takeLock(requestShard)) return false;
      requestShard.waiters.freeRequest(request);
      requestShard.unlock();
    }
    this.giveBack(places);
    return true;
  }

  private giveBack(places: Places): void {
    const { sparePlaces } = this;
    if (sparePlaces.length >= SPARE_PLACES_MAX || places.shards.length > SPARE_PLACES_KEYS_MAX) return;
    places.count = 0;
    sparePlaces.push(places);
  }

  /** The same for a wait that has just begun, whose shards are locked. */
  private leaveLocked({ places, requestShard, request }: Wait): void {
    for (let index = 0; index < places.count; index++) {
      places.shards[index].waiters.remove(places.waiters[index]);
    }
    if (request !== 0) requestShard?.waiters.freeRequest(request);
    this.giveBack(places);
  }
}

function firstWord(bytes: Uint8Array, start: number, end: number): string {
  let text = '';
  for (let at = start; at < end && bytes[at] !== 0x20 && bytes[at] !== 0x0d; at++) {
    text += String.fromCharCode(bytes[at]);
  }
  return text;
}
