/**
 * The transport on Linux: the worker thread waits in epoll_wait itself and reads and writes its sockets with
 * plain system calls. There is one read buffer and one reply buffer per worker; an idle connection holds none.
 *
 * The loop gives the thread back to Node's event loop at every tick, so that timers, messages and
 * promises work, and is woken by an eventfd whenever another thread has something for this worker.
 */

import type { ReplyWriter } from '../protocol/reply-writer.js';
import { Connection, type ConnectionEvents } from './connection.js';
import { EPOLL_DATA_OFFSET, EPOLL_EVENT_BYTES, Epoll, Errno, type Libc } from './libc.js';
import { formatAddress, SOCKET_ADDRESS_BYTES_MAX } from './socket-address.js';
import {
  type ConnectionHandler,
  IDLE_TICK_MS,
  PENDING_OUTPUT_BYTES_MAX,
  TICK_MS,
  type Transport,
} from './transport.js';
import type { WorkerChannel } from './worker-channel.js';

const READ_BUFFER_BYTES = 64 * 1024;
const EVENTS_MAX = 512;
/**
 * After a round with so few events the thread first lets others run that want to. On a busy machine these are the
 * clients, and what they send meanwhile comes in one larger round; else it costs one short system call.
 */
const SMALL_ROUND_EVENTS = 8;
/** Reads of one connection before the others have their turn. */
const READS_PER_TURN_MAX = 4;

export class EpollTransport implements Transport, ConnectionEvents {
  readonly reply: ReplyWriter;
  private readonly libc: Libc;
  private readonly handler: ConnectionHandler;
  private readonly epoll: number;
  private readonly channel: WorkerChannel;
  private readonly wakeFd: number;
  private readonly connections = new Map<number, Connection>();

  private readonly events = new Uint8Array(EVENTS_MAX * EPOLL_EVENT_BYTES);
  private readonly eventsView = new DataView(this.events.buffer);
  private readonly eventsAddress: number;
  private readonly control = new Uint8Array(EPOLL_EVENT_BYTES);
  private readonly controlView = new DataView(this.control.buffer);
  private readonly controlAddress: number;
  private readonly readBuffer = new Uint8Array(READ_BUFFER_BYTES);
  private readonly readView = new DataView(this.readBuffer.buffer);
  private readonly readAddress: number;
  private replyAddress = 0;
  private replyGeneration = -1;
  private isStopped = false;
  private nextTickMs = 0;
  /** Something has come since the last tick. */
  private isBusy = false;
  /** The last tick has left work, which is done whenever nothing comes. */
  private hasSpareWork = false;

  /** `channel`: where new connections come from, with an eventfd. */
  constructor(libc: Libc, channel: WorkerChannel, reply: ReplyWriter, handler: ConnectionHandler) {
    this.libc = libc;
    this.channel = channel;
    this.wakeFd = channel.wakeFd;
    this.reply = reply;
    this.handler = handler;
    this.eventsAddress = libc.addressOf(this.events);
    this.controlAddress = libc.addressOf(this.control);
    this.readAddress = libc.addressOf(this.readBuffer);
    this.epoll = libc.epollCreate(Socket.CLOEXEC);
    this.watch(Epoll.CTL_ADD, this.wakeFd, Epoll.IN);
  }

  get connectionCount(): number {
    return this.connections.size;
  }

  start(): void {
    setImmediate(this.run);
  }

  stop(): void {
    this.isStopped = true;
    for (const connection of [...this.connections.values()]) this.close(connection, false);
    this.libc.close(this.epoll);
  }

  /** Takes over an accepted socket. */
  private adopt(fd: number): void {
    const connection = new Connection(fd, this);
    this.connections.set(fd, connection);
    connection.interest = Epoll.IN;
    this.watch(Epoll.CTL_ADD, fd, Epoll.IN);
    this.handler.onOpen(connection);
    this.send(connection);
  }

  private watch(operation: number, fd: number, interest: number): void {
    this.controlView.setUint32(0, interest, true);
    this.controlView.setInt32(EPOLL_DATA_OFFSET, fd, true);
    this.libc.epollControl(this.epoll, operation, fd, this.controlAddress);
  }

  private setInterest(connection: Connection, interest: number): void {
    if (connection.interest === interest || connection.isClosed) return;
    connection.interest = interest;
    this.watch(Epoll.CTL_MOD, connection.fd, interest);
  }

