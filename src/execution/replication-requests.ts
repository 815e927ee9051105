/** What commands ask of the replication thread, and how they wait for it. */

import type { ClientTable } from '../state/client-table.js';
import { type Confirmations, NO_ENTRY } from '../state/confirmations.js';
import { MessageKind } from '../state/mail.js';
import type { ProcessState } from '../state/process-state.js';
import type { ReplicationState } from '../state/replication-state.js';
import { monotonicMs } from '../system/clock.js';
import type { CommandContext } from './context.js';
import type { PostponedWork } from './session.js';
import { WaitEnd } from './wait-room.js';

/** A request, as it is sent in JSON. */
export type ReplicationRequest =
  | { readonly kind: 'replicaof'; readonly host: string; readonly port: number }
  | { readonly kind: 'failover'; readonly failover: FailoverRequest }
  | { readonly kind: 'abort-failover' }
  /** A replica takes over, as the primary asks it to. */
  | { readonly kind: 'take-over' };

export interface FailoverRequest {
  /** '': any replica. */
  readonly host: string;
  readonly port: number;
  /** 0: none. */
  readonly timeoutMs: number;
  readonly isForced: boolean;
}

/** Limit of the wait for the replication thread when a command can't be postponed. */
const WAIT_MS_MAX = 10_000;

/** A command that waits until the replication thread has done what it asks. */
export class ReplicationWork implements PostponedWork {
  private readonly state: ReplicationState;
  private readonly ticket: number;

  constructor(state: ReplicationState, ticket: number) {
    this.state = state;
    this.ticket = ticket;
  }

  get isReady(): boolean {
    return this.state.isServed(this.ticket);
  }

  abandon(): void {}
}

/** Sends a request. The command goes on when it is served: its handler is called again, with the work in the session. */
export function requestReplication(context: CommandContext, request: ReplicationRequest): void {
  const { services, session } = context;
  const { state, workerCount } = services;
  const { replication, outbox } = state;
  replication.wantThread();
  const ticket = replication.takeTicket();
  outbox.send(workerCount, MessageKind.Replication, ticket, 0, 0, 0, Buffer.from(JSON.stringify(request)));
  if (context.inTransaction) {
    context.keyspace.keptLock.letGo();
    if (request.kind === 'replicaof' && request.host !== '')
      replication.beginAsReplica(request.host, request.port);
    // The replication thread needs all locks: while the transaction holds any, waiting for it would be in vain.
    if (!context.locks.areHeld) replication.waitUntilServed(ticket, WAIT_MS_MAX);
    return;
  }
  session.postponedWork = new ReplicationWork(replication, ticket);
  session.postponed = { command: context.command, request: context.request.copy() };
}

/** Confirmations of a write: 1 if the local disk has it, else 0, and the number of replicas that have it. */
export interface Confirmed {
  readonly local: number;
  readonly replicas: number;
}

/** A client that waits for replicas, or for the disk. */
export class AckWork implements PostponedWork {
  readonly deadlineMs: number;
  private readonly state: ReplicationState;
  private readonly isDone: () => boolean;

  constructor(state: ReplicationState, timeoutMs: number, isDone: () => boolean) {
    this.state = state;
    this.isDone = isDone;
    this.deadlineMs = timeoutMs === 0 ? Number.POSITIVE_INFINITY : monotonicMs() + timeoutMs;
    state.addWaiters(1);
  }

  get isReady(): boolean {
    return this.isDone() || monotonicMs() >= this.deadlineMs;
  }

  abandon(): void {
    this.state.addWaiters(-1);
  }
}

/** What a client of WAIT waits for. */
export interface Wanted {
  readonly offset: number;
  readonly replicas: number;
}

/**
 * WAIT and WAITAOF. The result is kept once it is reached: a replica may leave before the client is told. The replication
 * thread may reply to a client of WAIT (state/confirmations.ts).
 */
export class ConfirmationWork extends AckWork {
  /** What was confirmed when that was enough, or is until now. */
  readonly confirmed: () => Confirmed;
  isRepliedTo = false;
  /** CLIENT UNBLOCK has ended the wait. */
  unblockedBy: WaitEnd.TimedOut | WaitEnd.Unblocked | null = null;
  private readonly confirmations: Confirmations;
  private readonly clients: ClientTable;
  private readonly clientSlot: number;
  /** The number of this wait in the client's row. */
  private readonly wait: number;
  /** null for WAITAOF. */
  private readonly wanted: Wanted | null;
  private entry = NO_ENTRY;
  /** The reply that the replication thread has written, and how much of it the client's socket has taken. */
  reply = '';
  writtenBytes = 0;

  constructor(
    { replication: state, confirmations, clients }: ProcessState,
    clientSlot: number,
    timeoutMs: number,
    measure: () => Confirmed,
    isEnough: (confirmed: Confirmed) => boolean,
    wanted: Wanted | null,
  ) {
    let reached: Confirmed | null = null;
    super(state, timeoutMs, () => {
      if (reached !== null || state.isReplica) return true;
      const confirmed = measure();
      if (isEnough(confirmed)) reached = confirmed;
      return reached !== null;
    });
    this.confirmed = () => reached ?? measure();
    this.confirmations = confirmations;
    this.clients = clients;
    this.clientSlot = clientSlot;
    this.wait = clients.beginConfirmationWait(clientSlot);
    this.wanted = wanted;
  }

  override get isReady(): boolean {
    const isServed = this.entry !== NO_ENTRY && this.confirmations.isServed(this.entry);
    return isServed || this.unblockedBy !== null || super.isReady;
  }

  /** Whether the replication thread could reply: then the client's socket has to be sent everything else before `allowReply`. */
  get mayBeRepliedTo(): boolean {
    return this.wanted !== null;
  }

  /** Lets the replication thread reply to the client through its socket. */
  allowReply(worker: number, descriptor: number): void {
    if (this.wanted === null || this.entry !== NO_ENTRY) return;
    this.entry = this.confirmations.begin(worker, descriptor, this.wanted.replicas, this.wanted.offset);
  }

  /** CLIENT UNBLOCK has ended a wait of this client: maybe an earlier one. */
  unblock(wait: number, end: WaitEnd): void {
    if (wait === this.wait) this.unblockedBy = end === WaitEnd.Unblocked ? end : WaitEnd.TimedOut;
  }

  override abandon(): void {
    super.abandon();
    this.clients.endConfirmationWait(this.clientSlot, this.wait);
    this.stopReplies();
  }

  /** From now on only the client's worker writes to its socket; `isRepliedTo` tells whether there is a reply. */
  stopReplies(): void {
    const { entry, confirmations } = this;
    if (entry === NO_ENTRY) return;
    this.entry = NO_ENTRY;
    this.isRepliedTo = confirmations.end(entry);
    if (this.isRepliedTo) {
      this.reply = `:${confirmations.confirmed(entry)}\r\n`;
      this.writtenBytes = confirmations.writtenBytes(entry);
    }
    confirmations.release(entry);
  }
}
