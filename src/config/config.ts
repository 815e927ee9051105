/**
 * The configuration in force. It holds one canonical text per directive, which is what CONFIG GET
 * prints, and beside them the settings that the server reads, as typed fields that follow each change.
 *
 * Each thread has a Config of its own, made from the JSON of another: `new Config(JSON.parse(json))`
 * at its start, `adopt` on a change. Texts are byte strings (latin1): see quoting.ts.
 */

import { closeSync, openSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { GlobPattern } from '../structures/glob.js';
import { systemReason } from '../system/files.js';
import type { LogLevel } from '../system/log.js';
import {
  ConfigError,
  type DirectiveLine,
  expandPath,
  isPathPattern,
  lineError,
  parseConfigText,
} from './config-file.js';
import { rewriteConfigFile } from './config-rewrite.js';
import { type Directive, directiveIndex, directiveNames, directives } from './directives.js';
import { EvictionPolicy, type KeyspaceSettings } from './keyspace-settings.js';
import { nearestName } from './nearest-name.js';
import {
  argsInRedis7,
  nameInRedis7,
  OtherDirective,
  otherDirective,
  otherDirectiveNames,
} from './other-versions.js';
import { fromByteString, quoteArgument, toByteString } from './quoting.js';
import { checkSettable, InvalidValue, parseMemory, parseValue, splitValue } from './values.js';

const INCLUDE_DEPTH_MAX = 16;

/** Directives that may be empty: no save points, no percentiles, no limit that changes, no addresses. */
const MAY_BE_EMPTY = new Set([
  'save',
  'latency-tracking-info-percentiles',
  'client-output-buffer-limit',
  'bind',
]);

const POLICIES: Readonly<Record<string, EvictionPolicy>> = {
  noeviction: EvictionPolicy.NoEviction,
  'allkeys-lru': EvictionPolicy.AllKeysLru,
  'allkeys-lfu': EvictionPolicy.AllKeysLfu,
  'allkeys-random': EvictionPolicy.AllKeysRandom,
  'allkeys-lrm': EvictionPolicy.AllKeysLrm,
  'volatile-lru': EvictionPolicy.VolatileLru,
  'volatile-lfu': EvictionPolicy.VolatileLfu,
  'volatile-random': EvictionPolicy.VolatileRandom,
  'volatile-ttl': EvictionPolicy.VolatileTtl,
  'volatile-lrm': EvictionPolicy.VolatileLrm,
};

/** `tls-auth-clients`: whether clients have to show a certificate. */
export type ClientAuthentication = 'no' | 'yes' | 'optional';

export type Permission = 'no' | 'yes' | 'local';

/** Bounds of the replies that wait for a client; 0: none. */
export interface OutputBufferLimit {
  readonly hardBytes: number;
  readonly softBytes: number;
  readonly softSeconds: number;
}

/** `save`: a snapshot is due after this many seconds with at least this many changes. */
export interface SavePoint {
  readonly seconds: number;
  readonly changes: number;
}

/** A Config as plain data. */
export interface ConfigSnapshot {
  /** In the order of `directives`. */
  readonly values: readonly string[];
  readonly configFile: string | null;
  readonly renamedCommands: readonly (readonly [string, string])[];
}

/** The milliseconds that a tenacity from 0 to 100 stands for, as in Redis: 10 is 0.5 ms, 100 is no limit. */
function evictionMsMax(tenacity: number): number {
  if (tenacity <= 10) return 0.05 * tenacity;
  return tenacity === 100 ? Number.POSITIVE_INFINITY : 0.5 * 1.15 ** (tenacity - 10);
}

/** A change that CONFIG SET makes but that the server can't carry out: which directive, and why. */
export interface ChangeFailure {
  readonly name: string;
  readonly reason: string;
}

export class Config {
  // Network
  /** Addresses for listenOptions; a leading "-": may be unavailable; "*": all of IPv4; "::": all of IPv6. */
  bind: string[] = [];
  port = 0;
  /** 0: no TLS. */
  tlsPort = 0;
  tlsAuthClients: ClientAuthentication = 'yes';
  /** A client with a certificate becomes the user that the certificate's common name names, if it exists. */
  usesCertificateNames = false;
  unixSocket = '';
  unixSocketMode = 0;
  tcpBacklog = 0;
  tcpKeepAliveSeconds = 0;
  timeoutSeconds = 0;
  maxClients = 0;
  protectedMode = true;
  protoMaxBulkLengthBytes = 0;
  clientQueryBufferLimitBytes = 0;
  normalOutputLimit: OutputBufferLimit = { hardBytes: 0, softBytes: 0, softSeconds: 0 };
  replicaOutputLimit: OutputBufferLimit = { hardBytes: 0, softBytes: 0, softSeconds: 0 };
  pubSubOutputLimit: OutputBufferLimit = { hardBytes: 0, softBytes: 0, softSeconds: 0 };
  replicationBacklogBytes = 0;
  // Replication
  /** The primary that this server is a replica of; null: it is none. */
  replicaOf: { readonly host: string; readonly port: number } | null = null;
  primaryUser = '';
  primaryPassword = '';
  replicaServesStaleData = true;
  /** A replica evicts nothing by itself, however much memory it uses. */
  replicaIgnoresMaxMemory = true;
  /** A replica goes on if what its primary sends can't be written to its disk. */
  replicaIgnoresDiskErrors = false;
  replicaReadOnly = true;
  keySaveDelayMicroseconds = 0;
  isReplicaAnnounced = true;
  replicaAnnounceIp = '';
  replicaAnnouncePort = 0;
  replicaPriority = 100;
  /** Refuses a full sync that would replace more data than it brings. */
  guardsFullSync = false;
  isDiskless = true;
  disklessDelaySeconds = 0;
  disklessReplicasMax = 0;
  delaysSmallPackets = false;
  backlogTtlSeconds = 0;
  pingPeriodSeconds = 10;
  replicationTimeoutSeconds = 60;
  minReplicasToWrite = 0;
  minReplicasMaxLagSeconds = 10;
  shutdownTimeoutSeconds = 10;
  // Threads
  /** Workers, at least 1. */
  threads = 1;
  /** Workers that have connections; 0: as many as the load needs. */
  activeWorkers = 0;
  transport: 'auto' | 'io_uring' | 'epoll' | 'node' = 'auto';
  // General
  databases = 0;
  logLevel: LogLevel = 'notice';
  logFile = '';
  pidFile = '';
  daemonize = false;
  /** no, systemd, upstart or auto */
  supervised = 'no';
  alwaysShowLogo = false;
  setsTitle = true;
  /** yes: the scores are added to the one that the process starts with */
  oomScoreAdj: 'no' | 'yes' | 'absolute' = 'no';
  /** Of a primary, of a replica, of a child that saves (there is none here). */
  oomScoreAdjValues: readonly number[] = [0, 200, 800];
  titleTemplate = '';
  crashLogEnabled = true;
  /** Absolute path of the working directory. */
  dir = '';
  hz = 0;
  dynamicHz = true;
  // Security; byte strings
  requirePass = '';
  /** The `user` lines of the configuration, without that word. Only the main thread has them. */
  readonly userLines: (readonly string[])[] = [];
  /** Path of the file that has the users, '' if there is none. */
  accessFile = '';
  accessLogMaxLength = 0;
  /** `acl-pubsub-default`: whether a new user may use all channels. */
  allowsChannelsByDefault = false;
  /** How long a client may take to authenticate; 0: forever. */
  authTimeoutSeconds = 0;
  enableProtectedConfigs: Permission = 'no';
  enableDebugCommand: Permission = 'no';
  enableModuleCommand: Permission = 'no';
  // Memory
  /** 0: no limit. */
  maxMemoryBytes = 0;
  maxMemoryPolicy: EvictionPolicy = EvictionPolicy.NoEviction;
  maxMemorySamples = 0;
  maxMemoryEvictionTenacity = 0;
  /** Memory of all clients together; 0: no limit. */
  maxMemoryClientsBytes = 0;
  lfuLogFactor = 0;
  lfuDecayTimeMinutes = 0;
  activeExpireEffort = 1;
  lazyFreeEviction = false;
  lazyFreeExpire = false;
  lazyFreeServerDel = false;
  lazyFreeUserDel = false;
  lazyFreeUserFlush = false;
  // Observation
  /** Negative: nothing is logged. */
  slowLogSlowerThanMicroseconds = 0;
  /** 0: scripts may run for any time. */
  busyReplyThresholdMs = 0;
  /** Maximum memory of scripts in each worker. */
  scriptMemoryBytesMax = 0;
  slowLogMaxLength = 0;
  /** Requests and replies of at least so many bytes are logged; -1: none. */
  largeRequestBytes = 0;
  largeRequestLogMaxLength = 0;
  largeReplyBytes = 0;
  largeReplyLogMaxLength = 0;
  /** 0: the latency monitor is off. */
  latencyMonitorThresholdMs = 0;
  latencyTracking = true;
  latencyPercentiles: number[] = [];
  /** Path of the snapshot: `dbfilename` in `dir`. */
  snapshotFile = '';
  rdbCompression = true;
  rdbChecksum = true;
  stopWritesOnSaveError = true;
  appendOnly = false;
  /** Path of the folder of the append-only file: `appenddirname` in `dir`. */
  aofFolder = '';
  /** `appendfilename`, which the names of its files begin with. */
  aofFileName = '';
  appendFsync: 'always' | 'everysec' | 'no' = 'everysec';
  /** Growth since the last rewrite at which the next one begins by itself; 0: never. */
  autoAofRewritePercentage = 0;
  autoAofRewriteMinBytes = 0;
  aofDisableAutoGc = false;
  aofTimestampEnabled = false;
  aofUseRdbPreamble = true;
  aofLoadTruncated = true;
  /** The log is loaded up to this time, in seconds; 0: all of it. */
  recoverUntilSeconds = 0;
  savePoints: readonly SavePoint[] = [];
  /** The words of `shutdown-on-sigterm` and `shutdown-on-sigint`. */
  shutdownOnSigterm: readonly string[] = [];
  shutdownOnSigint: readonly string[] = [];
  // Encodings
  hashMaxListpackEntries = 0;
  hashMaxListpackValueBytes = 0;
  listMaxListpackSize = 0;
  listCompressDepth = 0;
  setMaxIntsetEntries = 0;
  zsetMaxListpackEntries = 0;
  zsetMaxListpackValueBytes = 0;
  hllSparseMaxBytes = 0;

  /** Grows with each change. */
  version = 0;
  /** Absolute path of the file that CONFIG REWRITE writes, null if the server was started without one. */
  configFile: string | null = null;
  /** Command names and what they are called instead, '' for not at all. */
  renamedCommands: (readonly [string, string])[] = [];
  /** Directives that were given but have no effect, by name. */
  readonly ignoredDirectives = new Set<string>();
  /** Values of newer versions and what holds instead: `maxmemory-policy allkeys-lrm (taken as allkeys-lru)`. */
  readonly replacedValues = new Set<string>();

  private values: string[];
  private readonly changedAt: number[];
  /** Whether save points were given: the first ones replace the default, later ones add to them. */
  private hasSavePoints = false;

  /** Takes the configuration of a snapshot, or the defaults. */
  constructor(snapshot?: ConfigSnapshot) {
    this.values = directives.map((directive) => directive.defaultValue);
    this.changedAt = new Array<number>(directives.length).fill(0);
    if (snapshot === undefined) this.values[directiveIndex('dir')] = toByteString(process.cwd());
    else this.adopt(snapshot);
    this.refresh();
  }

  /** Reads a file and remembers it for {@link rewrite}. Throws ConfigError. */
  loadFile(file: string): void {
    let text: string;
    try {
      text = readFileSync(file, 'latin1');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EISDIR') {
        throw new ConfigError(
          `'${file}' is a directory: the argument is a configuration file, such as redis.conf`,
        );
      }
      throw new ConfigError(`can't open the configuration file '${file}': ${systemReason(error)}`);
    }
    this.configFile = path.resolve(file);
    this.loadText(text, file);
  }

  /** Reads a configuration text (a byte string); `origin` is what errors call it. Throws ConfigError. */
  loadText(text: string, origin: string): void {
    for (const line of parseConfigText(text, origin)) this.apply(line, 0);
    this.refresh();
  }

  /** Applies one directive, name first, of the command line. Throws ConfigError. */
  loadArguments(args: readonly string[], written: string): void {
    this.apply({ place: 'command line', text: written, args }, 0);
    this.refresh();
  }

  /** Checks what can only be checked once everything is read. Throws ConfigError. */
  checkLoaded(): void {
    if (this.logFile === '') return;
    try {
      closeSync(openSync(path.resolve(this.dir, this.logFile), 'a'));
    } catch (error) {
      throw new ConfigError(`can't open the log file '${this.logFile}': ${systemReason(error)}`);
    }
  }

  private apply(line: DirectiveLine, depth: number): void {
    const [given, ...args] = line.args;
    const index = directiveIndex(nameInRedis7(given));
    if (index < 0) {
      this.applyOther(line, given, args);
      return;
    }
    const directive = directives[index];
    if (!directive.fileOnly) this.load(line, index, directive, args);
    else if (directive.name === 'include') this.include(line, args, depth);
    else if (directive.name === 'rename-command') this.renameCommand(line, args);
    else if (directive.name === 'user') this.addUser(line, args);
    if (!directive.applies && (directive.fileOnly || this.values[index] !== directive.defaultValue)) {
      this.ignoredDirectives.add(directive.name);
    }
  }

  /** A directive that Redis 7.0 does not have. */
  private applyOther(line: DirectiveLine, name: string, args: readonly string[]): void {
    switch (otherDirective(name, args)) {
      case OtherDirective.Harmless:
        return;
      case OtherDirective.WithoutEffect:
        this.ignoredDirectives.add(name.toLowerCase());
        return;
      case OtherDirective.Unknown: {
        if (name.toLowerCase() === 'sentinel') {
          throw lineError(line, 'sentinel directive while not in sentinel mode');
        }
        const nearest = nearestName(name.toLowerCase(), [...directiveNames(), ...otherDirectiveNames()]);
        const hint = nearest === null ? '' : ` (did you mean '${nearest}'?)`;
        throw lineError(line, `unknown directive${hint}`);
      }
    }
  }

  private load(line: DirectiveLine, index: number, directive: Directive, args: readonly string[]): void {
    if (args.length === 0 && !MAY_BE_EMPTY.has(directive.name)) {
      throw lineError(line, 'wrong number of arguments');
    }
    const known = argsInRedis7(directive.name, args);
    if (known.join(' ') !== args.join(' ')) {
      this.replacedValues.add(`${directive.name} ${args.join(' ')} (taken as ${known.join(' ') || '""'})`);
    }
    const split = known.length === 1 && known[0] !== '' ? splitValue(directive, known[0]) : known;
    try {
      let value = parseValue(directive, split, this.values[index]);
      if (directive.name === 'save') {
        if (this.hasSavePoints && value !== '' && this.values[index] !== '') {
          value = `${this.values[index]} ${value}`;
        }
        this.hasSavePoints = true;
      }
      this.values[index] = value;
    } catch (error) {
      if (error instanceof InvalidValue) throw lineError(line, error.message);
      throw error;
    }
  }

  private include(line: DirectiveLine, args: readonly string[], depth: number): void {
    if (args.length !== 1) throw lineError(line, 'wrong number of arguments');
    if (depth >= INCLUDE_DEPTH_MAX) throw lineError(line, 'too many files include each other');
    const directory = fromByteString(this.values[directiveIndex('dir')]);
    const target = fromByteString(args[0]);
    const files = isPathPattern(target) ? expandPath(path.resolve(directory, target)) : [target];
    for (const file of files) {
      let text: string;
      try {
        text = readFileSync(path.resolve(directory, file), 'latin1');
      } catch (error) {
        throw lineError(line, `can't open '${file}': ${systemReason(error)}`);
      }
      for (const included of parseConfigText(text, file)) this.apply(included, depth + 1);
    }
  }

  private addUser(line: DirectiveLine, args: readonly string[]): void {
    if (args.length === 0) throw lineError({ ...line, text: 'user' }, 'wrong number of arguments');
    this.userLines.push(args);
  }

  private renameCommand(line: DirectiveLine, args: readonly string[]): void {
    if (args.length !== 2) throw lineError(line, 'wrong number of arguments');
    this.renamedCommands.push([args[0], args[1]]);
  }

  /**
   * CONFIG GET: names and values that match a glob pattern. A pattern without wildcards is a name, and is
   * answered as it was written.
   */
  get(pattern: string): [name: string, value: string][] {
    if (!/[*?[]/.test(pattern)) {
      const index = directiveIndex(pattern);
      return index < 0 || directives[index].fileOnly ? [] : [[pattern, this.values[index]]];
    }
    const glob = new GlobPattern(Buffer.from(pattern, 'latin1'), true);
    const found: [string, string][] = [];
    directives.forEach((directive, index) => {
      if (directive.hidden || directive.fileOnly) return;
      for (const name of [directive.name, directive.alias]) {
        if (name !== undefined && glob.matches(Buffer.from(name, 'latin1'), 0, name.length)) {
          found.push([name, this.values[index]]);
        }
      }
    });
    return found;
  }

  /** CONFIG GET with several patterns: no name twice. */
  getAll(patterns: readonly string[]): [name: string, value: string][] {
    const found = new Map<string, [string, string]>();
    for (const pattern of patterns) {
      for (const pair of this.get(pattern)) {
        const name = pair[0].toLowerCase();
        if (!found.has(name)) found.set(name, pair);
      }
    }
    return [...found.values()];
  }

  /** The value of a directive as CONFIG GET prints it. Throws a RangeError if there is no such directive. */
  value(name: string): string {
    const index = directiveIndex(name);
    if (index < 0) throw new RangeError(`no directive ${name}`);
    return this.values[index];
  }

  /**
   * CONFIG SET: all pairs or none.
   * @param protectedAllowed whether the client may change protected directives
   * @param carryOut makes the server follow, once all values are known to be good; if it fails, all
   *   values are as before
   * @returns the error reply (without "-"), null on success
   */
  set(
    pairs: readonly (readonly [name: string, value: string])[],
    protectedAllowed = false,
    carryOut?: (changed: readonly string[]) => ChangeFailure | null,
  ): string | null {
    const indexes: number[] = [];
    const names = new Set<string>();
    for (const [name] of pairs) {
      const index = directiveIndex(name);
      if (index < 0 || directives[index].fileOnly) {
        return `ERR Unknown option or number of arguments for CONFIG SET - '${name}'`;
      }
      const directive = directives[index];
      if (directive.immutable) return setFailure(name, "can't set immutable config");
      if (directive.protected && !protectedAllowed) return setFailure(name, "can't set protected config");
      if (names.has(name.toLowerCase())) return setFailure(name, 'duplicate parameter');
      names.add(name.toLowerCase());
      indexes.push(index);
    }
    const before = this.values;
    const values = [...before];
    const changed: string[] = [];
    for (let at = 0; at < pairs.length; at++) {
      const index = indexes[at];
      const directive = directives[index];
      const [name, value] = pairs[at];
      try {
        values[index] = parseValue(directive, splitValue(directive, value), values[index]);
        checkSettable(directive, values[index]);
        if (directive.name === 'active-workers') this.checkActiveWorkers(Number(values[index]));
      } catch (error) {
        if (error instanceof InvalidValue) return setFailure(name, error.message);
        throw error;
      }
      if (values[index] !== before[index] || directive.reference) changed.push(directive.name);
    }
    if (changed.length === 0) return null;
    this.replace(values);
    const failure = carryOut?.(changed) ?? null;
    if (failure === null) return null;
    this.replace(before);
    return setFailure(failure.name, failure.reason);
  }

  /** Follows REPLICAOF: CONFIG GET and REWRITE show the primary. */
  setReplicaOf(host: string, port: number): void {
    const values = [...this.values];
    values[directiveIndex('replicaof')] = host === '' ? '' : `${toByteString(host)} ${port}`;
    this.replace(values);
  }

  private checkActiveWorkers(count: number): void {
    if (count > this.threads)
      throw new InvalidValue(`there are not so many worker threads (${this.threads})`);
  }

  /** Names and values that changed since {@link version} was `version`. */
  changesSince(version: number): [name: string, value: string][] {
    const changes: [string, string][] = [];
    directives.forEach((directive, index) => {
      if (this.changedAt[index] > version) changes.push([directive.name, this.values[index]]);
    });
    return changes;
  }

  /**
   * CONFIG REWRITE: brings the file up to date, with its comments and its order.
   * @param userLines the `user` lines that it has afterwards, byte strings
   * @returns the error reply (without "-"), null on success
   */
  rewrite(writesAll = false, userLines: readonly string[] = []): string | null {
    if (this.configFile === null) return 'ERR The server is running without a config file';
    try {
      const read = (directive: Directive): string => this.values[directives.indexOf(directive)];
      rewriteConfigFile(this.configFile, read, writesAll, userLines);
      return null;
    } catch (error) {
      return `ERR Rewriting config file: ${systemReason(error)}`;
    }
  }

  /** Whether to tell systemd the server's state; with `auto`, only if NOTIFY_SOCKET says where. */
  get isUnderSystemd(): boolean {
    const { supervised } = this;
    return supervised === 'systemd' || (supervised === 'auto' && process.env.NOTIFY_SOCKET !== undefined);
  }

  /** `min-replicas-to-write`: writes need replicas that keep up. */
  get needsReplicas(): boolean {
    return this.minReplicasToWrite > 0 && this.minReplicasMaxLagSeconds > 0;
  }

  toJSON(): ConfigSnapshot {
    return { values: this.values, configFile: this.configFile, renamedCommands: this.renamedCommands };
  }

  /** Takes over the configuration of another thread; returns the names of the directives that differ. */
  adopt(snapshot: ConfigSnapshot): string[] {
    this.configFile = snapshot.configFile;
    this.renamedCommands = [...snapshot.renamedCommands];
    const changed = directives.filter((_row, index) => snapshot.values[index] !== this.values[index]);
    if (changed.length > 0) this.replace([...snapshot.values]);
    return changed.map((directive) => directive.name);
  }

  /** The same configuration in an object of its own. */
  static fromJSON(snapshot: ConfigSnapshot): Config {
    return new Config(snapshot);
  }

  /** Writes what the keyspace reads into its settings. */
  copyTo(settings: KeyspaceSettings): void {
    settings.maxMemoryBytes = this.maxMemoryBytes;
    settings.policy = this.maxMemoryPolicy;
    settings.samples = this.maxMemorySamples;
    settings.evictionMsMax = evictionMsMax(this.maxMemoryEvictionTenacity);
    settings.lfu = { logFactor: this.lfuLogFactor, decayTimeMinutes: this.lfuDecayTimeMinutes };
    settings.usesLfu =
      this.maxMemoryPolicy === EvictionPolicy.AllKeysLfu ||
      this.maxMemoryPolicy === EvictionPolicy.VolatileLfu;
    settings.datesChanges =
      this.maxMemoryPolicy === EvictionPolicy.AllKeysLrm ||
      this.maxMemoryPolicy === EvictionPolicy.VolatileLrm;
    settings.lazyUserDelete = this.value('lazyfree-lazy-user-del') === 'yes';
    settings.lazyServerDelete = this.value('lazyfree-lazy-server-del') === 'yes';
    settings.trackedKeysMax = this.limit('tracking-table-max-keys');
    const { values } = settings;
    values.hashPackedEntries = this.limit('hash-max-listpack-entries');
    values.hashPackedValueBytes = this.limit('hash-max-listpack-value');
    values.listPackedSize = this.limit('list-max-listpack-size');
    values.listCompressDepth = this.limit('list-compress-depth');
    values.setIntegerEntries = this.limit('set-max-intset-entries');
    values.setPackedEntries = this.limit('set-max-listpack-entries');
    values.setPackedValueBytes = this.limit('set-max-listpack-value');
    values.sortedSetPackedEntries = this.limit('zset-max-listpack-entries');
    values.sortedSetPackedValueBytes = this.limit('zset-max-listpack-value');
    values.streamNodeBytes = this.limit('stream-node-max-bytes');
    values.streamNodeEntries = this.limit('stream-node-max-entries');
    values.streamProducerSeconds = this.limit('stream-idmp-duration');
    values.streamProducerIds = this.limit('stream-idmp-maxsize');
  }

  /** A directive that is a number, as an int32. */
  private limit(name: string): number {
    return Math.min(Number(this.value(name)), 0x7fffffff) | 0;
  }

  private replace(values: string[]): void {
    const before = this.values;
    this.values = values;
    this.version++;
    values.forEach((value, index) => {
      if (value !== before[index]) this.changedAt[index] = this.version;
    });
    this.refresh();
  }

  /** Brings the typed fields up to date. */
  private refresh(): void {
    const text = (name: string): string => this.value(name);
    const number = (name: string): number => Number(this.value(name));
    const flag = (name: string): boolean => this.value(name) === 'yes';
    const list = (name: string): string[] => this.value(name).split(' ').filter(Boolean);
    this.bind = list('bind').map((address) => address.replace('::*', '::'));
    this.port = number('port');
    this.tlsPort = number('tls-port');
    this.tlsAuthClients = text('tls-auth-clients') as ClientAuthentication;
    this.usesCertificateNames = text('tls-auth-clients-user') !== 'off';
    this.unixSocket = fromByteString(text('unixsocket'));
    this.unixSocketMode = Number.parseInt(text('unixsocketperm'), 8);
    this.tcpBacklog = number('tcp-backlog');
    this.tcpKeepAliveSeconds = number('tcp-keepalive');
    this.timeoutSeconds = number('timeout');
    this.maxClients = number('maxclients');
    this.protectedMode = flag('protected-mode');
    this.protoMaxBulkLengthBytes = number('proto-max-bulk-len');
    this.clientQueryBufferLimitBytes = number('client-query-buffer-limit');
    const limits = list('client-output-buffer-limit');
    this.normalOutputLimit = outputLimit(limits, 1);
    this.replicaOutputLimit = outputLimit(limits, 5);
    this.pubSubOutputLimit = outputLimit(limits, 9);
    this.replicationBacklogBytes = number('repl-backlog-size');
    const [host, port] = list('replicaof');
    this.replicaOf = host === undefined ? null : { host: fromByteString(host), port: Number(port) };
    this.primaryUser = fromByteString(text('masteruser'));
    this.primaryPassword = text('masterauth');
    this.replicaServesStaleData = flag('replica-serve-stale-data');
    this.replicaIgnoresMaxMemory = flag('replica-ignore-maxmemory');
    this.replicaIgnoresDiskErrors = flag('replica-ignore-disk-write-errors');
    this.replicaReadOnly = flag('replica-read-only');
    this.keySaveDelayMicroseconds = number('rdb-key-save-delay');
    this.isReplicaAnnounced = flag('replica-announced');
    this.replicaAnnounceIp = fromByteString(text('replica-announce-ip'));
    this.replicaAnnouncePort = number('replica-announce-port');
    this.replicaPriority = number('replica-priority');
    this.guardsFullSync = flag('replica-full-sync-guard');
    this.isDiskless = flag('repl-diskless-sync');
    this.disklessDelaySeconds = number('repl-diskless-sync-delay');
    this.disklessReplicasMax = number('repl-diskless-sync-max-replicas');
    this.delaysSmallPackets = flag('repl-disable-tcp-nodelay');
    this.backlogTtlSeconds = number('repl-backlog-ttl');
    this.pingPeriodSeconds = number('repl-ping-replica-period');
    this.replicationTimeoutSeconds = number('repl-timeout');
    this.minReplicasToWrite = number('min-replicas-to-write');
    this.minReplicasMaxLagSeconds = number('min-replicas-max-lag');
    this.shutdownTimeoutSeconds = number('shutdown-timeout');
    this.threads = number('threads') || availableParallelism();
    this.activeWorkers = number('active-workers');
    this.transport = text('transport') as Config['transport'];
    this.databases = number('databases');
    this.logLevel = text('loglevel') as LogLevel;
    this.logFile = fromByteString(text('logfile'));
    this.pidFile = fromByteString(text('pidfile'));
    this.daemonize = flag('daemonize');
    this.supervised = text('supervised');
    this.alwaysShowLogo = flag('always-show-logo');
    this.setsTitle = flag('set-proc-title');
    this.oomScoreAdj = text('oom-score-adj') as Config['oomScoreAdj'];
    this.oomScoreAdjValues = list('oom-score-adj-values').map(Number);
    this.titleTemplate = fromByteString(text('proc-title-template'));
    this.crashLogEnabled = flag('crash-log-enabled');
    this.dir = fromByteString(text('dir'));
    this.hz = number('hz');
    this.dynamicHz = flag('dynamic-hz');
    this.requirePass = text('requirepass');
    const accessFile = fromByteString(text('aclfile'));
    this.accessFile = accessFile === '' ? '' : path.resolve(this.dir, accessFile);
    this.accessLogMaxLength = number('acllog-max-len');
    this.allowsChannelsByDefault = text('acl-pubsub-default') === 'allchannels';
    this.authTimeoutSeconds = number('auth-timeout');
    this.enableProtectedConfigs = text('enable-protected-configs') as Permission;
    this.enableDebugCommand = text('enable-debug-command') as Permission;
    this.enableModuleCommand = text('enable-module-command') as Permission;
    this.maxMemoryBytes = number('maxmemory');
    this.maxMemoryPolicy = POLICIES[text('maxmemory-policy')];
    this.maxMemorySamples = number('maxmemory-samples');
    this.maxMemoryEvictionTenacity = number('maxmemory-eviction-tenacity');
    const clients = text('maxmemory-clients');
    this.maxMemoryClientsBytes = clients.endsWith('%')
      ? Math.floor((this.maxMemoryBytes * Number.parseInt(clients, 10)) / 100)
      : Number(parseMemory(clients));
    this.lfuLogFactor = number('lfu-log-factor');
    this.lfuDecayTimeMinutes = number('lfu-decay-time');
    this.activeExpireEffort = number('active-expire-effort');
    this.lazyFreeEviction = flag('lazyfree-lazy-eviction');
    this.lazyFreeExpire = flag('lazyfree-lazy-expire');
    this.lazyFreeServerDel = flag('lazyfree-lazy-server-del');
    this.lazyFreeUserDel = flag('lazyfree-lazy-user-del');
    this.lazyFreeUserFlush = flag('lazyfree-lazy-user-flush');
    this.busyReplyThresholdMs = number('busy-reply-threshold');
    this.scriptMemoryBytesMax = number('script-memory-limit');
    this.slowLogSlowerThanMicroseconds = number('slowlog-log-slower-than');
    this.slowLogMaxLength = number('slowlog-max-len');
    this.largeRequestBytes = number('commandlog-request-larger-than');
    this.largeRequestLogMaxLength = number('commandlog-large-request-max-len');
    this.largeReplyBytes = number('commandlog-reply-larger-than');
    this.largeReplyLogMaxLength = number('commandlog-large-reply-max-len');
    this.latencyMonitorThresholdMs = number('latency-monitor-threshold');
    this.latencyTracking = flag('latency-tracking');
    this.latencyPercentiles = list('latency-tracking-info-percentiles').map(Number);
    this.hashMaxListpackEntries = number('hash-max-listpack-entries');
    this.hashMaxListpackValueBytes = number('hash-max-listpack-value');
    this.listMaxListpackSize = number('list-max-listpack-size');
    this.listCompressDepth = number('list-compress-depth');
    this.setMaxIntsetEntries = number('set-max-intset-entries');
    this.snapshotFile = path.resolve(fromByteString(text('dir')), fromByteString(text('dbfilename')));
    this.rdbCompression = flag('rdbcompression');
    this.rdbChecksum = flag('rdbchecksum');
    this.stopWritesOnSaveError = flag('stop-writes-on-bgsave-error');
    this.savePoints = savePoints(list('save'));
    this.shutdownOnSigterm = list('shutdown-on-sigterm');
    this.shutdownOnSigint = list('shutdown-on-sigint');
    this.appendOnly = flag('appendonly');
    this.aofFolder = path.resolve(this.dir, fromByteString(text('appenddirname')));
    this.aofFileName = fromByteString(text('appendfilename'));
    this.appendFsync = text('appendfsync') as 'always' | 'everysec' | 'no';
    this.autoAofRewritePercentage = number('auto-aof-rewrite-percentage');
    this.autoAofRewriteMinBytes = number('auto-aof-rewrite-min-size');
    this.aofDisableAutoGc = flag('aof-disable-auto-gc');
    this.aofTimestampEnabled = flag('aof-timestamp-enabled');
    this.aofUseRdbPreamble = flag('aof-use-rdb-preamble');
    this.aofLoadTruncated = flag('aof-load-truncated');
    this.recoverUntilSeconds = number('recover-until');
    this.zsetMaxListpackEntries = number('zset-max-listpack-entries');
    this.zsetMaxListpackValueBytes = number('zset-max-listpack-value');
    this.hllSparseMaxBytes = number('hll-sparse-max-bytes');
  }
}

function savePoints(numbers: readonly string[]): SavePoint[] {
  const points: SavePoint[] = [];
  for (let at = 0; at + 1 < numbers.length; at += 2) {
    points.push({ seconds: Number(numbers[at]), changes: Number(numbers[at + 1]) });
  }
  return points;
}

function outputLimit(limits: readonly string[], at: number): OutputBufferLimit {
  return {
    hardBytes: Number(limits[at]),
    softBytes: Number(limits[at + 1]),
    softSeconds: Number(limits[at + 2]),
  };
}

function setFailure(name: string, reason: string): string {
  const index = directiveIndex(name);
  const { alias } = directives[index];
  const known = name.toLowerCase() === alias ? alias : directives[index].name;
  return `ERR CONFIG SET failed (possibly related to argument '${known}') - ${reason}`;
}

/** A directive as the command line gives it, for messages. */
export function describeArguments(name: string, args: readonly string[]): string {
  const written = args.map((arg) => (/^[!-~]+$/.test(arg) ? arg : quoteArgument(arg)));
  return [`--${name}`, ...written].join(' ');
}
