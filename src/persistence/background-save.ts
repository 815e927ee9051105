/**
 * The work of BGSAVE and BGREWRITEAOF: the persistence thread collects the keys as they were when the snapshot began
 * (keyspace/shard-snapshot.ts), a little at a time under a shard's lock, and writes to the file without any lock.
 */

import path from 'node:path';
import { Config } from '../config/config.js';
import { defaultSettings } from '../config/keyspace-settings.js';
import { rewriteFileName } from '../journal/aof-manifest.js';
import { JournalRequest, JournalRing } from '../journal/journal-ring.js';
import { KeyspaceCounter } from '../keyspace/counters.js';
import { Keyspace, type KeyspaceHandle } from '../keyspace/keyspace.js';
import type { Shard } from '../keyspace/shard.js';
import { type LongKeyTaker, SnapshotState } from '../keyspace/shard-snapshot.js';
import { AppendOnlyMode, AppendOnlyState } from '../state/append-only-state.js';
import { ControlBlock } from '../state/control-block.js';
import { PersistenceState, SnapshotPurpose } from '../state/persistence-state.js';
import type { ProcessStateHandle } from '../state/process-state.js';
import { ReplicationState } from '../state/replication-state.js';
import { SharedConfig } from '../state/shared-config.js';
import { createConfiguredLog, type LineLevel } from '../system/log.js';
import { sleepInSlices } from '../system/wait.js';
import { SnapshotImageWriter } from './image-writer.js';
import { createSnapshotWriter, type SnapshotWriter } from './key-form.js';
import { KeyTally } from './key-tally.js';
import { ProcessorShare, type Scheduler } from './processor-share.js';
import { backgroundFileName, replicaFileName, SnapshotFile, SnapshotPipe } from './snapshot-file.js';
import { historyAt } from './snapshot-history.js';

/** Limits of one lock hold: lines of a table, bytes of output. */
const LINES_PER_HOLD = 8;
const BYTES_PER_HOLD = 8 * 1024;

const STARTED: Readonly<Record<SnapshotPurpose, string>> = {
  [SnapshotPurpose.Save]: 'Background saving',
  [SnapshotPurpose.AofBase]: 'Background append only file rewriting',
  [SnapshotPurpose.Replicas]: 'Background RDB transfer',
};

const ENDED: Readonly<Record<SnapshotPurpose, string>> = {
  [SnapshotPurpose.Save]: 'Background saving',
  [SnapshotPurpose.AofBase]: 'Background AOF rewrite',
  [SnapshotPurpose.Replicas]: 'Background transfer',
};

/** Options with which the persistence thread is started. */
export interface PersistenceOptions {
  readonly keyspace: KeyspaceHandle;
  readonly state: ProcessStateHandle;
}

export class BackgroundSave {
  private readonly keyspace: Keyspace;
  private readonly settings = defaultSettings();
  private readonly state: PersistenceState;
  private readonly appendOnly: AppendOnlyState;
  private readonly ring: JournalRing;
  private readonly replication: ReplicationState;
  /** For the heads of long keys. */
  private readonly imageWriter: SnapshotImageWriter;
  private readonly control: ControlBlock;
  private readonly sharedConfig: SharedConfig;
  private config: Config;

  // State of the running save.
  private writer: SnapshotWriter | null = null;
  private failure = '';
  private database = -1;
  /** The shard whose images are being taken. */
  private shard!: Shard;
  private readonly begunDatabases = new Set<number>();
  private readonly tally = new KeyTally();
  /** Keys with an expiry that each database had at the snapshot's moment. */
  private readonly volatileKeys: number[] = [];
  private readonly share: ProcessorShare;

  constructor(options: PersistenceOptions, scheduler: Scheduler | null) {
    this.share = new ProcessorShare(scheduler);
    const counters = new Float64Array(KeyspaceCounter.COUNT);
    this.keyspace = new Keyspace(options.keyspace, this.settings, counters);
    this.state = new PersistenceState(options.state.persistence);
    this.imageWriter = new SnapshotImageWriter(this.settings, this.state);
    for (const { snapshot } of this.keyspace.shards) snapshot.imageWriter = this.imageWriter;
    this.appendOnly = new AppendOnlyState(options.state.appendOnly);
    this.ring = new JournalRing(options.keyspace.journal);
    this.replication = new ReplicationState(options.state.replication);
    this.control = new ControlBlock(options.state.control);
    this.sharedConfig = new SharedConfig(options.state.config);
    this.config = this.readConfig();
  }

