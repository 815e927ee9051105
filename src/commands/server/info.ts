/** INFO: sections of `field:value` lines under Redis's names, put together from the shared state. */

import { readFileSync } from 'node:fs';
import { freemem, release, type } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Config } from '../../config/config.js';
import type { CommandContext } from '../../execution/context.js';
import type { Command, Handler } from '../../execution/table/command-table.js';
import { lruClock } from '../../keyspace/access-clock.js';
import { KeyspaceCounter } from '../../keyspace/counters.js';
import { ChannelKind } from '../../pubsub/channel-registry.js';
import { AppendOnlyMode } from '../../state/append-only-state.js';
import { InstantaneousMetric, ServerCounter } from '../../state/command-statistics.js';
import {
  FailoverState,
  LinkState,
  REPLICA_STATE_NAMES,
  ReplicaState,
  ReplicationFigure,
  type ReplicationState,
} from '../../state/replication-state.js';
import { monotonicMs, wallMicroseconds } from '../../system/clock.js';
import { availableMemoryBytes } from '../../system/memory-limit.js';
import { DAMSELFLY_VERSION, REDIS_VERSION } from '../../system/version.js';
import { memoryFigures } from './memory-figures.js';

/** The program that this file is a part of. */
const EXECUTABLE = fileURLToPath(new URL('../../process/cli.js', import.meta.url));

/** Keys looked at in each shard. */
const TTL_SAMPLES = 16;

type Fields = [name: string, value: string | number][];

/** 1536 as "1.50K". */
export function humanBytes(bytes: number): string {
  const units = ['B', 'K', 'M', 'G', 'T', 'P'];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return unit === 0 ? `${bytes}B` : `${value.toFixed(2)}${units[unit]}`;
}

function server(context: CommandContext): Fields {
  const { services, nowMs } = context;
  const { control } = services.state;
  const uptimeSeconds = Math.floor(control.uptimeMs / 1000);
  return [
    ['redis_version', REDIS_VERSION],
    ['redis_git_sha1', '00000000'],
    ['redis_git_dirty', 0],
    ['redis_build_id', '0000000000000000'],
    ['redis_mode', 'standalone'],
    ['os', `${type()} ${release()} ${process.arch === 'x64' ? 'x86_64' : process.arch}`],
    ['arch_bits', 64],
    ['monotonic_clock', 'POSIX clock_gettime'],
    ['multiplexing_api', services.multiplexingApi],
    ['atomicvar_api', 'ecmascript-atomics'],
    ['gcc_version', '0.0.0'],
    ['process_id', process.pid],
    ['process_supervised', services.config.isUnderSystemd ? 'systemd' : 'no'],
    ['run_id', control.runId],
    ['tcp_port', services.config.port || services.config.tlsPort],
    ['server_time_usec', wallMicroseconds()],
    ['uptime_in_seconds', uptimeSeconds],
    ['uptime_in_days', Math.floor(uptimeSeconds / 86_400)],
    ['hz', services.config.value('hz')],
    ['configured_hz', services.config.value('hz')],
    ['lru_clock', lruClock(nowMs)],
    ['executable', EXECUTABLE],
    ['config_file', services.config.configFile ?? ''],
    ['io_threads_active', 0],
    ...shutdownFields(services.state.replication),
    ['damselfly_version', DAMSELFLY_VERSION],
    ['node_version', process.version],
    ['worker_threads', services.workerCount],
    ['active_workers', services.state.workerLoad.activeWorkers],
    ['started_workers', services.state.workerLoad.startedWorkers],
    ...listeners(services.config),
  ];
}

/** How long a shutdown still waits for replicas. */
function shutdownFields(replication: ReplicationState): Fields {
  if (replication.shutdownWaits === 0) return [];
  const leftMs = replication.figures[ReplicationFigure.ShutdownEndMs] - monotonicMs();
  return [['shutdown_in_milliseconds', Math.max(0, Math.ceil(leftMs))]];
}

