/**
 * What the transports have in common that read and write sockets by themselves: the loop of a worker thread, the output
 * that waits, closing. How they learn of what has arrived differs: epoll-transport.ts, io-uring-transport.ts.
 *
 * The loop gives the thread back to Node's event loop at every tick, so that timers, messages and
 * promises work, and is woken by an eventfd whenever another thread has something for this worker.
 */

import type { ReplyWriter } from '../protocol/reply-writer.js';
import { monotonicMs } from '../system/clock.js';
import { Errno, type Libc } from '../system/libc.js';
import { loadOpenSsl, type OpenSsl, UNEXPECTED_END } from '../system/openssl.js';
import type { Connection, ConnectionEvents } from './connection.js';
import { Deliveries } from './deliveries.js';
import { socketAddress } from './socket-address.js';
import {
  SEALED_AT_ONCE_BYTES_MAX,
  SEALED_ROOM_BYTES,
  TlsCodec,
  type TlsSession,
  TlsStatus,
} from './tls/tls-codec.js';
import {
  type ConnectionHandler,
  IDLE_TICK_MS,
  PENDING_OUTPUT_BYTES_MAX,
  TICK_MS,
  type Transport,
} from './transport.js';
import type { WorkerChannel } from './worker-channel.js';

/** Bytes written to one connection before the others have their turn. */
const WRITTEN_PER_TURN_BYTES_MAX = 1024 * 1024;
/** Held output up to this size is sent, once released, like a reply that was just written. */
const RESENT_BYTES_MAX = 16 * 1024;
/** Longer replies are sealed piece by piece as the socket takes them, so that others have their turn. */
const SEALED_REPLY_BYTES_MAX = 256 * 1024;
/** Room for sealed records that are being sent. */
const SEALED_BYTES = 256 * 1024;

/** Bytes that are to be sent; the generation moves on when another buffer takes the place of this one. */
export interface ByteSource {
  readonly bytes: Uint8Array;
  readonly generation: number;
}

/** TLS of a worker's connections, made with the first of them. */
interface Tls {
  readonly codec: TlsCodec;
  /** Sealed records that are being sent, from 0 to `sealedLength`. */
  readonly sealed: ByteSource;
  readonly sealedAddress: number;
  sealedLength: number;
}
/** If an argument lacks at least so much, the handler is not called before all of it is there. */
const PART_BYTES_MIN = 1024;

export abstract class SocketTransport implements Transport, ConnectionEvents {
  reply: ReplyWriter;
  protected readonly libc: Libc;
  protected handler: ConnectionHandler;
  protected readonly channel: WorkerChannel;
  protected readonly connections = new Map<number, Connection>();
  protected isStopped = false;
  private nextTickMs = 0;
  /** Something has come since the last tick. */
  private isBusy = false;
  /** The last tick has left work, which is done while no input comes. */
  private hasSpareWork = false;
  private readonly deliveries = new Deliveries((connection, writer, start, end) =>
    this.sendDelivery(connection, writer, start, end),
  );
  private readonly writerAddresses = new Map<ByteSource, { generation: number; address: number }>();
  private tls: Tls | null = null;
  private replyAddress = 0;
  private replyGeneration = -1;
  /** Connections whose input was kept back and may be handed over now. */
  private undelivered: Connection[] = [];

  /** `channel`: where new connections come from, with an eventfd. */
  constructor(libc: Libc, channel: WorkerChannel, reply: ReplyWriter, handler: ConnectionHandler) {
    this.libc = libc;
    this.channel = channel;
    this.reply = reply;
    this.handler = handler;
  }

  /** The connection whose command runs while others are served (`serveAside`). */
  protected running: Connection | null = null;
  /** Input that this connection has sent meanwhile; below, whether the connection has failed. */
  private runningInput: Uint8Array[] = [];
  protected runningInputBytes = 0;
  private hasRunningFailed = false;

  /** Waits until something happens, at most `waitMs` from `nowMs` on, and handles it. Returns how much that was. */
  protected abstract round(waitMs: number, nowMs: number): number;

  /** Begins to read from a new connection. */
  protected abstract watch(connection: Connection): void;

  /** Starts reading, or waiting for room to write, if and only if `wantsInput` and `wantsRoom` say so. */
  protected abstract updateInterest(connection: Connection): void;

