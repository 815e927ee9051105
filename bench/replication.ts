/**
 * What replication costs, of Damselfly and of redis-server in one run, each as a primary with a replica of its kind:
 * processor time of both per SET, the latency of WAIT, and what clients of the primary notice of a full synchronization.
 */

import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Command } from 'commander';
import type { RawClient } from '../test/tools/raw-client.js';
import { hasProgram, type ServerKind, TestServer } from '../test/tools/server.js';
import { command, hasLines, LoadConnection } from './load-connection.js';
import { cpuSeconds } from './process-cost.js';
import { formatNumber, formatTable, formatTarget, median, type Target } from './table.js';
import { warmMemory } from './warm-memory.js';
import { infoField, KEY_PREFIX, MemoryWatch, percentile, WriteLoad } from './write-load.js';

const runFile = promisify(execFile);
const VALUE_BYTES = 64;
const WRITERS = 20;
const PROBE_MS = 20;
const KINDS: readonly ServerKind[] = ['redis', 'damselfly'];

const program = new Command()
  .description('measures replication of Damselfly beside that of redis-server')
  .option('--threads <n>', "Damselfly's threads; default: the cores", String(availableParallelism()))
  .option('--rounds <n>', 'rounds of each measurement', '5')
  .option('--requests <n>', 'SETs of a round', '1000000')
  .option('--waits <n>', 'SETs with WAIT of a round', '5000')
  .option('--keys <n>', 'keys of the full synchronization', '5000000')
  .parse();
const options = program.opts<Record<string, string>>();
if (!hasProgram('redis-server')) program.error('redis-server is not installed');
const rounds = Number(options.rounds);
const requests = Number(options.requests);
const waits = Number(options.waits);
const keys = Number(options.keys);

type Results = Map<string, number[]>;

/** A primary and its replica. */
interface Group {
  readonly kind: ServerKind;
  readonly primary: TestServer;
  readonly replica: TestServer;
  readonly primaryControl: RawClient;
  readonly replicaControl: RawClient;
  readonly results: Results;
}

function note({ results }: Group, key: string, value: number): void {
  const values = results.get(key);
  if (values === undefined) results.set(key, [value]);
  else values.push(value);
}

async function startGroup(kind: ServerKind): Promise<Group> {
  const start = () =>
    TestServer.start({
      kind,
      threads: Number(options.threads),
      activeWorkers: 0,
      // As soon as a replica asks, and without limits that only one of them would reach.
      directives: {
        'repl-diskless-sync-delay': 0,
        'client-output-buffer-limit': 'replica 0 0 0',
        'enable-debug-command': 'yes',
      },
    });
  const primary = await start();
  const replica = await start();
  return {
    kind,
    primary,
    replica,
    primaryControl: await primary.rawClient(),
    replicaControl: await replica.rawClient(),
    results: new Map(),
  };
}

/** Waits until the replica has applied all that the primary has sent. */
async function untilInStep({ primaryControl, replicaControl }: Group): Promise<void> {
  const offset = Number(await infoField(primaryControl, 'replication', 'master_repl_offset'));
  while (!(Number(await infoField(replicaControl, 'replication', 'slave_repl_offset')) >= offset))
    await delay(PROBE_MS);
}

/** A full synchronization under load. */
async function measureSync(group: Group): Promise<void> {
  const { primary, replica, primaryControl, replicaControl } = group;
  const memory = new MemoryWatch(primary.pid);
  const writers = await Promise.all(Array.from({ length: WRITERS }, () => primary.rawClient()));
  const load = new WriteLoad(writers, keys, VALUE_BYTES);
  await delay(5000);
  load.latencies = [];
  await delay(5000);
  const before = percentile(load.latencies, 0.99);
  const memoryBefore = (await memory.report()).last;
  load.latencies = [];
  const startedAt = performance.now();
  await replicaControl.command('REPLICAOF', '127.0.0.1', primary.port);
  while ((await infoField(replicaControl, 'replication', 'master_link_status')) !== 'up')
    await delay(PROBE_MS);
  while (!(await infoField(primaryControl, 'replication', 'slave0')).includes('state=online'))
    await delay(PROBE_MS);
  note(group, 'sync', (performance.now() - startedAt) / 1000);
  note(group, 'slowdown', percentile(load.latencies, 0.99) / before);
  note(group, 'growth', 100 * ((await memory.report()).most / memoryBefore - 1));
  await load.stop();
  await memory.stop();
  for (const writer of writers) writer.socket.destroy();
  await untilInStep(group);
  const sizes = [await primaryControl.text('DBSIZE'), await replicaControl.text('DBSIZE')];
  if (sizes[0] !== sizes[1]) throw new Error(`${replica.port} has ${sizes[1]} of ${sizes[0]}`);
}