  private readonly run = (): void => {
    const { libc } = this;
    let count = 0;
    while (!this.isStopped) {
      const nowMs = Date.now();
      if (nowMs >= this.nextTickMs) {
        const isWorkLeft = this.handler.onTick(nowMs);
        this.nextTickMs = nowMs + (isWorkLeft || this.isBusy ? TICK_MS : IDLE_TICK_MS);
        this.isBusy = false;
        this.hasSpareWork = isWorkLeft;
        if (!this.isStopped) setImmediate(this.run);
        return;
      }
      if (count > 0 && count < SMALL_ROUND_EVENTS) libc.schedYield();
      const waitMs = this.hasSpareWork ? 0 : this.nextTickMs - nowMs;
      count = libc.epollWait(this.epoll, this.eventsAddress, EVENTS_MAX, waitMs);
      if (count <= 0 && this.hasSpareWork) this.hasSpareWork = this.handler.onSpareTime();
      if (count > 0) this.isBusy = true;
      for (let index = 0; index < count && !this.isStopped; index++) {
        const at = index * EPOLL_EVENT_BYTES;
        this.handleEvent(
          this.eventsView.getInt32(at + EPOLL_DATA_OFFSET, true),
          this.eventsView.getUint32(at, true),
        );
      }
      if (count > 0) this.handler.onRoundEnd();
    }
  };

  private handleEvent(fd: number, events: number): void {
    if (fd === this.wakeFd) {
      this.libc.read(fd, this.readAddress, 8);
      if (this.channel.isStopped) {
        this.isStopped = true;
        return;
      }
      for (let next = this.channel.shift(); next >= 0; next = this.channel.shift()) this.adopt(next);
      this.handler.onWake();
      return;
    }
    // A connection closed earlier in this round is not in the map any more.
    const connection = this.connections.get(fd);
    if (connection === undefined) return;
    if ((events & Epoll.OUT) !== 0) this.writePending(connection);
    if (connection.isClosed) return;
    if ((events & (Epoll.IN | Epoll.HUP | Epoll.ERR)) === 0) return;
    if (connection.isReadingPaused || connection.isClosing) {
      if ((events & (Epoll.HUP | Epoll.ERR)) !== 0) this.close(connection, false);
      return;
    }
    if (connection.isOutputHeld) {
      // What it sends waits as its replies do, or it could go on without end and never get one.
      this.setInterest(connection, connection.interest & ~Epoll.IN);
      return;
    }
    this.readFrom(connection);
  }

  private readFrom(connection: Connection): void {
    for (let reads = 0; reads < READS_PER_TURN_MAX; reads++) {
      const { input } = connection;
      let got: number;
      let room: number;
      if (input !== null && connection.inputLength > 0) {
        // A read into no room at all would look like the end of the stream.
        if (input.length === connection.inputLength) connection.growInput();
        room = (connection.input as Uint8Array).length - connection.inputLength;
        if (connection.inputAddress === 0) {
          connection.inputAddress = this.libc.addressOf(connection.input as Uint8Array);
        }
        got = this.libc.read(connection.fd, connection.inputAddress + connection.inputLength, room);
      } else {
        room = READ_BUFFER_BYTES;
        got = this.libc.read(connection.fd, this.readAddress, room);
      }
      if (got <= 0) {
        if (got < 0) {
          const errno = this.libc.errno();
          if (errno === Errno.EAGAIN || errno === Errno.EINTR) return;
        }
        this.close(connection, false);
        return;
      }
      this.deliver(connection, got);
      if (got < room || connection.isClosed || connection.isReadingPaused || connection.isClosing) return;
      if (connection.isOutputHeld) return;
    }
  }

  /** Hands input to the handler: `got` new bytes, in the connection's buffer or in the worker's. */
  private deliver(connection: Connection, got: number): void {
    const { input, inputView } = connection;
    if (input !== null && inputView !== null && connection.inputLength > 0) {
      const end = connection.inputLength + got;
      const consumed = this.handler.onData(connection, input, inputView, 0, end);
      if (!connection.isClosed) connection.keepInput(input, consumed, end, this.handler.bytesNeeded);
    } else {
      const consumed = this.handler.onData(connection, this.readBuffer, this.readView, 0, got);
      if (consumed < got && !connection.isClosed)
        connection.keepInput(this.readBuffer, consumed, got, this.handler.bytesNeeded);
    }
    this.send(connection);
  }

