/** What a snapshot says of replication: the id of its history and the offset that it has reached. */

import type { JournalRing } from '../journal/journal-ring.js';
import type { ReplicationState } from '../state/replication-state.js';
import type { SnapshotHistory } from './key-form.js';

/** The history at a position of the journal; null if nothing is replicated. `database`: of the record before it. */
export function historyAt(
  state: ReplicationState,
  position: number,
  database: number,
): SnapshotHistory | null {
  if (!state.counts) return null;
  return { id: state.id, offset: state.offsetAt(position), database: Math.max(0, database) };
}

/** The history now. The locks of all shards are held. */
export function historyNow(state: ReplicationState, ring: JournalRing): SnapshotHistory | null {
  return historyAt(state, ring.head, ring.database);
}
