/**
 * What keys, connections and idleness cost, of Damselfly and of redis-server: resident memory per key,
 * memory after random overwrites, pauses while keys are loaded, processor time of an idle server.
 */

import { once } from 'node:events';
import net from 'node:net';
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { Command } from 'commander';
import { Random } from '../test/tools/random.js';
import { hasProgram, type ServerKind, TestServer } from '../test/tools/server.js';
import { KEY_BYTES, sendSets } from './load.js';
import { cpuSeconds, residentBytes, residentDataBytes } from './process-cost.js';
import { formatNumber, formatTable, formatTarget, type Target } from './table.js';

const SETTLE_MS = 1500;
/** The JavaScript engine tidies up after the start, too. */
const IDLE_SETTLE_MS = 30_000;
const MEBIBYTE = 1 << 20;

interface Row {
  name: string;
  /** Worker threads; default: as on the command line. */
  threads?: number;
  unit: string;
  target: Target;
  /** The target is for Damselfly ÷ Redis. */
  isRatio?: true;
  measure(server: TestServer): Promise<number>;
}

/** MiB of a server that has just been started and has nothing to do. */
async function emptyServer(server: TestServer): Promise<number> {
  await delay(IDLE_SETTLE_MS);
  return residentBytes(server.pid) / MEBIBYTE;
}

/**
 * The most that is resident, in MiB, while so many random ones of 100,000 keys are set to values of 100 KB, with
 * `maxmemory` 1 GiB and the policy allkeys-lru.
 */
async function comingAndGoing(server: TestServer, count: number): Promise<number> {
  const client = await server.rawClient();
  await client.text('CONFIG', 'SET', 'maxmemory', '1gb', 'maxmemory-policy', 'allkeys-lru');
  const random = new Random(1);
  let most = 0;
  await sendSets({
    port: server.port,
    count,
    valueBytesMax: 100_000,
    next: () => ({ key: random.below(100_000), valueBytes: 100_000 }),
    onProgress: () => {
      most = Math.max(most, residentBytes(server.pid));
    },
  });
  return most / MEBIBYTE;
}

/** MiB more than before, 10 s after a client has gone that was to read 1 GB of replies and has not. */
async function afterReader(server: TestServer): Promise<number> {
  const client = await server.rawClient();
  await client.text('SET', 'large', Buffer.alloc(10_000_000, 'x'));
  await delay(IDLE_SETTLE_MS);
  const before = residentBytes(server.pid);
  const reader = await server.rawClient();
  reader.socket.pause();
  for (let count = 0; count < 100; count++) reader.send('GET', 'large');
  await delay(5000);
  await reader.close();
  await delay(10_000);
  return (residentBytes(server.pid) - before) / MEBIBYTE;
}

async function residentPerKey(server: TestServer, keys: number, valueBytes: number): Promise<number> {
  const client = await server.rawClient();
  const before = residentDataBytes(server.pid);
  const reply = await client.text('DEBUG', 'POPULATE', keys, 'key', valueBytes);
  if (reply !== '+OK\r\n') throw new Error(`DEBUG POPULATE answered ${reply}`);
  await delay(SETTLE_MS);
  return (residentDataBytes(server.pid) - before) / keys;
}

/** Resident bytes ÷ live bytes (keys and values) after many overwrites with values of other sizes. */
async function overwrites(server: TestServer, count: number): Promise<number> {
  const keys = Math.min(1_000_000, count);
  const valueBytesMax = 4096;
  const random = new Random(1);
  const sizes = new Uint16Array(keys);
  const before = residentDataBytes(server.pid);
  await sendSets({
    port: server.port,
    count: keys + count,
    valueBytesMax,
    next(n) {
      const key = n < keys ? n : random.below(keys);
      const valueBytes = random.between(1, valueBytesMax);
      sizes[key] = valueBytes;
      return { key, valueBytes };
    },
    onProgress(done) {
      if (done % 2_560_000 === 0) process.stderr.write('.');
    },
  });
  await delay(SETTLE_MS);
  const liveBytes = sizes.reduce((sum, size) => sum + size + KEY_BYTES, 0);
  return (residentDataBytes(server.pid) - before) / liveBytes;
}