/** Fields that Redis does not have. */
function damselfly({ services }: CommandContext): Fields {
  const { statistics, workerLoad } = services.state;
  return [
    ['worker_threads', services.workerCount],
    ['started_workers', workerLoad.startedWorkers],
    ['active_workers', workerLoad.activeWorkers],
    ['moved_connections', statistics.total(ServerCounter.ConnectionsMoved)],
    ['locks_contended', statistics.total(ServerCounter.LocksContended)],
    ['lock_sleeps', statistics.total(ServerCounter.LockSleeps)],
    ['lock_sleep_usec', statistics.total(ServerCounter.LockSleepMicroseconds)],
  ];
}

/** Where the server listens, as Redis 7.2 tells it. */
function listeners({ bind, port, tlsPort, unixSocket }: Config): Fields {
  const addresses = bind.map((address) => `bind=${address}`).join(',');
  const texts: string[] = [];
  if (port !== 0) texts.push(`name=tcp,${addresses},port=${port}`);
  if (unixSocket !== '') texts.push(`name=unix,bind=${unixSocket}`);
  if (tlsPort !== 0) texts.push(`name=tls,${addresses},port=${tlsPort}`);
  return texts.map((text, index) => [`listener${index}`, text]);
}

function clients(context: CommandContext): Fields {
  const { config, state } = context.services;
  const [inputPeakBytes, outputPeakBytes] = state.clients.recentPeaks();
  let blockingKeys = 0;
  let blockingKeysOnNoKey = 0;
  for (const { waiters } of context.keyspace.shards) {
    blockingKeys += waiters.queueCount;
    blockingKeysOnNoKey += waiters.queuesOnNoKey;
  }
  return [
    // Replicas are counted by themselves.
    ['connected_clients', state.clients.count - state.replication.replicaCount],
    ['cluster_connections', 0],
    ['maxclients', config.value('maxclients')],
    ['client_recent_max_input_buffer', inputPeakBytes],
    ['client_recent_max_output_buffer', outputPeakBytes],
    ['clients_in_tls_handshake', state.tls.underWay],
    ['blocked_clients', state.control.blockedClients],
    ['tracking_clients', state.control.trackingClients],
    ['clients_in_timeout_table', state.control.timedClients],
    ['total_blocking_keys', blockingKeys],
    ['total_blocking_keys_on_nokey', blockingKeysOnNoKey],
  ];
}

