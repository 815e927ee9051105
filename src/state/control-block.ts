/**
 * The few words that all threads of the process look at: pauses, version of the configuration, monitors,
 * the request to shut down, the next client id. One cache line for what commands read, so that looking
 * costs one load.
 *
 *   int32 words
 *     0 configuration version      1 pause kind            2 clients in MONITOR
 *     3 shutdown request           4 authentication generation
 *     5 lock of the pause words    6 clients blocked       7 clients that track
 *     8 active expiry is off   9 pauses begun so far   10 clients that wait until some time
 *    11 RESTORE does not look at checksums   12, 13 the score for the kernel (system/oom-score.ts)
 *   float64 from byte 64
 *     8 pause ends (ms, monotonic) 9 process start (ms, monotonic)   10 peak of used memory (bytes)
 *    11 last save (ms)            12 memory of the runtime (bytes)   13 connections rejected
 *    14 last save (ms, monotonic)
 *   int64 from byte 128
 *    16 next client id
 *   bytes 192...231               run id, 40 hexadecimal digits
 *   int32 from byte 256: clients in MONITOR by worker, so that lines go only where they are wanted
 */

import { randomBytes } from 'node:crypto';
import { Attention, type HeededBlock } from '../memory/attention.js';
import { acquireLock, releaseLock } from '../memory/lock.js';
import { monotonicMs } from '../system/clock.js';
import { OomScore } from '../system/oom-score.js';
import { waitForChange } from '../system/wait.js';

const enum Word {
  ConfigurationVersion = 0,
  PauseKind = 1,
  Monitors = 2,
  ShutdownRequest = 3,
  AuthenticationGeneration = 4,
  PauseLock = 5,
  BlockedClients = 6,
  TrackingClients = 7,
  ActiveExpireOff = 8,
  PauseGeneration = 9,
  TimedClients = 10,
  ChecksumsIgnored = 11,
  OomScore = 12,
}

/** Indices in units of 8 bytes. */
const enum Wide {
  PauseUntilMs = 8,
  StartMs = 9,
  PeakMemoryBytes = 10,
  LastSaveMs = 11,
  RuntimeMemoryBytes = 12,
  RejectedConnections = 13,
  SavedAtMs = 14,
  NextClientId = 16,
}

const RUN_ID_OFFSET = 192;
const RUN_ID_BYTES = 40;
/** In units of 4 bytes. */
const WORKER_MONITORS = 64;
const WORKERS_MAX = 1024;
const BLOCK_BYTES = 4 * (WORKER_MONITORS + WORKERS_MAX);

/** What CLIENT PAUSE holds back, the stricter the higher. */
export const enum PauseKind {
  Off = 0,
  Write = 1,
  All = 2,
}

/** What the main thread is asked to do. */
export const enum ShutdownRequest {
  None = 0,
  /** Save if save points are configured. */
  Default = 1,
  Save = 2,
  NoSave = 3,
  /** Everything that must be saved is saved; the locks are held if nothing may change any more. */
  Exit = 4,
  /** Flag added to one of the first three: no failure prevents the shutdown. */
  Forced = 8,
}

export class ControlBlock {
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly longs: BigInt64Array;
  private readonly attention: Attention;
  readonly oomScore: OomScore;

  constructor(handle: HeededBlock) {
    const { block } = handle;
    this.words = new Int32Array(block);
    this.doubles = new Float64Array(block);
    this.longs = new BigInt64Array(block);
    this.attention = new Attention(handle.attention);
    this.oomScore = new OomScore(new Int32Array(block, 4 * Word.OomScore, OomScore.WORDS));
  }

  /** Made once by the main thread. */
  static create(attention: SharedArrayBuffer): HeededBlock {
    const handle = { block: new SharedArrayBuffer(BLOCK_BYTES), attention };
    const block = new ControlBlock(handle);
    block.doubles[Wide.StartMs] = monotonicMs();
    block.noteSave();
    block.longs[Wide.NextClientId] = 1n;
    const runId = randomBytes(RUN_ID_BYTES / 2).toString('hex');
    for (let at = 0; at < RUN_ID_BYTES; at++) {
      new Uint8Array(handle.block)[RUN_ID_OFFSET + at] = runId.charCodeAt(at);
    }
    return handle;
  }

