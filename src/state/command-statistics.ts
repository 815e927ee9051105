/**
 * What the server counts, in shared memory: each worker has counters of its own, which only it moves, so
 * that counting needs neither locks nor atomic operations. Readers add the workers up; a figure read
 * while it moves is at most one step behind.
 *
 *   per worker, float64
 *     SERVER_COUNTERS   server-wide counters (ServerCounter)
 *     KEYSPACE_COUNTERS counters of the keyspace (KeyspaceCounter)
 *     commands × 4      calls, nanoseconds, rejected calls, failed calls
 *   per worker, int32
 *     ERRORS_MAX × 16   count, length of the prefix, its bytes (56)
 *     commands × HISTOGRAM_BUCKETS   latency histogram of each command
 *   once
 *     instantaneous metrics: METRICS × (last time, last value, 16 samples), next sample
 *
 * Histogram: 128 buckets of equal width per power of two of nanoseconds, up to one second; the resolution
 * is better than 1 % (the layout of Gil Tene's HdrHistogram with two significant digits, so that
 * percentiles are cut at the same borders as in Redis). Memory is touched only for commands in use.
 */

const SERVER_COUNTERS = 32;
const KEYSPACE_COUNTERS = 16;
const ERRORS_MAX = 128;
const ERROR_WORDS = 16;
const ERROR_BYTES_MAX = (ERROR_WORDS - 2) * 4;

const SUB_BUCKET_BITS = 7;
const SUB_BUCKETS = 1 << SUB_BUCKET_BITS;
/** One second in nanoseconds; what takes longer counts as that. */
const HISTOGRAM_VALUE_MAX = 1_000_000_000;
const HISTOGRAM_BUCKETS = bucketOf(HISTOGRAM_VALUE_MAX) + 1;

/** Number of samples of which an instantaneous metric is the mean. */
const SAMPLES = 16;
const METRIC_DOUBLES = SAMPLES + 3;

export const enum ServerCounter {
  ConnectionsReceived = 0,
  CommandsProcessed = 1,
  InputBytes = 2,
  OutputBytes = 3,
  RejectedConnections = 4,
  ErrorReplies = 5,
  Reads = 6,
  Writes = 7,
  EvictedClients = 8,
  /** Clients closed because they read too slowly (client-output-buffer-limit). */
  OutputLimitDisconnections = 9,
  QueryLimitDisconnections = 10,
  UnexpectedErrorReplies = 11,
  ExpireTimeCapReached = 12,
  EvictionExceededMicroseconds = 13,
  AclAccessDeniedAuth = 14,
  AclAccessDeniedCommand = 15,
  AclAccessDeniedKey = 16,
  AclAccessDeniedChannel = 17,
  /** Connections that another worker has given to this one. */
  ConnectionsMoved = 18,
  /** Locks that another thread held: how often, how often this thread slept for them, and how long. */
  LocksContended = 19,
  LockSleeps = 20,
  LockSleepMicroseconds = 21,
}

export const enum InstantaneousMetric {
  Commands = 0,
  InputBytes = 1,
  OutputBytes = 2,
  COUNT = 3,
}

export interface CommandTotals {
  calls: number;
  microseconds: number;
  rejectedCalls: number;
  failedCalls: number;
}

export interface StatisticsHandle {
  readonly buffer: SharedArrayBuffer;
  readonly workers: number;
  readonly commands: number;
}

/** Byte offsets of one worker's part. */
function workerBytes(commands: number): number {
  const doubles = SERVER_COUNTERS + KEYSPACE_COUNTERS + 4 * commands;
  const words = ERRORS_MAX * ERROR_WORDS + commands * HISTOGRAM_BUCKETS;
  return doubles * 8 + Math.ceil(words / 2) * 8;
}

/** The counters of one worker: the arrays are open, so that counting is one store. */
export class WorkerStatistics {
  /** At ServerCounter. */
  readonly server: Float64Array;
  /** At KeyspaceCounter. */
  readonly keyspace: Float64Array;
  /** At command ids. */
  readonly calls: Float64Array;
  readonly nanoseconds: Float64Array;
  readonly rejectedCalls: Float64Array;
  readonly failedCalls: Float64Array;
  readonly errors: Int32Array;
  readonly histograms: Int32Array;
  /** Index of the record for each error prefix; filled in by the worker that counts. */
  private readonly errorRecords = new Map<string, number>();

  constructor(handle: StatisticsHandle, worker: number) {
    const { buffer, commands } = handle;
    let offset = worker * workerBytes(commands);
    const take = (count: number): Float64Array => {
      const array = new Float64Array(buffer, offset, count);
      offset += count * 8;
      return array;
    };
    this.server = take(SERVER_COUNTERS);
    this.keyspace = take(KEYSPACE_COUNTERS);
    this.calls = take(commands);
    this.nanoseconds = take(commands);
    this.rejectedCalls = take(commands);
    this.failedCalls = take(commands);
    this.errors = new Int32Array(buffer, offset, ERRORS_MAX * ERROR_WORDS);
    offset += this.errors.byteLength;
    this.histograms = new Int32Array(buffer, offset, commands * HISTOGRAM_BUCKETS);
  }

