/**
 * The transport on Linux 6.1 and later: everything that a round of the loop sends goes to the kernel in one
 * system call, which also waits for what comes next. The kernel puts what connections send into buffers of the
 * worker; an idle connection holds none.
 *
 * A send is given up as soon as the socket is full: what is left of it waits with the connection, as in the other
 * transports. So every send has ended when the ring's `submit` returns, and the reply buffer can be used again.
 */

import type { ReplyWriter } from '../protocol/reply-writer.js';
import { Epoll, Errno, type Libc } from '../system/libc.js';
import { Connection } from './connection.js';
import type { InputGathering } from './input-gathering.js';
import {
  type BufferGroup,
  CANCEL_ALL_ON_FD,
  CompletionFlag,
  EntryFlag,
  IoUring,
  Operation,
  RECEIVE_MULTISHOT,
} from './io-uring.js';
import { type ByteSource, SocketTransport } from './socket-transport.js';
import type { ConnectionHandler } from './transport.js';
import type { WorkerChannel } from './worker-channel.js';

const REQUESTS_MAX = 1024;
const COMPLETIONS_MAX = 4096;
const BUFFERS = 64;
const BUFFER_BYTES = 16 * 1024;
const BUFFER_GROUP = 0;
/** Longer replies are written at once, so that they need not be kept. */
const KEPT_REPLY_BYTES_MAX = 16 * 1024;
/** When replies under way take so much of the reply buffer, they are submitted before the round ends. */
const REPLIES_IN_FLIGHT_BYTES_MAX = 128 * 1024;
/** If more input than this waits to be handed over, the connection is not read from any more. */
const UNDELIVERED_BYTES_MAX = 64 * 1024;

/** What a request was for: the upper word of its tag. The lower one is the connection's slot. */
const enum Kind {
  None = 0,
  Wake = 1,
  Receive = 2,
  Send = 3,
  Room = 4,
  End = 5,
}

/** As much as the socket takes of all bytes (MSG_DONTWAIT, MSG_WAITALL), and no SIGPIPE. */
const SEND_FLAGS = 0x40 | 0x100 | 0x4000;

class RingConnection extends Connection {
  slot = -1;
  /** Requests under way that hold on to the slot. */
  requests = 0;
  isReceiving = false;
  isReceivingCancelled = false;
  isAwaitingRoom = false;
  isAwaitingEnd = false;
  /** It is to be detached as soon as no request is under way. */
  isLeaving = false;
  /** The last of the gathering's windows in which it sent something. */
  gatheredWindow = 0;
  /** The send under way, if `sendRound` is the present one. */
  sendRound = -1;
  sentBytes: Uint8Array | null = null;
  sentStart = 0;
  sentEnd = 0;
}

export class IoUringTransport extends SocketTransport {
  private readonly ring: IoUring;
  private readonly buffers: BufferGroup;
  private readonly slots: (RingConnection | null)[] = [];
  private readonly freeSlots: number[] = [];
  /** Counts the submissions: sends of earlier rounds have ended. */
  private sendRound = 0;
  protected hasSends = false;
  /** How many have been queued in this round of the loop. */
  private sends = 0;
  private readonly gathering: InputGathering;
  private readonly wakeBuffer = new Uint8Array(8);
  private readonly wakeBufferAddress: number;

  private constructor(
    ring: IoUring,
    buffers: BufferGroup,
    libc: Libc,
    channel: WorkerChannel,
    reply: ReplyWriter,
    handler: ConnectionHandler,
    gathering: InputGathering,
  ) {
    super(libc, channel, reply, handler);
    this.gathering = gathering;
    this.ring = ring;
    this.buffers = buffers;
    this.wakeBufferAddress = libc.addressOf(this.wakeBuffer);
    this.awaitWake();
  }

  /** The transport of this thread; null where the kernel lacks what it needs, or denies it. */
  static create(
    libc: Libc,
    channel: WorkerChannel,
    reply: ReplyWriter,
    handler: ConnectionHandler,
    gathering: InputGathering,
  ): IoUringTransport | null {
    const ring = IoUring.create(libc, REQUESTS_MAX, COMPLETIONS_MAX);
    if (ring === null) return null;
    const buffers = ring.registerBuffers(BUFFER_GROUP, BUFFERS, BUFFER_BYTES);
    if (buffers === null) {
      ring.close();
      return null;
    }
    return new IoUringTransport(ring, buffers, libc, channel, reply, handler, gathering);
  }

