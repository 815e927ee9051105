/**
 * Damselfly beside redis-server: throughput, processor time and latency of what workloads.ts lists.
 *
 * Both servers run for the whole time and are measured in turns, A B A B …, so that whatever else the
 * machine does meets both. Printed are medians over the rounds. The load comes from redis-benchmark: 50
 * connections; strings have 16-byte keys drawn from a million that are all there.
 */

import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { hasProgram, type ServerKind, TestServer } from '../test/tools/server.js';
import { preload } from './load.js';
import { command, LoadConnection } from './load-connection.js';
import { cpuSeconds } from './process-cost.js';
import { formatNumber, formatTable, formatTarget, isMet, median } from './table.js';
import { warmMemory } from './warm-memory.js';
import { KEYS, type Pipeline, type Sample, suites, type Workload } from './workloads.js';

const CONNECTIONS = 50;
const VALUE_BYTES = 3;
/** Requests that show roughly how fast a server is, to size the rounds; by pipeline depth. */
const CALIBRATION_REQUESTS: Readonly<Record<Pipeline, number>> = {
  64: 400_000,
  16: 200_000,
  4: 60_000,
  1: 30_000,
};
/** What the values of these requests, or of all that are sent ahead at once, have in all, at most. */
const CALIBRATION_BYTES_MAX = 256 << 20;
/** Longer values are not sent ahead by the dozen. */
const PIPELINED_VALUE_BYTES_MAX = 1024;

const COLUMNS: readonly (readonly [keyof Sample, string])[] = [
  ['requestsPerSecond', 'requests/s'],
  ['cpuMicroseconds', 'CPU µs/op'],
  ['p50Ms', 'p50 ms'],
  ['p99Ms', 'p99 ms'],
  ['p999Ms', 'p99.9 ms'],
];

const runFile = promisify(execFile);

