/**
 * What the threads have to know of saving and loading: whether a background save runs, how the last one ended, since
 * when changes are unsaved.
 *
 *   int32 words   0 background save   1 cancelled   2 last one failed   3 saves done   4 lock of the file's name
 *                 5 form of the running snapshot   6 its purpose   7 a save is scheduled
 *     8 descriptor that a snapshot for replicas goes to (-1: a file)   9 how the last one of these ended (1: well)
 *    12 LoadKind   13 threads that load   14 of these, what a primary has sent
 *   float64 from byte 64
 *     8 changes at the last save   9 changes at the start of the running save   10 start of it (ms)
 *    11 seconds that the last one took (-1: none yet)   12 last attempt (ms, monotonic)   13 keys loaded   14 keys expired
 *    15 keys written so far   16 keys to write   17 start of the running save (ms, monotonic)
 *    20 loading began (ms)   23 the same (ms, monotonic)   21 bytes to load   22 bytes loaded
 */

import { Attention, type HeededBlock } from '../memory/attention.js';
import { acquireLock, releaseLock } from '../memory/lock.js';
import { monotonicMs } from '../system/clock.js';
import { waitForChange } from '../system/wait.js';

const enum Word {
  Background = 0,
  Cancelled = 1,
  HasFailed = 2,
  Saves = 3,
  NameLock = 4,
  Form = 5,
  Purpose = 6,
  Scheduled = 7,
  ReplicaDescriptor = 8,
  ReplicaOutcome = 9,
  Loading = 12,
  LoadingThreads = 13,
}

const enum LoadKind {
  None = 0,
  /** The data is what is loaded: clients have to wait. */
  Data = 1,
  /** Beside the data, which clients still read. */
  Beside = 2,
}

/** What a snapshot is taken for. */
export const enum SnapshotPurpose {
  Save = 0,
  /** To be the base of the append-only file. */
  AofBase = 1,
  /** For replicas. */
  Replicas = 2,
}

/** How a snapshot has its keys. */
export const enum SnapshotForm {
  Rdb = 0,
  /** As the commands that make them. */
  Commands = 1,
}

const enum Wide {
  SavedChanges = 8,
  StartChanges = 9,
  StartMs = 10,
  LastSeconds = 11,
  LastAttemptMs = 12,
  KeysLoaded = 13,
  KeysExpired = 14,
  KeysWritten = 15,
  KeysTotal = 16,
  StartedAtMs = 17,
  LoadStartMs = 20,
  LoadTotalBytes = 21,
  LoadedBytes = 22,
  LoadStartedAtMs = 23,
}

const BLOCK_BYTES = 192;

export class PersistenceState {
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly attention: Attention;

  constructor({ block, attention }: HeededBlock) {
    this.words = new Int32Array(block);
    this.doubles = new Float64Array(block);
    this.attention = new Attention(attention);
  }

  static create(attention: SharedArrayBuffer): HeededBlock {
    const handle = { block: new SharedArrayBuffer(BLOCK_BYTES), attention };
    new PersistenceState(handle).doubles[Wide.LastSeconds] = -1;
    return handle;
  }

  /** Whether a background job runs, or is about to: a save or a rewrite. */
  get isBusy(): boolean {
    return Atomics.load(this.words, Word.Background) !== 0;
  }

  /** Whether that is a save. */
  get isSaving(): boolean {
    return this.isBusy && this.purpose === SnapshotPurpose.Save;
  }

  /** Whether it writes a snapshot, into its file or to replicas. */
  get isWritingSnapshot(): boolean {
    return this.isBusy && this.purpose !== SnapshotPurpose.AofBase;
  }

  /** Whether it is a rewrite of the append-only file. */
  get isRewriting(): boolean {
    return this.isBusy && this.purpose === SnapshotPurpose.AofBase;
  }

  /** The purpose of the snapshot that is being taken, or of the last one. */
  get purpose(): SnapshotPurpose {
    return Atomics.load(this.words, Word.Purpose);
  }

  /** A save is to begin as soon as no other background job runs. */
  get isSaveScheduled(): boolean {
    return Atomics.load(this.words, Word.Scheduled) !== 0;
  }

  set isSaveScheduled(isScheduled: boolean) {
    Atomics.store(this.words, Word.Scheduled, isScheduled ? 1 : 0);
  }