  /** Sends the pending replies to a connection without waiting output; as much as the socket takes. */
  protected abstract sendReply(connection: Connection): void;

  /** Ends the send to the connection that is under way, so that more can be sent. */
  protected abstract settleSend(connection: Connection): void;

  /** Forgets a connection, before its socket is closed. */
  protected abstract forget(connection: Connection): void;

  get connectionCount(): number {
    return this.connections.size;
  }

  start(): void {
    setImmediate(this.run);
  }

  stop(): void {
    this.isStopped = true;
    for (const connection of [...this.connections.values()]) this.close(connection, false);
  }

  private readonly run = (): void => {
    while (!this.isStopped) {
      const nowMs = monotonicMs();
      if (nowMs >= this.nextTickMs) {
        const isWorkLeft = this.handler.onTick();
        this.endRunning();
        this.nextTickMs = nowMs + (isWorkLeft || this.isBusy ? TICK_MS : IDLE_TICK_MS);
        this.isBusy = false;
        this.hasSpareWork = isWorkLeft;
        if (!this.isStopped) setImmediate(this.run);
        return;
      }
      const nextMs = Math.min(this.nextTickMs, this.handler.nextDeadlineMs);
      const count = this.round(this.hasSpareWork ? 0 : Math.max(0, nextMs - nowMs), nowMs);
      this.endRunning();
      if (this.handler.nextDeadlineMs <= monotonicMs()) this.handler.onDeadline();
      if (count > 0) {
        this.isBusy = true;
        this.handler.onRoundEnd();
      } else if (this.hasSpareWork) {
        this.hasSpareWork = this.handler.onSpareTime();
      }
    }
  };

  /**
   * Handles what has come while a call of the handler takes long, from inside of that call: with another handler and
   * another reply buffer. `running` is the connection whose command runs: its input waits.
   */
  serveAside(handler: ConnectionHandler, reply: ReplyWriter, running: Connection | null): void {
    const { handler: ownHandler, reply: ownReply } = this;
    this.running = running;
    this.handler = handler;
    this.reply = reply;
    this.replyGeneration = -1;
    this.beginAside();
    this.tls?.codec.swapOpened();
    this.round(0, monotonicMs());
    this.tls?.codec.swapOpened();
    this.endAside();
    reply.reset();
    this.handler = ownHandler;
    this.reply = ownReply;
    this.replyGeneration = -1;
  }

  /** Ends the sends under way, or sets aside the buffers that are in use. */
  protected abstract beginAside(): void;

  protected abstract endAside(): void;

  /** After a command that has run for long: hands over what its connection has sent meanwhile. */
  private endRunning(): void {
    const { running } = this;
    if (running === null) return;
    this.running = null;
    if (this.hasRunningFailed) this.close(running, false);
    for (const input of this.runningInput) if (!running.isClosed) running.appendInput(input, 0, input.length);
    this.runningInput = [];
    this.runningInputBytes = 0;
    this.hasRunningFailed = false;
    if (running.isClosed) return;
    if (running.inputLength > 0) running.hasUndelivered = true;
    this.updateInterest(running);
  }

  /** Keeps input of the connection whose command runs. */
  protected keepRunningInput(bytes: Uint8Array, start: number, end: number): void {
    this.runningInput.push(bytes.slice(start, end));
    this.runningInputBytes += end - start;
  }

  /** Another thread has woken this one. */
  protected handleWake(): void {
    if (this.channel.isStopped) {
      this.isStopped = true;
      return;
    }
    for (let next = this.channel.shift(); next >= 0; next = this.channel.shift())
      this.adopt(next, this.channel.shiftedSession);
    this.handler.onWake();
  }

  /** Takes over an accepted socket, and its TLS session if it has one. */
  private adopt(fd: number, session: number): void {
    const connection = this.attach(fd, session);
    this.handler.onOpen(connection);
    this.send(connection);
  }

  /** Takes over a socket, of a connection that the handler knows. `session`: its TLS session, 0 for none; `record`: as in the codec. */
  attach(fd: number, session = 0, record = 0): Connection {
    const connection = this.createConnection(fd);
    if (session !== 0) {
      const { codec } = this.openTls();
      connection.tls = codec.adopt(session, record);
      connection.tlsVersion = codec.version(session);
    }
    this.connections.set(fd, connection);
    this.watch(connection);
    return connection;
  }

