/**
 * The replies of a worker that wait until the changes they tell of are on the disk: with `appendfsync always` every
 * reply after a change, otherwise only the replies while the disk is far behind.
 */

import type { Journal } from '../journal/journal.js';
import { JournalFile } from '../journal/journal-file.js';
import type { Connection } from '../network/connection.js';
import type { Transport } from '../network/transport.js';
import type { AppendOnlyState } from '../state/append-only-state.js';

export class HeldReplies {
  private readonly journal: Journal;
  private readonly state: AppendOnlyState;
  private readonly transport: Transport;
  private readonly file: JournalFile;
  private readonly worker: number;
  private readonly workerCount: number;
  private readonly wakeWorker: (worker: number) => void;
  private readonly held: Connection[] = [];

  constructor(
    journal: Journal,
    state: AppendOnlyState,
    transport: Transport,
    worker: number,
    workerCount: number,
    wakeWorker: (worker: number) => void,
  ) {
    this.journal = journal;
    this.state = state;
    this.transport = transport;
    this.file = new JournalFile(journal.ring, state);
    this.worker = worker;
    this.workerCount = workerCount;
    this.wakeWorker = wakeWorker;
  }

  /**
   * Makes the replies of a connection wait until all changes so far are on the disk, if that is required. While the
   * disk takes nothing, only clients that have changed something wait; the others get their replies.
   */
  holdIfUnsynced(connection: Connection): void {
    const { journal } = this;
    const { ring } = journal;
    const { hasRecorded } = journal;
    if (hasRecorded && connection.session !== null) connection.session.writtenUntil = journal.recordedUntil;
    if (!ring.mustWait) return;
    if (hasRecorded) connection.recordedUntil = journal.recordedUntil;
    connection.heldUntil = ring.head;
    if (connection.isOutputHeld) return;
    if (this.state.writeError !== 0 && connection.recordedUntil <= ring.synced) return;
    connection.isOutputHeld = true;
    this.held.push(connection);
  }

  /** Called when all input has been executed: has the journal synced, and sends the replies that need not wait. */
  commit(): void {
    if (this.held.length === 0) return;
    const { ring } = this.journal;
    if (this.file.commit()) {
      ring.wakeWaiting(this.workerCount, this.wakeWorker);
    } else {
      // Before `release` looks at what is on the disk: a sync after that look then wakes this worker.
      ring.markWaiting(this.worker);
      ring.wake();
    }
    this.release();
  }

  /** Sends the replies that need not wait any more: all of them once `appendfsync` has been changed. */
  private release(): void {
    const { held } = this;
    const { synced, mustWait } = this.journal.ring;
    let kept = 0;
    const isFailing = this.state.writeError !== 0;
    for (const connection of held) {
      const until = isFailing ? connection.recordedUntil : connection.heldUntil;
      if (mustWait && until > synced && !connection.isClosed) held[kept++] = connection;
      else this.transport.releaseOutput(connection);
    }
    held.length = kept;
  }
}