  private readConfig(): Config {
    const published = this.sharedConfig.readIfNewer(0);
    if (published === null) throw new Error('no configuration');
    return new Config(JSON.parse(published.json));
  }

  /** Writes snapshots whenever one is asked for; never returns. */
  async serve(): Promise<never> {
    for (;;) {
      await this.state.untilStarted();
      this.run();
    }
  }

  private run(): void {
    const { keyspace, state } = this;
    this.config = this.readConfig();
    this.config.copyTo(this.settings);
    keyspace.settingsChanged();
    this.imageWriter.setCompression(this.config.rdbCompression);
    const log = createConfiguredLog(this.config);
    const { purpose } = state;
    log(`${STARTED[purpose]} started by pid ${process.pid}`);
    this.failure = '';
    this.database = -1;
    this.begunDatabases.clear();
    this.expectKeys();
    const file = this.open();
    this.share.begin();
    this.visitAll();
    if (file !== null) this.finish(file);
    this.writer = null;
    const isGood = this.failure === '' && !state.isCancelled;
    const lines = this.endOf(isGood);
    if (purpose === SnapshotPurpose.AofBase) this.rewriteEnded(isGood);
    else if (purpose === SnapshotPurpose.Replicas) state.noteReplicaSnapshot(isGood);
    else if (isGood) this.control.noteSave();
    if (file instanceof SnapshotPipe) file.close();
    state.finish(isGood);
    // Logged last, so that INFO already shows the result when a line appears.
    for (const [line, level] of lines) log(line, level);
  }

  /** The log lines about the end of the snapshot. */
  private endOf(isGood: boolean): [line: string, level: LineLevel][] {
    const { state } = this;
    const { purpose } = state;
    const isSave = purpose === SnapshotPurpose.Save;
    const isBase = purpose === SnapshotPurpose.AofBase;
    const name = ENDED[purpose];
    if (state.isCancelled) return [[`${name} cancelled`, 'warning']];
    if (!isGood) {
      return [[`${name} ${isBase ? 'terminated with error' : 'error'}: ${this.failure}`, 'warning']];
    }
    const lines: [string, LineLevel][] = [[`${name} terminated with success`, 'notice']];
    if (isSave) lines.unshift(['DB saved on disk', 'notice']);
    if (isBase) lines.push([`${name} finished successfully`, 'notice']);
    if (isSave && state.hasFailed) lines.push(['Background saving works again', 'warning']);
    return lines;
  }

  /** Notes how many keys each database had at the snapshot's moment. */
  private expectKeys(): void {
    const { tally, keyspace } = this;
    tally.begin(keyspace.databaseCount);
    this.volatileKeys.length = keyspace.databaseCount;
    this.volatileKeys.fill(0);
    for (const shard of keyspace.shards) {
      const { snapshot } = shard;
      shard.lock();
      for (let database = 0; database < keyspace.databaseCount; database++) {
        const saved = snapshot.databaseOf(database);
        tally.expect(saved, snapshot.keyCount(database));
        this.volatileKeys[saved] += snapshot.volatileKeyCount(database);
      }
      shard.unlock();
    }
  }

  private rewriteEnded(isGood: boolean): void {
    const { appendOnly } = this;
    appendOnly.rewriteEnded(isGood || this.state.isCancelled);
    // Increments without a base are useless, so another rewrite is scheduled.
    if (!isGood && appendOnly.mode === AppendOnlyMode.WaitsForBase) appendOnly.isRewriteScheduled = true;
  }