  certificateName({ tls }: Connection): string {
    return tls === null ? '' : this.openTls().codec.commonName(tls.session);
  }

  /** Hands over input that a connection has brought with it. */
  giveInput(connection: Connection, input: Uint8Array): void {
    connection.appendInput(input, 0, input.length);
    this.deliverOwn(connection, 0);
  }

  private openTls(): Tls {
    if (this.tls !== null) return this.tls;
    const sealed: ByteSource = { bytes: new Uint8Array(SEALED_BYTES), generation: 0 };
    this.tls = {
      codec: new TlsCodec(loadOpenSsl() as OpenSsl),
      sealed,
      sealedAddress: this.libc.addressOf(sealed.bytes),
      sealedLength: 0,
    };
    return this.tls;
  }

  /**
   * Gives a connection up, to which no output waits: the handler gets it back by `onDetached`, at once or in a later
   * round. Does nothing more if it ends before, or if output comes to wait.
   */
  abstract detach(connection: Connection): void;

  /** Removes a connection, to which only the map still refers, and hands it to the handler. */
  protected letGo(connection: Connection): void {
    this.connections.delete(connection.fd);
    this.handler.onDetached(connection);
  }

  protected abstract createConnection(fd: number): Connection;

  protected wantsInput(connection: Connection): boolean {
    return (
      !connection.isReadingPaused &&
      !connection.isClosing &&
      connection.pendingOutputBytes < PENDING_OUTPUT_BYTES_MAX
    );
  }

  /** Whether input may be handed over now: not while replies are held, else the client could send without end. */
  protected takesInput(connection: Connection): boolean {
    return connection !== this.running && !connection.isOutputHeld && this.wantsInput(connection);
  }

  protected get isInputLeft(): boolean {
    return this.undelivered.length > 0;
  }

  /** Has the input that a connection has kept be handed over in the next round. */
  protected deliverLater(connection: Connection): void {
    if (connection.isQueued) return;
    connection.isQueued = true;
    this.undelivered.push(connection);
  }

  /** Hands over the input that was queued for this round. */
  protected deliverLeft(): void {
    const connections = this.undelivered;
    this.undelivered = [];
    for (const connection of connections) {
      connection.isQueued = false;
      if (connection.isClosed || !this.takesInput(connection)) continue;
      if (connection.hasUndelivered) {
        connection.hasUndelivered = false;
        if (connection.inputLength > 0) this.deliverOwn(connection, 0);
      }
      if (connection.hasEnded && !connection.hasUndelivered) this.close(connection, true);
      else this.updateInterest(connection);
    }
  }

  protected wantsRoom(connection: Connection): boolean {
    return connection.pendingOutputBytes > 0 && !connection.isOutputHeld;
  }

  /** Hands `got` new bytes, behind what is there already in the connection's own buffer, to the handler. */
  protected deliverOwn(connection: Connection, got: number): void {
    const end = connection.inputLength + got;
    const input = connection.input as Uint8Array;
    const { handler } = this;
    const consumed = handler.onData(connection, input, connection.inputView as DataView, 0, end);
    if (!connection.isClosed) this.keep(connection, input, consumed, end);
    this.afterData(connection, end - consumed);
  }

  /** Hands bytes[start, end), in a buffer of the worker, to the handler; the connection keeps the rest. */
  protected deliverShared(
    connection: Connection,
    bytes: Uint8Array,
    view: DataView,
    start: number,
    end: number,
  ): void {
    const { handler } = this;
    const consumed = handler.onData(connection, bytes, view, start, end);
    if (consumed < end && !connection.isClosed) this.keep(connection, bytes, consumed, end);
    this.afterData(connection, end - consumed);
  }

  /** Hands over bytes[start, end), in a buffer of the worker, behind what the connection has kept. */
  protected deliverBehind(
    connection: Connection,
    bytes: Uint8Array,
    view: DataView,
    start: number,
    end: number,
  ): void {
    if (connection.inputLength === 0) {
      this.deliverShared(connection, bytes, view, start, end);
      return;
    }
    if (connection.inputLength + end - start < connection.inputWanted) {
      this.notePart(connection, connection.addInput(bytes, start, end));
      return;
    }
    connection.appendInput(bytes, start, end);
    this.deliverOwn(connection, 0);
  }