async function openIdle(port: number, count: number): Promise<net.Socket[]> {
  const sockets: net.Socket[] = [];
  while (sockets.length < count) {
    const batch = Array.from({ length: Math.min(100, count - sockets.length) }, () =>
      net.connect(port, '127.0.0.1'),
    );
    const answers = batch.map((socket) => once(socket, 'data'));
    for (const socket of batch) socket.write('PING\r\n');
    await Promise.all(answers);
    sockets.push(...batch);
  }
  return sockets;
}

function closeAll(sockets: readonly net.Socket[]): void {
  for (const socket of sockets) socket.destroy();
}

/** Percent of one core that a server with idle connections takes. */
async function idleCpu(server: TestServer, connections: number, seconds: number): Promise<number> {
  const sockets = await openIdle(server.port, connections);
  await delay(IDLE_SETTLE_MS);
  const before = cpuSeconds(server.pid);
  await delay(seconds * 1000);
  const used = cpuSeconds(server.pid) - before;
  closeAll(sockets);
  return (100 * used) / seconds;
}

async function kibibytesPerConnection(server: TestServer, connections: number): Promise<number> {
  // Whatever the first connections make the server allocate once is not theirs.
  closeAll(await openIdle(server.port, 50));
  await delay(SETTLE_MS);
  const before = residentDataBytes(server.pid);
  const sockets = await openIdle(server.port, connections);
  await delay(SETTLE_MS);
  const grown = residentDataBytes(server.pid) - before;
  closeAll(sockets);
  return grown / connections / 1024;
}

const ELEMENTS_PER_COMMAND = 100;

/** Sixteen bytes that no other number has. */
function sixteenBytes(prefix: string, number: number): string {
  return prefix + String(number).padStart(16 - prefix.length, '0');
}

/** Resident bytes per element of keys that `commandFor` fills, each command with the elements from one number on. */
async function residentPerElement(
  server: TestServer,
  elements: number,
  perCommand: number,
  commandFor: (first: number, end: number) => string[],
): Promise<number> {
  const client = await server.rawClient();
  const before = residentDataBytes(server.pid);
  for (let at = 0; at < elements; ) {
    const commands: string[][] = [];
    for (; commands.length < 100 && at < elements; at += perCommand)
      commands.push(commandFor(at, Math.min(elements, at + perCommand)));
    const replies = await client.pipeline(commands);
    const refusal = replies.find((reply) => reply[0] === 0x2d);
    if (refusal) throw new Error(refusal.toString());
  }
  await delay(SETTLE_MS);
  return (residentDataBytes(server.pid) - before) / elements;
}

