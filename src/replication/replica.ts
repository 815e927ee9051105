/** One replica of this server: its connection, how far it is, and what it is sent. */

import net from 'node:net';
import type { Duplex } from 'node:stream';
import type { ClientRows } from '../execution/client-rows.js';
import { NO_CONNECTION } from '../execution/no-connection.js';
import type { ClientConnection, ReplicaTraits, Session } from '../execution/session.js';
import { TLS_SESSION_BYTES } from '../network/tls/tls-codec.js';
import { TlsStream } from '../network/tls/tls-stream.js';
import { type ReplicaRow, ReplicaState } from '../state/replication-state.js';
import { monotonicMs } from '../system/clock.js';
import type { Libc } from '../system/libc.js';
import type { Backlog } from './backlog.js';
import { LinkInput } from './link-input.js';

/** If a replica has so much of a snapshot still to take, no more of it is fetched. */
const SNAPSHOT_BYTES_MAX = 1 << 20;

export interface ReplicaEvents {
  onCommand(replica: Replica, command: readonly string[]): void;
  /** Its socket has sent everything that it was given. */
  onSettled(): void;
  onClose(replica: Replica): void;
}

/** A socket, or TLS over one. */
interface ReplicaSocket extends Duplex {
  readonly remoteAddress?: string;
  setNoDelay(isOn?: boolean): this;
  destroySoon(): void;
}

export class Replica {
  readonly traits: ReplicaTraits;
  readonly socket: ReplicaSocket;
  readonly session: Session;
  readonly ip: string;
  state: ReplicaState = ReplicaState.WaitStart;
  /** Position in the journal up to which the stream was given to its socket, and up to which that has sent it. */
  position = 0;
  sentPosition = 0;
  /** After a snapshot that ends with a mark, the stream waits for the replica's first acknowledgement. */
  waitsForAck = false;
  ackOffset = 0;
  fileOffset = 0;
  ackMs = monotonicMs();
  /** Since when its lag has been over the soft limit, 0 if it is not. */
  overSoftSinceMs = 0;
  isClosed = false;
  /** The descriptor through which workers write to its socket (state/replica-feed.ts), -1 if they can't. */
  readonly feedDescriptor: number;
  private readonly rows: ClientRows;
  private readonly events: ReplicaEvents;
  private readonly input = new LinkInput();
  private isWriting = false;

  constructor(
    fd: number,
    slot: number,
    traits: ReplicaTraits,
    addresses: { peer: string; local: string },
    rows: ClientRows,
    libc: Libc,
    events: ReplicaEvents,
  ) {
    this.traits = traits;
    this.rows = rows;
    this.events = events;
    const tls = rows.tlsOf(slot);
    const socket =
      tls.session === 0
        ? new net.Socket({ fd, readable: true, writable: true, allowHalfOpen: false })
        : new TlsStream(fd, tls.session, tls.record);
    this.socket = socket;
    // Node.js closes its own whenever it wants to, and another connection may have that number then.
    this.feedDescriptor = tls.session === 0 ? libc.duplicate(fd) : -1;
    const connection: ClientConnection = {
      ...NO_CONNECTION,
      closeAfterReply: () => socket.destroySoon(),
      peerAddress: () => addresses.peer,
      localAddress: () => addresses.local,
      fd,
      tlsBytes: tls.session === 0 ? 0 : TLS_SESSION_BYTES,
      get pendingOutputBytes() {
        return socket.writableLength;
      },
    };
    this.session = rows.join(slot, connection);
    this.session.isReplica = true;
    this.ip = traits.ip !== '' ? traits.ip : (socket.remoteAddress ?? '').replace(/^::ffff:/, '');
    socket.on('data', (bytes: Buffer) => this.receive(bytes));
    socket.on('error', () => {});
    socket.on('close', () => this.close());
    socket.resume();
  }

  get name(): string {
    const { ip } = this;
    return this.traits.port > 0 ? `${ip}:${this.traits.port}` : `client id #${this.session.id}`;
  }

  receive(bytes: Uint8Array): void {
    try {
      for (const command of this.input.add(bytes)) this.events.onCommand(this, command);
    } catch {
      this.close();
    }
  }

  send(bytes: string | Uint8Array): void {
    if (!this.isClosed) this.socket.write(bytes);
  }

  /** Whether more of a snapshot may be sent to it. */
  get takesMore(): boolean {
    return this.socket.writableLength < SNAPSHOT_BYTES_MAX;
  }

  /** The stream to it begins at a position. */
  startAt(position: number): void {
    this.position = position;
    this.sentPosition = position;
  }

  /** Sends it what is in the backlog, as fast as its socket takes it. */
  pump(backlog: Backlog): void {
    if (this.isWriting || this.isClosed || this.waitsForAck || this.state !== ReplicaState.Online) return;
    const bytes = backlog.read(this.position);
    if (bytes.length === 0) return;
    this.position += bytes.length;
    this.isWriting = true;
    this.socket.write(bytes, () => {
      this.isWriting = false;
      this.sentPosition = this.position;
      this.pump(backlog);
      if (this.isSettled) this.events.onSettled();
    });
  }

  /** Whether it is online, and its socket has sent everything that it was given. */
  get isSettled(): boolean {
    return this.state === ReplicaState.Online && !this.waitsForAck && !this.isWriting && !this.isClosed;
  }

  /** A worker has written so much of the stream to its socket. */
  noteFed(lengthBytes: number): void {
    this.startAt(this.position + lengthBytes);
  }

  publish(): void {
    this.rows.publish(this.session, 0, 0);
  }

  get row(): ReplicaRow {
    const { state, ip, traits, ackOffset, ackMs, fileOffset, session } = this;
    return { state, ip, port: traits.port, ackOffset, ackMs, fileOffset, clientId: session.id };
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.socket.destroy();
    this.rows.close(this.session);
    this.events.onClose(this);
  }
}
