/**
 * Asks replicas how far they are, once for all clients of a round that wait for them. The request is part of the stream. If
 * it may (state/replica-feed.ts), the worker writes what is left of the stream and the request to the replicas' sockets
 * itself: waking the replication thread for that would take longer than all the rest.
 */

import { commandBytes } from '../journal/journal-ring.js';
import { lockUnlessBusy } from '../keyspace/deferred-work.js';
import type { Keyspace } from '../keyspace/keyspace.js';
import type { ProcessState } from '../state/process-state.js';
import type { Libc } from '../system/libc.js';

const GETACK = commandBytes('REPLCONF', 'GETACK', '*');
const GETACK_VIEW = new DataView(GETACK.buffer, GETACK.byteOffset, GETACK.length);
/** More is left to the replication thread: sockets may not take it at once. */
const STREAM_BYTES_MAX = 64 * 1024;

export class AckRequests {
  private readonly keyspace: Keyspace;
  private readonly state: ProcessState;
  private readonly libc: Libc | null;
  /** Clients of this round wait for replicas. */
  isWanted = false;

  constructor(keyspace: Keyspace, state: ProcessState, libc: Libc | null) {
    this.keyspace = keyspace;
    this.state = state;
    this.libc = libc;
  }

  want(): void {
    this.isWanted = true;
  }

  /** Sends the request with what is recorded before. Returns false if that is left to the replication thread, which has to be woken. */
  send(): boolean {
    this.isWanted = false;
    const { replication, replicaFeed } = this.state;
    if (this.libc === null || !replicaFeed.isAllowed || !this.append()) {
      replication.wantAcks();
      return false;
    }
    const replicas = replicaFeed.begin();
    if (replicas === 0) return false;
    const hasAll = this.write(this.libc, replicas);
    replicaFeed.end(hasAll);
    return hasAll;
  }

  /** Appends the request to the stream. Returns false if the server has none of its own, or a slow script runs. */
  private append(): boolean {
    const { keyspace, state } = this;
    const { ring } = keyspace.journal;
    const [shard] = keyspace.shards;
    keyspace.keptLock.letGo();
    // The lock as for a change: what is appended after the last snapshot of a shutdown would be missing after a restart.
    if (!lockUnlessBusy(shard)) return false;
    const isPrimary = ring.isReplicationOn && !state.replication.isReplica;
    if (isPrimary) ring.appendRaw(GETACK, GETACK_VIEW, 0, GETACK.length, true);
    shard.unlock();
    return isPrimary;
  }

  /** Writes what the replication thread has not taken yet to all replicas; false if some of it is left. */
  private write(libc: Libc, replicas: number): boolean {
    const { ring } = this.keyspace.journal;
    const { replicaFeed, clients } = this.state;
    const stream = ring.peekForReplicas();
    const position = ring.sentPosition;
    // The replication thread knows which replicas would not understand something.
    if (stream.length > STREAM_BYTES_MAX || ring.newerPosition >= position) return false;
    let hasAll = true;
    for (let index = 0; index < replicas; index++) {
      const written = replicaFeed.writtenBytes(index);
      // What is recorded after CLIENT KILL does not go to the client.
      if (clients.isKillRequested(replicaFeed.clientSlot(index))) return false;
      const left = stream.length - written;
      const taken = libc.write(replicaFeed.descriptor(index), libc.addressOf(stream) + written, left);
      replicaFeed.addWritten(index, Math.max(0, taken));
      hasAll &&= taken === left;
    }
    // The rest may be at the ring's start, or be recorded just now.
    hasAll &&= ring.head === position + stream.length;
    if (hasAll) ring.noteFed(position + stream.length);
    return hasAll;
  }
}