function makeRows(scale: number): Row[] {
  const scaled = (count: number) => Math.max(1, Math.round(count * scale));
  const populate = (keys: number, valueBytes: number, limit: number): Row => ({
    name: `DEBUG POPULATE ${scaled(keys)} key ${valueBytes}`,
    unit: 'RSS bytes/key',
    target: { limit },
    measure: (server) => residentPerKey(server, scaled(keys), valueBytes),
  });
  const oneKey = (name: string, command: string, element: (number: number) => string[]): Row => {
    const count = scaled(1_000_000);
    return {
      name: `${name} of ${count} elements`,
      unit: 'RSS bytes/element',
      target: { limit: 0.7 },
      isRatio: true,
      measure: (server) =>
        residentPerElement(server, count, ELEMENTS_PER_COMMAND, (first, end) => {
          const words = [command, 'key'];
          for (let number = first; number < end; number++) words.push(...element(number));
          return words;
        }),
    };
  };
  return [
    populate(5_000_000, 3, 46),
    populate(5_000_000, 64, 108),
    populate(1_000_000, 1024, 1100),
    {
      name: `${scaled(50_000_000)} overwrites`,
      unit: 'RSS ÷ live bytes',
      target: { limit: 1.3 },
      measure: (server) => overwrites(server, scaled(50_000_000)),
    },
    {
      name: '100 idle connections',
      unit: '% of a core',
      target: { limit: 0.5 },
      measure: (server) => idleCpu(server, 100, Math.max(2, 20 * scale)),
    },
    {
      name: `${scaled(10_000)} idle connections`,
      unit: 'RSS KiB each',
      target: { limit: 20 },
      measure: (server) => kibibytesPerConnection(server, scaled(10_000)),
    },
    oneKey('hash', 'HSET', (number) => [sixteenBytes('field:', number), sixteenBytes('value:', number)]),
    oneKey('set', 'SADD', (number) => [sixteenBytes('member:', number)]),
    oneKey('sorted set', 'ZADD', (number) => [String(number), sixteenBytes('member:', number)]),
    oneKey('list', 'RPUSH', (number) => [sixteenBytes('element:', number)]),
    {
      name: `stream of ${scaled(1_000_000)} entries of 3 fields`,
      unit: 'RSS bytes/entry',
      target: { limit: 0.9 },
      isRatio: true,
      measure: (server) =>
        residentPerElement(server, scaled(1_000_000), 1, (number) => {
          const words = ['XADD', 'key', '*'];
          for (let field = 0; field < 3; field++) words.push(`field:${field}`, `value:${number * 3 + field}`);
          return words;
        }),
    },
    {
      name: `${scaled(1_000_000)} hashes of 10 fields`,
      unit: 'RSS bytes/key',
      target: { limit: 0.9 },
      isRatio: true,
      measure: (server) =>
        residentPerElement(server, scaled(1_000_000), 1, (number) => {
          const words = ['HSET', sixteenBytes('user:', number)];
          for (let field = 0; field < 10; field++)
            words.push(`field:${field}`, `value:${number * 10 + field}`);
          return words;
        }),
    },
    { name: 'empty, 1 thread', unit: 'RSS MiB', target: { limit: 70 }, threads: 1, measure: emptyServer },
    { name: 'empty, 2 threads', unit: 'RSS MiB', target: { limit: 79 }, threads: 2, measure: emptyServer },
    { name: 'empty, 16 threads', unit: 'RSS MiB', target: { limit: 205 }, threads: 16, measure: emptyServer },
    {
      name: `${scaled(500_000)} values of 100 KB come and go, maxmemory 1 GiB`,
      unit: 'RSS MiB at most',
      // 1.15 GB, and what an empty server takes.
      target: { limit: 1.15e9 / MEBIBYTE + 70 },
      measure: (server) => comingAndGoing(server, scaled(500_000)),
    },
    { name: 'a reader of 1 GB has gone', unit: 'RSS MiB more', target: { limit: 64 }, measure: afterReader },
  ];
}

const program = new Command()
  .description('measures the memory and the idle cost of Damselfly beside redis-server')
  .option('--servers <names>', 'redis, damselfly or both', 'redis,damselfly')
  .option('--rows <numbers>', 'which rows, counted from 1; default: all')
  .option('--threads <n>', "Damselfly's threads; default: the cores", String(availableParallelism()))
  .option('--scale <factor>', 'multiplies the counts of keys, overwrites and connections', '1')
  .parse();
const options = program.opts<Record<string, string>>();
const kinds = options.servers!.split(',') as ServerKind[];
if (kinds.includes('redis') && !hasProgram('redis-server')) program.error('redis-server is not installed');

const rows = makeRows(Number(options.scale));
const chosen =
  options.rows?.split(',').map((n) => rows[Number(n) - 1] ?? program.error(`no row ${n}`)) ?? rows;
const printed: string[][] = [['', 'unit', ...kinds, 'target']];
for (const row of chosen) {
  process.stderr.write(`${row.name} `);
  const cells: string[] = [];
  let ours = Number.NaN;
  let theirs = Number.NaN;
  for (const kind of kinds) {
    // A server of its own for each row: memory that was once used does not all go back.
    const threads = row.threads ?? Number(options.threads);
    const server = await TestServer.start({
      kind,
      threads,
      activeWorkers: 0,
      directives: { maxclients: 20_000 },
    });
    try {
      const value = await row.measure(server);
      cells.push(formatNumber(value));
      if (kind === 'damselfly') ours = value;
      else theirs = value;
    } catch (error) {
      cells.push('failed');
      process.stderr.write(`${kind}: ${(error as Error).message}\n`);
    }
    await server.stop();
  }
  process.stderr.write('\n');
  const judged = row.isRatio ? ours / theirs : ours;
  const verdict = Number.isNaN(judged)
    ? ''
    : `${row.isRatio ? `ratio ${formatNumber(judged)}, ` : ''}${formatTarget(row.target, judged)}`;
  printed.push([row.name, row.unit, ...cells, verdict]);
}
console.log(formatTable(printed));
