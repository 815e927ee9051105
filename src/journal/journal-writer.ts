/**
 * The journal thread: brings what the journal's ring has to the append-only file and to the disk, as `appendfsync`
 * says, opens the next increment when a rewrite begins and makes the new base part of the file when it is complete.
 * No other thread touches the folder of the append-only file while the server runs.
 *
 * With `always`, one fsync covers all that came while the one before was under way; the workers hold the replies
 * back until then (journal-ring.ts). What the disk does not take stays in the ring and is tried again, so nothing
 * that was recorded is left out and nothing that was acknowledged is lost; new writes are refused meanwhile.
 *
 * An fsync that fails can't be tried again: the kernel may have dropped what it could not write, and the next fsync
 * of the same file would succeed without it. The bytes have left the ring by then, but the keys are in memory. So the
 * increment counts as damaged, whatever later calls say, until a rewrite that began afterwards has taken its place.
 */

import { closeSync, openSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { getSystemErrorName } from 'node:util';
import { Config } from '../config/config.js';
import { AppendOnlyMode, AppendOnlyState } from '../state/append-only-state.js';
import { PersistenceState, SnapshotForm } from '../state/persistence-state.js';
import type { ProcessStateHandle } from '../state/process-state.js';
import { SharedConfig } from '../state/shared-config.js';
import { monotonicMs } from '../system/clock.js';
import { makeFolder, syncFolder } from '../system/files.js';
import { createConfiguredLog, type Log } from '../system/log.js';
import {
  AofManifest,
  type AofPlace,
  aofPath,
  fileLengthBytes,
  readManifest,
  rewriteFileName,
  writeManifest,
} from './aof-manifest.js';
import { JournalFile } from './journal-file.js';
import { commandBytes, JournalRequest, JournalRing } from './journal-ring.js';

/** Without `always`, records that arrive within this time are written together. */
const GATHER_MS = 2;
const SYNC_INTERVAL_MS = 1000;
/** Pause after a failed write. */
const RETRY_MS = 1000;
/** Time between two rewrites that are to replace a damaged increment. */
const REPAIR_RETRY_MS = 5000;
/** How often, at the end of the process, workers may move overflow into the ring. */
const OVERFLOW_ROUNDS_MAX = 1000;
const LOG_INTERVAL_MS = 30_000;
const FOREVER_MS = 2 ** 31 - 1;

/** What can't be done, in the words of Redis's log. */
const FAILURES = {
  write: 'Error writing to the AOF file',
  sync: 'Fail to fsync the AOF file',
  open: "Can't open the append-only file",
} as const;

/** What the journal thread is started with. */
export interface JournalOptions {
  readonly ring: SharedArrayBuffer;
  readonly state: ProcessStateHandle;
  readonly workerCount: number;
}

export class JournalWriter {
  private readonly ring: JournalRing;
  private readonly state: AppendOnlyState;
  private readonly snapshots: PersistenceState;
  private readonly sharedConfig: SharedConfig;
  private readonly workerCount: number;
  private readonly wakeWorker: (worker: number) => void;
  private config: Config;
  private log: Log;
  private readonly place: AofPlace;
  private manifest: AofManifest;
  private readonly file: JournalFile;
  private lastSyncMs = 0;
  private nextLogMs = 0;
  private retryAtMs = 0;
  /** An fsync has failed: data of the increments up to now may be missing on the disk for good. */
  private isDamaged = false;
  /** Only increments before the present one are damaged: the next base replaces them. */
  private isDamageBehind = false;
  private nextRepairMs = 0;

  /** Throws an Error with a one-line message if the manifest can't be read. */
  constructor(options: JournalOptions, wakeWorker: (worker: number) => void) {
    this.ring = new JournalRing(options.ring);
    this.state = new AppendOnlyState(options.state.appendOnly);
    this.file = new JournalFile(this.ring, this.state);
    this.snapshots = new PersistenceState(options.state.persistence);
    this.sharedConfig = new SharedConfig(options.state.config);
    this.workerCount = options.workerCount;
    this.wakeWorker = wakeWorker;
    this.config = this.readConfig();
    this.log = createConfiguredLog(this.config);
    this.place = { folder: this.config.aofFolder, fileName: this.config.aofFileName };
    this.manifest = readManifest(this.place) ?? new AofManifest();
    if (this.state.mode === AppendOnlyMode.On) this.resume();
    this.measure();
  }

  /** The increment that is written to; -1 if there is none. */
  private get fd(): number {
    return this.ring.fileDescriptor;
  }

  private set fd(descriptor: number) {
    this.ring.fileDescriptor = descriptor;
  }

  private readConfig(): Config {
    const published = this.sharedConfig.readIfNewer(0);
    if (published === null) throw new Error('no configuration');
    return new Config(JSON.parse(published.json));
  }

  private followConfig(): void {
    this.config = this.readConfig();
    this.log = createConfiguredLog(this.config);
  }

  /** Works until it is asked to stop. */
  run(): void {
    const { ring } = this;
    this.followConfig();
    // The error may have been set because this thread could not be started.
    this.state.writeError = 0;
    for (;;) {
      const requests = ring.takeRequests();
      ring.lockFile();
      this.work(requests);
      ring.unlockFile();
      ring.wakeWaiting(this.workerCount, this.wakeWorker);
      if (requests !== 0) this.serve(requests);
      if ((requests & JournalRequest.Stop) !== 0) return;
      ring.sleep(this.sleepMs());
      if (!ring.isSynchronous) ring.pause(GATHER_MS);
    }
  }

  /** Does what is due, with the file's lock. */
  private work(requests: number): void {
    const { ring } = this;
    if ((requests & JournalRequest.Configuration) !== 0) this.followConfig();
    if (ring.syncFailure !== 0) this.syncFailed(systemError(ring.syncFailure));
    this.bringToFile();
    if (ring.isSwitchDue && this.mayTry()) this.openNext();
    this.syncIfDue(requests !== 0);
    if (this.isDamaged) this.repair();
  }

  /** Does what it is asked to, besides what is due. */
  private serve(requests: number): void {
    const { ring } = this;
    if ((requests & JournalRequest.Install) !== 0) this.install();
    ring.lockFile();
    if ((requests & JournalRequest.Close) !== 0 && !ring.isFileOn) this.close();
    if ((requests & JournalRequest.Stop) !== 0) this.finish();
    ring.unlockFile();
    ring.wakeWaiting(this.workerCount, this.wakeWorker);
  }

  private sleepMs(): number {
    if (this.state.writeError !== 0) {
      // Pending records would end a sleep at once, but can't be written yet.
      this.ring.pause(RETRY_MS);
      return 0;
    }
    const isSynced = this.ring.synced === this.ring.takenPosition;
    if (isSynced) return FOREVER_MS;
    // The policy may change, and then replies may wait for the disk.
    if (this.config.appendFsync === 'no') return SYNC_INTERVAL_MS;
    return Math.max(0, this.lastSyncMs + SYNC_INTERVAL_MS - monotonicMs());
  }

  private mayTry(): boolean {
    return this.state.writeError === 0 || monotonicMs() >= this.retryAtMs;
  }

  /** Writes what the ring has, as far as the present file goes. */
  private bringToFile(): void {
    const { ring } = this;
    if (!this.mayTry()) return;
    if (this.fd < 0) {
      // Records from before the first file belong to no file.
      ring.skip();
      return;
    }
    try {
      if (this.file.write(Number.POSITIVE_INFINITY)) this.succeeded();
    } catch (error) {
      this.failed(error, 'write');
    }
  }

  private failed(error: unknown, what: keyof typeof FAILURES): void {
    const { errno, message } = error as NodeJS.ErrnoException;
    const nowMs = monotonicMs();
    this.retryAtMs = nowMs + RETRY_MS;
    this.state.writeError = Math.abs(errno ?? 5);
    if (nowMs < this.nextLogMs) return;
    this.nextLogMs = nowMs + LOG_INTERVAL_MS;
    this.log(`${FAILURES[what]}: ${message}. Trying again`, 'warning');
  }

  private succeeded(): void {
    if (this.state.writeError === 0 || this.isDamaged) return;
    this.state.writeError = 0;
    this.nextLogMs = 0;
    this.log('AOF write error looks solved, can write again.', 'warning');
  }

  private syncIfDue(isForced: boolean): void {
    const { ring, config } = this;
    const position = ring.takenPosition;
    if (position === ring.synced || this.isDamaged) return;
    const nowMs = monotonicMs();
    const { appendFsync } = config;
    // The ring's flag comes first: replies wait as soon as the policy changes, before this thread reads the new one.
    const isDue =
      ring.isSynchronous ||
      (appendFsync === 'everysec' && (isForced || nowMs - this.lastSyncMs >= SYNC_INTERVAL_MS));
    if (isDue) this.sync();
    else if (appendFsync === 'no') ring.noteUnwatched();
  }

  private sync(): boolean {
    const nowMs = monotonicMs();
    try {
      this.file.sync();
    } catch (error) {
      this.syncFailed(error);
      return false;
    }
    this.lastSyncMs = nowMs;
    return true;
  }

  private syncFailed(error: unknown): void {
    this.failed(error, 'sync');
    if (!this.isDamaged) this.log('A rewrite will replace what may not be on the disk', 'warning');
    this.isDamaged = true;
    this.isDamageBehind = false;
    this.ring.syncFailure = 0;
  }

  /** Asks for the rewrite that replaces damaged increments, unless it is under way. */
  private repair(): void {
    const { state, snapshots } = this;
    const nowMs = monotonicMs();
    if (this.fd < 0 || nowMs < this.nextRepairMs || state.isRewriteScheduled) return;
    if (this.ring.isSwitchPending || (this.isDamageBehind && snapshots.isRewriting)) return;
    this.nextRepairMs = nowMs + REPAIR_RETRY_MS;
    state.forgetFailures();
    state.isRewriteScheduled = true;
  }

  /** A base that was written after the damage is part of the file: only the present increment counts now. */
  private repaired(): void {
    this.isDamaged = false;
    this.nextRepairMs = 0;
    if (this.sync()) this.succeeded();
  }

  /** Opens the increment that follows; everything before it is written. */
  private openNext(): void {
    const { ring, place } = this;
    if (this.fd >= 0 && !this.isDamaged && !this.sync()) return;
    const manifest = this.manifest.copy();
    try {
      makeFolder(place.folder);
      const file = manifest.addIncrement(place.fileName);
      // A file of that name is not in the manifest. Not truncated but unlinked: it may have another (hard) link.
      unlinkIfThere(aofPath(place, file));
      const fd = openSync(aofPath(place, file), 'a', 0o644);
      try {
        const { switchDatabase } = ring;
        if (switchDatabase > 0) writeFileSync(fd, commandBytes('SELECT', String(switchDatabase)));
        // Without a base, the increment is of no use and is not listed yet.
        if (this.state.mode === AppendOnlyMode.On) writeManifest(place, manifest);
      } catch (error) {
        closeSync(fd);
        throw error;
      }
      if (this.fd >= 0) closeSync(this.fd);
      this.fd = fd;
    } catch (error) {
      this.failed(error, 'open');
      return;
    }
    this.isDamageBehind = true;
    this.succeeded();
    this.manifest = manifest;
    ring.switched();
  }

  /**
   * Continues the last increment of the manifest, which the server has loaded. A rewrite may have begun already: what
   * was recorded before it belongs there.
   */
  private resume(): void {
    const file = this.manifest.increments.at(-1);
    if (file !== undefined) this.fd = openSync(aofPath(this.place, file), 'a', 0o644);
  }

  /**
   * Makes the base that a rewrite has written part of the append-only file. Without the file's lock, since workers
   * would wait meanwhile: freeing the files it replaces takes long if they are large.
   */
  private install(): void {
    const { ring, place, state, config } = this;
    if (ring.isSwitchPending) {
      this.log("The rewritten AOF can't be used: the file that follows it can't be opened", 'warning');
      state.installEnded(false);
      return;
    }
    const manifest = this.manifest.copy();
    const base = manifest.addBase(place.fileName, this.snapshots.form === SnapshotForm.Rdb);
    manifest.retireIncrements(this.fd < 0 ? 0 : 1);
    try {
      makeFolder(place.folder);
      renameSync(path.join(config.dir, rewriteFileName()), aofPath(place, base));
      syncFolder(place.folder);
      writeManifest(place, manifest);
    } catch (error) {
      this.log(`The rewritten AOF can't be used: ${(error as Error).message}`, 'warning');
      state.installEnded(false);
      return;
    }
    this.manifest = manifest;
    // A rewrite that began before the file was turned on does not count: no increment follows its base.
    if (state.mode === AppendOnlyMode.WaitsForBase && this.fd >= 0) state.mode = AppendOnlyMode.On;
    ring.lockFile();
    if (this.isDamaged && this.isDamageBehind) this.repaired();
    ring.unlockFile();
    this.deleteHistory();
    ring.lockFile();
    this.measure();
    ring.unlockFile();
    state.installEnded(true);
  }

  private deleteHistory(): void {
    if (this.config.aofDisableAutoGc || this.manifest.history.length === 0) return;
    const manifest = this.manifest.copy();
    try {
      for (const file of manifest.history) unlinkIfThere(aofPath(this.place, file));
      manifest.history = [];
      writeManifest(this.place, manifest);
      this.manifest = manifest;
    } catch (error) {
      this.log(`Can't delete superseded AOF files: ${(error as Error).message}`, 'warning');
    }
  }

  private measure(): void {
    const { manifest, place, state } = this;
    const lengthOf = (name: string): number => Math.max(0, fileLengthBytes(name));
    state.baseBytes = manifest.files.reduce((sum, file) => sum + lengthOf(aofPath(place, file)), 0);
    state.totalBytes = state.baseBytes;
  }

  /** Closes the present file and gives up what the disk has not taken. */
  private close(): void {
    const { ring } = this;
    if (ring.isSwitchPending) ring.switched();
    if (this.fd >= 0) {
      if (!this.isDamaged) this.sync();
      closeSync(this.fd);
      this.fd = -1;
    }
    this.isDamaged = false;
    this.state.writeError = 0;
    ring.fileClosed();
  }

  /** The process ends: no thread appends any more. */
  private finish(): void {
    this.retryAtMs = 0;
    this.bringToFile();
    if (this.ring.isSwitchDue) this.openNext();
    this.bringToFile();
    // The last records of workers may still be in their overflow.
    for (let left = OVERFLOW_ROUNDS_MAX; left > 0 && this.ring.hasOverflows && this.mayTry(); left--) {
      this.ring.wakeWaiting(this.workerCount, this.wakeWorker);
      this.ring.pause(GATHER_MS);
      this.bringToFile();
    }
    const { pendingBytes } = this.ring;
    if (pendingBytes > 0) {
      this.log(`The last ${pendingBytes} bytes could not be written to the append only file`, 'warning');
    }
    const isSynced = !this.isDamaged && (this.fd < 0 || this.sync());
    if (!isSynced)
      this.log('The end of the append only file may not be on the disk: fsync has failed', 'warning');
    this.close();
    this.state.stopped();
  }
}

function systemError(errno: number): Error {
  return Object.assign(new Error(getSystemErrorName(-errno)), { errno });
}

function unlinkIfThere(name: string): void {
  try {
    unlinkSync(name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
