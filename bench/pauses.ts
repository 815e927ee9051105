/**
 * How long others wait while many keys are loaded, and while huge collections grow, are saved and are freed: a second
 * thread asks for other keys all the time, of the same shard and of others, and the server itself tells the longest
 * time that a lock was held (timed-lock.ts). On a busy machine the answers tell more of the machine than of the server;
 * the processor time spent while a lock was held does not.
 */

import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Command } from 'commander';
import type { Argument, RawClient } from '../test/tools/raw-client.js';
import { hasProgram, type ServerKind, TestServer } from '../test/tools/server.js';
import {
  build,
  type CollectionType,
  consumerCommands,
  destroyGroup,
  ownWrites,
  readByGroup,
  streamCommands,
  TYPES,
} from './huge-collections.js';
import { preload } from './load.js';
import type { PingReport, PingRequest, PingThreadData } from './ping-thread.js';
import { formatNumber, formatTable, formatTarget, type Target } from './table.js';
import type { LongHold } from './timed-lock.js';
import { infoField } from './write-load.js';

const POLL_MS = 20;
const WARM_UP_ELEMENTS = 200_000;
const SMALL_VALUE_BYTES = 3;
const TARGET: Target = { limit: 10 };

/** The tag makes this key and those that are asked for share a shard. */
const TAG = '{huge}';
const KEY = `key${TAG}`;
const OTHER_TAGS = ['{a}', '{b}', '{c}'];

async function ok(client: RawClient, ...args: Argument[]): Promise<void> {
  const reply = await client.text(...args);
  if (reply.startsWith('-')) throw new Error(`${args[0]}: ${reply}`);
}

/** Waits until the key is gone and nothing waits to be freed. */
async function freed(client: RawClient, key: string): Promise<void> {
  while (
    (await client.text('TYPE', key)) === '+none\r\n' &&
    (await client.text('EXISTS', key)) !== ':0\r\n'
  ) {
    await delay(POLL_MS);
  }
  while ((await infoField(client, 'memory', 'lazyfree_pending_objects')) !== '0') await delay(POLL_MS);
}

interface Step {
  readonly name: string;
  /** What it does to the collection, which is there; it is gone afterwards unless `keeps`. */
  run(client: RawClient, type: CollectionType): Promise<void>;
  readonly keeps?: boolean;
  /** What another client sends on the collection meanwhile. */
  readonly own?: (type: CollectionType, key: string) => readonly (readonly Argument[])[];
  /** The types that it is for; by default all. */
  readonly types?: readonly CollectionType[];
}

/** How long commands of all kinds are sent on a stream. */
const COMMANDS_MS = 10_000;

async function background(client: RawClient, command: string, field: string): Promise<void> {
  await ok(client, command);
  while ((await infoField(client, 'persistence', field)) !== '0') await delay(POLL_MS);
}

