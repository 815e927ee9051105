/**
 * Loads the dataset at start: the append-only file with `appendonly yes`, else the snapshot. Threads of a pool do the
 * work, while the server answers -LOADING: several for a snapshot, each for its own shards, and one for commands. The
 * main thread does it by itself if there is not much.
 *
 * It makes only two changes on the disk: the rest of a command or transaction that a crash has cut off at the very end
 * is removed, and an append-only file of the time before Redis 7 is moved into its folder.
 */

import {
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Piscina } from 'piscina';
import type { Config } from '../config/config.js';
import { defaultSettings } from '../config/keyspace-settings.js';
import { loadFunctions } from '../execution/scripts/load-functions.js';
import { AofEnd } from '../journal/aof-input.js';
import {
  AofManifest,
  type AofPlace,
  adoptOldFile,
  aofPath,
  fileLengthBytes,
  hasOldFile,
  readManifest,
} from '../journal/aof-manifest.js';
import type { KeyspaceHandle } from '../keyspace/keyspace.js';
import type { HeededBlock } from '../memory/attention.js';
import type { SnapshotHistory } from '../persistence/key-form.js';
import { describeLoad, earliestFailure, type LoadResult } from '../persistence/load-file.js';
import { RDB_HEADER_BYTES } from '../persistence/rdb-format.js';
import type { PersistenceState } from '../state/persistence-state.js';
import { syncFolder } from '../system/files.js';
import type { Log } from '../system/log.js';
import { type LoadPart, type LoadRequest, loadPart } from './load-part.js';
import { type ReplayFile, type ReplayRequest, type ReplayResult, replayFiles } from './replay.js';

/** Less than this the main thread loads: starting threads would take longer. */
const POOL_BYTES_MIN = 4 << 20;
const PROGRESS_INTERVAL_MS = 1000;
/** How long an exit waits for a thread of the pool that is just starting. */
const THREAD_START_MS_MAX = 5000;
const THREAD_START_POLL_MS = 5;

export interface LoadingOptions {
  readonly keyspace: KeyspaceHandle;
  readonly config: Config;
  readonly persistence: HeededBlock;
  readonly sharedConfig: HeededBlock;
  readonly state: PersistenceState;
  readonly log: Log;
}

/** What the dataset was loaded from. */
export interface LoadedDataset {
  /** The files of the append-only file; null with `appendonly no`. Empty if there were none. */
  readonly manifest: AofManifest | null;
  /** The files in the manifest have more than was loaded, so later writes need a new base. */
  readonly needsNewBase: boolean;
  /** Lengths of the base, and of all files that were loaded. */
  readonly baseBytes: number;
  readonly totalBytes: number;
  /** What the snapshot says of replication. */
  readonly replication: SnapshotHistory | null;
}

type Job = LoadPart | ReplayRequest;

export class Loading {
  private readonly options: LoadingOptions;
  private readonly place: AofPlace;
  private pool: Piscina<Job, LoadResult | ReplayResult> | null = null;
  private poolThreads = 0;
  /** The file named in progress messages. */
  private currentFile = '';

  constructor(options: LoadingOptions) {
    this.options = options;
    this.place = { folder: options.config.aofFolder, fileName: options.config.aofFileName };
  }

  /** Loads everything. Rejects with a one-line message if that is not possible. */
  async run(): Promise<LoadedDataset> {
    const { state, config, log } = this.options;
    const timer = setInterval(() => {
      if (this.currentFile === '') return;
      const percent = Math.floor((100 * state.loadedBytes) / Math.max(1, state.loadTotalBytes));
      log(`Loading ${this.currentFile}: ${percent} % of all`);
    }, PROGRESS_INTERVAL_MS);
    try {
      if (config.appendOnly) return await this.appendOnlyFile();
      if (config.recoverUntilSeconds > 0)
        throw new Error("can't recover: recover-until needs appendonly yes");
      return await this.snapshot();
    } finally {
      clearInterval(timer);
      await this.pool?.destroy();
    }
  }

  /** Settles once the process may exit: to exit while a thread of the pool starts would abort the process. */
  async untilInterruptible(): Promise<void> {
    const { state } = this.options;
    for (let waitedMs = 0; waitedMs < THREAD_START_MS_MAX; waitedMs += THREAD_START_POLL_MS) {
      if (state.loadingThreads >= this.poolThreads) return;
      await delay(THREAD_START_POLL_MS);
    }
  }