  /** Opens the file; null, with `failure` set, if that can't be done. */
  private open(): SnapshotFile | SnapshotPipe | null {
    const { config } = this;
    try {
      const { purpose } = this.state;
      const file = this.openFile();
      this.writer = createSnapshotWriter(this.state.form, this.settings, {
        isAofBase: purpose === SnapshotPurpose.AofBase,
        replication: historyAt(this.replication, this.ring.snapshotPosition, this.ring.snapshotDatabase),
        hasTimestamp: config.aofTimestampEnabled,
        compresses: config.rdbCompression,
        hasChecksum: config.rdbChecksum,
        flush: (bytes) => file.write(bytes),
      });
      this.writer.begin(this.state.startMs, this.keyspace.usedBytes(), this.keyspace.hasExpiringHashes);
      this.writer.functions(this.keyspace.functions.pinnedSources());
      return file;
    } catch (error) {
      this.failure = (error as Error).message;
      return null;
    }
  }

  private openFile(): SnapshotFile | SnapshotPipe {
    const { config, state } = this;
    switch (state.purpose) {
      case SnapshotPurpose.Save:
        return new SnapshotFile(config.snapshotFile, backgroundFileName());
      case SnapshotPurpose.AofBase:
        return new SnapshotFile(path.join(config.dir, rewriteFileName()), rewriteFileName());
      case SnapshotPurpose.Replicas: {
        const { replicaDescriptor } = state;
        if (replicaDescriptor >= 0) return new SnapshotPipe(replicaDescriptor);
        return new SnapshotFile(path.join(config.dir, replicaFileName()), `${replicaFileName()}.part`);
      }
    }
  }

  private finish(file: SnapshotFile | SnapshotPipe): void {
    try {
      if (this.failure === '' && !this.state.isCancelled) {
        this.tally.check();
        this.writer?.end();
        file.sync();
        if (this.state.purpose === SnapshotPurpose.AofBase) {
          if (this.install()) return;
        } else if (this.state.renameUnlessCancelled(() => file.rename())) {
          return;
        }
      }
    } catch (error) {
      this.failure = (error as Error).message;
    }
    file.discard();
  }

  /** Has the journal thread make the file the base of the append-only file. */
  private install(): boolean {
    const { state, appendOnly } = this;
    this.ring.request(JournalRequest.Install);
    const isGivenUp = (): boolean => state.isCancelled && this.ring.withdraw(JournalRequest.Install);
    if (appendOnly.waitForInstall(isGivenUp)) return true;
    if (!state.isCancelled) this.failure = 'the new base could not be made part of the append-only file';
    return false;
  }

  /**
   * Visits all keys: to write them or, once the save has failed, only to mark them. The shards take turns, so that
   * a thread that waits for a shard's lock gets it before this thread wants it again.
   */
  private visitAll(): void {
    let unfinished = [...this.keyspace.shards];
    while (unfinished.length > 0) {
      unfinished = unfinished.filter((shard) => this.visit(shard));
      this.fetchImages();
    }
  }

  /** Visits some keys of a shard; false if they were the last ones. */
  private visit(shard: Shard): boolean {
    const { snapshot } = shard;
    const keysBefore = this.state.keysWritten;
    shard.lock();
    if (this.failure !== '') snapshot.stop(SnapshotState.Failed);
    this.takeImages(shard);
    const { writer } = this;
    const start = writer === null ? 0 : writer.output.length;
    let hasMore = true;
    for (let lines = 0; lines < LINES_PER_HOLD && hasMore && !snapshot.hasLongKeys; lines++) {
      hasMore = snapshot.step(this.writeStepped);
      if (writer !== null && writer.output.length - start > BYTES_PER_HOLD) break;
    }
    this.noteFailure(snapshot.state);
    if (snapshot.hasLongKeys) hasMore = true;
    else if (!hasMore) snapshot.end();
    this.keyspace.publishIfMoved(shard);
    shard.unlock();
    this.flush();
    this.share.giveWay();
    while (snapshot.hasLongKeys) this.visitLongKey(shard);
    this.delay(this.state.keysWritten - keysBefore);
    return hasMore;
  }

  /**
   * `rdb-key-save-delay` of Redis: microseconds to wait for each key that was written; with -n a microsecond for each n. It
   * makes saving slow, so that tests can see what happens meanwhile.
   */
  private delay(keys: number): void {
    const { keySaveDelayMicroseconds: delay } = this.config;
    if (delay === 0) return;
    const delayMs = (delay > 0 ? delay * keys : keys / -delay) / 1000;
    sleepInSlices(() => (this.failure === '' && !this.state.isCancelled ? delayMs : 0));
  }

