/** Loads one thread's part of a snapshot: several threads read the file, and each builds the keys of its own shards. */

import type { KeyspaceSettings } from '../config/keyspace-settings.js';
import { KeyspaceCounter } from '../keyspace/counters.js';
import { Keyspace, type KeyspaceHandle } from '../keyspace/keyspace.js';
import type { HeededBlock } from '../memory/attention.js';
import { type LoadOptions, type LoadResult, loadFile } from '../persistence/load-file.js';
import { PersistenceState } from '../state/persistence-state.js';
import { createLog, type LogLevel } from '../system/log.js';
import { LoadDelay } from './load-delay.js';

export interface LoadRequest extends LoadOptions {
  readonly keyspace: KeyspaceHandle;
  readonly settings: KeyspaceSettings;
  readonly logFile: string;
  readonly logLevel: LogLevel;
  readonly isReplica: boolean;
  /** Where to report the progress: a PersistenceState. */
  readonly progress: HeededBlock;
  /** The configuration in force: a SharedConfig. */
  readonly sharedConfig: HeededBlock;
  /** Bytes of other files that were loaded before. */
  readonly loadedBytes: number;
}

/** Selects the shards whose keys one thread loads. */
export interface LoadPart {
  readonly request: LoadRequest;
  readonly part: number;
  readonly partCount: number;
}

/** Loads a part of a file, in a thread that may have done nothing else before. */
export function loadPart({ request, part, partCount }: LoadPart): LoadResult {
  const { settings, loadedBytes } = request;
  const state = new PersistenceState(request.progress);
  state.noteLoadingThread();
  const keyspace = new Keyspace(request.keyspace, settings, new Float64Array(KeyspaceCounter.COUNT));
  keyspace.useReserve(true);
  const delay = new LoadDelay(request.sharedConfig);
  return loadFile(
    keyspace,
    request,
    createLog(
      request.logFile,
      () => request.logLevel,
      () => request.isReplica,
    ),
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
