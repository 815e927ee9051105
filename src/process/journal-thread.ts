/** The journal thread as the main thread sees it: started when it is first wanted, stopped when the process ends. */

import { closeSync, openSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Worker as Thread } from 'node:worker_threads';
import type { Config } from '../config/config.js';
import { AofManifest, type AofPlace, aofPath, readManifest, writeManifest } from '../journal/aof-manifest.js';
import { JournalRequest, JournalRing } from '../journal/journal-ring.js';
import type { JournalOptions } from '../journal/journal-writer.js';
import type { Keyspace, KeyspaceHandle } from '../keyspace/keyspace.js';
import { saveKeyspace } from '../persistence/snapshot-file.js';
import { AppendOnlyMode, AppendOnlyState } from '../state/append-only-state.js';
import { SnapshotForm } from '../state/persistence-state.js';
import type { ProcessStateHandle } from '../state/process-state.js';
import { makeFolder } from '../system/files.js';
import { Errno } from '../system/libc.js';
import { startThread } from '../system/thread.js';
import type { LateThread } from './late-thread.js';

/** A disk that has done nothing for so long does not hold up the end of the process. */
const STALL_MS = 60_000;

export class JournalThread {
  private readonly ring: JournalRing;
  private readonly state: AppendOnlyState;
  private isRunning = false;

  /** `start` starts the thread, and tells whether that was possible. No worker runs yet. */
  constructor(
    keyspace: KeyspaceHandle,
    state: ProcessStateHandle,
    config: Config,
    start: (outcome: Pick<LateThread, 'failed' | 'started'>) => void,
  ) {
    this.ring = new JournalRing(keyspace.journal);
    this.ring.configure(config.appendFsync === 'always', config.aofTimestampEnabled);
    this.state = new AppendOnlyState(state.appendOnly);
    void this.state.untilThreadWanted().then(() => {
      start({
        started: () => {
          this.isRunning = true;
        },
        // Writes are refused until it has started: nobody would bring them to the disk.
        failed: () => {
          this.state.writeError = Errno.EMFILE;
        },
      });
    });
  }

  /** Makes it follow a changed configuration; what concerns the ring has been changed by CONFIG SET. */
  configurationChanged(): void {
    this.ring.request(JournalRequest.Configuration);
  }

  /**
   * Records from now on, behind what has been loaded. Nobody else uses the keyspace yet.
   * @param needsNewBase the files do not end where the data does
   * Throws an Error with a one-line message if the files can't be written.
   */
  resume(config: Config, keyspace: Keyspace, needsNewBase: boolean): void {
    const place: AofPlace = { folder: config.aofFolder, fileName: config.aofFileName };
    try {
      const manifest = readManifest(place) ?? new AofManifest();
      makeFolder(place.folder);
      if (needsNewBase || manifest.isEmpty) writeBase(place, manifest, config, keyspace);
      openIncrement(place, manifest);
      this.state.mode = AppendOnlyMode.On;
      this.ring.turnOn();
    } catch (error) {
      throw new Error(`can't write the append only file: ${(error as Error).message}`);
    }
    this.state.wantThread();
  }

  /**
   * Settles once all that was recorded is on the disk, with true; with false once the disk has done nothing for STALL_MS.
   * Nobody records anything any more.
   */
  async stop(): Promise<boolean> {
    if (!this.isRunning) return true;
    const { ring } = this;
    ring.request(JournalRequest.Stop);
    const stopped = this.state.untilStopped().then(() => true);
    for (;;) {
      const { takenPosition, synced } = ring;

      if (await Promise.race([stopped, delay(STALL_MS, false)])) return true;
      if (takenPosition === ring.takenPosition && synced === ring.synced) return false;
    }
  }

  static start(options: JournalOptions, channels: readonly SharedArrayBuffer[]): Thread {
    return startThread(new URL('../../workers/journal.js', import.meta.url), {
      workerData: { options, channels },
    });
  }
}

/**
 * Sees to it that there is an increment that can be written to. A rewrite may begin before the journal thread runs;
 * what was recorded until then has its place.
 */
function openIncrement(place: AofPlace, manifest: AofManifest): void {
  const last = manifest.increments.at(-1);
  const file = last ?? manifest.addIncrement(place.fileName);
  const name = aofPath(place, file);
  // A file of a new name is no part of the manifest; it may have another name elsewhere, so it is not emptied.
  if (last === undefined) rmSync(name, { force: true });
  closeSync(openSync(name, 'a', 0o644));
  if (last === undefined) writeManifest(place, manifest);
}

/** Makes the present data the base, in the place of all that was there. */
function writeBase(place: AofPlace, manifest: AofManifest, config: Config, keyspace: Keyspace): void {
  const base = manifest.addBase(place.fileName, config.aofUseRdbPreamble);
  manifest.retireIncrements(0);
  saveKeyspace(
    keyspace,
    {
      fileName: aofPath(place, base),
      isAofBase: true,
      hasTimestamp: config.aofTimestampEnabled,
      form: config.aofUseRdbPreamble ? SnapshotForm.Rdb : SnapshotForm.Commands,
      compresses: config.rdbCompression,
      hasChecksum: config.rdbChecksum,
    },
    Date.now(),
  );
  writeManifest(place, manifest);
}