function memory(context: CommandContext): Fields {
  const { keyspace, services } = context;
  const { statistics, scriptCache, runningScripts } = services.state;
  const { functions } = keyspace;
  const { vmBytes } = runningScripts;
  const figures = memoryFigures(context);
  const replicationBytes = figures.backlogBytes + figures.replicaBytes;
  const { usedBytes, peakBytes, residentBytes, allocatedBytes, activeBytes } = figures;
  const { maxMemoryBytes } = keyspace.settings;
  const total = availableMemoryBytes();
  const ratio = (part: number, whole: number): string => (part / whole).toFixed(2);
  return [
    ['used_memory', usedBytes],
    ['used_memory_human', humanBytes(usedBytes)],
    ['used_memory_rss', residentBytes],
    ['used_memory_rss_human', humanBytes(residentBytes)],
    ['used_memory_peak', peakBytes],
    ['used_memory_peak_human', humanBytes(peakBytes)],
    ['used_memory_peak_perc', `${((usedBytes / peakBytes) * 100).toFixed(2)}%`],
    ['used_memory_overhead', figures.overheadBytes],
    ['used_memory_startup', figures.startupBytes],
    ['used_memory_dataset', figures.datasetBytes],
    ['used_memory_dataset_perc', `${figures.datasetPercent.toFixed(2)}%`],
    ['used_memory_runtime', figures.runtimeBytes],
    ['allocator_allocated', allocatedBytes],
    ['allocator_active', activeBytes],
    ['allocator_resident', residentBytes],
    ['total_system_memory', total],
    ['total_system_memory_human', humanBytes(total)],
    ['free_system_memory', freemem()],
    ['used_memory_lua', vmBytes],
    ['used_memory_vm_eval', vmBytes],
    ['used_memory_lua_human', humanBytes(vmBytes)],
    ['used_memory_scripts_eval', scriptCache.usedBytes],
    ['number_of_cached_scripts', scriptCache.count],
    ['number_of_functions', functions.functionCount],
    ['number_of_libraries', functions.libraryCount],
    ['used_memory_vm_functions', 0],
    ['used_memory_vm_total', vmBytes],
    ['used_memory_vm_total_human', humanBytes(vmBytes)],
    ['used_memory_functions', functions.usedBytes],
    ['used_memory_scripts', scriptCache.usedBytes + functions.usedBytes],
    ['used_memory_scripts_human', humanBytes(scriptCache.usedBytes + functions.usedBytes)],
    ['maxmemory', maxMemoryBytes],
    ['maxmemory_human', humanBytes(maxMemoryBytes)],
    ['maxmemory_policy', services.config.value('maxmemory-policy')],
    ['allocator_frag_ratio', ratio(activeBytes, allocatedBytes)],
    ['allocator_frag_bytes', activeBytes - allocatedBytes],
    ['allocator_rss_ratio', ratio(residentBytes, activeBytes)],
    ['allocator_rss_bytes', residentBytes - activeBytes],
    ['rss_overhead_ratio', '1.00'],
    ['rss_overhead_bytes', 0],
    ['mem_fragmentation_ratio', ratio(residentBytes, allocatedBytes)],
    ['mem_fragmentation_bytes', residentBytes - allocatedBytes],
    ['mem_not_counted_for_evict', services.state.clients.unauthenticatedBytes() + replicationBytes],
    ['mem_replication_backlog', figures.backlogBytes],
    ['mem_total_replication_buffers', replicationBytes],
    ['mem_clients_slaves', figures.replicaBytes],
    ['mem_clients_normal', figures.clientBytes],
    ['mem_cluster_links', 0],
    ['mem_aof_buffer', figures.journalBytes],
    ['mem_allocator', 'damselfly-arena'],
    ['active_defrag_running', 0],
    ['lazyfree_pending_objects', context.keyspace.lazyFreePendingCount()],
    ['lazyfreed_objects', statistics.keyspaceTotal(KeyspaceCounter.LazyFreedObjects)],
  ];
}

/** Fields about the append-only file while it is on. */
function appendOnlyFields(context: CommandContext): Fields {
  const { appendOnly } = context.services.state;
  const { ring } = context.keyspace.journal;
  return [
    ['aof_current_size', appendOnly.totalBytes],
    ['aof_base_size', appendOnly.baseBytes],
    ['aof_pending_rewrite', 0],
    ['aof_buffer_length', ring.pendingBytes],
    ['aof_recorded_offset', ring.head],
    ['aof_written_offset', ring.takenPosition],
    ['aof_synced_offset', ring.synced],
    ['aof_pending_bio_fsync', ring.isSynced ? 0 : 1],
    ['aof_delayed_fsync', appendOnly.delayedSyncs],
  ];
}

