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

/** If the disk makes no progress for so long, the process ends without it. */
const STALL_MS = 60_000;

export class JournalThread {
  private readonly ring: JournalRing;
  private readonly state: AppendOnlyState;
  private isRunning = false;

  /** `start` starts the thread, and reports whether that was possible. No worker runs yet. */
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
        // Refuse writes until the thread has started: nothing else would bring them to the disk.
        failed: () => {
          this.state.writeError = Errno.EMFILE;
        },
      });
    });
  }

  /** Makes the thread follow a changed configuration; CONFIG SET has already changed what concerns the ring. */
  configurationChanged(): void {
    this.ring.request(JournalRequest.Configuration);
  }

  /**
   * Starts recording changes, behind what has been loaded. No other thread uses the keyspace yet.
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
   * Resolves to true once everything recorded is on the disk, to false once the disk has made no progress for STALL_MS.
   * No thread records anything any more.
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
 * Ensures that there is an increment that can be written to. A rewrite may begin before the journal thread runs; then
 * what was recorded before the rewrite has a file to go to.
 */
function openIncrement(place: AofPlace, manifest: AofManifest): void {
  const last = manifest.increments.at(-1);
  const file = last ?? manifest.addIncrement(place.fileName);
  const name = aofPath(place, file);
  // A leftover file of this name is not in the manifest. It may have another hard link, so it is not truncated.
  if (last === undefined) rmSync(name, { force: true });
  closeSync(openSync(name, 'a', 0o644));
  if (last === undefined) writeManifest(place, manifest);
}

/** Saves the present data as the base, which replaces all files there were. */
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
