/**
 * What configuration files of other versions say: Redis 2.8 to 8.12 and Valkey 7.2 to 9.2. Damselfly has the directives
 * of Redis 7.0 (directives.ts). A directive of another version is a second name of one of these, or it is accepted in
 * files and on the command line, whatever its value, and has no effect. CONFIG GET and SET do not know it, as in 7.0.
 */

/** Names that other versions have for directives of Redis 7.0. */
const SECOND_NAMES: Readonly<Record<string, string>> = {
  // Valkey
  'lua-enable-insecure-api': 'lua-enable-deprecated-api',
  primaryauth: 'masterauth',
  primaryuser: 'masteruser',
  // Redis 7.2 and Valkey
  'aof-rewrite-cpulist': 'aof_rewrite_cpulist',
  'bgsave-cpulist': 'bgsave_cpulist',
  'bio-cpulist': 'bio_cpulist',
  'server-cpulist': 'server_cpulist',
};

/**
 * Directives that Redis 7.0 does not have, with the value that asks for nothing and so needs no warning: the default,
 * if that is "off". null: every value asks for something that does not exist here.
 */
const WITHOUT_EFFECT: Readonly<Record<string, string | null>> = {
  // Redis 6.0
  'gopher-enabled': 'no',
  // Redis 7.2 and 7.4
  'client-default-resp': '2',
  'cluster-announce-human-nodename': '',
  'enable-debug-assert': 'no',
  'hide-user-data-from-log': 'no',
  'locale-collate': '',
  'max-new-connections-per-cycle': '10',
  'max-new-tls-connections-per-cycle': '1',
  'req-res-logfile': '',
  // Redis 8.0 to 8.6
  'aof-load-corrupt-tail-max-size': '0',
  'cluster-compatibility-sample-ratio': '0',
  'cluster-slot-migration-handoff-max-lag-bytes': '1mb',
  'cluster-slot-migration-sync-buffer-drain-timeout': '60000',
  'cluster-slot-migration-write-pause-timeout': '10000',
  'cluster-slot-stats-enabled': 'no',
  'key-memory-histograms': 'no',
  lookahead: '16',
  'replica-full-sync-buffer-limit': '0',
  'vset-force-single-threaded-execution': 'no',
  // Redis 8.8 to 8.12
  'array-slice-size': '4096',
  'array-sparse-kmax': '10',
  'array-sparse-kmin': '5',
  'backup-sealed-ttl': '0',
  backupdirname: 'backupdir',
  'bitmap-default-roaring': 'no',
  'hash-max-template-entries': '0',
  'hash-min-template-entries': '0',
  'hash-rdb-load-max-template-entries': '0',
  'hash-rdb-load-min-template-entries': '0',
  'hash-rdb-load-template-disassembly-threshold': '0',
  'preload-file': '',
  'repl-compression': '0',
  'repl-compression-io-thread': 'no',
  'repl-compression-max-latency': '100',
  'slowlog-entry-max-argc': '32',
  'slowlog-entry-max-string-len': '128',
  'tls-expected-peer-name': '',
  'tls-groups': '',
  // Valkey 8.0 and 8.1
  'active-defrag-cycle-us': '500',
  'availability-zone': '',
  'cluster-announce-client-ipv4': '',
  'cluster-announce-client-ipv6': '',
  'cluster-blacklist-ttl': '60',
  'cluster-manual-failover-timeout': '5000',
  'cluster-ping-interval': '1000',
  'debug-context': '',
  'dual-channel-replication-enabled': 'no',
  'events-per-io-thread': '2',
  'extended-redis-compatibility': 'no',
  'import-mode': 'no',
  'io-threads-always-active': 'no',
  'log-format': 'legacy',
  'log-timestamp-format': 'legacy',
  'prefetch-batch-max-size': '16',
  'rdb-version-check': 'strict',
  'rdma-bind': '',
  'rdma-completion-vector': '-1',
  'rdma-port': '0',
  'rdma-rx-size': '1mb',
  unixsocketgroup: '',
  // Valkey 9.0 and 9.1
  'cluster-announce-client-port': '0',
  'cluster-announce-client-tls-port': '0',
  'cluster-config-save-behavior': 'sync',
  'cluster-databases': '1',
  'cluster-message-gossip-perc': '10',
  'cluster-slot-migration-log-max-len': '1000',
  'hash-seed': '',
  'min-io-threads-avoid-copy-reply': '7',
  'min-string-size-avoid-copy-reply': '16384',
  'min-string-size-avoid-copy-reply-threaded': '65536',
  mptcp: 'no',
  'repl-mptcp': 'no',
  'slot-migration-max-failover-repl-bytes': '0',
  'tls-auto-reload-interval': '0',
  // Valkey 9.2
  'bgsave-default-method': 'fork',
  'forkless-infrastructure-enabled': 'no',
  'hotkey-sampling-percentage': null,
  'hotkey-top-k': '0',
  'hotkey-window-seconds': null,
  'maxclients-reserved': '0',
  'maxmemory-scripts': '0',
  'priority-preemptive-poll-interval-us': '0',
  'priority-subnets': '',
  'repl-throttling-enabled': 'no',
  'tls-alt-cert-file': '',
  'tls-alt-key-file': '',
  'tls-alt-key-file-pass': '',
};

