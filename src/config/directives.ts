/**
 * Every directive of redis.conf (7.0) and Damselfly's own, as data: what values it takes, what it is
 * when nobody sets it, whether it can change while the server runs, and whether it has an effect yet.
 *
 * Texts are byte strings: each character is one byte (latin1), so that any value survives unchanged.
 */

export type DirectiveKind =
  | 'boolean'
  | 'integer'
  | 'octal'
  | 'memory'
  | 'memory-or-percent'
  | 'choice'
  | 'flags'
  | 'string'
  | 'special';

export interface Directive {
  readonly name: string;
  /** The older name, equally good. */
  readonly alias: string | undefined;
  readonly kind: DirectiveKind;
  /** As CONFIG GET prints it. */
  readonly defaultValue: string;
  /** Bounds of numbers, inclusive. */
  readonly min: bigint;
  readonly max: bigint;
  /** The names that a choice or flags take, and errors list. */
  readonly choices: readonly string[];
  /** More names that a choice takes; Redis 7.0 does not know them, so the error does not list them. */
  readonly newerChoices: readonly string[];
  /** Can't change while the server runs. */
  readonly immutable: boolean;
  /** Changes at run time only with enable-protected-configs. */
  readonly protected: boolean;
  /** Takes several arguments; one argument is split at spaces. */
  readonly multiple: boolean;
  /** CONFIG GET shows it only when asked for by its full name. */
  readonly hidden: boolean;
  /** Known to configuration files only, not to CONFIG GET and SET. */
  readonly fileOnly: boolean;
  /** Refers to something outside, such as a file, that may have changed: setting the same value again is a change. */
  readonly reference: boolean;
  /** False: accepted for compatibility, without effect; a value other than the default brings a warning. */
  readonly applies: boolean;
}

type Options = Partial<Omit<Directive, 'name' | 'kind' | 'defaultValue' | 'min' | 'max' | 'choices'>>;
type Row = Omit<Directive, 'applies'>;

const INT_MIN = -(2n ** 31n);
const INT_MAX = 2n ** 31n - 1n;
const UINT_MAX = 2n ** 32n - 1n;
const LONG_MAX = 2n ** 63n - 1n;
const ULONG_MAX = 2n ** 64n - 1n;
const PORT_MAX = 65535n;

function row(
  name: string,
  kind: DirectiveKind,
  defaultValue: string,
  options: Options,
  min = 0n,
  max = 0n,
  choices: readonly string[] = [],
): Row {
  return {
    name,
    alias: options.alias,
    kind,
    defaultValue,
    min,
    max,
    choices,
    newerChoices: options.newerChoices ?? [],
    immutable: options.immutable ?? false,
    protected: options.protected ?? false,
    multiple: options.multiple ?? false,
    hidden: options.hidden ?? false,
    fileOnly: options.fileOnly ?? false,
    reference: options.reference ?? false,
  };
}

const boolean = (name: string, defaultValue: 'yes' | 'no', options: Options = {}) =>
  row(name, 'boolean', defaultValue, options);
const integer = (name: string, value: number, min: bigint, max: bigint, options: Options = {}) =>
  row(name, 'integer', String(value), options, min, max);
const memory = (name: string, value: number, min: bigint, max: bigint, options: Options = {}) =>
  row(name, 'memory', String(value), options, min, max);
const choice = (name: string, value: string, choices: readonly string[], options: Options = {}) =>
  row(name, 'choice', value, options, 0n, 0n, choices);
const text = (name: string, value = '', options: Options = {}) => row(name, 'string', value, options);
const special = (name: string, value: string, options: Options = {}) => row(name, 'special', value, options);

const immutable: Options = { immutable: true };
const reference: Options = { reference: true };
const enableChoices = ['no', 'yes', 'local'];

const shutdownChoices = ['default', 'save', 'nosave', 'now', 'force'];
const shutdownFlags = (name: string) =>
  row(name, 'flags', 'default', { multiple: true }, 0n, 0n, shutdownChoices);

