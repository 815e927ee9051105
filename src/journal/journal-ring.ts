/**
 * The journal's ring in shared memory: what threads have written and its readers have not taken yet. There are two readers:
 * the append-only file, and replication, whose stream to replicas has the same bytes (replication/backlog.ts).
 *
 *   int32 words, a cache line for each of
 *       0 on: workers record changes   1 replies wait for the disk (`appendfsync always`)
 *       2 the disk is far behind: replies wait until it has caught up   3 timestamps are wanted
 *       4 the append-only file wants records   5 replicas do   6 the server is a replica: workers record nothing
 *       9, 10 the database before the last snapshot, and where the next file begins
 *       7 the append-only file is a reader: it may have something to take   8 replication is
 *      16 lock of the appending thread   17 database of the last record, -1 for none   18 second of the last timestamp
 *      32 the journal thread sleeps   33 requests to it (JournalRequest)   34 incremented whenever there is more room
 *      40 the head's low 32 bits
 *      48 lock of the file   49 its descriptor, -1 for none   50 the error of an fsync that a worker has seen fail
 *      56 workers with overflow (see below)
 *      57 the replication thread sleeps   58 gaps: the next one to come, 59 the first that was not passed
 *      64... by worker: it waits for the disk, with replies or with overflow
 *    2048... by worker, two words: it has overflow; the low 32 bits of the position where that begins
 *   float64, positions: bytes since the process began
 *    1024 head: what is written   1032 taken: what the journal thread has brought to the file
 *    1040 synced: what is on the disk   1048 switch: where the next file begins, -1 for nowhere
 *    1056 since when something is to be taken, or is taken and not synced (ms); 0 if nothing is
 *    1064 how long the last fsync took (ms)
 *    1072 sent: what replication has taken   1080 boundary: a record ends there, and the file is written so far
 *    1088 newer: where the last record begins that Redis 7.0 would not understand, -1 for none
 *    1096 snapshot: the position at the moment of the last one   1104 fed: up to there, workers have sent all replicas everything
 *    1152... gaps: pairs of positions between which is what only replicas want
 *   bytes from RING_OFFSET: the ring
 *
 * A writer holds the locks of the shards that it has changed while it appends, so the ring has the changes of
 * every shard in their order, and a transaction in one piece. (Data other than changes that replicas need, such as a
 * PING, is a gap: the append-only file leaves it out as far as gaps are remembered; replaying it has no effect.)
 * While it holds these locks, a writer never waits. A record for which the ring has no room still gets its place in the
 * order, the positions that follow the head. Its bytes are the writer's overflow: the writer keeps them and copies them
 * into the ring as room comes free, when it holds no lock (`drain`). Readers stop where the first overflow begins.
 *
 * Positions are doubles, which 64-bit processors load and store atomically.
 */

import { acquireLock, acquireLockWithin, releaseLock } from '../memory/lock.js';
import { integerLength, writeInteger } from '../memory/numbers.js';
import { copyBytes } from '../structures/copy.js';

const enum Word {
  On = 0,
  Synchronous = 1,
  Behind = 2,
  Timestamps = 3,
  FileWants = 4,
  ReplicasWant = 5,
  IsReplica = 6,
  FileReads = 7,
  ReplicationReads = 8,
  SnapshotDatabase = 9,
  SwitchDatabase = 10,
  Lock = 16,
  Database = 17,
  TimestampSeconds = 18,
  Sleeping = 32,
  Requests = 33,
  Room = 34,
  HeadLow = 40,
  FileLock = 48,
  FileDescriptor = 49,
  SyncFailure = 50,
  Overflows = 56,
  ReplicationSleeping = 57,
  GapHead = 58,
  GapTail = 59,
  WaitingWorkers = 64,
  /** By worker: whether it has overflow, and where that begins. */
  HasOverflow = 2048,
  OverflowStart = 2049,
}

/** Indices in units of 8 bytes. */
const enum Wide {
  Head = 512,
  Taken = 513,
  Synced = 514,
  Switch = 515,
  UnsyncedSinceMs = 516,
  SyncMs = 517,
  Sent = 518,
  Boundary = 519,
  Newer = 520,
  Snapshot = 521,
  Fed = 522,
  /** Pairs. */
  Gaps = 528,
}

