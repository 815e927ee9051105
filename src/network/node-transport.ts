/**
 * The portable transport, over node:net: for machines other than Linux, or where koffi does not load.
 *
 * Sockets read into one buffer per worker (`onread`), so reading allocates nothing. A reply is handed to the
 * socket in the writer's own buffer. The kernel nearly always takes all of it at once; when it does not, the
 * socket keeps that buffer until it has been sent and the writer gets another one.
 *
 * Workers accept by themselves on listening sockets that they share (node-listener.ts), so the kernel decides
 * who gets a connection: they are spread, but not as evenly as the acceptor does it.
 */

import { closeSync, openSync } from 'node:fs';
import { type AddressInfo, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import type { ReplyWriter } from '../protocol/reply-writer.js';
import { monotonicMs } from '../system/clock.js';
import { systemReason } from '../system/system-reason.js';
import { sleep } from '../system/wait.js';
import { Connection, type ConnectionEvents } from './connection.js';
import { Deliveries } from './deliveries.js';
import type { NodeTls } from './tls/node-tls.js';
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
const READ_BUFFER_BYTES = 64 * 1024;
/** If more input than this waits to be handed over, the connection is not read from any more. */
const UNDELIVERED_BYTES_MAX = 64 * 1024;
/** The longest that a timer of Node.js can wait. */
const TIMER_MS_MAX = 2 ** 31 - 1;
/** Sleep in each turn of a thread that can't accept: delays its clients this much, uses 5 % of a processor. */
const THROTTLE_MS = 5;
/** A file that is there on all systems. */
const ANY_FILE = fileURLToPath(import.meta.url);
/** TLS versions by the names that `getProtocol` returns. */
const TLS_VERSIONS: Readonly<Record<string, number>> = {
  TLSv1: 0x301,
  'TLSv1.1': 0x302,
  'TLSv1.2': 0x303,
  'TLSv1.3': 0x304,
};
const TOO_MANY_CLIENTS = '-ERR max number of clients reached\r\n';

/** The parts of a socket that Node.js has and does not describe. */
export interface SocketInternals {
  _handle: { readonly fd: number } | null;
}

class NodeConnection extends Connection {
  readonly socket: Socket;
  /** Bytes that the socket has and has not sent yet. */
  inFlightBytes = 0;
  /** The bytes in flight are the first block of `output`. */
  isBlockInFlight = false;
  isReading = true;
  /** One function for all writes of this connection. */
  onWritten: () => void = () => {};

  constructor(fd: number, events: ConnectionEvents, socket: Socket) {
    super(fd, events);
    this.socket = socket;
  }
}

export class NodeTransport implements Transport, ConnectionEvents {
  readonly reply: ReplyWriter;
  private readonly channels: readonly WorkerChannel[];
  private readonly channel: WorkerChannel;
  private readonly handler: ConnectionHandler;
  private readonly tls: NodeTls;
  private readonly connections = new Set<NodeConnection>();
  private readonly readBuffer = new Uint8Array(READ_BUFFER_BYTES);
  private readonly readView = new DataView(this.readBuffer.buffer);
  private timer: NodeJS.Timeout | undefined;
  private deadlineTimer: NodeJS.Timeout | undefined;
  private armedForMs = Number.POSITIVE_INFINITY;
  private readonly deliveries = new Deliveries((connection, writer, start, end) =>
    this.sendDelivery(connection, writer, start, end),
  );
  private isStopped = false;
  /** There is no free descriptor: each turn of the loop sleeps. */
  private isThrottled = false;
  /** Something has come since the last tick. */
  private isBusy = false;

  /** `channels`: of all workers; `index`: this one. */
  constructor(
    channels: readonly WorkerChannel[],
    index: number,
    reply: ReplyWriter,
    handler: ConnectionHandler,
    tls: NodeTls,
  ) {
    this.tls = tls;
    this.channels = channels;
    this.channel = channels[index];
    this.reply = reply;
    this.handler = handler;
  }

  get connectionCount(): number {
    return this.connections.size;
  }

  start(): void {
    this.scheduleTick(TICK_MS);
    void this.followWakeUps();
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    clearTimeout(this.deadlineTimer);
    for (const connection of [...this.connections]) this.close(connection, false);
  }

  private scheduleTick(delayMs: number): void {
    this.timer = setTimeout(() => {
      const isWorkLeft = this.handler.onTick();
      if (this.isStopped) return;
      this.watchDescriptors();
      this.scheduleTick(isWorkLeft || this.isBusy ? TICK_MS : IDLE_TICK_MS);
      this.isBusy = false;
      if (isWorkLeft) setImmediate(this.useSpareTime);
    }, delayMs);
  }

  /** Sets the timer to the handler's next deadline, if that has changed. */
  private armDeadline(): void {
    const { nextDeadlineMs } = this.handler;
    if (nextDeadlineMs === this.armedForMs) return;
    this.armedForMs = nextDeadlineMs;
    clearTimeout(this.deadlineTimer);
    if (nextDeadlineMs === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.min(Math.ceil(nextDeadlineMs - monotonicMs()), TIMER_MS_MAX);
    this.deadlineTimer = setTimeout(this.meetDeadline, delayMs);
  }

  private readonly meetDeadline = (): void => {
    if (this.isStopped) return;
    this.armedForMs = 0;
    if (this.handler.nextDeadlineMs <= monotonicMs()) this.handler.onDeadline();
    this.armDeadline();
  };

  /**
   * Without a free descriptor, libuv fails to accept a waiting connection in each turn of its loop, and reports that to
   * nobody. The thread then sleeps a little in each turn, until there is a descriptor again.
   */
  private watchDescriptors(): void {
    const failure = whyNoDescriptor();
    if (failure !== '') this.handler.onAcceptFailed(failure);
    if (failure !== '' && !this.isThrottled) setImmediate(this.throttle);
    this.isThrottled = failure !== '';
  }

  private readonly throttle = (): void => {
    if (this.isStopped || !this.isThrottled) return;
    sleep(THROTTLE_MS);
    setImmediate(this.throttle);
  };

  private readonly useSpareTime = (): void => {
    // Once something has come, the work waits for the next tick.
    if (this.isStopped || this.isBusy) return;
    if (this.handler.onSpareTime()) setImmediate(this.useSpareTime);
  };

  private async followWakeUps(): Promise<void> {
    while (!this.isStopped && !this.channel.isStopped) {
      const seen = this.channel.wakeUps;
      this.isBusy = true;
      this.handler.onWake();
      this.armDeadline();
      await this.channel.waitForWakeUp(seen);
    }
  }

  /** Takes over a connection that a listening socket has accepted and not read from. */
  readonly accept = (accepted: Socket, isUnix: boolean, isTls: boolean): void => {
    // Counted first and looked at then, so that workers that accept at once can't both take the last place.
    this.channel.connectionOpened();
    let total = 0;
    for (const channel of this.channels) total += channel.connections;
    if (total > this.handler.clientsMax) {
      this.channel.connectionClosed();
      this.handler.onRefused();
      accepted.on('error', ignore);
      accepted.end(isTls ? '' : TOO_MANY_CLIENTS, () => accepted.destroy());
      return;
    }
    if (isTls) {
      this.acceptTls(accepted);
      return;
    }
    // A server's sockets can't be told to read into a given buffer: the handle gets another socket.
    const owner = accepted as unknown as SocketInternals;
    const handle = owner._handle;
    if (handle === null) {
      this.channel.connectionClosed();
      return;
    }
    owner._handle = null;
    const { fd } = handle;
    const socket: Socket = new Socket({
      handle,
      onread: { buffer: this.readBuffer, callback: (got: number) => this.onRead(connection, got) },
    } as unknown as ConstructorParameters<typeof Socket>[0]);
    const connection = new NodeConnection(fd, this, socket);
    if (!isUnix) this.setTcpOptions(socket);
    this.open(connection);
  };

  private setTcpOptions(socket: Socket): void {
    socket.setNoDelay(true);
    const seconds = this.handler.keepAliveSeconds;
    if (seconds > 0) socket.setKeepAlive(true, seconds * 1000);
  }

  /** Serves a new connection from now on. */
  private open(connection: NodeConnection): void {
    const { socket } = connection;
    connection.onWritten = () => this.onWritten(connection);
    const close = () => this.close(connection, false);
    socket.on('end', close).on('error', close).on('close', close);
    this.connections.add(connection);
    this.handler.onOpen(connection);
    this.send(connection);
    if (!connection.isClosed && connection.isReading) socket.resume();
  }

  /** Does the handshake of a connection that was accepted, and serves it then. */
  private acceptTls(accepted: Socket): void {
    const fd = (accepted as unknown as SocketInternals)._handle?.fd ?? -1;
    this.setTcpOptions(accepted);
    this.tls.handshake(accepted, (socket) => {
      if (socket === null || this.isStopped) {
        this.channel.connectionClosed();
        socket?.destroy();
        return;
      }
      const connection = new NodeConnection(fd, this, socket);
      connection.tlsVersion = TLS_VERSIONS[socket.getProtocol() ?? ''] ?? 0;
      socket.on('data', (data) => this.takeOpened(connection, data));
      // Of a socket that no tls.Server has made, node:tls reports what is wrong with records only this way.
      socket.on('_tlsError', (error: Error) => {
        if (!connection.isClosed) this.handler.onTlsFailure(connection, error.message);
        this.close(connection, false);
      });
      this.open(connection);
    });
  }

  /** TLS has opened some input. */
  private takeOpened(connection: NodeConnection, data: Uint8Array): void {
    for (let at = 0; at < data.length && !connection.isClosed; at += READ_BUFFER_BYTES) {
      const part = data.subarray(at, at + READ_BUFFER_BYTES);
      if (connection.isReading) {
        this.readBuffer.set(part);
        this.onRead(connection, part.length);
      } else if (!connection.isClosing) {
        // A part before this one has stopped reading: the rest waits.
        connection.appendInput(part, 0, part.length);
        connection.hasUndelivered = true;
        this.updateReading(connection);
      }
    }
  }

  /** `got` bytes are in the read buffer. Returns whether to go on reading. */
  private onRead(connection: NodeConnection, got: number): boolean {
    if (connection.isClosed || connection.isClosing) return false;
    if (connection.inputLength > 0) {
      // They belong behind what is there already, in the connection's own buffer.
      connection.keepInput(connection.input as Uint8Array, 0, connection.inputLength, got);
      (connection.input as Uint8Array).set(this.readBuffer.subarray(0, got), connection.inputLength);
    }
    if (connection.isReadingPaused) {
      if (connection.inputLength > 0) connection.inputLength += got;
      else connection.keepInput(this.readBuffer, 0, got, 0);
      this.updateReading(connection);
    } else {
      this.deliverInput(connection, got);
    }
    return connection.isReading;
  }

  /** Hands input to the handler: `got` new bytes, in the connection's buffer or in the worker's. */
  private deliverInput(connection: NodeConnection, got: number): void {
    this.isBusy = true;
    const { handler } = this;
    const { input, inputView } = connection;
    let left: number;
    if (input !== null && inputView !== null && connection.inputLength > 0) {
      const end = connection.inputLength + got;
      const consumed = handler.onData(connection, input, inputView, 0, end);
      left = end - consumed;
      if (!connection.isClosed) connection.keepInput(input, consumed, end, handler.bytesNeeded);
    } else {
      const consumed = handler.onData(connection, this.readBuffer, this.readView, 0, got);
      left = got - consumed;
      if (left > 0 && !connection.isClosed)
        connection.keepInput(this.readBuffer, consumed, got, handler.bytesNeeded);
    }
    const isPaused = handler.isPaused && left > 0;
    this.send(connection);
    if (isPaused) {
      connection.hasUndelivered = true;
      this.updateReading(connection);
    }
    this.handler.onRoundEnd();
    this.armDeadline();
  }

  deliver(connection: Connection, writer: ReplyWriter, start: number): void {
    this.deliveries.add(connection, writer, start);
  }

  certificateName(connection: Connection): string {
    const { socket } = connection as NodeConnection;
    const name = socket instanceof TLSSocket ? socket.getPeerCertificate().subject?.CN : undefined;
    return typeof name === 'string' ? Buffer.from(name).toString('latin1') : '';
  }

  flushDeliveries(): void {
    while (this.deliveries.flush());
  }

  private readonly sendDelivery = (
    target: Connection,
    writer: ReplyWriter,
    start: number,
    end: number,
  ): void => {
    const connection = target as NodeConnection;
    this.handler.onDelivery(connection);
    if (connection.isOutputHeld || connection.pendingOutputBytes > 0) {
      connection.queueOutput(writer.bytes, start, end);
    } else {
      // The socket keeps what it can't send.
      const left = this.write(connection, writer.bytes.slice(start, end));
      if (connection.isClosed || left === 0) return;
      connection.pendingOutputBytes += left;
    }
    this.updateReading(connection);
    if (!connection.isOutputHeld) this.handler.onOutputPending(connection);
  };

  /** Hands over the rest, after the others had their turn. */
  private deliverLeft(connection: NodeConnection): void {
    connection.isQueued = false;
    if (connection.isClosed || !connection.hasUndelivered || !takesInput(connection)) return;
    connection.hasUndelivered = false;
    this.deliverInput(connection, 0);
    this.updateReading(connection);
  }

  send(target: Connection): void {
    const { reply } = this;
    const connection = target as NodeConnection;
    if (connection.deliveryWriter !== null) this.deliveries.send(connection);
    if (reply.length > 0 || reply.spilledBytes > 0) {
      if (!connection.isClosed) this.writeReply(connection);
      reply.reset();
    }
    if (connection.isClosing && connection.pendingOutputBytes === 0) this.close(connection, false);
  }

  private writeReply(connection: NodeConnection): void {
    const { reply } = this;
    if (connection.isOutputHeld) {
      this.queueReply(connection);
      this.updateReading(connection);
      return;
    }
    if (connection.pendingOutputBytes > 0 || reply.isOversized) {
      this.queueReply(connection);
      if (connection.inFlightBytes === 0) this.writeQueued(connection);
      if (connection.isClosed) return;
    } else {
      const left = this.write(connection, reply.bytes.subarray(0, reply.length));
      if (connection.isClosed || left === 0) return;
      connection.pendingOutputBytes += left;
      reply.abandonBuffer();
    }
    this.updateReading(connection);
    this.handler.onOutputPending(connection);
  }

  private queueReply(connection: NodeConnection): void {
    const { reply } = this;
    if (reply.isOversized) {
      connection.adoptOutput(reply.bytes, 0, reply.length);
      reply.abandonBuffer();
    } else {
      connection.queueOutput(reply.bytes, 0, reply.length);
    }
  }

  /** Gives bytes to the socket. Returns 0 if they are all sent, else their number: the socket keeps them. */
  private write(connection: NodeConnection, bytes: Uint8Array): number {
    const { socket } = connection;
    socket.write(bytes, connection.onWritten);
    const left = socket.writableLength === 0 ? 0 : bytes.length;
    connection.inFlightBytes = left;
    return left;
  }

  /** The socket has sent what it had. */
  private onWritten(connection: NodeConnection): void {
    if (connection.isClosed || connection.inFlightBytes === 0 || connection.socket.writableLength > 0) return;
    this.inFlightSent(connection);
    if (!connection.isOutputHeld) this.writeQueued(connection);
  }

  private inFlightSent(connection: NodeConnection): void {
    const { inFlightBytes } = connection;
    connection.inFlightBytes = 0;
    if (connection.isBlockInFlight) connection.outputSent(inFlightBytes);
    else connection.pendingOutputBytes -= inFlightBytes;
    connection.hasTakenOutput = true;
    connection.isBlockInFlight = false;
  }

  private writeQueued(connection: NodeConnection): void {
    const { output } = connection;
    let left = WRITTEN_PER_TURN_BYTES_MAX;
    while (output.lengthBytes > 0) {
      if (left <= 0) {
        // Others have their turn.
        setImmediate(() => this.continueWriting(connection));
        return;
      }
      const { bytes, start, end } = output.first;
      left -= end - start;
      if (this.write(connection, bytes.subarray(start, end)) > 0) {
        connection.isBlockInFlight = true;
        return;
      }
      if (connection.isClosed) return;
      connection.outputSent(end - start);
    }
    if (connection.isClosing) this.close(connection, false);
    else this.updateReading(connection);
  }

  private continueWriting(connection: NodeConnection): void {
    if (!connection.isClosed && !connection.isOutputHeld && connection.inFlightBytes === 0) {
      this.writeQueued(connection);
    }
  }

  private updateReading(connection: NodeConnection): void {
    if (connection.isClosed) return;
    const takes = takesInput(connection);
    if (takes && connection.hasUndelivered && !connection.isQueued) {
      connection.isQueued = true;
      setImmediate(() => this.deliverLeft(connection));
    }
    const buffersForLater =
      connection.isReadingPaused &&
      connection.closesOnEnd &&
      connection.inputLength <= UNDELIVERED_BYTES_MAX &&
      takesOutput(connection);
    const reads = (takes && !connection.hasUndelivered) || buffersForLater;
    if (connection.isReading === reads) return;
    connection.isReading = reads;
    if (reads) connection.socket.resume();
    else connection.socket.pause();
  }

  releaseOutput(target: Connection): void {
    const connection = target as NodeConnection;
    connection.isOutputHeld = false;
    if (!connection.isClosed && connection.inFlightBytes === 0) this.writeQueued(connection);
  }

  pauseReading(connection: Connection): void {
    connection.isReadingPaused = true;
    this.updateReading(connection as NodeConnection);
  }

  resumeReading(connection: Connection): void {
    if (!connection.isReadingPaused || connection.isClosed) return;
    connection.isReadingPaused = false;
    connection.hasUndelivered = false;
    this.updateReading(connection as NodeConnection);
    if (connection.inputLength > 0) this.deliverInput(connection as NodeConnection, 0);
  }

  close(target: Connection, afterReply: boolean): void {
    const connection = target as NodeConnection;
    if (connection.isClosed) return;
    if (afterReply && connection.pendingOutputBytes > 0) {
      connection.isClosing = true;
      this.updateReading(connection);
      return;
    }
    connection.isClosed = true;
    this.connections.delete(connection);
    this.handler.onClose(connection);
    connection.socket.destroy();
    connection.fd = -1;
    connection.dropOutput();
    connection.dropInput();
  }

  peerAddress(connection: Connection): string {
    const { remoteAddress, remoteFamily, remotePort } = (connection as NodeConnection).socket;
    return addressText(remoteAddress, remoteFamily, remotePort);
  }

  localAddress(connection: Connection): string {
    const { address, family, port } = (connection as NodeConnection).socket.address() as Partial<AddressInfo>;
    return addressText(address, family, port);
  }
}

/** Whether input of a connection may be handed over now. */
function takesInput(connection: NodeConnection): boolean {
  return !connection.isReadingPaused && takesOutput(connection);
}

/** Whether more output may be produced for a connection. */
function takesOutput(connection: NodeConnection): boolean {
  return (
    !connection.isClosing &&
    !connection.isOutputHeld &&
    connection.pendingOutputBytes < PENDING_OUTPUT_BYTES_MAX
  );
}

/** Why no descriptor is available now, '' if one is. */
function whyNoDescriptor(): string {
  try {
    closeSync(openSync(ANY_FILE, 'r'));
    return '';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'EMFILE' || code === 'ENFILE' ? `accept: ${systemReason(error)}` : '';
  }
}

function ignore(): void {}

/** As `formatAddress`: '' for a unix socket. */
function addressText(address: string | undefined, family: string | undefined, port: number | undefined) {
  if (address === undefined || port === undefined) return '';
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
}