  /** Keeps the part of bytes[start, end) that the handler has left. */
  private keep(connection: Connection, bytes: Uint8Array, start: number, end: number): void {
    const { bytesNeeded } = this.handler;
    connection.keepInput(bytes, start, end, bytesNeeded);
    if (bytesNeeded >= PART_BYTES_MIN) connection.inputWanted = connection.inputLength + bytesNeeded;
  }

  /** `got` more bytes have come, behind what is there already, of a long argument that is still not complete. */
  protected notePart(connection: Connection, got: number): void {
    connection.inputLength += got;
    this.handler.onPart(connection);
    if (connection.isClosing) this.send(connection);
  }

  /** Called after input was handed over: sends the replies, and keeps a paused rest for later. */
  private afterData(connection: Connection, leftBytes: number): void {
    const isPaused = this.handler.isPaused && leftBytes > 0;
    this.send(connection);
    if (!isPaused || connection.isClosed) return;
    connection.hasUndelivered = true;
    this.updateInterest(connection);
  }

  deliver(connection: Connection, writer: ReplyWriter, start: number): void {
    this.deliveries.add(connection, writer, start);
  }

  flushDeliveries(): void {
    // Closing a connection during a delivery may cause more: clients that wait for its invalidations are told.
    while (this.deliveries.flush()) this.endDeliveries();
  }

  /** When this returns, what was delivered is sent, or copied elsewhere. */
  protected endDeliveries(): void {}

  private readonly sendDelivery = (
    connection: Connection,
    writer: ReplyWriter,
    start: number,
    end: number,
  ): void => {
    this.handler.onDelivery(connection);
    this.settleSend(connection);
    if (connection.isClosed) return;
    if (connection.isOutputHeld) {
      connection.queueOutput(writer.bytes, start, end);
    } else if (connection.pendingOutputBytes > 0) {
      connection.queueOutput(writer.bytes, start, end);
      this.updateInterest(connection);
      this.handler.onOutputPending(connection);
    } else if (connection.tls !== null) {
      this.sendSealed(connection, connection.tls, writer.bytes, this.addressOfWriter(writer), start, end);
    } else {
      this.sendBytes(connection, writer, start, end);
    }
  };

  /** The socket of a connection that has been sent all that is to be sent to it; -1 if something is under way, or is to be sealed. */
  settledSocket(connection: Connection): number {
    const { reply } = this;
    const isSettled =
      reply.size === 0 &&
      reply.spilledBytes === 0 &&
      connection.pendingOutputBytes === 0 &&
      connection.deliveryWriter === null &&
      connection.tls === null &&
      !connection.isOutputHeld &&
      !connection.isClosed &&
      !this.isSending(connection);
    return isSettled ? connection.fd : -1;
  }

  /** Ends the sends to a connection that are under way; then the same as `settledSocket`. */
  settle(connection: Connection): number {
    this.settleSend(connection);
    return this.settledSocket(connection);
  }

  /** Whether a send to a connection is under way. */
  protected abstract isSending(connection: Connection): boolean;

  /** Writes bytes [start, end) of a writer to any socket; returns how many it has taken. */
  writeDirectly(fd: number, writer: ByteSource, start: number, end: number): number {
    return Math.max(0, this.libc.write(fd, this.addressOfWriter(writer) + start, end - start));
  }

  /** Sends bytes [start, end) of a writer to a connection that no output waits for; as much as goes. */
  protected abstract sendBytes(connection: Connection, writer: ByteSource, start: number, end: number): void;

  /** Whether bytes that are being sent must stay where they are. */
  protected abstract get hasSends(): boolean;

  /** Ends all sends that are under way. */
  protected abstract settleAll(): void;

  /** Takes input that was sealed: bytes[0, end), in a buffer of the worker. */
  protected abstract takeOpened(connection: Connection, bytes: Uint8Array, view: DataView, end: number): void;

  /** The client has announced that it sends no more. */
  protected abstract inputEnded(connection: Connection): void;

