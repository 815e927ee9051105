/**
 * What the append-only file holds is what the server held: random commands of all families, from several
 * connections, in several databases, in and outside of transactions, with keys that expire and are evicted and with
 * rewrites in between; then a server that has only the files must have the same data.
 *
 * DAMSELFLY_RECORD_RUNS and DAMSELFLY_RECORD_SEED change how many runs there are and where they start.
 */

import { cpSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { familiesByName } from '../compat/compare.js';
import type { CommandMaker, Family } from '../compat/family.js';
import { Vocabulary, type Word } from '../compat/vocabulary.js';
import { differences, readDataset } from '../tools/dataset.js';
import type { RawClient } from '../tools/raw-client.js';
import {
  hasProgram,
  run,
  type ServerKind,
  skipWithoutRedis,
  TestServer,
  threadCounts,
} from '../tools/server.js';

const RUNS = Number(process.env.DAMSELFLY_RECORD_RUNS ?? 6);
const SEED = Number(process.env.DAMSELFLY_RECORD_SEED ?? 1);
const CONNECTIONS = 4;
const ROUNDS = 40;
const PIPELINE_MAX = 60;
/** Keys that live shorter than this are gone when the data is compared; all others live longer than a test. */
const SHORT_LIFE_MS_MAX = 40;
const SETTLE_MS = 500;

/** Commands that Redis 7.0 does not know, times to live that end while the test runs, and draws by chance. */
const OWN: Family = {
  name: 'own',
  commands: [
    [3, (v) => ['SET', v.key(), v.value(), v.pick(['IFEQ', 'IFNE']), v.value()]],
    [2, (v) => ['SET', v.key(), v.value(), v.pick(['IFEQ', 'IFNE']), v.value(), 'PX', shortLife(v)]],
    [3, (v) => ['MSETEX', '2', v.key(), v.value(), v.key(), v.value(), ...msetexOptions(v)]],
    [3, (v) => ['DELEX', v.key(), ...(v.chance(0.5) ? [] : [v.pick(['IFEQ', 'IFNE']), v.value()])]],
    [2, (v) => ['SPOP', v.key(), ...(v.chance(0.5) ? [] : [String(v.below(5))])]],
    [3, (v) => ['SADD', v.key(), ...Array.from({ length: 12 }, () => v.value())]],
    [3, (v) => ['PEXPIRE', v.key(), shortLife(v)]],
    [2, (v) => ['PEXPIRE', v.key(), shortLife(v), v.pick(['NX', 'XX', 'LT', 'GT'])]],
    [1, (v) => ['PEXPIREAT', v.key(), String(Date.now() + v.between(-5, SHORT_LIFE_MS_MAX))]],
    [3, (v) => ['SET', v.key(), v.value(), 'PX', shortLife(v)]],
    [2, (v) => ['PSETEX', v.key(), shortLife(v), v.value()]],
    [2, (v) => ['GETEX', v.key(), 'PX', shortLife(v)]],
    [1, (v) => ['GETEX', v.key(), 'PERSIST']],
    [1, (v) => ['SET', v.key(), v.value(), 'GET', 'KEEPTTL']],
    [2, (v) => ['COPY', v.key(), v.key(), 'REPLACE']],
    [2, (v) => ['COPY', v.key(), v.key(), 'DB', String(v.below(4)), 'REPLACE']],
    [2, (v) => ['MOVE', v.key(), String(v.below(4))]],
    [1, (v) => ['SELECT', String(v.below(4))]],
    [
      3,
      (v) => [
        'XADD',
        v.pick(['s1', 's2', '{s}3']),
        ...v.pick([[], ['MAXLEN', '~', '5']]),
        '*',
        'f',
        v.value(),
      ],
    ],
    [1, (v) => ['SORT', v.key(), 'ALPHA', 'STORE', v.key()]],
    [1, (v) => ['SORT', v.key(), 'BY', 'nosort', 'STORE', v.key()]],
    [1, (v) => [v.pick(['LMPOP', 'ZMPOP']), '2', v.key(), v.key(), 'LEFT', 'COUNT', '2']],
    [1, (v) => ['ZMPOP', '2', v.key(), v.key(), v.pick(['MIN', 'MAX']), 'COUNT', '2']],
    [1, (v) => ['LMPOP', '2', v.key(), v.key(), v.pick(['LEFT', 'RIGHT']), 'COUNT', '2']],
    [1, (v) => ['DELIFEQ', v.key(), v.value()]],
    [2, (v) => ['INCREX', v.key(), 'BYINT', String(v.between(-9, 9)), ...increxOptions(v)]],
    [1, (v) => ['INCREX', v.key(), 'BYFLOAT', v.pick(['0.5', '-2.25', '1e3']), ...increxOptions(v)]],
    [2, (v) => ['BITOP', v.pick(['DIFF', 'DIFF1', 'ANDOR', 'ONE']), v.key(), v.key(), v.key()]],
    [
      1,
      (v) => [v.pick(['ZUNIONSTORE', 'ZINTERSTORE']), v.key(), '2', v.key(), v.key(), 'AGGREGATE', 'COUNT'],
    ],
    [2, (v) => ['HSETEX', v.key(), v.pick(['NX', 'XX']), 'FIELDS', '1', 'f', v.value()]],
    [1, (v) => ['BLMOVEM', v.key(), v.key(), side(v), side(v), '0.001', ...moveOptions(v)]],
    [3, (v) => ['LMOVEM', v.key(), v.key(), side(v), side(v), ...moveOptions(v)]],
    [2, () => ['MULTI']],
    [3, () => ['EXEC']],
  ],
};

const FAMILIES = [
  ...familiesByName(
    'strings,bitmaps,hyperloglogs,geo,keys,sets,sorted-sets,hashes,lists,sort,streams,streams,dumps,transactions',
  ),
  OWN,
  OWN,
  OWN,
];

function shortLife(v: Vocabulary): string {
  return String(v.between(1, SHORT_LIFE_MS_MAX));
}

function side(v: Vocabulary): string {
  return v.pick(['LEFT', 'RIGHT']);
}

function moveOptions(v: Vocabulary): Word[] {
  if (v.chance(0.2)) return [];
  return [v.pick(['COUNT', 'EXACTLY']), String(v.between(1, 5)), v.pick(['OBO', 'BULK'])];
}

function increxOptions(v: Vocabulary): Word[] {
  return v.options(3, [
    () => ['UBOUND', '50'],
    () => ['LBOUND', '-50'],
    () => ['SATURATE'],
    () => ['PX', shortLife(v)],
    () => ['PERSIST'],
  ]);
}

function msetexOptions(v: Vocabulary): Word[] {
  return v.options(2, [
    () => ['NX'],
    () => ['XX'],
    () => ['KEEPTTL'],
    () => ['PX', shortLife(v)],
    () => ['EX', '5000'],
  ]);
}

function pickMaker(v: Vocabulary, family: Family): CommandMaker {
  let dice = v.below(16 * family.commands.reduce((sum, [weight]) => sum + weight, 0)) / 16;
  for (const [weight, make] of family.commands) {
    if (dice < weight) return make;
    dice -= weight;
  }
  return family.commands[0]![1];
}

function word(value: Word | undefined): string {
  return String(value ?? '').toLowerCase();
}

/** Times that are over soon after the test, or might be, would make the comparison depend on its duration. */
function isBetween(value: Word | undefined, low: number, high: number): boolean {
  const number = Number(value);
  return number > low && number < high;
}

const UNITS_MS: Readonly<Record<string, number>> = { ex: 1000, px: 1 };
const EXPIRY_ARGUMENT: Readonly<Record<string, number>> = {
  expire: 2,
  setex: 2,
  pexpire: 2,
  psetex: 2,
  restore: 2,
};

function isSuitable(args: readonly Word[]): boolean {
  const name = word(args[0]);
  // The server that loads the file makes HyperLogLogs dense by its own configuration.
  if (name === 'config') return word(args[2]) !== 'hll-sparse-max-bytes';
  if (name === 'setbit' || name === 'setrange') return Number(args[2]) < 100_000 || !(Number(args[2]) > 0);
  if (name === 'bitfield') return !args.some((arg) => Math.abs(Number(word(arg).replace('#', ''))) > 100_000);
  // A list that is sorted into itself would grow without end.
  if (name === 'sort') return args.filter((arg) => word(arg) === 'get').length < 2;
  const at = EXPIRY_ARGUMENT[name];
  if (at !== undefined) {
    const unitMs = name.startsWith('p') || name === 'restore' ? 1 : 1000;
    return !isBetween(args[at], SHORT_LIFE_MS_MAX / unitMs, 100_000 / unitMs);
  }
  return !args.some((arg, index) => {
    const unitMs = UNITS_MS[word(arg)];
    return unitMs !== undefined && isBetween(args[index + 1], SHORT_LIFE_MS_MAX / unitMs, 100_000 / unitMs);
  });
}

function makeCommand(v: Vocabulary): Word[] {
  for (;;) {
    const args = pickMaker(v, v.pick(FAMILIES))(v);
    if (isSuitable(args)) return args;
  }
}

/** Sends random pipelines one after another, and ends any transaction. */
async function work(client: RawClient, seed: number): Promise<number> {
  const v = new Vocabulary(seed);
  let sent = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const commands = Array.from({ length: v.between(1, PIPELINE_MAX) }, () => makeCommand(v));
    await client.pipeline(commands);
    sent += commands.length;
    if (v.chance(0.3)) await delay(v.below(SHORT_LIFE_MS_MAX));
  }
  await client.command('DISCARD');
  return sent;
}