async function measureSets(group: Group): Promise<void> {
  const { primary, replica } = group;
  const before = [cpuSeconds(primary.pid), cpuSeconds(replica.pid)] as const;
  const line = ['-p', primary.port, '-n', requests, '-r', 1_000_000, '-c', 50, '-P', 16, '-t', 'set', '-q'];
  await runFile('redis-benchmark', line.map(String));
  await untilInStep(group);
  note(group, 'primary', ((cpuSeconds(primary.pid) - before[0]) * 1e6) / requests);
  note(group, 'replica', ((cpuSeconds(replica.pid) - before[1]) * 1e6) / requests);
}

async function measureWait(group: Group): Promise<void> {
  const connection = await LoadConnection.open(group.primary.port);
  const request = command('SET', 'waited', 'value') + command('WAIT', 1, 0);
  const turns: number[] = [];
  for (let turn = 0; turn < waits; turn++) {
    const startedAt = performance.now();
    const reply = await connection.send(request, hasLines(2));
    turns.push(performance.now() - startedAt);
    if (!reply.includes(':1\r\n')) throw new Error(`WAIT answered ${reply}`);
  }
  connection.close();
  note(group, 'wait50', percentile(turns, 0.5));
  note(group, 'wait99', percentile(turns, 0.99));
}

interface Row {
  readonly name: string;
  readonly unit: string;
  readonly key: string;
  readonly target?: Target;
  /** The target is for Damselfly's figure, not for its quotient with that of Redis. */
  readonly isAbsolute?: boolean;
}

const ROWS: readonly Row[] = [
  { name: 'SET, pipeline 16: primary', unit: 'µs', key: 'primary', target: { limit: 0.8 } },
  { name: 'SET, pipeline 16: replica', unit: 'µs', key: 'replica', target: { limit: 0.9 } },
  { name: 'SET and WAIT 1: p50', unit: 'ms', key: 'wait50', target: { limit: 1.2 } },
  { name: 'SET and WAIT 1: p99', unit: 'ms', key: 'wait99' },
  { name: 'full synchronization', unit: 's', key: 'sync', target: { limit: 0.8 } },
  { name: '  growth of the primary', unit: '%', key: 'growth', target: { limit: 5 }, isAbsolute: true },
  { name: '  p99 during ÷ before', unit: '', key: 'slowdown', target: { limit: 2 }, isAbsolute: true },
];

warmMemory();
const groups = [await startGroup('redis'), await startGroup('damselfly')];
for (const group of groups) {
  await group.primaryControl.command('DEBUG', 'POPULATE', keys, KEY_PREFIX, VALUE_BYTES);
  process.stderr.write(`${group.kind}: full synchronization\n`);
  await measureSync(group);
  await group.primaryControl.command('FLUSHALL');
  await untilInStep(group);
}
for (const measured of [measureSets, measureWait]) {
  process.stderr.write(`${measured.name} `);
  for (let round = 0; round < rounds; round++) {
    for (const group of groups) {
      await measured(group);
      process.stderr.write('.');
    }
  }
  process.stderr.write('\n');
}
for (const group of groups) {
  await group.replica.stop('SIGKILL');
  await group.primary.stop('SIGKILL');
}

const printed: string[][] = [[`${keys} keys of ${VALUE_BYTES} bytes`, 'unit', ...KINDS, '÷', 'target']];
for (const { name, unit, key, target, isAbsolute } of ROWS) {
  const values = groups.map((group) => median(group.results.get(key)!));
  const ratio = values[1]! / values[0]!;
  const verdict = target === undefined ? '' : formatTarget(target, isAbsolute ? values[1]! : ratio);
  printed.push([name, unit, ...values.map(formatNumber), formatNumber(ratio), verdict]);
}
console.log(formatTable(printed));
