/**
 * What the threads have to know of the append-only file: whether it is on, how its rewrites and writes ended, how
 * long it is.
 *
 *   int32 words   0 AppendOnlyMode   1 a rewrite is scheduled   2 the last rewrite failed   3 rewrites that failed in a row
 *                 4 the disk does not take writes (the error's number; 0: it does)   5 the journal thread is wanted
 *                 6 how installing a base ended (InstallOutcome)   7 the journal thread has stopped   8 rewrites done
 *                 9 the file is to be turned off
 *   float64 from byte 64
 *     8 bytes of the base   9 bytes of base and increments   10 start of the running rewrite (ms)
 *    11 seconds that the last one took (-1: none yet)   12 the last attempt (ms)   13 times that fsync was late
 */

import { Attention, type HeededBlock } from '../memory/attention.js';
import { monotonicMs } from '../system/clock.js';
import { waitForChange } from '../system/wait.js';

const enum Word {
  Mode = 0,
  Scheduled = 1,
  RewriteFailed = 2,
  FailuresInRow = 3,
  WriteError = 4,
  ThreadWanted = 5,
  Install = 6,
  Stopped = 7,
  Rewrites = 8,
  MustTurnOff = 9,
}

const enum Wide {
  BaseBytes = 8,
  TotalBytes = 9,
  RewriteStartMs = 10,
  LastRewriteSeconds = 11,
  LastAttemptMs = 12,
  DelayedSyncs = 13,
}

const BLOCK_BYTES = 128;

export const enum AppendOnlyMode {
  Off = 0,
  /** Changes are recorded, but there is no base yet that they follow. */
  WaitsForBase = 1,
  On = 2,
}

const enum InstallOutcome {
  Pending = 0,
  Good = 1,
  Failed = 2,
}

/** After so many failures in a row, a rewrite is delayed before it is tried again. */
const FAILURES_UNTIL_DELAY = 3;
const RETRY_DELAY_MS = 60_000;
const RETRY_DELAY_MS_MAX = 3_600_000;
/** A thread that waits for the journal thread checks again after this long. */
const WAIT_MS_MAX = 100;