  /** Visits the first of a shard's long keys; nothing else goes to the file until that key is finished. */
  private visitLongKey(shard: Shard): void {
    const { snapshot } = shard;
    this.shard = shard;
    for (let hasMore = true; hasMore; ) {
      shard.lock();
      if (this.failure !== '') snapshot.stop(SnapshotState.Failed);
      hasMore = snapshot.stepLongKey(this.longKeyTaker);
      this.noteFailure(snapshot.state);
      this.keyspace.publishIfMoved(shard);
      shard.handOver();
      this.flush();
      this.share.giveWay();
    }
  }

  private noteFailure(state: SnapshotState): void {
    if (this.failure !== '') return;
    if (state === SnapshotState.Failed) this.failure = 'no memory for keys that changed meanwhile';
    if (state === SnapshotState.Incomplete)
      this.failure = 'the snapshot is not whole: a value has not as many elements as it should';
  }

  /** Fetches images before they become many. */
  private fetchImages(): void {
    for (const shard of this.keyspace.shards) {
      if (!shard.snapshot.hasImages) continue;
      shard.lock();
      this.takeImages(shard);
      this.keyspace.publishIfMoved(shard);
      shard.unlock();
      this.flush();
    }
  }

  private takeImages(shard: Shard): void {
    this.shard = shard;
    while (shard.snapshot.takeImage(this.writeImage)) {}
  }

  private readonly writeImage = (database: number, offset: number, lengthBytes: number): void => {
    const { writer, shard } = this;
    if (writer === null) return;
    this.select(writer, database);
    writer.output.raw(shard.bytes, shard.view, offset, lengthBytes);
    this.noteKey(database);
  };

  private readonly writeStepped = (shard: Shard, database: number, entry: number): void => {
    const { writer } = this;
    if (writer === null || shard.snapshot.state !== SnapshotState.Running) return;
    this.select(writer, database);
    try {
      writer.key(shard, entry, this.state.startMs);
    } catch (error) {
      this.fail(error);
    }
    this.noteKey(database);
  };

  private noteKey(database: number): void {
    this.tally.add(database);
    this.state.keysWritten++;
  }

  private readonly longKeyTaker: LongKeyTaker = {
    begin: ({ database }) => {
      if (this.writer !== null) this.select(this.writer, database);
    },
    image: (offset, lengthBytes) => {
      this.writer?.output.raw(this.shard.bytes, this.shard.view, offset, lengthBytes);
    },
    records: (key, records, count) => {
      this.writer?.keys.writeRecords(this.shard, key, records, count);
    },
    chunk: (key, chunk) => {
      this.writer?.keys.writeChunk(this.shard, key, chunk);
    },
    streamHead: (key) => {
      this.writer?.keys.writeStreamHead(this.shard, key);
    },
    groupHead: (key, group) => {
      this.writer?.keys.writeGroupHead(this.shard, key, group);
    },
    pending: (key, group, pending, count) => {
      this.writer?.keys.writePending(this.shard, key, group, pending, count);
    },
    groupEnd: (key, group) => this.writer?.keys.writeGroupEnd(this.shard, key, group) ?? false,
    end: (key) => {
      this.writer?.keys.writeEnd(this.shard, key);
      if (this.writer !== null) this.noteKey(key.database);
    },
  };

  private select(writer: SnapshotWriter, database: number): void {
    if (database === this.database) return;
    this.database = database;
    if (this.begunDatabases.has(database)) {
      writer.select(database);
    } else {
      this.begunDatabases.add(database);
      writer.database(database, this.tally.expectedIn(database), this.volatileKeys[database]);
    }
  }

  /** Writes the gathered output to the file. Called without any lock. */
  private flush(): void {
    try {
      this.writer?.flushIfLong();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Nothing more is written; the keys are still visited, to be marked. */
  private fail(error: unknown): void {
    this.failure = (error as Error).message;
    this.writer = null;
  }
}