  private async snapshot(): Promise<LoadedDataset> {
    const fileName = this.options.config.snapshotFile;
    const totalBytes = lengthOf(fileName);
    let replication: SnapshotHistory | null = null;
    if (totalBytes >= 0) {
      this.options.state.loadTotalBytes = totalBytes;
      // A replica keeps expired keys until its primary deletes them.
      const dropsExpired = this.options.config.replicaOf === null;
      try {
        ({ replication } = await this.loadSnapshot(fileName, totalBytes, 0, dropsExpired));
      } catch (error) {
        this.options.log('Terminating server after rdb file reading failure.', 'warning');
        this.options.log('Fatal error loading the DB, check server logs. Exiting.', 'warning');
        throw error;
      }
    }
    return { manifest: null, needsNewBase: false, baseBytes: 0, totalBytes: 0, replication };
  }

  /** Loads a snapshot, or the snapshot that a file begins with. The result has the offset behind it. */
  private async loadSnapshot(
    fileName: string,
    lengthBytes: number,
    loadedBytes: number,
    dropsExpired: boolean,
  ): Promise<LoadResult> {
    const { keyspace, config, persistence, sharedConfig, state, log } = this.options;
    const settings = defaultSettings();
    config.copyTo(settings);
    const request: LoadRequest = {
      keyspace,
      settings,
      fileName,
      logFile: config.logFile,
      logLevel: config.logLevel,
      isReplica: config.replicaOf !== null,
      hasChecksum: config.rdbChecksum,
      nowMs: Date.now(),
      dropsExpired,
      progress: persistence,
      sharedConfig,
      loadedBytes,
    };
    const startedMs = performance.now();
    const partCount = lengthBytes < POOL_BYTES_MIN ? 1 : config.threads;
    const parts = Array.from({ length: partCount }, (_, part) => ({ request, part, partCount }));
    this.currentFile = fileName;
    const results = await this.jobs(loadPart, parts);
    const failure = earliestFailure(results);
    if (failure !== '') throw new Error(failure);
    const problem = loadFunctions(keyspace, results[0].functions);
    if (problem !== '') throw new Error(`${fileName}: ${problem}`);
    const sum = (values: readonly number[]): number => values.reduce((left, right) => left + right, 0);
    const result = {
      ...results[0],
      keysLoaded: sum(results.map(({ keysLoaded }) => keysLoaded)),
      keysExpired: sum(results.map(({ keysExpired }) => keysExpired)),
      keysEmpty: sum(results.map(({ keysEmpty }) => keysEmpty)),
    };
    log(describeLoad(result));
    log(
      dropsExpired
        ? `DB loaded from disk: ${secondsSince(startedMs)} seconds`
        : `DB loaded from base file ${path.basename(fileName)}: ${secondsSince(startedMs)} seconds`,
    );
    state.noteLoaded(result.keysLoaded, result.keysExpired);
    return result;
  }

  /** Runs jobs in threads of the pool, all at once. The first call has the most jobs: it sets the pool's size. */
  private async jobs<J extends Job, R extends LoadResult | ReplayResult>(
    run: (job: J) => R,
    jobs: readonly J[],
  ): Promise<R[]> {
    const { state, config } = this.options;
    // A load delay must not block the main thread.
    const isSlow = config.value('key-load-delay') !== '0';
    if (state.loadTotalBytes < POOL_BYTES_MIN && !isSlow) return jobs.map(run);
    if (this.pool === null) {
      const { Piscina } = await import('piscina');
      this.poolThreads = jobs.length;
      this.pool = new Piscina<Job, LoadResult | ReplayResult>({
        filename: new URL('../../workers/job.js', import.meta.url).href,
        maxThreads: jobs.length,
        minThreads: jobs.length,
      });
    }
    const { pool } = this;
    return (await Promise.all(jobs.map((job) => pool.run(job, { name: run.name })))) as R[];
  }