function persistence(context: CommandContext): Fields {
  const { persistence: saving, control, appendOnly } = context.services.state;
  const { isWritingSnapshot, isLoading, isAsyncLoading, keysWritten, keysTotal } = saving;
  const writtenPercent = isWritingSnapshot && keysTotal > 0 ? (100 * keysWritten) / keysTotal : 0;
  const isOn = context.services.config.appendOnly;
  // Turning the file on begins with a rewrite, which counts even while it waits for its turn.
  const isRewriting = saving.isRewriting || (isOn && appendOnly.mode !== AppendOnlyMode.On);
  return [
    ['loading', isLoading ? 1 : 0],
    ['async_loading', isAsyncLoading ? 1 : 0],
    ['current_cow_peak', 0],
    ['current_cow_size', 0],
    ['current_cow_size_age', 0],
    ['current_fork_perc', writtenPercent.toFixed(2)],
    ['current_save_keys_processed', isWritingSnapshot ? keysWritten : 0],
    ['current_save_keys_total', isWritingSnapshot ? keysTotal : 0],
    ['rdb_changes_since_last_save', Math.max(0, context.keyspace.dirtyCount() - saving.savedChanges)],
    ['rdb_bgsave_in_progress', isWritingSnapshot ? 1 : 0],
    ['rdb_last_save_time', Math.floor(control.lastSaveMs / 1000)],
    ['rdb_last_bgsave_status', saving.hasFailed ? 'err' : 'ok'],
    ['rdb_last_bgsave_time_sec', saving.lastSeconds],
    ['rdb_current_bgsave_time_sec', isWritingSnapshot ? Math.floor(saving.runningMs / 1000) : -1],
    ['rdb_saves', saving.saves],
    ['rdb_last_cow_size', 0],
    ['rdb_last_load_keys_expired', saving.keysExpired],
    ['rdb_last_load_keys_loaded', saving.keysLoaded],
    ['aof_enabled', isOn ? 1 : 0],
    ['aof_rewrite_in_progress', isRewriting ? 1 : 0],
    ['aof_rewrite_scheduled', appendOnly.isRewriteScheduled ? 1 : 0],
    ['aof_last_rewrite_time_sec', appendOnly.lastRewriteSeconds],
    ['aof_current_rewrite_time_sec', saving.isRewriting ? Math.floor(appendOnly.rewritingMs / 1000) : -1],
    ['aof_last_bgrewrite_status', appendOnly.hasRewriteFailed ? 'err' : 'ok'],
    ['aof_rewrites', appendOnly.rewrites],
    ['aof_rewrites_consecutive_failures', appendOnly.rewriteFailuresInRow],
    ['aof_last_write_status', appendOnly.writeError === 0 ? 'ok' : 'err'],
    ['aof_last_cow_size', 0],
    ['module_fork_in_progress', 0],
    ['module_fork_last_cow_size', 0],
    ...(isOn ? appendOnlyFields(context) : []),
    ...(isLoading || isAsyncLoading ? loading(context) : []),
  ];
}

/** Progress of loading. */
function loading({ services, keyspace }: CommandContext): Fields {
  const { loadStartMs, loadingMs, loadTotalBytes, loadedBytes } = services.state.persistence;
  const elapsedSeconds = Math.floor(loadingMs / 1000);
  // In the first second there is no estimate.
  const leftSeconds =
    elapsedSeconds < 1
      ? 1
      : Math.floor((elapsedSeconds * (loadTotalBytes - loadedBytes)) / (loadedBytes + 1));
  return [
    ['loading_start_time', Math.floor(loadStartMs / 1000)],
    ['loading_total_bytes', loadTotalBytes],
    ['loading_rdb_used_mem', keyspace.usedBytes()],
    ['loading_loaded_bytes', loadedBytes],
    ['loading_loaded_perc', ((100 * loadedBytes) / Math.max(1, loadTotalBytes)).toFixed(2)],
    ['loading_eta_seconds', leftSeconds],
  ];
}

