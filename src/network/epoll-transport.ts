/**
 * The transport on Linux without io_uring: the worker thread waits in epoll_wait and reads and writes its sockets with
 * plain system calls. There is one read buffer and one reply buffer per worker; an idle connection holds none.
 */

import type { ReplyWriter } from '../protocol/reply-writer.js';
import { EPOLL_DATA_OFFSET, EPOLL_EVENT_BYTES, Epoll, Errno, type Libc, Socket } from '../system/libc.js';
import { Connection } from './connection.js';
import { type ByteSource, SocketTransport } from './socket-transport.js';
import type { TlsSession } from './tls/tls-codec.js';
import type { ConnectionHandler } from './transport.js';
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

/** Buffers for the events and the input of one round of the loop. */
class EventBuffers {
  readonly events = new Uint8Array(EVENTS_MAX * EPOLL_EVENT_BYTES);
  readonly view = new DataView(this.events.buffer);
  eventsAddress = 0;
  readonly readBuffer = new Uint8Array(READ_BUFFER_BYTES);
  readonly readView = new DataView(this.readBuffer.buffer);
  readAddress = 0;

  findAddresses(libc: Libc): void {
    this.eventsAddress = libc.addressOf(this.events);
    this.readAddress = libc.addressOf(this.readBuffer);
  }
}

class EpollConnection extends Connection {
  /** Events that the poller watches for. */
  interest = 0;
}

export class EpollTransport extends SocketTransport {
  private readonly epoll: number;
  private events = new EventBuffers();
  /** A second set, for rounds that run inside of a long command (`serveAside`). */
  private spareEvents: EventBuffers | null = null;
  private readonly control = new Uint8Array(EPOLL_EVENT_BYTES);
  private readonly controlView = new DataView(this.control.buffer);
  private readonly controlAddress: number;
  private lastCount = 0;

  /** `channel`: where new connections come from, with an eventfd. */
  constructor(libc: Libc, channel: WorkerChannel, reply: ReplyWriter, handler: ConnectionHandler) {
    super(libc, channel, reply, handler);
    this.events.findAddresses(libc);
    this.controlAddress = libc.addressOf(this.control);
    this.epoll = libc.epollCreate(Socket.SOCK_CLOEXEC);
    if (this.epoll < 0) throw new Error(`can't wait for events: ${libc.errorText(libc.errno())}`);
    this.changeInterest(Epoll.CTL_ADD, channel.wakeFd, Epoll.IN);
  }

  override stop(): void {
    super.stop();
    this.libc.close(this.epoll);
  }

  protected createConnection(fd: number): EpollConnection {
    return new EpollConnection(fd, this);
  }

  protected watch(connection: EpollConnection): void {
    connection.interest = Epoll.IN;
    this.changeInterest(Epoll.CTL_ADD, connection.fd, Epoll.IN);
  }

  private changeInterest(operation: number, fd: number, interest: number): void {
    this.controlView.setUint32(0, interest, true);
    this.controlView.setInt32(EPOLL_DATA_OFFSET, fd, true);
    this.libc.epollControl(this.epoll, operation, fd, this.controlAddress);
  }

  private setInterest(connection: EpollConnection, interest: number): void {
    if (connection.interest === interest || connection.isClosed) return;
    connection.interest = interest;
    this.changeInterest(Epoll.CTL_MOD, connection.fd, interest);
  }

  protected round(waitMs: number): number {
    const { libc, events, isInputLeft } = this;
    if (isInputLeft) this.deliverLeft();
    if (this.lastCount > 0 && this.lastCount < SMALL_ROUND_EVENTS) libc.yieldProcessor();
    const timeoutMs = isInputLeft ? 0 : Math.ceil(waitMs);
    const count = libc.epollWait(this.epoll, events.eventsAddress, EVENTS_MAX, timeoutMs);
    this.lastCount = count;
    for (let index = 0; index < count && !this.isStopped; index++) {
      const at = index * EPOLL_EVENT_BYTES;
      this.handleEvent(events.view.getInt32(at + EPOLL_DATA_OFFSET, true), events.view.getUint32(at, true));
    }
    return isInputLeft ? count + 1 : count;
  }

  protected beginAside(): void {
    if (this.spareEvents === null) {
      this.spareEvents = new EventBuffers();
      this.spareEvents.findAddresses(this.libc);
    }
    this.swapEvents();
  }

  protected endAside(): void {
    this.swapEvents();
  }

  private swapEvents(): void {
    const { events } = this;
    this.events = this.spareEvents as EventBuffers;
    this.spareEvents = events;
  }