/** Meanwhile: rewrites in both forms, times in the file, another policy, too little memory for a while. */
async function disturb(client: RawClient, v: Vocabulary, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    switch (v.below(6)) {
      case 0:
      case 1:
        await client.command('BGREWRITEAOF');
        break;
      case 2:
        await client.command('CONFIG', 'SET', 'aof-use-rdb-preamble', v.pick(['yes', 'no']));
        break;
      case 3:
        await client.command('CONFIG', 'SET', 'aof-timestamp-enabled', v.pick(['yes', 'no']));
        break;
      case 4:
        await client.command('CONFIG', 'SET', 'appendfsync', v.pick(['always', 'everysec', 'no']));
        break;
      default: {
        const used = Number(/used_memory:(\d+)/.exec(await client.text('INFO', 'memory'))![1]);
        await client.command('CONFIG', 'SET', 'maxmemory', String(used - 20_000));
        await delay(v.below(50));
        await client.command('CONFIG', 'SET', 'maxmemory', '0');
      }
    }
    await delay(v.below(80));
  }
}

/** Waits until no rewrite runs or is about to. */
export async function rewritten(client: RawClient): Promise<void> {
  for (;;) {
    const info = await client.text('INFO', 'persistence');
    if (/aof_rewrite_in_progress:0/.test(info) && /aof_rewrite_scheduled:0/.test(info)) return;
    await delay(20);
  }
}