/** What has an effect. */
const applied: readonly Row[] = [
  // Network
  special('bind', '* -::*', { multiple: true }),
  integer('port', 6379, 0n, PORT_MAX),
  text('unixsocket', '', immutable),
  row('unixsocketperm', 'octal', '0', immutable, 0n, 0o777n),
  integer('tcp-backlog', 511, 0n, INT_MAX, immutable),
  integer('tcp-keepalive', 300, 0n, INT_MAX),
  integer('timeout', 0, 0n, INT_MAX),
  integer('maxclients', 10000, 1n, UINT_MAX),
  boolean('protected-mode', 'yes'),
  memory('proto-max-bulk-len', 512 * 1024 * 1024, 1024n * 1024n, LONG_MAX),
  memory('client-query-buffer-limit', 1024 * 1024 * 1024, 1024n * 1024n, LONG_MAX),
  special(
    'client-output-buffer-limit',
    'normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60',
    { multiple: true },
  ),
  // Limits of structures
  integer('tracking-table-max-keys', 1000000, 0n, LONG_MAX),
  memory('stream-node-max-bytes', 4096, 0n, LONG_MAX),
  integer('stream-node-max-entries', 100, 0n, LONG_MAX),
  integer('stream-idmp-duration', 100, 1n, 86_400n),
  integer('stream-idmp-maxsize', 100, 1n, 10_000n),
  // TLS
  integer('tls-port', 0, 0n, PORT_MAX),
  text('tls-cert-file', '', reference),
  text('tls-key-file', '', reference),
  text('tls-key-file-pass', '', reference),
  text('tls-client-cert-file', '', reference),
  text('tls-client-key-file', '', reference),
  text('tls-client-key-file-pass', '', reference),
  text('tls-dh-params-file', '', reference),
  text('tls-ca-cert-file', '', reference),
  text('tls-ca-cert-dir', '', reference),
  choice('tls-auth-clients', 'yes', ['no', 'yes', 'optional']),
  choice('tls-auth-clients-user', 'off', ['off', 'CN']),
  boolean('tls-replication', 'no'),
  boolean('tls-cluster', 'no'),
  text('tls-protocols'),
  text('tls-ciphers'),
  text('tls-ciphersuites'),
  boolean('tls-prefer-server-ciphers', 'no'),
  boolean('tls-session-caching', 'yes'),
  integer('tls-session-cache-size', 20480, 0n, INT_MAX),
  integer('tls-session-cache-timeout', 300, 0n, INT_MAX),
  // Threads
  integer('threads', 0, 0n, 256n, immutable),
  integer('active-workers', 0, 0n, 256n),
  choice('transport', 'auto', ['auto', 'io_uring', 'epoll', 'node'], immutable),
  // General
  integer('databases', 16, 1n, INT_MAX, immutable),
  choice('loglevel', 'notice', ['debug', 'verbose', 'notice', 'warning'], { newerChoices: ['nothing'] }),
  text('logfile', '', immutable),
  text('pidfile', '', immutable),
  boolean('daemonize', 'no', immutable),
  choice('supervised', 'no', ['upstart', 'systemd', 'auto', 'no'], immutable),
  boolean('always-show-logo', 'no', immutable),
  boolean('set-proc-title', 'yes', immutable),
  text('proc-title-template', '{title} {listen-addr} {server-mode}'),
  boolean('crash-log-enabled', 'yes'),
  choice('oom-score-adj', 'no', ['no', 'yes', 'relative', 'absolute']),
  special('oom-score-adj-values', '0 200 800', { multiple: true }),
  special('dir', '', { protected: true }),
  integer('hz', 10, 0n, INT_MAX),
  boolean('dynamic-hz', 'yes'),
  // Security
  text('requirepass'),
  text('aclfile', '', immutable),
  integer('acllog-max-len', 128, 0n, LONG_MAX),
  choice('acl-pubsub-default', 'resetchannels', ['allchannels', 'resetchannels']),
  special('user', '', { fileOnly: true, multiple: true }),
  integer('auth-timeout', 60, 0n, INT_MAX),
  choice('enable-protected-configs', 'no', enableChoices, immutable),
  choice('enable-debug-command', 'no', enableChoices, immutable),
  choice('enable-module-command', 'no', enableChoices, immutable),
  special('rename-command', '', { fileOnly: true, multiple: true }),
  special('include', '', { fileOnly: true }),
  // Memory
  memory('maxmemory', 0, 0n, ULONG_MAX),
  choice(
    'maxmemory-policy',
    'noeviction',
    [
      'volatile-lru',
      'volatile-lfu',
      'volatile-random',
      'volatile-ttl',
      'allkeys-lru',
      'allkeys-lfu',
      'allkeys-random',
      'noeviction',
    ],
    { newerChoices: ['volatile-lrm', 'allkeys-lrm'] },
  ),
  integer('maxmemory-samples', 5, 1n, INT_MAX),
  integer('maxmemory-eviction-tenacity', 10, 0n, 100n),
  row('maxmemory-clients', 'memory-or-percent', '0', {}, 0n, LONG_MAX),
  integer('lfu-log-factor', 10, 0n, INT_MAX),
  integer('lfu-decay-time', 1, 0n, INT_MAX),
  integer('active-expire-effort', 1, 1n, 10n),
  boolean('lazyfree-lazy-eviction', 'no'),
  boolean('lazyfree-lazy-expire', 'no'),
  boolean('lazyfree-lazy-server-del', 'no'),
  boolean('lazyfree-lazy-user-del', 'no'),
  boolean('lazyfree-lazy-user-flush', 'no'),
  // Persistence
  special('save', '3600 1 300 100 60 10000', { multiple: true }),
  text('dbfilename', 'dump.rdb', { protected: true }),
  boolean('rdbcompression', 'yes'),
  boolean('rdbchecksum', 'yes', immutable),
  boolean('stop-writes-on-bgsave-error', 'yes'),
  text('appendfilename', 'appendonly.aof', immutable),
  text('appenddirname', 'appendonlydir', immutable),
  boolean('appendonly', 'no'),
  choice('appendfsync', 'everysec', ['everysec', 'always', 'no']),
  integer('auto-aof-rewrite-percentage', 100, 0n, INT_MAX),
  memory('auto-aof-rewrite-min-size', 64 * 1024 * 1024, 0n, LONG_MAX),
  boolean('aof-disable-auto-gc', 'no'),
  boolean('aof-timestamp-enabled', 'no'),
  boolean('aof-use-rdb-preamble', 'yes'),
  boolean('aof-load-truncated', 'yes'),
  shutdownFlags('shutdown-on-sigterm'),
  shutdownFlags('shutdown-on-sigint'),
  integer('key-load-delay', 0, INT_MIN, INT_MAX, { hidden: true }),
  integer('rdb-key-save-delay', 0, INT_MIN, INT_MAX, { hidden: true }),
  integer('recover-until', 0, 0n, LONG_MAX, immutable),
  // Replication
  text('bind-source-addr'),
  special('replicaof', '', { alias: 'slaveof', immutable: true, multiple: true }),
  text('masteruser'),
  text('masterauth'),
  boolean('replica-ignore-maxmemory', 'yes', { alias: 'slave-ignore-maxmemory' }),
  boolean('replica-ignore-disk-write-errors', 'no'),
  choice('repl-diskless-load', 'disabled', ['disabled', 'on-empty-db', 'swapdb']),
  boolean('replica-serve-stale-data', 'yes', { alias: 'slave-serve-stale-data' }),
  boolean('replica-read-only', 'yes', { alias: 'slave-read-only' }),
  boolean('replica-lazy-flush', 'no', { alias: 'slave-lazy-flush' }),
  boolean('replica-announced', 'yes'),
  text('replica-announce-ip', '', { alias: 'slave-announce-ip' }),
  integer('replica-announce-port', 0, 0n, PORT_MAX, { alias: 'slave-announce-port' }),
  integer('replica-priority', 100, 0n, INT_MAX, { alias: 'slave-priority' }),
  boolean('repl-diskless-sync', 'yes'),
  integer('repl-diskless-sync-delay', 5, 0n, INT_MAX),
  integer('repl-diskless-sync-max-replicas', 0, 0n, INT_MAX),
  boolean('repl-disable-tcp-nodelay', 'no'),
  memory('repl-backlog-size', 1 << 20, 1n, LONG_MAX),
  integer('repl-backlog-ttl', 3600, 0n, LONG_MAX),
  integer('repl-ping-replica-period', 10, 1n, INT_MAX, { alias: 'repl-ping-slave-period' }),
  integer('repl-timeout', 60, 1n, INT_MAX),
  integer('min-replicas-to-write', 0, 0n, INT_MAX, { alias: 'min-slaves-to-write' }),
  integer('min-replicas-max-lag', 10, 0n, INT_MAX, { alias: 'min-slaves-max-lag' }),
  boolean('replica-full-sync-guard', 'no'),
  integer('shutdown-timeout', 10, 0n, INT_MAX),
  // Observation
  special('notify-keyspace-events', ''),
  integer('slowlog-log-slower-than', 10000, -1n, LONG_MAX, { alias: 'commandlog-execution-slower-than' }),
  integer('busy-reply-threshold', 5000, 0n, LONG_MAX, { alias: 'lua-time-limit' }),
  memory('script-memory-limit', 64 << 20, 16n << 20n, 1n << 30n),
  integer('slowlog-max-len', 128, 0n, LONG_MAX, { alias: 'commandlog-slow-execution-max-len' }),
  integer('commandlog-request-larger-than', 1_048_576, -1n, LONG_MAX),
  integer('commandlog-large-request-max-len', 128, 0n, LONG_MAX),
  integer('commandlog-reply-larger-than', 1_048_576, -1n, LONG_MAX),
  integer('commandlog-large-reply-max-len', 128, 0n, LONG_MAX),
  integer('latency-monitor-threshold', 0, 0n, LONG_MAX),
  boolean('latency-tracking', 'yes'),
  special('latency-tracking-info-percentiles', '50 99 99.9', { multiple: true }),
  // Encodings
  integer('hash-max-listpack-entries', 512, 0n, LONG_MAX, { alias: 'hash-max-ziplist-entries' }),
  memory('hash-max-listpack-value', 64, 0n, LONG_MAX, { alias: 'hash-max-ziplist-value' }),
  integer('list-max-listpack-size', -2, INT_MIN, INT_MAX, { alias: 'list-max-ziplist-size' }),
  integer('list-compress-depth', 0, 0n, INT_MAX),
  integer('set-max-intset-entries', 512, 0n, LONG_MAX),
  integer('set-max-listpack-entries', 128, 0n, LONG_MAX),
  memory('set-max-listpack-value', 64, 0n, LONG_MAX),
  integer('zset-max-listpack-entries', 128, 0n, LONG_MAX, { alias: 'zset-max-ziplist-entries' }),
  memory('zset-max-listpack-value', 64, 0n, LONG_MAX, { alias: 'zset-max-ziplist-value' }),
  memory('hll-sparse-max-bytes', 3000, 0n, LONG_MAX),
];