const STEPS: readonly Step[] = [
  {
    name: 'BGSAVE',
    keeps: true,
    run: (client) => background(client, 'BGSAVE', 'rdb_bgsave_in_progress'),
  },
  {
    name: 'BGSAVE, its key written to',
    keeps: true,
    own: ownWrites,
    run: (client) => background(client, 'BGSAVE', 'rdb_bgsave_in_progress'),
  },
  {
    name: 'BGREWRITEAOF, the same',
    keeps: true,
    own: ownWrites,
    run: (client) => background(client, 'BGREWRITEAOF', 'aof_rewrite_in_progress'),
  },
  {
    name: 'commands that ask for a part',
    types: ['stream'],
    keeps: true,
    own: (_type, key) => streamCommands(key),
    run: () => delay(COMMANDS_MS),
  },
  {
    name: 'commands that ask for all consumers',
    types: ['stream'],
    keeps: true,
    own: (_type, key) => consumerCommands(key),
    run: () => delay(COMMANDS_MS),
  },
  {
    name: 'XGROUP DESTROY',
    types: ['stream'],
    keeps: true,
    run: (client) => ok(client, ...destroyGroup(KEY)),
  },
  {
    name: 'XTRIM of a fifth at once',
    types: ['stream'],
    keeps: true,
    async run(client) {
      const length = Number((await client.text('XLEN', KEY)).slice(1));
      await ok(client, 'XTRIM', KEY, 'MAXLEN', Math.floor(length * 0.8));
    },
  },
  {
    name: 'XTRIM of the rest, by and by',
    types: ['stream'],
    async run(client) {
      while ((await client.text('XTRIM', KEY, 'MAXLEN', '~', 0)) !== ':0\r\n');
      await ok(client, 'UNLINK', KEY);
    },
  },
  {
    name: 'BGSAVE, then UNLINK',
    async run(client) {
      await ok(client, 'BGSAVE');
      await delay(100);
      await ok(client, 'UNLINK', KEY);
      while ((await infoField(client, 'persistence', 'rdb_bgsave_in_progress')) !== '0') await delay(POLL_MS);
    },
  },
  { name: 'UNLINK', run: (client) => ok(client, 'UNLINK', KEY) },
  {
    name: 'expiry',
    async run(client) {
      await ok(client, 'PEXPIRE', KEY, 50);
      // Nobody asks for it: it goes by itself.
      while ((await client.text('DBSIZE')) !== `:${OTHER_TAGS.length + 1}\r\n`) await delay(POLL_MS);
    },
  },
  {
    name: 'SET over it',
    async run(client) {
      await ok(client, 'SET', KEY, 'value');
      await ok(client, 'DEL', KEY);
    },
  },
  {
    name: 'RENAME over it',
    async run(client) {
      await ok(client, 'SET', `small${TAG}`, 'value');
      await ok(client, 'RENAME', `small${TAG}`, KEY);
      await ok(client, 'DEL', KEY);
    },
  },
  { name: 'FLUSHALL ASYNC', run: (client) => ok(client, 'FLUSHALL', 'ASYNC') },
  { name: 'FLUSHALL', run: (client) => ok(client, 'FLUSHALL', 'SYNC') },
  {
    name: 'eviction',
    async run(client) {
      await ok(client, 'CONFIG', 'SET', 'maxmemory-policy', 'volatile-ttl');
      await ok(client, 'EXPIRE', KEY, 10000);
      const used = Number(await infoField(client, 'memory', 'used_memory'));
      await ok(client, 'CONFIG', 'SET', 'maxmemory', used - (1 << 20));
      while ((await client.text('EXISTS', KEY)) !== ':0\r\n') await delay(POLL_MS);
      await ok(client, 'CONFIG', 'SET', 'maxmemory', 0);
    },
  },
];

interface Measured {
  readonly sameMs: number;
  readonly otherMs: number;
  readonly ownMs: number;
  readonly holdWallMs: number;
  readonly holdProcessorMs: number;
  readonly garbageMs: number;
  readonly slowestMs: number;
  readonly slowCommands: readonly { readonly durationMs: number; readonly text: string }[];
  readonly holds: readonly LongHold[];
}

class Watch {
  private readonly thread: Worker;
  private readonly client: RawClient;
  private readonly holdsFile: string;

  constructor(server: TestServer, client: RawClient, holdsFile: string) {
    this.client = client;
    this.holdsFile = holdsFile;
    const asked = (tag: string) => [
      ['SET', `asked${tag}`, 'value'],
      ['GET', `asked${tag}`],
    ];
    const data: PingThreadData = {
      port: server.port,
      connections: [asked(TAG), OTHER_TAGS.flatMap(asked), []],
    };
    this.thread = new Worker(new URL('./ping-thread.js', import.meta.url), { workerData: data });
  }

  private async ask(request: PingRequest): Promise<PingReport> {
    this.thread.postMessage(request);
    const [report] = (await once(this.thread, 'message')) as [PingReport];
    return report;
  }

