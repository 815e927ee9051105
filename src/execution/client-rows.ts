/**
 * Keeps the rows of one worker's sessions in the process-wide client table up to date: all figures after
 * each batch, the texts when they have changed.
 */

import { ChannelKind } from '../pubsub/channel-registry.js';
import { type ClientTracking, TrackingMode } from '../pubsub/client-tracking.js';
import { ClientFigure, ClientFlag, type ClientTable, ClientText, ClientWord } from '../state/client-table.js';
import { ClientClass, type ClientConnection, Session } from './session.js';

/** What an idle connection costs besides its buffers: its objects here and its row. */
export const SESSION_BYTES = 2048;

export class ClientRows {
  private readonly table: ClientTable;
  private readonly worker: number;
  /** Texts as they are in the rows, by slot. */
  private readonly names: string[] = [];
  private readonly users: string[] = [];
  private readonly libraryNames: string[] = [];
  private readonly libraryVersions: string[] = [];
  /** The part of each row in this worker's sums, by slot. */
  private readonly memory: number[] = [];
  private readonly evictableMemory: number[] = [];
  private readonly unauthenticatedMemory: number[] = [];

  constructor(table: ClientTable, worker: number) {
    this.table = table;
    this.worker = worker;
  }

  /** Gives a new session its row. Returns false, and leaves `clientSlot` at -1, if the table is full. */
  open(session: Session): boolean {
    const { connection } = session;
    const slot = this.table.open(
      session.id,
      this.worker,
      connection.fd,
      connection.peerAddress(),
      connection.localAddress(),
      session.createdMs,
    );
    session.clientSlot = slot;
    if (slot < 0) return false;
    if (connection.tlsVersion !== 0) this.table.setTls(slot, connection.tlsVersion, connection.tlsSession);
    this.names[slot] = '';
    this.users[slot] = 'default';
    this.libraryNames[slot] = '';
    this.libraryVersions[slot] = '';
    this.memory[slot] = 0;
    this.evictableMemory[slot] = 0;
    this.unauthenticatedMemory[slot] = 0;
    this.publish(session, 0, 0);
    return true;
  }

  /** The session goes to another worker; returns its slot. */
  leave(session: Session, worker: number): number {
    const { clientSlot: slot } = session;
    this.countMemory(slot, 0, 0, 0);
    this.table.setWrittenUntil(slot, session.writtenUntil);
    this.table.assign(slot, worker);
    return slot;
  }

  /** A client's TLS state as its previous thread left it: the address of its session, 0 for none, and its record. */
  tlsOf(slot: number): { session: number; record: number } {
    return { session: this.table.tlsSession(slot), record: this.table.tlsRecord(slot) };
  }

  /** The id of a client's user. */
  userId(slot: number): number {
    return this.table.words[this.table.wordBase(slot) + ClientWord.User];
  }

  /** Rebuilds, from its row, the session of a connection that has moved here from another worker. */
  join(slot: number, connection: ClientConnection): Session {
    const { table } = this;
    const { words, figures } = table;
    const word = table.wordBase(slot);
    const figure = table.figureBase(slot);
    const session = new Session(
      figures[figure + ClientFigure.Id],
      connection,
      figures[figure + ClientFigure.CreatedMs],
    );
    const flags = words[word + ClientWord.Flags];
    session.clientSlot = slot;
    session.database = words[word + ClientWord.Database];
    session.protocol = words[word + ClientWord.Protocol] as 2 | 3;
    session.noEvict = (flags & ClientFlag.NoEvict) !== 0;
    session.noTouch = (flags & ClientFlag.NoTouch) !== 0;
    session.writtenUntil = table.writtenUntil(slot);
    session.lastCommandId = words[word + ClientWord.LastCommandId];
    session.lastInteractionMs = figures[figure + ClientFigure.LastInteractionMs];
    session.name = this.names[slot] = table.text(slot, ClientText.Name);
    this.users[slot] = table.text(slot, ClientText.User);
    session.libraryName = this.libraryNames[slot] = table.text(slot, ClientText.LibraryName);
    session.libraryVersion = this.libraryVersions[slot] = table.text(slot, ClientText.LibraryVersion);
    this.memory[slot] = 0;
    this.evictableMemory[slot] = 0;
    this.unauthenticatedMemory[slot] = 0;
    this.publishBuffers(session, 0, 0);
    return session;
  }

  close(session: Session): void {
    if (session.clientSlot < 0) return;
    this.countMemory(session.clientSlot, 0, 0, 0);
    this.table.close(session.clientSlot);
    session.clientSlot = -1;
  }