/** Reads the report that redis-benchmark prints for people: its CSV has no 99.9th percentile. */
function readReport(report: string): Omit<Sample, 'cpuMicroseconds'> {
  const throughput = /throughput summary: ([\d.]+) requests per second/.exec(report);
  const latency = /latency summary \(msec\):\s+avg\s+min\s+p50\s+p95\s+p99\s+max\s+([\d. ]+)/.exec(report);
  if (!throughput || !latency) throw new Error(`redis-benchmark printed no summary:\n${report.slice(-2000)}`);
  const [, , p50, , p99] = latency[1]!.trim().split(/\s+/).map(Number);
  let p999 = Number.NaN;
  for (const [, percent, milliseconds] of report.matchAll(/^([\d.]+)% <= ([\d.]+) milliseconds \(cumul/gm)) {
    if (Number(percent) < 99.9) continue;
    p999 = Number(milliseconds);
    break;
  }
  return { requestsPerSecond: Number(throughput[1]), p50Ms: p50!, p99Ms: p99!, p999Ms: p999 };
}

/** One round. */
async function measure(
  server: TestServer,
  workload: Workload,
  requests: number,
  clientThreads: number,
): Promise<Sample> {
  if (workload.drive) return workload.drive(server.port, requests, () => cpuSeconds(server.pid));
  const line = ['-h', '127.0.0.1', '-p', server.port, '-n', requests, '-r', workload.range];
  const valueBytes = workload.valueBytes ?? VALUE_BYTES;
  line.push('-c', CONNECTIONS, '-P', workload.pipeline, '-d', valueBytes, '--precision', 3);
  if (clientThreads > 1) line.push('--threads', clientThreads);
  const send = (load: readonly string[]) =>
    runFile('redis-benchmark', [...line.map(String), ...load], { maxBuffer: 1 << 26 });
  if (workload.fill) await send(workload.fill);
  const before = cpuSeconds(server.pid);
  const { stdout } = await send(workload.load);
  const seconds = cpuSeconds(server.pid) - before;
  return { ...readReport(stdout), cpuMicroseconds: (seconds * 1e6) / requests };
}

/** A sample whose every field is made from the same field of others. */
function combine(make: (field: keyof Sample) => number): Sample {
  return Object.fromEntries(COLUMNS.map(([field]) => [field, make(field)])) as unknown as Sample;
}

const program = new Command()
  .description('measures Damselfly beside redis-server')
  .option('--suite <name>', Object.keys(suites).join(' or '), 'strings')
  .option('--workloads <names>', 'only these; of strings, a number is the pipeline depth, t1 one thread')
  .option('--rounds <n>', 'rounds per server and workload', '5')
  .option('--seconds <n>', 'length of a round', '3')
  .option('--threads <n>', "Damselfly's threads; default: the cores", String(availableParallelism()))
  .option('--client-threads <n>', 'threads of redis-benchmark', '1')
  .option('--subject <kind>', 'damselfly, or redis to see the noise of the measurement', 'damselfly')
  .parse();
const options = program.opts<Record<string, string>>();
if (!hasProgram('redis-server') || !hasProgram('redis-benchmark')) {
  program.error('redis-server and redis-benchmark must be installed');
}
const suite = suites[options.suite!] ?? program.error(`no suite ${options.suite}`);
const names = options.workloads?.split(',') ?? suite.map((workload) => workload.name);
const chosen = names.map((name) => {
  return suite.find((workload) => workload.name === name) ?? program.error(`no workload ${name}`);
});
const rounds = Number(options.rounds);
const seconds = Number(options.seconds);
const clientThreads = Number(options.clientThreads);

async function start(
  kind: ServerKind,
  threads: number,
  { activeWorkers, directives }: Workload,
): Promise<TestServer> {
  const server = await TestServer.start({
    kind,
    threads,
    activeWorkers: activeWorkers ?? 0,
    directives: { 'enable-debug-command': 'no', ...directives },
  });
  await preload(server.port, KEYS, VALUE_BYTES);
  return server;
}

/** What has been prepared, by server: workloads may share it. */
const prepared = new Map<TestServer, string>();

async function prepare(server: TestServer, workload: Workload): Promise<void> {
  if (!workload.prepare) return;
  const { load, requests } = workload.prepare;
  const { valueBytes = VALUE_BYTES, range } = workload;
  const name = [...load, valueBytes, range].join(' ');
  // The one before may have put other values in the place of what had been prepared before that.
  if (prepared.get(server) === name) return;
  const pipeline = valueBytes > PIPELINED_VALUE_BYTES_MAX ? 1 : 64;
  await measure(
    server,
    { name, load, pipeline, range, valueBytes, threads: null, targets: {} },
    requests,
    clientThreads,
  );
  prepared.set(server, name);
}

function calibrationRequests({
  calibrationRequests: given,
  pipeline,
  valueBytes = VALUE_BYTES,
}: Workload): number {
  return given ?? Math.min(CALIBRATION_REQUESTS[pipeline], Math.ceil(CALIBRATION_BYTES_MAX / valueBytes));
}

warmMemory();
/** What workloads have to agree in to share their servers. */
const serversOf = ({ threads, activeWorkers, directives }: Workload): string =>
  JSON.stringify([threads, activeWorkers, directives]);
const rows: string[][] = [['workload', 'server', ...COLUMNS.map(([, title]) => title), 'targets']];
let missed = 0;
for (const shared of new Set(chosen.map(serversOf))) {
  const workloads = chosen.filter((workload) => serversOf(workload) === shared);
  const [first] = workloads;
  const servers = [
    await start('redis', 1, first!),
    await start(options.subject as ServerKind, first!.threads ?? Number(options.threads), first!),
  ];
  for (const workload of workloads) {
    process.stderr.write(`${workload.name} `);
    const requests: number[] = [];
    const listeners: LoadConnection[] = [];
    for (const server of servers) {
      const client = server.client();
      for (const [name, ...words] of workload.before ?? []) await client.call(name!, ...words);
      client.disconnect();
      await prepare(server, workload);
      if (workload.listen) {
        const listener = await LoadConnection.open(server.port);
        for (const words of workload.listen) await listener.send(command(...words), (text) => text !== '');
        listeners.push(listener);
      }
      const rough = await measure(server, workload, calibrationRequests(workload), clientThreads);
      requests.push(Math.ceil(rough.requestsPerSecond * seconds));
    }
    const samples: Sample[][] = [[], []];
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < servers.length; i++) {
        samples[i]!.push(await measure(servers[i]!, workload, requests[i]!, clientThreads));
        process.stderr.write('.');
      }
    }
    process.stderr.write('\n');
    for (const listener of listeners) listener.close();
    const theirs = combine((field) => median(samples[0]!.map((sample) => sample[field])));
    const ours = combine((field) => median(samples[1]!.map((sample) => sample[field])));
    const ratio = combine((field) => ours[field] / theirs[field]);
    const verdicts: string[] = [];
    for (const [field, title] of COLUMNS) {
      const target = workload.targets[field];
      if (!target) continue;
      verdicts.push(`${title} ${formatTarget(target, ratio[field])}`);
      if (!isMet(target, ratio[field])) missed++;
    }
    const cells = (sample: Sample) => COLUMNS.map(([field]) => formatNumber(sample[field]));
    rows.push([workload.name, 'redis', ...cells(theirs), '']);
    rows.push(['', options.subject!, ...cells(ours), '']);
    rows.push(['', 'ratio', ...cells(ratio), verdicts.join(', ')]);
  }
  for (const server of servers) await server.stop();
}
console.log(formatTable(rows));
console.log(
  `\n${rounds} rounds of ${seconds} s, ${CONNECTIONS} connections, ${KEYS} keys; ${missed} targets missed`,
);