/** Options of modules: those that Redis 8 brings have a prefix, others the name of the module. */
const MODULE_OPTION = /^(bf|cf|search|ts)-|^[\w-]+\./;

/**
 * Words that newer versions know as values of directives, and the word of Redis 7.0 that comes nearest; '' leaves the
 * word out.
 */
const NEWER_WORDS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  rdbcompression: { lzf: 'yes', lz4: 'yes' },
  'repl-diskless-load': { 'flush-before-load': 'disabled', flushdb: 'disabled' },
  'shutdown-on-sigint': { failover: '', safe: '' },
  'shutdown-on-sigterm': { failover: '', safe: '' },
};

/** Letters of notify-keyspace-events that ask for events of single fields (Redis 8.8). */
const NEWER_EVENT_CLASSES = /[STIV]/g;

/** The name that Redis 7.0 has for a directive (any case): often the same. */
export function nameInRedis7(name: string): string {
  const lowerCase = name.toLowerCase();
  return Object.hasOwn(SECOND_NAMES, lowerCase) ? SECOND_NAMES[lowerCase] : lowerCase;
}

export const enum OtherDirective {
  /** No version has it. */
  Unknown,
  /** It asks for what is the case anyway. */
  Harmless,
  /** It asks for something that Damselfly does not do. */
  WithoutEffect,
}

/** What is known of a directive that Redis 7.0 does not have. */
export function otherDirective(name: string, args: readonly string[]): OtherDirective {
  const lowerCase = name.toLowerCase();
  const harmlessValue = Object.hasOwn(WITHOUT_EFFECT, lowerCase) ? WITHOUT_EFFECT[lowerCase] : undefined;
  if (harmlessValue === undefined) {
    return MODULE_OPTION.test(lowerCase) ? OtherDirective.WithoutEffect : OtherDirective.Unknown;
  }
  return args.join(' ').toLowerCase() === harmlessValue
    ? OtherDirective.Harmless
    : OtherDirective.WithoutEffect;
}

/** The names of all directives that Redis 7.0 does not have, second names as well. */
export function otherDirectiveNames(): readonly string[] {
  return [...Object.keys(SECOND_NAMES), ...Object.keys(WITHOUT_EFFECT)];
}

/** The arguments of a Redis 7.0 directive; words that only newer versions know are replaced by the nearest ones. */
export function argsInRedis7(name: string, args: readonly string[]): readonly string[] {
  if (name === 'notify-keyspace-events') return args.map((arg) => arg.replace(NEWER_EVENT_CLASSES, ''));
  const words = NEWER_WORDS[name];
  if (words === undefined) return args;
  const kept = args
    .flatMap((arg) => (name.startsWith('shutdown-on-') ? arg.split(' ') : [arg]))
    .map((arg) => words[arg.toLowerCase()] ?? arg)
    .filter((arg) => arg !== '');
  return kept.length === 0 && args.length > 0 ? ['default'] : kept;
}