  /**
   * Stores a session's state into its row: after each batch, and before a session looks at itself.
   * `inputBytes`: what has arrived and waits to be run; `freeBytes`: the room for what is to follow it; `readBytes`:
   * what has been run.
   */
  publish(session: Session, inputBytes: number, freeBytes: number, readBytes = 0): void {
    const { clientSlot: slot, connection } = session;
    if (slot < 0) return;
    const { words, figures } = this.table;
    const word = this.table.wordBase(slot);
    const figure = this.table.figureBase(slot);
    words[word + ClientWord.Database] = session.database;
    words[word + ClientWord.Flags] = flagsOf(session);
    words[word + ClientWord.Redirect] = session.tracking?.redirectId ?? -1;
    words[word + ClientWord.Protocol] = session.protocol;
    words[word + ClientWord.Multi] = session.queue === null ? -1 : session.queue.length;
    words[word + ClientWord.Watched] = session.watched.length;
    const { subscribed } = session;
    words[word + ClientWord.Subscriptions] = subscribed?.count(ChannelKind.Plain) ?? 0;
    words[word + ClientWord.PatternSubscriptions] = subscribed?.count(ChannelKind.Pattern) ?? 0;
    words[word + ClientWord.ShardSubscriptions] = subscribed?.count(ChannelKind.Shard) ?? 0;
    words[word + ClientWord.LastCommandId] = session.lastCommandId;
    words[word + ClientWord.ReplyMode] = session.replyMode;
    figures[figure + ClientFigure.LastInteractionMs] = session.lastInteractionMs;
    figures[figure + ClientFigure.ArgumentMemory] = 0;
    figures[figure + ClientFigure.MultiMemory] = session.queuedBytes;
    this.publishBuffers(session, inputBytes, freeBytes);
    const bufferBytes = readBytes + inputBytes + freeBytes;
    this.table.noteBuffers(
      Math.floor(session.lastInteractionMs / 1000),
      bufferBytes,
      connection.pendingOutputBytes,
    );
    if (this.names[slot] !== session.name) {
      this.names[slot] = session.name;
      this.table.setText(slot, ClientText.Name, session.name);
    }
    words[word + ClientWord.User] = session.user?.id ?? 0;
    if (this.users[slot] !== session.userName) {
      this.users[slot] = session.userName;
      this.table.setText(slot, ClientText.User, Buffer.from(session.userName, 'latin1').toString());
    }
    if (this.libraryNames[slot] !== session.libraryName) {
      this.libraryNames[slot] = session.libraryName;
      this.table.setText(slot, ClientText.LibraryName, session.libraryName);
    }
    if (this.libraryVersions[slot] !== session.libraryVersion) {
      this.libraryVersions[slot] = session.libraryVersion;
      this.table.setText(slot, ClientText.LibraryVersion, session.libraryVersion);
    }
  }

  /** Stores the sizes of a session's buffers, and what it takes in all. */
  publishBuffers(session: Session, inputBytes: number, freeBytes: number): void {
    const { clientSlot: slot, connection } = session;
    if (slot < 0) return;
    const { figures } = this.table;
    const figure = this.table.figureBase(slot);
    const pending = connection.pendingOutputBytes;
    const total =
      SESSION_BYTES +
      connection.tlsBytes +
      inputBytes +
      freeBytes +
      session.queuedBytes +
      session.watchedBytes +
      (session.subscribed?.memoryBytes ?? 0) +
      (session.tracking?.prefixBytes ?? 0) +
      pending;
    figures[figure + ClientFigure.QueryBuffer] = inputBytes;
    figures[figure + ClientFigure.QueryBufferFree] = freeBytes;
    figures[figure + ClientFigure.OutputListLength] = connection.pendingOutputChunks;
    figures[figure + ClientFigure.OutputMemory] = pending;
    figures[figure + ClientFigure.TotalMemory] = total;
    const isEvictable = !session.noEvict && session.clientClass !== ClientClass.Replica;
    this.countMemory(slot, total, isEvictable ? total : 0, session.authenticated ? 0 : total);
  }

  private countMemory(slot: number, total: number, evictable: number, unauthenticated: number): void {
    const moved = total - this.memory[slot];
    const evictableMoved = evictable - this.evictableMemory[slot];
    const unauthenticatedMoved = unauthenticated - this.unauthenticatedMemory[slot];
    if (moved === 0 && evictableMoved === 0 && unauthenticatedMoved === 0) return;
    this.memory[slot] = total;
    this.evictableMemory[slot] = evictable;
    this.unauthenticatedMemory[slot] = unauthenticated;
    this.table.addMemory(this.worker, moved, evictableMoved, unauthenticatedMoved);
  }

  /** Stores what the running command takes: its bytes as they were sent, and its arguments alone. */
  publishRequest(session: Session, requestBytes: number, argumentBytes: number, freeBytes: number): void {
    if (session.clientSlot < 0) return;
    const figure = this.table.figureBase(session.clientSlot);
    const { figures } = this.table;
    figures[figure + ClientFigure.QueryBuffer] = requestBytes;
    figures[figure + ClientFigure.QueryBufferFree] = freeBytes;
    figures[figure + ClientFigure.ArgumentMemory] = argumentBytes;
    figures[figure + ClientFigure.TotalMemory] += requestBytes + freeBytes + argumentBytes;
  }
}

function flagsOf(session: Session): number {
  return (
    (session.queue === null ? 0 : ClientFlag.Multi) |
    (session.isMonitor ? ClientFlag.Monitor : 0) |
    (session.isReplica ? ClientFlag.Replica : 0) |
    (session.isPrimary ? ClientFlag.Master : 0) |
    (session.subscribed === null ? 0 : ClientFlag.PubSub) |
    trackingFlags(session.tracking) |
    (session.postponed === null ? 0 : ClientFlag.Blocked) |
    (session.closing ? ClientFlag.CloseAfterReply : 0) |
    (session.noEvict ? ClientFlag.NoEvict : 0) |
    (session.noTouch ? ClientFlag.NoTouch : 0)
  );
}

function trackingFlags(tracking: ClientTracking | null): number {
  if (tracking === null) return 0;
  return (
    ClientFlag.Tracking |
    (tracking.isRedirectBroken ? ClientFlag.TrackingBrokenRedirect : 0) |
    (tracking.mode === TrackingMode.Broadcast ? ClientFlag.TrackingBroadcast : 0)
  );
}
