/**
 * What the threads have to know of replication: the role, the history and how far it is, the link to the primary, the
 * replicas. The replication thread keeps it up to date. Role and history change under the locks of all shards.
 *
 *   int32 words   0 lock of the texts   1 the server is a replica   2 LinkState   3 the replication thread is wanted
 *                 4 replicas that are online and have answered lately   5 clients in WAIT or WAITAOF   6 FailoverState
 *                 7 replicas are to say how far they are   8 there is a backlog   9 port of the primary   10 requests served
 *                11 the offset counts what is recorded   12 full syncs   13 partial ones   14 partial ones that were refused
 *                15 database of the stream from the primary, -1 for none   16 replicas   17 requests made
 *                20 shutdowns that wait for replicas   21 shutdowns that were called off so far
 *                18 the file that was loaded is a replica's, and of this history
 *   float64 from byte 128, by Wide
 *   texts from byte 512: ids of the histories, address of the primary
 *   rows from byte 2048: replicas
 */

import { randomBytes } from 'node:crypto';
import { Attention, type HeededBlock } from '../memory/attention.js';
import { acquireLock, releaseLock } from '../memory/lock.js';
import { monotonicMs } from '../system/clock.js';
import type { Log } from '../system/log.js';
import { waitForChange } from '../system/wait.js';

const enum Word {
  Lock = 0,
  IsReplica = 1,
  LinkState = 2,
  ThreadWanted = 3,
  GoodReplicas = 4,
  Waiters = 5,
  FailoverState = 6,
  AcksWanted = 7,
  BacklogOn = 8,
  PrimaryPort = 9,
  Served = 10,
  Counts = 11,
  FullSyncs = 12,
  PartialSyncs = 13,
  RefusedPartialSyncs = 14,
  StreamDatabase = 15,
  Replicas = 16,
  Requested = 17,
  HasLoadedHistory = 18,
  ShutdownWaits = 20,
  ShutdownAborts = 21,
}

/** Indices in units of 8 bytes. */
export const enum ReplicationFigure {
  /** Offset of a position in the journal, minus that position. */
  Base = 16,
  /** The offset while nothing is counted. */
  FrozenOffset = 17,
  /** The offset up to which the second history is the same; -1 for none. */
  SecondOffset = 18,
  /** The first offset that the backlog has, and how much it has from there. */
  BacklogStart = 19,
  BacklogBytes = 20,
  /** When the primary last sent anything (ms). */
  LastIoMs = 21,
  /** Since when the link is down (ms), 0 if it is up. */
  LinkDownMs = 22,
  SyncTotalBytes = 23,
  SyncReadBytes = 24,
  SyncLastIoMs = 25,
  /** The offset up to which the primary's stream was read. */
  ReadOffset = 26,
  /** What the backlog has beyond its size, only because a replica has not got it yet. */
  BufferBytes = 27,
  /** Until when a shutdown waits for replicas (ms). */
  ShutdownEndMs = 28,
}

const ID_BYTES = 40;
const TEXTS = 512;
const enum Text {
  Id = 0,
  SecondId = 1,
  PrimaryHost = 2,
}
const TEXT_BYTES = 256;
const ROWS = 2048;
const ROW_BYTES = 256;
const ROWS_MAX = 64;
const ROW_TEXT = 96;
/** Figures of a row, in units of 8 bytes from its start. */
const enum RowFigure {
  AckOffset = 1,
  AckMs = 2,
  FileOffset = 3,
  ClientId = 4,
}
const BLOCK_BYTES = ROWS + ROWS_MAX * ROW_BYTES;

/** State of the link to the primary. */
export const enum LinkState {
  None = 0,
  /** To be connected as soon as possible. */
  Connect = 1,
  Connecting = 2,
  Handshake = 3,
  Transfer = 4,
  Connected = 5,
}

export const enum FailoverState {
  None = 0,
  WaitForSync = 1,
  InProgress = 2,
}

export const enum ReplicaState {
  None = 0,
  WaitStart = 1,
  WaitEnd = 2,
  SendBulk = 3,
  Online = 4,
}

export const REPLICA_STATE_NAMES = ['none', 'wait_bgsave', 'wait_bgsave', 'send_bulk', 'online'];

/** A replica as INFO and ROLE show it. */
export interface ReplicaRow {
  readonly state: ReplicaState;
  readonly ip: string;
  readonly port: number;
  /** The offset that it has acknowledged, and when (ms); the offset that is in its append-only file. */
  readonly ackOffset: number;
  readonly ackMs: number;
  readonly fileOffset: number;
  readonly clientId: number;
}