  /** Counts one call of a command with its duration. */
  recordCall(commandId: number, nanoseconds: number): void {
    this.calls[commandId]++;
    this.nanoseconds[commandId] += nanoseconds;
    const value =
      nanoseconds < 1 ? 1 : nanoseconds > HISTOGRAM_VALUE_MAX ? HISTOGRAM_VALUE_MAX : nanoseconds | 0;
    this.histograms[commandId * HISTOGRAM_BUCKETS + bucketOf(value)]++;
  }

  /** Counts `calls` calls that took `nanoseconds` together, e.g. a batch of one command. */
  recordCalls(commandId: number, calls: number, nanoseconds: number): void {
    if (calls === 0) return;
    this.calls[commandId] += calls;
    this.nanoseconds[commandId] += nanoseconds;
    const mean = nanoseconds / calls;
    const value = mean < 1 ? 1 : mean > HISTOGRAM_VALUE_MAX ? HISTOGRAM_VALUE_MAX : mean | 0;
    this.histograms[commandId * HISTOGRAM_BUCKETS + bucketOf(value)] += calls;
  }

  /** Counts an error reply by its first word, e.g. "ERR" or "WRONGTYPE". New ones beyond 128 only count as a sum. */
  recordError(prefix: string): void {
    this.server[ServerCounter.ErrorReplies]++;
    let record = this.errorRecords.get(prefix);
    if (record === undefined) {
      record = this.errorRecords.size;
      if (record === ERRORS_MAX) return;
      this.errorRecords.set(prefix, record);
      const at = record * ERROR_WORDS;
      const length = Math.min(prefix.length, ERROR_BYTES_MAX);
      const bytes = new Uint8Array(
        this.errors.buffer,
        this.errors.byteOffset + (at + 2) * 4,
        ERROR_BYTES_MAX,
      );
      for (let index = 0; index < length; index++) bytes[index] = prefix.charCodeAt(index);
      this.errors[at] = 0;
      Atomics.store(this.errors, at + 1, length);
    }
    this.errors[record * ERROR_WORDS]++;
  }
}

/** All workers' counters together; any thread may have one. */
export class Statistics {
  readonly handle: StatisticsHandle;
  readonly workers: readonly WorkerStatistics[];
  private readonly metrics: Float64Array;

  constructor(handle: StatisticsHandle) {
    this.handle = handle;
    const { buffer, workers, commands } = handle;
    this.workers = Array.from({ length: workers }, (_, worker) => new WorkerStatistics(handle, worker));
    this.metrics = new Float64Array(
      buffer,
      workers * workerBytes(commands),
      METRIC_DOUBLES * InstantaneousMetric.COUNT,
    );
  }

  /** `commands`: size of the command table. */
  static create(workers: number, commands: number): StatisticsHandle {
    const bytes = workers * workerBytes(commands) + METRIC_DOUBLES * InstantaneousMetric.COUNT * 8;
    return { buffer: new SharedArrayBuffer(bytes), workers, commands };
  }

  /** A server-wide counter, over all workers. */
  total(counter: ServerCounter): number {
    let sum = 0;
    for (const worker of this.workers) sum += worker.server[counter];
    return sum;
  }

  /** A counter of the keyspace (KeyspaceCounter), over all workers. */
  keyspaceTotal(counter: number): number {
    let sum = 0;
    for (const worker of this.workers) sum += worker.keyspace[counter];
    return sum;
  }

  command(commandId: number): CommandTotals {
    const totals = { calls: 0, microseconds: 0, rejectedCalls: 0, failedCalls: 0 };
    for (const worker of this.workers) {
      totals.calls += worker.calls[commandId];
      totals.microseconds += worker.nanoseconds[commandId];
      totals.rejectedCalls += worker.rejectedCalls[commandId];
      totals.failedCalls += worker.failedCalls[commandId];
    }
    totals.microseconds = Math.floor(totals.microseconds / 1000);
    return totals;
  }