  /** 40 hexadecimal digits, drawn at start. */
  get runId(): string {
    return String.fromCharCode(...new Uint8Array(this.words.buffer, RUN_ID_OFFSET, RUN_ID_BYTES));
  }

  /** How long the process has run. */
  get uptimeMs(): number {
    return monotonicMs() - this.doubles[Wide.StartMs];
  }

  /** A client id that no other connection of this process has had: 1, 2, 3 … */
  takeClientId(): number {
    return Number(Atomics.add(this.longs, Wide.NextClientId, 1n));
  }

  get nextClientId(): number {
    return Number(Atomics.load(this.longs, Wide.NextClientId));
  }

  /** Increments with each CONFIG SET; compare it with the version of the settings at hand. */
  get configurationVersion(): number {
    return Atomics.load(this.words, Word.ConfigurationVersion);
  }

  bumpConfigurationVersion(): number {
    return Atomics.add(this.words, Word.ConfigurationVersion, 1) + 1;
  }

  /** Increments when passwords or users change. */
  get authenticationGeneration(): number {
    return Atomics.load(this.words, Word.AuthenticationGeneration);
  }

  bumpAuthenticationGeneration(): number {
    return Atomics.add(this.words, Word.AuthenticationGeneration, 1) + 1;
  }

  /** Clients in MONITOR. A plain load, which may see a change a moment later. */
  get monitorCount(): number {
    return this.words[Word.Monitors];
  }

  /** Clients in MONITOR whose connections a worker owns. */
  monitorsOf(worker: number): number {
    return Atomics.load(this.words, WORKER_MONITORS + worker);
  }

  addMonitors(worker: number, delta: number): void {
    Atomics.add(this.words, WORKER_MONITORS + worker, delta);
    Atomics.add(this.words, Word.Monitors, delta);
    this.attention.raiseAll();
  }

  get blockedClients(): number {
    return Atomics.load(this.words, Word.BlockedClients);
  }

  addBlockedClients(delta: number): void {
    Atomics.add(this.words, Word.BlockedClients, delta);
  }

  /** Clients that track what they read (CLIENT TRACKING). */
  get trackingClients(): number {
    return Atomics.load(this.words, Word.TrackingClients);
  }

  addTrackingClients(delta: number): void {
    Atomics.add(this.words, Word.TrackingClients, delta);
  }

  /** Clients that wait for keys until some time. */
  get timedClients(): number {
    return Atomics.load(this.words, Word.TimedClients);
  }

  addTimedClients(delta: number): void {
    Atomics.add(this.words, Word.TimedClients, delta);
  }

  /** Whether expired keys are deleted even if no command accesses them. */
  get isActiveExpireOn(): boolean {
    return Atomics.load(this.words, Word.ActiveExpireOff) === 0;
  }

  set isActiveExpireOn(isOn: boolean) {
    Atomics.store(this.words, Word.ActiveExpireOff, isOn ? 0 : 1);
  }

  /** Whether RESTORE takes payloads whose checksum is wrong: for tests with damaged ones. */
  get ignoresChecksums(): boolean {
    return Atomics.load(this.words, Word.ChecksumsIgnored) !== 0;
  }

  set ignoresChecksums(ignores: boolean) {
    Atomics.store(this.words, Word.ChecksumsIgnored, ignores ? 1 : 0);
  }

  /** Whether a pause may be on. `pauseKind` then tells. */
  get mayBePaused(): boolean {
    return Atomics.load(this.words, Word.PauseKind) !== PauseKind.Off;
  }

  /**
   * Increments when a pause begins. If it is, under a lock, the same as when `pauseKind` was asked, the answer still
   * holds: the thread that pauses takes all locks once before it considers the pause effective.
   */
  get pauseGeneration(): number {
    return Atomics.load(this.words, Word.PauseGeneration);
  }

  /** Whether CLIENT PAUSE holds writes back now, as a pause of either kind does. */
  get areWritesPaused(): boolean {
    return this.mayBePaused && this.pauseKind(monotonicMs()) !== PauseKind.Off;
  }

