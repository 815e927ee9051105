/**
 * Loads snapshots. At start a long one is read by several threads at once, each of which builds the keys of its own
 * shards (rdb-reader.ts).
 */

import { KeyspaceCounter } from '../keyspace/counters.js';
import { Keyspace, type KeyspaceHandle } from '../keyspace/keyspace.js';
import type { KeyspaceSettings } from '../keyspace/settings.js';
import { createLog, type Log, type LogLevel } from '../log.js';
import { PersistenceState } from '../state/persistence-state.js';
import { LoadDelay } from './load-delay.js';
import { RdbInput } from './rdb-input.js';
import { describeRdbFailure, RdbReader } from './rdb-reader.js';
import { FileSource } from './snapshot-file.js';

export interface LoadOptions {
  readonly fileName: string;
  /** `rdbchecksum` */
  readonly hasChecksum: boolean;
  readonly nowMs: number;
  /** Keys that are past their expiry are left out. Not where a log that follows tells when they went. */
  readonly dropsExpired: boolean;
}

export interface LoadRequest extends LoadOptions {
  readonly keyspace: KeyspaceHandle;
  readonly settings: KeyspaceSettings;
  readonly logFile: string;
  readonly logLevel: LogLevel;
  /** Where to say how far it is: a PersistenceState. */
  readonly progress: SharedArrayBuffer;
  /** The configuration in force: a SharedConfig. */
  readonly sharedConfig: SharedArrayBuffer;
  /** Bytes of other files that were loaded before. */
  readonly loadedBytes: number;
}

/** The keys of which shards one thread loads. */
export interface LoadPart {
  readonly request: LoadRequest;
  readonly part: number;
  readonly partCount: number;
}

export interface LoadResult {
  /** One line that says why nothing could be loaded; '' if it went well. */
  readonly failure: string;
  readonly keysLoaded: number;
  readonly keysExpired: number;
  /** Offset in the file of what comes after the snapshot: its end, or commands. Of a failure: where it was found. */
  readonly endOffset: number;
  /** When the snapshot was begun, in seconds since the epoch; -1 if the file does not say. */
  readonly savedAtSeconds: number;
}

/**
 * Why a file can't be loaded that several threads have read, '' if it could. All of them read the same bytes, but whoever passes
 * over a value may find only later, in another key, that it is damaged: so it is the failure that comes first in the file.
 */
export function earliestFailure(results: readonly LoadResult[]): string {
  const failed = results.filter(({ failure }) => failure !== '');
  failed.sort((one, other) => one.endOffset - other.endOffset);
  return failed.length === 0 ? '' : failed[0].failure;
}

/** Loads a part of a file, in a thread that may have done nothing else before. */
export function loadPart({ request, part, partCount }: LoadPart): LoadResult {
  const { settings, loadedBytes } = request;
  const state = new PersistenceState(request.progress);
  state.noteLoadingThread();
  const keyspace = new Keyspace(request.keyspace, settings, new Float64Array(KeyspaceCounter.COUNT));
  const delay = new LoadDelay(request.sharedConfig);
  return loadFile(
    keyspace,
    request,
    createLog(request.logFile, () => request.logLevel),
    {
      pause: delay.isOn ? () => delay.pause() : undefined,
      part,
      partCount,
      onProgress: (offset) => {
        state.loadedBytes = loadedBytes + offset;
      },
    },
  );
}

/** The same with the keyspace at hand, which nobody else uses meanwhile. */
export function loadFile(
  keyspace: Keyspace,
  options: LoadOptions,
  log: Log,
  {
    part = 0,
    partCount = 1,
    replaces = false,
    onProgress = (_offset: number): void => {},
    pause,
  }: {
    part?: number;
    partCount?: number;
    replaces?: boolean;
    onProgress?: (offset: number) => void;
    pause?: () => void;
  } = {},
): LoadResult {
  const { fileName, nowMs, dropsExpired } = options;
  const isFirst = part === 0;
  let source: FileSource | null = null;
  let reader: RdbReader | null = null;
  let failure = '';
  try {
    source = new FileSource(fileName);
    const input = RdbInput.fromSource(source, options.hasChecksum && isFirst);
    reader = new RdbReader(input, keyspace, {
      nowMs,
      part,
      partCount,
      dropsExpired,
      replaces,
      warn: (text) => {
        if (isFirst) log(`${fileName}: ${text}`);
      },
      onProgress: isFirst ? () => onProgress(input.offset) : null,
      pause,
    });
    reader.load();
  } catch (error) {
    failure = describeRdbFailure(fileName, error);
  }
  source?.close();
  return {
    failure,
    keysLoaded: reader?.keysLoaded ?? 0,
    keysExpired: reader?.keysExpired ?? 0,
    endOffset: reader?.offset ?? 0,
    savedAtSeconds: Number(reader?.fields.get('ctime') ?? -1),
  };
}