  /**
   * Reserves the background job; false if one runs already, or data is loaded that is to take the place of what would be
   * saved. The thread that has reserved it then begins the snapshot of the keyspace and calls `start`.
   */
  reserve(purpose: SnapshotPurpose): boolean {
    if (this.isAsyncLoading) return false;
    if (Atomics.compareExchange(this.words, Word.Background, 0, 1) !== 0) return false;
    Atomics.store(this.words, Word.Purpose, purpose);
    return true;
  }

  /**
   * Wakes the persistence thread, or has it started. `changes`: how many there had been when the snapshot began. The
   * locks of all shards are held: a thread that takes one afterwards and changes a key has to know the form.
   */
  start(changes: number, keys: number, nowMs: number, form = SnapshotForm.Rdb): void {
    const { words, doubles } = this;
    words[Word.Form] = form;
    doubles[Wide.StartMs] = nowMs;
    doubles[Wide.StartedAtMs] = monotonicMs();
    if (this.purpose === SnapshotPurpose.Save) {
      Atomics.store(words, Word.Scheduled, 0);
      doubles[Wide.StartChanges] = changes;
      doubles[Wide.LastAttemptMs] = monotonicMs();
    }
    doubles[Wide.KeysWritten] = 0;
    doubles[Wide.KeysTotal] = keys;
    if (form === SnapshotForm.Rdb) this.countSave();
    Atomics.store(words, Word.Cancelled, 0);
    Atomics.store(words, Word.Background, 2);
    Atomics.notify(words, Word.Background);
  }

  /** Where the snapshot for replicas goes: a descriptor, or -1 for a file. Set it before `start`. */
  get replicaDescriptor(): number {
    return this.words[Word.ReplicaDescriptor];
  }

  set replicaDescriptor(descriptor: number) {
    this.words[Word.ReplicaDescriptor] = descriptor;
    Atomics.store(this.words, Word.ReplicaOutcome, 0);
  }

  /** Whether the last snapshot for replicas is whole. */
  get isReplicaSnapshotGood(): boolean {
    return Atomics.load(this.words, Word.ReplicaOutcome) !== 0;
  }

  noteReplicaSnapshot(isGood: boolean): void {
    Atomics.store(this.words, Word.ReplicaOutcome, isGood ? 1 : 0);
  }

  /** The form of the running snapshot. */
  get form(): SnapshotForm {
    return this.words[Word.Form];
  }

  /** Waits until a background save is to be done. */
  async untilStarted(): Promise<void> {
    for (;;) {
      const state = Atomics.load(this.words, Word.Background);
      if (state === 2) return;
      await waitForChange(this.words, Word.Background, state);
    }
  }

  /** The background job has ended. */
  finish(isGood: boolean): void {
    if (this.purpose === SnapshotPurpose.Save) this.noteBackgroundSave(isGood);
    Atomics.store(this.words, Word.Background, 0);
  }

  private noteBackgroundSave(isGood: boolean): void {
    const { doubles } = this;
    doubles[Wide.LastSeconds] = Math.floor(this.runningMs / 1000);
    if (isGood) {
      doubles[Wide.SavedChanges] = doubles[Wide.StartChanges];
      this.setFailed(false);
    } else if (!this.isCancelled) {
      this.setFailed(true);
    }
  }

  /** A save in the foreground has ended well; `changes` as of then. */
  noteSaved(changes: number): void {
    this.doubles[Wide.SavedChanges] = changes;
    this.setFailed(false);
  }

  private setFailed(hasFailed: boolean): void {
    const flag = hasFailed ? 1 : 0;
    if (Atomics.exchange(this.words, Word.HasFailed, flag) !== flag) this.attention.raiseAll();
  }

  /** Counts a requested snapshot, whether or not it can be written. */
  countSave(): void {
    Atomics.add(this.words, Word.Saves, 1);
  }

  /** Notes that the data equals the contents of the file (DEBUG RELOAD). */
  noteUnchanged(changes: number): void {
    this.doubles[Wide.SavedChanges] = changes;
  }

  /** Cancels the running background save, if there is one: its file will not be renamed to the snapshot's name. */
  cancel(): void {
    acquireLock(this.words, Word.NameLock);
    Atomics.store(this.words, Word.Cancelled, 1);
    releaseLock(this.words, Word.NameLock);
  }

  get isCancelled(): boolean {
    return Atomics.load(this.words, Word.Cancelled) !== 0;
  }