  override stop(): void {
    super.stop();
    this.ring.close();
  }

  protected createConnection(fd: number): RingConnection {
    const connection = new RingConnection(fd, this);
    connection.slot = this.freeSlots.pop() ?? this.slots.push(null) - 1;
    this.slots[connection.slot] = connection;
    return connection;
  }

  protected watch(connection: RingConnection): void {
    this.receive(connection);
  }

  protected round(waitMs: number, nowMs: number): number {
    const { ring, gathering } = this;
    const { isInputLeft } = this;
    if (isInputLeft) this.deliverLeft();
    this.submitAndWait(isInputLeft ? 0 : waitMs);
    const count = ring.completed;
    // A handler that calls `serveAside` consumes some of them.
    for (let handled = 0; handled < count && ring.completed > 0; handled++) {
      const kind: Kind = ring.tagHigh(0);
      const slot = ring.tagLow(0);
      const result = ring.result(0);
      const flags = ring.flags(0);
      ring.consume(1);
      if (kind === Kind.Receive) this.handleReceived(this.slots[slot] as RingConnection, result, flags);
      else if (kind === Kind.Room) this.handleRoom(this.slots[slot] as RingConnection);
      else if (kind === Kind.End) this.handleEnd(this.slots[slot] as RingConnection);
      else if (kind === Kind.Wake) {
        this.awaitWake();
        this.handleWake();
      }
    }
    gathering.endRound(nowMs, count, this.sends);
    this.sends = 0;
    if (this.isStopped) this.submitNow();
    return isInputLeft ? count + 1 : count;
  }

  private submitAndWait(waitMs: number): void {
    const { ring } = this;
    const { wanted, gatherMs } = this.gathering;
    if (wanted > 1 && waitMs > 0) {
      ring.submit(gatherMs, wanted);
      if (ring.completed === 0) ring.submit(waitMs);
    } else {
      ring.submit(waitMs);
    }
    this.endSends();
  }

  private queue(
    operation: Operation,
    flags: EntryFlag,
    modifiers: number,
    fd: number,
    address: number,
    lengthBytes: number,
    operationFlags: number,
    slot: number,
    kind: Kind,
  ): void {
    if (this.ring.isFull) this.submitNow();
    this.ring.queue(
      operation,
      flags,
      modifiers,
      fd,
      address,
      lengthBytes,
      operationFlags,
      slot,
      kind,
      BUFFER_GROUP,
    );
  }

  /** Submits what is queued without waiting for the end of the round. */
  private submitNow(): void {
    this.ring.submit(0);
    this.endSends();
  }

  /** After a submission, all sends have ended: what they did not send is queued at their connections. */
  private endSends(): void {
    if (!this.hasSends) return;
    this.hasSends = false;
    this.sendRound++;
    const { ring, reply } = this;
    for (let index = 0; index < ring.completed; index++) {
      if (ring.tagHigh(index) !== Kind.Send) continue;
      const connection = this.slots[ring.tagLow(index)] as RingConnection;
      ring.clearTag(index);
      if (!connection.isClosed) this.handleUnsent(connection, ring.result(index));
    }
    if (reply.size === 0) reply.reset();
  }

  private handleUnsent(connection: RingConnection, result: number): void {
    if (result < 0 && result !== -Errno.EAGAIN && result !== -Errno.EINTR) {
      this.close(connection, false);
      return;
    }
    const start = connection.sentStart + Math.max(0, result);
    connection.queueUnsent(connection.sentBytes as Uint8Array, start, connection.sentEnd);
    this.updateInterest(connection);
    this.handler.onOutputPending(connection);
  }

  protected beginAside(): void {
    this.submitNow();
  }

  protected endAside(): void {
    this.submitNow();
  }

  private awaitWake(): void {
    this.queue(
      Operation.Read,
      EntryFlag.None,
      0,
      this.channel.wakeFd,
      this.wakeBufferAddress,
      8,
      0,
      0,
      Kind.Wake,
    );
  }