export class AppendOnlyState {
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
    new AppendOnlyState(handle).doubles[Wide.LastRewriteSeconds] = -1;
    return handle;
  }

  get mode(): AppendOnlyMode {
    return Atomics.load(this.words, Word.Mode);
  }

  set mode(mode: AppendOnlyMode) {
    Atomics.store(this.words, Word.Mode, mode);
  }

  /** Turns the file on if it is off; returns whether it was. Its base is scheduled. */
  waitForBase(): boolean {
    const { words } = this;
    const old = Atomics.compareExchange(words, Word.Mode, AppendOnlyMode.Off, AppendOnlyMode.WaitsForBase);
    if (old !== AppendOnlyMode.Off) return false;
    this.forgetFailures();
    this.isRewriteScheduled = true;
    return true;
  }

  /** Has worker 0 turn the file off, even if the configuration wants it on again before that worker sees it. */
  requestTurnOff(): void {
    Atomics.store(this.words, Word.MustTurnOff, 1);
  }

  takeTurnOff(): boolean {
    return Atomics.exchange(this.words, Word.MustTurnOff, 0) !== 0;
  }

  /**
   * Whether the file is on but has no base yet, which is being written, or tried again after a failure: without it, all data
   * would be gone after a restart.
   */
  get isFirstBaseMissing(): boolean {
    return this.mode === AppendOnlyMode.WaitsForBase;
  }

  /** A rewrite is to begin as soon as no other background job runs. */
  get isRewriteScheduled(): boolean {
    return Atomics.load(this.words, Word.Scheduled) !== 0;
  }

  set isRewriteScheduled(isScheduled: boolean) {
    Atomics.store(this.words, Word.Scheduled, isScheduled ? 1 : 0);
  }

  rewriteStarted(): void {
    const nowMs = monotonicMs();
    Atomics.store(this.words, Word.Scheduled, 0);
    Atomics.store(this.words, Word.Install, InstallOutcome.Pending);
    this.doubles[Wide.RewriteStartMs] = nowMs;
    this.doubles[Wide.LastAttemptMs] = nowMs;
  }

  rewriteEnded(isGood: boolean): void {
    const { words, doubles } = this;
    doubles[Wide.LastRewriteSeconds] = Math.floor(this.rewritingMs / 1000);
    Atomics.store(words, Word.RewriteFailed, isGood ? 0 : 1);
    if (isGood) {
      Atomics.store(words, Word.FailuresInRow, 0);
      Atomics.add(words, Word.Rewrites, 1);
    } else {
      Atomics.add(words, Word.FailuresInRow, 1);
    }
  }

  /** Rewrites that went well. */
  get rewrites(): number {
    return Atomics.load(this.words, Word.Rewrites);
  }

  get rewriteFailuresInRow(): number {
    return Atomics.load(this.words, Word.FailuresInRow);
  }

  /** Clears the failure count: a rewrite that a client asks for does not have to wait. */
  forgetFailures(): void {
    Atomics.store(this.words, Word.FailuresInRow, 0);
  }

  /** Whether the next automatic rewrite has to wait, since the last ones failed. */
  mustDelayRewrite(): boolean {
    const failures = Atomics.load(this.words, Word.FailuresInRow) - FAILURES_UNTIL_DELAY;
    if (failures < 0) return false;
    const delayMs = Math.min(RETRY_DELAY_MS * 2 ** failures, RETRY_DELAY_MS_MAX);
    return monotonicMs() - this.doubles[Wide.LastAttemptMs] < delayMs;
  }

  get hasRewriteFailed(): boolean {
    return Atomics.load(this.words, Word.RewriteFailed) !== 0;
  }

  /** How long ago the last rewrite began. */
  get rewritingMs(): number {
    return monotonicMs() - this.doubles[Wide.RewriteStartMs];
  }

  /** Seconds that the last rewrite took, -1 if there was none. */
  get lastRewriteSeconds(): number {
    return this.doubles[Wide.LastRewriteSeconds];
  }

  /** The errno for which the disk takes no writes now; 0 if it takes them. A plain load: every command does it. */
  get writeError(): number {
    return this.words[Word.WriteError];
  }

  set writeError(errno: number) {
    if (Atomics.exchange(this.words, Word.WriteError, errno) !== errno) this.attention.raiseAll();
  }

  /** Has the main thread start the journal thread, if it does not run. */
  wantThread(): void {
    if (Atomics.exchange(this.words, Word.ThreadWanted, 1) === 0)
      Atomics.notify(this.words, Word.ThreadWanted);
  }

  async untilThreadWanted(): Promise<void> {
    while (Atomics.load(this.words, Word.ThreadWanted) === 0) {
      await waitForChange(this.words, Word.ThreadWanted, 0);
    }
  }

  /** The journal thread has made a complete base part of the append-only file, or could not. */
  installEnded(isGood: boolean): void {
    Atomics.store(this.words, Word.Install, isGood ? InstallOutcome.Good : InstallOutcome.Failed);
    Atomics.notify(this.words, Word.Install);
  }

  /** Waits for `installEnded`; returns whether it went well. Asks `isCancelled` from time to time. */
  waitForInstall(isCancelled: () => boolean): boolean {
    const { words } = this;
    while (Atomics.load(words, Word.Install) === InstallOutcome.Pending) {
      if (isCancelled()) return false;
      Atomics.wait(words, Word.Install, InstallOutcome.Pending, WAIT_MS_MAX);
    }
    return Atomics.load(words, Word.Install) === InstallOutcome.Good;
  }

  /** The journal thread has synced everything to the disk, or can't, and does nothing more. */
  stopped(): void {
    Atomics.store(this.words, Word.Stopped, 1);
    Atomics.notify(this.words, Word.Stopped);
  }

  /** Settles once the journal thread has stopped. */
  async untilStopped(): Promise<void> {
    while (Atomics.load(this.words, Word.Stopped) === 0) await waitForChange(this.words, Word.Stopped, 0);
  }

  get baseBytes(): number {
    return this.doubles[Wide.BaseBytes];
  }

  set baseBytes(lengthBytes: number) {
    this.doubles[Wide.BaseBytes] = lengthBytes;
  }

  /** Bytes of all files that belong to the append-only file. */
  get totalBytes(): number {
    return this.doubles[Wide.TotalBytes];
  }

  set totalBytes(lengthBytes: number) {
    this.doubles[Wide.TotalBytes] = lengthBytes;
  }

  /** How often replies had to wait because fsync took too long. */
  get delayedSyncs(): number {
    return this.doubles[Wide.DelayedSyncs];
  }

  noteDelayedSync(): void {
    this.doubles[Wide.DelayedSyncs]++;
  }
}
