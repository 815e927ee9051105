/**
 * What saving and loading costs, of Damselfly and of redis-server in one run: memory and latencies while a snapshot is
 * written under load, how long that takes, and how long a file takes to load: the last that was written.
 */

import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { Command } from 'commander';
import type { RawClient } from '../test/tools/raw-client.js';
import { hasProgram, type ServerKind, TestServer } from '../test/tools/server.js';
import { formatNumber, formatTable, formatTarget, type Target } from './table.js';
import { warmMemory } from './warm-memory.js';
import { infoField, KEY_PREFIX, MemoryWatch, percentile, WriteLoad } from './write-load.js';

const CONNECTIONS = 20;
const VALUE_BYTES = 64;
/** Between two looks at whether the snapshot is complete. */
const PROBE_MS = 50;

type Results = Map<string, number>;

async function connect(server: TestServer, count: number): Promise<RawClient[]> {
  return Promise.all(Array.from({ length: count }, () => server.rawClient()));
}

/** How long a server takes to start, with what is in a folder or without anything. */
async function startSeconds(kind: ServerKind, threads: number, folder: string | null): Promise<number> {
  const startedAt = performance.now();
  const server = await TestServer.start({
    kind,
    threads,
    activeWorkers: 0,
    directives: folder === null ? {} : { dir: folder },
  });
  const seconds = (performance.now() - startedAt) / 1000;
  await server.stop('SIGKILL');
  return seconds;
}