function stats(context: CommandContext): Fields {
  const { control, statistics } = context.services.state;
  const { registry } = context.services.publisher;
  const tracking = context.keyspace.gate.trackingTotals;
  const kilobytes = (metric: InstantaneousMetric): string =>
    (statistics.instantaneous(metric) / 1024).toFixed(2);
  return [
    ['total_connections_received', statistics.total(ServerCounter.ConnectionsReceived)],
    ['total_commands_processed', statistics.total(ServerCounter.CommandsProcessed)],
    ['instantaneous_ops_per_sec', Math.floor(statistics.instantaneous(InstantaneousMetric.Commands))],
    ['total_net_input_bytes', statistics.total(ServerCounter.InputBytes)],
    ['total_net_output_bytes', statistics.total(ServerCounter.OutputBytes)],
    ['total_net_repl_input_bytes', 0],
    ['total_net_repl_output_bytes', 0],
    ['instantaneous_input_kbps', kilobytes(InstantaneousMetric.InputBytes)],
    ['instantaneous_output_kbps', kilobytes(InstantaneousMetric.OutputBytes)],
    ['instantaneous_input_repl_kbps', '0.00'],
    ['instantaneous_output_repl_kbps', '0.00'],
    [
      'rejected_connections',
      statistics.total(ServerCounter.RejectedConnections) + control.rejectedConnections,
    ],
    ['moved_connections', statistics.total(ServerCounter.ConnectionsMoved)],
    ['tls_handshakes', context.services.state.tls.succeeded],
    ['tls_resumed_sessions', context.services.state.tls.resumed],
    ['tls_failed_handshakes', context.services.state.tls.failed],
    ['sync_full', context.services.state.replication.fullSyncs],
    ['sync_partial_ok', context.services.state.replication.partialSyncs],
    ['sync_partial_err', context.services.state.replication.refusedPartialSyncs],
    ['expired_keys', statistics.keyspaceTotal(KeyspaceCounter.ExpiredKeys)],
    ['expired_subkeys', statistics.keyspaceTotal(KeyspaceCounter.ExpiredFields)],
    ['expired_stale_perc', '0.00'],
    ['expired_time_cap_reached_count', statistics.total(ServerCounter.ExpireTimeCapReached)],
    [
      'expire_cycle_cpu_milliseconds',
      Math.floor(statistics.keyspaceTotal(KeyspaceCounter.ActiveExpireMicroseconds) / 1000),
    ],
    ['evicted_keys', statistics.keyspaceTotal(KeyspaceCounter.EvictedKeys)],
    ['evicted_clients', statistics.total(ServerCounter.EvictedClients)],
    ['evicted_scripts', context.services.state.scriptCache.evictedCount],
    ['total_eviction_exceeded_time', 0],
    ['current_eviction_exceeded_time', 0],
    ['keyspace_hits', statistics.keyspaceTotal(KeyspaceCounter.Hits)],
    ['keyspace_misses', statistics.keyspaceTotal(KeyspaceCounter.Misses)],
    ['pubsub_channels', registry.count(ChannelKind.Plain)],
    ['pubsub_patterns', registry.count(ChannelKind.Pattern)],
    ['pubsubshard_channels', registry.count(ChannelKind.Shard)],
    ['latest_fork_usec', 0],
    ['total_forks', 0],
    ['migrate_cached_sockets', 0],
    ['slave_expires_tracked_keys', 0],
    ['active_defrag_hits', 0],
    ['active_defrag_misses', 0],
    ['active_defrag_key_hits', 0],
    ['active_defrag_key_misses', 0],
    ['total_active_defrag_time', 0],
    ['current_active_defrag_time', 0],
    ['tracking_total_keys', tracking.keys],
    ['tracking_total_items', tracking.items],
    ['tracking_total_prefixes', registry.count(ChannelKind.Prefix)],
    ['unexpected_error_replies', statistics.total(ServerCounter.UnexpectedErrorReplies)],
    ['total_error_replies', statistics.total(ServerCounter.ErrorReplies)],
    ['dump_payload_sanitizations', 0],
    ['total_reads_processed', statistics.total(ServerCounter.Reads)],
    ['total_writes_processed', statistics.total(ServerCounter.Writes)],
    ['io_threaded_reads_processed', 0],
    ['io_threaded_writes_processed', 0],
    ['reply_buffer_shrinks', 0],
    ['reply_buffer_expands', 0],
    ['acl_access_denied_auth', statistics.total(ServerCounter.AclAccessDeniedAuth)],
    ['acl_access_denied_cmd', statistics.total(ServerCounter.AclAccessDeniedCommand)],
    ['acl_access_denied_key', statistics.total(ServerCounter.AclAccessDeniedKey)],
    ['acl_access_denied_channel', statistics.total(ServerCounter.AclAccessDeniedChannel)],
  ];
}