  /** The pause in force now (monotonic ms); ends one that is over. */
  pauseKind(nowMs: number): PauseKind {
    const { words, doubles } = this;
    if (Atomics.load(words, Word.PauseKind) === PauseKind.Off) return PauseKind.Off;
    acquireLock(words, Word.PauseLock);
    if (doubles[Wide.PauseUntilMs] <= nowMs) this.setPauseKind(PauseKind.Off);
    const kind = words[Word.PauseKind];
    releaseLock(words, Word.PauseLock);
    return kind;
  }

  /** Times are monotonic ms. A pause on top of another keeps the stricter kind and the later end of the two. */
  pause(untilMs: number, kind: PauseKind, nowMs: number): void {
    const { words, doubles } = this;
    acquireLock(words, Word.PauseLock);
    const isOn = words[Word.PauseKind] !== PauseKind.Off && doubles[Wide.PauseUntilMs] > nowMs;
    doubles[Wide.PauseUntilMs] = isOn ? Math.max(untilMs, doubles[Wide.PauseUntilMs]) : untilMs;
    this.setPauseKind(isOn ? Math.max(kind, words[Word.PauseKind]) : kind);
    // After raising the attention: a thread that reads the new generation then checks the pause again.
    Atomics.add(words, Word.PauseGeneration, 1);
    releaseLock(words, Word.PauseLock);
  }

  unpause(): void {
    acquireLock(this.words, Word.PauseLock);
    this.setPauseKind(PauseKind.Off);
    releaseLock(this.words, Word.PauseLock);
  }

  private setPauseKind(kind: PauseKind): void {
    Atomics.store(this.words, Word.PauseKind, kind);
    this.attention.raiseAll();
  }

  get shutdownRequest(): ShutdownRequest {
    return Atomics.load(this.words, Word.ShutdownRequest);
  }

  /** Asks the main thread to shut down (wakes `waitForShutdown`). The first request wins, but `Exit` replaces any. */
  requestShutdown(request: ShutdownRequest): void {
    if (request === ShutdownRequest.Exit) Atomics.store(this.words, Word.ShutdownRequest, request);
    Atomics.compareExchange(this.words, Word.ShutdownRequest, ShutdownRequest.None, request);
    Atomics.notify(this.words, Word.ShutdownRequest);
  }

  /** Withdraws a request (SHUTDOWN ABORT). Returns whether there was one. */
  abortShutdown(): boolean {
    return Atomics.exchange(this.words, Word.ShutdownRequest, ShutdownRequest.None) !== ShutdownRequest.None;
  }

  /** Waits, without blocking the event loop, until a shutdown is requested. */
  async waitForShutdown(): Promise<ShutdownRequest> {
    for (;;) {
      const request = this.shutdownRequest;
      if (request !== ShutdownRequest.None) return request;
      await waitForChange(this.words, Word.ShutdownRequest, ShutdownRequest.None);
    }
  }

  get peakMemoryBytes(): number {
    return this.doubles[Wide.PeakMemoryBytes];
  }

  /** Takes no lock: if two threads note a peak at once, the lower of the two may stay. */
  notePeakMemory(usedBytes: number): void {
    if (usedBytes > this.doubles[Wide.PeakMemoryBytes]) this.doubles[Wide.PeakMemoryBytes] = usedBytes;
  }

  resetPeakMemory(usedBytes: number): void {
    this.doubles[Wide.PeakMemoryBytes] = usedBytes;
  }

  /** Memory of the process when it was ready, besides used memory. */
  get runtimeMemoryBytes(): number {
    return this.doubles[Wide.RuntimeMemoryBytes];
  }

  set runtimeMemoryBytes(usedBytes: number) {
    this.doubles[Wide.RuntimeMemoryBytes] = usedBytes;
  }

  /** Connections beyond `maxclients`. */
  get rejectedConnections(): number {
    return this.doubles[Wide.RejectedConnections];
  }

  set rejectedConnections(count: number) {
    this.doubles[Wide.RejectedConnections] = count;
  }

  /** When the dataset was last saved, since the epoch. */
  get lastSaveMs(): number {
    return this.doubles[Wide.LastSaveMs];
  }

  /** Time since the last save. */
  get sinceSaveMs(): number {
    return monotonicMs() - this.doubles[Wide.SavedAtMs];
  }

  /** The dataset has been saved. */
  noteSave(): void {
    this.doubles[Wide.LastSaveMs] = Date.now();
    this.doubles[Wide.SavedAtMs] = monotonicMs();
  }
}