  /** Calls `rename` unless the save is cancelled; `cancel` waits for it meanwhile. Returns whether it was called. */
  renameUnlessCancelled(rename: () => void): boolean {
    acquireLock(this.words, Word.NameLock);
    try {
      if (this.isCancelled) return false;
      rename();
      return true;
    } finally {
      releaseLock(this.words, Word.NameLock);
    }
  }

  /** Whether the last save failed; failed foreground saves do not count. */
  get hasFailed(): boolean {
    return this.words[Word.HasFailed] !== 0;
  }

  get saves(): number {
    return Atomics.load(this.words, Word.Saves);
  }

  /** CONFIG RESETSTAT. */
  resetCounters(): void {
    Atomics.store(this.words, Word.Saves, 0);
  }

  /** The value of Keyspace.dirtyCount up to which the last snapshot has all changes. */
  get savedChanges(): number {
    return this.doubles[Wide.SavedChanges];
  }

  get startMs(): number {
    return this.doubles[Wide.StartMs];
  }

  /** Seconds that the last background save took, -1 if there was none. */
  get lastSeconds(): number {
    return this.doubles[Wide.LastSeconds];
  }

  /** How long ago the last background save began. */
  get sinceAttemptMs(): number {
    return monotonicMs() - this.doubles[Wide.LastAttemptMs];
  }

  /** How long ago the running snapshot began. */
  get runningMs(): number {
    return monotonicMs() - this.doubles[Wide.StartedAtMs];
  }

  get keysWritten(): number {
    return this.doubles[Wide.KeysWritten];
  }

  set keysWritten(keys: number) {
    this.doubles[Wide.KeysWritten] = keys;
  }

  get keysTotal(): number {
    return this.doubles[Wide.KeysTotal];
  }

  /** Whether the dataset is still being loaded at start: its threads use the shards without locks. */
  get isLoading(): boolean {
    return Atomics.load(this.words, Word.Loading) === LoadKind.Data;
  }

  /** Whether a full sync is received or loaded beside the data, which clients still read. */
  get isAsyncLoading(): boolean {
    return Atomics.load(this.words, Word.Loading) === LoadKind.Beside;
  }

  beginLoading(nowMs: number): void {
    this.setLoading(LoadKind.Data, nowMs);
  }

  beginAsyncLoading(nowMs: number): void {
    this.setLoading(LoadKind.Beside, nowMs);
  }

  private setLoading(kind: LoadKind, nowMs: number): void {
    this.doubles[Wide.LoadStartMs] = nowMs;
    this.doubles[Wide.LoadStartedAtMs] = monotonicMs();
    Atomics.store(this.words, Word.Loading, kind);
    this.attention.raiseAll();
  }

  endLoading(): void {
    Atomics.store(this.words, Word.Loading, LoadKind.None);
    this.attention.raiseAll();
  }

  get loadStartMs(): number {
    return this.doubles[Wide.LoadStartMs];
  }

  /** How long ago loading began. */
  get loadingMs(): number {
    return monotonicMs() - this.doubles[Wide.LoadStartedAtMs];
  }

  get loadTotalBytes(): number {
    return this.doubles[Wide.LoadTotalBytes];
  }

  set loadTotalBytes(lengthBytes: number) {
    this.doubles[Wide.LoadTotalBytes] = lengthBytes;
  }

  /** Bytes loaded so far; one of the threads that load keeps it up to date. */
  get loadedBytes(): number {
    return this.doubles[Wide.LoadedBytes];
  }

  set loadedBytes(lengthBytes: number) {
    this.doubles[Wide.LoadedBytes] = lengthBytes;
  }

  /** A thread that loads has begun. */
  noteLoadingThread(): void {
    Atomics.add(this.words, Word.LoadingThreads, 1);
  }

  /** How many loading threads have begun so far. */
  get loadingThreads(): number {
    return Atomics.load(this.words, Word.LoadingThreads);
  }

  /** Notes how many keys the last loading of a file brought. */
  noteLoaded(keys: number, expired: number): void {
    this.doubles[Wide.KeysLoaded] = keys;
    this.doubles[Wide.KeysExpired] = expired;
  }

  get keysLoaded(): number {
    return this.doubles[Wide.KeysLoaded];
  }

  get keysExpired(): number {
    return this.doubles[Wide.KeysExpired];
  }
}