function replication(context: CommandContext): Fields {
  const { services, keyspace } = context;
  const nowMs = monotonicMs();
  const { config, state } = services;
  const { replication: repl } = state;
  const { figures } = repl;
  const offset = repl.offsetAt(keyspace.journal.ring.head);
  const replicas = repl.replicas();
  return [
    ['role', repl.isReplica ? 'slave' : 'master'],
    ...(repl.isReplica ? replicaFields(context, offset) : []),
    ['connected_slaves', replicas.length],
    ...(config.needsReplicas && !repl.isReplica
      ? ([['min_slaves_good_slaves', repl.goodReplicas]] as Fields)
      : []),
    ...replicas.map(({ ip, port, state: replicaState, ackOffset, ackMs }, index): [string, string] => [
      `slave${index}`,
      `ip=${ip},port=${port},state=${REPLICA_STATE_NAMES[replicaState]},offset=${ackOffset},lag=${
        replicaState === ReplicaState.Online ? Math.max(0, Math.floor((nowMs - ackMs) / 1000)) : 0
      }`,
    ]),
    ['master_failover_state', FAILOVER_NAMES[repl.failoverState]],
    ['master_replid', repl.id],
    ['master_replid2', repl.secondId],
    ['master_repl_offset', offset],
    ['second_repl_offset', repl.secondOffset],
    ['repl_backlog_active', repl.isBacklogOn ? 1 : 0],
    ['repl_backlog_size', config.value('repl-backlog-size')],
    ['repl_backlog_first_byte_offset', figures[ReplicationFigure.BacklogStart]],
    ['repl_backlog_histlen', figures[ReplicationFigure.BacklogBytes]],
  ];
}

const FAILOVER_NAMES: Readonly<Record<FailoverState, string>> = {
  [FailoverState.None]: 'no-failover',
  [FailoverState.WaitForSync]: 'waiting-for-sync',
  [FailoverState.InProgress]: 'failover-in-progress',
};

/** Fields about the link to the primary. */
function replicaFields(context: CommandContext, offset: number): Fields {
  const { services } = context;
  const nowMs = monotonicMs();
  const { config } = services;
  const { replication: repl } = services.state;
  const { figures, linkState } = repl;
  const secondsSince = (ms: number): number => Math.max(0, Math.floor((nowMs - ms) / 1000));
  const isSyncing = linkState === LinkState.Transfer;
  const fields: [string, string | number][] = [
    ['master_host', repl.primaryHost],
    ['master_port', repl.primaryPort],
    ['master_link_status', linkState === LinkState.Connected ? 'up' : 'down'],
    [
      'master_last_io_seconds_ago',
      linkState === LinkState.Connected ? secondsSince(figures[ReplicationFigure.LastIoMs]) : -1,
    ],
    ['master_sync_in_progress', isSyncing ? 1 : 0],
    ['slave_read_repl_offset', figures[ReplicationFigure.ReadOffset]],
    ['slave_repl_offset', offset],
  ];
  if (isSyncing) {
    const total = figures[ReplicationFigure.SyncTotalBytes];
    const read = figures[ReplicationFigure.SyncReadBytes];
    fields.push(
      ['master_sync_total_bytes', total],
      ['master_sync_read_bytes', read],
      ['master_sync_left_bytes', total < 0 ? -1 : total - read],
      ['master_sync_perc', total <= 0 ? '0.00' : ((100 * read) / total).toFixed(2)],
      ['master_sync_last_io_seconds_ago', secondsSince(figures[ReplicationFigure.SyncLastIoMs])],
    );
  }
  if (linkState !== LinkState.Connected) {
    const downMs = figures[ReplicationFigure.LinkDownMs];
    fields.push(['master_link_down_since_seconds', downMs === 0 ? -1 : secondsSince(downMs)]);
  }
  fields.push(
    ['slave_priority', config.replicaPriority],
    ['slave_read_only', config.replicaReadOnly ? 1 : 0],
    ['replica_announced', config.isReplicaAnnounced ? 1 : 0],
  );
  return fields;
}