const WORKERS_MAX = 960;
/** A power of two. */
const GAPS_MAX = 128;
const RING_OFFSET = 16384;
/** A power of two. Half a second of what a disk of average speed takes. */
const RING_BYTES = 64 << 20;

/** A thread that waits for room looks again after this long. */
const WAIT_MS_MAX = 50;
/** If the disk has taken nothing for this long, workers stop waiting for it. */
const STALL_MS = 5000;

/** What the journal thread is asked to do, as bits. */
export const enum JournalRequest {
  /** Bring everything to the disk and answer. */
  Stop = 1,
  /** A new base file is complete. */
  Install = 2,
  /** The configuration has changed. */
  Configuration = 4,
  /** Recording has ended: close the file. */
  Close = 8,
}

/** A RESP array of bulk strings. */
export function commandBytes(...words: readonly string[]): Uint8Array {
  return Buffer.from(`*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const MULTI = commandBytes('MULTI');
const MULTI_VIEW = viewOf(MULTI);
const EXEC = commandBytes('EXEC');
const EXEC_VIEW = viewOf(EXEC);

const SELECT = '*2\r\n$6\r\nSELECT\r\n$';
const TIMESTAMP = '#TS:';
const SCRATCH_BYTES = 64;

/** Bytes of a record that wait for room in the ring. */
interface Overflow {
  readonly position: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** How many of them are in the ring. */
  done: number;
}

export class JournalRing {
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly ring: Uint8Array;
  private readonly ringView: DataView;
  private readonly ringBytes: number;
  private readonly scratch = new Uint8Array(SCRATCH_BYTES);
  private readonly scratchView = viewOf(this.scratch);
  private readonly worker: number;
  /** Records of this worker for which the ring has no room yet, in the order of positions. */
  private readonly overflow: Overflow[] = [];
  /** Wakes the replication thread before this thread waits for room; null in threads that don't wait. */
  wakeReplication: (() => void) | null = null;
  /** The next append contains a command that Redis 7.0 would not understand. */
  nextIsNewer = false;

  /** @param worker the worker that appends and waits; -1: this thread does neither */
  constructor(handle: SharedArrayBuffer, worker = -1) {
    this.worker = worker % WORKERS_MAX;
    this.words = new Int32Array(handle, 0, RING_OFFSET >> 2);
    this.doubles = new Float64Array(handle, 0, RING_OFFSET >> 3);
    this.ring = new Uint8Array(handle, RING_OFFSET);
    this.ringView = new DataView(handle, RING_OFFSET);
    this.ringBytes = this.ring.length;
  }

  /** `ringBytes` is a power of two; its pages are committed as they are first used. */
  static create(ringBytes = RING_BYTES): SharedArrayBuffer {
    const ring = new JournalRing(new SharedArrayBuffer(RING_OFFSET + ringBytes));
    ring.words[Word.Database] = -1;
    ring.words[Word.FileDescriptor] = -1;
    ring.doubles[Wide.Switch] = -1;
    ring.doubles[Wide.Newer] = -1;
    return ring.words.buffer as unknown as SharedArrayBuffer;
  }

  /** Whether changes are recorded. Under a shard's lock the answer holds until the lock is released. */
  get isOn(): boolean {
    return this.words[Word.On] !== 0;
  }

  /** Whether replies have to wait until what is written is on the disk. */
  get mustWait(): boolean {
    const { words } = this;
    return (
      (words[Word.Synchronous] | words[Word.Behind]) !== 0 &&
      words[Word.FileReads] !== 0 &&
      this.doubles[Wide.Head] > this.doubles[Wide.Synced]
    );
  }

  get isSynchronous(): boolean {
    return this.words[Word.Synchronous] !== 0;
  }

  /** Follows `appendfsync` and `aof-timestamp-enabled`. A thread that changes these holds the configuration's lock. */
  configure(isSynchronous: boolean, hasTimestamps: boolean): void {
    this.words[Word.Synchronous] = isSynchronous ? 1 : 0;
    this.words[Word.Timestamps] = hasTimestamps ? 1 : 0;
  }

  /**
   * Makes the next file begin with the next record, and turns recording on if it was off. The locks of all shards are
   * held, unless no other thread can change keys.
   */
  switchFile(): void {
    const { words } = this;
    acquireLock(words, Word.Lock);
    this.readForFile();
    words[Word.SwitchDatabase] = words[Word.IsReplica] === 0 ? -1 : words[Word.Database];
    // A replica's journal is its primary's stream, into which no SELECT can be inserted.
    if (words[Word.IsReplica] === 0) words[Word.Database] = -1;
    this.doubles[Wide.Switch] = this.doubles[Wide.Head];
    releaseLock(words, Word.Lock);
    this.wake();
  }

  /** Turns recording on, to append to the present file. No other thread uses the keyspace yet. */
  turnOn(): void {
    const { words } = this;
    acquireLock(words, Word.Lock);
    this.readForFile();
    if (words[Word.IsReplica] === 0) words[Word.Database] = -1;
    releaseLock(words, Word.Lock);
  }

  /** The append-only file takes what is recorded from now on. */
  private readForFile(): void {
    const { words, doubles } = this;
    words[Word.FileWants] = 1;
    words[Word.TimestampSeconds] = 0;
    this.decide();
    if (words[Word.FileReads] !== 0) return;
    doubles[Wide.Taken] = doubles[Wide.Head];
    doubles[Wide.Synced] = doubles[Wide.Head];
    doubles[Wide.Boundary] = doubles[Wide.Head];
    words[Word.FileReads] = 1;
  }

  /** Records nothing for the file from now on. The locks of all shards are held. */
  turnOff(): void {
    this.words[Word.FileWants] = 0;
    this.decide();
  }

  /** Whether the append-only file wants what is recorded. */
  get isFileOn(): boolean {
    return this.words[Word.FileWants] !== 0;
  }

  /** The append-only file is closed and no longer reads the ring. */
  fileClosed(): void {
    const { words } = this;
    acquireLock(words, Word.Lock);
    if (words[Word.FileWants] === 0) words[Word.FileReads] = 0;
    releaseLock(words, Word.Lock);
    this.roomChanged();
  }

  private get fileReads(): boolean {
    return this.words[Word.FileReads] !== 0;
  }

  private decide(): void {
    const { words } = this;
    const isWanted = words[Word.FileWants] !== 0 || words[Word.ReplicasWant] !== 0;
    Atomics.store(words, Word.On, isWanted && words[Word.IsReplica] === 0 ? 1 : 0);
  }

  /** A snapshot of this moment is taken. The locks of all shards are held. */
  noteSnapshot(): void {
    this.doubles[Wide.Snapshot] = this.doubles[Wide.Head];
    this.words[Word.SnapshotDatabase] = this.words[Word.Database];
  }

  /** The position at the moment of the last snapshot. */
  get snapshotPosition(): number {
    return this.doubles[Wide.Snapshot];
  }

  /** The database of the record before it. */
  get snapshotDatabase(): number {
    return this.words[Word.SnapshotDatabase];
  }

  // What the replication thread calls.

  /** From now on replicas want what is recorded; returns the position from which on. The locks of all shards are held. */
  turnOnReplication(): number {
    const { words, doubles } = this;
    acquireLock(words, Word.Lock);
    words[Word.ReplicasWant] = 1;
    words[Word.Database] = -1;
    doubles[Wide.Sent] = doubles[Wide.Head];
    words[Word.ReplicationReads] = 1;
    this.decide();
    releaseLock(words, Word.Lock);
    return doubles[Wide.Head];
  }

  /** Replicas want nothing any more. The locks of all shards are held. */
  turnOffReplication(): void {
    this.words[Word.ReplicasWant] = 0;
    this.words[Word.ReplicationReads] = 0;
    this.decide();
    this.roomChanged();
  }

  get isReplicationOn(): boolean {
    return this.words[Word.ReplicasWant] !== 0;
  }

  /** Whether the server is a replica: the replication thread records for all. The locks of all shards are held. */
  set isReplica(isReplica: boolean) {
    this.words[Word.IsReplica] = isReplica ? 1 : 0;
    this.words[Word.Database] = -1;
    this.decide();
  }

  /** On a replica: the database that is selected where the next file begins; otherwise -1. */
  get switchDatabase(): number {
    return this.words[Word.SwitchDatabase];
  }

  get isReplica(): boolean {
    return this.words[Word.IsReplica] !== 0;
  }

  /** Makes the next record begin with SELECT, for a reader that starts there. All locks are held. */
  forgetDatabase(): void {
    this.words[Word.Database] = -1;
  }

  /** The database of the last record, -1 if the next one begins with SELECT in any case. */
  get database(): number {
    return this.words[Word.Database];
  }

  /** A replica's stream has selected a database. */
  set database(database: number) {
    this.words[Word.Database] = database;
  }

  /** The position up to which replication has taken records. */
  get sentPosition(): number {
    return this.doubles[Wide.Sent];
  }

  /** The bytes that replication can take in one piece; empty if there are none. They stay until `sent`. */
  peekForReplicas(): Uint8Array {
    const sent = this.doubles[Wide.Sent];
    const at = sent & (this.ringBytes - 1);
    return this.ring.subarray(at, at + Math.min(this.writtenSince(sent), this.ringBytes - at));
  }

  sent(lengthBytes: number): void {
    this.doubles[Wide.Sent] += lengthBytes;
    this.roomChanged();
  }

  /** Announces that the replication thread is about to sleep; false if there is something to take. */
  sleepForReplicas(): boolean {
    const { words } = this;
    Atomics.store(words, Word.ReplicationSleeping, 1);
    if (words[Word.ReplicationReads] === 0 || this.writtenSince(this.doubles[Wide.Sent]) === 0) return true;
    Atomics.store(words, Word.ReplicationSleeping, 0);
    return false;
  }

  /** Whether the caller must wake the replication thread: it sleeps, and there is data. True for one caller only. */
  get wakesReplication(): boolean {
    const { words } = this;
    if (words[Word.ReplicationSleeping] === 0 || words[Word.ReplicationReads] === 0) return false;
    const head = this.doubles[Wide.Head];
    if (head === this.doubles[Wide.Sent] || head === this.doubles[Wide.Fed]) return false;
    return Atomics.exchange(words, Word.ReplicationSleeping, 0) !== 0;
  }

  /** A worker has sent all replicas what was recorded before a position: the replication thread can take it later. */
  noteFed(position: number): void {
    this.doubles[Wide.Fed] = position;
  }

  /** Where the last record begins that Redis 7.0 would not understand; -1: there was none. */
  get newerPosition(): number {
    return this.doubles[Wide.Newer];
  }

  /**
   * Appends bytes as they are. `isGap`: they are no change, and the append-only file leaves them out. Otherwise the
   * caller holds the locks of the shards that they changed.
   */
  appendRaw(bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number, isGap: boolean): void {
    const { words, doubles } = this;
    acquireLock(words, Word.Lock);
    const head = doubles[Wide.Head];
    this.copyIn(head, bytes, view, offset, lengthBytes);
    if (isGap && words[Word.FileReads] !== 0) this.addGap(head, head + lengthBytes);
    this.moveHead(head + lengthBytes);
    releaseLock(words, Word.Lock);
    if (words[Word.Synchronous] === 0) this.wake();
  }

  /** Remembers a gap, which the file leaves out; if too many are remembered, this one is written to the file. */
  private addGap(start: number, end: number): void {
    const { words, doubles } = this;
    const head = words[Word.GapHead];
    const tail = Atomics.load(words, Word.GapTail);
    const last = Wide.Gaps + 2 * ((head - 1) & (GAPS_MAX - 1));
    if (head !== tail && doubles[last + 1] === start) {
      doubles[last + 1] = end;
      return;
    }
    if (((head - tail) | 0) >= GAPS_MAX) return;
    const at = Wide.Gaps + 2 * (head & (GAPS_MAX - 1));
    doubles[at] = start;
    doubles[at + 1] = end;
    Atomics.store(words, Word.GapHead, (head + 1) | 0);
  }

  /** Skips the gaps at the file's position; returns where the next gap begins. */
  private passGaps(): number {
    const { words, doubles } = this;
    for (;;) {
      const tail = words[Word.GapTail];
      if (tail === Atomics.load(words, Word.GapHead)) return Number.POSITIVE_INFINITY;
      const at = Wide.Gaps + 2 * (tail & (GAPS_MAX - 1));
      const taken = doubles[Wide.Taken];
      if (doubles[at] > taken) return doubles[at];
      const end = Math.min(doubles[at + 1], taken + this.available);
      if (end > taken) this.taken(end - taken);
      if (end < doubles[at + 1]) return end;
      Atomics.store(words, Word.GapTail, (tail + 1) | 0);
    }
  }

  // What writers call.

  /**
   * Appends commands that are in RESP already. With `isWhole`, several of them are put between MULTI and EXEC. The
   * caller holds the locks of the shards that they changed.
   */
  append(
    commands: Uint8Array,
    view: DataView,
    lengthBytes: number,
    commandCount: number,
    firstDatabase: number,
    lastDatabase: number,
    isWhole: boolean,
  ): void {
    const { words } = this;
    acquireLock(words, Word.Lock);
    let head = this.doubles[Wide.Head];
    if (this.nextIsNewer) this.doubles[Wide.Newer] = head;
    this.nextIsNewer = false;
    if (words[Word.Database] !== firstDatabase) head = this.appendSelect(head, firstDatabase);
    const isTransaction = isWhole && commandCount > 1;
    if (isTransaction) head = this.copyIn(head, MULTI, MULTI_VIEW, 0, MULTI.length);
    head = this.copyIn(head, commands, view, 0, lengthBytes);
    if (isTransaction) head = this.copyIn(head, EXEC, EXEC_VIEW, 0, EXEC.length);
    words[Word.Database] = lastDatabase;
    this.moveHead(head);
    releaseLock(words, Word.Lock);
    // With `always`, the worker wakes the journal thread once for all commands of a round.
    if (words[Word.Synchronous] === 0) this.wake();
  }

  private appendSelect(head: number, database: number): number {
    const { scratch } = this;
    let at = this.scratchText(SELECT, 0);
    at += writeInteger(scratch, at, integerLength(database));
    at = this.scratchText('\r\n', at);
    at += writeInteger(scratch, at, database);
    at = this.scratchText('\r\n', at);
    return this.copyIn(head, scratch, this.scratchView, 0, at);
  }

  private scratchText(text: string, at: number): number {
    for (let index = 0; index < text.length; index++) this.scratch[at++] = text.charCodeAt(index);
    return at;
  }

  /** Puts bytes at `head`; those without room become overflow. Returns the position after them. The lock is held. */
  private copyIn(
    head: number,
    source: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): number {
    const done = this.put(head, source, view, offset, lengthBytes);
    if (done < lengthBytes) this.keepOverflow(head + done, source.slice(offset + done, offset + lengthBytes));
    return head + lengthBytes;
  }

  /** Publishes the records before `head` to the readers. The ring's lock is held. */
  private moveHead(head: number): void {
    this.doubles[Wide.Head] = head;
    // Atomic, so that a reader that loads this word also sees the bytes, or the marks of overflow.
    Atomics.store(this.words, Word.HeadLow, head | 0);
  }

  /** How many bytes from `position` on may be written: those that no reader needs any more. */
  private roomAt(position: number): number {
    const { words, doubles, ringBytes } = this;
    let room = ringBytes;
    if (words[Word.FileReads] !== 0) room = Math.min(room, ringBytes - (position - doubles[Wide.Taken]));
    if (words[Word.ReplicationReads] !== 0)
      room = Math.min(room, ringBytes - (position - doubles[Wide.Sent]));
    return room;
  }

  /** Copies bytes to a position, as far as there is room; returns how many. */
  private put(
    position: number,
    source: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): number {
    const { ringBytes } = this;
    const fitting = Math.min(lengthBytes, this.roomAt(position));
    for (let done = 0; done < fitting; ) {
      const at = (position + done) & (ringBytes - 1);
      const length = Math.min(fitting - done, ringBytes - at);
      copyBytes(this.ring, this.ringView, at, source, view, offset + done, length);
      done += length;
    }
    return Math.max(0, fitting);
  }

  private keepOverflow(position: number, bytes: Uint8Array): void {
    const { words, worker, overflow } = this;
    if (worker < 0) throw new Error('a thread that is no worker appends to the journal');
    overflow.push({ position, bytes, view: viewOf(bytes), done: 0 });
    if (overflow.length > 1) return;
    Atomics.store(words, Word.OverflowStart + 2 * worker, position | 0);
    Atomics.store(words, Word.HasOverflow + 2 * worker, 1);
    Atomics.add(words, Word.Overflows, 1);
    this.markWaiting(worker);
  }

  /** Whether this worker has overflow. */
  get hasOverflow(): boolean {
    return this.overflow.length > 0;
  }

  /** Whether any worker has. */
  get hasOverflows(): boolean {
    return Atomics.load(this.words, Word.Overflows) !== 0;
  }

  /** Copies this worker's overflow into the ring, as far as there is room now. */
  drain(): void {
    const { words, worker, overflow } = this;
    if (overflow.length === 0) return;
    // Must come first: if data is taken after the look at the room, this worker is woken.
    this.markWaiting(worker);
    let copied = 0;
    while (overflow.length > 0) {
      const [piece] = overflow;
      const { position, bytes, view, done } = piece;
      const length = this.put(position + done, bytes, view, done, bytes.length - done);
      piece.done += length;
      copied += length;
      if (piece.done < bytes.length) break;
      overflow.shift();
    }
    if (copied === 0) return;
    if (overflow.length > 0) {
      const [{ position, done }] = overflow;
      Atomics.store(words, Word.OverflowStart + 2 * worker, (position + done) | 0);
    } else {
      Atomics.store(words, Word.HasOverflow + 2 * worker, 0);
      Atomics.sub(words, Word.Overflows, 1);
    }
    this.wake();
  }

  private waitForTaken(taken: number): void {
    const { words } = this;
    const room = Atomics.load(words, Word.Room);
    this.wake();
    this.wakeReplication?.();
    if (this.slowestPosition === taken) Atomics.wait(words, Word.Room, room, WAIT_MS_MAX);
  }

  /** The position up to which all readers have taken. */
  private get slowestPosition(): number {
    const { doubles, words } = this;
    const sent = words[Word.ReplicationReads] === 0 ? doubles[Wide.Head] : doubles[Wide.Sent];
    return Math.min(this.takenPosition, sent);
  }

  /** Whether half of the ring is free. */
  get hasRoom(): boolean {
    return this.roomAt(this.doubles[Wide.Head]) >= this.ringBytes / 2;
  }

  /** Whether this worker may append without waiting first: half of the ring is free, and there is no overflow. */
  get isReady(): boolean {
    return this.hasRoom && this.overflow.length === 0;
  }

  /**
   * Waits until this worker may append, so that there is little overflow, or until the disk reports an error (`isFailing`).
   * False if the disk has taken nothing for STALL_MS. Holds no lock when called.
   */
  waitUntilReady(isFailing: () => boolean): boolean {
    return this.waitUntil(() => this.isReady || isFailing());
  }

  /**
   * Waits until the file has all that is written, or the disk reports an error (`isFailing`). False if it has taken nothing
   * for STALL_MS.
   */
  waitForFile(isFailing: () => boolean): boolean {
    return this.waitUntil(() => this.pendingBytes === 0 || isFailing());
  }

  private waitUntil(isOver: () => boolean): boolean {
    let taken = this.slowestPosition;
    let sinceMs = performance.now();
    for (;;) {
      this.drain();
      if (isOver()) return true;
      this.waitForTaken(taken);
      if (this.slowestPosition !== taken) {
        taken = this.slowestPosition;
        sinceMs = performance.now();
      } else if (performance.now() - sinceMs > STALL_MS) {
        return false;
      }
    }
  }

  /** Bytes recorded since the server started. */
  get head(): number {
    return this.doubles[Wide.Head];
  }

  /** Of these, the bytes that are on the disk. */
  get synced(): number {
    return this.doubles[Wide.Synced];
  }

  /** Whether all that was taken is on the disk. */
  get isSynced(): boolean {
    return this.doubles[Wide.UnsyncedSinceMs] === 0;
  }

  /** Bytes that are not in the file yet. */
  get pendingBytes(): number {
    return this.fileReads ? this.doubles[Wide.Head] - this.doubles[Wide.Taken] : 0;
  }

  /** A worker has replies that wait; it is woken when more is on the disk. */
  markWaiting(worker: number): void {
    Atomics.store(this.words, Word.WaitingWorkers + (worker % WORKERS_MAX), 1);
  }

  /** Wakes the journal thread if it sleeps. */
  wake(): void {
    const { words } = this;
    if (Atomics.load(words, Word.Sleeping) === 0) return;
    if (Atomics.exchange(words, Word.Sleeping, 0) !== 0) Atomics.notify(words, Word.Sleeping);
  }

  wakeIfPending(): void {
    if (this.pendingBytes > 0) this.wake();
  }

  request(request: JournalRequest): void {
    Atomics.or(this.words, Word.Requests, request);
    this.wake();
  }

  /** Takes a request back; false if the journal thread has taken it already. */
  withdraw(request: JournalRequest): boolean {
    return (Atomics.and(this.words, Word.Requests, ~request) & request) !== 0;
  }

  /**
   * If data from `limitMs` ago is not on the disk yet, makes replies wait until it is. Returns whether they did not
   * wait before. One worker calls it regularly.
   */
  noteIfBehind(nowMs: number, limitMs: number): boolean {
    const sinceMs = this.doubles[Wide.UnsyncedSinceMs];
    if (sinceMs === 0 || nowMs - sinceMs < limitMs) return false;
    return Atomics.exchange(this.words, Word.Behind, 1) === 0;
  }

  // What the journal thread calls.

  /** Sleeps until there is something to take or a request, at most `timeoutMs`. */
  sleep(timeoutMs: number): void {
    const { words } = this;
    Atomics.store(words, Word.Sleeping, 1);
    if (this.available === 0 && !this.isSwitchDue && Atomics.load(words, Word.Requests) === 0) {
      Atomics.wait(words, Word.Sleeping, 1, timeoutMs);
    }
    Atomics.store(words, Word.Sleeping, 0);
  }

  /** Pauses, so that records gather. */
  pause(milliseconds: number): void {
    Atomics.wait(this.words, Word.Sleeping, 0, milliseconds);
  }

  takeRequests(): number {
    return Atomics.exchange(this.words, Word.Requests, 0);
  }

  /** Bytes that can be taken, up to where the next file begins. */
  private get available(): number {
    if (!this.fileReads) return 0;
    const taken = this.doubles[Wide.Taken];
    const written = this.writtenSince(taken);
    const next = this.doubles[Wide.Switch];
    return next < 0 ? written : Math.min(written, next - taken);
  }

  /** Bytes after a position that can be read. */
  private writtenSince(position: number): number {
    const { words } = this;
    const written = (Atomics.load(words, Word.HeadLow) - (position | 0)) >>> 0;
    // Read overflows and Switch after HeadLow: later ones lie at or beyond the head that was read.
    return Atomics.load(words, Word.Overflows) === 0
      ? written
      : Math.min(written, this.untilOverflow(position));
  }

  /** Bytes from a position to the first overflow. */
  private untilOverflow(taken: number): number {
    const { words } = this;
    let lengthBytes = Number.POSITIVE_INFINITY;
    for (let worker = 0; worker < WORKERS_MAX; worker++) {
      if (Atomics.load(words, Word.HasOverflow + 2 * worker) === 0) continue;
      const start = Atomics.load(words, Word.OverflowStart + 2 * worker);
      lengthBytes = Math.min(lengthBytes, (start - (taken | 0)) >>> 0);
    }
    return lengthBytes;
  }

  /** Whether everything before the next file has been taken, and there is to be one. */
  get isSwitchDue(): boolean {
    return this.doubles[Wide.Switch] >= 0 && this.doubles[Wide.Switch] === this.takenPosition;
  }

  get isSwitchPending(): boolean {
    return this.doubles[Wide.Switch] >= 0;
  }

  /** The next file is open. */
  switched(): void {
    const { doubles } = this;
    doubles[Wide.Switch] = -1;
    doubles[Wide.Boundary] = doubles[Wide.Taken];
    this.forgetTimestamp();
  }

  /** The next annotation is due, whatever the last one was. */
  forgetTimestamp(): void {
    this.words[Word.TimestampSeconds] = 0;
    this.doubles[Wide.Boundary] = this.doubles[Wide.Taken];
  }

  /** The bytes for the file that can be taken in one piece; empty if there are none. They stay until `taken`. */
  peek(lengthBytesMax: number): Uint8Array {
    const gap = this.passGaps();
    const taken = this.doubles[Wide.Taken];
    const at = taken & (this.ringBytes - 1);
    const length = Math.min(this.available, this.ringBytes - at, lengthBytesMax, gap - taken);
    return this.ring.subarray(at, at + length);
  }

  /**
   * The annotation to write before the next record if a new second has begun, else null. Call it before `peek`. It is
   * only due at a boundary: up to the next one, what `peek` returns may end within a record.
   */
  takeTimestamp(): Uint8Array | null {
    const { words, doubles } = this;
    if (words[Word.Timestamps] === 0) return null;
    this.passGaps();
    if (doubles[Wide.Taken] < doubles[Wide.Boundary] || this.available === 0) return null;
    doubles[Wide.Boundary] = doubles[Wide.Head];
    const seconds = Math.floor(Date.now() / 1000);
    // The word is an int32, which is enough to see whether the second has changed.
    if ((seconds | 0) === words[Word.TimestampSeconds]) return null;
    words[Word.TimestampSeconds] = seconds;
    return Buffer.from(`${TIMESTAMP}${seconds}\r\n`);
  }

  /** Bytes that may be written before `takeTimestamp` must be called again. */
  get untilBoundary(): number {
    const { words, doubles } = this;
    if (words[Word.Timestamps] === 0) return Number.POSITIVE_INFINITY;
    return doubles[Wide.Boundary] - doubles[Wide.Taken];
  }

  /** Data is about to be written to the file: notes since when some of it is not on the disk. */
  taking(nowMs: number): void {
    const { doubles } = this;
    if (doubles[Wide.UnsyncedSinceMs] === 0) doubles[Wide.UnsyncedSinceMs] = nowMs;
  }

  taken(lengthBytes: number): void {
    this.doubles[Wide.Taken] += lengthBytes;
    this.roomChanged();
  }

  private roomChanged(): void {
    Atomics.add(this.words, Word.Room, 1);
    Atomics.notify(this.words, Word.Room);
  }

  /** Drops what could be taken. */
  skip(): void {
    this.taken(this.available);
  }

  get takenPosition(): number {
    return this.fileReads ? this.doubles[Wide.Taken] : this.doubles[Wide.Head];
  }

  /** Without fsync, the system decides when data reaches the disk: no reply waits for that. */
  noteUnwatched(): void {
    this.doubles[Wide.UnsyncedSinceMs] = 0;
    Atomics.store(this.words, Word.Behind, 0);
  }

  /** Everything up to `position` is on the disk. */
  markSynced(position: number): void {
    const { doubles, words } = this;
    if (position === this.takenPosition) doubles[Wide.UnsyncedSinceMs] = 0;
    doubles[Wide.Synced] = position;
    Atomics.store(words, Word.Behind, 0);
  }

  /** Calls `wakeWorker` for each worker that waits. */
  wakeWaiting(workers: number, wakeWorker: (worker: number) => void): void {
    const { words } = this;
    for (let worker = 0; worker < workers; worker++) {
      const word = Word.WaitingWorkers + (worker % WORKERS_MAX);
      if (Atomics.load(words, word) !== 0 && Atomics.exchange(words, word, 0) !== 0) wakeWorker(worker);
    }
  }

  // What the threads that write the journal's file call.

  lockFile(): void {
    acquireLock(this.words, Word.FileLock);
  }

  /** Like `lockFile`, but waits at most about `timeoutMs`; returns whether it got the lock. */
  lockFileWithin(timeoutMs: number): boolean {
    return acquireLockWithin(this.words, Word.FileLock, timeoutMs);
  }

  unlockFile(): void {
    releaseLock(this.words, Word.FileLock);
  }

  /** The file that is written to; -1 if there is none. */
  get fileDescriptor(): number {
    return this.words[Word.FileDescriptor];
  }

  set fileDescriptor(descriptor: number) {
    this.words[Word.FileDescriptor] = descriptor;
  }

  /** The errno of an fsync that has failed, until the journal thread has handled it; else 0. */
  get syncFailure(): number {
    return this.words[Word.SyncFailure];
  }

  set syncFailure(errno: number) {
    this.words[Word.SyncFailure] = errno;
  }

  /** How long the last fsync took. */
  get syncMs(): number {
    return this.doubles[Wide.SyncMs];
  }

  set syncMs(milliseconds: number) {
    this.doubles[Wide.SyncMs] = milliseconds;
  }
}
