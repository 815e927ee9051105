/**
 * Loads the snapshot at start. A long file is read by several threads at once, each of which builds the keys of its
 * own shards (rdb-reader.ts).
 */

import { KeyspaceCounter } from '../keyspace/counters.js';
import { Keyspace, type KeyspaceHandle } from '../keyspace/keyspace.js';
import type { KeyspaceSettings } from '../keyspace/settings.js';
import { createLog, type Log } from '../log.js';
import { setHashSecret } from '../memory/hash.js';
import { RdbInput } from './rdb-input.js';
import { describeRdbFailure, RdbReader } from './rdb-reader.js';
import { FileSource } from './snapshot-file.js';

/** A shorter file is loaded before other threads would have started. */
const PARALLEL_BYTES_MIN = 4 << 20;

const PROGRESS_INTERVAL_MS = 1000;

export interface LoadRequest {
  readonly keyspace: KeyspaceHandle;
  readonly settings: KeyspaceSettings;
  readonly hashSecret: readonly [number, number];
  readonly fileName: string;
  readonly logFile: string;
  /** `rdbchecksum` */
  readonly hasChecksum: boolean;
  readonly nowMs: number;
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
}

/** Loads a part of a file, in a thread that may have done nothing else before. */
export function loadPart({ request, part, partCount }: LoadPart): LoadResult {
  setHashSecret(request.hashSecret[0], request.hashSecret[1]);
  const keyspace = new Keyspace(request.keyspace, request.settings, new Float64Array(KeyspaceCounter.COUNT));
  return loadFile(keyspace, request, createLog(request.logFile), part, partCount);
}

/** The same with the keyspace at hand, which nobody else uses meanwhile. */
export function loadFile(
  keyspace: Keyspace,
  options: Pick<LoadRequest, 'fileName' | 'hasChecksum' | 'nowMs'>,
  log: Log,
  part = 0,
  partCount = 1,
  replaces = false,
): LoadResult {
  const { fileName, nowMs } = options;
  const isFirst = part === 0;
  let source: FileSource | null = null;
  let loaded = { keysLoaded: 0, keysExpired: 0 };
  let failure = '';
  try {
    const file = new FileSource(fileName);
    source = file;
    const input = RdbInput.fromSource(file, options.hasChecksum && isFirst);
    let nextProgressMs = performance.now() + PROGRESS_INTERVAL_MS;
    const reader = new RdbReader(input, keyspace, {
      nowMs,
      part,
      partCount,
      dropsExpired: true,
      replaces,
      warn: (text) => {
        if (isFirst) log(`${fileName}: ${text}`);
      },
      onProgress: () => {
        if (!isFirst || performance.now() < nextProgressMs) return;
        nextProgressMs += PROGRESS_INTERVAL_MS;
        log(`Loading ${fileName}: ${Math.floor((100 * input.offset) / file.lengthBytes)} %`);
      },
    });
    loaded = reader;
    reader.load();
  } catch (error) {
    failure = describeRdbFailure(fileName, error);
  }
  source?.close();
  return { failure, keysLoaded: loaded.keysLoaded, keysExpired: loaded.keysExpired };
}

/**
 * Loads the snapshot, if there is one, with up to `threads` threads. Returns null if there is none. Throws an Error
 * with a one-line message if it can't be loaded.
 */
export async function loadSnapshot(
  request: LoadRequest,
  threads: number,
  log: Log,
): Promise<LoadResult | null> {
  const { fileName } = request;
  let lengthBytes: number;
  try {
    const source = new FileSource(fileName);
    ({ lengthBytes } = source);
    source.close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new Error(`can't load ${fileName}: ${(error as Error).message}`);
  }
  const startedMs = performance.now();
  const results =
    lengthBytes < PARALLEL_BYTES_MIN || threads === 1
      ? [loadPart({ request, part: 0, partCount: 1 })]
      : await loadParts(request, threads);
  for (const { failure } of results) if (failure !== '') throw new Error(failure);
  const sum = (values: readonly number[]): number => values.reduce((left, right) => left + right, 0);
  const keysLoaded = sum(results.map((result) => result.keysLoaded));
  const keysExpired = sum(results.map((result) => result.keysExpired));
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(3);
  log(`Done loading ${fileName}: ${keysLoaded} keys loaded, ${keysExpired} keys expired, ${seconds} seconds`);
  return { failure: '', keysLoaded, keysExpired };
}

async function loadParts(request: LoadRequest, partCount: number): Promise<LoadResult[]> {
  const { Piscina } = await import('piscina');
  const pool = new Piscina<LoadPart, LoadResult>({
    filename: new URL('../../workers/job.js', import.meta.url).href,
    maxThreads: partCount,
    minThreads: partCount,
    name: 'loadPart',
  });
  try {
    const parts = Array.from({ length: partCount }, (_, part) => pool.run({ request, part, partCount }));
    return await Promise.all(parts);
  } finally {
    await pool.destroy();
  }
}
