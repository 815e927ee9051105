/**
 * The memory figures of INFO and MEMORY STATS.
 *
 * Used memory is what the data and its clients take, and what `maxmemory` is held against. The runtime (Node.js, its
 * threads, the code) takes some 60 MB more, which keys can never use; it is measured once when the server is
 * ready. Ratios compare resident memory with the sum of both, so that they are near 1 unless memory is really lost.
 */

import type { CommandContext } from '../../execution/context.js';
import type { ServerServices } from '../../execution/services.js';
import type { Keyspace } from '../../keyspace/keyspace.js';
import { ReplicationFigure } from '../../state/replication-state.js';
import { residentBytes } from '../../system/resident-memory.js';

export interface MemoryFigures {
  readonly usedBytes: number;
  readonly peakBytes: number;
  /** Parts of used memory; `journalBytes` waits for the disk, `overheadBytes` is all but the data. */
  readonly startupBytes: number;
  readonly clientBytes: number;
  readonly journalBytes: number;
  /** The backlog of replication, and what replicas that lag behind need beyond it; `maxmemory` is not held against these. */
  readonly backlogBytes: number;
  readonly replicaBytes: number;
  readonly overheadBytes: number;
  /** The rest of used memory: the data. */
  readonly datasetBytes: number;
  /** The data's share, in percent, of the memory used since start. */
  readonly datasetPercent: number;
  readonly runtimeBytes: number;
  readonly residentBytes: number;
  /** Used memory and the runtime. */
  readonly allocatedBytes: number;
  /** The same with what lies free between keys. */
  readonly activeBytes: number;
}

/** The data, the clients, the scripts, which `maxmemory` is held against, and the buffers of replication. */
function usedMemory(keyspace: Keyspace, { state }: ServerServices) {
  const { figures } = state.replication;
  const clientBytes = state.clients.memoryBytes();
  const scriptBytes = state.scriptCache.usedBytes + keyspace.functions.usedBytes;
  const replicaBytes = figures[ReplicationFigure.BufferBytes];
  const backlogBytes = figures[ReplicationFigure.BacklogBytes] - replicaBytes;
  const usedBytes = keyspace.usedBytes() + clientBytes + scriptBytes + backlogBytes + replicaBytes;
  return { clientBytes, scriptBytes, backlogBytes, replicaBytes, usedBytes };
}

/** Notes the memory in use for `used_memory_peak`. One thread calls it about every 100 ms. */
export function sampleUsedMemory(keyspace: Keyspace, services: ServerServices): void {
  services.state.control.notePeakMemory(usedMemory(keyspace, services).usedBytes);
}

/**
 * @param tableBytes size of the databases' tables, which is overhead; INFO does not measure it
 */
export function memoryFigures(context: CommandContext, tableBytes = 0): MemoryFigures {
  const { keyspace, services } = context;
  const { control } = services.state;
  const { clientBytes, scriptBytes, backlogBytes, replicaBytes, usedBytes } = usedMemory(keyspace, services);
  const startupBytes = keyspace.startupBytes;
  const journalBytes = keyspace.journal.ring.pendingBytes;
  const overheadBytes = startupBytes + clientBytes + scriptBytes + tableBytes + backlogBytes + replicaBytes;
  const datasetBytes = Math.max(0, usedBytes - overheadBytes);
  control.notePeakMemory(usedBytes);
  const runtimeBytes = control.runtimeMemoryBytes;
  let freeBytes = 0;
  for (const shard of keyspace.shards) freeBytes += shard.arena.freeBytes;
  return {
    usedBytes,
    peakBytes: control.peakMemoryBytes,
    startupBytes,
    clientBytes,
    journalBytes,
    backlogBytes,
    replicaBytes,
    overheadBytes,
    datasetBytes,
    datasetPercent: (100 * datasetBytes) / Math.max(1, usedBytes - startupBytes),
    runtimeBytes,
    residentBytes: residentBytes(),
    allocatedBytes: usedBytes + runtimeBytes,
    activeBytes: usedBytes + runtimeBytes + freeBytes,
  };
}