  private async appendOnlyFile(): Promise<LoadedDataset> {
    const { config, state, log } = this.options;
    const manifest = this.findManifest();
    const names = manifest.files.map((file) => aofPath(this.place, file));
    const lengths = names.map((name) => {
      const length = lengthOf(name);
      if (length < 0)
        throw new Error(
          `The append only file ${name} of the manifest doesn't exist: No such file or directory`,
        );
      return length;
    });
    const totalBytes = lengths.reduce((sum, length) => sum + length, 0);
    const loaded = {
      manifest,
      needsNewBase: false,
      baseBytes: manifest.base === null ? 0 : lengths[0],
      totalBytes,
      replication: null,
    };
    if (manifest.isEmpty) return loaded;
    const startedMs = performance.now();
    state.loadTotalBytes = totalBytes;
    const files: ReplayFile[] = names.map((name) => ({ path: name, offset: 0 }));
    let savedAtSeconds = -1;
    if (isSnapshot(names[0])) {
      log('Reading RDB base file on AOF loading...');
      const snapshot = await this.loadSnapshot(names[0], lengths[0], 0, false);
      ({ savedAtSeconds } = snapshot);
      files[0] = { path: names[0], offset: snapshot.endOffset };
    }
    const untilSeconds = config.recoverUntilSeconds || Infinity;
    if (savedAtSeconds > untilSeconds) {
      throw new Error(
        `can't recover: the base file ${names[0]} is of ${describeTime(savedAtSeconds)}, which is later than ` +
          `recover-until ${untilSeconds}`,
      );
    }
    const result = await this.replay(files, untilSeconds);
    let keptBytes = totalBytes;
    if (result.end === AofEnd.Cut) {
      this.checkCut(names, result);
      if (untilSeconds === Infinity) {
        const name = path.basename(names[result.file]);
        log(`!!! Warning: short read while loading the AOF file ${name}!!!`, 'warning');
        log(`!!! Truncating the AOF ${name} at offset ${result.offset} !!!`, 'warning');
        truncate(names[result.file], result.offset);
        keptBytes -= lengths[result.file] - result.offset;
        log(`AOF ${name} loaded anyway because aof-load-truncated is enabled`, 'warning');
      }
    }
    log(`DB loaded from append only file: ${secondsSince(startedMs)} seconds`);
    if (untilSeconds === Infinity) return { ...loaded, totalBytes: keptBytes };
    this.checkRecovered(result, savedAtSeconds, untilSeconds);
    return { ...loaded, needsNewBase: true };
  }

  private findManifest(): AofManifest {
    const { place } = this;
    const { config, log } = this.options;
    const manifest = readManifest(place) ?? new AofManifest();
    if (hasOldFile(place, config.dir, manifest)) {
      const adopted = adoptOldFile(place, config.dir, manifest);
      log(`The append only file ${place.fileName} of an older version was moved into ${place.folder}`);
      return adopted;
    }
    if (!manifest.isEmpty) return manifest;
    if (config.recoverUntilSeconds > 0) {
      throw new Error(`can't recover: there is no append only file in ${place.folder}`);
    }
    if (lengthOf(config.snapshotFile) >= 0) {
      log(
        `${config.snapshotFile} is not loaded: with appendonly yes only the append only file counts, and there is ` +
          'none yet. To begin one with this data, start with appendonly no, then use CONFIG SET appendonly yes',
        'warning',
      );
    }
    return manifest;
  }

  /** Has the files' commands run again. */
  private async replay(files: readonly ReplayFile[], untilSeconds: number): Promise<ReplayResult> {
    const { keyspace, config, persistence, sharedConfig, log } = this.options;
    this.currentFile = this.place.folder;
    const request: ReplayRequest = {
      keyspace,
      configuration: config.toJSON(),
      files,
      untilSeconds,
      progress: persistence,
      sharedConfig,
      loadedBytes: 0,
    };
    const [result] = await this.jobs(replayFiles, [request]);
    for (const warning of result.warnings) log(warning, 'warning');
    if (result.failure !== '') throw new Error(result.failure);
    return result;
  }

  /** Throws unless a file may be cut off where it is: only the last one may, since only that was being written. */
  private checkCut(names: readonly string[], { file, offset }: ReplayResult): void {
    const problem = `Unexpected end of file reading the append only file ${names[file]} at offset ${offset}`;
    if (file < names.length - 1) throw new Error(`${problem}: the truncated file is not the last file`);
    if (!this.options.config.aofLoadTruncated) {
      throw new Error(
        `${problem} (aof-load-truncated yes loads what comes before; redis-check-aof --fix removes the rest)`,
      );
    }
  }

