/**
 * The journal's ring in shared memory: what threads have written and the journal thread has not taken yet.
 *
 *   int32 words, a cache line for each of
 *       0 on: changes are recorded   1 replies wait for the disk (`appendfsync always`)
 *       2 the disk is far behind: replies wait until it has caught up   3 timestamps are wanted
 *      16 lock of whoever appends   17 database of the last record, -1 for none   18 second of the last timestamp
 *      32 the journal thread sleeps   33 requests to it (JournalRequest)   34 moves on whenever there is more room
 *      40 the head's low 32 bits
 *      48 lock of the file   49 its descriptor, -1 for none   50 the error of an fsync that a worker has seen fail
 *      56 workers with overflow (see below)
 *      64... by worker: it waits for the disk, with replies or with overflow
 *    2048... by worker, two words: it has overflow; the low 32 bits of the position where that begins
 *   float64, positions: bytes since the process began
 *    1024 head: what is written   1032 taken: what the journal thread has brought to the file
 *    1040 synced: what is on the disk   1048 switch: where the next file begins, -1 for nowhere
 *    1056 since when something is to be taken, or is taken and not synced (ms); 0 if nothing is
 *    1064 how long the last fsync took (ms)
 *   bytes from RING_OFFSET: the ring
 *
 * A writer holds the locks of the shards that it has changed while it appends, so the ring has the changes of
 * every shard in their order, and a transaction in one piece. It never waits then: a record for which the ring has no room
 * gets its place in the order all the same, the positions that follow the head. Its bytes are the writer's overflow: the
 * writer keeps them and copies them into the ring as room comes free, when it holds no lock (`drain`). The thread that takes
 * stops where the first overflow begins.
 *
 * Positions are doubles, which 64-bit processors load and store as one.
 */

import { acquireLock, acquireLockWithin, releaseLock } from '../memory/lock.js';
import { integerLength, writeInteger } from '../memory/numbers.js';
import { copyBytes } from '../structures/copy.js';

const enum Word {
  On = 0,
  Synchronous = 1,
  Behind = 2,
  Timestamps = 3,
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
}

const WORKERS_MAX = 960;
const RING_OFFSET = 16384;
/** A power of two. Half a second of what a disk of average speed takes. */
const RING_BYTES = 64 << 20;

