/**
 * Connections that go to another thread: to a worker that has less to do (placement.ts), or, if they are replicas, to the
 * replication thread. A connection goes at the end of a round, once nothing binds it here: the transport detaches it, and
 * its descriptor, the slot of its client and what it has sent so far go by mail. Its new owner attaches it.
 */

import type { AccessControl } from '../execution/access-control.js';
import type { ServerServices } from '../execution/services.js';
import type { Handover, Session } from '../execution/session.js';
import type { Connection } from '../network/connection.js';
import type { SocketTransport } from '../network/socket-transport.js';
import type { WorkerChannel } from '../network/worker-channel.js';
import { ServerCounter } from '../state/command-statistics.js';
import { type Message, MessageKind } from '../state/mail.js';
import type { WorkerPlacement } from './placement.js';

/** A connection that brings more input than this stays where it is. */
const MOVED_INPUT_BYTES_MAX = 64 * 1024;
const NO_BYTES = new Uint8Array(0);

/** A connection that another worker has given away. */
interface Arrival {
  readonly fd: number;
  readonly slot: number;
  readonly input: Uint8Array;
}

/** What is needed of the worker whose connections move. */
export interface MovingWorker {
  readonly services: ServerServices;
  readonly access: AccessControl;
  readonly sockets: SocketTransport;
  /** null if there is only one worker. */
  readonly placement: WorkerPlacement | null;
  readonly channels: readonly WorkerChannel[];
  /** Called for a connection that has arrived: it belongs to the worker now. */
  adopt(connection: Connection, session: Session): void;
  /** Called for a connection that has left. */
  forget(connection: Connection, session: Session): void;
}

export class ConnectionMoves {
  private readonly worker: MovingWorker;
  private readonly index: number;
  /** Connections that are to move once the round has ended. */
  private movers: Connection[] = [];
  /** Connections that are to go to the replication thread. */
  private handovers: Connection[] = [];
  private arrivals: Arrival[] = [];

  constructor(worker: MovingWorker) {
    this.worker = worker;
    this.index = worker.services.workerIndex;
  }

  /** A connection has sent something: it may be one that is to move, at the end of the round. */
  noteInput(connection: Connection, mayMove: boolean): void {
    if (this.worker.placement?.noteInput(connection) && mayMove) this.movers.push(connection);
  }

  /** A replica's connection goes to the replication thread, at the end of a round. */
  handOver(connection: Connection): void {
    this.handovers.push(connection);
  }

  /** Detaches the connections that are to move, unless something binds them to this thread now. */
  onRoundEnd(): void {
    const { movers, handovers } = this;
    if (movers.length > 0) {
      this.movers = [];
      for (const connection of movers) {
        if (connection.session?.isMovable && connection.isMovable) this.worker.sockets.detach(connection);
      }
    }
    if (handovers.length > 0) this.letReplicasGo(handovers);
  }

  /** Detaches connections of replicas once their replies have been sent. */
  private letReplicasGo(connections: readonly Connection[]): void {
    this.handovers = [];
    for (const connection of connections) {
      if (connection.isClosed) continue;
      // Kept in the list: it may not be detached at once, or not in this round.
      this.handovers.push(connection);
      if (connection.isOutputHeld || connection.pendingOutputBytes > 0) continue;
      this.worker.sockets.detach(connection);
    }
  }

  /** The transport has let a connection go. */
  onDetached(connection: Connection): void {
    const { index } = this;
    const { services, placement, channels } = this.worker;
    const session = connection.session as Session;
    if (connection.tls !== null)
      services.state.clients.setTlsRecord(session.clientSlot, connection.tls.record);
    const { fd } = connection;
    const input = connection.input?.slice(0, connection.inputLength) ?? NO_BYTES;
    this.worker.forget(connection, session);
    connection.abandon();
    if (session.handover !== null) {
      this.sendReplica(session, session.handover, fd, input);
      return;
    }
    const target = input.length > MOVED_INPUT_BYTES_MAX ? index : (placement?.takeTarget() ?? index);
    const slot = services.clientRows.leave(session, target);
    if (target !== index) {
      channels[target].connectionOpened();
      services.state.outbox.send(target, MessageKind.Connection, session.id, fd, slot, 0, input);
      channels[index].connectionClosed();
      return;
    }
    this.arrivals.push({ fd, slot, input });
    this.takeArrivals();
  }

  /** Gives a replica's connection to the replication thread. */
  private sendReplica(session: Session, handover: Handover, fd: number, input: Uint8Array): void {
    const { services, channels } = this.worker;
    const { workerCount, state } = services;
    const slot = services.clientRows.leave(session, workerCount);
    const head = Buffer.from(JSON.stringify(handover));
    const payload = Buffer.concat([head, input]);
    state.outbox.send(workerCount, MessageKind.Replica, session.id, fd, slot, head.length, payload);
    channels[this.index].connectionClosed();
  }

  /** Another worker has sent a connection. It is attached by `takeArrivals`. */
  receive({ first: fd, second: slot, bytes, offset, length }: Message): void {
    this.arrivals.push({ fd, slot, input: bytes.slice(offset, offset + length) });
  }

  /** Takes over the connections that have moved here. */
  takeArrivals(): void {
    const { arrivals } = this;
    if (arrivals.length === 0) return;
    const { services, access, sockets } = this.worker;
    const { clients, counters } = services.state;
    this.arrivals = [];
    // Their users may have been created by another thread a moment before.
    access.follow();
    for (const { fd, slot, input } of arrivals) {
      const tls = services.clientRows.tlsOf(slot);
      const connection = sockets.attach(fd, tls.session, tls.record);
      const session = services.clientRows.join(slot, connection);
      const isUser = access.resume(session, services.clientRows.userId(slot));
      connection.session = session;
      this.worker.adopt(connection, session);
      counters.server[ServerCounter.ConnectionsMoved]++;
      if (!isUser || clients.isKillRequested(slot)) sockets.close(connection, false);
      else if (input.length > 0) sockets.giveInput(connection, input);
    }
  }
}