  send(connection: Connection): void {
    const { reply } = this;
    if (reply.length > 0) {
      if (!connection.isClosed) this.writeReply(connection);
      reply.reset();
    }
    if (connection.isClosing && connection.pendingOutputBytes === 0) this.close(connection, false);
  }

  private writeReply(connection: Connection): void {
    const { reply, libc } = this;
    let sent = 0;
    if (connection.isOutputHeld) {
      connection.queueOutput(reply.bytes, 0, reply.length);
      return;
    }
    if (connection.pendingOutputBytes === 0) {
      if (this.replyGeneration !== reply.generation) {
        this.replyGeneration = reply.generation;
        this.replyAddress = libc.addressOf(reply.bytes);
      }
      while (sent < reply.length) {
        const wrote = libc.write(connection.fd, this.replyAddress + sent, reply.length - sent);
        if (wrote > 0) {
          sent += wrote;
          continue;
        }
        const errno = libc.errno();
        if (errno === Errno.EINTR) continue;
        if (errno === Errno.EAGAIN) break;
        this.close(connection, false);
        return;
      }
    }
    if (sent === reply.length) return;
    connection.queueOutput(reply.bytes, sent, reply.length);
    this.updateInterest(connection);
    this.handler.onOutputPending(connection);
  }

  private updateInterest(connection: Connection): void {
    const reads =
      !connection.isReadingPaused &&
      !connection.isClosing &&
      connection.pendingOutputBytes < PENDING_OUTPUT_BYTES_MAX;
    this.setInterest(
      connection,
      (reads ? Epoll.IN : 0) |
        (connection.pendingOutputBytes > 0 && !connection.isOutputHeld ? Epoll.OUT : 0),
    );
  }

  private writePending(connection: Connection): void {
    const { libc } = this;
    while (connection.output.length > 0) {
      const chunk = connection.output[0];
      const length = connection.output.length === 1 ? connection.lastChunkLength : chunk.length;
      const left = length - connection.outputSent;
      const wrote = libc.write(connection.fd, libc.addressOf(chunk) + connection.outputSent, left);
      if (wrote < 0) {
        const errno = libc.errno();
        if (errno === Errno.EINTR) continue;
        if (errno !== Errno.EAGAIN) this.close(connection, false);
        return;
      }
      connection.outputSent += wrote;
      connection.pendingOutputBytes -= wrote;
      if (connection.outputSent === length) {
        connection.dropChunk();
        connection.outputSent = 0;
      }
    }
    if (connection.isClosing) this.close(connection, false);
    else this.updateInterest(connection);
  }

  releaseOutput(connection: Connection): void {
    connection.isOutputHeld = false;
    if (connection.isClosed) return;
    const { reply } = this;
    if (connection.output.length === 1 && connection.outputSent === 0 && reply.length === 0) {
      // From the worker's own buffer, whose address is known.
      reply.raw(connection.output[0], 0, connection.lastChunkLength);
      connection.pendingOutputBytes = 0;
      connection.dropChunk();
      this.send(connection);
      if (!connection.isClosed) this.updateInterest(connection);
      return;
    }
    this.writePending(connection);
    if (!connection.isClosed) this.updateInterest(connection);
    if (connection.pendingOutputBytes > 0) this.handler.onOutputPending(connection);
  }

  pauseReading(connection: Connection): void {
    connection.isReadingPaused = true;
    this.updateInterest(connection);
  }

  resumeReading(connection: Connection): void {
    if (!connection.isReadingPaused || connection.isClosed) return;
    connection.isReadingPaused = false;
    this.updateInterest(connection);
    if (connection.inputLength > 0) this.deliver(connection, 0);
  }

  close(connection: Connection, afterReply: boolean): void {
    if (connection.isClosed) return;
    if (afterReply && connection.pendingOutputBytes > 0) {
      connection.isClosing = true;
      this.updateInterest(connection);
      return;
    }
    connection.isClosed = true;
    this.connections.delete(connection.fd);
    this.handler.onClose(connection);
    this.libc.close(connection.fd);
    connection.fd = -1;
    connection.output.length = 0;
    connection.pendingOutputBytes = 0;
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
    const address = new Uint8Array(SOCKET_ADDRESS_BYTES_MAX);
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, SOCKET_ADDRESS_BYTES_MAX, true);
    const call = peer ? this.libc.peerName : this.libc.socketName;
    call(connection.fd, this.libc.addressOf(address), this.libc.addressOf(length));
    return formatAddress(address);
  }
}

const enum Socket {
  CLOEXEC = 0x80000,
}