/** Whoever waits for room looks again after this long. */
const WAIT_MS_MAX = 50;
/** A disk that has taken nothing for so long is not waited for. */
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
  /** What this worker has appended and the ring has no room for, in the order of positions. */
  private readonly overflow: Overflow[] = [];

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
      this.doubles[Wide.Head] > this.doubles[Wide.Synced]
    );
  }

  get isSynchronous(): boolean {
    return this.words[Word.Synchronous] !== 0;
  }

  /** Follows `appendfsync` and `aof-timestamp-enabled`. Whoever changes them holds the configuration's lock. */
  configure(isSynchronous: boolean, hasTimestamps: boolean): void {
    this.words[Word.Synchronous] = isSynchronous ? 1 : 0;
    this.words[Word.Timestamps] = hasTimestamps ? 1 : 0;
  }

  /**
   * Has the next file begin with what is appended from now on, and records from now on if that was off. The locks
   * of all shards are held, unless nobody else can change keys.
   */
  switchFile(): void {
    const { words } = this;
    acquireLock(words, Word.Lock);
    words[Word.On] = 1;
    words[Word.Database] = -1;
    words[Word.TimestampSeconds] = 0;
    this.doubles[Wide.Switch] = this.doubles[Wide.Head];
    releaseLock(words, Word.Lock);
    this.wake();
  }

  /** Records from now on, behind what the present file has. Nobody else uses the keyspace yet. */
  turnOn(): void {
    this.words[Word.On] = 1;
    this.words[Word.Database] = -1;
  }

  /** Records nothing from now on. The locks of all shards are held. */
  turnOff(): void {
    this.words[Word.On] = 0;
  }

  // What writers call.

  /**
   * Appends commands that are in RESP already. With `isWhole`, several of them are put between MULTI and EXEC. The
   * locks of the shards that they changed are held.
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
    if (words[Word.Timestamps] !== 0) this.appendTimestamp();
    if (words[Word.Database] !== firstDatabase) this.appendSelect(firstDatabase);
    const isTransaction = isWhole && commandCount > 1;
    if (isTransaction) this.copyIn(MULTI, MULTI_VIEW, MULTI.length);
    this.copyIn(commands, view, lengthBytes);
    if (isTransaction) this.copyIn(EXEC, EXEC_VIEW, EXEC.length);
    words[Word.Database] = lastDatabase;
    releaseLock(words, Word.Lock);
    // Whoever writes with `always` wakes the journal thread for all commands of a round together.
    if (words[Word.Synchronous] === 0) this.wake();
  }

  private appendSelect(database: number): void {
    const { scratch } = this;
    let at = this.scratchText(SELECT, 0);
    at += writeInteger(scratch, at, integerLength(database));
    at = this.scratchText('\r\n', at);
    at += writeInteger(scratch, at, database);
    at = this.scratchText('\r\n', at);
    this.copyIn(scratch, this.scratchView, at);
  }

  private appendTimestamp(): void {
    const seconds = Math.floor(Date.now() / 1000);
    // As int32, which is enough to tell it from the last one.
    if ((seconds | 0) === this.words[Word.TimestampSeconds]) return;
    this.words[Word.TimestampSeconds] = seconds;
    let at = this.scratchText(TIMESTAMP, 0);
    at += writeInteger(this.scratch, at, seconds);
    at = this.scratchText('\r\n', at);
    this.copyIn(this.scratch, this.scratchView, at);
  }

  private scratchText(text: string, at: number): number {
    for (let index = 0; index < text.length; index++) this.scratch[at++] = text.charCodeAt(index);
    return at;
  }

  /** Adds bytes behind the head; what the ring has no room for becomes overflow. The ring's lock is held. */
  private copyIn(source: Uint8Array, view: DataView, lengthBytes: number): void {
    const { words, doubles } = this;
    const head = doubles[Wide.Head];
    const done = this.put(head, source, view, 0, lengthBytes);
    if (done < lengthBytes) this.keepOverflow(head + done, source.slice(done, lengthBytes));
    doubles[Wide.Head] = head + lengthBytes;
    // Whoever reads this in turn sees the bytes, or where they are missing, on every processor.
    Atomics.store(words, Word.HeadLow, (head + lengthBytes) | 0);
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
    const fitting = Math.min(lengthBytes, ringBytes - (position - this.doubles[Wide.Taken]));
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
    // First: whatever is taken after the look at the room wakes this worker.
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
    if (this.doubles[Wide.Taken] === taken) Atomics.wait(words, Word.Room, room, WAIT_MS_MAX);
  }

  /** Whether half of the ring is free. */
  get hasRoom(): boolean {
    const { doubles } = this;
    return doubles[Wide.Head] - doubles[Wide.Taken] <= this.ringBytes / 2;
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
    const { doubles } = this;
    let taken = doubles[Wide.Taken];
    let sinceMs = performance.now();
    for (;;) {
      this.drain();
      if (isOver()) return true;
      this.waitForTaken(taken);
      if (doubles[Wide.Taken] !== taken) {
        taken = doubles[Wide.Taken];
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

  /** Of these, what is on the disk. */
  get synced(): number {
    return this.doubles[Wide.Synced];
  }

  /** Whether all that was taken is on the disk. */
  get isSynced(): boolean {
    return this.doubles[Wide.UnsyncedSinceMs] === 0;
  }

  /** Bytes that are not in the file yet. */
  get pendingBytes(): number {
    return this.doubles[Wide.Head] - this.doubles[Wide.Taken];
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

  /** Takes a request back; false if the journal thread is at it already. */
  withdraw(request: JournalRequest): boolean {
    return (Atomics.and(this.words, Word.Requests, ~request) & request) !== 0;
  }

  /**
   * Notes that what was written `limitMs` ago is not on the disk: replies wait until it is. Returns whether that is
   * new. For one worker to call regularly.
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

  /** Lets something gather. */
  pause(milliseconds: number): void {
    Atomics.wait(this.words, Word.Sleeping, 0, milliseconds);
  }

  takeRequests(): number {
    return Atomics.exchange(this.words, Word.Requests, 0);
  }

  /** Bytes that can be taken, up to where the next file begins. */
  private get available(): number {
    const { words, doubles } = this;
    const taken = doubles[Wide.Taken];
    let written = (Atomics.load(words, Word.HeadLow) - (taken | 0)) >>> 0;
    // Behind the head: what overflows, or switches, between the two is not before it.
    if (Atomics.load(words, Word.Overflows) !== 0) written = Math.min(written, this.untilOverflow(taken));
    const next = doubles[Wide.Switch];
    return next < 0 ? written : Math.min(written, next - taken);
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
    return this.doubles[Wide.Switch] >= 0 && this.doubles[Wide.Switch] === this.doubles[Wide.Taken];
  }

  get isSwitchPending(): boolean {
    return this.doubles[Wide.Switch] >= 0;
  }

  /** The next file is open. */
  switched(): void {
    this.doubles[Wide.Switch] = -1;
  }

  /** What can be taken in one piece; empty if there is nothing. The bytes stay until `taken`. */
  peek(lengthBytesMax: number): Uint8Array {
    const at = this.doubles[Wide.Taken] & (this.ringBytes - 1);
    const length = Math.min(this.available, this.ringBytes - at, lengthBytesMax);
    return this.ring.subarray(at, at + length);
  }

  /** Something is about to be brought to the file: from now on it counts how long it is not on the disk. */
  taking(nowMs: number): void {
    const { doubles } = this;
    if (doubles[Wide.UnsyncedSinceMs] === 0) doubles[Wide.UnsyncedSinceMs] = nowMs;
  }

  taken(lengthBytes: number): void {
    const { doubles, words } = this;
    doubles[Wide.Taken] += lengthBytes;
    Atomics.add(words, Word.Room, 1);
    Atomics.notify(words, Word.Room);
  }

  /** Takes what there is without bringing it anywhere. */
  skip(): void {
    this.taken(this.available);
  }

  get takenPosition(): number {
    return this.doubles[Wide.Taken];
  }

  /** Everything up to `position` is on the disk. */
  markSynced(position: number): void {
    const { doubles, words } = this;
    if (position === doubles[Wide.Taken]) doubles[Wide.UnsyncedSinceMs] = 0;
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

  // What whoever brings the journal to its file calls.

  lockFile(): void {
    acquireLock(this.words, Word.FileLock);
  }

  /** The same for at most about `timeoutMs`; returns whether the lock was got. */
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

  /** The error's number of an fsync that has failed, until the journal thread has seen to it; else 0. */
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
