/**
 * The way from the journal's ring to the increment of the append-only file that is written to, for whoever has the
 * file's lock: the journal thread, which opens and closes it, or a worker whose replies wait (held-replies.ts).
 *
 * An fsync is told of an error once: the next one of the same file succeeds, whoever calls it. So a worker that sees
 * one leaves it in the ring, and nobody syncs until the journal thread has seen to it.
 */

import { fdatasyncSync, fstatSync, ftruncateSync, writeSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import type { AppendOnlyState } from '../state/append-only-state.js';
import { monotonicMs } from '../system/clock.js';
import type { JournalRing } from './journal-ring.js';

/** What one system call writes at most, so that room comes free while a lot is written. */
const WRITE_BYTES_MAX = 1 << 20;
/** A disk that takes so long for an fsync is waited for by the journal thread, which has nothing else to do. */
const QUICK_SYNC_MS = 2;
/** So long a worker waits for another thread to bring something to the disk. */
const LOCK_MS_MAX = 5;

export class JournalFile {
  private readonly ring: JournalRing;
  private readonly state: AppendOnlyState;

  constructor(ring: JournalRing, state: AppendOnlyState) {
    this.ring = ring;
    this.state = state;
  }

  /**
   * Writes what the ring has up to `position`, as far as it goes into this file; returns whether that was anything.
   * Throws what writing does.
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

  /** Has the disk keep all that was written. Throws what fsync does. */
  sync(): void {
    const { ring } = this;
    const position = ring.takenPosition;
    const startMs = performance.now();
    if (ring.fileDescriptor >= 0) fdatasyncSync(ring.fileDescriptor);
    ring.syncMs = performance.now() - startMs;
    ring.markSynced(position);
  }

  /**
   * With `always`, brings all that has been recorded to the disk, for a worker that has executed what had come: its
   * replies are on their way sooner than through a thread that has to be woken first. Waits for whoever is at it
   * already, but not long, and may find everything done. Returns whether all is on the disk; if not, that is for the journal
   * thread. Holds no other lock.
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

  /** Returns whether all is there: not if it could not be written, or goes into the next file. */
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