/** What is accepted for compatibility. */
const accepted: readonly Row[] = [
  // Persistence
  boolean('rdb-del-sync-files', 'no'),
  boolean('rdb-save-incremental-fsync', 'yes'),
  choice('sanitize-dump-payload', 'no', ['no', 'yes', 'clients']),
  boolean('no-appendfsync-on-rewrite', 'no'),
  boolean('aof-rewrite-incremental-fsync', 'yes'),
  // Process
  boolean('syslog-enabled', 'no', { immutable: true }),
  text('syslog-ident', 'redis', immutable),
  choice(
    'syslog-facility',
    'local0',
    ['user', 'local0', 'local1', 'local2', 'local3', 'local4', 'local5', 'local6', 'local7'],
    immutable,
  ),
  boolean('crash-memcheck-enabled', 'yes'),
  boolean('use-exit-on-panic', 'no', { hidden: true }),
  boolean('disable-thp', 'yes', immutable),
  text('server_cpulist', '', immutable),
  text('bio_cpulist', '', immutable),
  text('aof_rewrite_cpulist', '', immutable),
  text('bgsave_cpulist', '', immutable),
  text('ignore-warnings'),
  integer('io-threads', 1, 1n, 256n, { immutable: true }),
  boolean('io-threads-do-reads', 'no', { immutable: true }),
  boolean('jemalloc-bg-thread', 'yes'),
  integer('watchdog-period', 0, 0n, INT_MAX, { hidden: true }),
  boolean('lua-enable-deprecated-api', 'no', { immutable: true, hidden: true }),
  integer('socket-mark-id', 0, 0n, UINT_MAX, immutable),
  special('loadmodule', '', { fileOnly: true, multiple: true }),
  // Keys and memory
  boolean('activerehashing', 'yes'),
  boolean('activedefrag', 'no'),
  integer('active-defrag-cycle-min', 1, 1n, 99n),
  integer('active-defrag-cycle-max', 25, 1n, 99n),
  integer('active-defrag-threshold-lower', 10, 0n, 1000n),
  integer('active-defrag-threshold-upper', 100, 0n, 1000n),
  memory('active-defrag-ignore-bytes', 100 << 20, 1n, LONG_MAX),
  integer('active-defrag-max-scan-fields', 1000, 1n, LONG_MAX),
  // Replication
  choice('propagation-error-behavior', 'ignore', ['ignore', 'panic', 'panic-on-replicas']),
  integer('loading-process-events-interval-bytes', 2 << 20, 1024n, INT_MAX, { hidden: true }),
  // Cluster
  boolean('cluster-enabled', 'no', { immutable: true }),
  text('cluster-config-file', 'nodes.conf', immutable),
  integer('cluster-port', 0, 0n, PORT_MAX, immutable),
  integer('cluster-node-timeout', 15000, 0n, LONG_MAX),
  integer('cluster-migration-barrier', 1, 0n, INT_MAX),
  integer('cluster-replica-validity-factor', 10, 0n, INT_MAX, { alias: 'cluster-slave-validity-factor' }),
  boolean('cluster-replica-no-failover', 'no', { alias: 'cluster-slave-no-failover' }),
  boolean('cluster-require-full-coverage', 'yes'),
  boolean('cluster-allow-reads-when-down', 'no'),
  boolean('cluster-allow-pubsubshard-when-down', 'yes'),
  boolean('cluster-allow-replica-migration', 'yes'),
  text('cluster-announce-ip'),
  text('cluster-announce-hostname'),
  integer('cluster-announce-port', 0, 0n, PORT_MAX),
  integer('cluster-announce-tls-port', 0, 0n, PORT_MAX),
  integer('cluster-announce-bus-port', 0, 0n, PORT_MAX),
  choice('cluster-preferred-endpoint-type', 'ip', ['ip', 'hostname', 'unknown-endpoint']),
  memory('cluster-link-sendbuf-limit', 0, 0n, ULONG_MAX),
  // Names that Redis itself ignores since 7.0
  special('list-max-ziplist-entries', '', { fileOnly: true }),
  special('list-max-ziplist-value', '', { fileOnly: true }),
  special('lua-replicate-commands', '', { fileOnly: true }),
];

/** All directives; the index of a row is the index of its value in a Config. */
export const directives: readonly Directive[] = [
  ...applied.map((row) => ({ ...row, applies: true })),
  ...accepted.map((row) => ({ ...row, applies: false })),
];

const indexes = new Map<string, number>();
directives.forEach((directive, index) => {
  indexes.set(directive.name, index);
  if (directive.alias !== undefined) indexes.set(directive.alias, index);
});

/** The row of a directive by name or alias, in any case; -1 if there is none. */
export function directiveIndex(name: string): number {
  return indexes.get(name.toLowerCase()) ?? -1;
}

/** All names and aliases. */
export function directiveNames(): Iterable<string> {
  return indexes.keys();
}