  async begin(own: readonly (readonly Argument[])[]): Promise<void> {
    await this.ask({ last: own });
    await ok(this.client, 'SLOWLOG', 'RESET');
    writeFileSync(this.holdsFile, '');
  }

  async end(): Promise<Measured> {
    const { longestMs } = await this.ask({ last: [] });
    const slow = await this.client.text('SLOWLOG', 'GET', 128);
    // An entry: a number, a time, the duration, then the arguments.
    const entries = slow.matchAll(/\*6\r\n:\d+\r\n:\d+\r\n:(\d+)\r\n\*\d+\r\n((?:\$\d+\r\n.*\r\n){1,3})/g);
    const slowCommands = [...entries]
      .map(([, duration, words]) => ({
        durationMs: Number(duration) / 1000,
        text: words!.replace(/\$\d+\r\n(.*)\r\n/g, '$1 ').trim(),
      }))
      .sort((left, right) => right.durationMs - left.durationMs);
    const holds = readFileSync(this.holdsFile, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as LongHold)
      // No command waits for a lock that is not a shard's.
      .filter(({ kind, stack }) => kind !== 'lock' || stack.includes('Shard.unlock'));
    const longest = (kind: string, of: (hold: LongHold) => number) =>
      holds.filter((hold) => hold.kind === kind).reduce((most, hold) => Math.max(most, of(hold)), 0);
    return {
      sameMs: longestMs[0]!,
      otherMs: longestMs[1]!,
      ownMs: longestMs[2]!,
      holdWallMs: longest('lock', (hold) => hold.wallMs),
      holdProcessorMs: longest('lock', (hold) => hold.processorMs),
      garbageMs: longest('garbage', (hold) => hold.wallMs),
      slowestMs: slowCommands[0]?.durationMs ?? 0,
      slowCommands,
      holds,
    };
  }

  stop(): Promise<number> {
    return this.thread.terminate();
  }
}

const program = new Command()
  .description('measures how long others wait for what is done with huge collections')
  .option('--servers <names>', 'redis, damselfly or both', 'damselfly')
  .option('--threads <n>', "Damselfly's threads; default: the cores", String(availableParallelism()))
  .option('--elements <n>', 'elements of a collection; keys to load', '10000000')
  .option('--types <names>', 'types of collections; keys: many small ones', ['keys', ...TYPES].join(','))
  .option('--steps <texts>', 'only steps whose name has one of these')
  .option('--stacks', 'prints who has held a lock long, and the slowest commands')
  .parse();
const options = program.opts<{
  servers: string;
  threads: string;
  elements: string;
  types: string;
  steps?: string;
  stacks?: boolean;
}>();
const kinds = options.servers.split(',') as ServerKind[];
if (kinds.includes('redis') && !hasProgram('redis-server')) program.error('redis-server is not installed');
const count = Number(options.elements);
const chosen = options.types.split(',');
const types = TYPES.filter((type) => chosen.includes(type));
const wanted = options.steps?.split(',') ?? [''];
const steps = STEPS.filter(({ name }) => wanted.some((text) => name.includes(text)));

const rows: string[][] = [
  [
    `${count} elements`,
    'same shard',
    'other shards',
    'the key itself',
    'slow log',
    'lock held',
    'processor',
    'garbage',
    'target',
  ],
];

