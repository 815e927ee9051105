/**
 * What moves bytes between sockets and the protocol: the interface of the transports, io_uring
 * (io-uring-transport.ts, Linux 6.1), epoll (epoll-transport.ts, Linux) and node:net (node-transport.ts, anywhere).
 */

import type { ReplyWriter } from '../protocol/reply-writer.js';
import type { Connection } from './connection.js';

export type TransportKind = 'io_uring' | 'epoll' | 'node';

/** The layer above: gets the bytes, appends replies to the transport's reply writer. */
export interface ConnectionHandler {
  onOpen(connection: Connection): void;
  /**
   * bytes[start, end) have arrived. Returns the offset of the first byte not consumed, which will come
   * again with what follows it. `bytesNeeded` tells how much that is at least.
   */
  onData(connection: Connection, bytes: Uint8Array, view: DataView, start: number, end: number): number;
  readonly bytesNeeded: number;
  /**
   * Bytes have come, but fewer than are needed. The connection keeps them. If the handler marks it as closing, it is
   * closed.
   */
  onPart(connection: Connection): void;
  /** After `onData`: the rest is to be handed over again in the next round, without waiting for more input. */
  readonly isPaused: boolean;
  /** `maxclients` and `tcp-keepalive` (seconds, 0 for off), for a transport that accepts by itself. */
  readonly clientsMax: number;
  readonly keepAliveSeconds: number;
  /** A connection was refused because there are `clientsMax` already. */
  onRefused(): void;
  /** A connection could not be accepted and waits; only from a transport that accepts by itself. */
  onAcceptFailed(reason: string): void;
  onClose(connection: Connection): void;
  /** TLS failed, or the stream ended without a TLS goodbye; the connection is about to be closed. */
  onTlsFailure(connection: Connection, reason: string): void;
  /** A connection was detached as asked; its socket and its input are the handler's now. */
  onDetached(connection: Connection): void;
  /** Another thread has put something into this worker's mailbox. */
  onWake(): void;
  /** All input that had come has been handed over; the transport now waits for more. */
  onRoundEnd(): void;
  /**
   * Called after a tick that has left work, as long as nothing else is to be done. Takes about a millisecond at
   * most; returns whether there is more.
   */
  onSpareTime(): boolean;
  /** Called every TICK_MS while there is work, else every IDLE_TICK_MS. Returns whether work is left. */
  onTick(): boolean;
  /** When `onDeadline` is to be called, in ms of the monotonic clock; infinity for never. */
  readonly nextDeadlineMs: number;
  onDeadline(): void;
  /** Something other than a reply, such as a published message, is about to be sent to a connection. */
  onDelivery(connection: Connection): void;
  /** Output waits because the client does not read. */
  onOutputPending(connection: Connection): void;
}

export interface Transport {
  readonly reply: ReplyWriter;
  start(): void;
  /** Sends what is in `reply` to a connection, outside of `onData`. */
  send(connection: Connection): void;
  /**
   * Sends the bytes of `writer` from `start` on to a connection, at the end of the round or earlier. Many connections
   * share the bytes, which must stay until then. Adjacent bytes for one connection go in one send.
   */
  deliver(connection: Connection, writer: ReplyWriter, start: number): void;
  /** The common name in the certificate of a client, a byte string; '' if it has shown none. */
  certificateName(connection: Connection): string;
  /** Sends all that was delivered; the writers can be used anew. */
  flushDeliveries(): void;
  /** Sends the output that was held back (Connection.isOutputHeld). */
  releaseOutput(connection: Connection): void;
  pauseReading(connection: Connection): void;
  resumeReading(connection: Connection): void;
  /** Closes now; with `afterReply` once pending output is sent. */
  close(connection: Connection, afterReply: boolean): void;
  readonly connectionCount: number;
  stop(): void;
}

/** Time between two ticks of a worker that has anything to do. */
export const TICK_MS = 100;
/** Time between two ticks of a worker that got nothing since the last one: waking up costs, too. */
export const IDLE_TICK_MS = 300;

/** A connection with so much unsent output is not read from until it has drained. */
export const PENDING_OUTPUT_BYTES_MAX = 256 * 1024 * 1024;