  /** The address of a writer's bytes. */
  protected addressOfWriter(writer: ByteSource): number {
    const known = this.writerAddresses.get(writer);
    if (known !== undefined && known.generation === writer.generation) return known.address;
    const address = this.libc.addressOf(writer.bytes);
    this.writerAddresses.set(writer, { generation: writer.generation, address });
    return address;
  }

  send(connection: Connection): void {
    const { reply } = this;
    if (connection.deliveryWriter !== null) this.deliveries.send(connection);
    if (reply.size > 0) {
      this.settleSend(connection);
      if (connection.isClosed) reply.drop();
      else if (connection.isOutputHeld) this.queueReply(connection, 0);
      else if (connection.pendingOutputBytes > 0 || reply.isOversized) this.keepReply(connection, 0);
      else if (connection.tls !== null) this.sealReply(connection, connection.tls);
      else this.sendReply(connection);
      if (reply.length === 0) reply.reset();
    } else if (reply.spilledBytes > 0) {
      this.keepReply(connection, 0);
    }
    if (connection.isClosing && connection.pendingOutputBytes === 0) this.close(connection, false);
  }

  /** Writes the replies at once. */
  protected writeReply(connection: Connection): void {
    const { reply } = this;
    const { size } = reply;
    const sent = this.writeNow(connection, this.addressOfReply(), size);
    if (sent === size || sent < 0) reply.drop();
    else this.keepReply(connection, sent);
  }

  /** Writes bytes [start, end) of a writer at once; what the socket does not take waits. */
  protected writeBytes(connection: Connection, writer: ByteSource, start: number, end: number): void {
    const sent = this.writeNow(connection, this.addressOfWriter(writer) + start, end - start);
    if (sent < 0 || sent === end - start) return;
    connection.queueUnsent(writer.bytes, start + sent, end);
    this.updateInterest(connection);
    this.handler.onOutputPending(connection);
  }

  /** Returns how many bytes the socket has taken; -1 if it failed, and the connection is closed. */
  private writeNow(connection: Connection, address: number, lengthBytes: number): number {
    const { libc } = this;
    let sent = 0;
    while (sent < lengthBytes) {
      const wrote = libc.write(connection.fd, address + sent, lengthBytes - sent);
      if (wrote > 0) {
        sent += wrote;
        continue;
      }
      const errno = libc.errno();
      if (errno === Errno.EINTR) continue;
      if (errno === Errno.EAGAIN) break;
      this.close(connection, false);
      return -1;
    }
    return sent;
  }

  /** The address of the first pending reply. */
  protected addressOfReply(): number {
    const { reply } = this;
    if (this.replyGeneration !== reply.generation) {
      this.replyGeneration = reply.generation;
      this.replyAddress = this.libc.addressOf(reply.bytes);
    }
    return this.replyAddress + reply.start;
  }

  private queueReply(connection: Connection, sentBytes: number): void {
    const { reply } = this;
    const start = reply.start + sentBytes;
    if (reply.isOversized) {
      connection.adoptOutput(reply.bytes, start, reply.length);
      reply.abandonBuffer();
    } else {
      connection.queueOutput(reply.bytes, start, reply.length);
      reply.drop();
    }
  }

  /** Keeps the replies, except for the bytes already sent, until the socket takes more. */
  private keepReply(connection: Connection, sentBytes: number): void {
    this.queueReply(connection, sentBytes);
    this.updateInterest(connection);
    this.handler.onOutputPending(connection);
  }

  /** Makes room for SEALED_ROOM_BYTES of sealed records; returns where it begins. */
  private makeSealedRoom(tls: Tls): number {
    if (!this.hasSends) tls.sealedLength = 0;
    if (tls.sealedLength + SEALED_ROOM_BYTES > SEALED_BYTES) {
      this.settleAll();
      tls.sealedLength = 0;
    }
    return tls.sealedLength;
  }

  /** Seals the pending replies and sends them to a connection without waiting output. */
  private sealReply(connection: Connection, session: TlsSession): void {
    const { reply } = this;
    if (reply.size > SEALED_REPLY_BYTES_MAX) {
      this.queueReply(connection, 0);
      this.writePending(connection);
      if (connection.pendingOutputBytes > 0) this.handler.onOutputPending(connection);
      return;
    }
    const { start, length } = reply;
    this.sendSealed(connection, session, reply.bytes, this.addressOfReply() - start, start, length);
    reply.drop();
  }