  /** Throws if the time that was recovered can't be told; else keeps all files aside. */
  private checkRecovered(result: ReplayResult, savedAtSeconds: number, untilSeconds: number): void {
    const { firstTimestamp, lastTimestamp, end } = result;
    const { folder } = this.place;
    if (firstTimestamp < 0 && (savedAtSeconds < 0 || end !== AofEnd.TooNew)) {
      throw new Error(
        `can't recover: ${folder} has no timestamp before recover-until ${untilSeconds} (aof-timestamp-enabled)`,
      );
    }
    const aside = `${folder}.before-recovery-${Math.floor(Date.now() / 1000)}`;
    keepAside(folder, aside);
    const reached = Math.max(lastTimestamp, savedAtSeconds);
    this.options.log(
      `Recovered the data of ${describeTime(reached)}. All files as they were are kept in ${aside}; ` +
        'remove recover-until from the configuration',
      'warning',
    );
  }
}

/**
 * Loads the append-only file in the calling thread, which holds the locks of all shards of an empty keyspace; nothing
 * is recorded meanwhile. Returns one line that says what can't be loaded, '' if all could.
 */
export function loadAppendOnlyAgain(options: Omit<LoadingOptions, 'state' | 'log'>): string {
  const { keyspace, config, persistence, sharedConfig } = options;
  const place: AofPlace = { folder: config.aofFolder, fileName: config.aofFileName };
  try {
    const names = (readManifest(place) ?? new AofManifest()).files.map((file) => aofPath(place, file));
    const files: ReplayFile[] = names.map((name) => ({ path: name, offset: 0 }));
    if (names.length > 0 && isSnapshot(names[0])) {
      const settings = defaultSettings();
      config.copyTo(settings);
      const { logFile, logLevel, rdbChecksum: hasChecksum } = config;
      const shared = { keyspace, settings, sharedConfig, progress: persistence };
      const read = {
        fileName: names[0],
        logFile,
        logLevel,
        isReplica: config.replicaOf !== null,
        hasChecksum,
        nowMs: Date.now(),
        dropsExpired: false,
      };
      const request: LoadRequest = { ...shared, ...read, loadedBytes: 0 };
      const snapshot = loadPart({ request, part: 0, partCount: 1 });
      if (snapshot.failure !== '') return snapshot.failure;
      const problem = loadFunctions(keyspace, snapshot.functions);
      if (problem !== '') return problem;
      files[0] = { path: names[0], offset: snapshot.endOffset };
    }
    return replayFiles({
      keyspace,
      configuration: config.toJSON(),
      files,
      untilSeconds: Number.POSITIVE_INFINITY,
      progress: persistence,
      sharedConfig,
      loadedBytes: 0,
    }).failure;
  } catch (error) {
    return (error as Error).message;
  }
}

function secondsSince(startedMs: number): string {
  return ((performance.now() - startedMs) / 1000).toFixed(3);
}

function describeTime(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z (${seconds})`;
}

/** Length of a file, -1 if there is none; other failures in one line. */
function lengthOf(name: string): number {
  try {
    return fileLengthBytes(name);
  } catch (error) {
    throw new Error(`can't load ${name}: ${(error as Error).message}`);
  }
}

/** Whether a file begins with a snapshot. */
function isSnapshot(name: string): boolean {
  const head = Buffer.alloc(RDB_HEADER_BYTES);
  try {
    const fd = openSync(name, 'r');
    readSync(fd, head);
    closeSync(fd);
  } catch (error) {
    throw new Error(`can't load ${name}: ${(error as Error).message}`);
  }
  return /^(REDIS|VALKEY)/.test(head.toString('latin1'));
}

function truncate(name: string, lengthBytes: number): void {
  try {
    const fd = openSync(name, 'r+');
    ftruncateSync(fd, lengthBytes);
    fsyncSync(fd);
    closeSync(fd);
  } catch (error) {
    throw new Error(`can't truncate ${name} at offset ${lengthBytes}: ${(error as Error).message}`);
  }
}

/**
 * Links (or copies) all files of a folder into another one. The originals stay until a manifest with a new base
 * replaces them, so a crash in between loses nothing.
 */
function keepAside(folder: string, aside: string): void {
  try {
    mkdirSync(aside);
    for (const name of readdirSync(folder)) {
      const from = path.join(folder, name);
      const to = path.join(aside, name);
      try {
        linkSync(from, to);
      } catch {
        copyFileSync(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
      }
    }
    syncFolder(aside);
    syncFolder(path.dirname(aside));
  } catch (error) {
    throw new Error(
      `can't recover: can't keep the files of ${folder} in ${aside}: ${(error as Error).message}`,
    );
  }
}