export const NO_ID = '0'.repeat(ID_BYTES);

export function newReplicationId(): string {
  return randomBytes(ID_BYTES / 2).toString('hex');
}

export class ReplicationState {
  readonly figures: Float64Array;
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;

  private readonly attention: Attention;

  constructor({ block, attention }: HeededBlock) {
    this.words = new Int32Array(block);
    this.figures = new Float64Array(block);
    this.bytes = new Uint8Array(block);
    this.attention = new Attention(attention);
  }

  static create(attention: SharedArrayBuffer): HeededBlock {
    const handle = { block: new SharedArrayBuffer(BLOCK_BYTES), attention };
    const state = new ReplicationState(handle);
    state.setHistory(newReplicationId(), NO_ID, -1);
    state.words[Word.StreamDatabase] = -1;
    return handle;
  }

  // Role and history.

  get isReplica(): boolean {
    return this.words[Word.IsReplica] !== 0;
  }

  set isReplica(isReplica: boolean) {
    Atomics.store(this.words, Word.IsReplica, isReplica ? 1 : 0);
    this.attention.raiseAll();
  }

  get linkState(): LinkState {
    return Atomics.load(this.words, Word.LinkState);
  }

  set linkState(state: LinkState) {
    Atomics.store(this.words, Word.LinkState, state);
    this.attention.raiseAll();
  }

  /** Whether the data may be old: the server is a replica, and has no link to its primary. */
  get isStale(): boolean {
    return this.words[Word.IsReplica] !== 0 && this.words[Word.LinkState] !== LinkState.Connected;
  }

  get id(): string {
    return this.text(Text.Id);
  }

  get secondId(): string {
    return this.text(Text.SecondId);
  }

  get secondOffset(): number {
    return this.figures[ReplicationFigure.SecondOffset];
  }

  setHistory(id: string, secondId: string, secondOffset: number): void {
    this.setText(Text.Id, id);
    this.setText(Text.SecondId, secondId);
    this.figures[ReplicationFigure.SecondOffset] = secondOffset;
  }

  /** From now on, clients get the answers and refusals of a replica; the replication thread does the rest. */
  beginAsReplica(host: string, port: number): void {
    this.setPrimary(host, port);
    this.linkState = LinkState.Connect;
    this.isReplica = true;
  }

  get primaryHost(): string {
    return this.text(Text.PrimaryHost);
  }

  get primaryPort(): number {
    return Atomics.load(this.words, Word.PrimaryPort);
  }

  setPrimary(host: string, port: number): void {
    this.setText(Text.PrimaryHost, host);
    Atomics.store(this.words, Word.PrimaryPort, port);
  }

  /** The offset of a position in the journal. */
  offsetAt(position: number): number {
    const { figures } = this;
    return this.counts ? position + figures[ReplicationFigure.Base] : figures[ReplicationFigure.FrozenOffset];
  }

  positionOf(offset: number): number {
    return offset - this.figures[ReplicationFigure.Base];
  }

  get counts(): boolean {
    return this.words[Word.Counts] !== 0;
  }

  /** Starts counting: `offset` is the offset of `position` in the journal. */
  countFrom(position: number, offset: number): void {
    this.figures[ReplicationFigure.Base] = offset - position;
    this.figures[ReplicationFigure.FrozenOffset] = offset;
    Atomics.store(this.words, Word.Counts, 1);
  }

  stopCounting(position: number): void {
    this.figures[ReplicationFigure.FrozenOffset] = this.offsetAt(position);
    Atomics.store(this.words, Word.Counts, 0);
  }

  /** The database in which the primary's stream goes on, -1 if there is none. */
  get streamDatabase(): number {
    return this.words[Word.StreamDatabase];
  }

  set streamDatabase(database: number) {
    this.words[Word.StreamDatabase] = database;
  }

  /** Whether the data loaded at start has the history and the offset that are noted here. */
  get hasLoadedHistory(): boolean {
    return Atomics.load(this.words, Word.HasLoadedHistory) !== 0;
  }

  set hasLoadedHistory(has: boolean) {
    Atomics.store(this.words, Word.HasLoadedHistory, has ? 1 : 0);
  }

  get isBacklogOn(): boolean {
    return Atomics.load(this.words, Word.BacklogOn) !== 0;
  }

  set isBacklogOn(isOn: boolean) {
    Atomics.store(this.words, Word.BacklogOn, isOn ? 1 : 0);
  }

  get failoverState(): FailoverState {
    return Atomics.load(this.words, Word.FailoverState);
  }

