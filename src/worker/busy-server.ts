/**
 * What a worker does with its clients while a slow script runs in it: each few milliseconds the script lets it look at its
 * sockets (`SocketTransport.serveAside`). Commands are parsed and run as always, but with a context, a reply buffer and a parser
 * of their own, since those of the worker are in the middle of the script's command. Nearly all are refused with BUSY; those that
 * pass are SCRIPT KILL and the like, which touch no keys.
 */

import { CommandContext } from '../execution/context.js';
import { Dispatcher } from '../execution/dispatcher.js';
import { Executor } from '../execution/executor.js';
import type { Session } from '../execution/session.js';
import type { Connection } from '../network/connection.js';
import type { SocketTransport } from '../network/socket-transport.js';
import type { ConnectionHandler } from '../network/transport.js';
import { ReplyWriter } from '../protocol/reply-writer.js';
import { monotonicMs } from '../system/clock.js';

const REPLY_BYTES = 16 * 1024;

/** What the worker does itself. */
export interface BusyWorker extends ConnectionHandler {
  /** What has to happen once commands of a connection have run. */
  afterCommands(connection: Connection, session: Session): void;
  /** Brings the client's row up to date, for others who look at it while the script runs. */
  publishClient(connection: Connection, session: Session): void;
  /** Takes messages of other threads: they may bring connections that move here, whose clients want answers. */
  takeMail(): void;
}

export class BusyServer implements ConnectionHandler {
  private readonly worker: BusyWorker;
  private readonly context: CommandContext;
  private readonly dispatcher: Dispatcher;
  private readonly reply = new ReplyWriter(REPLY_BYTES);
  /** Another thread has woken this one; the worker has to do the rest of its work for that later. */
  wasWoken = false;

  constructor(worker: BusyWorker, { keyspace, table, services }: CommandContext, counters: Float64Array) {
    this.worker = worker;
    this.context = new CommandContext(keyspace, table, this.reply, services, counters);
    this.dispatcher = new Dispatcher(new Executor(this.context), this.reply);
  }

  /** Serves all connections that have sent something, except the one whose script runs. */
  serve(transport: SocketTransport, running: Connection | null): void {
    const { gate } = this.context.keyspace;
    const { originClient } = gate;
    this.context.nowMs = Date.now();
    this.dispatcher.parser.maxBulkLengthBytes = this.context.services.maxBulkLengthBytes;
    transport.serveAside(this, this.reply, running);
    gate.originClient = originClient;
  }

  get bytesNeeded(): number {
    return this.dispatcher.bytesNeeded;
  }

  get isPaused(): boolean {
    return this.dispatcher.isPaused;
  }

  onAcceptFailed(reason: string): void {
    this.worker.onAcceptFailed(reason);
  }

  get clientsMax(): number {
    return this.worker.clientsMax;
  }

  get keepAliveSeconds(): number {
    return this.worker.keepAliveSeconds;
  }

  onData(connection: Connection, bytes: Uint8Array, view: DataView, start: number, end: number): number {
    const { session } = connection;
    if (session === null) return end;
    session.lastInteractionMs = monotonicMs();
    const position = this.dispatcher.dispatch(connection, session, bytes, view, start, end);
    this.worker.afterCommands(connection, session);
    this.worker.publishClient(connection, session);
    return position;
  }

  onPart(connection: Connection): void {
    this.worker.onPart(connection);
  }

  onOpen(connection: Connection): void {
    this.worker.onOpen(connection);
  }

  onClose(connection: Connection): void {
    this.worker.onClose(connection);
  }

  onTlsFailure(connection: Connection, reason: string): void {
    this.worker.onTlsFailure(connection, reason);
  }

  onDetached(connection: Connection): void {
    this.worker.onDetached(connection);
  }

  onRefused(): void {
    this.worker.onRefused();
  }

  onWake(): void {
    this.worker.takeMail();
    this.wasWoken = true;
  }

  onDelivery(connection: Connection): void {
    this.worker.onDelivery(connection);
  }

  onOutputPending(connection: Connection): void {
    this.worker.onOutputPending(connection);
  }

  // The worker calls these between rounds, so never while a script runs.

  onRoundEnd(): void {}

  onTick(): boolean {
    return false;
  }

  onSpareTime(): boolean {
    return false;
  }

  onDeadline(): void {}

  get nextDeadlineMs(): number {
    return Number.POSITIVE_INFINITY;
  }
}