/** Seconds that each server takes to load the same file: medians of as many rounds, in which the servers take turns. */
async function measureLoading(kinds: readonly ServerKind[], threads: number, folder: string, rounds: number) {
  const seconds = new Map<ServerKind, number[]>(kinds.map((kind) => [kind, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [kind, times] of seconds) {
      const withFile = await startSeconds(kind, threads, folder);
      times.push(withFile - (await startSeconds(kind, threads, null)));
    }
  }
  return new Map([...seconds].map(([kind, times]) => [kind, percentile(times, 0.5)]));
}

/** Snapshots under load, medians of as many rounds; the last one's file is left in `folder`. */
async function measureSnapshots(
  kind: ServerKind,
  threads: number,
  keys: number,
  seconds: number,
  rounds: number,
  folder: string,
): Promise<Results> {
  const server = await TestServer.start({ kind, threads, activeWorkers: 0 });
  try {
    const control = await server.rawClient();
    await control.command('DEBUG', 'POPULATE', keys, KEY_PREFIX, VALUE_BYTES);
    const memory = new MemoryWatch(server.pid);
    const load = new WriteLoad(await connect(server, CONNECTIONS), keys, VALUE_BYTES);
    const results: Results[] = [];
    for (let round = 0; round < rounds; round++) {
      await delay(1000);
      results.push(await measureSnapshot(control, memory, load, seconds));
    }
    await memory.stop();
    await load.stop();
    copyFileSync(path.join(server.directory, 'dump.rdb'), path.join(folder, 'dump.rdb'));
    const summary: Results = new Map();
    for (const key of results[0]!.keys()) {
      const values = results.map((one) => one.get(key) ?? Number.NaN);
      // A server may keep what its first snapshot has taken, so that the next ones grow by nothing.
      summary.set(key, percentile(values, key === 'growth' ? 1 : 0.5));
    }
    summary.set('size', statSync(path.join(folder, 'dump.rdb')).size / 2 ** 20);
    return summary;
  } finally {
    await server.stop('SIGKILL');
  }
}

async function measureSnapshot(
  control: RawClient,
  memory: MemoryWatch,
  load: WriteLoad,
  seconds: number,
): Promise<Results> {
  load.latencies = [];
  await delay(seconds * 1000);
  const before = percentile(load.latencies, 0.99);
  load.latencies = [];
  const memoryBefore = (await memory.report()).last;
  const startedAt = performance.now();
  const reply = await control.text('BGSAVE');
  if (!reply.startsWith('+')) throw new Error(`BGSAVE answered ${reply}`);
  while ((await infoField(control, 'persistence', 'rdb_bgsave_in_progress')) !== '0') await delay(PROBE_MS);
  const duration = (performance.now() - startedAt) / 1000;
  if ((await infoField(control, 'persistence', 'rdb_last_bgsave_status')) !== 'ok')
    throw new Error('the save has failed');
  const during = percentile(load.latencies, 0.99);
  const growth = 100 * ((await memory.report()).most / memoryBefore - 1);
  return new Map(Object.entries({ duration, growth, during, slowdown: during / before }));
}

interface Row {
  readonly name: string;
  readonly unit: string;
  readonly key: string;
  readonly target: Target | null;
  /** The target is for the quotient of Damselfly and Redis. */
  readonly isRatio: boolean;
}

const ROWS: readonly Row[] = [
  { name: 'BGSAVE: growth of memory', unit: '%', key: 'growth', target: { limit: 5 }, isRatio: false },
  { name: 'BGSAVE: p99 during it', unit: 'ms', key: 'during', target: null, isRatio: true },
  { name: 'BGSAVE: p99 during ÷ before', unit: '', key: 'slowdown', target: { limit: 2 }, isRatio: false },
  { name: 'BGSAVE: duration', unit: 's', key: 'duration', target: { limit: 1 }, isRatio: true },
  { name: 'size of the file', unit: 'MiB', key: 'size', target: null, isRatio: true },
  { name: 'loading of the file', unit: 's', key: 'load', target: { limit: 0.8 }, isRatio: true },
];

const program = new Command()
  .description('measures what saving and loading costs Damselfly beside redis-server')
  .option('--servers <names>', 'redis, damselfly or both', 'redis,damselfly')
  .option('--threads <n>', "Damselfly's threads; default: the cores", String(availableParallelism()))
  .option('--scale <factor>', 'multiplies the counts of keys and the times', '1')
  .option('--rounds <n>', 'how often a file is saved and loaded', '5')
  .parse();
const options = program.opts<{ servers: string; threads: string; scale: string; rounds: string }>();
const kinds = options.servers.split(',') as ServerKind[];
if (kinds.includes('redis') && !hasProgram('redis-server')) program.error('redis-server is not installed');
const scale = Number(options.scale);
const threads = Number(options.threads);
const keys = Math.max(1000, Math.round(5_000_000 * scale));
const rounds = Number(options.rounds);
const seconds = Math.max(1, 10 * scale);

warmMemory();
const all = new Map<ServerKind, Results>();
const folder = mkdtempSync(path.join(tmpdir(), 'damselfly-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
for (const kind of kinds) {
  try {
    all.set(kind, await measureSnapshots(kind, threads, keys, seconds, rounds, folder));
  } catch (error) {
    process.stderr.write(`${kind}: ${(error as Error).message}\n`);
  }
  // What one has left for the disk is not the next one's.
  execFileSync('sync');
}
for (const [kind, load] of await measureLoading(kinds, threads, folder, rounds)) {
  all.get(kind)?.set('load', load);
}

const printed: string[][] = [[`${keys} keys of ${VALUE_BYTES} bytes`, 'unit', ...kinds, '÷', 'target']];
for (const { name, unit, key, target, isRatio } of ROWS) {
  const cells = kinds.map((kind) => formatNumber(all.get(kind)?.get(key) ?? Number.NaN));
  const ours = all.get('damselfly')?.get(key) ?? Number.NaN;
  const ratio = ours / (all.get('redis')?.get(key) ?? Number.NaN);
  const judged = isRatio ? ratio : ours;
  const verdict = target === null || Number.isNaN(judged) ? '' : formatTarget(target, judged);
  printed.push([name, unit, ...cells, formatNumber(ratio), verdict]);
}
console.log(formatTable(printed));