  /**
   * Seals bytes[start, end) and sends them to a connection without waiting output; what the socket does not take waits.
   * `address`: of bytes[0].
   */
  private sendSealed(
    connection: Connection,
    session: TlsSession,
    bytes: Uint8Array,
    address: number,
    start: number,
    end: number,
  ): void {
    const tls = this.openTls();
    for (let at = start; at < end; ) {
      const length = Math.min(end - at, SEALED_AT_ONCE_BYTES_MAX);
      const room = this.makeSealedRoom(tls);
      const sealedBytes = tls.codec.seal(session, address + at, length, tls.sealedAddress + room);
      if (sealedBytes < 0) {
        this.failTls(connection, tls.codec.failure);
        return;
      }
      at += length;
      tls.sealedLength = room + sealedBytes;
      // A connection that is about to be closed must have sent its reply before.
      if (connection.isClosing) this.writeBytes(connection, tls.sealed, room, room + sealedBytes);
      else this.sendBytes(connection, tls.sealed, room, room + sealedBytes);
      if (at < end && !connection.isClosed) this.settleSend(connection);
      if (connection.isClosed) return;
      if (connection.pendingOutputBytes > 0 && at < end) {
        connection.queueOutput(bytes, at, end);
        this.handler.onOutputPending(connection);
        return;
      }
    }
  }

  private failTls(connection: Connection, reason: string): void {
    this.handler.onTlsFailure(connection, reason);
    this.close(connection, false);
  }

  /** Opens records that have come: bytes[start, end) in a buffer of the worker, bytes[0] at an address. */
  protected takeSealed(
    connection: Connection,
    session: TlsSession,
    bytes: Uint8Array,
    address: number,
    start: number,
    end: number,
  ): void {
    const tls = this.openTls();
    const { codec } = tls;
    const length = codec.open(session, bytes, address + start, start, end);
    const { status, failure } = codec;
    if (codec.hasOwnOutput) this.sendOwn(connection, tls);
    if (connection.isClosed) return;
    if (length > 0) this.takeOpened(connection, codec.opened, codec.openedView, length);
    if (connection.isClosed) return;
    if (status === TlsStatus.Failed) this.failTls(connection, failure);
    else if (status === TlsStatus.Ended) this.inputEnded(connection);
  }

  /** Sends the output of TLS itself, such as alerts. */
  private sendOwn(connection: Connection, tls: Tls): void {
    this.settleSend(connection);
    const room = this.makeSealedRoom(tls);
    const length = tls.codec.takeOwn(tls.sealedAddress + room);
    if (connection.isClosed) return;
    if (connection.pendingOutputBytes > 0) connection.queueSealed(tls.sealed.bytes, room, room + length);
    else this.writeBytes(connection, tls.sealed, room, room + length);
  }

  /** The socket has ended; reports a failure if TLS has not ended before. */
  protected noteEnd(connection: Connection): void {
    if (connection.tls !== null && !connection.hasEnded)
      this.handler.onTlsFailure(connection, UNEXPECTED_END);
  }

  /** Ends the TLS of a connection that is being closed. */
  private endTls(connection: Connection, session: TlsSession): void {
    const tls = this.openTls();
    const room = this.makeSealedRoom(tls);
    const isAllSent = connection.pendingOutputBytes === 0;
    const length = tls.codec.end(session, isAllSent, tls.sealedAddress + room);
    if (length > 0) this.libc.write(connection.fd, tls.sealedAddress + room, length);
    connection.tls = null;
  }