/** Everything in a server. A sorted set that becomes a listpack forgets the sign of a zero, here as in Redis. */
async function readAll(server: TestServer): Promise<Map<string, string>> {
  const all = await readDataset(server.client());
  for (const [key, text] of all)
    if (text.startsWith('zset')) all.set(key, text.replaceAll(/,-0(?=,|$)/g, ',0'));
  return all;
}

/** The data that a server has which starts with a copy of the files in `directory`. */
async function loadedBy(kind: ServerKind, directory: string): Promise<Map<string, string>> {
  const server = await TestServer.launch({
    kind,
    threads: 2,
    directives: { appendonly: 'yes', dir: directory },
  });
  try {
    await server.ready();
    return await readAll(server);
  } finally {
    await server.stop('SIGKILL');
  }
}

t.setTimeout(0);
for (let number = 0; number < RUNS; number++) {
  const seed = SEED + number;
  await t.test(`files of seed ${seed}`, { skip: skipWithoutRedis() }, async (t) => {
    t.setTimeout(0);
    const v = new Vocabulary(seed);
    const server = await TestServer.start({
      kind: 'damselfly',
      threads: v.pick(threadCounts()),
      directives: {
        appendonly: 'yes',
        appendfsync: v.pick(['always', 'everysec', 'no']),
        'aof-timestamp-enabled': v.pick(['yes', 'no']),
        'aof-use-rdb-preamble': v.pick(['yes', 'no']),
        'maxmemory-policy': v.pick(['allkeys-random', 'allkeys-lfu', 'volatile-ttl', 'noeviction']),
        'auto-aof-rewrite-percentage': v.pick([0, 100]),
        'auto-aof-rewrite-min-size': '64kb',
      },
    });
    t.teardown(() => server.stop('SIGKILL'));
    let isOver = false;
    const disturbed = disturb(await server.rawClient(), v, () => isOver);
    const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => server.rawClient()));
    const sent = await Promise.all(clients.map((client, index) => work(client, 1000 * seed + index)));
    isOver = true;
    await disturbed;
    await delay(SETTLE_MS);
    const [client] = clients as [RawClient];
    await rewritten(client);
    const expected = await readAll(server);
    t.comment(`${sent.reduce((sum, count) => sum + count)} commands, ${expected.size} keys are left`);
    t.match(await client.text('DEBUG', 'VERIFY'), '+OK');
    const isStopped = v.chance(0.5);
    if (!isStopped) {
      await client.command('SELECT', '0');
      await client.command('CONFIG', 'SET', 'appendfsync', 'always');
      await client.command('SET', 'last', 'acknowledged after its fsync');
      expected.set(...lastEntry());
    }
    const files = path.join(server.directory, '..', `${path.basename(server.directory)}-files`);
    if (isStopped) {
      // Its folder goes with it: the files are read while it is stopped, but not yet removed.
      server.process.kill('SIGTERM');
    } else {
      server.process.kill('SIGKILL');
    }
    await server.exited;
    cpSync(server.directory, files, { recursive: true });
    t.teardown(() => import('node:fs').then(({ rmSync }) => rmSync(files, { recursive: true, force: true })));
    if (hasProgram('redis-check-aof')) {
      const manifest = path.join(files, 'appendonlydir', 'appendonly.aof.manifest');
      const check = run(['redis-check-aof', manifest]);
      t.equal(check.code, 0, `redis-check-aof passes${check.code === 0 ? '' : `: ${check.stdout}`}`);
    }
    const found = await loadedBy('redis', files);
    t.same(differences(found, expected), [], 'redis-server has the same data');
    t.same(differences(await loadedBy('damselfly', files), expected), [], 'and so has Damselfly');
    if (found.size !== expected.size) t.comment(readdirSync(path.join(files, 'appendonlydir')).join(' '));
  });
}

function lastEntry(): [string, string] {
  const hex = (text: string) => Buffer.from(text).toString('hex');
  return [`0 ${hex('last')}`, `string -1 ${hex('acknowledged after its fsync')}`];
}