  set failoverState(state: FailoverState) {
    Atomics.store(this.words, Word.FailoverState, state);
  }

  // Counters.

  countFullSync(): void {
    Atomics.add(this.words, Word.FullSyncs, 1);
  }

  countPartialSync(isAccepted: boolean): void {
    Atomics.add(this.words, isAccepted ? Word.PartialSyncs : Word.RefusedPartialSyncs, 1);
  }

  get fullSyncs(): number {
    return Atomics.load(this.words, Word.FullSyncs);
  }

  get partialSyncs(): number {
    return Atomics.load(this.words, Word.PartialSyncs);
  }

  get refusedPartialSyncs(): number {
    return Atomics.load(this.words, Word.RefusedPartialSyncs);
  }

  resetCounters(): void {
    for (const word of [Word.FullSyncs, Word.PartialSyncs, Word.RefusedPartialSyncs])
      Atomics.store(this.words, word, 0);
  }

  // The thread, and what is asked of it.

  wantThread(): void {
    Atomics.store(this.words, Word.ThreadWanted, 1);
    Atomics.notify(this.words, Word.ThreadWanted);
  }

  async untilThreadWanted(): Promise<void> {
    while (Atomics.load(this.words, Word.ThreadWanted) === 0) {
      await waitForChange(this.words, Word.ThreadWanted, 0);
    }
  }

  /** Numbers a request to the replication thread. */
  takeTicket(): number {
    return Atomics.add(this.words, Word.Requested, 1) + 1;
  }

  /** Requests are served in the order of their numbers. */
  served(ticket: number): void {
    Atomics.store(this.words, Word.Served, ticket);
    Atomics.notify(this.words, Word.Served);
  }

  isServed(ticket: number): boolean {
    return ((Atomics.load(this.words, Word.Served) - ticket) | 0) >= 0;
  }

  /** Blocks until a request is served, at most for the timeout. */
  waitUntilServed(ticket: number, timeoutMs: number): void {
    const endMs = performance.now() + timeoutMs;
    while (!this.isServed(ticket)) {
      const leftMs = endMs - performance.now();
      if (leftMs <= 0) return;
      const served = Atomics.load(this.words, Word.Served);
      if (!this.isServed(ticket)) Atomics.wait(this.words, Word.Served, served, leftMs);
    }
  }

  /** Asks for acknowledgements: replicas shall tell their offsets. */
  wantAcks(): void {
    Atomics.store(this.words, Word.AcksWanted, 1);
  }

  takeWantedAcks(): boolean {
    return (
      Atomics.load(this.words, Word.AcksWanted) !== 0 &&
      Atomics.exchange(this.words, Word.AcksWanted, 0) !== 0
    );
  }

  get waiters(): number {
    return Atomics.load(this.words, Word.Waiters);
  }

  addWaiters(delta: number): void {
    Atomics.add(this.words, Word.Waiters, delta);
  }

  /** Shutdowns that wait for replicas. */
  get shutdownWaits(): number {
    return Atomics.load(this.words, Word.ShutdownWaits);
  }

  /** A shutdown waits for replicas until `endMs`. */
  beginShutdownWait(endMs: number): void {
    this.figures[ReplicationFigure.ShutdownEndMs] = endMs;
    Atomics.add(this.words, Word.ShutdownWaits, 1);
  }

  endShutdownWait(): void {
    Atomics.sub(this.words, Word.ShutdownWaits, 1);
  }

  /** Logs at shutdown which replicas have not acknowledged `offset`. */
  logLagging(offset: number, log: Log): void {
    const online = this.replicas().filter(({ state }) => state === ReplicaState.Online);
    const lagging = online.filter(({ ackOffset }) => ackOffset < offset);
    for (const { ip, port, ackOffset, ackMs } of lagging) {
      const lagSeconds = Math.floor((monotonicMs() - ackMs) / 1000);
      log(
        `Lagging replica ${ip}:${port} reported offset ${offset - ackOffset} behind master, lag=${lagSeconds}, state=online.`,
      );
    }
    log(`${online.length - lagging.length} of ${online.length} replicas are in sync when shutting down.`);
  }

  /** Number of shutdowns called off so far; a change means that another one was. */
  get shutdownAborts(): number {
    return Atomics.load(this.words, Word.ShutdownAborts);
  }

  abortShutdown(): void {
    Atomics.add(this.words, Word.ShutdownAborts, 1);
  }

