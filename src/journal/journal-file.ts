/**
 * Writes the journal's ring to the present increment of the append-only file, for the thread that has the file's lock:
 * the journal thread, which opens and closes the file, or a worker whose replies wait (held-replies.ts).
 *
 * The kernel reports an error to one fsync only: the next one of the same file succeeds, in whichever thread. So a
 * worker whose fsync fails stores the error in the ring, and no worker syncs until the journal thread has handled it.
 */

import { fdatasyncSync, fstatSync, ftruncateSync, writeSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import type { AppendOnlyState } from '../state/append-only-state.js';
import { monotonicMs } from '../system/clock.js';
import type { JournalRing } from './journal-ring.js';

/** Bytes that one system call writes at most, so that room comes free while a lot is written. */
const WRITE_BYTES_MAX = 1 << 20;
/** If an fsync takes this long, workers leave it to the journal thread, which has nothing else to do. */
const QUICK_SYNC_MS = 2;
/** How long a worker waits for another thread that writes to the file. */
const LOCK_MS_MAX = 5;

export class JournalFile {
  private readonly ring: JournalRing;
  private readonly state: AppendOnlyState;

  constructor(ring: JournalRing, state: AppendOnlyState) {
    this.ring = ring;
    this.state = state;
  }

  /**
   * Writes the ring's data up to `position`, as far as it belongs into this file; returns whether there was any.
   * Throws the errors of the write.
   */
  write(position: number): boolean {
    const { ring, state } = this;
    const before = ring.takenPosition;
    while (ring.takenPosition < position) {
      const annotation = ring.takeTimestamp();
      if (annotation !== null) this.annotate(annotation);
      const bytes = ring.peek(Math.min(WRITE_BYTES_MAX, ring.untilBoundary));
      if (bytes.length === 0) break;
      ring.taking(monotonicMs());
      const wrote = writeSync(ring.fileDescriptor, bytes);
      ring.taken(wrote);
      state.totalBytes += wrote;
    }
    return ring.takenPosition > before;
  }

  /** Writes an annotation, which is no part of the journal: all of it or nothing. */
  private annotate(annotation: Uint8Array): void {
    const { ring, state } = this;
    const fd = ring.fileDescriptor;
    let wrote = 0;
    try {
      while (wrote < annotation.length) wrote += writeSync(fd, annotation, wrote);
    } catch (error) {
      if (wrote > 0) ftruncateSync(fd, fstatSync(fd).size - wrote);
      ring.forgetTimestamp();
      throw error;
    }
    state.totalBytes += wrote;
  }

  /** Syncs all that was written to the disk. Throws the errors of fsync. */
  sync(): void {
    const { ring } = this;
    const position = ring.takenPosition;
    const startMs = performance.now();
    if (ring.fileDescriptor >= 0) fdatasyncSync(ring.fileDescriptor);
    ring.syncMs = performance.now() - startMs;
    ring.markSynced(position);
  }

  /**
   * With `always`, brings all records to the disk, called by a worker after it has executed a round of commands: its
   * replies leave sooner than if the journal thread had to be woken first. Waits, but not long, for another thread that
   * is already writing, and may find everything done. Returns whether all is on the disk; if not, the journal thread
   * has to do it. The caller holds no other lock.
   */
  commit(): boolean {
    const { ring } = this;
    if (!this.mayCommit()) return false;
    if (!ring.lockFileWithin(LOCK_MS_MAX)) return false;
    const isDone = this.mayCommit() && this.bringToDisk();
    ring.unlockFile();
    return isDone;
  }

  private mayCommit(): boolean {
    const { ring } = this;
    return (
      ring.isSynchronous &&
      ring.syncMs < QUICK_SYNC_MS &&
      ring.fileDescriptor >= 0 &&
      ring.syncFailure === 0 &&
      this.state.writeError === 0
    );
  }

  /** Returns whether all is on the disk: false if writing failed, or records belong into the next file. */
  private bringToDisk(): boolean {
    const { ring } = this;
    const { head } = ring;
    if (ring.synced >= head) return true;
    try {
      this.write(head);
    } catch {
      return false;
    }
    try {
      this.sync();
    } catch (error) {
      ring.syncFailure = Math.abs((error as NodeJS.ErrnoException).errno ?? 5);
      return false;
    }
    return ring.synced >= head;
  }
}
