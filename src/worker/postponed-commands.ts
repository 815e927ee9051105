/**
 * Connections whose command waits for something other than keys: for the end of CLIENT PAUSE, for other threads, for replicas.
 * They are not read from meanwhile. A worker looks after them when it is woken, at each tick, and at the first deadline.
 */

import type { ServerServices } from '../execution/services.js';
import type { PostponedWork, Session } from '../execution/session.js';
import type { QueuedCommand } from '../execution/transactions.js';
import type { Connection } from '../network/connection.js';
import { PauseKind } from '../state/control-block.js';
import { monotonicMs } from '../system/clock.js';

/** The worker whose commands these are. */
export interface PostponedOwner {
  /** Runs a command that need not wait any more; it may be postponed again. */
  goOn(connection: Connection, session: Session, postponed: QueuedCommand): void;
  /** The command is done, or waits for keys from now on. */
  hasGoneOn(connection: Connection, session: Session): void;
}

export class PostponedCommands {
  /** The earliest deadline of a command, at which it is resumed in any case, in ms of the monotonic clock. */
  nextDeadlineMs = Number.POSITIVE_INFINITY;
  private readonly connections = new Set<Connection>();
  private readonly services: ServerServices;
  private readonly owner: PostponedOwner;

  constructor(services: ServerServices, owner: PostponedOwner) {
    this.services = services;
    this.owner = owner;
  }

  get size(): number {
    return this.connections.size;
  }

  add(connection: Connection, session: Session): void {
    if (!this.connections.has(connection)) this.services.state.control.addBlockedClients(1);
    this.connections.add(connection);
    this.noteDeadline(session);
  }

  /** `work`: what the command has waited for. */
  remove(connection: Connection, work: PostponedWork | null): void {
    if (this.connections.delete(connection) && work?.isRepliedTo !== true)
      this.services.state.control.addBlockedClients(-1);
  }

  private noteDeadline({ postponedWork }: Session): void {
    const deadlineMs = postponedWork?.deadlineMs;
    if (deadlineMs !== undefined && deadlineMs < this.nextDeadlineMs) this.nextDeadlineMs = deadlineMs;
  }

  /** Resumes the commands whose pause or work is over. */
  resume(): void {
    this.nextDeadlineMs = Number.POSITIVE_INFINITY;
    if (this.connections.size === 0) return;
    const { transfers, state } = this.services;
    transfers.collect();
    // While everything is paused, the tick looks again.
    if (state.control.pauseKind(monotonicMs()) === PauseKind.All) return;
    for (const connection of [...this.connections]) {
      const { session } = connection;
      if (session === null || session.postponed === null) continue;
      const work = session.postponedWork;
      if (work?.isReady !== false) this.owner.goOn(connection, session, session.postponed);
      if (connection.isClosed) continue;
      if (session.postponed !== null && !session.isWaiting) {
        this.noteDeadline(session);
      } else {
        this.remove(connection, work);
        this.owner.hasGoneOn(connection, session);
      }
    }
  }
}