  private receive(connection: RingConnection): void {
    connection.isReceiving = true;
    connection.isReceivingCancelled = false;
    connection.requests++;
    const { fd, slot } = connection;
    this.queue(Operation.Receive, EntryFlag.BufferSelect, RECEIVE_MULTISHOT, fd, 0, 0, 0, slot, Kind.Receive);
  }

  private cancelAll(connection: RingConnection): void {
    connection.isReceivingCancelled = true;
    this.queue(
      Operation.AsyncCancel,
      EntryFlag.SkipSuccess,
      0,
      connection.fd,
      0,
      0,
      CANCEL_ALL_ON_FD,
      0,
      Kind.None,
    );
  }

  private handleReceived(connection: RingConnection, result: number, flags: number): void {
    const isOver = (flags & CompletionFlag.More) === 0;
    if (isOver) {
      connection.isReceiving = false;
      this.requestEnded(connection);
    }
    if (result > 0) {
      const { gathering } = this;
      if (connection.gatheredWindow !== gathering.window) {
        connection.gatheredWindow = gathering.window;
        gathering.activeConnections++;
      }
      const number = flags >>> 16;
      const start = number * BUFFER_BYTES;
      if (!connection.isClosed && !connection.isClosing) this.takeReceived(connection, start, start + result);
      this.buffers.giveBack(number);
    } else if (result === 0) {
      if (!connection.isClosed) this.noteEnd(connection);
      connection.hasEnded = true;
      if (connection.isReadingPaused && connection.closesOnEnd) this.close(connection, false);
    } else if (
      !connection.isClosed &&
      result !== -Errno.ENOBUFS &&
      result !== -Errno.ECANCELED &&
      result !== -Errno.EINTR
    ) {
      this.close(connection, false);
    }
    if (!isOver || connection.isClosed || connection === this.running) return;
    if (connection.isLeaving) this.leave(connection);
    else this.updateInterest(connection);
  }

  override detach(connection: RingConnection): void {
    connection.isLeaving = true;
    if (connection.isReceiving) this.cancelAll(connection);
    else this.leave(connection);
  }

  /** Receiving has ended: detaches the connection, unless something else has come up meanwhile. */
  private leave(connection: RingConnection): void {
    // First of all: a send under way may leave output that waits.
    this.settleSend(connection);
    if (connection.isClosed) return;
    if (connection.requests > 0 || connection.pendingOutputBytes > 0 || connection.hasEnded) {
      connection.isLeaving = false;
      this.updateInterest(connection);
      return;
    }
    this.freeSlot(connection);
    this.letGo(connection);
  }

  /** Bytes have come for a connection, into the worker's buffers. */
  private takeReceived(connection: RingConnection, start: number, end: number): void {
    const { bytes, view, address } = this.buffers;
    if (connection.tls === null) this.take(connection, bytes, view, start, end);
    else this.takeSealed(connection, connection.tls, bytes, address, start, end);
  }

  protected takeOpened(connection: RingConnection, bytes: Uint8Array, view: DataView, end: number): void {
    this.take(connection, bytes, view, 0, end);
  }

  protected inputEnded(connection: RingConnection): void {
    connection.hasEnded = true;
    if (connection.isReadingPaused && connection.closesOnEnd) this.close(connection, false);
    else this.updateInterest(connection);
  }

  /** Takes input: bytes[start, end), in a buffer of the worker. */
  private take(
    connection: RingConnection,
    bytes: Uint8Array,
    view: DataView,
    start: number,
    end: number,
  ): void {
    if (connection === this.running) {
      this.keepRunningInput(bytes, start, end);
      if (this.runningInputBytes > UNDELIVERED_BYTES_MAX && !connection.isReceivingCancelled)
        this.cancelAll(connection);
      return;
    }
    if (this.takesInput(connection) && !connection.hasUndelivered) {
      this.deliverBehind(connection, bytes, view, start, end);
      return;
    }
    connection.appendInput(bytes, start, end);
    connection.hasUndelivered = true;
    if (connection.inputLength > UNDELIVERED_BYTES_MAX && !connection.isReceivingCancelled) {
      this.cancelAll(connection);
      if (connection.closesOnEnd) this.awaitEnd(connection);
    }
  }