  /** The same as `writePending` does, for a TLS connection. Returns false if it is closed. */
  private writeSealedPending(connection: Connection, session: TlsSession): boolean {
    const { libc } = this;
    const { output } = connection;
    const tls = this.openTls();
    for (let left = WRITTEN_PER_TURN_BYTES_MAX; left > 0; ) {
      const { sealed } = connection;
      if (sealed !== null && sealed.lengthBytes > 0) {
        const { first } = sealed;
        const { lengthBytes } = first;
        const sent = this.writeNow(connection, first.address(libc) + first.start, lengthBytes);
        if (sent < 0) return false;
        if (sent > 0) connection.sealedSent(sent);
        if (sent < lengthBytes) break;
        left -= sent;
        continue;
      }
      if (output.lengthBytes === 0) break;
      const { first } = output;
      const length = Math.min(first.lengthBytes, SEALED_AT_ONCE_BYTES_MAX);
      const room = this.makeSealedRoom(tls);
      const sealedBytes = tls.codec.seal(
        session,
        first.address(libc) + first.start,
        length,
        tls.sealedAddress + room,
      );
      if (sealedBytes < 0) {
        this.failTls(connection, tls.codec.failure);
        return false;
      }
      const sent = this.writeNow(connection, tls.sealedAddress + room, sealedBytes);
      if (sent < 0) return false;
      connection.outputSent(length);
      left -= sealedBytes;
      if (sent === sealedBytes) continue;
      connection.queueSealed(tls.sealed.bytes, room + sent, room + sealedBytes);
      break;
    }
    return true;
  }

  /** Writes waiting output, as much as the socket takes, up to the limit of one turn. */
  protected writePending(connection: Connection): void {
    if (
      connection.tls === null
        ? this.writePlainPending(connection)
        : this.writeSealedPending(connection, connection.tls)
    ) {
      if (connection.isClosing && connection.pendingOutputBytes === 0) this.close(connection, false);
      else this.updateInterest(connection);
    }
  }

  /** Returns false if the connection is closed. */
  private writePlainPending(connection: Connection): boolean {
    const { libc } = this;
    const { output } = connection;
    for (let left = WRITTEN_PER_TURN_BYTES_MAX; left > 0 && output.lengthBytes > 0; ) {
      const { first } = output;
      const length = Math.min(first.lengthBytes, left);
      const sent = this.writeNow(connection, first.address(libc) + first.start, length);
      if (sent < 0) return false;
      if (sent > 0) connection.outputSent(sent);
      if (sent < length) break;
      left -= sent;
    }
    return true;
  }

  releaseOutput(connection: Connection): void {
    connection.isOutputHeld = false;
    if (connection.isClosed) return;
    const { reply } = this;
    const { output } = connection;
    const isAllUnsealed = output.lengthBytes === connection.pendingOutputBytes;
    if (
      output.blockCount === 1 &&
      output.lengthBytes <= RESENT_BYTES_MAX &&
      isAllUnsealed &&
      reply.size === 0
    ) {
      // Through the reply buffer, whose address is known.
      reply.raw(output.first.bytes, output.first.start, output.lengthBytes);
      connection.dropOutput();
      this.send(connection);
      if (!connection.isClosed) this.updateInterest(connection);
      return;
    }
    this.writePending(connection);
    if (connection.pendingOutputBytes > 0) this.handler.onOutputPending(connection);
  }

  pauseReading(connection: Connection): void {
    connection.isReadingPaused = true;
    this.updateInterest(connection);
  }

  resumeReading(connection: Connection): void {
    if (!connection.isReadingPaused || connection.isClosed) return;
    connection.isReadingPaused = false;
    connection.hasUndelivered = false;
    this.updateInterest(connection);
    if (connection.inputLength > 0) this.deliverOwn(connection, 0);
  }

  close(connection: Connection, afterReply: boolean): void {
    if (connection.isClosed) return;
    if (connection === this.running) {
      this.hasRunningFailed = true;
      return;
    }
    if (afterReply && connection.pendingOutputBytes > 0) {
      connection.isClosing = true;
      this.updateInterest(connection);
      return;
    }
    connection.isClosed = true;
    this.forget(connection);
    this.connections.delete(connection.fd);
    this.handler.onClose(connection);
    if (connection.tls !== null) this.endTls(connection, connection.tls);
    this.libc.close(connection.fd);
    connection.fd = -1;
    connection.dropOutput();
    connection.dropInput();
  }

  peerAddress(connection: Connection): string {
    return this.readAddressOf(connection, true);
  }

  localAddress(connection: Connection): string {
    return this.readAddressOf(connection, false);
  }

  private readAddressOf(connection: Connection, peer: boolean): string {
    if (connection.isClosed) return '';
    return socketAddress(this.libc, connection.fd, peer);
  }
}
