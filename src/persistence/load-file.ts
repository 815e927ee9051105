/** Loads an RDB file into a keyspace, which no other thread uses meanwhile unless it is loaded beside the data. */

import type { Keyspace } from '../keyspace/keyspace.js';
import { FileSource } from '../system/files.js';
import type { Log } from '../system/log.js';
import type { SnapshotHistory } from './key-form.js';
import { RdbMemoryError } from './rdb-format.js';
import { RdbInput } from './rdb-input.js';
import { describeRdbFailure, RdbReader } from './rdb-reader.js';

export interface LoadOptions {
  readonly fileName: string;
  /** `rdbchecksum` */
  readonly hasChecksum: boolean;
  readonly nowMs: number;
  /** Leaves out expired keys. Off if a log follows, which says when they were deleted. */
  readonly dropsExpired: boolean;
}

export interface LoadResult {
  /** One line that says why nothing could be loaded; '' if it went well. */
  readonly failure: string;
  /** It failed for lack of memory. */
  readonly lacksMemory: boolean;
  readonly keysLoaded: number;
  readonly keysExpired: number;
  /** Keys left out since their values have no elements. */
  readonly keysEmpty: number;
  /** Keys that the file has. */
  readonly keysSeen: number;
  /** Offset behind the snapshot, where the file ends or commands follow. After a failure: where it was found. */
  readonly endOffset: number;
  /** When the snapshot was begun, in seconds since the epoch; -1 if the file does not say. */
  readonly savedAtSeconds: number;
  /** What the file says of replication (snapshot-history.ts); null if it says nothing. */
  readonly replication: SnapshotHistory | null;
  /** The sources of libraries of functions, which the caller has to compile. */
  readonly functions: readonly Uint8Array[];
}

/**
 * Why a file that several threads have read can't be loaded; '' if it can. All read the same bytes, but a thread that
 * skips a damaged value may notice the damage only later, in another key: so the earliest failure in the file counts.
 */
export function earliestFailure(results: readonly LoadResult[]): string {
  const failed = results.filter(({ failure }) => failure !== '');
  failed.sort((one, other) => one.endOffset - other.endOffset);
  return failed.length === 0 ? '' : failed[0].failure;
}

/**
 * Reads a whole file without building anything, to find out how many keys it has and whether it can be loaded, as far
 * as that can be told without its values.
 */
export function examineFile(keyspace: Keyspace, options: LoadOptions): LoadResult {
  // This part owns no shard.
  const part = { part: keyspace.shards.length, partCount: 2 * keyspace.shards.length };
  let source: FileSource | null = null;
  let reader: RdbReader | null = null;
  let failure = '';
  try {
    source = new FileSource(options.fileName);
    reader = new RdbReader(RdbInput.fromSource(source, options.hasChecksum), keyspace, {
      ...part,
      nowMs: options.nowMs,
      dropsExpired: false,
      replaces: false,
      warn: () => {},
      onProgress: null,
    });
    reader.load();
  } catch (error) {
    failure = describeRdbFailure(options.fileName, error);
  }
  source?.close();
  return {
    failure,
    lacksMemory: false,
    keysLoaded: 0,
    keysExpired: 0,
    keysEmpty: 0,
    keysSeen: reader?.keysSeen ?? 0,
    endOffset: reader?.offset ?? 0,
    savedAtSeconds: -1,
    replication: historyOf(reader?.fields ?? new Map()),
    functions: [],
  };
}

/** The log line about a load, in Redis's words. */
export function describeLoad({ keysLoaded, keysExpired, keysEmpty }: LoadResult): string {
  const empty = keysEmpty === 0 ? '' : `, empty keys skipped: ${keysEmpty}`;
  return `Done loading RDB, keys loaded: ${keysLoaded}, keys expired: ${keysExpired}${empty}.`;
}

/** Loads a file, or a thread's part of it: the keys of every `partCount`-th shard. */
export function loadFile(
  keyspace: Keyspace,
  options: LoadOptions,
  log: Log,
  {
    part = 0,
    partCount = 1,
    replaces = false,
    isBeside = false,
    onProgress = (_offset: number): void => {},
    pause,
  }: {
    part?: number;
    partCount?: number;
    replaces?: boolean;
    isBeside?: boolean;
    onProgress?: (offset: number) => void;
    pause?: () => void;
  } = {},
): LoadResult {
  const { fileName, nowMs, dropsExpired } = options;
  const isFirst = part === 0;
  let source: FileSource | null = null;
  let reader: RdbReader | null = null;
  let failure = '';
  let lacksMemory = false;
  try {
    source = new FileSource(fileName);
    const input = RdbInput.fromSource(source, options.hasChecksum && isFirst);
    reader = new RdbReader(input, keyspace, {
      nowMs,
      part,
      partCount,
      dropsExpired,
      replaces,
      isBeside,
      warn: (text) => {
        if (isFirst) log(`${fileName}: ${text}`, 'warning');
      },
      onEmptyKey: (key) => log(`rdbLoadObject skipping empty key: ${key}`),
      onProgress: isFirst ? () => onProgress(input.offset) : null,
      onField: isFirst ? (name, value) => logField(name, value, nowMs, log) : undefined,
      pause,
    });
    reader.load();
  } catch (error) {
    failure = describeRdbFailure(fileName, error);
    lacksMemory = error instanceof RdbMemoryError;
  }
  source?.close();
  return {
    failure,
    lacksMemory,
    keysLoaded: reader?.keysLoaded ?? 0,
    keysExpired: reader?.keysExpired ?? 0,
    keysEmpty: reader?.keysEmpty ?? 0,
    keysSeen: reader?.keysSeen ?? 0,
    endOffset: reader?.offset ?? 0,
    savedAtSeconds: Number(reader?.fields.get('ctime') ?? -1),
    replication: historyOf(reader?.fields ?? new Map()),
    functions: isFirst && reader !== null ? reader.functions : [],
  };
}

function historyOf(fields: ReadonlyMap<string, string>): SnapshotHistory | null {
  const id = fields.get('repl-id') ?? '';
  const offset = Number(fields.get('repl-offset') ?? Number.NaN);
  const database = Number(fields.get('repl-stream-db') ?? -1);
  if (id.length !== 40 || !Number.isSafeInteger(offset) || offset < 0 || !(database >= 0)) return null;
  return { id, offset, database };
}

/** Logs, in Redis's words, an auxiliary field of a file. */
function logField(name: string, value: string, nowMs: number, log: Log): void {
  switch (name) {
    case 'redis-ver':
    case 'valkey-ver':
      log(`Loading RDB produced by version ${value}`);
      break;
    case 'ctime':
      log(`RDB age ${Math.max(0, Math.floor(nowMs / 1000) - Number(value))} seconds`);
      break;
    case 'used-mem':
      log(`RDB memory usage when created ${(Number(value) / (1 << 20)).toFixed(2)} Mb`);
      break;
    case 'aof-base':
      if (value !== '0') log('RDB is base AOF');
      break;
  }
}