  private handleEvent(fd: number, events: number): void {
    if (fd === this.channel.wakeFd) {
      this.libc.read(fd, this.events.readAddress, 8);
      this.handleWake();
      return;
    }
    // A connection closed earlier in this round is not in the map any more.
    const connection = this.connections.get(fd) as EpollConnection | undefined;
    if (connection === undefined || connection === this.running) return;
    if ((events & Epoll.OUT) !== 0) this.writePending(connection);
    if (connection.isClosed) return;
    if ((events & (Epoll.IN | Epoll.HUP | Epoll.ERR | Epoll.RDHUP)) === 0) return;
    if (connection.isReadingPaused || connection.isClosing || connection.hasUndelivered) {
      if ((events & (Epoll.HUP | Epoll.ERR | Epoll.RDHUP)) !== 0) this.close(connection, false);
      return;
    }
    if (connection.isOutputHeld) {
      // Its input waits as long as its replies do: else the client could send without end and never get a reply.
      this.setInterest(connection, connection.interest & ~Epoll.IN);
      return;
    }
    if (connection.tls === null) this.readFrom(connection);
    else this.readSealed(connection, connection.tls);
  }

  /** `readFrom` for a TLS connection: the bytes that come have to be opened first. */
  private readSealed(connection: EpollConnection, session: TlsSession): void {
    for (let reads = 0; reads < READS_PER_TURN_MAX; reads++) {
      const got = this.libc.read(connection.fd, this.events.readAddress, READ_BUFFER_BYTES);
      if (got <= 0) {
        this.nothingRead(connection, got);
        return;
      }
      this.takeSealed(connection, session, this.events.readBuffer, this.events.readAddress, 0, got);
      if (got < READ_BUFFER_BYTES || !mayReadOn(connection)) return;
    }
  }

  /** A read has returned no bytes: there is nothing more now, or the connection has ended or failed. */
  private nothingRead(connection: EpollConnection, result: number): void {
    if (result < 0) {
      const errno = this.libc.errno();
      if (errno === Errno.EAGAIN || errno === Errno.EINTR) return;
    } else {
      this.noteEnd(connection);
    }
    this.close(connection, false);
  }

  protected takeOpened(connection: EpollConnection, bytes: Uint8Array, view: DataView, end: number): void {
    this.deliverBehind(connection, bytes, view, 0, end);
  }

  protected inputEnded(connection: EpollConnection): void {
    connection.hasEnded = true;
    this.close(connection, true);
  }

  private readFrom(connection: EpollConnection): void {
    for (let reads = 0; reads < READS_PER_TURN_MAX; reads++) {
      const { input } = connection;
      let got: number;
      let room: number;
      if (input !== null && connection.inputLength > 0) {
        // A read into no room at all would look like the end of the stream.
        if (input.length === connection.inputLength) connection.growInput();
        room = (connection.input as Uint8Array).length - connection.inputLength;
        got = this.libc.read(connection.fd, connection.addressBehindInput(this.libc), room);
      } else {
        room = READ_BUFFER_BYTES;
        got = this.libc.read(connection.fd, this.events.readAddress, room);
      }
      if (got <= 0) {
        this.nothingRead(connection, got);
        return;
      }
      if (connection.inputLength + got < connection.inputWanted) this.notePart(connection, got);
      else if (connection.inputLength > 0) this.deliverOwn(connection, got);
      else this.deliverShared(connection, this.events.readBuffer, this.events.readView, 0, got);
      if (got < room || !mayReadOn(connection)) return;
    }
  }

  protected sendReply(connection: EpollConnection): void {
    this.writeReply(connection);
  }

  protected sendBytes(connection: EpollConnection, writer: ByteSource, start: number, end: number): void {
    this.writeBytes(connection, writer, start, end);
  }

  protected settleSend(): void {}

  protected isSending(): boolean {
    return false;
  }

  protected get hasSends(): boolean {
    return false;
  }

  protected settleAll(): void {}

  protected forget(): void {}

  override detach(connection: EpollConnection): void {
    this.changeInterest(Epoll.CTL_DEL, connection.fd, 0);
    this.letGo(connection);
  }

  protected updateInterest(connection: EpollConnection): void {
    const { hasUndelivered } = connection;
    if (hasUndelivered && this.takesInput(connection)) this.deliverLater(connection);
    const wantsInput = !hasUndelivered && this.wantsInput(connection);
    this.setInterest(
      connection,
      (wantsInput ? Epoll.IN : 0) |
        (this.wantsRoom(connection) ? Epoll.OUT : 0) |
        (connection.isReadingPaused && connection.closesOnEnd ? Epoll.RDHUP : 0),
    );
  }
}

/** Whether more may be read from a connection that has just handed over what was read. */
function mayReadOn({
  isClosed,
  isReadingPaused,
  isClosing,
  isOutputHeld,
  hasUndelivered,
}: Connection): boolean {
  return !(isClosed || isReadingPaused || isClosing || isOutputHeld || hasUndelivered);
}