/** A clock tick of /proc, in microseconds. */
const PROC_TICK_MICROSECONDS = 10_000;

/**
 * The processor time of the process's first thread, not of a worker, since the workers are all alike. Without /proc,
 * the time of the whole process.
 */
function mainThreadUsage(): NodeJS.CpuUsage {
  try {
    const line = readFileSync(`/proc/self/task/${process.pid}/stat`, 'latin1');
    // The name of the program, in brackets, may have spaces itself. Behind it, from the third field on:
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
    const [user, system] = [fields[11], fields[12]].map((ticks) => Number(ticks) * PROC_TICK_MICROSECONDS);
    return { user, system };
  } catch {
    return process.cpuUsage();
  }
}

function cpu(): Fields {
  const { user, system } = process.cpuUsage();
  const mainThread = mainThreadUsage();
  const seconds = (microseconds: number): string => (microseconds / 1e6).toFixed(6);
  return [
    ['used_cpu_sys', seconds(system)],
    ['used_cpu_user', seconds(user)],
    ['used_cpu_sys_children', '0.000000'],
    ['used_cpu_user_children', '0.000000'],
    ['used_cpu_sys_main_thread', seconds(mainThread.system)],
    ['used_cpu_user_main_thread', seconds(mainThread.user)],
  ];
}

/** All commands and subcommands that have handlers of their own. */
function leafCommands(context: CommandContext): Command[] {
  return context.table
    .all()
    .flatMap((command) => [command, ...(command.subcommands === null ? [] : command.subcommands.values())]);
}

function commandStats(context: CommandContext): Fields {
  const { statistics } = context.services.state;
  const fields: Fields = [];
  for (const { id, fullName } of leafCommands(context)) {
    const { calls, microseconds, rejectedCalls, failedCalls } = statistics.command(id);
    if (calls + rejectedCalls + failedCalls === 0) continue;
    const each = calls === 0 ? 0 : microseconds / calls;
    fields.push([
      `cmdstat_${fullName}`,
      `calls=${calls},usec=${microseconds},usec_per_call=${each.toFixed(2)},rejected_calls=${rejectedCalls},failed_calls=${failedCalls}`,
    ]);
  }
  return fields;
}

function errorStats(context: CommandContext): Fields {
  return [...context.services.state.statistics.errors()].map(([prefix, count]) => [
    `errorstat_${prefix}`,
    `count=${count}`,
  ]);
}

function latencyStats(context: CommandContext): Fields {
  const { config, state } = context.services;
  if (!config.latencyTracking) return [];
  const fields: Fields = [];
  for (const { id, fullName } of leafCommands(context)) {
    if (state.statistics.command(id).calls === 0) continue;
    const latencies = state.statistics.percentiles(id, config.latencyPercentiles);
    if (latencies === null) continue;
    const parts = latencies.map((latency, at) => `p${config.latencyPercentiles[at]}=${latency.toFixed(3)}`);
    fields.push([`latency_percentiles_usec_${fullName}`, parts.join(',')]);
  }
  return fields;
}