  /** Counts per error prefix, in the order of the prefixes. */
  errors(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { errors } of this.workers) {
      for (let at = 0; at < errors.length; at += ERROR_WORDS) {
        const length = Atomics.load(errors, at + 1);
        if (length === 0) break;
        if (errors[at] === 0) continue;
        const bytes = new Uint8Array(errors.buffer, errors.byteOffset + (at + 2) * 4, length);
        const prefix = String.fromCharCode(...bytes);
        counts.set(prefix, (counts.get(prefix) ?? 0) + errors[at]);
      }
    }
    return new Map([...counts].sort(([one], [other]) => (one < other ? -1 : 1)));
  }

  /** A command's histogram, all workers added up. */
  private histogram(commandId: number): Float64Array {
    const sums = new Float64Array(HISTOGRAM_BUCKETS);
    for (const { histograms } of this.workers) {
      const start = commandId * HISTOGRAM_BUCKETS;
      for (let bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) sums[bucket] += histograms[start + bucket];
    }
    return sums;
  }

  /**
   * The cumulative distribution as LATENCY HISTOGRAM reports it: pairs of an upper border in µs, about a
   * power of two, and the calls that took no longer; only borders at which the count grows.
   */
  cumulativeHistogram(commandId: number): [number, number][] {
    const sums = this.histogram(commandId);
    const total = sums.reduce((sum, count) => sum + count, 0);
    const result: [number, number][] = [];
    let counted = 0;
    let bucket = 0;
    for (let border = 1024; counted < total; border *= 2) {
      const before = counted;
      const last = bucketOf(Math.min(border, HISTOGRAM_VALUE_MAX));
      for (; bucket <= last; bucket++) counted += sums[bucket];
      if (counted > before) result.push([Math.floor(upperBorder(bucketOf(border)) / 1000), counted]);
    }
    return result;
  }

  /** Latencies in µs at percentiles (0...100) of a command; null if it was never called. */
  percentiles(commandId: number, percentiles: readonly number[]): number[] | null {
    const sums = this.histogram(commandId);
    const total = sums.reduce((sum, count) => sum + count, 0);
    if (total === 0) return null;
    return percentiles.map((percentile) => {
      const wanted = Math.max(1, Math.floor((Math.min(percentile, 100) / 100) * total + 0.5));
      let counted = 0;
      for (let bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        counted += sums[bucket];
        if (counted >= wanted) return upperBorder(bucket) / 1000;
      }
      return upperBorder(HISTOGRAM_BUCKETS - 1) / 1000;
    });
  }

  /** CONFIG RESETSTAT. A call that a worker is just counting may survive it. */
  reset(): void {
    for (const worker of this.workers) {
      worker.server.fill(0);
      worker.keyspace.fill(0);
      // Commands that were never called keep their pages untouched.
      for (let id = 0; id < worker.calls.length; id++) {
        if (worker.calls[id] === 0) continue;
        worker.histograms.fill(0, id * HISTOGRAM_BUCKETS, (id + 1) * HISTOGRAM_BUCKETS);
      }
      worker.calls.fill(0);
      worker.nanoseconds.fill(0);
      worker.rejectedCalls.fill(0);
      worker.failedCalls.fill(0);
      for (let at = 0; at < worker.errors.length; at += ERROR_WORDS) worker.errors[at] = 0;
    }
    this.metrics.fill(0);
  }

  /** Takes a sample of all instantaneous metrics. One thread calls it about every 100 ms. */
  sample(nowMs: number): void {
    this.sampleMetric(InstantaneousMetric.Commands, this.total(ServerCounter.CommandsProcessed), nowMs);
    this.sampleMetric(InstantaneousMetric.InputBytes, this.total(ServerCounter.InputBytes), nowMs);
    this.sampleMetric(InstantaneousMetric.OutputBytes, this.total(ServerCounter.OutputBytes), nowMs);
  }

  private sampleMetric(metric: InstantaneousMetric, value: number, nowMs: number): void {
    const { metrics } = this;
    const at = metric * METRIC_DOUBLES;
    const elapsedMs = nowMs - metrics[at];
    if (metrics[at] > 0 && elapsedMs > 0) {
      const rate = Math.max(0, ((value - metrics[at + 1]) * 1000) / elapsedMs);
      metrics[at + 3 + metrics[at + 2]] = rate;
      metrics[at + 2] = (metrics[at + 2] + 1) % SAMPLES;
    }
    metrics[at] = nowMs;
    metrics[at + 1] = value;
  }

  /** Per second, the mean of the last samples. */
  instantaneous(metric: InstantaneousMetric): number {
    const at = metric * METRIC_DOUBLES + 3;
    let sum = 0;
    for (let sample = 0; sample < SAMPLES; sample++) sum += this.metrics[at + sample];
    return sum / SAMPLES;
  }
}

/** The bucket of a value in ns. Values below 256 have buckets of their own. */
function bucketOf(value: number): number {
  const shift = 31 - Math.clz32(value | (2 * SUB_BUCKETS - 1)) - SUB_BUCKET_BITS;
  return shift * SUB_BUCKETS + (value >>> shift);
}

/** The largest value of a bucket. */
function upperBorder(bucket: number): number {
  if (bucket < 2 * SUB_BUCKETS) return bucket;
  const shift = Math.floor(bucket / SUB_BUCKETS) - 1;
  return (bucket - shift * SUB_BUCKETS + 1) * 2 ** shift - 1;
}