  /** How many replicas are online and have not acknowledged an offset. */
  behind(offset: number): number {
    return this.replicas().filter(
      ({ state, ackOffset }) => state === ReplicaState.Online && ackOffset < offset,
    ).length;
  }

  // Replicas.

  /** Those that are online and have answered within min-replicas-max-lag. */
  get goodReplicas(): number {
    return this.words[Word.GoodReplicas];
  }

  set goodReplicas(count: number) {
    Atomics.store(this.words, Word.GoodReplicas, count);
  }

  get replicaCount(): number {
    return Atomics.load(this.words, Word.Replicas);
  }

  publishReplicas(replicas: readonly ReplicaRow[]): void {
    acquireLock(this.words, Word.Lock);
    const count = Math.min(replicas.length, ROWS_MAX);
    for (let row = 0; row < count; row++) {
      const { state, ip, port, ackOffset, ackMs, fileOffset, clientId } = replicas[row];
      const at = ROWS + row * ROW_BYTES;
      this.words[at >> 2] = state;
      this.words[(at >> 2) + 1] = port;
      this.figures[(at >> 3) + RowFigure.AckOffset] = ackOffset;
      this.figures[(at >> 3) + RowFigure.AckMs] = ackMs;
      this.figures[(at >> 3) + RowFigure.FileOffset] = fileOffset;
      this.figures[(at >> 3) + RowFigure.ClientId] = clientId;
      this.putText(at + ROW_TEXT, ip, ROW_BYTES - ROW_TEXT);
    }
    Atomics.store(this.words, Word.Replicas, count);
    releaseLock(this.words, Word.Lock);
  }

  /** A replica has acknowledged more since `publishReplicas`. `row`: its index there. */
  noteAck(
    row: number,
    { ackOffset, ackMs, fileOffset }: Pick<ReplicaRow, 'ackOffset' | 'ackMs' | 'fileOffset'>,
  ): void {
    if (row >= ROWS_MAX) return;
    const at = (ROWS + row * ROW_BYTES) >> 3;
    acquireLock(this.words, Word.Lock);
    this.figures[at + RowFigure.AckOffset] = ackOffset;
    this.figures[at + RowFigure.AckMs] = ackMs;
    this.figures[at + RowFigure.FileOffset] = fileOffset;
    releaseLock(this.words, Word.Lock);
  }

  replicas(): readonly ReplicaRow[] {
    acquireLock(this.words, Word.Lock);
    const rows: ReplicaRow[] = [];
    for (let row = 0; row < this.words[Word.Replicas]; row++) {
      const at = ROWS + row * ROW_BYTES;
      rows.push({
        state: this.words[at >> 2],
        port: this.words[(at >> 2) + 1],
        ackOffset: this.figures[(at >> 3) + RowFigure.AckOffset],
        ackMs: this.figures[(at >> 3) + RowFigure.AckMs],
        fileOffset: this.figures[(at >> 3) + RowFigure.FileOffset],
        clientId: this.figures[(at >> 3) + RowFigure.ClientId],
        ip: this.getText(at + ROW_TEXT),
      });
    }
    releaseLock(this.words, Word.Lock);
    return rows;
  }

  /** How many replicas have acknowledged an offset; `inFile`: that it is in their append-only files. */
  acknowledged(offset: number, inFile = false): number {
    acquireLock(this.words, Word.Lock);
    const figure = inFile ? RowFigure.FileOffset : RowFigure.AckOffset;
    let count = 0;
    for (let row = 0; row < this.words[Word.Replicas]; row++) {
      const at = ROWS + row * ROW_BYTES;
      if (this.words[at >> 2] === ReplicaState.Online && this.figures[(at >> 3) + figure] >= offset) count++;
    }
    releaseLock(this.words, Word.Lock);
    return count;
  }

  private text(text: Text): string {
    acquireLock(this.words, Word.Lock);
    const value = this.getText(TEXTS + text * TEXT_BYTES);
    releaseLock(this.words, Word.Lock);
    return value;
  }

  private setText(text: Text, value: string): void {
    acquireLock(this.words, Word.Lock);
    this.putText(TEXTS + text * TEXT_BYTES, value, TEXT_BYTES);
    releaseLock(this.words, Word.Lock);
  }

  private putText(at: number, text: string, roomBytes: number): void {
    const encoded = Buffer.from(text).subarray(0, Math.min(roomBytes - 1, 255));
    this.bytes[at] = encoded.length;
    this.bytes.set(encoded, at + 1);
  }

  private getText(at: number): string {
    return Buffer.from(this.bytes.slice(at + 1, at + 1 + this.bytes[at])).toString();
  }
}