/** Estimates how long the keys of a database that expire still live, in ms, from a sample of each shard. */
function meanTimeToLive(context: CommandContext, database: number): number {
  const { keyspace, nowMs } = context;
  let keys = 0;
  let sumMs = 0;
  for (const shard of keyspace.shards) {
    if (shard.volatileKeyCount(database) === 0) continue;
    context.lockShard(shard);
    const count = shard.volatileKeyCount(database);
    const sampledMs = shard.meanTimeToLive(database, TTL_SAMPLES, nowMs);
    context.unlockShard(shard);
    keys += count;
    sumMs += count * sampledMs;
  }
  return keys === 0 ? 0 : Math.round(sumMs / keys);
}

function keyspaceSection(context: CommandContext): Fields {
  const { keyspace } = context;
  const fields: Fields = [];
  for (let database = 0; database < keyspace.databaseCount; database++) {
    const keys = keyspace.keyCount(database);
    const expires = keyspace.volatileKeyCount(database);
    if (keys === 0) continue;
    // Threads that load take no locks, so keys can't be read meanwhile.
    const isUnknown = expires === 0 || context.services.state.persistence.isLoading;
    const meanTtlMs = isUnknown ? 0 : meanTimeToLive(context, database);
    const expiringHashes = keyspace.expiringHashCount(database);
    // Redis 7.0 does not have the last figure, so it appears only if there are such hashes.
    const subexpiry = expiringHashes === 0 ? '' : `,subexpiry=${expiringHashes}`;
    fields.push([`db${database}`, `keys=${keys},expires=${expires},avg_ttl=${meanTtlMs}${subexpiry}`]);
  }
  return fields;
}

interface Section {
  readonly name: string;
  readonly title: string;
  readonly isDefault: boolean;
  readonly fields: (context: CommandContext) => Fields;
}

const SECTIONS: readonly Section[] = [
  { name: 'server', title: 'Server', isDefault: true, fields: server },
  { name: 'clients', title: 'Clients', isDefault: true, fields: clients },
  { name: 'memory', title: 'Memory', isDefault: true, fields: memory },
  { name: 'persistence', title: 'Persistence', isDefault: true, fields: persistence },
  { name: 'stats', title: 'Stats', isDefault: true, fields: stats },
  { name: 'replication', title: 'Replication', isDefault: true, fields: replication },
  { name: 'cpu', title: 'CPU', isDefault: true, fields: cpu },
  { name: 'modules', title: 'Modules', isDefault: true, fields: () => [] },
  { name: 'commandstats', title: 'Commandstats', isDefault: false, fields: commandStats },
  { name: 'errorstats', title: 'Errorstats', isDefault: true, fields: errorStats },
  { name: 'latencystats', title: 'Latencystats', isDefault: false, fields: latencyStats },
  { name: 'cluster', title: 'Cluster', isDefault: true, fields: () => [['cluster_enabled', 0]] },
  { name: 'keyspace', title: 'Keyspace', isDefault: true, fields: keyspaceSection },
  { name: 'damselfly', title: 'Damselfly', isDefault: false, fields: damselfly },
];

/** The sections asked for, by lower-case name; `default`, `all` and `everything` stand for several. */
export function infoText(context: CommandContext, wanted: ReadonlySet<string>): string {
  const all = wanted.has('all') || wanted.has('everything');
  const byDefault = wanted.size === 0 || wanted.has('default');
  const parts: string[] = [];
  for (const section of SECTIONS) {
    if (!all && !(byDefault && section.isDefault) && !wanted.has(section.name)) continue;
    const lines = section.fields(context).map(([name, value]) => `${name}:${value}\r\n`);
    parts.push(`# ${section.title}\r\n${lines.join('')}`);
  }
  return parts.join('\r\n');
}

function info(context: CommandContext): void {
  const wanted = new Set<string>();
  for (let index = 1; index < context.argCount; index++) wanted.add(context.argText(index).toLowerCase());
  context.reply.verbatim(infoText(context, wanted), 'txt');
}

export const infoHandlers: Readonly<Record<string, Handler>> = { INFO: info };