  /** Polls for the end of stream of a connection that is not received from. */
  private awaitEnd(connection: RingConnection): void {
    if (connection.isAwaitingEnd) return;
    connection.isAwaitingEnd = true;
    connection.requests++;
    const { fd, slot } = connection;
    this.queue(Operation.PollAdd, EntryFlag.None, 0, fd, 0, 0, Epoll.RDHUP, slot, Kind.End);
  }

  private handleEnd(connection: RingConnection): void {
    connection.isAwaitingEnd = false;
    this.requestEnded(connection);
    if (!connection.isClosed && connection.isReadingPaused && connection.closesOnEnd)
      this.close(connection, false);
  }

  protected override takesInput(connection: RingConnection): boolean {
    return !connection.isLeaving && super.takesInput(connection);
  }

  private handleRoom(connection: RingConnection): void {
    connection.isAwaitingRoom = false;
    this.requestEnded(connection);
    if (!connection.isClosed && this.wantsRoom(connection)) this.writePending(connection);
  }

  protected updateInterest(target: Connection): void {
    const connection = target as RingConnection;
    if (connection.isClosed) return;
    if (this.takesInput(connection)) {
      if (connection.hasUndelivered || connection.hasEnded) this.deliverLater(connection);
      else if (!connection.isReceiving) this.receive(connection);
    }
    if (this.wantsRoom(connection) && !connection.isAwaitingRoom) {
      connection.isAwaitingRoom = true;
      connection.requests++;
      const { fd, slot } = connection;
      this.queue(Operation.PollAdd, EntryFlag.None, 0, fd, 0, 0, Epoll.OUT, slot, Kind.Room);
    }
  }

  protected settleSend(connection: RingConnection): void {
    if (this.isSending(connection)) this.submitNow();
  }

  protected isSending(connection: RingConnection): boolean {
    return connection.sendRound === this.sendRound;
  }

  protected sendReply(connection: RingConnection): void {
    const { reply } = this;
    const { size } = reply;
    // If the connection is about to be closed, its reply must be sent before.
    if (size > KEPT_REPLY_BYTES_MAX || connection.isClosing) {
      this.writeReply(connection);
      return;
    }
    this.queueSend(connection, reply.bytes, this.addressOfReply(), reply.start, reply.length);
    reply.take();
    if (reply.start > REPLIES_IN_FLIGHT_BYTES_MAX) this.submitNow();
  }

  /** Queues a send of bytes[start, end), the first of which is at an address. */
  private queueSend(
    connection: RingConnection,
    bytes: Uint8Array,
    address: number,
    start: number,
    end: number,
  ): void {
    const { fd, slot } = connection;
    const length = end - start;
    this.queue(Operation.Send, EntryFlag.SkipSuccess, 0, fd, address, length, SEND_FLAGS, slot, Kind.Send);
    this.hasSends = true;
    this.sends++;
    connection.sendRound = this.sendRound;
    connection.sentBytes = bytes;
    connection.sentStart = start;
    connection.sentEnd = end;
  }

  protected settleAll(): void {
    this.submitNow();
  }

  protected sendBytes(connection: RingConnection, writer: ByteSource, start: number, end: number): void {
    if (end - start > KEPT_REPLY_BYTES_MAX) this.writeBytes(connection, writer, start, end);
    else this.queueSend(connection, writer.bytes, this.addressOfWriter(writer) + start, start, end);
  }

  protected override endDeliveries(): void {
    this.submitNow();
  }

  protected forget(connection: RingConnection): void {
    const isFree = connection.requests === 0;
    if (!isFree) this.cancelAll(connection);
    // Queued requests may name the descriptor or the slot: submit them before either can be reused.
    if (this.ring.queued > 0) this.submitNow();
    if (isFree) this.freeSlot(connection);
  }

  /** A request that held on to a connection's slot has ended. */
  private requestEnded(connection: RingConnection): void {
    connection.requests--;
    if (connection.isClosed && connection.requests === 0) this.freeSlot(connection);
  }

  private freeSlot(connection: RingConnection): void {
    this.slots[connection.slot] = null;
    this.freeSlots.push(connection.slot);
  }
}