function report(name: string, kind: ServerKind, measured: Measured): void {
  const { sameMs, otherMs, ownMs, slowestMs, holdWallMs, holdProcessorMs, garbageMs } = measured;
  const isOurs = kind === 'damselfly';
  rows.push([
    name,
    ...[sameMs, otherMs, ownMs, slowestMs].map(formatNumber),
    ...(isOurs ? [holdWallMs, holdProcessorMs, garbageMs].map(formatNumber) : ['', '', '']),
    isOurs ? formatTarget(TARGET, holdProcessorMs) : '',
  ]);
  process.stderr.write(`${rows.at(-1)!.join('  ')}\n`);
  if (!options.stacks) return;
  for (const { durationMs, text } of measured.slowCommands.slice(0, 5)) {
    process.stderr.write(`    slow log: ${formatNumber(durationMs)} ms, ${text}\n`);
  }
  const worst = [...measured.holds].sort((left, right) => right.processorMs - left.processorMs).slice(0, 5);
  for (const hold of worst) {
    const times = `${formatNumber(hold.wallMs)} ms, ${formatNumber(hold.processorMs)} ms of processor time`;
    process.stderr.write(`    ${hold.kind}, thread ${hold.thread}: ${times}${hold.stack}\n`);
  }
}

/**
 * Makes the collection. The first one takes memory that the system has to provide, which may take milliseconds for a large page
 * of a virtual machine; later ones find it there.
 */
async function grow(
  client: RawClient,
  watch: Watch,
  kind: ServerKind,
  type: CollectionType,
  isFirst: boolean,
): Promise<void> {
  const again = isFirst ? '' : ' again';
  await watch.begin([]);
  await build(client, KEY, type, count);
  report(`${kind}: ${type}, growth${again}`, kind, await watch.end());
  if (type !== 'stream') return;
  await watch.begin([]);
  await readByGroup(client, KEY, count);
  report(`${kind}: ${type}, a group reads a tenth${again}`, kind, await watch.end());
}

async function measure(kind: ServerKind, folder: string): Promise<void> {
  const holdsFile = path.join(folder, 'long-holds');
  const hooks = fileURLToPath(new URL('./timed-lock-hooks.js', import.meta.url));
  const server = await TestServer.start({
    kind,
    threads: Number(options.threads),
    activeWorkers: 0,
    nodeOptions: ['--import', hooks],
    environment: { DAMSELFLY_LONG_HOLDS: holdsFile },
    directives: { 'slowlog-log-slower-than': 2000, 'slowlog-max-len': 128 },
  });
  try {
    const client = await server.rawClient();
    const watch = new Watch(server, client, holdsFile);
    await watch.begin([]);
    await delay(2000);
    report(`${kind}: nothing`, kind, await watch.end());
    if (chosen.includes('keys')) {
      await watch.begin([]);
      await preload(server.port, count, SMALL_VALUE_BYTES);
      report(`${kind}: keys, growth`, kind, await watch.end());
      await ok(client, 'FLUSHALL');
    }
    for (const type of types) {
      // The first commands of a kind run before they are compiled.
      await build(client, `first${TAG}`, type, Math.min(count, WARM_UP_ELEMENTS));
      await ok(client, 'UNLINK', `first${TAG}`);
      await freed(client, `first${TAG}`);
      let isThere = false;
      let usedBefore = 0;
      let isFirst = true;
      for (const step of steps) {
        if (step.types?.includes(type) === false) continue;
        if (!isThere) {
          usedBefore = Number(await infoField(client, 'memory', 'used_memory_dataset'));
          await grow(client, watch, kind, type, isFirst);
          isFirst = false;
        }
        await watch.begin(step.own?.(type, KEY) ?? []);
        await step.run(client, type);
        isThere = step.keeps === true;
        if (!isThere) await freed(client, KEY);
        report(`${kind}: ${type}, ${step.name}`, kind, await watch.end());
        if (isThere || kind !== 'damselfly') continue;
        const left = Number(await infoField(client, 'memory', 'used_memory_dataset')) - usedBefore;
        if (Math.abs(left) > 1 << 20) process.stderr.write(`    ${left} bytes are left\n`);
      }
      await ok(client, 'FLUSHALL');
    }
    await watch.stop();
  } finally {
    await server.stop('SIGKILL');
  }
}

const folder = mkdtempSync(path.join(tmpdir(), 'damselfly-pauses-'));
for (const kind of kinds) await measure(kind, folder);
rmSync(folder, { recursive: true, force: true });
console.log(formatTable(rows));
